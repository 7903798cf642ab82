"""What happens in a server's session and wants an answer, as values.  The policy is a `match` over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from mox_message import Path
from mox_smtp.parameters import (
    NO_MAIL_OPTIONS,
    NO_PARAMETERS,
    NO_RCPT_OPTIONS,
    Body,
    MailOptions,
    Parameters,
    RcptOptions,
)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection.  None greets; a refusal is the greeting then, and the end."""


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO (extended) or HELO; LHLO counts as extended."""

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
    """MAIL FROM.  `parameters` as they were written, `options` as they are understood and offered."""

    path: Path
    parameters: Parameters = NO_PARAMETERS
    options: MailOptions = NO_MAIL_OPTIONS

    @property
    def size(self) -> int | None:
        """As the client declared it, or None."""
        return self.options.size

    @property
    def smtputf8(self) -> bool:
        """The message is internationalised (RFC 6531)."""
        return self.options.smtputf8

    @property
    def body_8bit(self) -> bool:
        """The body has octets above 127, by the client's word."""
        return self.options.body is not Body.SEVEN_BIT


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT TO; `parameters` and `options` as with MailFrom."""

    path: Path
    parameters: Parameters = NO_PARAMETERS
    options: RcptOptions = NO_RCPT_OPTIONS


@dataclass(frozen=True, slots=True)
class DataStart:
    """DATA or the first BDAT, with at least one recipient taken.  A refusal ends the transaction before the message."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the message, dots undone.  None goes on; a refusal is said at the message's end, and no more comes.

    Answered with an awaitable (see mox_smtp.aio), nothing more is read from the client until it is done."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete and sound; its octets.  The reply, which must be one, decides whose it is now.

    With LMTP a tuple may answer: a reply for each recipient that was taken, in order (RFC 2033 4.2)."""

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
