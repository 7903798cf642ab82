"""What a client's conversation asks of its driver, and how it ends badly."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from mox_smtp.reply import Reply
from mox_smtp.trust import Tls

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes; the peer must have taken enough of them within `seconds`."""

    data: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for the next reply, so many seconds."""

    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Begin TLS now."""


Step: TypeAlias = Send | Expect | Upgrade
Steps: TypeAlias = Generator[Step, Any, T]


class Trouble(Exception):
    """The conversation cannot go on: `.reply` is the server's, or ours for what happened; `.transcript` what was said
    before, where a connection was being opened."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.transcript: tuple[str, ...] = ()
        super().__init__(str(reply))


class Lost(Trouble):
    """The connection broke, or nothing came in time, or what came was no SMTP."""

    def __init__(self, because: str) -> None:
        super().__init__(Reply(451, because, "4.4.2"))


class TlsFailed(Trouble):
    """TLS was not to be had, or the peer did not prove what it must.  `.failure` is a result type of RFC 8460."""

    def __init__(self, because: str, failure: str = "validation-failure", tls: Tls | None = None) -> None:
        self.because, self.failure, self.tls = because, failure, tls
        super().__init__(Reply(451, because, "4.7.5"))
