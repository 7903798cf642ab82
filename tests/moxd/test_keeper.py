from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import mox_store
from mox_message import Content
from mox_store import NewMessage, Traits
from moxd.config import Account, Config, Domain, Domains, Listener, Static
from moxd.config.values import Backup
from moxd.keeper import DAY, Keeper, next_time


def config(folder: Path, **account: Any) -> Config:
    static = Static(
        hostname="mx.mox.test", data=folder, listeners={"x": Listener(addresses=("127.0.0.1",), smtp=2525)},
        backup=Backup(folder=folder / "backup", at="03:30", keep=2),
    )  # fmt: skip
    accounts = {"you": Account(addresses=("you@mox.test",), **account)}
    return Config(folder, static, Domains(domains={"mox.test": Domain()}, accounts=accounts))


@pytest.mark.parametrize(
    "now, at, hours",
    [("2026-11-26 01:30", "03:30", 2), ("2026-11-26 03:30", "03:30", 24), ("2026-11-26 12:00", "3:30", 15.5)],
)
def test_the_next_time(now: str, at: str, hours: float) -> None:
    seconds = datetime.strptime(now, "%Y-%m-%d %H:%M").timestamp()
    assert next_time(seconds, at) == seconds + hours * 3600


def test_limits_are_what_is_configured(tmp_path: Path) -> None:
    async def run() -> None:
        store = mox_store.Store(tmp_path / "accounts", clock=time.time, loop=asyncio.get_running_loop())
        now = [config(tmp_path, quota=1000, retention_days=2)]
        keeper = Keeper(store, lambda: now[0], time.time)
        await keeper.apply()
        account = store.open("you")
        assert (account.quota().size_limit, account.retention()) == (1000, 2 * DAY)
        with pytest.raises(mox_store.MailboxError, match="may hold 1000 bytes"):
            await account.commit(
                lambda tx: tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(b"x" * 1001), Traits(b"", b"", b""), 1.0))
            )
        flushes = account.database.flushes
        await keeper.apply()
        assert account.database.flushes == flushes, "nothing changed, nothing is written"
        now[0] = config(tmp_path)
        await keeper.apply()
        assert (account.quota().size_limit, account.retention()) == (None, 7 * DAY)
        store.close()

    asyncio.run(run())


def test_a_backup_every_night(tmp_path: Path) -> None:
    """Four nights in no time; two are kept, and each can be restored."""

    async def run() -> None:
        store = mox_store.Store(tmp_path / "accounts", clock=time.time, loop=asyncio.get_running_loop())
        account = store.open("you")
        clock = [datetime(2026, 11, 26, 12, 0).timestamp()]
        nights: list[float] = []

        async def sleep(seconds: float) -> None:
            if len(nights) == 4:
                await asyncio.Event().wait()
            nights.append(seconds)
            clock[0] += seconds
            content = Content.of(b"Subject: night\r\n\r\n")
            await account.commit(
                lambda tx: tx.add(tx.mailbox("Inbox"), NewMessage(content, Traits(b"", b"", b""), 1.0))
            )

        keeper = Keeper(store, lambda: config(tmp_path), lambda: clock[0], sleep=sleep)  # type: ignore[arg-type]
        keeper.start()
        while len(nights) < 4 or len(backup().generations()) != 2:  # noqa: ASYNC110  it is all in no time
            await asyncio.sleep(0.01)
        await keeper.stop()
        assert nights == [15.5 * 3600, *[24 * 3600.0] * 3]
        store.close()

    def backup() -> mox_store.backup.Backup:
        return mox_store.backup.Backup(tmp_path / "backup")

    asyncio.run(run())
    outcome = backup().restore(tmp_path / "restored", time.time())
    assert not outcome.problems
    restored = mox_store.Store(tmp_path / "restored", clock=time.time)
    inbox = restored.open("you").mailbox("Inbox")
    assert inbox is not None
    assert inbox.total >= 3
    restored.close()
