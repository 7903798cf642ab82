"""The only room that knows SQLite: durable transactions, many requests to one sync.

Requests that arrive while the disk syncs wait; then one `BEGIN IMMEDIATE … COMMIT` on the loop applies all of them
(WAL, `synchronous=NORMAL`: no sync inside), a helper thread syncs the WAL, and only then are they answered.  Whoever
was answered has it on disk.  Why that is safe, and how it was proven: docs/decisions/0003-store-shared-commit.md."""

from __future__ import annotations

import logging
import os
import sqlite3
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from mox_store.disk import Disk, Loop, StoreError, Syncer

log = logging.getLogger("mox.store")

T = TypeVar("T")
Connection = sqlite3.Connection
Operation = Callable[[Connection], T]
Durability = Literal["group", "full"]

# The loop runs transactions itself; longer groups are cut so that connections do not notice.
GROUP_SECONDS = 0.005
GROUP_MOST = 256
# Another worker holds the write lock for milliseconds at most; the loop never waits for it, it comes back.
RETRY_SECONDS = 0.0005
RETRY_MOST_SECONDS = 0.01
LOCK_SECONDS = 30.0
WAITING_MOST = 10_000
BLOCKING_LOCK_MS = 30_000
# Checkpoints sync twice, so they run in a thread, when this much WAL has gathered; beyond the second size writers are
# kept out for the moment that the rest takes, so that the WAL stays bounded under any load.
CHECKPOINT_BYTES = 4 * 1024 * 1024
WAL_MOST_BYTES = 16 * 1024 * 1024
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class _Request(Generic[T]):
    __slots__ = ("durable", "future", "operation", "result", "since")

    def __init__(
        self, operation: Operation[T], durable: Callable[[T], None] | None, future: Future[T], since: float
    ) -> None:
        self.operation = operation
        self.durable = durable
        self.future = future
        self.since = since
        self.result: Any = None

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(told(error))


class Database:
    """A SQLite database whose commits are shared and durable.  All methods belong to one thread.

    `schema` makes the newest version; `upgrades[n]` leads from version n to n + 1.  Without a loop only `write()` can
    be used.  Raises StoreError."""

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
    ) -> None:
        self.path = path
        self.flushes = 0
        self._disk = disk or Disk()
        self._loop = loop
        self._durability = durability
        self._syncer = syncer or (Syncer(loop) if loop is not None else None)
        self._own_syncer = syncer is None
        self._waiting: deque[_Request[Any]] = deque()
        self._running = False  # a group is applied, synced, or about to be
        self._retry = RETRY_SECONDS
        self._checkpointing = False
        self._written = 0
        self._closed = False
        self._broken = ""
        self._wal = -1
        self.connection = self._connect()
        try:
            self._make(schema, upgrades or {})
            self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            # The names of database and WAL are on disk before anything is acknowledged.
            self._disk.sync(self._wal)
            self._disk.sync_folder(path.parent)
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            raise told(error, f"{path} cannot be used") from error
        except StoreError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self.connection.close()
        if self._wal >= 0:
            os.close(self._wal)
        if self._syncer is not None and self._own_syncer:
            self._syncer.close()

    def _connect(self) -> Connection:
        try:
            db = self._disk.connect(self.path)
            db.execute(f"PRAGMA busy_timeout={BLOCKING_LOCK_MS}")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA synchronous={'FULL' if self._durability == 'full' else 'NORMAL'}")
            db.execute("PRAGMA wal_autocheckpoint=0")
            db.execute("PRAGMA cache_size=-8000")
            db.execute("PRAGMA temp_store=MEMORY")
            # Not mapped: an I/O error under a mapping is a signal that ends the process.
            db.execute("PRAGMA mmap_size=0")
        except sqlite3.Error as error:
            raise told(error, f"{self.path} cannot be opened") from error
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
                for statement in _statements(schema):
                    db.execute(statement)
                version = newest
            while version < newest:
                upgrades[version](db)
                version += 1
            db.execute(f"PRAGMA user_version={version}")
            db.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    # -- the shared commit

    def commit(self, operation: Operation[T], durable: Callable[[T], None] | None = None) -> Future[T]:
        """Runs `operation` in the next shared transaction; the future is done when it is on disk.

        If it raises, what it did is undone and the future gets its exception.  It may be run a second time, when
        another operation of its group raised; so it must change nothing but the database.  `durable(result)` is called
        right before the futures of the group are done.  StoreError when the disk fails or too much waits."""
        assert self._loop is not None, "commit() needs a loop; use write()"
        future: Future[T] = self._loop.create_future()
        if problem := self._refusal():
            future.set_exception(StoreError(problem))
            return future
        self._waiting.append(_Request(operation, durable, future, self._loop.time()))
        if not self._running:
            self._running = True
            self._loop.call_soon(self._group)
        return future

    @property
    def busy(self) -> bool:
        """Is something applied that is not on disk yet?"""
        return self._running

    def _refusal(self) -> str:
        if self._closed:
            return f"{self.path} is closed"
        if self._broken:
            return self._broken
        return f"{self.path}: too many changes are waiting" if len(self._waiting) >= WAITING_MOST else ""

    def _group(self) -> None:
        if not self._waiting or self._closed or self._broken:
            self._running = False
            return
        try:
            done = self._together()
        except sqlite3.Error as error:  # from BEGIN
            self._not_now(error)
            return
        self._sync(done)

    def _not_now(self, error: sqlite3.Error) -> None:
        """Another process holds the lock (come back soon), or something worse."""
        assert self._loop is not None
        if _code(error) in _BUSY and self._loop.time() - self._waiting[0].since < LOCK_SECONDS:
            self._loop.call_later(self._retry, self._group)
            self._retry = min(self._retry * 2, RETRY_MOST_SECONDS)
            return
        self._failed([self._waiting.popleft()], error)
        self._loop.call_soon(self._group)

    def _together(self) -> list[_Request[Any]]:
        """Applies waiting requests in one transaction; those that are committed.  Raises sqlite3.Error from BEGIN."""
        assert self._loop is not None
        db, waiting, clock = self.connection, self._waiting, self._loop.time
        db.execute("BEGIN IMMEDIATE")
        self._retry = RETRY_SECONDS
        done: list[_Request[Any]] = []
        end = clock() + GROUP_SECONDS
        try:
            while waiting and len(done) < GROUP_MOST:
                request = waiting.popleft()
                done.append(request)
                request.result = request.operation(db)
                if clock() > end:
                    break
        except Exception as error:
            self._undo()
            if len(done) > 1:
                return self._one_by_one(done)
            done.pop().fail(error)
            return done
        except BaseException:
            self._undo()
            self._failed(done, StoreError("interrupted"))
            raise
        return done if self._commit(done) else []

    def _one_by_one(self, requests: list[_Request[Any]]) -> list[_Request[Any]]:
        """One of them raised: each gets its own transaction, so that only the guilty are undone; still one sync."""
        done: list[_Request[Any]] = []
        rest = deque(requests)
        while rest:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:  # another process was quicker: the rest goes with the next group
                self._waiting.extendleft(reversed(rest))
                break
            request = rest.popleft()
            try:
                request.result = request.operation(self.connection)
            except Exception as error:
                self._undo()
                request.fail(error)
                continue
            if self._commit([request]):
                done.append(request)
        return done

    def _commit(self, requests: list[_Request[Any]]) -> bool:
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            self._failed(requests, error)
            return False
        return True

    def _sync(self, done: list[_Request[Any]]) -> None:
        assert self._syncer is not None
        if self._durability == "full" or not done:
            self._synced(done, None)
            return
        self.flushes += 1
        self._syncer.submit(self._sync_wal, lambda error: self._synced(done, error))

    def _sync_wal(self) -> None:
        if os.fstat(self._wal).st_nlink == 0:
            raise OSError(f"{self.path}-wal was removed by another program")
        self._disk.sync(self._wal)

    def _synced(self, done: list[_Request[Any]], error: BaseException | None) -> None:
        if error is not None:
            self._break(f"a sync failed: {error}")
            self._failed(done, StoreError(self._broken))
            return
        for request in done:
            if request.durable is not None:
                request.durable(request.result)
        for request in done:
            if not request.future.done():
                request.future.set_result(request.result)
        self._maybe_checkpoint()
        if self._waiting and not self._closed:
            # After the answers: what they lead to may come along.
            assert self._loop is not None
            self._loop.call_soon(self._group)
        else:
            self._running = False

    def _break(self, why: str) -> None:
        """No more from here on.  After a failed sync the kernel may have dropped what it could not write, a later sync
        would claim success, and frames behind a hole in the WAL are worth nothing.  The next start reads the WAL
        with its checksums and writes everything anew."""
        self._running = False
        self._broken = f"{self.path}: {why}; nothing more is taken until the program is restarted"
        self._disk.mark_broken(self.path.parent)
        waiting, self._waiting = list(self._waiting), deque()
        self._failed(waiting, StoreError(self._broken))

    def _failed(self, requests: list[_Request[Any]], error: BaseException) -> None:
        log.error("commit failed", extra={"database": str(self.path), "error": str(error), "requests": len(requests)})
        for request in requests:
            request.fail(error)

    def _undo(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    # -- blocking

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A durable transaction for command lines and start-up: on return it is on disk.  Raises StoreError."""
        db = self.connection
        if problem := self._refusal():
            raise StoreError(problem)
        try:
            self._begin_blocking()
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self.sync()
            self._maybe_checkpoint()
        except (sqlite3.Error, OSError) as error:
            raise told(error) from error

    def _begin_blocking(self) -> None:
        db = self.connection
        db.execute(f"PRAGMA busy_timeout={BLOCKING_LOCK_MS}")
        try:
            db.execute("BEGIN IMMEDIATE")
        finally:
            db.execute("PRAGMA busy_timeout=0")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that see one state of the data.  Raises StoreError."""
        db = self.connection
        try:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                self._undo()
        except sqlite3.Error as error:
            raise told(error) from error

    def rows(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of one SELECT.  Never a lazy cursor: an open one would keep the WAL from starting anew."""
        try:
            return self.connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise told(error) from error

    def sync(self) -> None:
        """Makes all that is committed durable, by whichever process; blocks.  Raises StoreError."""
        if problem := self._refusal():
            raise StoreError(problem)
        try:
            self._sync_wal()
        except OSError as error:
            self._break(f"a sync failed: {error}")
            raise StoreError(self._broken) from error
        self.flushes += 1

    # -- checkpoints

    def _maybe_checkpoint(self) -> None:
        if self._checkpointing or self._syncer is None:
            return
        size = os.fstat(self._wal).st_size
        if size < CHECKPOINT_BYTES or self._backfilled(size):
            return
        self._checkpointing = True
        self._syncer.submit(self._checkpoint, self._checkpointed)

    def _backfilled(self, size: int) -> bool:
        """The WAL file does not shrink when it starts anew: count what was written since the last checkpoint."""
        (changes,) = self.connection.execute("SELECT total_changes()").fetchone()
        del size
        return bool(changes - self._written < 200)

    def _checkpoint(self) -> None:
        db = self._disk.connect(self.path)
        try:
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            db.close()

    def _checkpointed(self, error: BaseException | None) -> None:
        self._checkpointing = False
        if error is not None:
            log.warning("checkpoint failed", extra={"database": str(self.path), "error": str(error)})

    def checkpoint(self) -> None:
        """Moves everything from the WAL into the database file, blocking; at start, when we are alone."""
        try:
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise told(error) from error

    def close(self) -> None:
        """Closes; what was not acknowledged fails.  Waits for a sync that is under way."""
        if self._closed:
            return
        self._closed = True
        waiting, self._waiting = list(self._waiting), deque()
        for request in waiting:
            request.fail(StoreError(f"{self.path} is closing"))
        if self._syncer is not None:
            self._syncer.wait()
            if self._own_syncer:
                self._syncer.close()
        os.close(self._wal)
        self.connection.close()


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def told(error: BaseException, where: str = "") -> BaseException:
    """SQLite's and the system's errors as ours; anything else, and what is a mistake of the caller's SQL, as it is."""
    ours = type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError) or isinstance(error, OSError)
    if not ours:
        return error
    text = {sqlite3.SQLITE_FULL: "the disk is full", sqlite3.SQLITE_BUSY: "another program holds the lock"}.get(
        _code(error) if isinstance(error, sqlite3.Error) else 0, str(error)
    )
    mine = StoreError(f"{where}: {text}" if where else text)
    mine.__cause__ = error
    return mine


def _statements(schema: str) -> Iterator[str]:
    """The statements of a schema, one by one: executescript would commit on its own."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
