"""The small facts of a server in memory: the plain model of state.py, and a stand-in for it."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import TypeVar

from mox_store.disk import Loop
from mox_store.state import MOST_AT_ONCE

T = TypeVar("T")


class MemoryState:
    """mox_store.doors.StateDoor"""

    def __init__(self, *, clock: Callable[[], float], loop: Loop | None = None) -> None:
        self._clock = clock
        self._loop = loop
        self._facts: dict[tuple[str, str], tuple[bytes, float | None]] = {}

    def _good(self, key: tuple[str, str]) -> bytes | None:
        value, expires = self._facts.get(key, (None, None))
        return value if expires is None or expires > self._clock() else None

    def get(self, space: str, name: str) -> bytes | None:
        return self._good((space, name))

    def items(self, space: str, after: str = "", most: int = MOST_AT_ONCE) -> list[tuple[str, bytes]]:
        there = sorted((name for kept, name in self._facts if kept == space), key=str.encode)
        found = [(name, value) for name in there if (value := self._good((space, name))) is not None]
        return [one for one in found if one[0].encode() > after.encode()][:most]

    def put(self, space: str, name: str, value: bytes, expires: float | None = None) -> Future[None]:
        self._facts[space, name] = (value, expires)
        return self._done(None)

    def update(
        self, space: str, name: str, change: Callable[[bytes | None], bytes | None], expires: float | None = None
    ) -> Future[None]:
        value = change(self._good((space, name)))
        if value is None:
            self._facts.pop((space, name), None)
        else:
            self._facts[space, name] = (value, expires)
        return self._done(None)

    def remove(self, space: str, *names: str) -> Future[None]:
        for name in names:
            self._facts.pop((space, name), None)
        return self._done(None)

    def sweep(self) -> Future[int]:
        now = self._clock()
        gone = [key for key, (_, expires) in self._facts.items() if expires is not None and expires <= now]
        for key in gone:
            del self._facts[key]
        return self._done(len(gone))

    def close(self) -> None:
        pass

    def _done(self, value: T) -> Future[T]:
        assert self._loop is not None, "what changes something needs a loop"
        future: Future[T] = self._loop.create_future()
        future.set_result(value)
        return future
