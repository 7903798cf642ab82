"""A message on its way in: the first part in memory, the rest in a file without a name.

A file that has no name needs no sweeping after a crash; most messages are small and never touch it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from mox_message.content import Content

# Up to this every message is held in memory: a thousand sessions then hold 64 MB, not their messages' sum.
MEMORY = 64 * 1024
# Larger ones are, too, as long as all that is held is not more than this.
MOST_OF_ONE = 1024 * 1024
MOST_OF_ALL = 64 * 1024 * 1024


# Octets of all messages of this process that are held in memory.
_held = [0]


class Spool:
    """Takes the bytes of one message.  Raises OSError when the disk takes no more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._held = 0
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Adds `chunk`."""
        self.size += len(chunk)
        if self._file is not None:
            self._file.write(chunk)
            return
        self._chunks.append(chunk)
        self._held += len(chunk)
        _held[0] += len(chunk)
        if self.size > MEMORY and (self.size > MOST_OF_ONE or _held[0] > MOST_OF_ALL):
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 closed by close()
            for held in self._chunks:
                self._file.write(held)
            self._let_go()

    def _let_go(self) -> None:
        self._chunks.clear()
        _held[0] -= self._held
        self._held = 0

    def content(self) -> Content:
        """What was written, readable until close()."""
        if self._file is not None:
            return Content.file(self._file.fileno())
        data = b"".join(self._chunks)
        self._chunks = [data]
        return Content.of(data)

    def __del__(self) -> None:
        self._let_go()

    def close(self) -> None:
        """Forgets the bytes."""
        self._let_go()
        if self._file is not None:
            self._file.close()
            self._file = None


def prepare(folder: Path) -> Path:
    """Makes the spool folder and checks that a file can be written there.  Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"x" * 4096)
        os.fsync(file.fileno())
    return folder
