"""What a step of a server's mechanism leads to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from mox_sasl.secret import Secret


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send `data` to the client and hand its answer to step()."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """The client claims to be `name` with `password`: checking it (slow, in a thread) is the caller's.

    `authzid`: whom the client wants to act for; "" is `name` itself, and another only where the caller allowed it.
    `password` is as the client sent it; see
    prepare_password()."""

    name: str
    password: Secret
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class Success:
    """The mechanism has proven that the client is `name`; `authzid` as in CheckPassword."""

    name: str
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """The client has proven nothing.  `because` is for our log: a peer that learns it learns whom to attack."""

    name: str
    because: str
    malformed: bool = False  # the client's text broke the mechanism's grammar


Outcome: TypeAlias = Challenge | CheckPassword | Success | Failure
