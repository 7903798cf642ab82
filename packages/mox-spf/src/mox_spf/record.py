"""SPF records, both ways: TXT text -> Record.  RFC 7208 4.5, 4.6, 5, 6 and 12; as a grammar in testing/record.lark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from mox_dns.scanner import RecordSyntaxError as AnyRecordSyntaxError
from mox_dns.scanner import Scanner
from mox_spf import macro
from mox_spf.macro import MacroString

Network: TypeAlias = IPv4Network | IPv6Network

VERSION = "v=spf1"
# RFC 7208 4.6.2, and the results of 8.
QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
# Parsed records are kept by their text; longer ones would let a few zones fill memory.
KEPT = 2048
MAX_KEPT_LENGTH = 2048

_SPACES = re.compile(r" +")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# What follows a domain or nothing.  Lengths are read apart, so that their mistakes are told as such.
_LENGTHS = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_LENGTH = re.compile(r"/([0-9]+)\Z")
_IP4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z")
_NOT_ASCII = re.compile(r"[^ -~]")


class RecordSyntaxError(AnyRecordSyntaxError):
    """This is no SPF record: `.text`, `.at` (character offset), `.why`."""


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier.

    `spec` is None where the current domain is meant; `network` is that of ip4 and ip6; `cidr4` and `cidr6` are the
    prefix lengths of a and mx; `text` is the term as it is written, `at` its place in the record."""

    qualifier: str  # pass fail softfail neutral
    mechanism: str  # all include a mx ptr ip4 ip6 exists
    text: str = field(default="", compare=False)
    spec: MacroString | None = None
    network: Network | None = None
    cidr4: int = 32
    cidr6: int = 128
    at: int = field(default=0, compare=False)
    # The network as numbers, because every message compares them.
    _version: int = field(default=0, init=False, repr=False, compare=False)
    _shift: int = field(default=0, init=False, repr=False, compare=False)
    _prefix: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.network is not None:
            shift = self.network.max_prefixlen - self.network.prefixlen
            object.__setattr__(self, "_version", self.network.version)
            object.__setattr__(self, "_shift", shift)
            object.__setattr__(self, "_prefix", int(self.network.network_address) >> shift)

    def covers(self, version: int, number: int) -> bool:
        """Is the address in the network of this ip4 or ip6?"""
        return self._version == version and number >> self._shift == self._prefix

    @property
    def asks(self) -> bool:
        """It counts against the limit of terms that ask DNS (RFC 7208 4.6.4)."""
        return self.mechanism not in ("all", "ip4", "ip6")

    def __str__(self) -> str:
        sign = next(sign for sign, result in QUALIFIERS.items() if result == self.qualifier)
        out = ("" if sign == "+" else sign) + self.mechanism
        if self.network is not None:
            address, length = self.network.network_address, self.network.prefixlen
            return f"{out}:{address}" + (f"/{length}" if length != self.network.max_prefixlen else "")
        out += f":{self.spec}" if self.spec is not None else ""
        out += f"/{self.cidr4}" if self.cidr4 != 32 else ""
        return out + (f"//{self.cidr6}" if self.cidr6 != 128 else "")


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record.  `others`: unknown modifiers, name and value as written; they mean nothing (RFC 7208 6)."""

    directives: tuple[Directive, ...] = ()
    redirect: MacroString | None = None
    explanation: MacroString | None = None
    others: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str | bytes) -> Record:
        """Reads the text of one TXT record.  Raises RecordSyntaxError, for a mistake anywhere in it (RFC 7208 4.6)."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        return _kept(text) if len(text) <= MAX_KEPT_LENGTH else _Reader(text).record()

    def __str__(self) -> str:
        return " ".join(self._terms())

    def _terms(self) -> Iterator[str]:
        yield VERSION
        yield from map(str, self.directives)
        if self.redirect is not None:
            yield f"redirect={self.redirect}"
        if self.explanation is not None:
            yield f"exp={self.explanation}"
        for name, value in self.others:
            yield f"{name}={value}"


def claims_spf(text: bytes) -> bool:
    """Does a TXT record begin as one of ours does?  RFC 7208 4.5."""
    return text[:6].lower() == b"v=spf1" and text[6:7] in (b"", b" ")


class _Reader(Scanner):
    """Methods are named after the rules of RFC 7208 12."""

    __slots__ = ("directives", "end", "explanation", "others", "redirect")

    Error = RecordSyntaxError

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.end = 0
        self.directives: list[Directive] = []
        self.redirect: MacroString | None = None
        self.explanation: MacroString | None = None
        self.others: list[tuple[str, str]] = []

    def record(self) -> Record:
        self.expect(VERSION)
        if wrong := _NOT_ASCII.search(self.text):
            self.fail("not a printable character of ASCII", wrong.start())  # RFC 7208 3.1
        while self.take(_SPACES) and not self.ended:
            space = self.text.find(" ", self.at)
            self.end = space if space >= 0 else len(self.text)
            self.term(self.at)
        self.finish()
        return Record(tuple(self.directives), self.redirect, self.explanation, tuple(self.others))

    def term(self, start: int) -> None:
        sign = self.peek()
        if sign in QUALIFIERS:
            self.at += 1
        name = self.need(_NAME, "a mechanism or a modifier")[0].lower()
        if self.peek() == "=" and sign not in QUALIFIERS:
            self.at += 1
            self.modifier(name, start)
        else:
            directive = self.mechanism(QUALIFIERS.get(sign, "pass"), name, start)
            self.directives.append(directive)
        self.at = self.end

    def modifier(self, name: str, start: int) -> None:
        if name == "redirect":
            if self.redirect is not None:
                self.fail("a second redirect", start)  # RFC 7208 6
            self.redirect = self.domain_spec(self.end)
        elif name == "exp":
            if self.explanation is not None:
                self.fail("a second exp", start)
            self.explanation = self.domain_spec(self.end)
        else:
            self.macro_string()
            self.others.append((name, self.text[self.at : self.end]))

    def mechanism(self, qualifier: str, name: str, start: int) -> Directive:
        if name not in MECHANISMS:
            self.fail("no such mechanism", start)
        text = self.text[start : self.end]
        spec: MacroString | None = None
        if name in ("a", "mx"):
            spec, cidr4, cidr6 = self.domain_and_lengths()
            return Directive(qualifier, name, text, spec, None, cidr4, cidr6, start)
        if name in ("ip4", "ip6"):
            self.expect(":")
            return Directive(qualifier, name, text, network=self.network(name), at=start)
        if name in ("include", "exists"):
            self.expect(":")
            spec = self.domain_spec(self.end)
        elif name == "ptr" and self.literal(":"):
            spec = self.domain_spec(self.end)
        if self.at < self.end:
            self.fail("unexpected text")
        return Directive(qualifier, name, text, spec, at=start)

    def domain_and_lengths(self) -> tuple[MacroString | None, int, int]:
        # A slash may also stand in a name, so the lengths are looked for from the end.
        lengths = self.lengths_at_end()
        spec = self.domain_spec(lengths.start()) if self.literal(":") else None
        if self.at < lengths.start():
            self.fail("unexpected text")
        self.at = lengths.start()
        return spec, self.cidr_length(lengths, 1, 32), self.cidr_length(lengths, 2, 128)

    def lengths_at_end(self) -> re.Match[str]:
        # Back over digits and slashes only, so that this stays linear.
        start = self.end
        while start > self.at and self.text[start - 1] in "0123456789/":
            start -= 1
        at = self.text.find("/", start, self.end)
        found = _LENGTHS.match(self.text, at, self.end) if at >= 0 else None
        if found is None:
            found = _LENGTHS.match(self.text, self.end, self.end)
            assert found is not None, "nothing at all matches"
        return found

    def cidr_length(self, lengths: re.Match[str], group: int, longest: int) -> int:
        digits = lengths[group]
        if digits is None:
            return longest
        if (len(digits) > 1 and digits[0] == "0") or len(digits) > 3 or int(digits) > longest:
            self.fail(f"a prefix length is 0 to {longest}, without leading zeros", lengths.start(group))
        return int(digits)

    def network(self, name: str) -> Network:
        longest = 32 if name == "ip4" else 128
        address_end = self.text.find("/", self.at, self.end)
        if address_end < 0:
            address_end = self.end
        written = self.text[self.at : address_end]
        length = longest
        if address_end < self.end:
            found = _LENGTH.match(self.text, address_end, self.end)
            if found is None:
                self.fail("expected a prefix length", address_end)
            length = self.cidr_length(found, 1, longest)
        try:
            if name == "ip4":
                return IPv4Network((IPv4Address(written if _IP4.match(written) else ""), length), strict=False)
            if "%" in written:  # a zone is none of RFC 4291's notation
                self.fail("expected an address")
            return IPv6Network((IPv6Address(written), length), strict=False)
        except AddressValueError:
            self.fail("expected an address")

    def domain_spec(self, end: int) -> MacroString:
        try:
            return macro.parse_domain(self.text, self.at, end)
        except macro.MacroSyntaxError as error:
            self.fail(error.why, error.at)
        finally:
            self.at = end

    def macro_string(self) -> MacroString:
        try:
            return macro.parse(self.text, self.at, self.end)
        except macro.MacroSyntaxError as error:
            self.fail(error.why, error.at)


@lru_cache(maxsize=KEPT)
def _kept(text: str) -> Record:
    return _Reader(text).record()


def forget() -> None:
    """Empties the memory of parsed records, for measuring and for tests."""
    _kept.cache_clear()
