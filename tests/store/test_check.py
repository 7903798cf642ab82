"""Every invariant is broken on purpose: `check` says so, and `mend` mends what it promised to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mox_message import Content
from mox_store import Account, NewMessage, Traits, check
from mox_store.check import RULES, Cure

HISTORY = "the history of changes leads to what is there"
FLAGS = "flags have names"
SEGMENT = "large messages are in their segments, with their checksums"
# (rule, statement that breaks it)
BREAKS = [
    ("a mailbox's counters are those of its entries", "UPDATE mailbox SET total=total+1 WHERE name='Inbox'"),
    ("a mailbox's counters are those of its entries", "UPDATE mailbox SET unseen=unseen+1 WHERE name='Inbox'"),
    ("a mailbox's counters are those of its entries", "UPDATE mailbox SET size=0 WHERE name='Inbox'"),
    ("a mailbox's counters are those of its entries", "UPDATE mailbox SET deleted=5 WHERE name='Trash'"),
    ("uidnext is above every uid ever given", "UPDATE mailbox SET uidnext=2 WHERE name='Inbox'"),
    ("no modseq is above the account's", "UPDATE fact SET value=5 WHERE name='modseq'"),
    ("no entry is newer than its mailbox", "UPDATE mailbox SET modseq=2 WHERE name='Inbox'"),
    ("a uidvalidity is given once", "UPDATE mailbox SET uidvalidity=7"),
    ("an entry is in a mailbox", "UPDATE entry SET mailbox=99 WHERE uid=2"),
    ("an entry shows a message", "UPDATE entry SET message=99 WHERE uid=2"),
    ("an entry has its message's size", "UPDATE entry SET size=1 WHERE uid=2"),
    ("what nothing shows can be brought back", "DELETE FROM bin"),
    ("the bin holds what nothing shows", "INSERT INTO bin VALUES(77,'','',1)"),
    ("the bin holds what nothing shows", "INSERT INTO bin VALUES(1,'Inbox','',1)"),
    ("a message's size is that of its parts", "UPDATE message SET size=1 WHERE id=1"),
    ("a message has its bytes in one place", "DELETE FROM blob WHERE message=1"),
    ("a row of bytes has the message's length", "UPDATE blob SET data=x'00' WHERE message=1"),
    ("bytes belong to a message", "INSERT INTO blob VALUES(77,x'00')"),
    ("a message's decision is kept", "UPDATE message SET decision=5 WHERE id=1"),
    ("there is an Inbox", "UPDATE mailbox SET name='Outbox' WHERE name='Inbox'"),
    ("a change is of a known kind", "INSERT INTO change VALUES(3,1,9,'1')"),
    (FLAGS, "UPDATE entry SET flags=flags|4096 WHERE uid=2"),
    (FLAGS, "UPDATE entry SET flags=-1 WHERE uid=2"),
    (HISTORY, "DELETE FROM entry WHERE uid=2"),
    (HISTORY, "DELETE FROM change WHERE kind=1"),
    (HISTORY, "DELETE FROM change WHERE kind=3"),
    (HISTORY, "UPDATE change SET uids='1:2' WHERE kind=3"),
    (HISTORY, "UPDATE change SET uids='x' WHERE kind=1"),
    (SEGMENT, "UPDATE message SET at=at+1 WHERE segment IS NOT NULL"),
    (SEGMENT, "UPDATE message SET segment=9 WHERE segment IS NOT NULL"),
    ("a mailbox's name is one", "UPDATE mailbox SET name='a//b' WHERE name='Trash'"),
    ("keywords are few and differ", "UPDATE mailbox SET keywords='a a' WHERE name='Trash'"),
]


@pytest.fixture
def filled(account: Account, deliver: Callable[..., Any]) -> Account:
    """Three small messages, one gone, and a large one."""
    for _ in range(3):
        deliver()
    deliver(b"Subject: large\r\n\r\n" + b"x" * 40_000)
    with account.write() as tx:
        tx.expunge(tx.mailbox("Inbox"), [3], only_deleted=False)
    assert check.check(account).clean
    assert check.check(account).problems == ()
    return account


def test_every_rule_has_a_break() -> None:
    assert set(RULES) <= {rule for rule, _ in BREAKS}


@pytest.mark.parametrize(("rule", "statement"), BREAKS, ids=[f"{statement}" for _, statement in BREAKS])
def test_a_broken_rule_is_found_and_mended(filled: Account, rule: str, statement: str) -> None:
    with filled.write() as tx:
        tx.connection.execute(statement)
    report = check.check(filled)
    found = [problem for problem in report.problems if problem.rule == rule]
    assert found, report.explain()
    assert str(found[0]) in report.explain()
    cures = {problem.cure for problem in report.problems}
    assert report.clean == (cures == {Cure.NOTE})
    after = check.mend(filled)
    assert not [problem for problem in after.problems if problem.cure is Cure.MEND], after.explain()
    if Cure.BACKUP not in cures:
        assert after.clean, after.explain()


def test_a_flipped_bit_in_a_segment(filled: Account) -> None:
    path = filled.segments.path(1)
    data = bytearray(path.read_bytes())
    data[20_000] ^= 1
    path.write_bytes(data)
    assert "checksum differs" in check.check(filled).explain()
    assert check.check(filled, contents=False).clean


def test_many_problems_are_counted(filled: Account) -> None:
    with filled.write() as tx:
        tx.connection.executemany(
            "INSERT INTO message(size,received,format,prefix,envelope,bodystructure,header,subject,preview,message_id,length) VALUES(1,1,1,'','','','','','','',1)",
            [()] * 50,
        )
    report = check.check(filled)
    assert any("more like these" in problem.what for problem in report.problems)
    assert len(report.problems) < 100
    assert report.to_dict()["clean"] is False


def steps_of_check(account: Account) -> int:
    """What a check costs, in steps of SQLite's machine (by hundreds)."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    account.database.connection.set_progress_handler(count, 100)
    assert check.check(account).clean
    account.database.connection.set_progress_handler(None, 0)
    return counted[0]


def test_a_check_is_linear(account: Account, deliver: Callable[..., Any]) -> None:
    def fill(count: int) -> None:
        new = NewMessage(Content.of(b"x"), Traits(b"", b"", b""), 1.0)
        with account.write() as tx:
            for _ in range(count):
                tx.add(tx.mailbox("Inbox"), new)

    fill(500)
    few = steps_of_check(account)
    fill(1500)
    assert steps_of_check(account) < 5 * few
