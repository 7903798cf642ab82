"""FETCH from single columns says what FETCH from whole rows says, whatever is in the mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mox_imap.commands.fetch import told, wanted
from mox_imap.scanner import Scanner
from mox_imap.view import View
from mox_message import Content, parse
from mox_store import BLOB_LIMIT, UNMADE, Account, NewMessage, Store, testing
from moxd import deliver
from moxd.imap_mailbox import OwnMailbox

COUNT = 40
NOBODY: Any = None
ITEMS = [
    "UID", "FLAGS", "MODSEQ", "RFC822.SIZE", "INTERNALDATE", "SAVEDATE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "EMAILID",
    "PREVIEW", "BODY.PEEK[]", "BODY.PEEK[]<3.5>", "BODY.PEEK[TEXT]", "BODY.PEEK[HEADER]", "BODY.PEEK[1]", "RFC822.HEADER",
    "BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]", "BODY.PEEK[HEADER.FIELDS (DATE)]", "BODY.PEEK[HEADER.FIELDS (RECEIVED)]",
]  # fmt: skip


def message(number: int) -> bytes:
    head = f"From: kim{number}@x.test\r\nSubject: number {number}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n"
    body = {0: b"", 1: b"a\0b\r\n", 2: b"x" * (BLOB_LIMIT + 1) + b"\r\n"}.get(number % 10, b"text\r\n" * number)
    return head.encode() + body


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    store = Store(
        tmp_path_factory.mktemp("cells"),
        clock=lambda: 1_700_000_000.0,
        disk=testing.QuickDisk(),
        make_traits=deliver.remade,
    )
    account = store.open("kim")
    with account.write() as tx:
        inbox = tx.mailbox("Inbox")
        for number in range(COUNT):
            content = Content.of(message(number))
            traits = UNMADE if number == 33 else deliver.traits_of(content, parse(content))
            staged = account.segments.stage(content) if content.size > BLOB_LIMIT else None
            tx.add(
                inbox,
                NewMessage(content, traits, 1.6e9 + number, prefix=b"Received: x\r\n", staged=staged,
                           flags=("\\Seen", "work") if number % 3 else ()),
            )  # fmt: skip
        tx.expunge(inbox, [5, 6, 20], only_deleted=False)
    yield account
    store.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4, unique=True),
    first=st.integers(0, COUNT - 4),
    length=st.integers(1, COUNT),
    sparse=st.integers(1, 7),
)
def test_columns_and_rows_agree(account: Account, items: list[str], first: int, length: int, sparse: int) -> None:
    mailbox = account.mailbox("Inbox")
    assert mailbox is not None
    opened = OwnMailbox(NOBODY, account, mailbox, lambda: None)
    view = View(opened)
    assert view.celled is not None
    want = wanted(Scanner(f"({' '.join(items)})".encode()))
    indexes: Any = range(first, min(len(view), first + length))
    if sparse > 1:
        indexes = list(indexes)[::sparse]
    by_columns = b"".join(_said(view, indexes, want))
    view.celled = None
    assert b"".join(_said(view, indexes, want)) == by_columns
    opened.close()


def _said(view: View, indexes: Any, want: Any) -> Iterator[bytes]:
    for one in told(view, indexes, want):
        assert isinstance(one, bytes)
        yield one


def test_what_was_expunged_meanwhile_is_still_told(account: Account, tmp_path: Path) -> None:
    mailbox = account.mailbox("Inbox")
    assert mailbox is not None
    opened = OwnMailbox(NOBODY, account, mailbox, lambda: None)
    view = View(opened)
    with account.write() as tx:
        tx.expunge(tx.mailbox("Inbox"), [10], only_deleted=False)
    said = b"".join(_said(view, range(4, 12), wanted(Scanner(b"(UID BODY.PEEK[])"))))
    assert b"UID 10 BODY[]" in said
    opened.close()
