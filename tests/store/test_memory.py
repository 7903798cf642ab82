from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mox_message import Content
from mox_store import Account, MailboxError, NewMessage, Store, StoreError, Traits
from mox_store.memory import MemoryAccount, MemoryTransaction

if TYPE_CHECKING:
    from mox_store import Transaction
    from mox_store.doors import AccountDoor, TransactionDoor

    def both_engines_fulfil_the_doors(
        account: Account, memory: MemoryAccount, tx: Transaction, other: MemoryTransaction
    ) -> None:
        """Checked by mypy."""
        _a: AccountDoor = account
        _b: AccountDoor = memory
        _c: TransactionDoor = tx
        _d: TransactionDoor = other


def test_nothing_of_what_raises_stays() -> None:
    account = MemoryAccount("kim", clock=lambda: 1000.0)

    def half() -> None:
        with account.write() as tx:
            tx.create("Half")
            tx.create("Half")

    with pytest.raises(MailboxError):
        half()
    assert account.mailbox("Half") is None


def test_commit_on_a_loop() -> None:
    async def run() -> None:
        account = MemoryAccount("kim", clock=lambda: 1000.0, loop=asyncio.get_running_loop())
        new = NewMessage(Content.of(b"hello"), Traits(b"", b"", b""), 1.0)
        added = await account.commit(lambda tx: tx.add(tx.mailbox("inbox"), new))
        assert account.content(added.message).read() == b"hello"
        with pytest.raises(StoreError):
            account.content(99)
        with pytest.raises(MailboxError):
            await account.commit(lambda tx: tx.delete("Inbox"))

    asyncio.run(run())


def test_both_begin_alike(tmp_path: Path) -> None:
    store = Store(tmp_path, clock=lambda: 1000.0)
    account, memory = store.open("kim"), MemoryAccount("kim", clock=lambda: 1000.0)
    assert account.mailboxes() == memory.mailboxes()
    assert account.modseq() == memory.modseq()
    store.close()
