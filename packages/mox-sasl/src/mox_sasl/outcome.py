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
    `password` is as the client sent it; see prepare_password()."""

    name: str
    password: Secret
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class CheckToken:
    """The client claims that `token` lets it in, as `name` ("" leaves that to the token): asking whoever made the token
    is the caller's.  A yes ends the exchange; to say no, hand on what the mechanism's refused() gives, which is the
    Challenge that the RFC wants before the failure.

    `host` and `port`: where the client believes to be, which a token may be bound to."""

    name: str
    token: Secret
    host: str = ""
    port: int = 0
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


Outcome: TypeAlias = Challenge | CheckPassword | CheckToken | Success | Failure
