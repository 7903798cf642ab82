"""A message on its way in: the first part in memory, the rest in a file without a name.

A file that has no name needs no sweeping after a crash; most messages are small and never touch it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from mox_message.content import Content

# Above this a session's message goes to disk: a thousand sessions then hold 64 MB, not their messages' sum.
MEMORY = 64 * 1024


class Spool:
    """Takes the bytes of one message.  Raises OSError when the disk takes no more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Adds `chunk`."""
        self.size += len(chunk)
        if self._file is not None:
            self._file.write(chunk)
            return
        self._chunks.append(chunk)
        if self.size > MEMORY:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 closed by close()
            for held in self._chunks:
                self._file.write(held)
            self._chunks.clear()

    def content(self) -> Content:
        """What was written, readable until close()."""
        if self._file is not None:
            return Content.file(self._file.fileno())
        data = b"".join(self._chunks)
        self._chunks = [data]
        return Content.of(data)

    def close(self) -> None:
        """Forgets the bytes."""
        self._chunks.clear()
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
