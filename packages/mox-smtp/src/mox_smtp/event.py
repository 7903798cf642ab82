"""What happens in a server's session and wants an answer, as values.  The policy is a `match` over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from mox_message import Path
from mox_smtp.command import Parameters


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection.  None greets; a refusal is the greeting then, and the end."""


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO (extended) or HELO."""

    name: str
    extended: bool


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client asks for TLS.  A yes makes the driver upgrade; the session begins anew after it."""


@dataclass(frozen=True, slots=True)
class AuthStart:
    """AUTH; `initial` is None where the client sent no initial response.  Answer with a Challenge, or end it: a good
    reply or None (235) logs in, a refusal does not."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a Challenge; answered as AuthStart is."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailFrom:
    """MAIL FROM; `size` as the client declared it, or None."""

    path: Path
    parameters: Parameters
    size: int | None = None
    smtputf8: bool = False
    body_8bit: bool = False


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT TO."""

    path: Path
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class DataStart:
    """DATA, with at least one recipient taken.  A refusal ends the transaction before the message."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the message, dots undone.  None goes on; a refusal is said at the message's end, and no more comes."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete and sound; its octets.  The reply, which must be one, decides whose it is now."""

    size: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """The transaction is over without a message (RSET, EHLO, a bad line end, too big).  Forget it; answer None."""

    why: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The client says goodbye."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the protocol and was told so already.  Answer None."""

    what: str


Event: TypeAlias = (
    Connected
    | Hello
    | StartTls
    | AuthStart
    | AuthResponse
    | MailFrom
    | RcptTo
    | DataStart
    | Chunk
    | MessageEnd
    | Aborted
    | Quit
    | Violation
)
