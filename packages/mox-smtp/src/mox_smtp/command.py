"""Commands as values; str() writes them as they go over the wire (RFC 5321 4.1.1)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from mox_message import Path

_NONE: Mapping[str, str | None] = MappingProxyType({})


class CommandSyntaxError(ValueError):
    """A command line breaks its grammar: `.text`, `.at` (characters), `.why`; `.code` and `.enhanced` to reply with."""

    def __init__(self, text: str, at: int, why: str, code: int = 501, enhanced: str = "5.5.4") -> None:
        self.text, self.at, self.why, self.code, self.enhanced = text, at, why, code, enhanced
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Parameters:
    """ESMTP parameters by keyword in capitals; a value of None has no "=" (RFC 5321 4.1.2, esmtp-param)."""

    values: Mapping[str, str | None] = field(default_factory=lambda: _NONE)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.values

    def get(self, keyword: str) -> str:
        """The value, or "" where there is none."""
        return self.values.get(keyword) or ""

    def number(self, keyword: str) -> int | None:
        """A value of up to 20 digits (RFC 1870 6), None where the keyword is not.  Raises CommandSyntaxError."""
        if keyword not in self.values:
            return None
        text = self.values[keyword] or ""
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise CommandSyntaxError(text, 0, f"{keyword} needs a number")
        return int(text)

    def __str__(self) -> str:
        return "".join(f" {key}" if value is None else f" {key}={value}" for key, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Ehlo:
    """EHLO; HELO where not `extended`."""

    name: str
    extended: bool = True

    def __str__(self) -> str:
        return f"{'EHLO' if self.extended else 'HELO'} {self.name}"


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM."""

    path: Path
    parameters: Parameters = Parameters()

    def __str__(self) -> str:
        return f"MAIL FROM:<{self.path}>{self.parameters}"


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO."""

    path: Path
    parameters: Parameters = Parameters()

    def __str__(self) -> str:
        return f"RCPT TO:<{self.path}>{self.parameters}"


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH (RFC 4954 4); `initial` is None where there is no initial response."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.initial is None:
            return f"AUTH {self.mechanism}"
        # An empty response is written "=", so that it differs from none.
        return f"AUTH {self.mechanism} {base64.b64encode(self.initial).decode('ascii') or '='}"


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT (RFC 3030 2): so many octets follow at once, and the message ends with them if `last`."""

    size: int
    last: bool = False

    def __str__(self) -> str:
        return f"BDAT {self.size}{' LAST' if self.last else ''}"


@dataclass(frozen=True, slots=True)
class Simple:
    """A command without a grammar of its own: DATA, RSET, NOOP, QUIT, STARTTLS; VRFY, EXPN and HELP with a text."""

    verb: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.text}" if self.text else self.verb


Command: TypeAlias = Ehlo | Mail | Rcpt | Auth | Bdat | Simple
