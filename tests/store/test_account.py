from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mox_store
from mox_message import Content
from mox_store import (
    UNMADE,
    Account,
    Change,
    Kind,
    MailboxError,
    NewMessage,
    Store,
    StoreError,
    Traits,
    testing,
    watch,
)  # fmt: skip
from mox_store import (
    account as account_module,
)
from mox_store.account import IDLE_VIEWS
from mox_store.board import Board
from mox_store.wal import Presence

Deliver = Callable[..., mox_store.Added]


def test_what_an_account_begins_with(account: Account) -> None:
    assert [(one.name, one.special) for one in account.mailboxes()] == [
        ("Archive", "\\Archive"), ("Drafts", "\\Drafts"), ("Inbox", ""), ("Junk", "\\Junk"), ("Sent", "\\Sent"),
        ("Trash", "\\Trash"),
    ]  # fmt: skip
    assert len({one.uidvalidity for one in account.mailboxes()}) == 6
    assert account.subscriptions() == ["Archive", "Drafts", "Inbox", "Junk", "Sent", "Trash"]


def test_uidvalidity_is_never_given_again(account: Account, clock: Any) -> None:
    seen = set()
    for _ in range(3):
        with account.write() as tx:
            seen.add(tx.create("A").uidvalidity)
            tx.delete("A")
        clock.now -= 100  # the clock may go backwards
    assert len(seen) == 3


def test_an_unclean_stop_moves_every_number_on(tmp_path: Path, clock: Any) -> None:
    def opened() -> Account:
        return Store(tmp_path, clock=clock, disk=testing.QuickDisk()).open("kim")

    first = opened()
    before, modseq = first.mailbox("Inbox"), first.modseq()
    first.database.connection.close()  # no goodbye
    first.database._presence.close()  # type: ignore[union-attr]
    second = opened()
    after = second.mailbox("Inbox")
    assert before is not None
    assert after is not None
    assert after.uidnext == before.uidnext + 1000
    assert second.modseq() == modseq + 1000
    assert after.uidvalidity == before.uidvalidity
    second.close()
    third = opened()
    assert third.mailbox("Inbox") == after
    third.close()


def test_special_use_belongs_to_one(account: Account) -> None:
    with account.write() as tx:
        tx.create("Spam", "\\junk")
        with pytest.raises(MailboxError) as refused:
            tx.create("Other", "\\Strange")
    assert refused.value.code == "USEATTR"
    assert {one.name: one.special for one in account.mailboxes() if one.special == "\\Junk"} == {"Spam": "\\Junk"}


def test_object_ids(account: Account, deliver: Deliver) -> None:
    one = deliver(message_id="<1@x>")
    reply = deliver(message_id="<2@x>", references=("<1@x>",))
    other = deliver(message_id="<3@x>")
    late_parent_child = deliver(message_id="<5@x>", references=("<4@x>",))
    late_parent = deliver(message_id="<4@x>")
    with account.write() as tx:
        tx.copy(tx.mailbox("Inbox"), [one.uid], tx.mailbox("Archive"))
        tx.rename("Archive", "Old")
    rows = {row.uid: row for row in account.rows(one.mailbox, range(1, 9))}
    assert rows[reply.uid].threadid == rows[one.uid].threadid != rows[other.uid].threadid
    assert rows[late_parent.uid].threadid == rows[late_parent_child.uid].threadid
    assert len({row.emailid for row in rows.values()}) == 5
    old = account.mailbox("Old")
    assert old is not None
    (copy,) = account.rows(old.id, [1])
    assert copy.emailid == rows[one.uid].emailid
    assert copy.createseq > rows[one.uid].createseq
    assert len({box.objectid for box in account.mailboxes()}) == 6


def test_quota(account: Account, deliver: Deliver) -> None:
    deliver("x" * 100)
    with account.write() as tx:
        tx.set_quota(size=250, messages=3)
    deliver("x" * 100)
    with pytest.raises(MailboxError, match="250 bytes and holds 200; 51 more") as refused:
        deliver("x" * 51)
    assert refused.value.code == "OVERQUOTA"
    with account.write() as tx:
        tx.move(tx.mailbox("Inbox"), [1], tx.mailbox("Archive"))  # moving is always possible
        with pytest.raises(MailboxError):
            tx.copy(tx.mailbox("Inbox"), [2], tx.mailbox("Archive"))
        tx.expunge(tx.mailbox("Archive"), [1], only_deleted=False)
    deliver("x")
    deliver("x")
    with pytest.raises(MailboxError, match="3 messages"):
        deliver("x")
    assert (account.quota().size, account.quota().messages) == (102, 3)
    with account.write() as tx:
        tx.set_quota()
    deliver("x" * 1000)


def test_the_bin(account: Account, deliver: Deliver, clock: Any) -> None:
    first, second = deliver(subject="one", flags=("\\Seen", "work")), deliver(subject="two", mailbox="Old")
    with account.write() as tx:
        tx.flag(tx.mailbox("Inbox"), [1], "add", ["\\Deleted"])
        tx.expunge(tx.mailbox("Inbox"), None)
        tx.delete("Old")
    assert [(one.message, one.mailbox, one.subject, one.flags) for one in account.bin()] == [
        (second.message, "Old", "two", ()), (first.message, "Inbox", "one", ("\\Seen", "work")),
    ]  # fmt: skip
    with account.write() as tx:
        assert [one.message for one in tx.undelete([first.message, second.message, 99])] == [
            first.message,
            second.message,
        ]
        assert tx.undelete([first.message]) == []
    assert account.bin() == []
    inbox, old = account.mailbox("Inbox"), account.mailbox("Old")
    assert inbox is not None
    assert old is not None
    assert (inbox.total, inbox.unseen, inbox.deleted, old.total) == (1, 0, 0, 1)
    assert [row.uid for row in account.rows(inbox.id, range(1, 9))] == [2]  # a new uid: clients see a new message


def test_sweeping_waits_for_the_bin(tmp_path: Path, clock: Any) -> None:
    async def run() -> None:
        store = Store(tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=testing.QuickDisk())
        account = store.open("kim")
        new = NewMessage(Content.of(b"x" * 40_000), Traits(b"", b"", b""), 1.0, decision=(7, b"because"))
        for staged in (None, await account.stage(new.content)):
            await account.commit(
                lambda tx, staged=staged: tx.add(  # type: ignore[misc]
                    tx.mailbox("Inbox"), NewMessage(new.content, new.traits, 1.0, staged=staged, decision=new.decision)
                )
            )
        await account.commit(lambda tx: tx.expunge(tx.mailbox("Inbox"), [1, 2], only_deleted=False))
        room = account.segments.path(1).stat().st_blocks
        clock.now += account.retention() - 1
        assert await account.sweep() == 0
        assert account.content(1).size == 40_000
        clock.now += 2
        keeping = Presence(account.folder / account_module.KEEP)
        keeping.share()  # a backup is reading
        assert await account.sweep() == 0
        keeping.close()
        assert await account.sweep() == 2
        await asyncio.sleep(0)
        assert account.bin() == []
        assert account.decision(7) is None
        assert account.segments.path(1).stat().st_blocks < room
        with pytest.raises(StoreError, match="gone"):
            account.content(1)
        await account.commit(lambda tx: tx.set_retention(0))
        await account.commit(lambda tx: tx.add(tx.mailbox("Inbox"), new))
        await account.commit(lambda tx: tx.expunge(tx.mailbox("Inbox"), [3], only_deleted=False))
        clock.now += account_module.SWEEP_SECONDS - 1
        assert await account.sweep() == 0  # sessions that have not been told may read it
        clock.now += 2
        assert await account.sweep() == 1
        store.close()

    asyncio.run(run())


def test_annotations(account: Account) -> None:
    with account.write() as tx:
        inbox = tx.mailbox("Inbox")
        tx.annotate(inbox, "/Private/Comment", b"mine")
        tx.annotate(None, "/shared/admin", b"mailto:me")
        for bad in ("/public/x", "comment", "/private/", "/private/a*b", "/private/\xfc", "/private//x"):
            with pytest.raises(MailboxError) as refused:
                tx.annotate(inbox, bad, b"")
            assert refused.value.code == "CANNOT"
        with pytest.raises(MailboxError) as refused:
            tx.annotate(inbox, "/private/x", b"x" * 70_000)
        assert refused.value.code == "METADATA MAXSIZE 65536"
    assert account.annotations(inbox.id) == {"/private/comment": b"mine"}
    assert account.annotations() == {"/shared/admin": b"mailto:me"}


def test_changes_are_told_in_order(account: Account, deliver: Deliver) -> None:
    woken: list[int] = []
    listener = account.watch(lambda: woken.append(1))
    deliver()
    with account.write() as tx:
        tx.flag(tx.mailbox("Inbox"), [1], "add", ["\\Seen"])
        tx.expunge(tx.mailbox("Inbox"), [1], only_deleted=False)
    changes, resync = listener.take()
    assert [(one.kind, one.uids) for one in changes] == [(Kind.ADDED, (1,)), (Kind.FLAGS, (1,)), (Kind.EXPUNGED, (1,))]
    assert not resync
    assert woken == [1]
    assert listener.take() == ([], False)
    listener.close()
    deliver()
    assert listener.take() == ([], False)


def test_who_is_too_slow_reads_everything_again() -> None:
    left: list[watch.Watch] = []
    woken: list[int] = []
    listener = watch.Watch(lambda: woken.append(1), left.append)
    for number in range(watch.MOST + 5):
        watch.Watch.tell([listener], [Change(number, 1, Kind.ADDED, (number,))])
    assert listener.take() == ([], True)
    assert woken == [1]
    watch.Watch.tell([listener], [Change(1, 1, Kind.ADDED, (1,))])
    assert listener.take() == ([Change(1, 1, Kind.ADDED, (1,))], False)
    assert woken == [1, 1]


def test_who_looks_for_more_when_woken_does_not_come_before_others(account: Account, deliver: Deliver) -> None:
    def eager() -> None:
        if account.modseq() < before + 2:
            deliver()

    before = account.modseq()
    listeners = [account.watch(eager), account.watch(lambda: None)]
    deliver()
    for one in listeners:
        changes, _ = one.take()
        assert [change.uids for change in changes] == [(1,), (2,)]


def test_what_another_process_acknowledged_is_there_at_once(account: Account, tmp_path: Path, clock: Any) -> None:
    """Without a message from it: `look` is enough, and so is opening."""
    other = Account("kim", account.folder, clock=clock)
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    view, woken = account.open_view(inbox.id), list[int]()
    account.watch(lambda: woken.append(1))

    def add() -> None:
        with other.write() as tx:
            tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(b"x" * 9), UNMADE, 1.0))

    add()
    assert (len(view), woken) == (0, [])
    account.look()
    assert (len(view), woken) == (1, [1])
    add()
    assert len(account.open_view(inbox.id)) == 2
    other.close()
    account.look()


def test_a_board_never_goes_back(tmp_path: Path) -> None:
    one, two = Board(tmp_path / "board"), Board(tmp_path / "board")
    assert one.number() == 0
    assert [one.grow(7), two.grow(5), two.grow(8, 3)] == [0, 7, 0]
    assert (one.number(), two.number(), one.number(3), one.number(2)) == (7, 7, 8, 0)
    two.begin()
    assert (one.number(), one.number(3)) == (0, 8)
    one.close()
    one.close()
    one.grow(9)  # a callback may come late
    assert (one.number(), two.number()) == (0, 0)
    two.close()


def test_a_board_that_is_garbage_says_nothing(tmp_path: Path, clock: Any) -> None:
    """It is not synced, so a broken disk may leave anything; nothing stands still for it."""
    store = Store(tmp_path, clock=clock, disk=testing.QuickDisk())
    account = store.open("kim")
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    for name in ("board", "notified"):
        (tmp_path / "kim" / name).write_bytes(b"\xff" * 400)
    account.look()
    assert (account.recent(inbox.id), account.not_notified(inbox.id)) == (0, 1)
    assert account.notified(inbox.id, 3) == 1
    assert account.not_notified(inbox.id) == 4
    store.close()


def test_who_is_notified_first_is_known_in_every_process(tmp_path: Path, clock: Any) -> None:
    """RFC 3501 2.3.2"""

    def opened() -> tuple[Store, Account]:
        store = Store(tmp_path, clock=clock, disk=testing.QuickDisk())
        return store, store.open("kim")

    (store, one), (other, two) = opened(), opened()
    inbox, archive = one.mailbox("Inbox"), one.mailbox("Archive")
    assert inbox is not None
    assert archive is not None
    with one.write() as tx:
        for _ in range(3):
            tx.add(inbox, NewMessage(Content.of(b"\r\n"), UNMADE, 1.0))
    assert (one.recent(inbox.id), two.recent(inbox.id), two.recent(archive.id)) == (3, 3, 0)
    assert [one.notified(inbox.id, 2), two.notified(inbox.id, 3), one.notified(inbox.id, 3)] == [1, 3, 4]
    assert (one.recent(inbox.id), two.not_notified(inbox.id), two.not_notified(archive.id)) == (0, 4, 1)
    store.close()
    other.close()
    store, one = opened()
    assert one.not_notified(inbox.id) == 4
    store.close()


def test_a_slow_reader_holds_nothing(account: Account, deliver: Deliver) -> None:
    for _ in range(3):
        deliver()
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    rows = account.rows(inbox.id, range(1, 4))
    next(rows)
    assert not account.database.connection.in_transaction
    assert account.database.rows("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]  # nobody reads an old state
    assert len(list(rows)) == 2


def test_traits_are_made_when_they_are_missing(tmp_path: Path, clock: Any) -> None:
    asked: list[int] = []

    def make(content: Content) -> Traits:
        asked.append(content.size)
        return Traits(b"(env)", b"(body)", b"head", subject="made")

    async def run() -> None:
        store = Store(
            tmp_path, clock=clock, loop=asyncio.get_running_loop(), disk=testing.QuickDisk(), make_traits=make
        )
        account = store.open("kim")
        await account.commit(lambda tx: tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(b"x" * 9), UNMADE, 1.0)))
        for _ in range(3):
            (row,) = account.rows(1, [1])
            assert (row.envelope, row.bodystructure, row.header, row.subject) == (b"(env)", b"(body)", b"head", "made")
            await account.commit(lambda tx: None)
        assert asked == [9]
        store.close()

    asyncio.run(run())


def test_views_of_two_processes(tmp_path: Path, clock: Any) -> None:
    heard: list[int] = []
    one = Store(tmp_path, clock=clock, disk=testing.QuickDisk(), notify=lambda name, modseq: heard.append(modseq))
    two = Store(tmp_path, clock=clock, disk=testing.QuickDisk())
    mine, other = one.open("kim"), two.open("kim")
    view = other.open_view(1)
    with mine.write() as tx:
        tx.add(tx.mailbox("Inbox"), NewMessage(Content.of(b"x"), Traits(b"", b"", b""), 1.0))
    assert len(view) == 0
    two.heard("kim", heard[-1])
    two.heard("nobody", 5)
    assert list(view.uids) == [1]
    assert other.open_view(1) is view
    for _ in range(2):
        other.close_view(view)
    assert other.open_view(1) is view, "clients come back"
    other.close_view(view)
    for mailbox in range(2, 3 + IDLE_VIEWS):  # and the oldest that nobody came back to is let go
        other.close_view(other.open_view(mailbox))
    assert other.open_view(1) is not view
    one.close()
    two.close()


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "x" * 300, "a\0b"])
def test_account_names_are_names_of_folders(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be"):
        store.open(name)
    assert store.names() == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "1 to 1000 bytes"), ("a" * 1001, "1 to 1000 bytes"), ("a\x00b", "control"), ("a\x7fb", "control"),
        ("a\ud800", "control"), ("a//b", "non-empty"), ("/a", "non-empty"), ("a/../b", "non-empty"), ("#news", "#"),
        ("a*", "wildcards"), ("50%", "wildcards"), ("x\u2028y", "control"),
    ],
)  # fmt: skip
def test_mailbox_names(account: Account, name: str, why: str) -> None:
    with account.write() as tx, pytest.raises(MailboxError, match=why) as refused:
        tx.create(name)
    assert refused.value.code == "CANNOT"


def test_keywords_have_an_end(account: Account, deliver: Deliver) -> None:
    deliver()
    with account.write() as tx:
        tx.flag(tx.mailbox("Inbox"), [1], "add", [f"k{number}" for number in range(57)])
        with pytest.raises(MailboxError, match="at most 57") as refused:
            tx.flag(tx.mailbox("Inbox"), [1], "add", ["one-more"])
    assert refused.value.code == "LIMIT"
    view = account.open_view(1)
    inbox = account.mailbox("Inbox")
    assert inbox is not None
    assert len(inbox.names(view.flags[0])) == 57


def test_columns_of_some_when_others_are_gone(account: Account, deliver: Callable[..., Any]) -> None:
    """As many are there as are asked for, and they are not the same ones."""
    for number in range(5):
        deliver(f"Subject: {number}\r\n\r\n", subject=str(number))
    with account.write() as tx:
        tx.expunge(tx.mailbox("Inbox"), [4], only_deleted=False)
    assert account.cells(1, [2, 4], ("subject",)) == [(2,), ("1",)]
    assert account.cells(1, [2, 3, 5], ("subject", "data")) == [
        (2, 3, 5), ("1", "2", "4"), (b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n", b"Subject: 4\r\n\r\n"),
    ]  # fmt: skip
    assert account.cells(1, [4], ("subject",)) == [(), ()]
    assert account.cells(1, [], ("subject",)) == [(), ()]
    assert account.cells(1, [1, 100], ("subject",)) == [(1,), ("0",)]
