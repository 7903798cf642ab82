"""What all processes that have an account open know without waiting for a message: how far it is durable.

A file of 8 octets, worth no sync: whoever is alone with the account begins it anew."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("mox.store")

_NUMBER = 8


class Board:
    """The file of one account.  Raises OSError when it cannot be opened; later it only forgets."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def begin(self) -> None:
        """Nobody else has the account open: what is durable is what the database says."""
        self._put(0)

    def durable(self) -> int:
        """Somebody has made everything up to this modseq durable."""
        try:
            return int.from_bytes(os.pread(self._descriptor, _NUMBER, 0), "little")
        except OSError:
            return 0

    def publish(self, modseq: int) -> None:
        """Everything up to `modseq` is durable now."""
        with self._locked():
            if modseq > self.durable():
                self._put(modseq)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A descriptor of its own is what a lock belongs to, so two accounts in one process keep each other out, too.
        with suppress(OSError, ValueError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError, ValueError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _put(self, modseq: int) -> None:
        try:
            os.pwrite(self._descriptor, modseq.to_bytes(_NUMBER, "little"), 0)
        except OSError as error:  # others hear of it a moment later, by message
            log.info("not told at once", extra={"error": str(error)})

    def close(self) -> None:
        """Closes the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
