"""How does mail cross the wire?  SMTP (RFC 5321) in both directions, as state machines without I/O.

    server.py    the server's half: events out, replies in
    event.py     what happens in a server's session
    config.py    what a server offers, and its limits
    client.py    the client's half: deliveries in, a reply for each recipient out
    trust.py     what a TLS peer must prove, and what it has proven
    mx.py        which hosts take mail for a domain (Lookup)
    received.py  the Received field, both ways
    command.py   commands as values
    scanner.py   command lines -> commands
    reply.py     replies and refusals, both ways
    data.py      dots and line ends; refuses smuggling
    aio/         both halves on asyncio: serve, connect

Not here: whose address it is, whether a message is wanted, DANE and MTA-STS (a caller's check or names in `trust`)."""

from mox_sasl import Challenge
from mox_smtp.client import ClientConfig, Delivered, Envelope, Lost, SmtpClient, Timeouts, TlsFailed, Trouble
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
from mox_smtp.mx import HostAddresses, Hosts, plan_addresses, plan_hosts
from mox_smtp.received import Received, ReceivedSyntaxError, count_hops, received_field, with_protocol
from mox_smtp.reply import Refusal, Reply, ReplyReader, ReplySyntaxError
from mox_smtp.scanner import read
from mox_smtp.server import Answer, SmtpServer
from mox_smtp.trust import CLEAR, ENCRYPTED, OPPORTUNISTIC, Checked, Pkix, Proof, Tls, Trust

__all__ = [
    "CLEAR",
    "ENCRYPTED",
    "OPPORTUNISTIC",
    "Aborted",
    "Answer",
    "AuthResponse",
    "AuthStart",
    "Challenge",
    "Checked",
    "Chunk",
    "ClientConfig",
    "Command",
    "CommandSyntaxError",
    "Connected",
    "DataStart",
    "Delivered",
    "Envelope",
    "Event",
    "Hello",
    "HostAddresses",
    "Hosts",
    "Limits",
    "Lost",
    "MailFrom",
    "MessageEnd",
    "Parameters",
    "Pkix",
    "Proof",
    "Quit",
    "RcptTo",
    "Received",
    "ReceivedSyntaxError",
    "Refusal",
    "Reply",
    "ReplyReader",
    "ReplySyntaxError",
    "ServerConfig",
    "SmtpClient",
    "SmtpServer",
    "StartTls",
    "Timeouts",
    "Tls",
    "TlsFailed",
    "Trouble",
    "Trust",
    "Violation",
    "count_hops",
    "plan_addresses",
    "plan_hosts",
    "read",
    "received_field",
    "with_protocol",
]
