"""Message bytes: small ones in the database, large ones in append-only segments.

A segment belongs to one process; records are (length, CRC-32, bytes), synced before their row is written, so a crash
leaves dead bytes and never a row without its bytes."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path

from mox_message import Content
from mox_store.disk import Disk, StoreError
from mox_store.message import Staged

# Up to here a message is a row: one sync, nothing to recover.  Above, a segment writes each byte once.
BLOB_LIMIT = 32 * 1024
SEGMENT_SIZE = 256 * 1024 * 1024
# Room is taken in steps, so that most syncs need not write the file's size.
GROW = 4 * 1024 * 1024
RECORD = struct.Struct("<4sQI")
MAGIC = b"moxB"


class Segments:
    """The segments of an account.  `stage` may be called in any thread; reading is free of locks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._number = -1
        self._descriptor = -1
        self._end = 0
        self._allocated = 0
        self._open: dict[int, int] = {}

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.seg"

    def _begin(self) -> None:
        """A new segment of our own; the name is taken by creating it, so that no two processes share one."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max((int(p.stem) for p in self._folder.glob("*.seg")), default=0)
        while True:
            number += 1
            try:
                descriptor = os.open(self._path(number), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:
                continue
        Disk().sync_folder(self._folder)
        Disk().sync_folder(self._folder.parent)
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self._end)
            self._open[self._number] = self._descriptor
        self._number, self._descriptor, self._end, self._allocated = number, descriptor, 0, 0

    def stage(self, content: Content) -> Staged:
        """Writes and syncs `content`; blocks.  Raises StoreError."""
        with self._lock:
            try:
                return self._stage(content)
            except OSError as error:
                raise StoreError(f"cannot write a segment: {error.strerror}") from error

    def _stage(self, content: Content) -> Staged:
        if self._descriptor < 0 or self._end + content.size > SEGMENT_SIZE:
            self._begin()
        start = self._end
        at = start + RECORD.size
        need = at + content.size
        if need > self._allocated:
            self._allocated = need + GROW
            os.posix_fallocate(self._descriptor, 0, self._allocated)
        checksum = 0
        for chunk in content.chunks():
            checksum = zlib.crc32(chunk, checksum)
            written = 0
            while written < len(chunk):
                written += os.pwrite(self._descriptor, chunk[written:], at + written)
            at += len(chunk)
        os.pwrite(self._descriptor, RECORD.pack(MAGIC, content.size, checksum), start)
        os.fdatasync(self._descriptor)
        self._end = at
        return Staged(self._number, start + RECORD.size, content.size)

    def content(self, segment: int, at: int, length: int) -> Content:
        """The bytes of a record.  Raises StoreError when the segment is gone."""
        return Content.file(self._reader(segment), at, length)

    def _reader(self, segment: int) -> int:
        if segment == self._number:
            return self._descriptor
        descriptor = self._open.get(segment)
        if descriptor is None:
            try:
                descriptor = os.open(self._path(segment), os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise StoreError(f"segment {self._path(segment)}: {error.strerror}") from error
            self._open[segment] = descriptor
        return descriptor

    def check(self, segment: int, at: int, length: int) -> str:
        """What is wrong with a record; "" when nothing is."""
        try:
            magic, size, checksum = RECORD.unpack(os.pread(self._reader(segment), RECORD.size, at - RECORD.size))
        except (StoreError, struct.error) as error:
            return str(error)
        if magic != MAGIC or size != length:
            return f"segment {segment} at {at}: no record of {length} bytes"
        found = 0
        for chunk in self.content(segment, at, length).chunks():
            found = zlib.crc32(chunk, found)
        return "" if found == checksum else f"segment {segment} at {at}: checksum differs"

    def sweep(self, used: set[int]) -> None:
        """Removes segments that no message refers to; only while no other process has the account open."""
        for path in self._folder.glob("*.seg"):
            if int(path.stem) not in used and int(path.stem) != self._number:
                path.unlink()

    def close(self) -> None:
        """Closes the files; gives back room that was taken ahead."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self._end)
            os.close(self._descriptor)
            self._descriptor = -1
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
