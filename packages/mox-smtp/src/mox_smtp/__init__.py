"""How does mail cross the wire?  SMTP (RFC 5321) in both directions, as state machines without I/O.

    server.py    the server's half: events out, replies in
    order.py     which command may come when; perform.py: what each does; settle.py: what an answer leads to
    event.py     what happens in a server's session
    config.py    what a server offers, its limits, its quirks
    proxy.py     the PROXY header of a trusted proxy
    client.py    the client's half: deliveries in, a reply for each recipient out; step.py: what it asks of its driver
    envelope.py  who sends to whom, what a message needs, what came of it; transaction.py: one message on its way
    offers.py    what a server can; transcript.py: what was said
    trust.py     what a TLS peer must prove, and what it has proven
    mx.py        which hosts take mail for a domain (Lookup)
    received.py  the Received field, both ways
    command.py   commands as values; parameters.py: what MAIL and RCPT ask for beside an address
    scanner.py   command lines -> commands
    reply.py     replies and refusals, both ways
    data.py      dots and line ends; refuses smuggling
    aio/         both halves on asyncio: serve, connect

Not here: whose address it is, whether a message is wanted, DANE and MTA-STS (a caller's check or names in `trust`)."""

from mox_sasl import Challenge
from mox_smtp.client import ClientConfig, SmtpClient, Timeouts
from mox_smtp.command import Command
from mox_smtp.config import DEFAULT_QUIRKS, Limits, Quirk, ServerConfig
from mox_smtp.envelope import Delivered, Envelope, Needs
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
from mox_smtp.parameters import (
    Body,
    CommandSyntaxError,
    DeliverBy,
    MailOptions,
    Notify,
    OriginalRecipient,
    Parameters,
    RcptOptions,
    Ret,
)
from mox_smtp.proxy import ProxyHeader, ProxyReader, ProxySyntaxError
from mox_smtp.received import Received, ReceivedSyntaxError, count_hops, received_field, with_protocol
from mox_smtp.reply import Refusal, Reply, ReplyReader, ReplySyntaxError
from mox_smtp.scanner import read
from mox_smtp.server import Answer, SmtpServer
from mox_smtp.step import Lost, TlsFailed, Trouble
from mox_smtp.trust import CLEAR, ENCRYPTED, OPPORTUNISTIC, Checked, Pkix, Proof, Tls, Trust

__all__ = [
    "CLEAR",
    "DEFAULT_QUIRKS",
    "ENCRYPTED",
    "OPPORTUNISTIC",
    "Aborted",
    "Answer",
    "AuthResponse",
    "AuthStart",
    "Body",
    "Challenge",
    "Checked",
    "Chunk",
    "ClientConfig",
    "Command",
    "CommandSyntaxError",
    "Connected",
    "DataStart",
    "DeliverBy",
    "Delivered",
    "Envelope",
    "Event",
    "Hello",
    "HostAddresses",
    "Hosts",
    "Limits",
    "Lost",
    "MailFrom",
    "MailOptions",
    "MessageEnd",
    "Needs",
    "Notify",
    "OriginalRecipient",
    "Parameters",
    "Pkix",
    "Proof",
    "ProxyHeader",
    "ProxyReader",
    "ProxySyntaxError",
    "Quirk",
    "Quit",
    "RcptOptions",
    "RcptTo",
    "Received",
    "ReceivedSyntaxError",
    "Refusal",
    "Reply",
    "ReplyReader",
    "ReplySyntaxError",
    "Ret",
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
