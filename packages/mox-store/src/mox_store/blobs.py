"""Message bytes: small ones in the database, large ones in append-only segments.

A segment belongs to one process; records are (magic, length, CRC-32) and bytes, synced before their row is written, so
a crash leaves dead bytes and never a row without its bytes."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path

from mox_message import Content
from mox_store.disk import Disk, StoreError, told
from mox_store.message import Staged

# Up to here a message is a row: one sync, nothing to recover.  Above, a segment writes each byte once.
BLOB_LIMIT = 32 * 1024
SEGMENT_SIZE = 256 * 1024 * 1024
# Room is taken in steps, so that most syncs need not write the file's size.
GROW = 4 * 1024 * 1024
RECORD = struct.Struct("<4sQI")
MAGIC = b"moxB"
_NONE = (-1, -1)


class Segments:
    """The segments of an account.  `stage` may be called in any thread; reading is free of locks."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._lock = threading.Lock()
        # (number, descriptor) of the segment that we write: one value, because readers in other threads look at it.
        self._current = _NONE
        self._end = 0
        self._allocated = 0
        self._open: dict[int, int] = {}

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self._folder / f"{number:08d}.seg"

    def _begin(self) -> None:
        """A new segment of our own; the name is taken by creating it, so that no two processes share one."""
        self._disk.make_folder(self._folder)
        number = max((int(p.stem) for p in self._folder.glob("*.seg")), default=0)
        while True:
            number += 1
            try:
                descriptor = self._disk.open(self.path(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
                break
            except FileExistsError:
                continue
        try:
            self._disk.sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        self._leave()
        self._end = self._allocated = 0
        self._current = number, descriptor

    def _leave(self) -> None:
        """No more goes into the present segment; it stays open for reading."""
        number, descriptor = self._current
        if descriptor >= 0:
            os.ftruncate(descriptor, self._end)
            self._open[number] = descriptor
        self._current = _NONE

    def stage(self, content: Content) -> Staged:
        """Writes and syncs `content`; blocks.  Raises StoreError."""
        with self._lock:
            try:
                return self._stage(content)
            except OSError as error:
                raise told(error, "cannot write a segment") from error

    def _stage(self, content: Content) -> Staged:
        if self._current is _NONE or self._end + content.size > SEGMENT_SIZE:
            self._begin()
        number, descriptor = self._current
        start = self._end
        at = start + RECORD.size
        need = at + content.size
        if need > self._allocated:
            self._disk.allocate(descriptor, 0, need + GROW)
            self._allocated = need + GROW
        checksum = 0
        for chunk in content.chunks():
            checksum = zlib.crc32(chunk, checksum)
            self._disk.write(descriptor, chunk, at)
            at += len(chunk)
        self._disk.write(descriptor, RECORD.pack(MAGIC, content.size, checksum), start)
        try:
            self._disk.sync(descriptor)
        except OSError:
            self._leave()  # what the kernel could not write it may have dropped: nothing more goes into this file
            raise
        self._end = at
        return Staged(number, start + RECORD.size, content.size)

    def content(self, segment: int, at: int, length: int) -> Content:
        """The bytes of a record.  Raises StoreError when the segment is gone."""
        return Content.file(self._reader(segment), at, length)

    def _reader(self, segment: int) -> int:
        number, current = self._current
        if segment == number:
            return current
        descriptor = self._open.get(segment)
        if descriptor is None:
            try:
                descriptor = self._disk.open(self.path(segment), os.O_RDONLY)
            except OSError as error:
                raise told(error, f"segment {self.path(segment)}") from error
            self._open[segment] = descriptor
        return descriptor

    def check(self, segment: int, at: int, length: int) -> str:
        """What is wrong with a record; "" when nothing is."""
        where = f"segment {segment} at {at}"
        try:
            magic, size, checksum = RECORD.unpack(os.pread(self._reader(segment), RECORD.size, at - RECORD.size))
            if magic != MAGIC or size != length:
                return f"{where}: no record of {length} bytes"
            found = 0
            for chunk in self.content(segment, at, length).chunks():
                found = zlib.crc32(chunk, found)
        except (StoreError, OSError, struct.error) as error:
            return f"{where}: {error}"
        return "" if found == checksum else f"{where}: the checksum differs"

    def numbers(self) -> list[int]:
        """The segments that there are."""
        return sorted(int(path.stem) for path in self._folder.glob("*.seg"))

    def sweep(self, used: set[int]) -> None:
        """Removes segments that no message refers to; only while no other process has the account open."""
        for number in self.numbers():
            if number not in used and number != self._current[0]:
                self.path(number).unlink(missing_ok=True)

    def punch(self, segment: int, at: int, length: int) -> None:
        """Gives the room of a dead record back, header included."""
        try:
            descriptor = self._disk.open(self.path(segment), os.O_RDWR)
        except OSError:
            return
        try:
            self._disk.punch(descriptor, at - RECORD.size, length + RECORD.size)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Closes the files; gives back room that was taken ahead."""
        with self._lock:
            self._leave()
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
