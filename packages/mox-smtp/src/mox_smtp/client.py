"""The client's half of SMTP, without I/O: a conversation as a generator of what to send and what to wait for.

A driver sends `Send` bytes, reads a reply for each `Expect`, upgrades at `Upgrade`, streams at `Stream`."""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import mox_sasl
from mox_message import Content
from mox_smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for a reply, at most so many seconds; it is sent back."""

    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Start TLS now.  Sent back: None, or why it failed."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Write the message with its dots stuffed, then the end."""

    content: Content


Step: TypeAlias = Send | Expect | Upgrade | Stream
Conversation: TypeAlias = Generator[Step, Reply | str | None, "Delivered"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; RFC 5321 4.5.3.2."""

    connect: float = 30.0
    greeting: float = 300.0
    command: float = 300.0
    data_start: float = 120.0
    data_block: float = 180.0
    data_end: float = 600.0
    tls: float = 60.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is to be delivered."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]
    smtputf8: bool = False
    eightbit: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of it: a reply for each recipient; the connection's trouble, if that is why."""

    replies: Mapping[str, Reply]
    trouble: Reply | None = None
    tls: bool = False
    tls_error: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)


class Trouble(Exception):
    """The conversation cannot go on; `reply` is what the recipients get, `tls` that TLS was the reason."""

    def __init__(self, reply: Reply, *, tls: bool = False) -> None:
        self.reply, self.tls = reply, tls
        super().__init__(str(reply))


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Who we are and how careful."""

    hostname: str
    starttls: bool = True  # use it where it is offered
    require_tls: bool = False  # go on only with it
    auth: mox_sasl.Credentials | None = None
    nonce: str = ""
    timeouts: Timeouts = field(default_factory=Timeouts)
    already_tls: bool = False


def conversation(config: ClientConfig, envelope: Envelope, content: Content) -> Conversation:
    """Greets, upgrades, logs in, delivers, says goodbye.  Raises Trouble."""
    waits = config.timeouts
    reply = yield from _expect("greeting", waits.greeting)
    if not reply.good:
        raise Trouble(reply)
    offered = yield from _hello(config)
    tls = config.already_tls
    if config.starttls and not tls and "STARTTLS" in offered:
        yield Send(b"STARTTLS\r\n")
        reply = yield from _expect("STARTTLS", waits.command)
        if reply.good:
            failure = yield Upgrade()
            if failure is not None:
                raise Trouble(Reply(451, f"TLS failed: {failure}", "4.7.5"), tls=True)
            tls = True
            offered = yield from _hello(config)
    if config.require_tls and not tls:
        raise Trouble(Reply(451, "TLS is required and the host does not offer it", "4.7.4"), tls=True)
    if config.auth is not None:
        yield from _log_in(config, offered)
    replies = yield from _transaction(config, envelope, content, offered)
    yield Send(b"QUIT\r\n")
    return Delivered(replies, tls=tls, extensions=offered)


def _expect(what: str, seconds: float) -> Generator[Step, Reply | str | None, Reply]:
    reply = yield Expect(what, seconds)
    assert isinstance(reply, Reply)
    if reply.code == 421:
        raise Trouble(reply)
    return reply


def _hello(config: ClientConfig) -> Generator[Step, Reply | str | None, dict[str, str]]:
    yield Send(f"EHLO {config.hostname}\r\n".encode())
    reply = yield from _expect("EHLO", config.timeouts.command)
    if reply.good:
        lines = reply.text.split("\n")[1:]
        return {line.split(" ", 1)[0].upper(): line.partition(" ")[2] for line in lines if line}
    # RFC 5321 3.2: an old server
    yield Send(f"HELO {config.hostname}\r\n".encode())
    reply = yield from _expect("HELO", config.timeouts.command)
    if not reply.good:
        raise Trouble(reply)
    return {}


def _log_in(config: ClientConfig, offered: Mapping[str, str]) -> Generator[Step, Reply | str | None, None]:
    assert config.auth is not None
    name = mox_sasl.choose(offered.get("AUTH", "").upper().split())
    if name is None:
        raise Trouble(Reply(535, "no mechanism that we could use is offered", "5.7.4"))
    mechanism = mox_sasl.client(name, config.auth, config.nonce)
    initial = mechanism.start()
    first = f"AUTH {name}" if initial is None else f"AUTH {name} {base64.b64encode(initial).decode() or '='}"
    yield Send(first.encode() + b"\r\n")
    reply = yield from _expect("AUTH", config.timeouts.command)
    while reply.code == 334:
        try:
            answer = mechanism.step(base64.b64decode(reply.text, validate=True))
        except (mox_sasl.ExchangeError, ValueError) as error:
            yield Send(b"*\r\n")
            raise Trouble(Reply(535, f"the server cannot be believed: {error}", "5.7.8")) from None
        yield Send(base64.b64encode(answer) + b"\r\n")
        reply = yield from _expect("AUTH", config.timeouts.command)
    if not reply.good:
        raise Trouble(reply)


def _transaction(
    config: ClientConfig, envelope: Envelope, content: Content, offered: Mapping[str, str]
) -> Generator[Step, Reply | str | None, dict[str, Reply]]:
    refused = _cannot(envelope, content, offered)
    if refused is not None:
        return dict.fromkeys(envelope.recipients, refused)
    waits = config.timeouts
    mail = f"MAIL FROM:<{envelope.sender}>"
    if "SIZE" in offered:
        mail += f" SIZE={content.size}"
    if envelope.eightbit and "8BITMIME" in offered:
        mail += " BODY=8BITMIME"
    if envelope.smtputf8:
        mail += " SMTPUTF8"
    lines = [mail, *(f"RCPT TO:<{recipient}>" for recipient in envelope.recipients), "DATA"]
    pipelined = "PIPELINING" in offered
    if pipelined:
        yield Send("".join(line + "\r\n" for line in lines).encode())
    replies: dict[str, Reply] = {}
    if not pipelined:
        yield Send(f"{lines[0]}\r\n".encode())
    sender = yield from _expect("MAIL", waits.command)
    if not sender.good and not pipelined:
        return dict.fromkeys(envelope.recipients, sender)
    for recipient, line in zip(envelope.recipients, lines[1:-1], strict=True):
        if not pipelined:
            yield Send(f"{line}\r\n".encode())
        reply = yield from _expect("RCPT", waits.command)
        replies[recipient] = reply if sender.good else sender
    taken = [recipient for recipient, reply in replies.items() if reply.good]
    if not pipelined:
        if not taken:
            return replies
        yield Send(b"DATA\r\n")
    data = yield from _expect("DATA", waits.data_start)
    if data.code != 354:
        return {r: (reply if not reply.good else _failed(data)) for r, reply in replies.items()}
    if not taken:
        # RFC 2920 3.1: the server went on although every recipient was refused; an empty message ends it.
        yield Send(b".\r\n")
        yield from _expect("end of DATA", waits.data_end)
        return replies
    yield Stream(content)
    final = yield from _expect("end of DATA", waits.data_end)
    return {r: (final if reply.good else reply) for r, reply in replies.items()}


def _failed(reply: Reply) -> Reply:
    """A reply to DATA that is neither yes nor no counts as "not now"."""
    return reply if not reply.good else Reply(451, f"unexpected reply to DATA: {reply}", "4.5.0")


def _cannot(envelope: Envelope, content: Content, offered: Mapping[str, str]) -> Reply | None:
    if envelope.smtputf8 and "SMTPUTF8" not in offered:
        return Reply(553, "the host does not take internationalised mail (SMTPUTF8)", "5.6.7")
    most = offered.get("SIZE", "")
    if most.isdigit() and 0 < int(most) < content.size:
        return Reply(552, f"the message has {content.size} octets, the host takes {most}", "5.3.4")
    return None
