"""Answers that are still good, bounded in number and in size.  No I/O; the time is an argument."""

from __future__ import annotations

from typing import TypeAlias

from mox_dns.lookup import Answer

Key: TypeAlias = tuple[str, str]
# Octets of text records that count as one entry: an answer of 64 KB must not weigh as much as an address.
UNIT = 512


class Cache:
    """Keeps about `size` answers, those asked for lately longer than others.

    Two generations instead of a list in order of use: when the young one is full it becomes the old one, and whoever
    is asked for among the old returns to the young.  Every step costs the same, however many answers there are."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._half = max(1, size // 2)
        self._young: dict[Key, tuple[float, Answer]] = {}
        self._old: dict[Key, tuple[float, Answer]] = {}
        self._weight = 0

    def get(self, key: Key, now: float) -> Answer | None:
        """The answer kept for `key`, if it is still good at `now` (seconds of any clock)."""
        kept = self._young.get(key)
        if kept is None:
            kept = self._old.pop(key, None)
            if kept is None:
                return None
            if kept[0] > now:
                self._keep(key, kept)
        return kept[1] if kept[0] > now else None

    def put(self, key: Key, answer: Answer, until: float) -> None:
        """Keeps `answer` until `until`."""
        if self.size > 0:
            self._keep(key, (until, answer))

    def _keep(self, key: Key, kept: tuple[float, Answer]) -> None:
        self._weight += 1 + sum(len(text) for text in kept[1].records if isinstance(text, bytes)) // UNIT
        self._young[key] = kept
        if self._weight >= self._half:
            self._old, self._young, self._weight = self._young, {}, 0

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old, self._weight = {}, {}, 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
