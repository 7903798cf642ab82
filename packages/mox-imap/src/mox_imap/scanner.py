"""Reads one command.  Methods are named after the rules of RFC 9051 9; literals stand in the bytes as they came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from mox_imap import utf7

# How deep parentheses of a search may nest, and how many keys, items and ranges a command may have.
MAX_NESTING = 50
MAX_ITEMS = 1000
MAX_RANGES = 100_000
STAR = 0  # `*` in a sequence set

_TAG = re.compile(rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+")
_ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_ASTRING = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~\x80-\xff]+")
_LIST_MAILBOX = re.compile(rb"[!#$%&'*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~\x80-\xff]+")
_LITERAL = re.compile(rb"(~?)\{(\d{1,20})(\+?)\}\r\n")
_NUMBER = re.compile(rb"\d{1,20}")
_SET_BEGINS = tuple(b"$*0123456789"[at : at + 1] for at in range(12))
_SET = re.compile(rb"[0-9*:,]+")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]|\\["\\])*)"')
_DATE = re.compile(rb'"?(\d{1,2})-([A-Za-z]{3})-(\d{4})"?')
_DATE_TIME = re.compile(rb'"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})"')
_MONTHS = {name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}


class CommandSyntaxError(ValueError):
    """A command breaks its grammar: `.at` (octet), `.why`, `.code` (a response code, or "")."""

    def __init__(self, at: int, why: str, code: str = "") -> None:
        self.at, self.why, self.code = at, why, code
        super().__init__(f"{why} (octet {at + 1})")


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges of numbers, STAR for `*`; `saved` is `$` (RFC 9051 6.4.4.1)."""

    ranges: tuple[tuple[int, int], ...]
    saved: bool = False

    def bounds(self, largest: int) -> Iterator[tuple[int, int]]:
        """(low, high) of each range, `*` being `largest`, ascending and merged."""
        pairs = []
        for first, last in self.ranges:
            a, b = first or largest, last or largest
            pairs.append((a, b) if a <= b else (b, a))
        pairs.sort()
        low = high = -1
        for a, b in pairs:
            if low >= 0 and a <= high + 1:
                high = max(high, b)
                continue
            if low >= 0:
                yield low, high
            low, high = a, b
        if low >= 0:
            yield low, high


class Scanner:
    """A cursor over one whole command, its line end included."""

    def __init__(self, data: bytes, *, utf8: bool = False) -> None:
        self._data = data
        self._at = 0
        self._utf8 = utf8
        self._end = len(data) - 2 if data.endswith(b"\r\n") else len(data)

    def fail(self, why: str) -> CommandSyntaxError:
        """An error at the cursor."""
        return CommandSyntaxError(self._at, why)

    # -- small things

    def peek(self, text: bytes) -> bool:
        """Does `text` (upper case) come next, in any case of letters?"""
        return self._data[self._at : self._at + len(text)].upper() == text

    def take(self, text: bytes) -> bool:
        """Takes `text` if it comes next."""
        if self.peek(text):
            self._at += len(text)
            return True
        return False

    def expect(self, text: bytes) -> None:
        """Takes `text`.  Raises."""
        if not self.take(text):
            raise self.fail(f"{text.decode()!r} is expected")

    def sp(self) -> None:
        """SP.  Quirk spaces: some clients write several, at the end of a line too."""
        self.expect(b" ")
        self.skip_sp()

    def skip_sp(self) -> None:
        """Takes spaces, if there are any."""
        while self._data[self._at : self._at + 1] == b" ":
            self._at += 1

    def end(self) -> None:
        """Nothing may follow."""
        self.skip_sp()
        if self._at != self._end:
            raise self.fail("unexpected text")

    @property
    def at_end(self) -> bool:
        """Is everything read?"""
        return self._at >= self._end

    def match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """Takes what `pattern` matches.  Raises, naming `what`."""
        match = pattern.match(self._data, self._at, self._end if pattern is not _LITERAL else len(self._data))
        if match is None:
            raise self.fail(f"{what} is expected")
        self._at = match.end()
        return match

    # -- words

    def tag(self) -> str:
        """tag"""
        return self.match(_TAG, "a tag")[0].decode()

    def atom(self) -> str:
        """atom"""
        return self.match(_ATOM, "an atom")[0].decode()

    def number(self) -> int:
        """number64"""
        return int(self.match(_NUMBER, "a number")[0])

    def nz_number(self) -> int:
        """nz-number"""
        value = self.number()
        if not 0 < value < 2**32:
            raise self.fail("a number from 1 to 2^32 - 1 is expected")
        return value

    def literal(self) -> bytes:
        """literal, literal8"""
        match = self.match(_LITERAL, "a literal")
        size = int(match[2])
        value = self._data[self._at : self._at + size]
        if len(value) < size:
            raise self.fail("the literal is cut short")
        self._at += size
        return value

    def string(self) -> bytes:
        """string"""
        if self.peek(b'"'):
            raw = self.match(_QUOTED, "a quoted string")[1]
            return re.sub(rb"\\(.)", rb"\1", raw) if b"\\" in raw else raw
        if self.peek(b"{") or self.peek(b"~{"):
            return self.literal()
        raise self.fail("a string is expected")

    def astring(self) -> bytes:
        """astring"""
        if self.peek(b'"') or self.peek(b"{"):
            return self.string()
        return self.match(_ASTRING, "an astring")[0]

    def text(self) -> str:
        """An astring as text.  Raises for what is not UTF-8."""
        return self._decoded(self.astring())

    def _decoded(self, value: bytes) -> str:
        try:
            found = value.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail("not UTF-8") from None
        if "\0" in found:
            raise self.fail("NUL")
        return found

    def nil_or_string(self) -> bytes | None:
        """nstring"""
        return None if self.take(b"NIL") else self.string()

    def mailbox(self) -> str:
        """mailbox: an astring, in modified UTF-7 unless UTF-8 was enabled; INBOX in any case is Inbox."""
        return self._name(self.text())

    def _name(self, name: str) -> str:
        if not self._utf8 and name.isascii():
            try:
                name = utf7.decode(name)
            except utf7.Utf7Error as error:
                raise self.fail(str(error)) from None
        return "Inbox" if name.upper() == "INBOX" else name

    def list_mailbox(self) -> str:
        """list-mailbox: with wildcards"""
        if self.peek(b'"') or self.peek(b"{"):
            return self._name(self._decoded(self.string()))
        match = self.match(_LIST_MAILBOX, "a mailbox pattern")
        return self._name(self._decoded(match[0]))

    # -- sets, dates, flags

    def sequence_set(self) -> SequenceSet:
        """sequence-set"""
        if self.take(b"$"):
            return SequenceSet((), saved=True)
        text = self.match(_SET, "a sequence set")[0]
        parts = text.split(b",")
        if len(parts) > MAX_RANGES:
            raise self.fail("too many ranges")
        return SequenceSet(tuple(self._range(part) for part in parts))

    def _range(self, part: bytes) -> tuple[int, int]:
        first, colon, last = part.partition(b":")
        a = self._bound(first)
        return a, (self._bound(last) if colon else a)

    def _bound(self, text: bytes) -> int:
        if text == b"*":
            return STAR
        if not text.isdigit() or len(text) > 10 or not 0 < int(text) < 2**32:
            raise self.fail("a sequence number is expected")
        return int(text)

    def date(self) -> date:
        """date"""
        day, month, year = self.match(_DATE, "a date").groups()
        number = _MONTHS.get(month.lower())
        try:
            if number is None:
                raise ValueError
            return date(int(year), number, int(day))
        except ValueError:
            raise self.fail("no such date") from None

    def date_time(self) -> float:
        """date-time, as seconds since 1970"""
        day, month, year, hour, minute, second, sign, zone_hour, zone_minute = self.match(
            _DATE_TIME, "a date-time"
        ).groups()
        offset = timedelta(minutes=int(zone_hour) * 60 + int(zone_minute)) * (1 if sign == b"+" else -1)
        number = _MONTHS.get(month.lower())
        try:
            if number is None:
                raise ValueError
            zone = timezone(offset)
            return datetime(
                int(year), number, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
            ).timestamp()
        except (ValueError, OverflowError):
            raise self.fail("no such date-time") from None

    @property
    def at_set(self) -> bool:
        """Does a sequence set come next?"""
        return self._data[self._at : self._at + 1] in _SET_BEGINS

    def flag_keyword(self) -> str:
        """flag-keyword"""
        return self.atom()

    def flag(self) -> str:
        """flag"""
        if self.take(b"\\"):
            name = "\\" + self.atom()
            if name.lower() not in ("\\seen", "\\answered", "\\flagged", "\\deleted", "\\draft"):
                raise self.fail(f"{name} cannot be set")
            return name
        return self.atom()

    def flag_list(self) -> tuple[str, ...]:
        """flag-list"""
        self.expect(b"(")
        flags: list[str] = []
        while not self.take(b")"):
            if flags:
                self.sp()
            flags.append(self.flag())
            if len(flags) > MAX_ITEMS:
                raise self.fail("too many flags")
        return tuple(flags)

    def skip_to(self, at: int) -> None:
        """Moves the cursor (for APPEND, whose literal is elsewhere)."""
        self._at = at

    @property
    def line(self) -> bytes:
        """All of the command."""
        return self._data

    @property
    def at(self) -> int:
        """The cursor."""
        return self._at


def day_start(day: date) -> float:
    """Midnight UTC at the beginning of a day, as seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
