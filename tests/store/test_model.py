"""Several processes and several sessions against the plain model in memory: every answer is compared, and what sessions
make of the changes they are told."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import mox_store
from mox_store import check, testing, transaction, view
from mox_store.memory import MemoryAccount

MEMORY = Path("/dev/shm")
PROCESSES = 2
Operation = Callable[[Any], Any]

names = testing.mailbox_names()
runs = st.builds(lambda first, count: list(range(first, first + count)), st.integers(1, 6), st.integers(1, 8))
uids = st.lists(st.integers(1, 12), max_size=4).map(sorted) | runs
processes = st.integers(0, PROCESSES - 1)
some_flags = testing.flags()
SPECIAL = st.sampled_from(("", "\\Sent", "\\junk", "\\Sent \\Archive", "\\Nonsense"))


@dataclass
class Session:
    """What a client with a mailbox open knows: uid -> flags."""

    account: mox_store.Account
    view: mox_store.View
    watch: mox_store.Watch
    known: dict[int, int] = field(default_factory=dict)

    def all(self) -> dict[int, int]:
        """What the view shows."""
        return dict(zip(self.view.uids, self.view.flags, strict=True))

    def catch_up(self) -> None:
        """Takes what was told."""
        changes, resync = self.watch.take()
        if resync:
            self.known = self.all()
        for change in changes:
            if change.mailbox != self.view.mailbox or resync:
                continue
            for uid in change.uids:
                at = self.view.index(uid)
                if change.kind is mox_store.Kind.EXPUNGED:
                    self.known.pop(uid, None)
                elif at >= 0:
                    self.known[uid] = self.view.flags[at]


class Both(RuleBasedStateMachine):
    """Two processes on one account, and the model."""

    by_runs = False

    @initialize()
    def open(self) -> None:
        # As it goes with thousands of messages, with the few of this test.
        self.patched = pytest.MonkeyPatch()
        if self.by_runs:
            self.patched.setattr(transaction, "MANY", 0)
            self.patched.setattr(transaction, "RUN", 1)
            self.patched.setattr(view, "RUNS", 0)
        self.now = 1_700_000_000.0
        self.folder = Path(mkdtemp(prefix="mox-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.model = MemoryAccount("kim", clock=lambda: self.now, loop=self.loop)
        self.sessions: list[Session] = []
        self.notices: list[list[int]] = [[] for _ in range(PROCESSES)]
        self._open()

    def _open(self) -> None:
        self.stores = [
            mox_store.Store(
                self.folder,
                clock=lambda: self.now,
                loop=self.loop,
                disk=testing.QuickDisk(),
                notify=self._notify(number),
            )
            for number in range(PROCESSES)
        ]
        self.accounts = [store.open("kim") for store in self.stores]

    def _notify(self, sender: int) -> Callable[[str, int], None]:
        def notify(name: str, modseq: int) -> None:
            for number, waiting in enumerate(self.notices):
                if number != sender:
                    waiting.append(modseq)

        return notify

    def both(self, process: int, operation: Operation) -> None:
        """The same operation on the store and on the model, with the same outcome."""
        self.together([(process, operation)])

    def together(self, operations: list[tuple[int, Operation]]) -> None:
        """Operations that arrive at the same time; those of one process share a transaction and a sync, in order."""
        self.now += 1
        expected, order = [], sorted(operations, key=lambda one: one[0])
        for _, operation in order:
            expected.append(self.outcome(self.model.commit(operation)))
        found: list[Any] = []
        for process in range(PROCESSES):
            mine = [self.accounts[process].commit(operation) for which, operation in order if which == process]
            found += [self.outcome(future) for future in mine]
        assert found == expected

    def outcome(self, future: Any) -> Any:
        """What a commit says: a value, or the code of its refusal."""
        try:
            return self.loop.run_until_complete(future)
        except mox_store.MailboxError as error:
            return error.code

    @rule()
    def all_catch_up(self) -> None:
        for account, waiting in zip(self.accounts, self.notices, strict=True):
            while waiting:
                account.heard(waiting.pop(0))
        for session in self.sessions:
            session.catch_up()
            expected = {}
            mailbox = self.model.mailbox_by_id(session.view.mailbox)
            if mailbox is not None:
                view = self.model.open_view(mailbox.id)
                expected = dict(zip(view.uids, view.flags, strict=True))
                assert list(session.view.modseqs) == list(view.modseqs)
                assert list(session.view.messages) == list(view.messages)
                assert list(session.view.sizes) == list(view.sizes)
                self.model.close_view(view)
            assert session.known == expected
            assert session.all() == expected

    @rule()
    def restart(self) -> None:
        for session in self.sessions:
            session.watch.close()
            session.account.close_view(session.view)
        self.sessions.clear()
        for store in self.stores:
            store.close()
        self.notices = [[] for _ in range(PROCESSES)]
        self._open()

    def teardown(self) -> None:
        if not hasattr(self, "stores"):
            return
        try:
            self.all_catch_up()
            report = check.check(self.accounts[0])
            for mailbox in self.model.mailboxes():
                for row in self.model.rows(mailbox.id, range(1, mailbox.uidnext)):
                    content = self.accounts[1].content(row.message)
                    assert content.read() == self.model.content(row.message).read()
        finally:
            for store in self.stores:
                store.close()
            self.loop.close()
            shutil.rmtree(self.folder)
            self.patched.undo()
        assert report.clean, report.explain()


class Stores(Both):
    """Mailboxes and messages."""

    # -- operations

    @rule(process=processes, name=names, new=testing.new_messages())
    def deliver(self, process: int, name: str, new: mox_store.NewMessage) -> None:
        self.both(process, lambda tx: tx.add(tx.mailbox_or_new(name), new))

    @rule(process=processes, new=st.lists(testing.new_messages(), min_size=1, max_size=4))
    def deliver_to_inbox(self, process: int, new: list[mox_store.NewMessage]) -> None:
        self.both(process, lambda tx: [tx.add(tx.mailbox("Inbox"), one) for one in new])

    @rule(process=processes, uids=uids, source=st.sampled_from(("Inbox", "Archive")), where=names)
    def copy(self, process: int, uids: list[int], source: str, where: str) -> None:
        self.both(process, lambda tx: tx.copy(tx.mailbox(source), uids, tx.mailbox_or_new(where)))

    @rule(
        process=processes,
        new=st.lists(testing.new_messages(), min_size=3, max_size=6),
        moves=st.booleans(),
        plain=st.booleans(),
    )
    def carry_many(self, process: int, new: list[mox_store.NewMessage], moves: bool, plain: bool) -> None:
        """Many at once, some of which are not there, from a mailbox that has them to one that may have more."""

        def operation(tx: Any) -> Any:
            added = [tx.add(tx.mailbox("Inbox"), replace(one, flags=()) if plain else one) for one in new]
            tx.expunge(tx.mailbox("Inbox"), [added[1].uid], only_deleted=False)
            run = range(added[0].uid if plain else max(1, added[0].uid - 5), added[-1].uid + 3)
            carry = tx.move if moves else tx.copy
            return carry(tx.mailbox("Inbox"), run, tx.mailbox("Archive"))

        self.both(process, operation)

    @rule(process=processes, uids=uids, where=st.sampled_from(("Inbox", "Archive", "A")))
    def move(self, process: int, uids: list[int], where: str) -> None:
        self.both(process, lambda tx: tx.move(tx.mailbox("Inbox"), uids, tx.mailbox(where)))

    @rule(
        process=processes,
        uids=uids,
        action=st.sampled_from(("add", "remove", "replace")),
        flags=some_flags,
        before=st.none() | st.integers(0, 6),
    )
    def flag(self, process: int, uids: list[int], action: Any, flags: tuple[str, ...], before: int | None) -> None:
        since = None if before is None else self.model.modseq() - before
        self.both(process, lambda tx: tx.flag(tx.mailbox("Inbox"), uids, action, flags, since))

    @rule(
        first=processes,
        second=processes,
        third=processes,
        new=testing.new_messages(),
        uids=uids,
        flags=some_flags,
        name=names,
    )
    def several_at_once(
        self, first: int, second: int, third: int, new: mox_store.NewMessage, uids: list[int], flags: Any, name: str
    ) -> None:
        self.together(
            [
                (first, lambda tx: tx.add(tx.mailbox("Inbox"), new)),
                (second, lambda tx: tx.flag(tx.mailbox("Inbox"), uids, "add", flags)),
                (third, lambda tx: tx.delete(name)),
                (first, lambda tx: tx.expunge(tx.mailbox("Inbox"), uids[:1], only_deleted=False)),
            ]
        )

    @rule(process=processes, uids=st.none() | uids, only_deleted=st.booleans())
    def expunge(self, process: int, uids: list[int] | None, only_deleted: bool) -> None:
        self.both(process, lambda tx: tx.expunge(tx.mailbox("Inbox"), uids, only_deleted=only_deleted))

    @rule(process=processes, messages=st.sets(st.integers(1, 9), max_size=3), name=st.none() | names)
    def undelete(self, process: int, messages: set[int], name: str | None) -> None:
        self.both(process, lambda tx: tx.undelete(messages, name))

    @rule(process=processes, name=names, special=SPECIAL)
    def create(self, process: int, name: str, special: str) -> None:
        self.both(process, lambda tx: tx.create(name, special))

    @rule(process=processes, name=names)
    def delete(self, process: int, name: str) -> None:
        self.both(process, lambda tx: tx.delete(name))

    @rule(process=processes, old=names, new=names)
    def rename(self, process: int, old: str, new: str) -> None:
        self.both(process, lambda tx: tx.rename(old, new))

    @rule(process=processes, name=names, wanted=st.booleans())
    def subscribe(self, process: int, name: str, wanted: bool) -> None:
        self.both(process, lambda tx: tx.subscribe(name, wanted))

    @rule(
        process=processes,
        name=st.none() | st.sampled_from(("Inbox", "A")),
        entry=st.sampled_from(("/private/comment", "/SHARED/comment", "/shared/vendor/x", "nonsense")),
        value=st.none() | st.binary(max_size=5),
    )
    def annotate(self, process: int, name: str | None, entry: str, value: bytes | None) -> None:
        self.both(process, lambda tx: tx.annotate(tx.mailbox(name) if name else None, entry, value))

    @rule(process=processes, rights=st.sampled_from(("", "lrs", "sl")), name=st.sampled_from(("Inbox", "A")))
    def rights(self, process: int, rights: str, name: str) -> None:
        self.both(process, lambda tx: tx.set_rights(tx.mailbox(name), "lee", rights))

    @rule(process=processes, name=st.sampled_from(("ann", "bob")), shares=st.booleans())
    def sharer(self, process: int, name: str, shares: bool) -> None:
        self.both(process, lambda tx: tx.set_sharer(name, shares))

    @rule(process=processes, size=st.none() | st.integers(0, 400), messages=st.none() | st.integers(0, 9))
    def quota(self, process: int, size: int | None, messages: int | None) -> None:
        self.both(process, lambda tx: tx.set_quota(size=size, messages=messages))

    @rule(process=processes, new=testing.new_messages())
    def half_of_it_fails(self, process: int, new: mox_store.NewMessage) -> None:
        def operation(tx: Any) -> None:
            tx.add(tx.mailbox("Inbox"), new)
            tx.expunge(tx.mailbox("Inbox"), [1, 2, 3], only_deleted=False)
            tx.delete("Inbox")

        self.both(process, operation)

    # -- sessions and processes

    @rule(process=processes, name=st.sampled_from(("Inbox", "Archive", "A")))
    def select(self, process: int, name: str) -> None:
        account = self.accounts[process]
        mailbox = account.mailbox(name)
        if mailbox is not None and len(self.sessions) < 5:
            session = Session(account, account.open_view(mailbox.id), account.watch(lambda: None))
            session.known = session.all()
            self.sessions.append(session)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 4))
    def unselect(self, which: int) -> None:
        session = self.sessions.pop(which % len(self.sessions))
        session.watch.close()
        session.account.close_view(session.view)

    @rule(process=processes)
    def notice_comes(self, process: int) -> None:
        """Notices may come late, and out of order."""
        if self.notices[process]:
            self.accounts[process].heard(self.notices[process].pop())

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 4))
    def session_catches_up(self, which: int) -> None:
        self.sessions[which % len(self.sessions)].catch_up()

    @rule(process=processes, name=st.sampled_from(("Inbox", "Archive", "A")), last=st.integers(0, 30))
    def session_is_notified(self, process: int, name: str, last: int) -> None:
        mailbox = self.model.mailbox(name)
        if mailbox is not None:
            expected = self.model.notified(mailbox.id, last)
            assert self.accounts[process].notified(mailbox.id, last) == expected

    # -- what must hold

    @invariant()
    def the_same_is_seen(self) -> None:
        for account in self.accounts:
            assert account.modseq() == self.model.modseq()
            found = account.mailboxes()
            assert found == self.model.mailboxes()
            for mailbox in found:
                everything = range(1, mailbox.uidnext)
                assert list(account.rows(mailbox.id, everything)) == list(self.model.rows(mailbox.id, everything))
                assert account.annotations(mailbox.id) == self.model.annotations(mailbox.id)
                assert account.rights(mailbox.id) == self.model.rights(mailbox.id)
                assert account.recent(mailbox.id) == self.model.recent(mailbox.id)
                assert account.not_notified(mailbox.id) == self.model.not_notified(mailbox.id)
                for since in (0, 10, mailbox.modseq - 1):
                    assert account.expunged_since(mailbox.id, since) == self.model.expunged_since(mailbox.id, since)
            assert account.all_rights() == self.model.all_rights()
            assert account.sharers() == self.model.sharers()
            assert account.subscriptions() == self.model.subscriptions()
            assert account.annotations() == self.model.annotations()
            assert account.bin() == self.model.bin()
            assert account.quota() == self.model.quota()


class Runs(Stores):
    """The same, as it goes with many messages."""

    by_runs = True


class People(Both):
    """Who may log in and who tried; what is known of senders."""

    @rule(process=processes, new=testing.new_messages())
    def deliver(self, process: int, new: mox_store.NewMessage) -> None:
        self.both(process, lambda tx: tx.add(tx.mailbox("Inbox"), new))

    @rule(process=processes, uids=uids, action=st.sampled_from(("add", "remove", "replace")), flags=some_flags)
    def flag(self, process: int, uids: list[int], action: Any, flags: tuple[str, ...]) -> None:
        self.both(process, lambda tx: tx.flag(tx.mailbox("Inbox"), uids, action, flags))

    @rule(process=processes, name=st.sampled_from(("phone", "laptop")), expires=st.none() | st.integers(0, 60))
    def app_password(self, process: int, name: str, expires: int | None) -> None:
        ends = None if expires is None else self.now + expires
        self.both(process, lambda tx: tx.people.add_app_password(name, "{v}", scopes=("imap",), expires=ends))

    @rule(process=processes, id=st.integers(1, 4), used=st.booleans())
    def app_password_goes(self, process: int, id: int, used: bool) -> None:
        self.both(process, lambda tx: tx.people.app_password_used(id) if used else tx.people.remove_app_password(id))

    @rule(process=processes, key=st.sampled_from("ab"), name=st.sampled_from("xy"), preauth=st.booleans())
    def tls_key(self, process: int, key: str, name: str, preauth: bool) -> None:
        self.both(process, lambda tx: tx.people.add_tls_key(key, name, preauth=preauth))

    @rule(process=processes, key=st.sampled_from("abc"), used=st.booleans())
    def tls_key_goes(self, process: int, key: str, used: bool) -> None:
        self.both(process, lambda tx: tx.people.tls_key_used(key) if used else tx.people.remove_tls_key(key))

    @rule(process=processes, lasts=st.integers(0, 9))
    def web_session(self, process: int, lasts: int) -> None:
        token = f"t{self.now}"
        self.both(process, lambda tx: tx.people.add_web_session(token, "c", "agent", self.now + lasts))

    @rule(process=processes, lasts=st.none() | st.integers(0, 9), one=st.booleans())
    def web_session_goes(self, process: int, lasts: int | None, one: bool) -> None:
        there = [session.token for session in self.model.people.web_sessions(self.now)]
        token = there[0] if there else "none"
        if lasts is not None:
            self.both(process, lambda tx: tx.people.keep_web_session(token, self.now + lasts))
        else:
            self.both(process, lambda tx: tx.people.end_web_sessions(token if one else None))

    @rule(process=processes, ip=st.sampled_from(("192.0.2.1", "192.0.2.2")), result=st.sampled_from(("ok", "wrong")))
    def attempted(self, process: int, ip: str, result: str) -> None:
        self.both(process, lambda tx: tx.people.attempted("imap", ip, "PLAIN", result, "agent"))

    @rule(process=processes, message=st.integers(1, 6), mark=st.sampled_from(mox_store.Mark))
    def mark(self, process: int, message: int, mark: mox_store.Mark) -> None:
        self.both(process, lambda tx: tx.history.mark(message, mark))

    @rule(process=processes, message=st.integers(1, 6), mark=st.none() | st.sampled_from(mox_store.Mark))
    def trained(self, process: int, message: int, mark: mox_store.Mark | None) -> None:
        self.both(
            process, lambda tx: tx.history.forget_training() if mark is None else tx.history.trained(message, mark)
        )

    @rule(process=processes, addresses=st.lists(st.sampled_from(("Kim@X", "kim@x", "lee@y")), max_size=3))
    def wrote(self, process: int, addresses: list[str]) -> None:
        self.both(process, lambda tx: tx.history.wrote(addresses))

    @invariant()
    def the_same_is_seen(self) -> None:
        for account in self.accounts:
            self.the_same_is_known(account)

    def the_same_is_known(self, account: mox_store.Account) -> None:
        mine, other = account.people, self.model.people
        assert mine.app_passwords() == other.app_passwords()
        assert mine.tls_keys() == other.tls_keys()
        assert mine.web_sessions(self.now) == other.web_sessions(self.now)
        assert mine.login_attempts() == other.login_attempts()
        known, modelled = account.history, self.model.history
        traits = [("from", "kim@x"), ("from", "lee@y"), ("from", "nobody")]
        assert known.reputation(traits) == modelled.reputation(traits)
        assert known.correspondents() == modelled.correspondents()
        for address in ("KIM@x", "lee@y", "nobody@z"):
            assert known.wrote_to(address) == modelled.wrote_to(address)
            assert known.wrote_to_domain(address[-1]) == modelled.wrote_to_domain(address[-1])
        assert known.untrained() == modelled.untrained()
        assert [known.mark_of(id) for id in range(1, 7)] == [modelled.mark_of(id) for id in range(1, 7)]


TestStores = Stores.TestCase
TestRuns = Runs.TestCase
TestPeople = People.TestCase
TestStores.settings = TestRuns.settings = TestPeople.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
