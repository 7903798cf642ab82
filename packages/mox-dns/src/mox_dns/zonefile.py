"""Zone files, RFC 1035 5: text -> entries.  Records as name servers have them, and failures for tests.

    $ORIGIN example.org.            relative names end in this; without it every name is whole
    $TTL 1h
    @       IN  MX   10 mail
    mail        A    192.0.2.1      ; a comment
                AAAA 2001:db8::1    as the line before
    *.dyn       A    192.0.2.2      any name below that is not there
    key         TXT  ( "v=DKIM1; "
                       "p=..." )    strings of one record are joined
    slow            TIMEOUT         every question for the name fails: TIMEOUT, SERVFAIL or BOGUS
    broken      TXT SERVFAIL        only this type does

Not taken: $INCLUDE and $GENERATE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FAILURES = frozenset({"TIMEOUT", "SERVFAIL", "BOGUS"})
CLASSES = frozenset({"IN", "CH", "HS", "CS"})
# Types whose last word is a name.
NAMING = frozenset({"MX", "CNAME", "PTR", "NS", "SRV", "DNAME", "SOA"})
# A record over several lines.
MAX_LINES = 1000

_TTL = re.compile(r"(?:[0-9]{1,10}[smhdw]?)+\Z", re.I)
_UNIT = re.compile(r"([0-9]{1,10})([smhdw]?)", re.I)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MAX_TTL = 0x7FFFFFFF


class ZoneSyntaxError(ValueError):
    """A line of a zone text makes no sense: `.line` (from 1), `.why`."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why
        super().__init__(f"line {line}: {why}")


class Word(NamedTuple):
    """A word as octets, escapes undone; `quoted`: it stood in quotes."""

    octets: bytes
    quoted: bool

    @property
    def text(self) -> str:
        """As text."""
        return self.octets.decode("utf-8", "surrogateescape")


class Entry(NamedTuple):
    """One record or failure: `type` is "" for a failure of the whole name, `value` of TXT its octets, else text."""

    line: int
    name: str
    type: str
    value: bytes | str
    failure: bool
    ttl: int | None


def entries(text: str) -> Iterator[Entry]:
    """The entries of a zone text in order.  Raises ZoneSyntaxError; linear."""
    origin, ttl, owner = "", None, ""
    for line, indented, words in _records(text):
        first = words[0]
        if not first.quoted and first.octets.startswith(b"$"):
            match first.text.upper(), [word.text for word in words[1:]]:
                case "$ORIGIN", [name]:
                    origin = name if name.endswith(".") else _whole(name, origin)
                case "$TTL", [value] if _TTL.match(value):
                    ttl = _seconds(value)
                case "$ORIGIN" | "$TTL", _:
                    raise ZoneSyntaxError(line, f"{first.text} takes one value")
                case _:
                    raise ZoneSyntaxError(line, f"{first.text} is not known here")
            continue
        if indented:
            if not owner:
                raise ZoneSyntaxError(line, "no name, and no line before that has one")
        else:
            owner, words = _whole(first.text, origin), words[1:]
        yield _entry(line, owner, words, origin, ttl)


def _entry(line: int, owner: str, words: list[Word], origin: str, ttl: int | None) -> Entry:
    at = 0
    while at < len(words) - 1 and not words[at].quoted:
        word = words[at].text
        if _TTL.match(word):
            ttl = _seconds(word)
        elif word.upper() not in CLASSES:
            break
        at += 1
    words = words[at:]
    if len(words) == 1 and not words[0].quoted and words[0].text.upper() in FAILURES:
        return Entry(line, owner, "", words[0].text.upper(), True, ttl)
    if len(words) < 2:
        raise ZoneSyntaxError(line, "write: name TYPE value")
    type, values = words[0].text.upper(), words[1:]
    if len(values) == 1 and not values[0].quoted and values[0].text in FAILURES:
        return Entry(line, owner, type, values[0].text, True, ttl)
    if type == "TXT":
        return Entry(line, owner, type, b"".join([word.octets for word in values]), False, ttl)
    texts = [word.text for word in values]
    if type in NAMING:
        # The last word, and of SOA the first two.
        for place in (0, 1) if type == "SOA" else (-1,):
            texts[place] = _whole(texts[place], origin)
    return Entry(line, owner, type, " ".join(texts), False, ttl)


def _whole(name: str, origin: str) -> str:
    if name == "@":
        return origin or "."
    if name.endswith(".") or not origin:
        return name
    return f"{name}.{origin}" if origin != "." else f"{name}."


def _seconds(text: str) -> int:
    return min(MAX_TTL, sum(int(number) * _SECONDS[unit.lower()] for number, unit in _UNIT.findall(text)))


def _records(text: str) -> Iterator[tuple[int, bool, list[Word]]]:
    """Where each begins, whether without a name, and its words; over several lines within brackets."""
    start, indented, open_, words = 0, False, 0, list[Word]()
    for number, line in enumerate(text.split("\n"), 1):
        if not open_:
            start, indented, words = number, line[:1] in (" ", "\t"), []
        elif number - start >= MAX_LINES:
            raise ZoneSyntaxError(start, "a bracket is not closed")
        for word in _words(number, line):
            if word is _OPEN:
                open_ += 1
            elif word is _CLOSE:
                open_ -= 1
                if open_ < 0:
                    raise ZoneSyntaxError(number, "a bracket that none opens")
            else:
                words.append(word)
        if not open_ and words:
            yield start, indented, words
    if open_:
        raise ZoneSyntaxError(start, "a bracket is not closed")


# Brackets, told by identity: in quotes they are words like others.
_OPEN, _CLOSE = Word(b"(", True), Word(b")", True)
_SPACE = re.compile(r"\s+")
_BARE = re.compile(r'(?:[^\s;"()\\]|\\[0-9]{3}|\\.)+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\[0-9]{3}|\\.)*)"')
_ESCAPE = re.compile(rb"\\(?:([0-9]{3})|(.))", re.S)


def _words(number: int, line: str) -> Iterator[Word]:
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        if char == ";":
            return
        if char in "()":
            at += 1
            yield _OPEN if char == "(" else _CLOSE
        elif space := _SPACE.match(line, at):
            at = space.end()
        elif char == '"':
            found = _QUOTED.match(line, at)
            if found is None:
                raise ZoneSyntaxError(number, "a quoted text does not end")
            at = found.end()
            yield Word(_octets(number, found[1]), True)
        else:
            found = _BARE.match(line, at)
            if found is None:
                raise ZoneSyntaxError(number, "a backslash at the end of the line")
            at = found.end()
            yield Word(_octets(number, found[0]), False)


def _octets(number: int, text: str) -> bytes:
    """Escapes undone: \\DDD is an octet, RFC 1035 5.1."""

    def undone(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            return found[2]
        if int(found[1]) > 255:
            raise ZoneSyntaxError(number, f"\\{found[1].decode()} is no octet")
        return bytes([int(found[1])])

    raw = text.encode("utf-8", "surrogatepass")
    return _ESCAPE.sub(undone, raw) if b"\\" in raw else raw
