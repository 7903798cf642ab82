"""Writes that wait, and the bytes of an APPEND."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """A write that waits for `settle`."""

    def __init__(self, operation: Callable[[], T]) -> None:
        self._operation = operation
        self._value: T | None = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Any], object]] = []
        self._done = False

    def run(self) -> None:
        try:
            self._value = self._operation()
        except Exception as error:
            self._error = error
        self._done = True
        for callback in self._callbacks:
            callback(self)

    def done(self) -> bool:
        return self._done

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)
        return None


class MemorySink:
    """mox_imap.Sink"""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def whole(self) -> bytes:
        """All that was written."""
        return b"".join(self.pieces)

    def abort(self) -> None:
        self.pieces.clear()
