"""Sessions of mox_imap over moxd's backend on a real store, driven on the loop: Ann, Bob and Kim have accounts."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import mox_store
from mox_imap import ImapConfig, ImapServer
from moxd.imap_backend import AccountBackend
from moxd.shared import Others

NAMES = ("ann", "bob", "kim")


class Logins:
    """Everybody is who they say; of mox_imap.Logins what a PREAUTH session may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class Client:
    """A session that is driven on the loop."""

    def __init__(self, account: AccountBackend) -> None:
        config = ImapConfig(modseqs=True, plaintext_login=True)
        self.session = ImapServer(config, Logins(), now=0.0, account=account, clock=time.time)
        self.session.outgoing()

    async def ask(self, text: str | bytes) -> list[str]:
        data = text.encode() if isinstance(text, str) else text
        session, out = self.session, b""
        session.receive(data + b"\r\n", 0.0)
        while True:
            session.run()
            out += session.outgoing()
            if session.waiting is not None:
                waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                session.waiting.add_done_callback(lambda _, waited=waited: waited.done() or waited.set_result(None))  # type: ignore[misc]
                await waited
                session.resume()
            elif not session.busy:
                return out.decode("utf-8", "backslashreplace").split("\r\n")[:-1]


def play(folder: Path, script: Callable[[Client, Client, mox_store.Account], Awaitable[None]]) -> None:
    async def run() -> None:
        store = mox_store.Store(folder / "accounts", clock=time.time, loop=asyncio.get_running_loop())
        bits = random.Random(1).getrandbits
        others = Others(
            lambda name: store.open(name) if name in NAMES else None,
            lambda login: login.partition("@")[0] if login.partition("@")[0] in NAMES else None,
            lambda: NAMES,
        )
        backends = {
            name: AccountBackend(store.open(name), folder, time.time, bits, others=others) for name in ("ann", "bob")
        }
        for one in backends.values():
            one.others = backends.get
        try:
            await script(Client(backends["ann"]), Client(backends["bob"]), store.open("ann"))
        finally:
            store.close()

    asyncio.run(run())


MESSAGE = b"From: a@b\r\nMessage-ID: <%d@x>\r\nReferences: <1@x>\r\nSubject: one\r\n\r\nhello\r\n"


async def fill(client: Client, count: int, mailbox: str = "Inbox") -> None:
    """Appends messages 1 to `count`."""
    for number in range(1, count + 1):
        text = MESSAGE % number
        said = await client.ask(b"a APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(text), text))
        assert said[-1].startswith("a OK"), said
