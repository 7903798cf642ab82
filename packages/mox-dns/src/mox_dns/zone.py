"""Answers from a small table: for tests, for localserve, for `--zone FILE`.  No network, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mox_dns.lookup import Answer, Mx, Question, Status, Tlsa

MAX_CNAMES = 16

# A value that stands for a failure instead of records.
FAILURES = {"TIMEOUT": Status.TIMEOUT, "SERVFAIL": Status.SERVFAIL, "BOGUS": Status.BOGUS}


class ZoneSyntaxError(ValueError):
    """A line of a zone text makes no sense: `.line` (from 1), `.why`."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why
        super().__init__(f"line {line}: {why}")


def _fold(name: str) -> str:
    return name.rstrip(".").lower() or "."


def _record(type: str, value: Any) -> Any:
    if type == "TXT":
        return value if isinstance(value, bytes) else str(value).encode()
    if type == "A":
        return IPv4Address(value)
    if type == "AAAA":
        return IPv6Address(value)
    if type == "MX" and not isinstance(value, Mx):
        preference, host = str(value).split()
        return Mx(int(preference), _fold(host))
    if type == "TLSA" and not isinstance(value, Tlsa):
        usage, selector, matching, data = str(value).split(maxsplit=3)
        return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))
    return value if isinstance(value, Mx | Tlsa) else _fold(str(value))


class Zone:
    """Answers from `{"a.example TXT": ["v=spf1 -all"], "a.example MX": ["10 mx.a.example"], "b.example": "TIMEOUT"}`.

    A key without a type gives the failure of a name's other types: a Status, or its name in capitals.  `asked` lists
    every question.  Satisfies both resolver protocols.  `authentic` is put on every answer.  Raises ValueError for
    records that cannot be."""

    def __init__(
        self, records: Mapping[str, Iterable[Any] | str] | None = None, *, authentic: bool = False, ttl: int = 300
    ) -> None:
        self._authentic = authentic
        self.ttl = ttl
        self.asked: list[Question] = []
        # Answers with records, as they were given before.
        self._given: dict[tuple[str, str], Answer] = {}
        self._records: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._failures: dict[tuple[str, str], Status] = {}
        self._names: set[str] = set()
        for key, values in (records or {}).items():
            self.add(key, values)

    @property
    def authentic(self) -> bool:
        """Does DNSSEC vouch for every answer?"""
        return self._authentic

    @authentic.setter
    def authentic(self, authentic: bool) -> None:
        self._authentic = authentic
        self._given.clear()

    def add(self, key: str, values: Iterable[Any] | str) -> None:
        """Adds records ("name TYPE": values), or a failure ("name" or "name TYPE": "TIMEOUT")."""
        self._given.clear()
        name, _, type = key.partition(" ")
        name = _fold(name)
        at = name, type.upper()
        if isinstance(values, Status) or (isinstance(values, str) and values in FAILURES):
            self._failures[at] = values if isinstance(values, Status) else FAILURES[values]
            return
        single = isinstance(values, str | bytes)
        made = tuple(_record(at[1], value) for value in ([values] if single else values))
        self._records[at] = self._records.get(at, ()) + made
        # RFC 8020: a name above an existing one exists, though it may have no record.
        while name and name not in self._names:
            self._names.add(name)
            _, _, name = name.partition(".")

    def ask(self, question: Question) -> Answer:
        """The answer to `question`, at once."""
        self.asked.append(question)
        given = self._given.get((question.name, question.type))
        if given is None:
            given = self._answer(question)
            if given.found:
                self._given[question.name, question.type] = given
        return given

    def _answer(self, question: Question) -> Answer:
        name = _fold(question.name)
        for _ in range(MAX_CNAMES):
            if records := self._records.get((name, question.type)):
                return Answer(question, Status.OK, records, self.authentic, self.ttl, name)
            failure = self._failures.get((name, question.type)) or self._failures.get((name, ""))
            if failure is not None:
                return Answer(question, failure, canonical=name)
            target = self._records.get((name, "CNAME"))
            if not target or question.type == "CNAME":
                status = Status.NODATA if name in self._names else Status.NXDOMAIN
                return Answer(question, status, (), self.authentic, self.ttl, name)
            name = target[0]
        return Answer(question, Status.SERVFAIL, canonical=name, detail="a loop of CNAMEs")

    @classmethod
    def parse(cls, text: str, *, authentic: bool = False) -> Zone:
        """A zone from lines `name [ttl] [IN] TYPE value`; `;` begins a comment; TXT values may stand in quotes.

        Raises ZoneSyntaxError."""
        zone = cls(authentic=authentic)
        for number, line in enumerate(text.splitlines(), 1):
            words = _words(number, line)
            if not words:
                continue
            name, rest = words[0], words[1:]
            while rest and (rest[0].isdigit() or rest[0].upper() == "IN"):
                rest = rest[1:]
            if len(rest) == 1 and rest[0].upper() in FAILURES:
                zone.add(name, rest[0].upper())
                continue
            if len(rest) < 2:
                raise ZoneSyntaxError(number, "write: name TYPE value")
            type, values = rest[0].upper(), rest[1:]
            try:
                if len(values) == 1 and values[0] in FAILURES:
                    zone.add(f"{name} {type}", values[0])
                else:
                    zone.add(f"{name} {type}", ["".join(values) if type == "TXT" else " ".join(values)])
            except ValueError as error:
                raise ZoneSyntaxError(number, str(error)) from None
        return zone


def _words(number: int, line: str) -> list[str]:
    """The words of a line; quoted strings are one word, with backslash escapes undone."""
    words: list[str] = []
    at, end = 0, len(line)
    while at < end:
        if line[at].isspace():
            at += 1
        elif line[at] == ";":
            break
        elif line[at] == '"':
            at += 1
            word = []
            while at < end and line[at] != '"':
                at += line[at] == "\\"
                word.append(line[at : at + 1])
                at += 1
            if at >= end:
                raise ZoneSyntaxError(number, "a quoted text does not end")
            at += 1
            words.append("".join(word))
        else:
            start = at
            while at < end and not line[at].isspace() and line[at] != ";":
                at += 1
            words.append(line[start:at])
    return words
