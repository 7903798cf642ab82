"""Answers from a small table: for tests, for localserve, for `--zone FILE`.  No network, no waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mox_dns.lookup import Answer, Mx, Question, Status, Tlsa
from mox_dns.zonefile import ZoneSyntaxError, entries

__all__ = ["FAILURES", "MAX_CNAMES", "Zone", "ZoneSyntaxError"]

MAX_CNAMES = 16

# A value that stands for a failure instead of records.
FAILURES = {"TIMEOUT": Status.TIMEOUT, "SERVFAIL": Status.SERVFAIL, "BOGUS": Status.BOGUS}


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
        self._wild: set[str] = set()
        self._failing: set[str] = set()
        self._ttls: dict[tuple[str, str], int] = {}
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

    def add(self, key: str, values: Iterable[Any] | str, *, ttl: int | None = None) -> None:
        """Adds records ("name TYPE": values), or a failure ("name" or "name TYPE": "TIMEOUT")."""
        self._given.clear()
        name, _, type = key.partition(" ")
        name = _fold(name)
        at = name, type.upper()
        if name.startswith("*."):
            self._wild.add(name)
        if isinstance(values, Status) or (isinstance(values, str) and values in FAILURES):
            self._failures[at] = values if isinstance(values, Status) else FAILURES[values]
            self._failing.add(name)
            return
        single = isinstance(values, str | bytes)
        made = tuple(_record(at[1], value) for value in ([values] if single else values))
        self._records[at] = self._records.get(at, ()) + made
        if ttl is not None:
            self._ttls[at] = min(ttl, self._ttls.get(at, ttl))
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
        ttl = 0x7FFFFFFF
        for _ in range(MAX_CNAMES):
            at = self._source(name)
            if records := self._records.get((at, question.type)):
                ttl = min(ttl, self._ttls.get((at, question.type), self.ttl))
                return Answer(question, Status.OK, records, self.authentic, ttl, name)
            failure = self._failures.get((at, question.type)) or self._failures.get((at, ""))
            if failure is not None:
                return Answer(question, failure, canonical=name)
            target = self._records.get((at, "CNAME"))
            if not target or question.type == "CNAME":
                status = Status.NODATA if at in self._names else Status.NXDOMAIN
                return Answer(question, status, (), self.authentic, min(ttl, self.ttl), name)
            ttl = min(ttl, self._ttls.get((at, "CNAME"), self.ttl))
            name = target[0]
        return Answer(question, Status.SERVFAIL, canonical=name, detail="a loop of CNAMEs")

    def _source(self, name: str) -> str:
        """The name whose records count: itself, or the wildcard of the closest name that exists (RFC 4592 3.3.1)."""
        if not self._wild or name in self._names or name in self._failing:
            return name
        above = name
        while above:
            _, _, above = above.partition(".")
            if f"*.{above}" in self._wild:
                return f"*.{above}"
            if above in self._names:
                break
        return name

    @classmethod
    def parse(cls, text: str, *, authentic: bool = False) -> Zone:
        """A zone from the text of a zone file, as zonefile.py describes it.  Raises ZoneSyntaxError."""
        zone = cls(authentic=authentic)
        for entry in entries(text):
            key = f"{entry.name} {entry.type}" if entry.type else entry.name
            try:
                zone.add(key, str(entry.value) if entry.failure else [entry.value], ttl=entry.ttl)
            except ValueError as error:
                raise ZoneSyntaxError(entry.line, str(error)) from None
        return zone
