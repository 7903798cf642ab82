"""A message's bytes at rest: in memory or in a file, with a prefix in front if there is one, readable at any offset.

Nothing here copies a whole message; who reads says how much."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 64 * 1024


class Content(ABC):
    """Immutable bytes with a size.  Offsets count from 0; `stop=None` is the end."""

    __slots__ = ("size",)

    size: int
    in_memory = False  # reading costs nothing: it is bytes that somebody holds anyway

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes from `start` to `stop`; fewer only at the end.  Raises OSError when a file cannot be read."""

    def chunks(self, start: int = 0, stop: int | None = None, size: int = CHUNK) -> Iterator[bytes]:
        """The bytes from `start` to `stop` in pieces of at most `size`.  Raises OSError."""
        end = self.size if stop is None else min(stop, self.size)
        while start < end:
            chunk = self.read(start, min(start + size, end))
            if not chunk:
                raise OSError(f"content ends at {start}, not at {end}")
            yield chunk
            start += len(chunk)

    @staticmethod
    def of(data: bytes) -> Content:
        """Bytes in memory."""
        return _Memory(data)

    @staticmethod
    def file(source: str | Path | int, start: int = 0, size: int | None = None) -> Content:
        """A file (path, or descriptor that stays the caller's), or a range of it.  Raises OSError."""
        if isinstance(source, int):
            return _File(source, start, size, owned=False)
        return _File(os.open(source, os.O_RDONLY | os.O_CLOEXEC), start, size, owned=True)

    @staticmethod
    def joined(prefix: bytes, content: Content) -> Content:
        """`prefix`, then `content`."""
        return _Joined(prefix, content) if prefix else content


class _Memory(Content):
    __slots__ = ("_data",)

    in_memory = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        if start == 0 and (stop is None or stop >= self.size):
            return self._data
        return self._data[start:stop]

    def chunks(self, start: int = 0, stop: int | None = None, size: int = CHUNK) -> Iterator[bytes]:
        end = self.size if stop is None else min(stop, self.size)
        if start == 0 and end == self.size <= size:
            if self._data:
                yield self._data
            return
        for at in range(start, end, size):
            yield self._data[at : min(at + size, end)]


class _File(Content):
    __slots__ = ("_descriptor", "_owned", "_start")

    def __init__(self, descriptor: int, start: int, size: int | None, *, owned: bool) -> None:
        self._descriptor = descriptor
        self._owned = owned
        self._start = start
        self.size = os.fstat(descriptor).st_size - start if size is None else size

    @property
    def descriptor(self) -> int:
        """The open file: for copying within the kernel."""
        return self._descriptor

    @property
    def start(self) -> int:
        """Where in the file the content begins."""
        return self._start

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        end = self.size if stop is None else min(stop, self.size)
        wanted = max(0, end - start)
        data = os.pread(self._descriptor, wanted, self._start + start)
        while 0 < len(data) < wanted:  # a single pread is cut at 2 GiB, and by signals
            more = os.pread(self._descriptor, wanted - len(data), self._start + start + len(data))
            if not more:
                break
            data += more
        return data

    def __del__(self) -> None:
        if getattr(self, "_owned", False):
            os.close(self._descriptor)
            self._owned = False


class _Joined(Content):
    __slots__ = ("_content", "_prefix")

    def __init__(self, prefix: bytes, content: Content) -> None:
        self._prefix = prefix
        self._content = content
        self.size = len(prefix) + content.size

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        end = self.size if stop is None else min(stop, self.size)
        head = len(self._prefix)
        if start >= head:
            return self._content.read(start - head, max(start, end) - head)
        if end <= head:
            return self._prefix[start:end]
        return self._prefix[start:] + self._content.read(0, end - head)
