"""SPF records: TXT text -> Record (RFC 7208 4.6, 12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Network, IPv6Network, NetmaskValueError
from typing import TypeAlias

from mox_spf.macro import MacroError, MacroString, parse_domain_spec, parse_macro_string

Network: TypeAlias = IPv4Network | IPv6Network
QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_TERM = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9_.\-]*)(.*)\Z", re.DOTALL)
_CIDR = re.compile(r"(?:/(0|[1-9]\d{0,2}))?(?://(0|[1-9]\d{0,2}))?\Z")


class RecordSyntaxError(ValueError):
    """A record breaks its grammar (permerror): `.text`, `.at` (character), `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(f"{why} at character {at + 1}")


@dataclass(frozen=True, slots=True)
class Directive:
    """A qualified mechanism.  `spec` is None where the current domain is meant."""

    qualifier: str  # pass, fail, softfail, neutral
    mechanism: str  # all include a mx ptr ip4 ip6 exists
    text: str
    spec: MacroString | None = None
    network: Network | None = None
    cidr4: int = 32
    cidr6: int = 128


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record."""

    directives: tuple[Directive, ...]
    redirect: MacroString | None = None
    explanation: MacroString | None = None

    @classmethod
    def parse(cls, text: str) -> Record:
        """Raises RecordSyntaxError; linear."""
        return _parse(text)


def is_spf(text: bytes) -> bool:
    """Does a TXT record claim to be SPF (RFC 7208 4.5)?"""
    return text[:6].lower() == b"v=spf1" and (len(text) == 6 or text[6:7] == b" ")


@lru_cache(maxsize=2048)
def _parse(text: str) -> Record:
    if not text.isascii():
        at = next(at for at, character in enumerate(text) if not character.isascii())
        raise RecordSyntaxError(text, at, "a character that is not ASCII")
    if text[:6].lower() != "v=spf1" or text[6:7] not in ("", " "):
        raise RecordSyntaxError(text, 0, "v=spf1 is expected")
    directives: list[Directive] = []
    modifiers: dict[str, MacroString] = {}
    at = 6
    for word in text[6:].split(" "):
        if word:
            _term(text, at, word, directives, modifiers)
        at += len(word) + 1
    return Record(tuple(directives), modifiers.get("redirect"), modifiers.get("exp"))


def _term(text: str, at: int, word: str, directives: list[Directive], modifiers: dict[str, MacroString]) -> None:
    match = _TERM.match(word)
    if match is None:
        raise RecordSyntaxError(text, at, "a mechanism or modifier is expected")
    qualifier, name, rest = match.groups()
    try:
        if rest.startswith("=") and not qualifier:
            _modifier(name.lower(), rest[1:], modifiers)
        else:
            directives.append(_directive(QUALIFIERS[qualifier or "+"], name.lower(), rest, word))
    except (MacroError, ValueError) as error:
        raise RecordSyntaxError(text, at, f"{word[:80]}: {error}") from None


def _modifier(name: str, value: str, modifiers: dict[str, MacroString]) -> None:
    if name in ("redirect", "exp"):
        # RFC 7208 6: each at most once.
        if name in modifiers:
            raise ValueError(f"{name} is given twice")
        modifiers[name] = parse_domain_spec(value)
        return
    parse_macro_string(value)  # unknown ones are ignored, but must be well formed


def _directive(qualifier: str, name: str, rest: str, word: str) -> Directive:
    if name == "all":
        if rest:
            raise ValueError("all takes nothing")
        return Directive(qualifier, name, word)
    if name in ("ip4", "ip6"):
        return Directive(qualifier, name, word, network=_network(name, rest))
    if name in ("include", "exists"):
        if not rest.startswith(":"):
            raise ValueError(f"{name} needs a domain")
        return Directive(qualifier, name, word, spec=parse_domain_spec(rest[1:]))
    if name == "ptr":
        if rest and not rest.startswith(":"):
            raise ValueError("ptr takes a domain only")
        return Directive(qualifier, name, word, spec=parse_domain_spec(rest[1:]) if rest else None)
    if name in ("a", "mx"):
        return _with_cidr(qualifier, name, rest, word)
    raise ValueError("no such mechanism")


def _with_cidr(qualifier: str, name: str, rest: str, word: str) -> Directive:
    spec: MacroString | None = None
    lengths = rest
    if rest.startswith(":"):
        # A slash may stand inside a macro's delimiters; the lengths are what is left of the end.
        match = re.search(r"(?:/\d+)?(?://\d+)?\Z", rest)
        start = match.start() if match else len(rest)
        spec, lengths = parse_domain_spec(rest[1:start]), rest[start:]
    found = _CIDR.match(lengths)
    if found is None:
        raise ValueError("a prefix length is expected")
    cidr4, cidr6 = int(found[1] or 32), int(found[2] or 128)
    if cidr4 > 32 or cidr6 > 128:
        raise ValueError("a prefix length that is too long")
    return Directive(qualifier, name, word, spec=spec, cidr4=cidr4, cidr6=cidr6)


def _network(name: str, rest: str) -> Network:
    if not rest.startswith(":"):
        raise ValueError(f"{name} needs an address")
    address, slash, length = rest[1:].partition("/")
    longest = 32 if name == "ip4" else 128
    if slash and not (length.isdigit() and str(int(length)) == length and int(length) <= longest):
        raise ValueError("a prefix length is expected")
    if "%" in address:
        raise ValueError("an address has no zone")
    try:
        made = f"{address}/{length or longest}"
        return IPv4Network(made, strict=False) if name == "ip4" else IPv6Network(made, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError("not an address") from None
