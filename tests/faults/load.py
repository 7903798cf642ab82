"""A load of deliveries, flags, moves and expunges on one account, by several processes: run as a program and watched.

Before it does something it says `try OPERATION TOKEN`, and `did OPERATION TOKEN UID` once the store has said that it is
on disk.  A token says what its message must look like, so that a look at the disk finds out what is missing or half."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
import zlib
from pathlib import Path

import mox_store
from mox_message import Content
from mox_store import database

TARGET = "Archive"


class NoSync(mox_store.Disk):
    """A disk whose syncs do nothing: what the tests must find."""

    def sync(self, descriptor: int) -> None:
        """Lies."""


def message(token: str) -> bytes:
    """The message of a token: most are small, some are large enough for a segment."""
    number = zlib.crc32(token.encode())
    large = token.startswith("large") or (number % 7 == 0 and not token.startswith("small"))
    size = 40_000 + number % 30_000 if large else 200 + number % 5_000
    line = f"{token} {number:08x} ".encode()
    body = (line * (size // len(line) + 1))[:size]
    return f"X-Token: {token}\r\nSubject: {token}\r\n\r\n".encode() + body


def new_message(token: str) -> mox_store.NewMessage:
    """What a server would hand over."""
    content = Content.of(message(token))
    traits = mox_store.Traits(b"(env)", b"(body)", f"Subject: {token}\r\n".encode(), subject=token)
    prefix = f"Delivered-To: {token}@example.org\r\n".encode()
    return mox_store.NewMessage(content, traits, 1_700_000_000.0, prefix)


def say(line: str) -> None:
    """One line, in one write."""
    os.write(1, f"{line}\n".encode())


async def deliver(account: mox_store.Account, token: str) -> int:
    """Adds the message of a token to the Inbox; its uid."""
    new = new_message(token)
    if new.content.size > mox_store.BLOB_LIMIT:
        staged = await account.stage(new.content)
        new = mox_store.NewMessage(new.content, new.traits, new.received, new.prefix, staged=staged)
    added = await account.commit(lambda tx: tx.add(tx.mailbox("Inbox"), new))
    return added.uid


async def one_life(account: mox_store.Account, token: str, rng: random.Random) -> None:
    """A message comes, and perhaps is flagged, moved, expunged."""
    say(f"try add {token}")
    uid = await deliver(account, token)
    say(f"did add {token} {uid}")
    if rng.random() < 0.4:
        say(f"try flag {token}")
        await account.commit(lambda tx: tx.flag(tx.mailbox("Inbox"), [uid], "add", ["\\Flagged", "kept"]))
        say(f"did flag {token} {uid}")
    where = "Inbox"
    if rng.random() < 0.3:
        say(f"try move {token}")
        pairs = await account.commit(lambda tx: tx.move(tx.mailbox("Inbox"), [uid], tx.mailbox(TARGET)))
        where, uid = TARGET, pairs[0][1]
        say(f"did move {token} {uid}")
    if rng.random() < 0.2:
        say(f"try expunge {token}")
        await account.commit(lambda tx: tx.expunge(tx.mailbox(where), [uid], only_deleted=False))
        say(f"did expunge {token} {uid}")


async def work(options: argparse.Namespace, worker: int) -> None:
    """One process's part."""
    disk = NoSync() if options.no_sync else mox_store.Disk()
    store = mox_store.Store(options.folder, clock=time.time, loop=asyncio.get_running_loop(), disk=disk)
    account = store.open("kim")
    rng = random.Random(f"{options.seed} {worker}")
    numbers = iter(range(options.messages))

    async def session() -> None:
        for number in numbers:
            await one_life(account, f"{options.seed}-{worker}-{number}", rng)

    try:
        await asyncio.gather(*(session() for _ in range(options.sessions)))
    finally:
        store.close()


def main() -> None:
    """Runs the processes; the first one to fail fails all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--messages", type=int, default=30)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--no-sync", action="store_true")
    parser.add_argument("--checkpoint", type=int, default=database.CHECKPOINT_BYTES)
    options = parser.parse_args()
    database.CHECKPOINT_BYTES = options.checkpoint
    children = []
    for worker in range(options.workers):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            asyncio.run(work(options, worker))
            os._exit(0)
        children.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    sys.exit(int(any(statuses)))


if __name__ == "__main__":
    main()
