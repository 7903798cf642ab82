"""A SQLite database whose commits are shared and durable: opened, brought up to date, read, checkpointed, closed.

With `group.py`, which shares commits, the only room that knows SQLite's ways; `wal.py` knows its log as a file."""

from __future__ import annotations

import logging
import sqlite3
from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from mox_store.disk import Disk, Loop, StoreError, Syncer, broken_mark, told
from mox_store.group import Connection, Groups, Operation, undo
from mox_store.wal import Presence, Wal, rewrite

log = logging.getLogger("mox.store")

T = TypeVar("T")
Durability = Literal["group", "full"]

BLOCKING_LOCK_MS = 30_000
# A read meets a lock only for the moment in which another process opens or closes the database.
READ_LOCK_MS = 1_000
# Checkpoints sync twice, so they run in a thread when this much of the WAL is in use.
CHECKPOINT_BYTES = 4 * 1024 * 1024
# First without keeping anybody out; then writers wait for the little that came in meanwhile, so that the WAL can begin
# anew under any load.  A reader in the way is waited for this long.
CHECKPOINT_LOCK_MS = 50


class Database:
    """One database file.  All methods belong to one thread.

    `schema` makes the newest version; `upgrades[n]` leads from version n to n + 1.  `first(database)` is called while
    no other process has it open.  Without a loop only `write()` can be used.  Raises StoreError."""

    def __init__(
        self,
        path: Path,
        schema: str,
        upgrades: Mapping[int, Operation[None]] | None = None,
        *,
        loop: Loop | None = None,
        syncer: Syncer | None = None,
        durability: Durability = "group",
        disk: Disk | None = None,
        first: Callable[[Database], None] | None = None,
    ) -> None:
        self.path = path
        self.flushes = 0
        self._disk = disk or Disk()
        self._durability = durability
        self._syncer = syncer or (Syncer(loop) if loop is not None else None)
        self._own_syncer = syncer is None
        self._checkpointing = False
        self._checkpoint_at = CHECKPOINT_BYTES
        self._closed = False
        self._broken = ""
        self._wal: Wal | None = None
        self._presence: Presence | None = None
        self._groups: Groups | None = None
        if loop is not None:
            assert self._syncer is not None
            self._groups = Groups(self, loop, self._syncer, full=durability == "full")
        try:
            self._open(schema, upgrades or {}, first)
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            raise told(error, f"{path} cannot be used") from error
        except BaseException:
            self._give_up()
            raise

    def _open(
        self, schema: str, upgrades: Mapping[int, Operation[None]], first: Callable[[Database], None] | None
    ) -> None:
        self._presence = Presence(self.path)
        alone = self._presence.alone()
        if not alone:
            self._presence.share()
        if broken_mark(self.path).exists():
            self._mend(alone)
        self.connection = self._connect()
        self._make(schema, upgrades)
        self._wal = Wal(self.path, self._disk)
        # The names of database and WAL are on disk before anything is acknowledged.
        self._wal.sync()
        self._disk.sync_folder(self.path.parent)
        if alone:
            if first is not None:
                first(self)
            self._presence.share()

    def _mend(self, alone: bool) -> None:
        if not alone:
            raise StoreError(f"{self.path}: a sync failed in another process; stop all that use it, then start again")
        rewrite(self.path, self._disk)
        broken_mark(self.path).unlink(missing_ok=True)
        log.warning("the log was written anew after a failed sync", extra={"database": str(self.path)})

    def _give_up(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()
        if self._wal is not None:
            self._wal.close()
        if self._presence is not None:
            self._presence.close()
        if self._syncer is not None and self._own_syncer:
            self._syncer.close()

    def _connect(self) -> Connection:
        db = self._disk.connect(self.path)
        try:
            db.execute(f"PRAGMA busy_timeout={BLOCKING_LOCK_MS}")
            if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                raise StoreError(f"{self.path}: this file system cannot hold a write-ahead log (no shared memory?)")
            db.execute(f"PRAGMA synchronous={'FULL' if self._durability == 'full' else 'NORMAL'}")
            db.execute("PRAGMA wal_autocheckpoint=0")
            db.execute("PRAGMA cache_size=-8000")
            db.execute("PRAGMA temp_store=MEMORY")
            # Not mapped: an I/O error under a mapping is a signal that ends the process.
            db.execute("PRAGMA mmap_size=0")
        except BaseException:
            db.close()
            raise
        return db

    # -- versions

    def _make(self, schema: str, upgrades: Mapping[int, Operation[None]]) -> None:
        db, newest = self.connection, max(upgrades, default=0) + 1
        # A write transaction in any case: it makes the WAL exist.
        db.execute("BEGIN IMMEDIATE")
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > newest:
                raise StoreError(
                    f"{self.path} was written by a newer version of this program "
                    f"(its format is {version}, this program knows {newest}): update this program"
                )
            if version == 0:
                for statement in statements(schema):
                    db.execute(statement)
                version = newest
            while version < newest:
                log.info("upgrading", extra={"database": str(self.path), "version": version + 1})
                upgrades[version](db)
                version += 1
            db.execute(f"PRAGMA user_version={version}")
            db.execute("COMMIT")
        except BaseException:
            undo(db)
            raise
        db.execute("PRAGMA busy_timeout=0")

    # -- changing

    def commit(self, operation: Operation[T], durable: Callable[[T], None] | None = None) -> Future[T]:
        """Runs `operation` in the next shared transaction; the future is done when it is on disk.

        If it raises, what it did is undone and the future gets its exception.  It may be run a second time, when
        another operation of its group raised; so it must change nothing but the database.  `durable(result)` is called
        right before the futures of the group are done.  StoreError when the disk fails or too much waits."""
        assert self._groups is not None, "commit() needs a loop; use write()"
        return self._groups.commit(operation, durable)

    @property
    def busy(self) -> bool:
        """Is something applied that is not on disk yet?"""
        return self._groups is not None and self._groups.running

    def refusal(self) -> str:
        """Why nothing is taken; "" when all is well."""
        return f"{self.path} is closed" if self._closed else self._broken

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A durable transaction for command lines and start-up: on return it is on disk.  Raises StoreError."""
        db = self.connection
        if problem := self.refusal():
            raise StoreError(problem)
        try:
            with self._patient(BLOCKING_LOCK_MS):
                db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                undo(db)
                raise
            self.sync()
        except (sqlite3.Error, OSError) as error:
            raise told(error) from error

    @contextmanager
    def _patient(self, milliseconds: int) -> Iterator[None]:
        self.connection.execute(f"PRAGMA busy_timeout={milliseconds}")
        try:
            yield
        finally:
            self.connection.execute("PRAGMA busy_timeout=0")

    # -- reading

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that see one state of the data; never held across a wait.  Raises StoreError."""
        db = self.connection
        try:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                undo(db)
        except sqlite3.Error as error:
            raise told(error) from error

    def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """All rows of one SELECT.  Never a lazy cursor: an open one keeps the WAL from starting anew."""
        try:
            try:
                return self.connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
            with self._patient(READ_LOCK_MS):
                return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise told(error) from error

    def row(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any | None:
        """The first row of one SELECT, or None.  Raises StoreError."""
        rows = self.rows(statement, values)
        return rows[0] if rows else None

    # -- syncing

    def sync(self) -> None:
        """Makes all that is committed durable, by whichever process; blocks.  Raises StoreError."""
        if problem := self.refusal():
            raise StoreError(problem)
        try:
            self.sync_log()
        except OSError as error:
            self.synced(error)
            raise StoreError(self._broken) from error
        self.synced(None)

    def sync_log(self) -> None:
        """mox_store.group.Shared; in a helper thread."""
        assert self._wal is not None
        self._wal.sync()

    def synced(self, error: BaseException | None) -> None:
        """mox_store.group.Shared.  After a failed sync nothing more is taken: the kernel may have dropped what it could
        not write, a later sync would claim success, and frames behind a hole in the WAL are worth nothing.  The next
        start writes the WAL anew, and SQLite reads it with its checksums."""
        if error is None:
            self.flushes += 1
            self._maybe_checkpoint()
            return
        if not self._broken:
            self._broken = f"{self.path}: a sync failed ({error}); nothing more is taken until the program is restarted"
            self._disk.mark_broken(self.path)
            if self._groups is not None:
                self._groups.end(self._broken)

    # -- checkpoints

    def _maybe_checkpoint(self) -> None:
        if self._checkpointing or self._wal is None or self._closed or not self._wal.holds(self._checkpoint_at):
            return
        self._checkpointing = True
        if self._syncer is not None:
            self._syncer.submit(self._checkpoint, self._checkpointed)
            return
        error = None
        try:
            self._checkpoint()
        except sqlite3.Error as caught:
            error = caught
        self._checkpointed(error)

    def _checkpoint(self) -> None:
        db = self._disk.connect(self.path)
        try:
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA busy_timeout={CHECKPOINT_LOCK_MS}")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            db.close()
        # Somebody reads an old state, or writes without a pause: try again when more has gathered.
        self._checkpoint_at = self._checkpoint_at + CHECKPOINT_BYTES if busy else CHECKPOINT_BYTES

    def _checkpointed(self, error: BaseException | None) -> None:
        self._checkpointing = False
        if error is not None:
            self._checkpoint_at += CHECKPOINT_BYTES
            log.warning("checkpoint failed", extra={"database": str(self.path), "error": str(error)})

    def checkpoint(self) -> None:
        """Moves everything from the WAL into the database file; blocks.  Raises StoreError."""
        with self._patient(BLOCKING_LOCK_MS):
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    # -- closing

    def alone(self) -> bool:
        """Before closing: does no other process have it open?  From then on others wait until we have closed."""
        return self._presence is not None and self._presence.alone()

    def close(self) -> None:
        """Closes; what was not acknowledged fails.  Waits for a sync that is under way."""
        if self._closed:
            return
        self._closed = True
        if self._groups is not None:
            self._groups.end(f"{self.path} is closing")
        if self._syncer is not None:
            self._syncer.wait()
            if self._own_syncer:
                self._syncer.close()
        if self._broken:
            # The last connection moves the WAL into the database: what it reads there has to be on disk first.
            with suppress(OSError):
                rewrite(self.path, self._disk)
        if self._wal is not None:
            self._wal.close()
        with suppress(sqlite3.Error):
            self.connection.close()
        if self._presence is not None:
            self._presence.close()


def statements(schema: str) -> Iterator[str]:
    """The statements of a schema, one by one: executescript would commit on its own."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
