"""What messages are sorted by (RFC 5256 2.2, 3; RFC 5957), and their order.

What a message is sorted by never changes, so a mailbox that is open remembers it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mox_imap.backend import Row
from mox_imap.commands.envelopes import Mailboxes, envelope
from mox_imap.commands.filters import Slice
from mox_imap.scanner import Scanner
from mox_imap.server import Breathe, Yielded
from mox_imap.view import View
from mox_message import decode
from mox_message.thread import base_subject

AT_ONCE = 250
MAX_CRITERIA = 20
# What a mailbox that is open may remember.
MAX_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class Criterion:
    """sort-criterion"""

    key: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """What a message may be sorted by; texts folded for comparing."""

    sent: float
    arrival: float
    size: int
    subject: str
    sender: str
    to: str
    cc: str
    shown_from: str
    shown_to: str


KEYS: dict[str, Callable[[Traits], Any]] = {
    "ARRIVAL": lambda one: one.arrival,
    "CC": lambda one: one.cc,
    "DATE": lambda one: one.sent,
    "DISPLAYFROM": lambda one: one.shown_from,
    "DISPLAYTO": lambda one: one.shown_to,
    "FROM": lambda one: one.sender,
    "SIZE": lambda one: one.size,
    "SUBJECT": lambda one: one.subject,
    "TO": lambda one: one.to,
}


def criteria(scan: Scanner) -> tuple[Criterion, ...]:
    """sort-criteria"""
    scan.expect(b"(")
    found: list[Criterion] = []
    while not found or not scan.take(b")"):
        if found:
            scan.sp()
        reverse = scan.take(b"REVERSE ")
        key = scan.atom().upper()
        if key not in KEYS or len(found) >= MAX_CRITERIA:
            raise scan.fail(f"no such sort key {key[:40]}")
        found.append(Criterion(key, reverse))
    return tuple(found)


@lru_cache(maxsize=2000)
def folded(text: str) -> str:
    """A text as i;unicode-casemap compares it (RFC 5051 2)."""
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFKD", "".join(character.title() for character in text))


def learn(view: View, indexes: Sequence[int]) -> Iterator[Yielded]:
    """Looks up what messages are sorted by, some at a time."""
    missing = [at for at in indexes if view.messages[at] not in view.traits]
    for start in range(0, len(missing), AT_ONCE):
        if start:
            yield Breathe(start, len(missing))
        learn_now(view, missing[start : start + AT_ONCE])


def learn_now(view: View, indexes: Sequence[int]) -> None:
    """The same, at once, for few."""
    if len(view.traits) > MAX_REMEMBERED:
        view.traits.clear()
    for at, row in Slice(view).rows([at for at in indexes if view.messages[at] not in view.traits]):
        view.traits[view.messages[at]] = traits(row)


def ordered(view: View, indexes: Sequence[int], order: Sequence[Criterion]) -> list[int]:
    """The indexes in order; those that are alike in every key stay as they come (RFC 5256 3: by number)."""
    found = list(indexes)
    known = [view.traits.get(view.messages[at], _NOTHING) for at in found]
    by_index = dict(zip(found, known, strict=True))
    for one in reversed(order):
        key = KEYS[one.key]
        values = {at: key(what) for at, what in by_index.items()}
        found.sort(key=values.__getitem__, reverse=one.reverse)
    return found


_NOTHING = Traits(0.0, 0.0, 0, "", "", "", "", "", "")


def traits(row: Row) -> Traits:
    """What a message is sorted by."""
    read = envelope(row.envelope)
    return Traits(
        sent=row.sent if row.sent is not None else row.received,
        arrival=row.received,
        size=row.size,
        subject=folded(base_subject(decode(read.subject))),
        sender=_mailbox(read.sender),
        to=_mailbox(read.to),
        cc=_mailbox(read.cc),
        shown_from=_shown(read.sender),
        shown_to=_shown(read.to),
    )


def _mailbox(found: Mailboxes) -> str:
    """addr-mailbox of the first address; "" sorts before all others (RFC 5256 3)."""
    return folded(found[0].mailbox) if found else ""


def _shown(found: Mailboxes) -> str:
    """RFC 5957 3: the name that is displayed, or the address without one."""
    if not found:
        return ""
    first = found[0]
    if first.name:
        return folded(decode(first.name))
    return folded(f"{first.mailbox}@{first.host}" if first.host else first.mailbox)
