"""The door to the database, like mox_store.Database, which moxd gives; and a plain one for users of this package
alone."""

from __future__ import annotations

import sqlite3
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")
Connection = sqlite3.Connection

# Read at import: later the process may be a user who cannot read our folder.
_SCHEMA = files("mox_queue").joinpath("schema.sql").read_text("utf-8")
VERSION = 2


def schema() -> str:
    """The tables of the queue."""
    return _SCHEMA


def _to_2(db: Connection) -> None:
    """Allowances, and bounces that are matched."""
    for statement in (
        "CREATE INDEX message_account ON message (account, arrived)",
        "CREATE INDEX message_fromid ON message (account, fromid) WHERE fromid <> ''",
        "CREATE TABLE written_to (account TEXT NOT NULL, address TEXT NOT NULL, first REAL NOT NULL, "
        "PRIMARY KEY (account, address)) WITHOUT ROWID",
        "CREATE INDEX written_to_first ON written_to (account, first)",
        "INSERT INTO written_to SELECT m.account,lower(r.address),min(m.arrived) FROM recipient r JOIN message m "
        "ON m.id=r.message WHERE m.account<>'' GROUP BY 1,2",
    ):
        db.execute(statement)


# From version n to n + 1, as mox_store.Database takes them.
UPGRADES: Mapping[int, Callable[[Connection], None]] = {1: _to_2}


class Database(Protocol):
    """Shared, durable commits, and a connection to read from."""

    connection: Connection

    def commit(self, operation: Callable[[Connection], T]) -> Future[T]:
        """Runs `operation` in a transaction; done when it is on disk.  It may be run a second time."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """A blocking durable transaction."""
        ...

    def close(self) -> None:
        """Closes."""
        ...


class PlainDatabase:
    """A commit for each operation, synced by SQLite itself.  Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self.connection.executescript(f"BEGIN;{schema()}PRAGMA user_version={VERSION};COMMIT;")
        elif version > VERSION:
            self.connection.close()
            raise sqlite3.DatabaseError(
                f"{path} has format {version}, this program knows {VERSION}: update the program"
            )
        while 0 < version < VERSION:
            with self.write() as db:
                UPGRADES[version](db)
                version += 1
                db.execute(f"PRAGMA user_version={version}")

    def commit(self, operation: Callable[[Connection], T]) -> Future[T]:
        """Database"""
        future: Future[T] = get_running_loop().create_future()
        try:
            with self.write() as db:
                result = operation(db)
        except Exception as error:
            future.set_exception(error)
        else:
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
