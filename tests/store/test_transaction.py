from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mox_message import Content
from mox_store import UNMADE, Account, Added, MailboxError, NewMessage, check

Deliver = Callable[..., Added]


def flags(account: Account, mailbox: str = "Inbox") -> dict[int, list[str]]:
    """uid -> names."""
    found = account.mailbox(mailbox)
    assert found is not None
    view = account.open_view(found.id)
    named = {uid: found.names(bits) for uid, bits in zip(view.uids, view.flags, strict=True)}
    account.close_view(view)
    return named


@pytest.mark.parametrize(
    ("action", "given", "after"),
    [
        ("add", ["\\Seen", "work"], ["\\Seen", "\\Flagged", "work"]),
        ("remove", ["\\Flagged", "unknown"], []),
        ("replace", ["\\Draft"], ["\\Draft"]),
        ("replace", [], []),
        ("add", ["\\FLAGGED"], ["\\Flagged"]),
        ("add", ["Work", "WORK"], ["\\Flagged", "Work"]),
    ],
)
def test_flags(account: Account, deliver: Deliver, action: Any, given: list[str], after: list[str]) -> None:
    deliver(flags=("\\Flagged",))
    with account.write() as tx:
        tx.flag(tx.mailbox("Inbox"), [1, 2, 99], action, given)
    assert flags(account) == {1: after}


@pytest.mark.parametrize(("offset", "modified"), [(-1, (1,)), (0, ()), (1, ())])
def test_unchanged_since(account: Account, deliver: Deliver, offset: int, modified: tuple[int, ...]) -> None:
    added = deliver()
    with account.write() as tx:
        done = tx.flag(tx.mailbox("Inbox"), [1], "add", ["\\Seen"], added.modseq + offset)
    assert done.modified == modified
    assert [uid for uid, _, _ in done.changed] == ([] if modified else [1])


def test_what_stays_the_same_gets_no_modseq(account: Account, deliver: Deliver) -> None:
    deliver(flags=("\\Seen",))
    before = account.modseq()
    with account.write() as tx:
        assert tx.flag(tx.mailbox("Inbox"), [1], "add", ["\\Seen"]).changed == ()
        assert tx.expunge(tx.mailbox("Inbox"), None) == ()
        assert tx.copy(tx.mailbox("Inbox"), [7], tx.mailbox("Sent")) == []
        tx.annotate(None, "/private/x", None)
    assert account.modseq() == before


def test_keywords_keep_their_names_in_another_mailbox(account: Account, deliver: Deliver) -> None:
    deliver(mailbox="Archive", flags=("first",))
    deliver(flags=("second", "\\Seen"))
    with account.write() as tx:
        assert tx.copy(tx.mailbox("Inbox"), [1], tx.mailbox("Archive")) == [(1, 2)]
        assert tx.move(tx.mailbox("Archive"), [1, 2], tx.mailbox("Inbox")) == [(1, 2), (2, 3)]
    assert flags(account) == {1: ["\\Seen", "second"], 2: ["first"], 3: ["\\Seen", "second"]}
    assert flags(account, "Archive") == {}


def test_a_move_within_a_mailbox_gives_new_uids(account: Account, deliver: Deliver) -> None:
    deliver()
    with account.write() as tx:
        assert tx.move(tx.mailbox("Inbox"), [1], tx.mailbox("Inbox")) == [(1, 2)]
    assert list(flags(account)) == [2]


def test_expunge_takes_only_what_is_deleted(account: Account, deliver: Deliver) -> None:
    for deleted in (True, False, True):
        deliver(flags=("\\Deleted",) if deleted else ())
    with account.write() as tx:
        assert tx.expunge(tx.mailbox("Inbox"), [1, 2]) == (1,)
        assert tx.expunge(tx.mailbox("Inbox"), None) == (3,)
    assert list(flags(account)) == [2]
    assert account.expunged_since(1, 0) == (1, 3)


def test_renaming(account: Account, deliver: Deliver) -> None:
    deliver(mailbox="A/B/C")
    deliver()
    with account.write() as tx:
        tx.rename("A/B", "X/Y")
        tx.rename("INBOX", "Old mail")
    names = [mailbox.name for mailbox in account.mailboxes()]
    assert {"A", "X", "X/Y", "X/Y/C", "Inbox", "Old mail"} <= set(names)
    assert "A/B" not in names
    assert "X/Y/C" in account.subscriptions()
    assert list(flags(account, "Old mail")) == [1]
    assert flags(account) == {}
    for old, new, code in (
        ("A", "X", "ALREADYEXISTS"), ("X", "X/Y/Z", "CANNOT"), ("nothing", "N", "NONEXISTENT"), ("X", "a//b", "CANNOT"),
    ):  # fmt: skip
        with account.write() as tx, pytest.raises(MailboxError) as refused:
            tx.rename(old, new)
        assert refused.value.code == code


def test_deleting(account: Account, deliver: Deliver) -> None:
    before = deliver(mailbox="A/B").mailbox
    for name, code in (("A", "HASCHILDREN"), ("Inbox", "CANNOT"), ("nothing", "NONEXISTENT")):
        with account.write() as tx, pytest.raises(MailboxError) as refused:
            tx.delete(name)
        assert refused.value.code == code
    with account.write() as tx:
        tx.delete("A/B")
    assert account.mailbox("A/B") is None
    assert "A/B" in account.subscriptions()  # RFC 9051 6.3.7
    with account.write() as tx:
        assert tx.create("A/B").id > before  # a number is never given again


def test_globs_in_names_are_plain_text(account: Account, deliver: Deliver) -> None:
    for name in ("[a]", "[a]/x", "a", "a/x", "b?", "b?/y", "bc", "bc/y"):
        deliver(mailbox=name)
    with account.write() as tx:
        tx.rename("[a]", "one")
        tx.rename("b?", "two")
    names = {mailbox.name for mailbox in account.mailboxes()}
    assert {"one", "one/x", "two", "two/y", "a", "a/x", "bc", "bc/y"} <= names


def test_of_many_only_what_nothing_shows_goes_into_the_bin(account: Account, deliver: Callable[..., Added]) -> None:
    added = [deliver(f"Subject: {number}\r\n\r\n") for number in range(80)]
    with account.write() as tx:
        tx.copy(tx.mailbox("Inbox"), [one.uid for one in added[:30]], tx.mailbox("Archive"))
    with account.write() as tx:
        tx.expunge(tx.mailbox("Inbox"), [one.uid for one in added], only_deleted=False)
    assert sorted(one.message for one in account.bin()) == [one.message for one in added[30:]]
    assert check.check(account).clean


def test_keywords_that_the_caller_has_not_heard_of_do_not_become_others(account: Account) -> None:
    """A run is copied bit by bit only where the bits mean the same."""
    with account.write() as tx:
        stale = tx.mailbox("Inbox")
        for _ in range(60):
            tx.add(stale, NewMessage(Content.of(b"x"), UNMADE, 1.0))
        archive = tx.learn(tx.mailbox("Archive"), ["other"])
        assert archive.keywords == ("other",)
        tx.flag(stale, range(1, 61), "add", ["work"])
        tx.copy(stale, range(1, 61), tx.mailbox("Archive"))
        tx.copy(tx.mailbox("Inbox"), range(1, 61), tx.mailbox("Archive"))
    there = account.mailbox("Archive")
    assert there is not None
    view = account.open_view(there.id)
    assert {tuple(there.names(bits)) for bits in view.flags[60:]} == {("work",)}
    assert "other" not in {name for bits in view.flags for name in there.names(bits)}
    account.close_view(view)


@pytest.mark.parametrize("moves", [False, True])
def test_runs_with_gaps(account: Account, moves: bool) -> None:
    with account.write() as tx:
        inbox = tx.mailbox("Inbox")
        for number in range(100):
            tx.add(inbox, NewMessage(Content.of(b"%d" % number), UNMADE, 1.0))
        tx.expunge(inbox, [3, 4, 50], only_deleted=False)
        inbox, archive = tx.mailbox("Inbox"), tx.mailbox("Archive")
        wanted = [*range(1, 61), *range(70, 101)]
        pairs = tx.move(inbox, wanted, archive) if moves else tx.copy(inbox, wanted, archive)
    there = [uid for uid in wanted if uid not in (3, 4, 50)]
    assert pairs == list(zip(there, range(1, len(there) + 1), strict=True))
    archive = account.mailbox("Archive")
    assert archive is not None
    assert [account.content(row.message).read() for row in account.rows(archive.id, range(1, 100))] == [
        b"%d" % (uid - 1) for uid in there
    ]
    assert account.quota().messages == (97 if moves else 97 + len(there))
    assert check.check(account).clean


def test_a_mailbox_is_copied_into_itself(account: Account) -> None:
    """Also by uids that only the copies get: those are not copied."""
    with account.write() as tx:
        inbox = tx.mailbox("Inbox")
        for _ in range(60):
            tx.add(inbox, NewMessage(Content.of(b"x"), UNMADE, 1.0))
        wanted = [*range(1, 51), *range(59, 130)]
        inbox = tx.mailbox("Inbox")
        assert tx.copy(inbox, wanted, inbox) == list(zip([*range(1, 51), 59, 60], range(61, 113), strict=True))
    assert account.quota().messages == 112
    assert check.check(account).clean


def test_what_was_expunged_makes_room_in_the_same_transaction(account: Account) -> None:
    with account.write() as tx:
        tx.set_quota(messages=2)
        inbox = tx.mailbox("Inbox")
        new = NewMessage(Content.of(b"x"), UNMADE, 1.0)
        tx.add(inbox, new)
        tx.add(inbox, new)
        with pytest.raises(MailboxError, match="may hold 2 messages"):
            tx.add(inbox, new)
        tx.expunge(inbox, [1], only_deleted=False)
        tx.add(inbox, new)
        with pytest.raises(MailboxError):
            tx.add(inbox, new)
    assert account.quota().messages == 2
