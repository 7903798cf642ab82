"""Numbers that all processes which have an account open know without waiting for a message.

A file of 8 octets for each, worth no sync: what is lost with the power is how far the account is durable, which whoever
is alone with it begins anew, and which messages are \\Recent, which then are so once more (RFC 3501 2.3.2)."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger("mox.store")

_NUMBER = 8
# What SQLite can compare with.
_MOST = 2**62


class Board:
    """Numbers that only grow, 0 at first.  Raises OSError when the file cannot be opened; later it only forgets."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def begin(self) -> None:
        """Nobody else has the account open: the first number is 0."""
        self._put(0, 0)

    def number(self, at: int = 0) -> int:
        """The number in that place."""
        try:
            number = int.from_bytes(os.pread(self._descriptor, _NUMBER, at * _NUMBER), "little")
        except OSError:
            return 0
        return number if number <= _MOST else 0  # nobody wrote that: what a broken disk left is worth nothing

    def grow(self, number: int, at: int = 0) -> int:
        """Makes it `number` if that is more; what it was before."""
        with self._locked():
            before = self.number(at)
            if number > before:
                self._put(number, at)
            return before

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

    def _put(self, number: int, at: int) -> None:
        try:
            os.pwrite(self._descriptor, number.to_bytes(_NUMBER, "little"), at * _NUMBER)
        except OSError as error:  # others hear of it a moment later, by message
            log.info("not told at once", extra={"error": str(error)})

    def close(self) -> None:
        """Closes the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
