"""Accounts: open them, change them in shared transactions, read them, hear of changes.

Only a durable transaction tells watchers; `heard` brings in what other processes made durable."""

from __future__ import annotations

import logging
from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from mox_message import Content
from mox_store.blobs import Segments
from mox_store.board import Board
from mox_store.changes import Change, Kind, from_text, ranges
from mox_store.database import Database, Durability
from mox_store.disk import Disk, Loop, StoreError, Syncer, told
from mox_store.ground import leap
from mox_store.group import Connection
from mox_store.mailbox import INITIAL, Mailbox
from mox_store.message import Mark, Staged, Traits
from mox_store.reading import Reading
from mox_store.sweep import forget
from mox_store.transaction import MarkRule, Transaction
from mox_store.upgrade import SCHEMA, UPGRADES
from mox_store.view import View
from mox_store.wal import Presence
from mox_store.watch import Watch

log = logging.getLogger("mox.store")
T = TypeVar("T")

ENTRIES = "SELECT uid,message,size,flags,modseq FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?"

# Expunged messages stay readable this long for sessions that have not been told yet.
SWEEP_SECONDS = 3600.0
SWEEP_AT_ONCE = 200
# Views that nobody looks at any more and that are kept all the same: so many of an account, with so many entries (33
# octets each) altogether.
IDLE_VIEWS = 4
IDLE_ENTRIES = 200_000
# The lock that a backup shares and a sweep wants for itself.
KEEP = "sweep"
# How far the account is durable; and the last uid of each mailbox that a session was notified of.
BOARD, NOTIFIED = "board", "notified"


class Account(Reading):
    """One person's mail.  All methods belong to the loop's thread."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        clock: Callable[[], float],
        loop: Loop | None = None,
        syncer: Syncer | None = None,
        notify: Callable[[str, int], None] | None = None,
        durability: Durability = "group",
        stager: Syncer | None = None,
        disk: Disk | None = None,
        make_traits: Callable[[Content], Traits] | None = None,
        mark_rule: MarkRule | None = None,
    ) -> None:
        self.name = name
        self._mark_rule = mark_rule
        self.folder = folder
        self._clock = clock
        self._loop = loop
        self._notify = notify
        self._make_traits = make_traits
        disk = disk or Disk()
        disk.make_folder(folder)
        self.segments = Segments(folder / "segments", disk)
        self._stager = stager or (Syncer(loop, "stage", threads=1) if loop is not None else None)
        self._own_stager = stager is None
        self.board = Board(folder / BOARD)
        try:
            self._notified = Board(folder / NOTIFIED)
        except BaseException:
            self.board.close()
            raise
        try:
            self.database = Database(
                folder / "account.db", SCHEMA, UPGRADES, loop=loop, syncer=syncer, durability=durability, disk=disk,
                first=self._first,
            )  # fmt: skip
        except BaseException:  # it has closed what was its own
            self._close_files()
            self._close_boards()
            raise
        self._views: dict[int, View] = {}
        self._watches: list[Watch] = []
        self._seen = self.modseq()

    # -- opening and closing

    def _first(self, database: Database) -> None:
        """No other process has the account open: make it, or make up for an unclean stop."""
        self.board.begin()
        with database.write() as db:
            facts = dict(db.execute("SELECT name,value FROM fact"))
            if not facts:
                db.executemany("INSERT INTO fact VALUES(?,?)", [("modseq", 1), ("uidvalidity", 1), ("clean", 1)])
                tx = Transaction(db, self._clock())
                for name, special in INITIAL.items():
                    tx.create(name, special)
            elif not facts.get("clean"):
                log.warning("account was not closed cleanly", extra={"account": self.name})
                leap(db)
            db.execute("UPDATE fact SET value=0 WHERE name='clean'")
            used = {row[0] for row in db.execute("SELECT DISTINCT segment FROM message WHERE segment IS NOT NULL")}
        self.segments.sweep(used)

    def close(self) -> None:
        """Closes the account; the last process to do so marks it clean."""
        self._close_files()
        try:
            if not self.database.refusal() and self.database.alone():
                with self.database.write() as db:
                    db.execute("UPDATE fact SET value=1 WHERE name='clean'")
        except StoreError as error:  # the next start treats it as unclean, which is safe
            log.warning("account could not be marked clean", extra={"account": self.name, "error": str(error)})
        self.database.close()
        self._close_boards()  # now that what was under way at the end has been told

    def _close_files(self) -> None:
        if self._own_stager and self._stager is not None:
            self._stager.close()
        self.segments.close()

    def _close_boards(self) -> None:
        self.board.close()
        self._notified.close()

    def now(self) -> float:
        """The account's clock: seconds since 1970."""
        return self._clock()

    # -- changing

    def _transaction(self, db: Connection) -> Transaction:
        tx = Transaction(db, self._clock())
        tx.mark_rule = self._mark_rule
        return tx

    def commit(self, operation: Callable[[Transaction], T]) -> Future[T]:
        """Runs `operation` in the next shared transaction.  The future is done when the result is on disk and the
        views of this process show it; watchers are told just after."""
        made: list[Transaction] = []

        def run(db: Connection) -> T:
            tx = self._transaction(db)
            made.append(tx)
            return operation(tx)

        future = self.database.commit(run)
        future.add_done_callback(lambda done: self._committed(made, done))
        return future

    def _committed(self, made: list[Transaction], done: Future[T]) -> None:
        if done.cancelled() or done.exception() is not None or not made or not made[-1].changes:
            return
        tx = made[-1]
        first, last = tx.changes[0].modseq, tx.changes[-1].modseq
        self.board.grow(last)
        if first == self._seen + 1:
            self._show(tx)
            self._seen = last
            self._tell(tx.changes)
        else:
            self._catch_up(last)
        if self._notify is not None:
            self._notify(self.name, last)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A blocking durable transaction: command lines, start-up."""
        with self.database.write() as db:
            tx = self._transaction(db)
            yield tx
        if tx.changes:
            self.board.grow(tx.changes[-1].modseq)
            self._catch_up(tx.changes[-1].modseq)
            if self._notify is not None:
                self._notify(self.name, tx.changes[-1].modseq)

    def stage(self, content: Content) -> Future[Staged]:
        """Puts large content on disk, in a thread; then `NewMessage(staged=…)`.  The future may have StoreError."""
        assert self._loop is not None
        future = self._loop.create_future()
        result: list[Staged] = []

        def done(error: BaseException | None) -> None:
            if not future.cancelled():
                future.set_exception(error) if error is not None else future.set_result(result[0])

        assert self._stager is not None
        self._stager.submit(lambda: result.append(self.segments.stage(content)), done)
        return future

    # -- hearing

    def heard(self, modseq: int) -> None:
        """Another process has made everything up to `modseq` durable."""
        if modseq > self._seen:
            self._catch_up(modseq)

    def look(self) -> None:
        """Brings in what other processes have made durable and whose word has not come yet, so that whoever was told of
        a change by one process finds it in all."""
        self.heard(self.board.number())

    def notified(self, mailbox: int, last: int) -> int:
        """A session is being notified of the messages up to that uid; the first of which none was before, in whatever
        process (RFC 3501 2.3.2)."""
        if (before := self._notified.number(mailbox)) < last:
            before = self._notified.grow(last, mailbox)
        return before + 1

    def not_notified(self, mailbox: int) -> int:
        """The first uid of which no session was notified."""
        return self._notified.number(mailbox) + 1

    def recent(self, mailbox: int) -> int:
        """How many messages no session was notified of."""
        rows = self.database.rows(
            "SELECT count(*) FROM entry WHERE mailbox=? AND uid>=?", (mailbox, self.not_notified(mailbox))
        )
        return int(rows[0][0])

    def _catch_up(self, modseq: int) -> None:
        rows = self.database.rows(
            "SELECT modseq,mailbox,kind,uids FROM change WHERE modseq>? AND modseq<=? ORDER BY modseq",
            (self._seen, modseq),
        )
        changes = [Change(m, mailbox, Kind(kind), from_text(uids)) for m, mailbox, kind, uids in rows]
        for change in changes:
            view = self._views.get(change.mailbox)
            if view is not None:
                self._reread(view, change)
        self._seen = max(self._seen, modseq)
        self._tell(changes)

    def _reread(self, view: View, change: Change) -> None:
        if change.kind is Kind.EXPUNGED:
            view.remove(change.uids)
            return
        for first, last in ranges(change.uids):
            view.add(self.database.rows(ENTRIES, (view.mailbox, first, last)))
        view.modseq = max(view.modseq, change.modseq)

    def _show(self, tx: Transaction) -> None:
        """Our own commit, without asking the database again."""
        for mailbox, entries in tx.added_entries.items():
            if (view := self._views.get(mailbox)) is not None:
                view.add(entries)
        for mailbox, runs in tx.added_runs.items():
            if (view := self._views.get(mailbox)) is not None:
                for run in runs:
                    view.add(self.database.rows(ENTRIES, (mailbox, *run)))
        for mailbox, changed in tx.flag_results.items():
            if (view := self._views.get(mailbox)) is not None:
                view.flag(changed)
        for change in tx.changes:
            if (view := self._views.get(change.mailbox)) is not None:
                if change.kind is Kind.EXPUNGED:
                    view.remove(change.uids)
                view.modseq = max(view.modseq, change.modseq)

    def _tell(self, changes: Sequence[Change]) -> None:
        if changes:
            Watch.tell(self._watches, changes)

    def watch(self, wake: Callable[[], None]) -> Watch:
        """Hears of every change from now on; `wake` is called on the loop."""
        watch = Watch(wake, self._watches.remove)
        self._watches.append(watch)
        return watch

    # -- reading

    def open_view(self, mailbox: int) -> View:
        """The shared view of a mailbox; give it back with close_view."""
        self.look()
        view = self._views.get(mailbox)
        if view is None:
            view = self._views[mailbox] = View.load(self.database, mailbox, self._seen)
        view.references += 1
        return view

    def close_view(self, view: View) -> None:
        """Gives a view back.  Those that were used last are kept up to date for a while: clients come back."""
        view.references -= 1
        if view.references > 0 or self._views.get(view.mailbox) is not view:
            return
        del self._views[view.mailbox]
        self._views[view.mailbox] = view  # the last one now
        idle = [one for one in self._views.values() if not one.references]
        kept = 0
        for place, one in enumerate(reversed(idle)):
            kept += len(one)
            if place >= IDLE_VIEWS or kept > IDLE_ENTRIES:
                del self._views[one.mailbox]

    # -- keeping tidy

    def _remade(self, message: int, traits: Traits) -> None:
        if self._loop is not None and not self.database.refusal():
            self.commit(lambda tx: tx.retrait(message, traits)).add_done_callback(_unheeded)

    def sweep(self) -> Future[int]:
        """Forgets some messages that nothing shows any more and whose time in the bin is over; how many.

        Nothing is swept while a backup is reading."""
        keeping = Presence(self.folder / KEEP)
        freed: list[tuple[int, int, int]] = []

        def run(tx: Transaction) -> int:
            freed.clear()
            if not keeping.alone():
                return 0
            found = forget(tx.connection, tx.now, SWEEP_SECONDS, SWEEP_AT_ONCE)
            freed.extend(found.places)
            return found.count

        def swept(done: Future[int]) -> None:
            if not done.cancelled() and done.exception() is None:
                for place in freed:
                    self.segments.punch(*place)
            keeping.close()

        future = self.commit(run)
        future.add_done_callback(swept)
        return future


def _unheeded(done: Future[None]) -> None:
    """What is made again on the next read may fail now."""
    if not done.cancelled() and done.exception() is not None:
        log.info("traits could not be kept", extra={"error": str(done.exception())})


def is_account_name(name: str) -> bool:
    """May an account be called so?  It is the name of a folder, too."""
    return 0 < len(name.encode("utf-8", "replace")) <= 200 and name[0] != "." and not set(name) & {"/", "\0"}


class Store:
    """The accounts of a machine, opened when they are wanted."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float],
        loop: Loop | None = None,
        notify: Callable[[str, int], None] | None = None,
        durability: Durability = "group",
        disk: Disk | None = None,
        make_traits: Callable[[Content], Traits] | None = None,
        mark_rule: Callable[[str, Mailbox], Mark | None] | None = None,
    ) -> None:
        self.folder = folder
        self._mark_rule = mark_rule
        self._make_traits = make_traits
        self._clock = clock
        self._loop = loop
        self._notify = notify
        self._durability = durability
        self._accounts: dict[str, Account] = {}
        self._disk = disk or Disk()
        self.syncer = Syncer(loop) if loop is not None else None
        # Large messages are written by a thread of their own, so that nobody's small ones wait for them.
        self._stager = Syncer(loop, "stage", threads=1) if loop is not None else None
        try:
            self._disk.make_folder(folder)
        except OSError as error:
            raise told(error, str(folder)) from error

    def open(self, name: str) -> Account:
        """The account, made if it is not there yet.  Raises StoreError."""
        account = self._accounts.get(name)
        if account is None:
            if not is_account_name(name):
                raise StoreError(
                    f"{name!r} cannot be the name of an account: no slash, no dot in front, 200 bytes at most"
                )
            try:
                account = Account(
                    name,
                    self.folder / name,
                    clock=self._clock,
                    loop=self._loop,
                    syncer=self.syncer,
                    notify=self._notify,
                    durability=self._durability,
                    stager=self._stager,
                    disk=self._disk,
                    make_traits=self._make_traits,
                    mark_rule=partial(self._mark_rule, name) if self._mark_rule is not None else None,
                )
            except OSError as error:
                raise told(error, f"{self.folder / name}") from error
            self._accounts[name] = account
        return account

    def heard(self, name: str, modseq: int) -> None:
        """Another process says that it changed an account."""
        account = self._accounts.get(name)
        if account is not None:
            account.heard(modseq)

    def opened(self) -> list[Account]:
        """The accounts that are open in this process."""
        return list(self._accounts.values())

    def names(self) -> list[str]:
        """The accounts that there are on disk."""
        found = (path.parent.name for path in self.folder.glob("*/account.db"))
        return sorted(name for name in found if is_account_name(name))

    def close(self) -> None:
        """Closes all."""
        for helper in (self._stager, self.syncer):
            if helper is not None:
                helper.close()
        for account in self._accounts.values():
            account.close()
        self._accounts.clear()
