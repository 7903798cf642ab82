"""Filters of messages: each takes the indexes of many and leaves those that match.

Filters that ask little of a message come first, so that most messages are never opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mox_imap.backend import Row
from mox_imap.server import Breathe, Yielded
from mox_imap.view import View
from mox_message import Content

AT_ONCE = 500
# Octets of messages that are looked through before others get the loop.
HEAVY_AT_ONCE = 1024 * 1024

# What a filter has to look at: arrays, rows, a message's header, all of it.
ARRAYS, ROWS, HEADERS, TEXTS = range(4)


class Slice:
    """Some messages of a view; their rows are read at most once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._rows: dict[int, Row] = {}

    def rows(self, indexes: Sequence[int]) -> Iterator[tuple[int, Row]]:
        """(index, row) of those that are still to be had."""
        if not self._rows:
            found = list(self.view.mailbox.rows([self.view.uids[at] for at in indexes]))
            if len(found) == len(indexes):
                self._rows = dict(zip(indexes, found, strict=True))
                return zip(indexes, found, strict=True)
        return self._looked_up(indexes)

    def _looked_up(self, indexes: Sequence[int]) -> Iterator[tuple[int, Row]]:
        missing = [at for at in indexes if at not in self._rows]
        if missing:
            mailbox, uids = self.view.mailbox, self.view.uids
            there = {row.uid: row for row in mailbox.rows([uids[at] for at in missing])}
            for at in missing:
                row = there.get(uids[at]) or mailbox.gone_row(self.view.messages[at])
                if row is not None:
                    self._rows[at] = row
        for at in indexes:
            if at in self._rows:
                yield at, self._rows[at]

    def content(self, at: int) -> Content:
        """A message's bytes.  Raises BackendError."""
        return self.view.mailbox.content(self.view.messages[at])


Pick: TypeAlias = Callable[[Slice, Sequence[int]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Leaves those of ascending indexes that match; `cost` is what it has to look at.  `among`: no others do."""

    cost: int
    pick: Pick
    among: Sequence[int] | None = None


def by_row(test: Callable[[Row], bool]) -> Filter:
    return Filter(ROWS, lambda some, indexes: [at for at, row in some.rows(indexes) if test(row)])


def by_content(cost: int, test: Callable[[Content], bool]) -> Filter:
    return Filter(cost, lambda some, indexes: [at for at in indexes if test(some.content(at))])


def everything(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
    return indexes


def nothing(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
    return ()


def flag(mask: int, wanted: bool) -> Filter:
    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        flags = some.view.flags(indexes)
        if wanted:
            return [at for at, bits in zip(indexes, flags, strict=True) if bits & mask]
        return [at for at, bits in zip(indexes, flags, strict=True) if not bits & mask]

    return Filter(ARRAYS, pick)


def both(filters: Sequence[Filter]) -> Filter:
    if len(filters) == 1:
        return filters[0]
    ordered = sorted(filters, key=lambda one: one.cost)

    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        for one in ordered:
            if not indexes:
                break
            indexes = one.pick(some, indexes)
        return indexes

    return Filter(ordered[-1].cost, pick)


def either(left: Filter, right: Filter) -> Filter:
    if left.cost > right.cost:
        left, right = right, left

    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        found = left.pick(some, indexes)
        already = set(found)
        more = right.pick(some, [at for at in indexes if at not in already])
        return sorted([*found, *more]) if more else found

    return Filter(right.cost, pick)


def neither(inner: Filter) -> Filter:
    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        found = set(inner.pick(some, indexes))
        return [at for at in indexes if at not in found]

    return Filter(inner.cost, pick)


def matching(view: View, filters: Sequence[Filter], indexes: Sequence[int]) -> Sequence[int]:
    """Those of `indexes` that match all; at once, for few."""
    return both(filters).pick(Slice(view), indexes)


def scan(view: View, filters: Sequence[Filter], found: list[int], *, most: int = 0) -> Iterator[Yielded]:
    """Adds the indexes that match to `found`, a piece at a time.  `most`: looks at that many at most, the last ones."""
    cheap = both(list(filters[:1]) + [one for one in filters[1:] if one.cost < HEADERS])
    heavy = [one for one in filters if one.cost >= HEADERS]
    if cheap.cost >= HEADERS:
        cheap = Filter(ARRAYS, everything)
    step = AT_ONCE if cheap.cost == ROWS or heavy else 10 * AT_ONCE
    every = candidates(view, filters)
    if most:
        every = every[-most:]
    for start in range(0, len(every), step):
        if start:
            yield Breathe(start, len(every))
        some = Slice(view)
        left = cheap.pick(some, every[start : start + step])
        if not heavy:
            found += left
            continue
        all_heavy = both(heavy)
        for group in _groups(view, left):
            found += all_heavy.pick(some, group)
            yield Breathe(start, len(every))


def candidates(view: View, filters: Sequence[Filter]) -> Sequence[int]:
    """What has to be looked at: all, or what a set in the search names."""
    return min((one.among for one in filters if one.among is not None), key=len, default=range(len(view)))


def _groups(view: View, indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Messages of some HEAVY_AT_ONCE octets together."""
    sizes = view.sizes(indexes)
    if sizes is None:
        sizes = [HEAVY_AT_ONCE // 20] * len(indexes)
    group: list[int] = []
    octets = 0
    for at, size in zip(indexes, sizes, strict=True):
        group.append(at)
        octets += size
        if octets >= HEAVY_AT_ONCE:
            yield group
            group, octets = [], 0
    if group:
        yield group
