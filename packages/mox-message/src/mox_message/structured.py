"""Structured fields: address lists, dates, message-ids; current, obsolete and international forms (RFC 5322, 6532).

Reading never raises and is linear: what cannot be understood is left out and named in `defects`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from mox_message.words import decode

# Of one field; the rest is left out.
MAX_ADDRESSES = 5000
MAX_TEXT = 512 * 1024


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox of an address list: decoded display name, localpart, domain as written (not checked)."""

    name: str
    localpart: str
    domain: str
    route: str = ""

    @property
    def address(self) -> str:
        """localpart@domain"""
        return f"{self.localpart}@{self.domain}" if self.domain else self.localpart


@dataclass(frozen=True, slots=True)
class Group:
    """A named group (RFC 5322 3.4)."""

    name: str
    members: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class AddressList:
    """The entries in order, and what was odd."""

    entries: tuple[Mailbox | Group, ...]
    defects: tuple[str, ...] = ()

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Every mailbox, those in groups too."""
        found: list[Mailbox] = []
        for entry in self.entries:
            found.extend(entry.members if isinstance(entry, Group) else (entry,))
        return tuple(found)


# One token: white space, comment start, quoted string start, domain literal start, special, or a run of atom characters.
_SPECIAL = frozenset('()<>@,;:\\"[]')
_ATOM = re.compile(r"[^()<>@,;:\\\"\[\]\s]+")
_SPACE = re.compile(r"\s+")


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) pairs: "a" atom, "q" quoted string (unquoted), "l" literal, "c" comment, or a special itself."""
    found: list[tuple[str, str]] = []
    at, end = 0, min(len(text), MAX_TEXT)
    while at < end:
        character = text[at]
        if match := _SPACE.match(text, at, end):
            at = match.end()
        elif match := _ATOM.match(text, at, end):
            found.append(("a", match[0]))
            at = match.end()
        elif character == '"':
            value, at = _delimited(text, at, end, '"')
            found.append(("q", value))
        elif character == "[":
            value, at = _delimited(text, at, end, "]")
            found.append(("l", f"[{value}]"))
        elif character == "(":
            value, at = _comment(text, at, end)
            found.append(("c", value))
        else:
            found.append((character, character))
            at += 1
    return found


def _delimited(text: str, at: int, end: int, close: str) -> tuple[str, int]:
    out: list[str] = []
    at += 1
    while at < end and text[at] != close:
        if text[at] == "\\" and at + 1 < end:
            at += 1
        out.append(text[at])
        at += 1
    return "".join(out), at + 1


def _comment(text: str, at: int, end: int) -> tuple[str, int]:
    depth, out = 0, []
    while at < end:
        character = text[at]
        if character == "\\" and at + 1 < end:
            at += 1
            out.append(text[at])
        elif character == "(":
            depth += 1
            if depth > 1:
                out.append(character)
        elif character == ")":
            depth -= 1
            if depth == 0:
                return "".join(out), at + 1
            out.append(character)
        else:
            out.append(character)
        at += 1
    return "".join(out), at


class _AddressReader:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._defects: list[str] = []
        self._count = 0

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def read(self) -> AddressList:
        entries: list[Mailbox | Group] = []
        while self._at < len(self._tokens) and self._count < MAX_ADDRESSES:
            if self._peek() in (",", ";"):
                self._at += 1
                continue
            before = self._at
            entry = self._entry()
            if entry is not None:
                entries.append(entry)
            if self._at == before:
                self._defects.append(f"unexpected {self._tokens[self._at][1]!r}")
                self._at += 1
        if self._count >= MAX_ADDRESSES:
            self._defects.append(f"more than {MAX_ADDRESSES} addresses; the rest is left out")
        return AddressList(tuple(entries), tuple(self._defects[:20]))

    def _words(self, stop: str) -> tuple[list[tuple[str, str]], str]:
        """Tokens up to one of `stop`, and the last comment among them."""
        words: list[tuple[str, str]] = []
        comment = ""
        while self._at < len(self._tokens) and self._peek() not in stop:
            kind, text = self._tokens[self._at]
            if kind == "c":
                comment = text
            else:
                words.append((kind, text))
            self._at += 1
        return words, comment

    def _entry(self) -> Mailbox | Group | None:
        words, comment = self._words("<,;:")
        kind = self._peek()
        if kind == "<":
            return self._angle(_phrase(words) or comment)
        if kind == ":":
            self._at += 1
            return self._group(_phrase(words))
        return self._bare(words, comment)

    def _group(self, name: str) -> Group:
        members: list[Mailbox] = []
        while self._at < len(self._tokens) and self._peek() != ";" and self._count < MAX_ADDRESSES:
            if self._peek() in (",", ":"):
                self._at += 1
                continue
            words, comment = self._words("<,;:")
            member = self._angle(_phrase(words) or comment) if self._peek() == "<" else self._bare(words, comment)
            if member is not None:
                members.append(member)
        self._at += 1
        return Group(name, tuple(members))

    def _angle(self, name: str) -> Mailbox | None:
        self._at += 1
        words, _ = self._words(">")
        if self._peek() != ">":
            self._defects.append("> is missing")
        self._at += 1
        _, comment = self._words_after()
        route = ""
        colon = next((n for n, (kind, _) in enumerate(words) if kind == ":"), -1)
        if words and words[0][0] == "@" and colon > 0:
            route = "".join(text for _, text in words[:colon])
            words = words[colon + 1 :]
        if not words:
            self._defects.append("an empty address")
            return None
        return self._mailbox(words, name or comment, route)

    def _words_after(self) -> tuple[list[tuple[str, str]], str]:
        """What stands between > and the next separator: comments, or junk."""
        words, comment = self._words(",;")
        if words:
            self._defects.append("text after >")
        return words, comment

    def _bare(self, words: list[tuple[str, str]], comment: str) -> Mailbox | None:
        if not words:
            return None
        return self._mailbox(words, comment, "")

    def _mailbox(self, words: list[tuple[str, str]], name: str, route: str) -> Mailbox:
        self._count += 1
        at = max((n for n, (kind, _) in enumerate(words) if kind == "@"), default=-1)
        if at < 0:
            self._defects.append("an address without @")
            # Shown as it is: a name, or a local mailbox of old.
            return Mailbox(name, decode(" ".join(text for _, text in words)), "", route)
        localpart = "".join(text for _, text in words[:at])
        domain = "".join(text for _, text in words[at + 1 :])
        return Mailbox(name, localpart, domain, route)


def _phrase(words: list[tuple[str, str]]) -> str:
    out: list[str] = []
    for kind, text in words:
        if out and (kind in "aq" or kind in "l"):
            out.append(" ")
        out.append(text)
    return decode("".join(out).replace(" .", "."))


def addresses(text: str) -> AddressList:
    """The addresses of an unfolded field value.  Never raises."""
    return _AddressReader(text).read()


_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_ZONES = {
    "ut": 0,
    "gmt": 0,
    "z": 0,
    "edt": -240,
    "est": -300,
    "cdt": -300,
    "cst": -360,
    "mdt": -360,
    "mst": -420,
    "pdt": -420,
    "pst": -480,
}
_DATE = re.compile(
    r"\s*(?:[A-Za-z]{2,12}\s*,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[A-Za-z]*[\s-]+(\d{2,4})\s+(\d{1,2})\s*[:.]\s*(\d{2})(?:\s*[:.]\s*(\d{2}))?"
    r"(?:\.\d{1,9})?\s*(?:([+-])(\d{2}):?(\d{2})|([A-Za-z]{1,5}))?"
)


def date(text: str) -> datetime | None:
    """The moment of a date-time (RFC 5322 3.3, 4.3), aware; None when it cannot be understood."""
    if len(text) > 500:
        return None
    if "(" in text:
        text = re.sub(r"\([^()]*\)", " ", text)
    match = _DATE.match(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hour, zone_minute, zone = match.groups()
    number = _MONTHS.get(month.lower())
    if number is None:
        return None
    full_year = int(year)
    if len(year) == 2:  # RFC 5322 4.3
        full_year += 2000 if full_year < 50 else 1900
    elif len(year) == 3:
        full_year += 1900
    offset = _ZONES.get((zone or "").lower(), 0)
    if sign:
        offset = (int(zone_hour) * 60 + int(zone_minute)) * (1 if sign == "+" else -1)
    try:
        # A leap second is taken as the one before.
        moment = datetime(full_year, number, int(day), int(hour), int(minute), min(int(second or 0), 59))
        return moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    except (ValueError, OverflowError):
        return None


_MESSAGE_ID = re.compile(r"<([^<>\s]{1,995})>")


def message_ids(text: str) -> tuple[str, ...]:
    """The message-ids of an unfolded value, without brackets, in order; at most 1,000."""
    return tuple(match[1] for _, match in zip(range(1000), _MESSAGE_ID.finditer(text), strict=False))
