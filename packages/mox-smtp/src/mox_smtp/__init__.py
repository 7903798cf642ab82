"""How does mail cross the wire?  SMTP (RFC 5321) in both directions, as state machines without I/O.

    command.py   command lines -> values
    reply.py     replies and refusals, both ways
    data.py      dots and line ends; refuses smuggling
    server.py    the server's half: events out, replies in
    aio.py       sessions on asyncio

Not here: whose address it is, whether a message is wanted, what a certificate must prove."""

from mox_smtp.reply import Challenge, Refusal, Reply, ReplyReader, ReplySyntaxError
from mox_smtp.server import (
    Aborted,
    AuthResponse,
    AuthStart,
    Chunk,
    Connected,
    DataStart,
    Event,
    Hello,
    Limits,
    MailFrom,
    MessageEnd,
    Quit,
    RcptTo,
    ServerConfig,
    SmtpServer,
    StartTls,
    Violation,
)

__all__ = [
    "Aborted",
    "AuthResponse",
    "AuthStart",
    "Challenge",
    "Chunk",
    "Connected",
    "DataStart",
    "Event",
    "Hello",
    "Limits",
    "MailFrom",
    "MessageEnd",
    "Quit",
    "RcptTo",
    "Refusal",
    "Reply",
    "ReplyReader",
    "ReplySyntaxError",
    "ServerConfig",
    "SmtpServer",
    "StartTls",
    "Violation",
]
