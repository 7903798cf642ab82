"""Macros: "%{ir}.%{v}._spf.%{d2}" -> a domain name or a text.  RFC 7208 7.

parse(text)          explain-string or macro-string, as it is written
parse_domain(text)   domain-spec, which ends like a name
MacroString.expand   the text that it stands for
MacroString.name     the name that it stands for, short enough to be asked for
askable(name)        as it is asked for, if it can be"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

from mox_dns.scanner import RecordSyntaxError

# Characters of a name (RFC 1035 2.3.4), and of an expanded text: a macro of a few octets may stand for a long sender.
MAX_NAME = 253
MAX_TEXT = 8192
# Characters of what one letter stands for, from the right: no address or name of mail is as long.
MAX_VALUE = 1024

_PART = re.compile(r"%\{([a-zA-Z])([0-9]*)([rR]?)([-.+,/_=]*)\}|%([%_-])|([!-$&-~]+)")
_PART_OR_SPACE = re.compile(_PART.pattern.replace("[!-$&-~]", "[ -$&-~]"))
# domain-end without a macro.  A toplabel is not all digits, so that addresses are no names.
_TOP_LABEL = re.compile(r"(?:[0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\Z")
_PLAIN_DOMAIN = re.compile(r"(?:[!-$&-\-0-~]+\.)+[A-Za-z]{2,63}\Z")
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_ESCAPED = {text: "%" + sign for sign, text in _ESCAPES.items()}
# RFC 7208 7.2: these only in the text of an explanation.
_EXPLANATION_ONLY = frozenset("crt")
_PLAIN_LETTERS = frozenset("slodiphv")
_LETTERS = _PLAIN_LETTERS | _EXPLANATION_ONLY


class MacroSyntaxError(RecordSyntaxError):
    """A text breaks the grammar of macros: `.text`, `.at`, `.why`."""


@dataclass(frozen=True, slots=True)
class Values:
    """What the letters stand for.  `receiver` and `now` (seconds since 1970) are told in explanations only."""

    ip: IPv4Address | IPv6Address
    sender: str
    helo: str
    domain: str
    receiver: str = "unknown"
    now: float = 0.0
    validated: str = "unknown"

    @property
    def local_part(self) -> str:
        """%{l}"""
        return self.sender.rpartition("@")[0]

    @property
    def sender_domain(self) -> str:
        """%{o}"""
        return self.sender.rpartition("@")[2]

    @property
    def dotted_ip(self) -> str:
        """%{i}: an IPv6 address as its 32 digits with dots between."""
        if isinstance(self.ip, IPv6Address):
            return ".".join(f"{int(self.ip):032X}")
        return str(self.ip)


_VALUE: dict[str, Callable[[Values], str]] = {
    "s": lambda values: values.sender,
    "l": lambda values: values.local_part,
    "o": lambda values: values.sender_domain,
    "d": lambda values: values.domain,
    "i": lambda values: values.dotted_ip,
    "p": lambda values: values.validated,
    "v": lambda values: "ip6" if values.ip.version == 6 else "in-addr",
    "h": lambda values: values.helo,
    "c": lambda values: str(values.ip),
    "r": lambda values: values.receiver or "unknown",
    "t": lambda values: str(int(values.now)),
}


@dataclass(frozen=True, slots=True)
class Macro:
    """`%{letter keep reverse delimiters}`: `keep` labels from the right, 0 for all; `escape`: a capital letter."""

    letter: str
    keep: int = 0
    reverse: bool = False
    delimiters: str = ""
    escape: bool = False

    def expand(self, values: Values) -> str:
        """RFC 7208 7.3."""
        text = _VALUE[self.letter](values)[-MAX_VALUE:]
        if self.keep or self.reverse or self.delimiters:
            labels = re.split(f"[{re.escape(self.delimiters or '.')}]", text)
            if self.reverse:
                labels.reverse()
            text = ".".join(labels[-self.keep :])
        return quote(_octets(text), safe="-._~") if self.escape else text

    def __str__(self) -> str:
        letter = self.letter.upper() if self.escape else self.letter
        return f"%{{{letter}{self.keep or ''}{'r' if self.reverse else ''}{self.delimiters}}}"


@dataclass(frozen=True, slots=True)
class MacroString:
    """Literal texts and macros in order.  `constant`: the whole text if there is no macro in it."""

    parts: tuple[str | Macro, ...]
    constant: str | None = None

    @property
    def letters(self) -> frozenset[str]:
        """The letters it needs values for."""
        return frozenset(part.letter for part in self.parts if isinstance(part, Macro))

    def expand(self, values: Values) -> str:
        """The text it stands for."""
        return self.constant if self.constant is not None else self._joined(values, self.parts, MAX_TEXT)[:MAX_TEXT]

    def name(self, values: Values) -> str:
        """The name it stands for, without final dot.

        RFC 7208 7.3: of a name too long, labels are left out from the left until it fits."""
        if self.constant is not None:
            return fitted(self.constant)
        # Only the end counts, so it is made from there.
        return fitted(self._joined(values, self.parts[::-1], MAX_NAME + 1))

    def _joined(self, values: Values, parts: tuple[str | Macro, ...], enough: int) -> str:
        """The parts' texts in the order of this macro-string; no more of `parts` than make `enough` characters."""
        texts: list[str] = []
        length = 0
        for part in parts:
            text = part if isinstance(part, str) else part.expand(values)
            texts.append(text)
            length += len(text)
            if length > enough:
                break
        if parts is not self.parts:
            texts.reverse()
        return "".join(texts)

    def __str__(self) -> str:
        """As it may be written."""
        return "".join([_written(part) if isinstance(part, str) else str(part) for part in self.parts])


def fitted(name: str) -> str:
    """Without final dot, and without so many of its left labels that it is short enough (RFC 7208 7.3)."""
    name = name.removesuffix(".")
    return name if len(name) <= MAX_NAME else name[-MAX_NAME - 1 :].partition(".")[2]


def askable(text: str) -> str:
    """The name, lower case without final dot, if DNS can be asked for it; else "".

    Macros make names that no host has, so any printable octet will do."""
    name = text.removesuffix(".").lower()
    if not name.isascii() or not name.isprintable() or len(name) > MAX_NAME:
        return ""
    if ".." in text or name[:1] in ("", ".") or (len(name) > 63 and max(map(len, name.split("."))) > 63):
        return ""
    return name


def _octets(text: str) -> bytes:
    """UTF-8, and octets that were none as they came (surrogateescape); never fails."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _written(literal: str) -> str:
    return re.sub("%20|%| ", lambda found: _ESCAPED[found[0]], literal)


def parse(text: str, start: int = 0, end: int | None = None, *, explanation: bool = False) -> MacroString:
    """`text[start:end]` as macro-string, or with `explanation` as explain-string.  Raises MacroSyntaxError."""
    return _parse(text, start, len(text) if end is None else end, explanation)[0]


def parse_domain(text: str, start: int = 0, end: int | None = None) -> MacroString:
    """`text[start:end]` as domain-spec.  Raises MacroSyntaxError."""
    end = len(text) if end is None else end
    if plain := _PLAIN_DOMAIN.match(text, start, end):  # most are
        return MacroString((plain[0],), plain[0])
    parsed, literal = _parse(text, start, end, False)
    if not parsed.parts:
        raise MacroSyntaxError(text, start, "expected a domain")
    if literal < end:
        stop = end - 1 if text[end - 1] == "." else end
        dot = text.rfind(".", literal, stop)
        if dot < 0 or not _TOP_LABEL.match(text, dot + 1, stop):
            raise MacroSyntaxError(text, max(dot, literal), "a domain ends in a dot and a top label, or in a macro")
    return parsed


def _parse(text: str, start: int, end: int, explanation: bool) -> tuple[MacroString, int]:
    """And where the literal text behind the last macro-expand begins."""
    pattern = _PART_OR_SPACE if explanation else _PART
    parts: list[str | Macro] = []
    at = after = start
    while at < end:
        match = pattern.match(text, at, end)
        if match is None:
            why = "this % begins no macro" if text[at] == "%" else "this character cannot stand here"
            raise MacroSyntaxError(text, at, why)
        letter, keep, reverse, delimiters, escape, literal = match.groups()
        if letter is not None:
            if letter in _PLAIN_LETTERS and not keep:
                parts.append(Macro(letter, 0, reverse != "", delimiters))
            else:
                parts.append(_macro(text, at, letter, keep, reverse != "", delimiters, explanation))
        else:
            plain = literal if escape is None else _ESCAPES[escape]
            if parts and isinstance(parts[-1], str):
                parts[-1] += plain
            else:
                parts.append(plain)
        at = match.end()
        if literal is None:
            after = at
    if not parts:
        return MacroString((), ""), start
    only = parts[0] if len(parts) == 1 else None
    return MacroString(tuple(parts), only if isinstance(only, str) else None), after


def _macro(text: str, at: int, letter: str, keep: str, reverse: bool, delimiters: str, explanation: bool) -> Macro:
    small = letter.lower()
    if small not in _LETTERS:
        raise MacroSyntaxError(text, at + 2, "no such macro letter")
    if small in _EXPLANATION_ONLY and not explanation:
        raise MacroSyntaxError(text, at + 2, "this letter is for explanations only")
    digits = keep.lstrip("0")
    if keep and not digits:
        raise MacroSyntaxError(text, at + 3, "zero labels are no name")  # RFC 7208 7.3
    # More than 127 labels no name has.
    return Macro(small, min(int(digits[:4] or 0), 128), reverse, delimiters, letter != small)
