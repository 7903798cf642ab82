"""Macros: "%{i}._spf.%{d2}" -> a domain name or a text (RFC 7208 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias
from urllib.parse import quote

MAX_TEXT = 4096
_MACRO = re.compile(r"%\{([A-Za-z])(\d{0,3})([rR]?)([.\-+,/_=]*)\}")
_LETTERS = frozenset("slodiphcrtv")
_EXP_ONLY = frozenset("crt")
# RFC 7208 7.1: domain-end is a toplabel or a macro.
_TOPLABEL = re.compile(r"\.(?=[A-Za-z0-9-]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?\Z")


class MacroError(ValueError):
    """A macro-string breaks its grammar."""


@dataclass(frozen=True, slots=True)
class Macro:
    """%{letter digits r delimiters}"""

    letter: str  # lower case
    digits: int = 0
    reverse: bool = False
    delimiters: str = "."
    escape: bool = False  # a capital letter: URL-escaped


MacroString: TypeAlias = tuple[str | Macro, ...]


@dataclass(frozen=True, slots=True)
class Values:
    """What macros stand for."""

    ip: IPv4Address | IPv6Address
    sender: str
    helo: str
    domain: str
    receiver: str = "unknown"
    now: float = 0.0
    validated: str = "unknown"

    def of(self, letter: str) -> str:
        """The value of a macro letter."""
        localpart, _, sender_domain = self.sender.rpartition("@")
        if letter == "i":
            return str(self.ip) if self.ip.version == 4 else ".".join(self.ip.exploded.replace(":", "").upper())
        return {
            "s": self.sender,
            "l": localpart or "postmaster",
            "o": sender_domain,
            "d": self.domain,
            "p": self.validated,
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
            "c": str(self.ip),
            "r": self.receiver,
            "t": str(int(self.now)),
        }[letter]


def parse_macro_string(text: str, *, explanation: bool = False) -> MacroString:
    """macro-string.  Raises MacroError."""
    parts: list[str | Macro] = []
    at = 0
    while at < len(text):
        percent = text.find("%", at)
        if percent < 0:
            parts.append(_literal(text[at:], explanation))
            break
        if percent > at:
            parts.append(_literal(text[at:percent], explanation))
        escape = text[percent : percent + 2]
        if escape in ("%%", "%_", "%-"):
            parts.append({"%%": "%", "%_": " ", "%-": "%20"}[escape])
            at = percent + 2
            continue
        match = _MACRO.match(text, percent)
        if match is None:
            raise MacroError("a % that begins no macro")
        parts.append(_macro(match, explanation))
        at = match.end()
    return tuple(parts)


def _literal(text: str, explanation: bool) -> str:
    low = " " if explanation else "!"
    if any(not low <= character <= "~" for character in text):
        raise MacroError("a character that cannot stand here")
    return text


def _macro(match: re.Match[str], explanation: bool) -> Macro:
    letter = match[1].lower()
    if letter not in _LETTERS or (letter in _EXP_ONLY and not explanation):
        raise MacroError(f"no such macro letter here: {match[1]}")
    if match[2] and int(match[2]) == 0:
        raise MacroError("zero labels are no name")
    return Macro(letter, int(match[2] or 0), bool(match[3]), match[4] or ".", match[1].isupper())


def parse_domain_spec(text: str) -> MacroString:
    """domain-spec: a macro-string that ends with a top label or a macro.  Raises MacroError."""
    if not text:
        raise MacroError("a domain is expected")
    parts = parse_macro_string(text)
    last = parts[-1]
    # An escape is no macro-expand with braces, so it cannot end a domain.
    if isinstance(last, Macro):
        return parts
    tail = "".join(part if isinstance(part, str) else "x" for part in parts)
    if text.endswith(("%%", "%_", "%-")) or not _TOPLABEL.search("." + tail if "." not in tail else tail):
        raise MacroError("a domain ends with a top label or a macro")
    if "." not in tail:
        raise MacroError("a domain has a dot")
    return parts


def needs_validated(parts: MacroString) -> bool:
    """Is %{p} in it?"""
    return any(isinstance(part, Macro) and part.letter == "p" for part in parts)


def expand(parts: MacroString, values: Values) -> str:
    """The text that a macro-string stands for, at most MAX_TEXT characters."""
    out = "".join(part if isinstance(part, str) else _expanded(part, values) for part in parts)
    return out[:MAX_TEXT]


def _expanded(macro: Macro, values: Values) -> str:
    pieces = re.split("[" + re.escape(macro.delimiters) + "]", values.of(macro.letter))
    if macro.reverse:
        pieces.reverse()
    if macro.digits:
        pieces = pieces[-macro.digits :]
    text = ".".join(pieces)
    return quote(text, safe="-._~") if macro.escape else text


def expand_domain(parts: MacroString, values: Values) -> str:
    """As expand, cut from the left at a dot until it fits a name (RFC 7208 7.3), without a final dot."""
    name = expand(parts, values).rstrip(".") if parts else ""
    while len(name) > 253:
        _, dot, name = name.partition(".")
        if not dot:
            break
    return name
