"""mox_store beside a maildir writer that syncs each file, in one run on one disk.

    python bench/store.py [--messages N] [--json FILE]

Messages of 4 KB over 1, 8 and 32 sessions at a time; each is on disk before its session goes on.  The maildir writer
has a thread for each session: it writes to tmp, syncs the file, renames it into new.  Once without syncing the folder
(the usual shortcut: after a power cut the file may have no name), once with it, which promises what the store promises.
Printed: messages/s, CPU milliseconds and syncs a message, and the ratios, which say more than the rest on a machine
that does other things.  Then: importing an mbox file, and searching for a text that is not there."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from mox_message import Content
from mox_store import Disk, NewMessage, Store, Traits, importing, mbox, search

SESSIONS = (1, 8, 32)
ROUNDS = 3


@dataclass
class Figures:
    """Of one run."""

    what: str
    sessions: int
    a_second: float
    cpu_ms: float
    syncs: float


class Counting(Disk):
    """Counts the store's syncs; those of checkpoints, some in a thousand messages, are SQLite's own."""

    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        super().sync(descriptor)


def message(number: int) -> bytes:
    """4 KB, each its own."""
    line = b"This is a line of a message that somebody wrote to somebody else. \r\n"
    return f"Message-ID: <{number}@bench>\r\nSubject: number {number}\r\n\r\n".encode() + line * 60


def measured(what: str, sessions: int, count: int, run: Callable[[], int]) -> Figures:
    """Wall and CPU of `run`, which returns its syncs."""
    usage, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    syncs = run()
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return Figures(what, sessions, count / wall, cpu * 1000 / count, syncs / count)


def with_store(folder: Path, sessions: int, count: int) -> Figures:
    """Deliveries into one account."""
    disk = Counting()

    async def life() -> Figures:
        loop = asyncio.get_running_loop()
        store = Store(folder, clock=time.time, loop=loop, disk=disk)
        account = store.open("bench")
        numbers = iter(range(count))

        async def session() -> None:
            for number in numbers:
                text = message(number)
                traits = Traits(
                    b"(" + b"e" * 400 + b")", b"(" + b"b" * 120 + b")", text[:60], message_id=f"<{number}@b>"
                )
                new = NewMessage(Content.of(text), traits, 1.0, b"Received: from somewhere\r\n" * 8)
                await account.commit(lambda tx, new=new: tx.add(tx.mailbox("Inbox"), new))  # type: ignore[misc]

        before, begun = disk.syncs, resource.getrusage(resource.RUSAGE_SELF)
        wall = time.perf_counter()
        await asyncio.gather(*(session() for _ in range(sessions)))
        wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - begun.ru_utime - begun.ru_stime
        syncs = disk.syncs - before
        store.close()
        return Figures("mox_store", sessions, count / wall, cpu * 1000 / count, syncs / count)

    return asyncio.run(life())


def with_maildir(folder: Path, sessions: int, count: int, *, names: bool = False) -> Figures:
    """A file for each; it is synced, and with `names` the folder too."""
    for name in ("tmp", "new"):
        (folder / name).mkdir(parents=True)
    directory = os.open(folder / "new", os.O_RDONLY | os.O_DIRECTORY)

    def one(number: int) -> None:
        temporary = folder / "tmp" / str(number)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, b"Received: from somewhere\r\n" * 8 + message(number))
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.rename(folder / "new" / str(number))
        if names:
            os.fsync(directory)

    def run() -> int:
        with ThreadPoolExecutor(sessions) as pool:
            for _ in pool.map(one, range(count)):
                pass
        return count * (1 + names)

    what = "maildir, file and name" if names else "maildir, file synced"
    figures = measured(what, sessions, count, run)
    os.close(directory)
    return figures


def with_names(folder: Path, sessions: int, count: int) -> Figures:
    """with_maildir, durable."""
    return with_maildir(folder, sessions, count, names=True)


def deliveries(scratch: Path, count: int) -> list[Figures]:
    """All in turn; of the rounds the quickest."""
    found: list[Figures] = []
    for sessions in SESSIONS:
        best: dict[str, Figures] = {}
        for turn in range(ROUNDS):
            for run in (with_store, with_maildir, with_names):
                one = run(scratch / f"{run.__name__}-{sessions}-{turn}", sessions, count)
                if one.what not in best or one.a_second > best[one.what].a_second:
                    best[one.what] = one
        ours, *theirs = best.values()
        print(_line(ours))
        for one in theirs:
            ratios = (
                f"ours {ours.a_second / one.a_second:.1f} times as many, CPU {one.cpu_ms / ours.cpu_ms:.1f} times less"
            )
            print(f"{_line(one)}   {ratios}")
        found += [ours, *theirs]
    return found


def _line(one: Figures) -> str:
    counts = f"{one.a_second:>8.0f}/s {one.cpu_ms:>7.3f} ms CPU {one.syncs:>6.3f} syncs"
    return f"{one.what:<23} {one.sessions:>3} sessions {counts}"


def import_and_search(scratch: Path, count: int) -> list[Figures]:
    """An mbox file in, then looked through."""
    path = scratch / "in.mbox"
    with path.open("wb") as file:
        for number in range(count):
            mbox.write(file, Content.of(message(number)), 1.0, ())
    store = Store(scratch / "imported", clock=time.time)
    account = store.open("bench")

    def bring() -> int:
        for source in importing.sources(path, "Inbox"):
            importing.run(account, source)
        return account.database.flushes

    found = [measured("import of mbox", 1, count, bring)]
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    slices: list[float] = []

    def look() -> int:
        last = time.perf_counter()
        for _ in search.scan(account, inbox.id, range(1, inbox.uidnext), "absent", lambda content: False):
            now = time.perf_counter()
            slices.append(now - last)
            last = now
        return 0

    found.append(measured("search, absent text", 1, count, look))
    for one in found:
        print(_line(one))
    print(f"{'':<23} longest slice of the search {max(slices) * 1000:.1f} ms")
    store.close()
    return found


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mox-bench-") as name:
        found = deliveries(Path(name), options.messages) + import_and_search(Path(name), options.messages * 5)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))


if __name__ == "__main__":
    main()
