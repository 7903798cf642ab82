"""The only room that knows SQLite: durable transactions, many requests to one sync.

Requests that arrive while the disk syncs wait; then one `BEGIN IMMEDIATE … COMMIT` on the loop applies all of them
(WAL, `synchronous=NORMAL`: no sync inside), a helper thread syncs the WAL, and only then are they answered.  Whoever
was answered has it on disk.  Why that is safe, and how it was proven: docs/decisions/0003-shared-commit.md."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

log = logging.getLogger("mox.store")

T = TypeVar("T")
Connection = sqlite3.Connection
Operation = Callable[[Connection], T]
Durability = Literal["group", "full"]

# The loop runs transactions itself; longer groups are cut so that connections do not notice.
GROUP_SECONDS = 0.005
GROUP_MOST = 256
# Another worker holds the write lock for milliseconds at most; the loop never waits for it, it comes back.
RETRY_SECONDS = 0.001
RETRY_MOST_SECONDS = 0.02
LOCK_SECONDS = 30.0
WAITING_MOST = 10_000
# Checkpoints sync twice, so they run in a thread, and only when this many pages of WAL have gathered.
CHECKPOINT_PAGES = 1000
PAGE = 4096


class StoreError(Exception):
    """The store could not do it: the disk is full, the data is damaged, another program holds the lock."""


class Loop(Protocol):
    """What the shared commit needs of an event loop; asyncio's and uvloop's have it."""

    def create_future(self) -> Future[Any]: ...
    def call_soon(self, callback: Callable[..., object], *args: Any) -> Any: ...
    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> Any: ...
    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any: ...
    def time(self) -> float: ...


class Syncer:
    """One helper thread that syncs descriptors for every database of the process."""

    def __init__(self, loop: Loop, sync: Callable[[int], None] = os.fdatasync) -> None:
        self._loop = loop
        self._sync = sync
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Callable[[BaseException | None], None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Runs `work` in the thread, then `done(error or None)` on the loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
            self._thread.start()
        self._jobs.put((work, done))

    def descriptor(self, number: int) -> None:
        """fdatasync, as injected."""
        self._sync(number)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:
                error = caught
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def close(self) -> None:
        """Ends the thread after what was submitted."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None


class _Request(Generic[T]):
    __slots__ = ("future", "operation", "result", "since")

    def __init__(self, operation: Operation[T], future: Future[T], since: float) -> None:
        self.operation = operation
        self.future = future
        self.since = since
        self.result: T | None = None


def connect(path: Path, durability: Durability = "group") -> Connection:
    """A connection with our settings.  Raises StoreError."""
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=256)
        db.execute("PRAGMA busy_timeout=10000")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("PRAGMA cache_size=-8000")
        db.execute("PRAGMA mmap_size=268435456")
        db.execute("PRAGMA temp_store=MEMORY")
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return db


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Database:
    """A SQLite database whose commits are shared and durable.

    `schema` makes version 1; `upgrades[n]` leads from version n to n + 1.  Without a loop only `write()` can be used."""

    def __init__(
        self,
        path: Path,
        schema: str,
        upgrades: Mapping[int, Operation[None]] | None = None,
        *,
        loop: Loop | None = None,
        syncer: Syncer | None = None,
        durability: Durability = "group",
    ) -> None:
        self.path = path
        self.flushes = 0
        self._loop = loop
        self._durability = durability
        self._syncer = syncer or (Syncer(loop) if loop is not None else None)
        self._own_syncer = syncer is None
        self._waiting: deque[_Request[Any]] = deque()
        self._running = False
        self._retry = RETRY_SECONDS
        self._checkpointing = False
        self._closed = False
        self._broken: BaseException | None = None
        self.connection = connect(path, durability)
        self._make(schema, upgrades or {})
        self._wal = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        sync_folder(path.parent)
        if loop is not None:
            self.connection.execute("PRAGMA busy_timeout=0")

    # -- versions

    def _make(self, schema: str, upgrades: Mapping[int, Operation[None]]) -> None:
        newest = max(upgrades, default=0) + 1
        try:
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version > newest:
                raise StoreError(
                    f"{self.path} was written by a newer version (format {version}, this program knows {newest}); update this program"
                )
            # A write in any case: it makes the WAL exist.
            self.connection.execute("BEGIN IMMEDIATE")
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _statements(schema):
                    self.connection.execute(statement)
                version = newest
            while version < newest:
                upgrades[version](self.connection)
                version += 1
            self.connection.execute(f"PRAGMA user_version={version}")
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be used: {error}") from error

    # -- the shared commit

    def commit(self, operation: Operation[T]) -> Future[T]:
        """Runs `operation` in the next shared transaction; the future is done when it is on disk.

        If it raises, what it did is undone and the future gets its exception.  StoreError when the disk fails."""
        assert self._loop is not None, "commit() needs a loop; use write()"
        future: Future[T] = self._loop.create_future()
        if problem := self._refusal():
            future.set_exception(StoreError(problem))
            return future
        self._waiting.append(_Request(operation, future, self._loop.time()))
        if not self._running:
            self._running = True
            self._loop.call_soon(self._group)
        return future

    def _refusal(self) -> str:
        if self._closed:
            return "the store is closed"
        if self._broken is not None:
            return f"{self.path}: a sync failed ({self._broken}); nothing more is taken until a restart"
        return "too many changes are waiting" if len(self._waiting) >= WAITING_MOST else ""

    def _group(self) -> None:
        assert self._loop is not None
        if not self._waiting:
            self._running = False
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._not_now(error)
            return
        self._retry = RETRY_SECONDS
        done: list[_Request[Any]] = []
        end = self._loop.time() + GROUP_SECONDS
        while self._waiting and len(done) < GROUP_MOST:
            request = self._waiting.popleft()
            if self._apply(request):
                done.append(request)
            elif not self.connection.in_transaction:
                # SQLite gave up the whole transaction (the disk is full): what seemed done is gone with it.
                self._fail(done, StoreError("the disk takes no more"))
                return
            if self._loop.time() > end:
                break
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            self._fail(done, error)
            return
        self._sync(done)

    def _not_now(self, error: sqlite3.Error) -> None:
        """Another process holds the lock (come back soon), or something worse."""
        assert self._loop is not None
        if "locked" in str(error) or "busy" in str(error):
            if self._loop.time() - self._waiting[0].since < LOCK_SECONDS:
                self._loop.call_later(self._retry, self._group)
                self._retry = min(self._retry * 2, RETRY_MOST_SECONDS)
                return
        request = self._waiting.popleft()
        self._fail([request], error)

    def _apply(self, request: _Request[Any]) -> bool:
        db = self.connection
        try:
            db.execute("SAVEPOINT one")
            request.result = request.operation(db)
            db.execute("RELEASE one")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK TO one")
                db.execute("RELEASE one")
            if not request.future.done():
                request.future.set_exception(_told(error))
            return False
        return True

    def _sync(self, done: list[_Request[Any]]) -> None:
        assert self._syncer is not None
        syncer = self._syncer
        if self._durability == "full" or not done:
            self._synced(done, None)
            return
        self.flushes += 1
        syncer.submit(lambda: syncer.descriptor(self._wal), lambda error: self._synced(done, error))

    def _synced(self, done: list[_Request[Any]], error: BaseException | None) -> None:
        if error is not None:
            # After a failed sync the kernel may have dropped what it could not write, and a later sync would lie:
            # frames behind a hole in the WAL are worth nothing.  So this was the last group.
            self._broken = error
            waiting, self._waiting = list(self._waiting), deque()
            self._fail([*done, *waiting], error)
            return
        for request in done:
            if not request.future.cancelled():
                request.future.set_result(request.result)
        self._maybe_checkpoint()
        self._group()

    def _fail(self, requests: list[_Request[Any]], error: BaseException) -> None:
        log.error("commit failed", extra={"database": str(self.path), "error": str(error), "requests": len(requests)})
        for request in requests:
            if not request.future.done():
                request.future.set_exception(_told(error))
        self._group()

    def _undo(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    # -- blocking

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A durable transaction for command lines and start-up: on return it is on disk.  Raises StoreError."""
        db = self.connection
        try:
            db.execute("PRAGMA busy_timeout=30000")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                self._undo()
                raise
            db.execute("COMMIT")
            os.fdatasync(self._wal)
            self.flushes += 1
        except (sqlite3.Error, OSError) as error:
            self._undo()
            raise _told(error) from error
        finally:
            if self._loop is not None:
                db.execute("PRAGMA busy_timeout=0")

    # -- checkpoints

    def _maybe_checkpoint(self) -> None:
        if self._checkpointing or self._syncer is None or os.fstat(self._wal).st_size < CHECKPOINT_PAGES * PAGE:
            return
        self._checkpointing = True
        self._syncer.submit(self._checkpoint, self._checkpointed)

    def _checkpoint(self) -> None:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        try:
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            db.close()

    def _checkpointed(self, error: BaseException | None) -> None:
        self._checkpointing = False
        if error is not None:
            log.warning("checkpoint failed", extra={"database": str(self.path), "error": str(error)})

    def close(self) -> None:
        """Closes; what was not acknowledged fails.  Call it when nothing runs any more."""
        if self._closed:
            return
        self._closed = True
        for request in self._waiting:
            if not request.future.done():
                request.future.set_exception(StoreError("the store is closing"))
        self._waiting.clear()
        if self._syncer is not None and self._own_syncer:
            self._syncer.close()
        os.close(self._wal)
        self.connection.close()


def _told(error: BaseException) -> BaseException:
    """SQLite's and the system's errors as ours; anything else as it is."""
    if isinstance(error, sqlite3.Error | OSError) and not isinstance(error, sqlite3.ProgrammingError):
        told = StoreError(str(error))
        told.__cause__ = error
        return told
    return error


def _statements(schema: str) -> Iterator[str]:
    """The statements of a schema, one by one: executescript would commit on its own."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
