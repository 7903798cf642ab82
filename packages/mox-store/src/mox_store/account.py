"""Accounts: open them, change them in shared transactions, read them, hear of changes.

Only a durable transaction tells watchers; `heard` brings in what other processes made durable."""

from __future__ import annotations

import fcntl
import logging
import os
from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from mox_message import Content
from mox_store.blobs import Segments
from mox_store.changes import Change, Kind, from_text, ranges
from mox_store.database import Connection, Database, Durability
from mox_store.disk import Loop, StoreError, Syncer
from mox_store.mailbox import INITIAL, Mailbox
from mox_store.message import Row, Staged
from mox_store.transaction import Transaction, read_mailbox, read_mailboxes
from mox_store.view import View
from mox_store.watch import Watch

log = logging.getLogger("mox.store")
T = TypeVar("T")

# After an unclean stop UIDs that a reader may have seen before their sync are never given again.
UID_LEAP = 1000
# Expunged messages stay readable this long for sessions that have not been told yet.
SWEEP_SECONDS = 3600.0
SWEEP_AT_ONCE = 200
ROWS_AT_ONCE = 500

_ROW = "e.uid,m.id,m.size,m.received,e.saved,m.envelope,m.bodystructure,m.header,m.preview,m.sent,m.subject"


# Read at import: later the process may be a user who cannot read our folder.
_SCHEMA = files("mox_store").joinpath("schema.sql").read_text("utf-8")


def schema() -> str:
    """The tables of an account."""
    return _SCHEMA


class Account:
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
    ) -> None:
        self.name = name
        self.folder = folder
        self._clock = clock
        self._loop = loop
        self._notify = notify
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        alone = self._lock_alone()
        self.database = Database(folder / "account.db", schema(), loop=loop, syncer=syncer, durability=durability)
        self.segments = Segments(folder / "segments")
        self._syncer = syncer
        if alone:
            self._first()
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._views: dict[int, View] = {}
        self._watches: list[Watch] = []
        self._seen = self.modseq()

    # -- opening and closing

    def _lock_alone(self) -> bool:
        """Are we the only process that has this account open?"""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return False
        return True

    def _first(self) -> None:
        with self.database.write() as db:
            facts = dict(db.execute("SELECT name,value FROM fact"))
            if not facts:
                db.executemany("INSERT INTO fact VALUES(?,?)", [("modseq", 1), ("uidvalidity", 1), ("clean", 1)])
                tx = Transaction(db, self._clock())
                for name, special in INITIAL.items():
                    tx.create(name, special)
            elif not facts.get("clean"):
                log.warning("account was not closed cleanly", extra={"account": self.name})
                db.execute("UPDATE mailbox SET uidnext=uidnext+?", (UID_LEAP,))
            db.execute("UPDATE fact SET value=0 WHERE name='clean'")
            used = {row[0] for row in db.execute("SELECT DISTINCT segment FROM message WHERE segment IS NOT NULL")}
        self.segments.sweep(used)

    def close(self) -> None:
        """Closes the account; the last process to do so marks it clean."""
        self.segments.close()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self.database.write() as db:
                db.execute("UPDATE fact SET value=1 WHERE name='clean'")
        except (BlockingIOError, StoreError):
            pass  # others are still at it, or the disk is full: the next start treats it as unclean, which is safe
        self.database.close()
        os.close(self._lock)

    # -- changing

    def commit(self, operation: Callable[[Transaction], T]) -> Future[T]:
        """Runs `operation` in the next shared transaction.  The future is done when the result is on disk and the
        views of this process show it; watchers are told just after."""
        made: list[Transaction] = []

        def run(db: Connection) -> T:
            tx = Transaction(db, self._clock())
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
            tx = Transaction(db, self._clock())
            yield tx
        if tx.changes:
            self._catch_up(tx.changes[-1].modseq)
            if self._notify is not None:
                self._notify(self.name, tx.changes[-1].modseq)

    def stage(self, content: Content) -> Future[Staged]:
        """Puts large content on disk, in a thread; then `NewMessage(staged=…)`.  The future may have StoreError."""
        assert self._loop is not None
        loop, future = self._loop, self._loop.create_future()
        result: list[Staged] = []

        def done(error: BaseException | None) -> None:
            if not future.cancelled():
                future.set_exception(error) if error is not None else future.set_result(result[0])

        assert self._syncer is not None
        del loop
        self._syncer.submit(lambda: result.append(self.segments.stage(content)), done)
        return future

    # -- hearing

    def heard(self, modseq: int) -> None:
        """Another process has made everything up to `modseq` durable."""
        if modseq > self._seen:
            self._catch_up(modseq)

    def _catch_up(self, modseq: int) -> None:
        db = self.database.connection
        rows = db.execute(
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
            rows = self.database.connection.execute(
                "SELECT uid,message,size,flags,modseq FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?",
                (view.mailbox, first, last),
            ).fetchall()
            view.add(rows)
        view.modseq = max(view.modseq, change.modseq)

    def _show(self, tx: Transaction) -> None:
        """Our own commit, without asking the database again."""
        for mailbox, entries in tx.added_entries.items():
            if (view := self._views.get(mailbox)) is not None:
                view.add(entries)
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
            for watch in list(self._watches):
                watch.tell(changes)

    def watch(self, wake: Callable[[], None]) -> Watch:
        """Hears of every change from now on; `wake` is called on the loop."""
        watch = Watch(wake, self._watches.remove)
        self._watches.append(watch)
        return watch

    # -- reading

    def modseq(self) -> int:
        """The newest modseq of the account."""
        row = self.database.connection.execute("SELECT value FROM fact WHERE name='modseq'").fetchone()
        return int(row[0]) if row else 0

    def mailboxes(self) -> list[Mailbox]:
        """Every mailbox with its counters, by name."""
        return read_mailboxes(self.database.connection)

    def mailbox(self, name: str) -> Mailbox | None:
        """One mailbox with its counters."""
        return read_mailbox(self.database.connection, name=name)

    def mailbox_by_id(self, id: int) -> Mailbox | None:
        """One mailbox with its counters."""
        return read_mailbox(self.database.connection, id=id)

    def subscriptions(self) -> list[str]:
        """Subscribed names, also of mailboxes that are not there."""
        return [row[0] for row in self.database.connection.execute("SELECT name FROM subscription ORDER BY name")]

    def open_view(self, mailbox: int) -> View:
        """The shared view of a mailbox; give it back with close_view."""
        view = self._views.get(mailbox)
        if view is None:
            view = self._views[mailbox] = View.load(self.database.connection, mailbox, self._seen)
        view.references += 1
        return view

    def close_view(self, view: View) -> None:
        """The last to give a view back frees it."""
        view.references -= 1
        if view.references <= 0:
            self._views.pop(view.mailbox, None)

    def rows(self, mailbox: int, uids: Sequence[int]) -> Iterator[Row]:
        """The rows of those of `uids` (ascending) that are there, in chunks of the database."""
        for first, last in ranges(uids):
            cursor = self.database.connection.execute(
                f"SELECT {_ROW} FROM entry e JOIN message m ON m.id=e.message WHERE e.mailbox=? AND e.uid BETWEEN ? AND ?",
                (mailbox, first, last),
            )
            while chunk := cursor.fetchmany(ROWS_AT_ONCE):
                for row in chunk:
                    yield Row(*row)

    def message_rows(self, messages: Sequence[int]) -> Iterator[Row]:
        """Rows by message id, also of messages that were expunged a moment ago (uid 0)."""
        for number in messages:
            row = self.database.connection.execute(
                "SELECT 0,m.id,m.size,m.received,m.received,m.envelope,m.bodystructure,m.header,m.preview,m.sent,m.subject "
                "FROM message m WHERE m.id=?",
                (number,),
            ).fetchone()
            if row is not None:
                yield Row(*row)

    def content(self, message: int) -> Content:
        """A message's bytes with our prefix in front.  Raises StoreError."""
        row = self.database.connection.execute(
            "SELECT m.prefix,m.segment,m.at,m.length,b.data FROM message m LEFT JOIN blob b ON b.message=m.id WHERE m.id=?",
            (message,),
        ).fetchone()
        if row is None:
            raise StoreError(f"message {message} is gone")
        prefix, segment, at, length, data = row
        stored = Content.of(data) if segment is None else self.segments.content(segment, at, length)
        return Content.joined(prefix, stored)

    def expunged_since(self, mailbox: int, modseq: int) -> tuple[int, ...]:
        """UIDs that went after `modseq`, ascending (RFC 7162 3.2.5)."""
        rows = self.database.connection.execute(
            "SELECT uids FROM change WHERE modseq>? AND mailbox=? AND kind=3", (modseq, mailbox)
        )
        return tuple(sorted({uid for (uids,) in rows for uid in from_text(uids)}))

    def decision(self, id: int) -> bytes | None:
        """The record of a decision."""
        row = self.database.connection.execute("SELECT record FROM decision WHERE id=?", (id,)).fetchone()
        return row[0] if row else None

    def credential(self, kind: str) -> str | None:
        """A verifier that `set_credential` kept."""
        row = self.database.connection.execute("SELECT value FROM credential WHERE kind=?", (kind,)).fetchone()
        return row[0] if row else None

    # -- keeping tidy

    def sweep(self) -> Future[int]:
        """Forgets some messages that nothing shows any more; how many."""
        before = self._clock() - SWEEP_SECONDS

        def run(db: Connection) -> int:
            numbers = db.execute(
                "SELECT id FROM message WHERE copies=0 AND expunged<? LIMIT ?", (before, SWEEP_AT_ONCE)
            ).fetchall()
            db.executemany("DELETE FROM blob WHERE message=?", numbers)
            db.executemany("DELETE FROM message WHERE id=?", numbers)
            return len(numbers)

        return self.database.commit(run)


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
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._loop = loop
        self._notify = notify
        self._durability = durability
        self._accounts: dict[str, Account] = {}
        self.syncer = Syncer(loop) if loop is not None else None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def open(self, name: str) -> Account:
        """The account, made if it is not there yet.  Raises StoreError."""
        account = self._accounts.get(name)
        if account is None:
            try:
                account = Account(
                    name,
                    self.folder / name,
                    clock=self._clock,
                    loop=self._loop,
                    syncer=self.syncer,
                    notify=self._notify,
                    durability=self._durability,
                )
            except OSError as error:
                raise StoreError(f"{self.folder / name}: {error.strerror}") from error
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
        return sorted(path.parent.name for path in self.folder.glob("*/account.db"))

    def close(self) -> None:
        """Closes all."""
        if self.syncer is not None:
            self.syncer.close()
        for account in self._accounts.values():
            account.close()
        self._accounts.clear()
