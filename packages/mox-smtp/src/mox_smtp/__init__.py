"""How does mail cross the wire?  SMTP (RFC 5321) in both directions, as state machines without I/O.

    command.py   commands as values
    scanner.py   command lines -> commands
    reply.py     replies and refusals, both ways
    data.py      dots and line ends; refuses smuggling
    event.py     what happens in a server's session
    config.py    what a server offers, and its limits
    server.py    the server's half: events out, replies in
    aio.py       sessions on asyncio

Not here: whose address it is, whether a message is wanted, which certificate to trust beyond what a caller asks."""

from mox_sasl import Challenge
from mox_smtp.command import Command, CommandSyntaxError, Parameters
from mox_smtp.config import Limits, ServerConfig
from mox_smtp.event import (
    Aborted,
    AuthResponse,
    AuthStart,
    Chunk,
    Connected,
    DataStart,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    Quit,
    RcptTo,
    StartTls,
    Violation,
)
from mox_smtp.reply import Refusal, Reply, ReplyReader, ReplySyntaxError
from mox_smtp.server import Answer, SmtpServer

__all__ = [
    "Aborted",
    "Answer",
    "AuthResponse",
    "AuthStart",
    "Challenge",
    "Chunk",
    "Command",
    "CommandSyntaxError",
    "Connected",
    "DataStart",
    "Event",
    "Hello",
    "Limits",
    "MailFrom",
    "MessageEnd",
    "Parameters",
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
