"""The write-ahead log as a file: we sync it, see how full it is, and write it anew after a failed sync.

Opening and closing it is safe beside SQLite, which takes its locks on the database file and on the -shm file only."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from mox_store.disk import Disk

# https://www.sqlite.org/fileformat2.html#walformat: a header, then frames of a header and a page each.
_HEADER = 32
_FRAME_HEADER = 24
_SALTS = 8
_PIECE = 1 << 20


class Wal:
    """The log of an open database; the file is there as long as a connection is.  Raises OSError."""

    def __init__(self, database: Path, disk: Disk) -> None:
        self._path = Path(f"{database}-wal")
        self._disk = disk
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def sync(self) -> None:
        """Waits until everything that any process has written to it is on disk."""
        if os.fstat(self._descriptor).st_nlink == 0:
            raise OSError(f"{self._path} was removed by another program")
        self._disk.sync(self._descriptor)

    def holds(self, size: int) -> bool:
        """Are more than `size` bytes of it in use?  The file does not shrink when it starts anew, but its salt changes,
        and frames behind the last one of this round carry an older salt."""
        header = os.pread(self._descriptor, _HEADER, 0)
        if len(header) < _HEADER:
            return False
        frame = _FRAME_HEADER + int.from_bytes(header[8:12], "big")
        at = _HEADER + size // frame * frame
        return os.pread(self._descriptor, _SALTS, at + 8) == header[16:24]

    def close(self) -> None:
        """Closes the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def rewrite(database: Path, disk: Disk) -> None:
    """Writes the log's own bytes over it and syncs.  After a failed sync the kernel takes unwritten pages for written;
    so they are written.  Frames whose bytes were lost fail their checksum when SQLite reads it.  Raises OSError."""
    with suppress(FileNotFoundError):
        descriptor = os.open(f"{database}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            at = 0
            while piece := os.pread(descriptor, _PIECE, at):
                disk.write(descriptor, piece, at)
                at += len(piece)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)


class Presence:
    """Who else has a database open: a lock that every process shares, and that is exclusive while one is alone."""

    def __init__(self, database: Path) -> None:
        self._descriptor = os.open(f"{database}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def alone(self) -> bool:
        """Takes the lock for us only, if nobody else has the database open."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Waits for one who is alone, then is one of many."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Gives the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
