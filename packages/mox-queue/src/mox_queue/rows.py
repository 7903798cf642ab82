"""The durable rows of the queue; the only room of this package that knows SQL.

Through a door like mox_store.Database (`commit(operation) -> Future`), which moxd gives; `open_rows` is a plain one."""

from __future__ import annotations

import json
import os
import sqlite3
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mox_message import Content
from mox_queue.outcome import Attempt, Settled

T = TypeVar("T")
Connection = sqlite3.Connection

# Up to here content is in the row; above it is a file that is synced before the row is.
SMALL = 32 * 1024


class Database(Protocol):
    """Shared, durable commits, and a connection to read from."""

    connection: Connection

    def commit(self, operation: Callable[[Connection], T]) -> Future[T]:
        """Runs `operation` in a transaction; done when it is on disk."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """A blocking durable transaction."""
        ...

    def close(self) -> None:
        """Closes."""
        ...


class PlainDatabase:
    """A commit for each operation, synced by SQLite itself: for users of this package alone."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self.connection.executescript(schema() + "PRAGMA user_version=1;")

    def commit(self, operation: Callable[[Connection], T]) -> Future[T]:
        """Database"""
        future: Future[T] = get_running_loop().create_future()
        db = self.connection
        db.execute("BEGIN IMMEDIATE")
        try:
            result = operation(db)
            db.execute("COMMIT")
        except Exception as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            future.set_exception(error)
            return future
        future.set_result(result)
        return future

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Database"""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Database"""
        self.connection.close()


# Read at import: later the process may be a user who cannot read our folder.
_SCHEMA = files("mox_queue").joinpath("schema.sql").read_text("utf-8")


def schema() -> str:
    """The tables of the queue."""
    return _SCHEMA


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be queued.  `recipients` are (address, domain) pairs."""

    id: int
    sender: str
    recipients: tuple[tuple[str, str], ...]
    content: Content
    arrived: float
    prefix: bytes = b""
    account: str = ""
    smtputf8: bool = False
    eightbit: bool = False
    record: bytes = b""
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """A recipient whose time has come."""

    recipient: int
    message: int
    address: str
    domain: str
    attempts: int
    warned: bool
    sender: str
    account: str
    arrived: float
    smtputf8: bool
    eightbit: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A recipient as an administrator sees it."""

    recipient: int
    message: int
    sender: str
    address: str
    domain: str
    state: str
    attempts: int
    next: float
    last: str
    arrived: float
    size: int


_DUE = (
    "SELECT r.id,r.message,r.address,r.domain,r.attempts,r.warned,m.sender,m.account,m.arrived,m.smtputf8,m.eightbit "
    "FROM recipient r JOIN message m ON m.id=r.message WHERE r.state='waiting' AND r.next<=? "
)


class Rows:
    """The queue on disk.  `folder` is for large contents."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, message: int) -> Path:
        return self._folder / f"{message}.eml"

    def place(self, message: int, content: Content) -> None:
        """Writes large content to its file, synced; blocks.  Call it in a thread before add()."""
        path = self._path(message)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in content.chunks():
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def add(self, message: NewMessage) -> Future[None]:
        """Queues a message; done when it is on disk."""
        small = message.content.read() if message.content.size <= SMALL else None

        def run(db: Connection) -> None:
            insert(db, message, small)

        return self.database.commit(run)

    def content(self, message: int) -> Content | None:
        """The message with its prefix; None when it is gone."""
        row = self.database.connection.execute("SELECT prefix,data FROM message WHERE id=?", (message,)).fetchone()
        if row is None:
            return None
        prefix, data = row
        return Content.joined(prefix, Content.of(data) if data is not None else Content.file(self._path(message)))

    def due(self, now: float, most: int = 500) -> list[Due]:
        """Recipients to be tried now and not under way, oldest first."""
        rows = self.database.connection.execute(_DUE + "AND r.started IS NULL ORDER BY r.next LIMIT ?", (now, most))
        return [
            Due(
                recipient, message, address, domain, attempts, bool(warned), sender, account, arrived,
                bool(utf8), bool(eight),
            )
            for recipient, message, address, domain, attempts, warned, sender, account, arrived, utf8, eight in rows
        ]  # fmt: skip

    def next_time(self) -> float | None:
        """When the next recipient is due; None when nothing waits."""
        row = self.database.connection.execute(
            "SELECT min(next) FROM recipient WHERE state='waiting' AND started IS NULL"
        ).fetchone()
        return row[0] if row and row[0] is not None else None

    def begin(self, recipients: Sequence[Due], now: float, not_before: float) -> Future[None]:
        """Notes that an attempt begins, BEFORE anybody is called: a crash then cannot make us hammer a host.
        `not_before` is when they are tried again if we die."""

        def run(db: Connection) -> None:
            for due in recipients:
                db.execute(
                    "UPDATE recipient SET started=?,attempts=attempts+1,next=? WHERE id=?",
                    (now, not_before, due.recipient),
                )
                db.execute(
                    "INSERT INTO attempt(recipient,number,started) VALUES(?,?,?)",
                    (due.recipient, due.attempts + 1, now),
                )

        return self.database.commit(run)

    def settle(
        self, outcomes: Iterable[tuple[Due, Attempt, Settled]], now: float, notices: Sequence[NewMessage] = ()
    ) -> Future[None]:
        """Notes what became of an attempt, and queues the notices about it, in one transaction."""
        listed = list(outcomes)

        def run(db: Connection) -> None:
            for due, attempt, settled in listed:
                record = json.dumps(
                    {"result": attempt.result, "text": attempt.text, "status": attempt.status,
                     "remote": attempt.remote, "steps": [dict(s) for s in attempt.steps]},
                    default=str, ensure_ascii=False,
                )  # fmt: skip
                db.execute(
                    "UPDATE attempt SET finished=?,outcome=?,record=? WHERE recipient=? AND number=?",
                    (now, str(attempt.result), record, due.recipient, due.attempts + 1),
                )
                db.execute(
                    "UPDATE recipient SET state=CASE state WHEN 'waiting' THEN ? ELSE state END,started=NULL,"
                    "next=coalesce(?,next),warned=max(warned,?),finished=?,last=? WHERE id=?",
                    (
                        settled.state, settled.next, settled.notice == "delayed",
                        None if settled.state == "waiting" else now, attempt.text, due.recipient,
                    ),
                )  # fmt: skip
            for notice in notices:
                insert(db, notice, notice.content.read())

        return self.database.commit(run)

    def recover(self) -> Future[int]:
        """After a start: attempts that a crash cut off are no longer under way; their next time was set before them."""

        def run(db: Connection) -> int:
            db.execute("UPDATE attempt SET outcome='interrupted' WHERE finished IS NULL AND outcome=''")
            return db.execute("UPDATE recipient SET started=NULL WHERE started IS NOT NULL").rowcount

        return self.database.commit(run)

    def forget(self, before: float) -> Future[list[int]]:
        """Removes messages whose recipients were all finished before then; their ids, so that files can go."""

        def run(db: Connection) -> list[int]:
            done = [
                row[0]
                for row in db.execute(
                    "SELECT m.id FROM message m WHERE NOT EXISTS (SELECT 1 FROM recipient r WHERE r.message=m.id AND "
                    "(r.state IN ('waiting','held') OR coalesce(r.finished,0)>=?)) LIMIT 500",
                    (before,),
                )
            ]
            for message in done:
                db.execute(
                    "DELETE FROM attempt WHERE recipient IN (SELECT id FROM recipient WHERE message=?)", (message,)
                )
                db.execute("DELETE FROM recipient WHERE message=?", (message,))
                db.execute("DELETE FROM message WHERE id=?", (message,))
            return done

        return self.database.commit(run)

    def sweep(self) -> int:
        """Removes files that no message has (a crash between file and row); how many."""
        known = {row[0] for row in self.database.connection.execute("SELECT id FROM message WHERE data IS NULL")}
        stray = [path for path in self._folder.glob("*.eml") if not path.stem.isdigit() or int(path.stem) not in known]
        for path in stray:
            path.unlink()
        return len(stray)

    def drop_file(self, message: int) -> None:
        """The file of a message that was forgotten."""
        self._path(message).unlink(missing_ok=True)

    # -- for administrators

    def listed(self, state: str | None = None) -> list[Listed]:
        """Recipients, oldest message first; all states, or one."""
        states = ("waiting", "held") if state is None else (state, state)
        rows = self.database.connection.execute(
            "SELECT r.id,r.message,m.sender,r.address,r.domain,r.state,r.attempts,r.next,r.last,m.arrived,m.size "
            "FROM recipient r JOIN message m ON m.id=r.message WHERE r.state IN (?,?) ORDER BY m.arrived,r.id",
            states,
        )
        return [Listed(*row) for row in rows]

    def change_now(
        self, recipients: Sequence[int], *, state: str | None, next: float | None, expected: Sequence[str]
    ) -> int:
        """Sets state or time of those that are in an `expected` state, durably, blocking; how many."""
        count = 0
        with self.database.write() as db:
            for number in recipients:
                count += db.execute(
                    "UPDATE recipient SET state=coalesce(?,state),next=coalesce(?,next) "
                    "WHERE id=? AND state IN (SELECT value FROM json_each(?))",
                    (state, next, number, json.dumps(expected)),
                ).rowcount
        return count

    def record(self, message: int) -> bytes | None:
        """The application's record of a message."""
        row = self.database.connection.execute("SELECT record FROM message WHERE id=?", (message,)).fetchone()
        return row[0] if row else None

    def attempts(self, message: int) -> list[Mapping[str, Any]]:
        """Every attempt for a message, in order, as plain data."""
        rows = self.database.connection.execute(
            "SELECT r.address,a.number,a.started,a.finished,a.outcome,a.record,r.state FROM attempt a JOIN recipient r "
            "ON r.id=a.recipient WHERE r.message=? ORDER BY a.id",
            (message,),
        )
        return [
            {"recipient": address, "number": number, "started": started, "finished": finished, "outcome": outcome,
             "state": state, **(json.loads(record) if record else {})}
            for address, number, started, finished, outcome, record, state in rows
        ]  # fmt: skip


def insert(db: Connection, message: NewMessage, small: bytes | None) -> None:
    """The rows of a message; for applications that queue within a transaction of their own."""
    db.execute(
        "INSERT INTO message VALUES(?,?,?,?,?,?,?,?,?,?)",
        (
            message.id, message.sender, message.account, message.arrived, message.smtputf8, message.eightbit,
            message.prefix, small, len(message.prefix) + message.content.size, message.record,
        ),
    )  # fmt: skip
    db.executemany(
        "INSERT INTO recipient(message,address,domain,next) VALUES(?,?,?,?)",
        [
            (message.id, address, domain, max(message.arrived, message.not_before))
            for address, domain in message.recipients
        ],
    )


def open_rows(folder: Path) -> Rows:
    """A queue of its own in a folder, for users of this package alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Rows(PlainDatabase(folder / "queue.db"), folder / "messages")
