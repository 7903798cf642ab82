"""What a fetch comes to, and how much of everything it may take.  RFC 8461 3.3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Limits:
    """RFC 8461 3.3 proposes a minute and 64 kilobytes."""

    timeout: float = 60  # seconds, for all of a fetch
    connect: float = 10  # seconds for one address
    addresses: int = 6  # that are tried
    body: int = 64 * 1024  # octets of a policy
    header: int = 16 * 1024  # octets of the response's header

    @property
    def octets(self) -> int:
        """All that may arrive within TLS: a policy in chunks of a few octets is several times as large."""
        return 8 * self.body + 2 * self.header


LIMITS = Limits()


class Failure(StrEnum):
    """Why there is no policy text."""

    ADDRESS = "address"  # the policy host has none, or DNS does not say
    CONNECT = "connect"
    TIMEOUT = "timeout"
    TLS = "tls"
    CERTIFICATE = "certificate"
    HTTP = "http"  # what came was no HTTP, or broke off
    REDIRECT = "redirect"
    STATUS = "status"
    TYPE = "type"
    SIZE = "size"
    SYNTAX = "syntax"  # there is a text, but it is no policy

    @property
    def reported(self) -> str:
        """The result type of RFC 8460 4.3.2.2."""
        if self is Failure.CERTIFICATE:
            return "sts-webpki-invalid"
        return "sts-policy-invalid" if self is Failure.SYNTAX else "sts-policy-fetch-error"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A policy's octets, or why there are none.  `tls`: version and cipher; `address`: whom we spoke to."""

    body: bytes | None = None
    failure: Failure | None = None
    reason: str = ""
    address: str = ""
    tls: str = ""

    @property
    def ok(self) -> bool:
        """There are octets."""
        return self.body is not None
