"""Commands as values; str() writes them as they go over the wire (RFC 5321 4.1.1)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TypeAlias

from mox_message import Path
from mox_smtp.parameters import NO_PARAMETERS, CommandSyntaxError, Parameters

__all__ = ["Auth", "Bdat", "Command", "CommandSyntaxError", "Ehlo", "Mail", "Parameters", "Rcpt", "Simple"]


@dataclass(frozen=True, slots=True)
class Ehlo:
    """EHLO; HELO where not `extended`; LHLO (RFC 2033 4.1) where `lmtp`."""

    name: str
    extended: bool = True
    lmtp: bool = False

    def __str__(self) -> str:
        return f"{'LHLO' if self.lmtp else 'EHLO' if self.extended else 'HELO'} {self.name}"


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM."""

    path: Path
    parameters: Parameters = NO_PARAMETERS

    def __str__(self) -> str:
        return f"MAIL FROM:<{self.path}>{self.parameters}"


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO."""

    path: Path
    parameters: Parameters = NO_PARAMETERS

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
