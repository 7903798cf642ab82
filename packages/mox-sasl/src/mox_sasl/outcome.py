"""What a step of a mechanism leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mox_sasl.secret import Secret


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this, and give the answer to step()."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """The client has sent a password in the clear: the caller checks it (slowly, elsewhere) and decides."""

    name: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Success:
    """The client has proven to be `name`; `data` is sent with the success where the protocol can (else it was sent)."""

    name: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """The exchange is over.  `because` is for the log; the client is told nothing but "no"."""

    name: str
    because: str


Outcome: TypeAlias = Challenge | CheckPassword | Success | Failure
