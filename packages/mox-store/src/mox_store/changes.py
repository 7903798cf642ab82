"""What happened, as values; and sets of UIDs as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a change is about."""

    ADDED = 1
    FLAGS = 2
    EXPUNGED = 3
    MAILBOXES = 4  # created, renamed, deleted, subscribed; no uids
    ANNOTATIONS = 5  # of a mailbox, or (mailbox 0) of the account; no uids


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of thing that happened to one mailbox at one modseq; `uids` ascending."""

    modseq: int
    mailbox: int
    kind: Kind
    uids: tuple[int, ...] = ()


def ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Uids, each greater than the one before, as (first, last) ranges."""
    if isinstance(uids, (list, tuple, range)) and uids and uids[-1] - uids[0] == len(uids) - 1:
        yield uids[0], uids[-1]  # of many it mostly is all of them
        return
    first = last = 0
    for uid in uids:
        if first and uid == last + 1:
            last = uid
            continue
        if first:
            yield first, last
        first = last = uid
    if first:
        yield first, last


def to_text(uids: Iterable[int]) -> str:
    """`1:5,7`"""
    return ",".join(f"{a}:{b}" if a != b else str(a) for a, b in ranges(uids))


def from_text(text: str) -> tuple[int, ...]:
    """The inverse of to_text."""
    uids: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition(":")
        uids.extend(range(int(first), int(last or first) + 1))
    return tuple(uids)
