"""The shared commit: requests that arrive while the disk syncs wait; then one transaction applies all of them.

`BEGIN IMMEDIATE … COMMIT` runs on the loop (WAL, `synchronous=NORMAL`: no sync inside), a helper thread syncs the WAL,
and only then are the requests answered.  Whoever was answered has it on disk.  Why that is safe, and how it was proven:
docs/decisions/0003-store-shared-commit.md."""

from __future__ import annotations

import logging
import sqlite3
from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from mox_store.disk import Loop, StoreError, Syncer, told

log = logging.getLogger("mox.store")

T = TypeVar("T")
Connection = sqlite3.Connection
Operation = Callable[[Connection], T]

# The loop runs transactions itself; longer groups are cut so that connections do not notice.
GROUP_SECONDS = 0.005
GROUP_MOST = 256
# Another worker holds the write lock for milliseconds at most; the loop never waits for it, it comes back.
RETRY_SECONDS = 0.0005
RETRY_MOST_SECONDS = 0.01
LOCK_SECONDS = 30.0
WAITING_MOST = 10_000
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Shared(Protocol):
    """What a group needs of its database."""

    connection: Connection

    def sync_log(self) -> None:
        """Waits for the disk, in a helper thread.  Raises OSError."""
        ...

    def synced(self, error: BaseException | None) -> None:
        """A sync is over; it may have failed, and then nothing more may be taken."""
        ...

    def refusal(self) -> str:
        """Why nothing is taken; "" when all is well."""
        ...


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


class Groups:
    """The requests of one process to one database.  All methods belong to the loop's thread."""

    def __init__(self, database: Shared, loop: Loop, syncer: Syncer, *, full: bool) -> None:
        self._database = database
        self._loop = loop
        self._syncer = syncer
        self._full = full  # SQLite syncs inside COMMIT
        self._waiting: deque[_Request[Any]] = deque()
        self._retry = RETRY_SECONDS
        self.running = False  # a group is applied, synced, or about to be

    def commit(self, operation: Operation[T], durable: Callable[[T], None] | None) -> Future[T]:
        """Database.commit"""
        future: Future[T] = self._loop.create_future()
        problem = self._database.refusal()
        if not problem and len(self._waiting) >= WAITING_MOST:
            problem = f"{WAITING_MOST} changes are waiting already; the disk is too slow for what comes in"
        if problem:
            future.set_exception(StoreError(problem))
            return future
        self._waiting.append(_Request(operation, durable, future, self._loop.time()))
        if not self.running:
            self.running = True
            self._loop.call_soon(self._group)
        return future

    def end(self, why: str) -> None:
        """What still waits fails."""
        waiting, self._waiting = list(self._waiting), deque()
        for request in waiting:
            request.fail(StoreError(why))

    def _group(self) -> None:
        if not self._waiting or self._database.refusal():
            self.running = False
            return
        try:
            done = self._together()
        except sqlite3.Error as error:  # from BEGIN
            self._not_now(error)
            return
        if self._full or not done:
            self._synced(done, None)
        else:
            self._syncer.submit(self._database.sync_log, lambda error: self._synced(done, error))

    def _not_now(self, error: sqlite3.Error) -> None:
        """Another process holds the lock (come back soon), or something worse."""
        if code(error) in _BUSY and self._loop.time() - self._waiting[0].since < LOCK_SECONDS:
            self._loop.call_later(self._retry, self._group)
            self._retry = min(self._retry * 2, RETRY_MOST_SECONDS)
            return
        self._failed([self._waiting.popleft()], error)
        self._loop.call_soon(self._group)

    def _together(self) -> list[_Request[Any]]:
        """Applies waiting requests in one transaction; those that are committed.  Raises sqlite3.Error from BEGIN."""
        db, waiting, clock = self._database.connection, self._waiting, self._loop.time
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
            undo(db)
            if len(done) > 1:
                return self._one_by_one(done)
            done.pop().fail(error)
            return done
        except BaseException:
            undo(db)
            self._failed(done, StoreError("interrupted"))
            raise
        return done if self._commit(done) else []

    def _one_by_one(self, requests: list[_Request[Any]]) -> list[_Request[Any]]:
        """One of them raised: each gets its own transaction, so that only the guilty are undone; still one sync."""
        db = self._database.connection
        done: list[_Request[Any]] = []
        rest = deque(requests)
        while rest:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:  # another process was quicker: the rest goes with the next group
                self._waiting.extendleft(reversed(rest))
                break
            request = rest.popleft()
            try:
                request.result = request.operation(db)
            except Exception as error:
                undo(db)
                request.fail(error)
                continue
            if self._commit([request]):
                done.append(request)
        return done

    def _commit(self, requests: list[_Request[Any]]) -> bool:
        try:
            self._database.connection.execute("COMMIT")
        except sqlite3.Error as error:
            undo(self._database.connection)
            self._failed(requests, error)
            return False
        return True

    def _synced(self, done: list[_Request[Any]], error: BaseException | None) -> None:
        self._database.synced(error)
        if error is not None:
            self.running = False
            self._failed(done, StoreError(self._database.refusal()))
            return
        for request in done:
            if request.durable is not None:
                request.durable(request.result)
        for request in done:
            if not request.future.done():
                request.future.set_result(request.result)
        if self._waiting:
            # After the answers: what they lead to may come along.
            self._loop.call_soon(self._group)
        else:
            self.running = False

    def _failed(self, requests: list[_Request[Any]], error: BaseException) -> None:
        log.error("commit failed", extra={"error": str(error), "requests": len(requests)})
        for request in requests:
            request.fail(error)


def undo(db: Connection) -> None:
    """Rolls back what is open.  SQLite does so itself after some errors."""
    if db.in_transaction:
        db.execute("ROLLBACK")


def code(error: sqlite3.Error) -> int:
    """The primary result code of an error of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
