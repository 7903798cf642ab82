"""What a server offers, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session takes: octets, counts, seconds."""

    line: int = 2048  # RFC 5321 4.5.3.1.4 asks for 512; SMTPUTF8 and parameters need more
    auth_line: int = 12288  # RFC 4954 4
    message: int = 100 * 1024 * 1024
    recipients: int = 1000  # RFC 5321 4.5.3.1.8 asks for 100 at least
    transactions: int = 1000
    bad_commands: int = 10
    bad_line_ends: int = 3
    bad_logins: int = 3
    chatter: int = 100  # commands that lead to no message: NOOP, RSET, VRFY, …
    garbage: int = 1024 * 1024  # octets of overlong lines that are read and dropped before we hang up
    dead_data: int = 64 * 1024 * 1024  # octets of a message already lost that are read before we hang up
    command_seconds: float = 300.0  # until a command is whole (RFC 5321 4.5.3.2.7)
    chunk_seconds: float = 180.0  # between two pieces of a message (4.5.3.2.5)
    message_seconds: float = 1800.0  # for a whole message
    session_seconds: float = 7200.0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Who we are and what we offer."""

    hostname: str
    limits: Limits = field(default_factory=Limits)
    starttls: bool = False
    auth: tuple[str, ...] = ()  # mechanisms, strongest first
    auth_needed: bool = False  # submission: MAIL only after AUTH
    auth_in_clear: bool = False  # development only: AUTH without TLS
    smtputf8: bool = True
    greeting: str = "ESMTP"
