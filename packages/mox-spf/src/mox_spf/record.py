"""SPF records, both ways: TXT text -> Record.  RFC 7208 4.5, 4.6, 5, 6 and 12; as a grammar in testing/record.lark.

Record.parse(text)  the record; the first mistake is raised (RFC 7208 4.6)
examine(text)       what is sound of it, and every mistake, for those who want to mend it"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from ipaddress import AddressValueError, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple, TypeAlias

from mox_dns.scanner import RecordSyntaxError as AnyRecordSyntaxError
from mox_dns.scanner import Scanner
from mox_spf import macro
from mox_spf.macro import MacroString

Network: TypeAlias = IPv4Network | IPv6Network

VERSION = "v=spf1"
# RFC 7208 4.6.2, and the results of 8.
QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_SIGNS = {"pass": "", "fail": "-", "softfail": "~", "neutral": "?"}
MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
# Parsed records are kept by their text; longer ones would let a few zones fill memory.
KEPT = 2048
MAX_KEPT_LENGTH = 2048
# Mistakes that one examination tells.
MAX_MISTAKES = 100

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# What follows a domain or nothing.  Lengths are read apart, so that their mistakes are told as such.
_LENGTHS = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_LENGTH = re.compile(r"/([0-9]+)\Z")
_QNUM = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IP4 = rf"{_QNUM}\.{_QNUM}\.{_QNUM}\.{_QNUM}"
_IP4_ADDRESS = re.compile(_IP4 + r"\Z")
_IP4_NETWORK = re.compile(_IP4 + r"(?:/(3[0-2]|[12]?[0-9]))?\Z")
_NOT_ASCII = re.compile(r"[^ -~]")


class RecordSyntaxError(AnyRecordSyntaxError):
    """This is no SPF record: `.text`, `.at` (character offset), `.why`."""


class Block(NamedTuple):
    """A network as numbers, because every message compares them: the bits of an address above `shift` are `prefix`."""

    version: int  # 4 or 6
    shift: int
    prefix: int

    @classmethod
    def of(cls, network: Network) -> Block:
        """From an `ip_network`."""
        shift = network.max_prefixlen - network.prefixlen
        return cls(network.version, shift, int(network.network_address) >> shift)

    @property
    def network(self) -> Network:
        """As an `ip_network`."""
        if self.version == 4:
            return IPv4Network((self.prefix << self.shift, 32 - self.shift))
        return IPv6Network((self.prefix << self.shift, 128 - self.shift))

    def covers(self, version: int, number: int) -> bool:
        """Is the address in it?"""
        return self.version == version and number >> self.shift == self.prefix


@dataclass(frozen=True, slots=True)
class Directive:
    """A mechanism with its qualifier.

    `spec` is None where the current domain is meant; `block` is the network of ip4 and ip6; `cidr4` and `cidr6` are the
    prefix lengths of a and mx; `text` is the term as it is written, `at` its place in the record."""

    qualifier: str  # pass fail softfail neutral
    mechanism: str  # all include a mx ptr ip4 ip6 exists
    text: str = field(default="", compare=False)
    spec: MacroString | None = None
    block: Block | None = None
    cidr4: int = 32
    cidr6: int = 128
    at: int = field(default=0, compare=False)

    @property
    def network(self) -> Network | None:
        """The network of ip4 and ip6."""
        return None if self.block is None else self.block.network

    @property
    def asks(self) -> bool:
        """It counts against the limit of terms that ask DNS (RFC 7208 4.6.4)."""
        return self.mechanism not in ("all", "ip4", "ip6")

    def __str__(self) -> str:
        out = _SIGNS[self.qualifier] + self.mechanism
        if (network := self.network) is not None:
            address, length = network.network_address, network.prefixlen
            return f"{out}:{address}" + (f"/{length}" if length != network.max_prefixlen else "")
        out += f":{self.spec}" if self.spec is not None else ""
        out += f"/{self.cidr4}" if self.cidr4 != 32 else ""
        return out + (f"//{self.cidr6}" if self.cidr6 != 128 else "")


class Stretch(NamedTuple):
    """Directives from `start` to before `end` that are networks, by IP version (shift, prefix, index); then `then`."""

    start: int
    end: int
    v4: tuple[tuple[int, int, int], ...]
    v6: tuple[tuple[int, int, int], ...]
    then: Directive | None  # no network; None at the end of the record
    target: str | None  # what `then` names, ready to be asked for; "" if it cannot be, None if that must be worked out


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record.  `others`: unknown modifiers, name and value as written; they mean nothing (RFC 7208 6)."""

    directives: tuple[Directive, ...] = ()
    redirect: MacroString | None = None
    explanation: MacroString | None = None
    others: tuple[tuple[str, str], ...] = ()
    # Made of the directives at the first check, because most networks are passed over.
    _stretches: tuple[Stretch, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str | bytes) -> Record:
        """Reads the text of one TXT record.  Raises RecordSyntaxError, for a mistake anywhere in it (RFC 7208 4.6)."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        return _kept(text) if len(text) <= MAX_KEPT_LENGTH else _Reader(text).record()

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The directives in order, networks that stand together as one."""
        if self._stretches is None:
            object.__setattr__(self, "_stretches", tuple(_stretched(self.directives)))
        assert self._stretches is not None
        return self._stretches

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


def _stretched(directives: tuple[Directive, ...]) -> Iterator[Stretch]:
    start = 0
    blocks: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    for index, directive in enumerate(directives):
        if directive.block is not None:
            version, shift, prefix = directive.block
            blocks[version].append((shift, prefix, index))
            continue
        constant = None if directive.spec is None else directive.spec.constant
        target = None if constant is None else macro.askable(macro.fitted(constant))
        yield Stretch(start, index, tuple(blocks[4]), tuple(blocks[6]), directive, target)
        start, blocks = index + 1, {4: [], 6: []}
    if start < len(directives):
        yield Stretch(start, len(directives), tuple(blocks[4]), tuple(blocks[6]), None, None)


def claims_spf(text: bytes) -> bool:
    """Does a TXT record begin as one of ours does?  RFC 7208 4.5."""
    return text[:6].lower() == b"v=spf1" and text[6:7] in (b"", b" ")


def examine(text: str | bytes) -> tuple[Record, tuple[RecordSyntaxError, ...]]:
    """What is sound of a record, term by term, and every mistake in it in order.  Never raises.

    Only a record without any mistake means anything to a receiver (RFC 7208 4.6)."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    reader = _Reader(text)
    try:
        record = reader.record(reader.mistakes)
    except RecordSyntaxError as error:
        return Record(), (error,)
    return record, tuple(sorted(reader.mistakes, key=lambda mistake: mistake.at))


class _Reader(Scanner):
    """Methods are named after the rules of RFC 7208 12."""

    __slots__ = ("directives", "end", "explanation", "mistakes", "others", "redirect")

    Error = RecordSyntaxError

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.end = 0
        self.directives: list[Directive] = []
        self.redirect: MacroString | None = None
        self.explanation: MacroString | None = None
        self.others: list[tuple[str, str]] = []
        self.mistakes: list[RecordSyntaxError] = []

    def record(self, mistakes: list[RecordSyntaxError] | None = None) -> Record:
        """The record; with `mistakes`, wrong terms are put there and left out."""
        self.expect(VERSION)
        text, longest = self.text, len(self.text)
        if mistakes is None and not (text.isascii() and text.isprintable()):
            wrong = _NOT_ASCII.search(text)
            assert wrong is not None
            self.fail("not a printable character of ASCII", wrong.start())  # RFC 7208 3.1
        if not text.startswith(" ", self.at):
            self.finish()
        term, at = (self.term if mistakes is None else partial(self.try_term, mistakes)), self.at
        while at < longest:
            if text[at] == " ":
                at += 1
                continue
            space = text.find(" ", at)
            self.at, self.end = at, space if space >= 0 else longest
            term(at)
            at = self.end
        return Record(tuple(self.directives), self.redirect, self.explanation, tuple(self.others))

    def try_term(self, mistakes: list[RecordSyntaxError], start: int) -> None:
        if len(mistakes) == MAX_MISTAKES:
            return
        try:
            if wrong := _NOT_ASCII.search(self.text, self.at, self.end):
                self.fail("not a printable character of ASCII", wrong.start())
            self.term(start)
        except RecordSyntaxError as error:
            mistakes.append(error)

    def term(self, start: int) -> None:
        text, end = self.text, self.end
        sign = text[start]
        signed = sign in QUALIFIERS
        named = _NAME.match(text, start + signed, end)
        if named is None:
            self.fail("expected a mechanism or a modifier", start + signed)
        name, self.at = named[0].lower(), named.end()
        if text[self.at : self.at + 1] == "=" and not signed:
            self.at += 1
            self.modifier(name, start)
        else:
            self.directives.append(self.mechanism(QUALIFIERS[sign] if signed else "pass", name, start))

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
        text = self.text[start : self.end]
        spec: MacroString | None = None
        if name in ("ip4", "ip6"):
            self.colon()
            block = self.ip4_network() if name == "ip4" else self.ip6_network()
            return Directive(qualifier, name, text, None, block, 32, 128, start)
        if name in ("a", "mx"):
            cidr4, cidr6 = 32, 128
            if self.at < self.end:
                spec, cidr4, cidr6 = self.domain_and_lengths()
            return Directive(qualifier, name, text, spec, None, cidr4, cidr6, start)
        if name in ("include", "exists"):
            self.colon()
            spec = self.domain_spec(self.end)
        elif name not in MECHANISMS:
            self.fail("no such mechanism", start)
        elif name == "ptr" and self.at < self.end and self.text[self.at] == ":":
            self.at += 1
            spec = self.domain_spec(self.end)
        if self.at < self.end:
            self.fail("unexpected text")
        return Directive(qualifier, name, text, spec, None, 32, 128, start)

    def colon(self) -> None:
        if self.at >= self.end or self.text[self.at] != ":":
            self.fail("expected ':'")
        self.at += 1

    def domain_and_lengths(self) -> tuple[MacroString | None, int, int]:
        spec: MacroString | None = None
        if self.text[self.at] == ":" and self.text.find("/", self.at, self.end) < 0:
            self.at += 1
            return self.domain_spec(self.end), 32, 128
        # A slash may also stand in a name, so the lengths are looked for from the end.
        lengths = self.lengths_at_end()
        if self.text[self.at] == ":":
            self.at += 1
            spec = self.domain_spec(lengths.start())
        if self.at < lengths.start():
            self.fail("unexpected text")
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

    def ip4_network(self) -> Block:
        """RFC 7208 5.6; `qnum` of 12."""
        found = _IP4_NETWORK.match(self.text, self.at, self.end)
        if found is None:
            slash, _ = self.length(32)
            self.fail("expected an address", None if _IP4_ADDRESS.match(self.text, self.at, slash) is None else slash)
        a, b, c, d, length = found.groups()
        shift = 32 - int(length) if length is not None else 0
        return Block(4, shift, (int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)) >> shift)

    def ip6_network(self) -> Block:
        """RFC 7208 5.6, RFC 4291 2.2."""
        slash, length = self.length(128)
        written = self.text[self.at : slash]
        if "%" in written:  # a zone is none of RFC 4291's notation
            self.fail("expected an address")
        try:
            return Block(6, 128 - length, int(IPv6Address(written)) >> (128 - length))
        except AddressValueError:
            self.fail("expected an address")

    def length(self, longest: int) -> tuple[int, int]:
        """Where the address ends, and the prefix length behind it."""
        slash = self.text.find("/", self.at, self.end)
        if slash < 0:
            return self.end, longest
        found = _LENGTH.match(self.text, slash, self.end)
        if found is None:
            self.fail("expected a prefix length", slash)
        return slash, self.cidr_length(found, 1, longest)

    def domain_spec(self, end: int) -> MacroString:
        start, self.at = self.at, end
        try:
            return macro.parse_domain(self.text, start, end)
        except macro.MacroSyntaxError as error:
            self.fail(error.why, error.at)

    def macro_string(self) -> MacroString:
        try:
            return macro.parse(self.text, self.at, self.end)
        except macro.MacroSyntaxError as error:
            self.fail(error.why, error.at)


@lru_cache(maxsize=KEPT)
def _kept(text: str) -> Record:
    return _Reader(text).record()


@lru_cache(maxsize=KEPT)
def _judged(text: bytes) -> Record | RecordSyntaxError | None:
    if not claims_spf(text):
        return None
    try:
        return Record.parse(text)
    except RecordSyntaxError as error:
        return error.with_traceback(None)


def read(text: bytes) -> Record | RecordSyntaxError | None:
    """A TXT record as SPF record, or the mistake in it; None if it does not claim to be one."""
    return _judged(text) if len(text) <= MAX_KEPT_LENGTH else _judged.__wrapped__(text)


def forget() -> None:
    """Empties the memory of parsed records, for measuring and for tests."""
    _kept.cache_clear()
    _judged.cache_clear()
