"""What a server offers, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session takes: octets, counts, seconds."""

    line: int = 2048  # RFC 5321 4.5.3.1.4 asks for 512; SMTPUTF8 and parameters need more
    auth_line: int = 12288  # RFC 4954 4
    message: int = 100 * 1024 * 1024
    chunks: int = 100_000  # of a message, where it comes by BDAT
    recipients: int = 1000  # RFC 5321 4.5.3.1.8 asks for 100 at least
    transactions: int = 1000
    bad_commands: int = 10
    bad_line_ends: int = 3
    bad_logins: int = 3
    chatter: int = 100  # commands that lead to no message: NOOP, RSET, EHLO, a refused MAIL, …
    refused_recipients: int = 10_000  # of one session; fewer for who tries out addresses
    garbage: int = 1024 * 1024  # octets of overlong lines that are read and dropped before we hang up
    dead_data: int = 64 * 1024 * 1024  # octets of a message already lost that are read before we hang up
    command_seconds: float = 300.0  # until a command is whole (RFC 5321 4.5.3.2.7)
    chunk_seconds: float = 180.0  # between two pieces of a message (4.5.3.2.5)
    message_seconds: float = 1800.0  # for a whole message
    session_seconds: float = 7200.0
    tarpit_seconds: float = 0.0  # an error reply waits so long for each error so far; 0: not at all
    tarpit_most: float = 30.0  # and at most so long


class Quirk(Enum):
    """A leniency towards senders that break the RFC in a way that harms nobody."""

    SPACE_AFTER_COLON = "MAIL FROM: <a@b.example>"  # RFC 5321 3.3 forbids the space; many devices write it
    BARE_PATH = "MAIL FROM:a@b.example"  # old scripts leave the angle brackets out
    BARE_LF = "a command that ends with LF alone"  # old devices; never within a message, where it smuggles


DEFAULT_QUIRKS = frozenset({Quirk.SPACE_AFTER_COLON, Quirk.BARE_PATH})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Who we are and what we offer: an extension is announced where it is switched on, and refused where it is not.

    Those that are off by default oblige whoever takes the message to do something about them later."""

    hostname: str
    limits: Limits = field(default_factory=Limits)
    starttls: bool = False
    auth: tuple[str, ...] = ()  # mechanisms, strongest first
    auth_needed: bool = False  # submission: MAIL only after AUTH
    auth_in_clear: bool = False  # development only: AUTH without TLS
    smtputf8: bool = True
    greeting: str = "ESMTP"
    lmtp: bool = False  # RFC 2033: LHLO, and a reply for each recipient after the message
    quirks: frozenset[Quirk] = DEFAULT_QUIRKS
    chunking: bool = True  # RFC 3030: BDAT; a handler sees no difference
    binarymime: bool = False  # RFC 3030: bodies without lines; what takes them must be able to pass them on
    dsn: bool = False  # RFC 3461: who takes the message sends the notices that were asked for
    requiretls: bool = False  # RFC 8689: passed on over verified TLS only; offered over TLS only
    future_release: int = 0  # RFC 4865: seconds that a message may be held; 0: not offered
    deliver_by: int | None = None  # RFC 2852: the least by-time in seconds that we can keep; None: not offered
    mt_priority: str | None = None  # RFC 6710: the name of the priority profile, "" for none; None: not offered
    proxy_from: tuple[IPv4Network | IPv6Network, ...] = ()  # whose PROXY header is believed, and demanded
    # What is worked out from it once, for all sessions.
    _kept: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
