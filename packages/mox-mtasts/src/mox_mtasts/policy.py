"""The policy of a domain, both ways.  RFC 8461 3.2 and 4.1; as a grammar in testing/policy.lark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from mox_dns import Domain
from mox_dns import RecordSyntaxError as AnyRecordSyntaxError

VERSION = "STSv1"
PATH = "/.well-known/mta-sts.txt"
# For whoever serves a policy (RFC 8461 3.2).
CONTENT_TYPE = "text/plain; charset=utf-8"
# A year, RFC 8461 3.2.
MAX_MAX_AGE = 31_557_600

_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MX = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\Z")
_MAX_AGE = re.compile(r"[0-9]{1,10}\Z")
_BAD = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME = 253


class PolicySyntaxError(AnyRecordSyntaxError):
    """This is no policy: `.text`, `.at` (character offset), `.why`."""


class Mode(StrEnum):
    """RFC 8461 5."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy.  `mx`: patterns in lower case, `mail.example.org` or `*.example.org`; `max_age` in seconds.

    `extensions`: fields that RFC 8461 does not know.  Raises PolicySyntaxError for values that none can have."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int
    extensions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.mx:
            if why := _why_no_pattern(pattern):
                raise PolicySyntaxError(pattern, 0, why)
        if not 0 <= self.max_age <= MAX_MAX_AGE:
            raise PolicySyntaxError(str(self.max_age), 0, f"max_age is 0 to {MAX_MAX_AGE} seconds")
        if not self.mx and self.mode is not Mode.NONE:
            raise PolicySyntaxError("", 0, f"no mx, which mode {self.mode} needs")

    @classmethod
    def parse(cls, text: str | bytes) -> Policy:
        """Reads a policy (UTF-8).  Raises PolicySyntaxError."""
        if isinstance(text, bytes):
            try:
                text = text.decode("utf-8")
            except UnicodeDecodeError as error:
                raise PolicySyntaxError(error.object.decode("latin-1"), error.start, "not UTF-8") from None
        return _Reader(text).policy()

    def allows(self, host: Domain | str) -> str | None:
        """The first pattern that stands for this MX host, None where none does.

        RFC 8461 4.1: `*` is exactly one label, the leftmost."""
        name = str(host).lower().rstrip(".")
        label, _, parent = name.partition(".")
        for pattern in self.mx:
            if pattern == name or (label and pattern[:2] == "*." and pattern[2:] == parent):
                return pattern
        return None

    def __str__(self) -> str:
        """The text to serve, with CRLF line ends."""
        return "".join(f"{name}: {value}\r\n" for name, value in self._fields())

    def _fields(self) -> Iterator[tuple[str, str]]:
        yield "version", VERSION
        yield "mode", self.mode.value
        yield from (("mx", pattern) for pattern in self.mx)
        yield "max_age", str(self.max_age)
        yield from self.extensions

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "mode": self.mode.value,
            "mx": list(self.mx),
            "max_age": self.max_age,
            "extensions": [list(pair) for pair in self.extensions],
        }


def policy_host(domain: Domain | str) -> str:
    """The host that serves a domain's policy (RFC 8461 3.3)."""
    return f"mta-sts.{domain}"


def policy_url(domain: Domain | str) -> str:
    """Where a domain's policy is."""
    return f"https://{policy_host(domain)}{PATH}"


def _why_no_pattern(pattern: str) -> str:
    if _MX.match(pattern) is None or len(pattern) > _MAX_NAME + 2:
        return "an mx is a host name in ASCII, or '*.' and one"
    return "" if pattern.islower() or pattern == pattern.lower() else "patterns are in lower case"


_MODES = {mode.value: mode for mode in Mode}


class _Reader:
    """Line by line (RFC 8461 3.2)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.seen: dict[str, str] = {}
        self.mx: list[str] = []
        self.extensions: list[tuple[str, str]] = []

    def policy(self) -> Policy:
        at = 0
        lines = self.text.split("\n")
        for number, line in enumerate(lines):
            # A CR belongs to a line end only before LF.
            self.line(line.removesuffix("\r") if number < len(lines) - 1 else line, at)
            at += len(line) + 1
        for name in ("version", "mode", "max_age"):
            if name not in self.seen:
                self.fail(len(self.text), f"no {name}")
        mode = _MODES[self.seen["mode"]]
        if not self.mx and mode is not Mode.NONE:
            self.fail(len(self.text), f"no mx, which mode {mode} needs")
        mx = tuple(dict.fromkeys(self.mx))
        return Policy(mode, mx, int(self.seen["max_age"]), tuple(self.extensions))

    def line(self, line: str, at: int) -> None:
        field = _FIELD.match(line)
        if field is None:
            # Quirk blank-lines: some policies end with one or have them between; they cannot mean anything.
            if not line.strip(" \t"):
                return
            self.fail(at, "expected the name of a field and ':'")
        name, value_at = field[1], at + field.end()
        value = line[field.end() :].rstrip(" \t")
        if not value.isprintable() and (wrong := _BAD.search(value)):
            self.fail(value_at + wrong.start(), "a control character")
        if not value:
            self.fail(value_at, "expected a value")
        self.field(name, value, value_at)

    def field(self, name: str, value: str, at: int) -> None:
        if name == "mx":
            pattern = value.lower()
            if why := _why_no_pattern(pattern):
                self.fail(at, why)
            self.mx.append(pattern)
        elif name not in _KNOWN:
            self.extensions.append((name, value))
        elif name not in self.seen:
            # RFC 8461 3.2: of a field that comes twice the first counts, except for mx.
            if why := _KNOWN[name](value):
                self.fail(at, why)
            self.seen[name] = value

    def fail(self, at: int, why: str) -> NoReturn:
        raise PolicySyntaxError(self.text, at, why)


def _why_no_version(value: str) -> str:
    return "" if value == VERSION else f"the version is not {VERSION}"


def _why_no_mode(value: str) -> str:
    return "" if value in _MODES else "the mode is enforce, testing or none"


def _why_no_max_age(value: str) -> str:
    fits = _MAX_AGE.match(value) and int(value) <= MAX_MAX_AGE
    return "" if fits else f"max_age is 0 to {MAX_MAX_AGE} seconds"


_KNOWN = {"version": _why_no_version, "mode": _why_no_mode, "max_age": _why_no_max_age}


def of_patterns(mode: Mode, patterns: Iterable[str], max_age: int) -> Policy:
    """A policy to serve; patterns in any case, U- or A-form.  Raises PolicySyntaxError, DomainSyntaxError."""
    return Policy(mode, tuple(dict.fromkeys(map(_pattern, patterns))), max_age)


def _pattern(text: str) -> str:
    star = "*." if text.startswith("*.") else ""
    return star + Domain.parse(text.removeprefix("*.")).ascii
