"""What the store asks of the disk, and the helper thread that waits for it.

Everything that can fail on a bad day goes through `Disk`, so that tests can make the day bad."""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import sqlite3
import threading
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

_PUNCH_HOLE_KEEP_SIZE = 3


class StoreError(Exception):
    """The store could not do it: the disk is full, the data is damaged, another program holds the lock."""


def told(error: BaseException, where: str = "") -> BaseException:
    """SQLite's and the system's errors as ours; anything else, and what is a mistake of the caller's SQL, as it is."""
    if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_ERROR:  # a mistake in a statement
            return error
    elif isinstance(error, OSError):
        code = sqlite3.SQLITE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else 0
    else:
        return error
    text = _WORDS.get(code) or (error.strerror if isinstance(error, OSError) and error.strerror else str(error))
    mine = StoreError(f"{where}: {text}" if where else text)
    mine.__cause__ = error
    return mine


_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, then try again",
    sqlite3.SQLITE_BUSY: "another program holds the lock; stop it, or wait until it is done",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; is the folder there, and may this user write to it?",
    sqlite3.SQLITE_READONLY: "may not be written; whose file is it?",
    sqlite3.SQLITE_NOTADB: "this is not a database of SQLite, or it is damaged; restore it from a backup",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; `python -m mox_store check` says how, a backup mends it",
}


class Loop(Protocol):
    """What the shared commit needs of an event loop; asyncio's and uvloop's have it."""

    def create_future(self) -> Future[Any]: ...
    def call_soon(self, callback: Callable[..., object], *args: Any) -> Any: ...
    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> Any: ...
    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any: ...
    def time(self) -> float: ...


class Disk:
    """The system calls.  A subclass may fail them."""

    def connect(self, path: Path) -> sqlite3.Connection:
        """A connection of SQLite's; it opens the database file itself, and nobody else may (POSIX locks)."""
        with suppress(FileExistsError):  # a new file is ours alone: SQLite would let others read it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=256)

    def sync(self, descriptor: int) -> None:
        """fdatasync.  Raises OSError."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Makes the names in `folder` durable.  Raises OSError."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        """A private folder, its name durable.  Raises OSError."""
        if not folder.is_dir():
            if not folder.parent.is_dir():
                self.make_folder(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            self.sync_folder(folder.parent)

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        """All of `data` at an offset.  Raises OSError."""
        written = os.pwrite(descriptor, data, at)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], at + written)

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        """Takes room, so that later syncs need not write the file's size.  Raises OSError when there is none."""
        os.posix_fallocate(descriptor, start, length)

    def punch(self, descriptor: int, start: int, length: int) -> None:
        """Gives the room of dead bytes back, where the file system can; otherwise they stay."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate(
            ctypes.c_int(descriptor),
            ctypes.c_int(_PUNCH_HOLE_KEEP_SIZE),
            ctypes.c_int64(start),
            ctypes.c_int64(length),
        )

    def open(self, path: Path, flags: int) -> int:
        """A private file, opened.  Raises OSError."""
        return os.open(path, flags | os.O_CLOEXEC, 0o600)

    def mark_broken(self, database: Path) -> None:
        """Leaves a note for other processes and the next start: a sync failed here."""
        with suppress(OSError):
            broken_mark(database).touch(mode=0o600)


def broken_mark(database: Path) -> Path:
    """The note that a sync of this database failed."""
    return Path(f"{database}-broken")


Job = tuple[Callable[[], object], Callable[[BaseException | None], None]]
# Databases are synced independently; a few waits at once keep a disk busy, more do not help it.
THREADS = 4


class Syncer:
    """A few helper threads that wait for the disk, so that the loop does not."""

    def __init__(self, loop: Loop, name: str = "sync", threads: int = THREADS) -> None:
        self._loop = loop
        self._name = name
        self._most = threads
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    def submit(self, work: Callable[[], object], done: Callable[[BaseException | None], None]) -> None:
        """Runs `work` in a thread, then `done(error or None)` on the loop.  Belongs to the loop's thread."""
        self._under_way += 1
        if self._under_way > len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put((work, done))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:
                error = caught
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._over, done, error)
            self._jobs.task_done()

    def _over(self, done: Callable[[BaseException | None], None], error: BaseException | None) -> None:
        self._under_way -= 1
        done(error)

    def wait(self) -> None:
        """Blocks until the work that was submitted is over; its `done` may still be to come."""
        if self._threads:
            self._jobs.join()

    def close(self) -> None:
        """Ends the threads after what was submitted."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join()
        self._jobs = queue.Queue()  # the ends of threads are no tasks: start with a clean count
