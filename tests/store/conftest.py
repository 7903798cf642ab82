from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mox_message import Content
from mox_store import BLOB_LIMIT, Account, Added, NewMessage, Store, Traits, testing


class Clock:
    """Seconds since 1970, as told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "accounts", clock=clock, disk=testing.QuickDisk())
    yield made
    made.close()


@pytest.fixture
def account(store: Store) -> Account:
    return store.open("kim")


@pytest.fixture
def deliver(account: Account) -> Callable[..., Added]:
    """Adds a message: deliver(text, mailbox="Inbox", flags=…, message_id=…, …)."""

    def run(text: str | bytes = "Subject: hi\r\n\r\nhello\r\n", mailbox: str = "Inbox", **more: object) -> Added:
        data = text.encode() if isinstance(text, str) else text
        traits = {key: more.pop(key) for key in ("subject", "message_id", "references") if key in more}
        content = Content.of(data)
        staged = account.segments.stage(content) if content.size > BLOB_LIMIT else None
        new = NewMessage(content, Traits(b"e", b"b", b"h", **traits), 1.0, staged=staged, **more)  # type: ignore[arg-type]
        with account.write() as tx:
            return tx.add(tx.mailbox_or_new(mailbox), new)

    return run
