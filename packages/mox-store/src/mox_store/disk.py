"""What the store asks of the disk, and the helper thread that waits for it.

Everything that can fail on a bad day goes through `Disk`, so that tests can make the day bad."""

from __future__ import annotations

import ctypes
import os
import queue
import sqlite3
import threading
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

BROKEN = "broken"
_PUNCH_HOLE_KEEP_SIZE = 3


class StoreError(Exception):
    """The store could not do it: the disk is full, the data is damaged, another program holds the lock."""


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

    def mark_broken(self, folder: Path) -> None:
        """Leaves a note for other processes and the next start: a sync failed here."""
        with suppress(OSError):
            (folder / BROKEN).touch(mode=0o600)


Job = tuple[Callable[[], object], Callable[[BaseException | None], None]]


class Syncer:
    """One helper thread that waits for the disk, so that the loop does not."""

    def __init__(self, loop: Loop, name: str = "sync") -> None:
        self._loop = loop
        self._name = name
        self._jobs: queue.SimpleQueue[Job | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], object], done: Callable[[BaseException | None], None]) -> None:
        """Runs `work` in the thread, then `done(error or None)` on the loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put((work, done))

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, threading.Event):
                job.set()
                continue
            work, done = job
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:
                error = caught
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(done, error)

    def wait(self) -> None:
        """Blocks until what was submitted is over."""
        if self._thread is not None:
            reached = threading.Event()
            self._jobs.put(reached)
            reached.wait()

    def close(self) -> None:
        """Ends the thread after what was submitted."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
