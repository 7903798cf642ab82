"""What a server writes: atoms, strings, literals, lists (RFC 9051 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7e]{0,1000}\Z")
_ATOM = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|}~]+\Z")
_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def string(value: bytes) -> bytes:
    """A quoted string if it can be one, else a literal."""
    if _QUOTABLE.match(value):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(value), value.replace(b"\0", b"?"))


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL."""
    return b"NIL" if value is None else string(value)


def text(value: str) -> bytes:
    """A text as a string: ASCII quoted; anything else as a literal, which every client can read."""
    return string(value.encode("utf-8", "surrogateescape"))


def ntext(value: str) -> bytes:
    """A text, or NIL when it is empty."""
    return text(value) if value else b"NIL"


def literal(value: bytes) -> bytes:
    """A literal in any case: for bodies."""
    return b"{%d}\r\n%s" % (len(value), value)


def astring(value: str) -> bytes:
    """An atom if it can be one; UTF-8 quoted where the client has agreed to it."""
    if _ATOM.match(value):
        return value.encode()
    data = value.encode("utf-8", "surrogateescape")
    if b"\r" in data or b"\n" in data or b"\0" in data:
        return string(data)
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def internal_date(moment: float) -> bytes:
    """A date-time (RFC 9051 9), in UTC."""
    days, seconds = divmod(int(moment // 1), 86400)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return b'"%s %02d:%02d:%02d +0000"' % (_day(days), hour, minute, second)


@lru_cache(maxsize=4096)
def _day(days: int) -> bytes:
    try:
        day = date.fromordinal(_EPOCH + days)
    except (ValueError, OverflowError):  # a date that no calendar has
        day = date(1970, 1, 1)
    return b"%2d-%s-%04d" % (day.day, _MONTHS[day.month - 1].encode(), day.year)


def sequence_set(numbers: Iterable[int]) -> bytes:
    """Ascending numbers, each once, as `1:5,7`."""
    if isinstance(numbers, (list, tuple)) and len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return b"%d:%d" % (numbers[0], numbers[-1])  # of many it mostly is all of them
    parts: list[bytes] = []
    first = last = 0
    for number in numbers:
        if first and number == last + 1:
            last = number
            continue
        if first:
            parts.append(b"%d:%d" % (first, last) if last > first else b"%d" % first)
        first = last = number
    if first:
        parts.append(b"%d:%d" % (first, last) if last > first else b"%d" % first)
    return b",".join(parts)
