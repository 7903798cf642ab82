"""The client's half of SMTP, without I/O: each thing a client does is a generator of steps.  RFC 5321.

    steps = client.deliver(envelope, content)
    step = next(steps)
    Send(data, seconds)      write; send back None, or a Reply that has come although none was due
    Expect(what, seconds)    send back the next Reply
    Upgrade()                begin TLS; send back a Tls
    ... StopIteration.value is the result

A driver that cannot do a step throws Lost (or TlsFailed) into the generator, which still says what became of each
recipient."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import mox_sasl
from mox_message import Content
from mox_smtp.command import Auth, Ehlo
from mox_smtp.data import BareLineEnd, DataWriter, LineEnds
from mox_smtp.reply import Reply
from mox_smtp.trust import NOT_SUPPORTED, OPPORTUNISTIC, Tls, Trust

T = TypeVar("T")

# RCPT commands sent before their replies are read: what both sides' buffers surely hold.
GROUP = 100


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes; the peer must have taken enough of them within `seconds`."""

    data: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for the next reply, so many seconds."""

    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Begin TLS now."""


Step: TypeAlias = Send | Expect | Upgrade
Steps: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; RFC 5321 4.5.3.2 where it has a say."""

    connect: float = 30.0  # for each address
    tls: float = 60.0
    greeting: float = 300.0
    command: float = 300.0
    data_start: float = 120.0
    data_block: float = 180.0
    data_end: float = 600.0
    quit: float = 10.0
    transaction: float = 3600.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, and what the message needs.  Addresses as they are written between < and >."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]
    smtputf8: bool = False  # an address or a header field is not ASCII (RFC 6531)
    eightbit: bool = False  # the body has octets above 127 (RFC 6152)
    checked: bool = False  # the line ends are known to be sound: do not read the content for that


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Who we are and how careful.

    `starttls` and `require_tls` are short for a `trust` of CLEAR and ENCRYPTED."""

    hostname: str
    trust: Trust = OPPORTUNISTIC
    starttls: bool = True
    require_tls: bool = False
    auth: mox_sasl.Credentials | None = None
    nonce: str = ""  # fresh random text for SCRAM
    # Deviation RFC 6152 3: a host without 8BITMIME is sent eight bits all the same; none is known to mind any more.
    strict_8bit: bool = False
    timeouts: Timeouts = Timeouts()
    already_tls: bool = False


@dataclass(frozen=True, slots=True)
class Offers:
    """What a server says it can, by keyword in capitals (RFC 5321 4.1.1.1)."""

    extended: bool = False
    keywords: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @classmethod
    def of(cls, reply: Reply) -> Offers:
        """From the reply to EHLO."""
        keywords = {}
        for line in reply.text.split("\n")[1:]:
            keyword, _, rest = line.strip().partition(" ")
            # Quirk auth-equals: "AUTH=PLAIN" of servers from before RFC 2554.
            if keyword.upper().startswith("AUTH="):
                keyword, rest = "AUTH", f"{keyword[5:]} {rest}"
            if keyword and keyword.upper() not in keywords:
                keywords[keyword.upper()] = rest.strip()
        return cls(True, keywords)

    @property
    def size(self) -> int:
        """The largest message it takes, or 0 where it does not say (RFC 1870)."""
        text = self.keywords.get("SIZE", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms."""
        return tuple(self.keywords.get("AUTH", "").upper().split())

    @property
    def most_recipients(self) -> int:
        """RCPTMAX of LIMITS (RFC 9422), or 0 where there is none."""
        for word in self.keywords.get("LIMITS", "").upper().split():
            name, _, value = word.partition("=")
            if name == "RCPTMAX" and value.isascii() and value.isdigit() and len(value) <= 6:
                return int(value)
        return 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of a delivery: a reply for each recipient, good where the message is the server's now.

    `trouble`: the reply, or our word for what happened, where the connection cannot be used further.  `local`: the
    replies are ours; the message was not sent.  `uncertain`: all was sent and no reply came, so it may be there."""

    replies: Mapping[str, Reply]
    trouble: Reply | None = None
    tls: bool = False
    extensions: Mapping[str, str] = field(default_factory=dict)
    tls_result: Tls | None = None
    local: bool = False
    uncertain: bool = False
    transcript: tuple[str, ...] = ()


class Trouble(Exception):
    """The conversation cannot go on: `.reply` is the server's, or ours for what happened."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(str(reply))


class Lost(Trouble):
    """The connection broke, or nothing came in time, or what came was no SMTP."""

    def __init__(self, because: str) -> None:
        super().__init__(Reply(451, because, "4.4.2"))


class TlsFailed(Trouble):
    """TLS was not to be had, or the peer did not prove what it must.  `.failure` is a result type of RFC 8460."""

    def __init__(self, because: str, failure: str = "validation-failure", tls: Tls | None = None) -> None:
        self.because, self.failure, self.tls = because, failure, tls
        super().__init__(Reply(451, because, "4.7.5"))


class Transcript:
    """What was said, without secrets and message: the first lines and the last, for support."""

    HEAD, TAIL, WIDTH = 60, 60, 300

    def __init__(self) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=self.TAIL)
        self._count = 0

    def note(self, who: str, text: str) -> None:
        """Adds `C: …` or `S: …`."""
        for line in text.split("\n")[: self.HEAD]:
            self._count += 1
            shown = f"{who}: {line[: self.WIDTH]}"
            if len(self._head) < self.HEAD:
                self._head.append(shown)
            else:
                self._tail.append(shown)

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, or the two ends with the number of lines left out between."""
        left_out = self._count - len(self._head) - len(self._tail)
        return (*self._head, *([f"… {left_out} lines …"] if left_out else []), *self._tail)


class SmtpClient:
    """One connection's conversation."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.offers = Offers()
        self.tls: Tls | None = None
        self.transcript = Transcript()
        self.usable = True  # for a further message
        self._over_tls = config.already_tls

    @property
    def trust(self) -> Trust:
        """What TLS is for."""
        return self.config.trust

    def begun(self, tls: Tls) -> None:
        """TLS came first, before any word of SMTP (RFC 8314 3)."""
        self.tls, self._over_tls = tls, True
        self.transcript.note("*", str(tls))

    # -- steps

    def _say(self, line: str, shown: str = "") -> Steps[None]:
        self.transcript.note("C", shown or line)
        yield Send(line.encode() + b"\r\n", self.config.timeouts.command)

    def _hear(self, what: str, seconds: float | None = None) -> Steps[Reply]:
        reply: Reply = yield Expect(what, self.config.timeouts.command if seconds is None else seconds)
        self.transcript.note("S", f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " "))
        if reply.code == 421:
            # RFC 5321 3.8: whatever was asked, the server goes away now.
            raise Trouble(reply)
        return reply

    # -- opening

    def open(self) -> Steps[None]:
        """Greeting, EHLO, TLS, AUTH.  Raises Trouble (Lost, TlsFailed among them)."""
        try:
            reply = yield from self._hear("greeting", self.config.timeouts.greeting)
            if reply.code // 100 != 2:
                raise Trouble(reply)
            yield from self._hello()
            yield from self._begin_tls()
            if self.config.auth is not None:
                yield from self._log_in(self.config.auth)
        except Trouble:
            self.usable = False
            raise

    def _hello(self) -> Steps[None]:
        yield from self._say(str(Ehlo(self.config.hostname)))
        reply = yield from self._hear("EHLO")
        if reply.good:
            self.offers = Offers.of(reply)
            return
        if reply.temporary:
            raise Trouble(reply)
        # RFC 5321 3.2: a server from before EHLO.
        yield from self._say(str(Ehlo(self.config.hostname, extended=False)))
        reply = yield from self._hear("HELO")
        if not reply.good:
            raise Trouble(reply)
        self.offers = Offers()

    def _begin_tls(self) -> Steps[None]:
        config = self.config
        required = config.require_tls or config.trust.required
        if self._over_tls or not (config.trust.wanted and config.starttls):
            if required and not self._over_tls:
                raise TlsFailed("TLS is required and was not asked for", NOT_SUPPORTED)
            return
        if "STARTTLS" not in self.offers:
            if required:
                raise TlsFailed("the host does not offer STARTTLS", NOT_SUPPORTED)
            return
        yield from self._say("STARTTLS")
        reply = yield from self._hear("STARTTLS")
        if reply.code // 100 != 2:
            if required:
                raise TlsFailed(f"the host refuses STARTTLS: {reply}", NOT_SUPPORTED)
            return
        self.tls = yield Upgrade()
        assert self.tls is not None
        self.transcript.note("*", str(self.tls))
        self._over_tls = True
        # RFC 3207 4.2: what was said in the clear counts for nothing.
        self.offers = Offers()
        yield from self._hello()

    def _log_in(self, credentials: mox_sasl.Credentials) -> Steps[None]:
        name = mox_sasl.choose(self.offers.mechanisms)
        if name is None:
            raise Trouble(Reply(535, "the host offers no mechanism that we know", "5.7.4"))
        mechanism = mox_sasl.client(name, credentials, self.config.nonce)
        yield from self._say(str(Auth(name, mechanism.start())), f"AUTH {name} ***")
        reply = yield from self._hear("AUTH")
        while reply.code == 334:
            try:
                answer = mechanism.step(base64.b64decode(reply.text, validate=True))
            except (mox_sasl.ExchangeError, binascii.Error, ValueError) as error:
                yield from self._say("*")
                yield from self._hear("AUTH")
                raise Trouble(Reply(535, f"the host cannot be believed: {error}", "5.7.8")) from None
            yield from self._say(base64.b64encode(answer).decode("ascii"), "***")
            reply = yield from self._hear("AUTH")
        if not reply.good:
            raise Trouble(reply)
        if not mechanism.finished:
            raise Trouble(Reply(535, "the host says yes before it has proven that it knows us", "5.7.8"))

    # -- delivering

    def deliver(self, envelope: Envelope, content: Content) -> Steps[Delivered]:
        """One message.  Raises OSError when `content` cannot be read, after which the connection is of no use."""
        assert envelope.recipients, "a message needs recipients"
        assert self.usable, "this connection cannot be used further"
        refused = self._unfit(envelope, content)
        if refused is not None:
            return self._done(dict.fromkeys(envelope.recipients, refused), local=True)
        transaction = _Transaction(self, envelope, content)
        self.usable = False
        try:
            yield from transaction.run()
        except Trouble as trouble:
            return self._done(transaction.given_up(trouble.reply), trouble.reply, uncertain=transaction.all_sent)
        self.usable = True
        return self._done(transaction.replies)

    def _unfit(self, envelope: Envelope, content: Content) -> Reply | None:
        """Why this message cannot go to this server at all."""
        if not all(_wire_safe(text) for text in (envelope.sender, *envelope.recipients)):
            return Reply(553, "an address has a character that cannot be sent", "5.1.3")
        if envelope.smtputf8 and "SMTPUTF8" not in self.offers:
            return Reply(553, "the host does not take internationalised mail (SMTPUTF8)", "5.6.7")
        if not envelope.smtputf8 and not all(map(str.isascii, (envelope.sender, *envelope.recipients))):
            return Reply(553, "an address is not ASCII, and SMTPUTF8 was not asked for", "5.6.7")
        if envelope.eightbit and self.config.strict_8bit and "8BITMIME" not in self.offers:
            return Reply(554, "the host does not take 8-bit mail (8BITMIME)", "5.6.3")
        if 0 < self.offers.size < content.size:
            text = f"the message has {content.size} octets, the host takes {self.offers.size}"
            return Reply(552, text, "5.3.4")
        return None if envelope.checked else bare_line_end(content)

    def _done(
        self,
        replies: Mapping[str, Reply],
        trouble: Reply | None = None,
        *,
        local: bool = False,
        uncertain: bool = False,
    ) -> Delivered:
        return Delivered(
            replies,
            trouble,
            self._over_tls,
            self.offers.keywords,
            self.tls,
            local,
            uncertain,
            self.transcript.lines,
        )

    def quit(self) -> Steps[None]:
        """Says goodbye.  Never raises Trouble: nothing depends on it any more."""
        self.usable = False
        try:
            yield from self._say("QUIT")
            yield from self._hear("QUIT", self.config.timeouts.quit)
        except Trouble:
            return


class _Transaction:
    """One message on its way: what each recipient was told so far."""

    def __init__(self, client: SmtpClient, envelope: Envelope, content: Content) -> None:
        self.client = client
        self.envelope = envelope
        self.content = content
        self.replies: dict[str, Reply] = {}
        self.all_sent = False
        self._pipelining = "PIPELINING" in client.offers

    def run(self) -> Steps[None]:
        """RFC 5321 3.3; with PIPELINING MAIL, RCPT and DATA go out in groups (RFC 2920 3.1)."""
        most = self.client.offers.most_recipients
        recipients = tuple(dict.fromkeys(self.envelope.recipients))
        asked, later = (recipients[:most], recipients[most:]) if most else (recipients, ())
        taken = yield from self._envelope(asked)
        for recipient in later:
            self.replies[recipient] = Reply(452, f"the host takes {most} recipients at once", "4.5.3")
        if taken:
            yield from self._message()

    def _envelope(self, recipients: tuple[str, ...]) -> Steps[bool]:
        """MAIL, RCPT, DATA; True: the server waits for the message."""
        lines = [self._mail(), *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"]
        size = GROUP if self._pipelining else 1
        sender: Reply | None = None
        reply = None
        for start in range(0, len(lines), size):
            group = lines[start : start + size]
            if group[0] == "DATA" and not self._any_taken():
                break  # sent alone, it would only be refused
            yield from self._say_all(group)
            for line in group:
                reply = yield from self.client._hear(line[:4], self._patience(line))
                if line == "DATA":
                    return (yield from self._data_reply(reply))
                if sender is None:
                    sender = reply
                    if not reply.good and not self._pipelining:
                        self._refuse_all(recipients, reply)
                        return False
                else:
                    self.replies[recipients[len(self.replies)]] = reply if sender.good else sender
        yield from self.client._say("RSET")
        yield from self.client._hear("RSET")
        return False

    def _patience(self, line: str) -> float:
        return self.client.config.timeouts.data_start if line == "DATA" else self.client.config.timeouts.command

    def _say_all(self, lines: list[str]) -> Steps[None]:
        self.client.transcript.note("C", "\n".join(lines))
        yield Send(("\r\n".join(lines) + "\r\n").encode(), self.client.config.timeouts.command)

    def _mail(self) -> str:
        offers, envelope = self.client.offers, self.envelope
        line = f"MAIL FROM:<{envelope.sender}>"
        if "SIZE" in offers:
            line += f" SIZE={self.content.size}"
        if envelope.eightbit and "8BITMIME" in offers:
            line += " BODY=8BITMIME"
        return line + " SMTPUTF8" if envelope.smtputf8 else line

    def _any_taken(self) -> bool:
        return any(reply.good for reply in self.replies.values())

    def _refuse_all(self, recipients: tuple[str, ...], reply: Reply) -> None:
        self.replies = dict.fromkeys(recipients, reply)

    def _data_reply(self, reply: Reply) -> Steps[bool]:
        if reply.code == 354:
            if self._any_taken():
                return True
            # RFC 2920 3.1: the server goes on although it took nobody; an empty message ends it.
            yield Send(b".\r\n", self.client.config.timeouts.command)
            yield from self.client._hear("end of DATA", self.client.config.timeouts.data_end)
            return False
        if reply.good:
            reply = Reply(451, f"the host answers DATA with {reply}", "4.5.0")
        self.replies = {name: reply if was.good else was for name, was in self.replies.items()}
        return False

    def _message(self) -> Steps[None]:
        timeouts, writer = self.client.config.timeouts, DataWriter()
        self.client.transcript.note("C", f"({self.content.size} octets)")
        try:
            for chunk in self.content.chunks():
                if data := writer.feed(chunk):
                    early = yield Send(data, timeouts.data_block)
                    if early is not None:
                        # The end mark would make half a message whole, so the only way out is to hang up.
                        self.client.transcript.note("S", str(early))
                        raise Trouble(early if not early.good else Reply(451, f"unexpected {early}", "4.5.0"))
            end = writer.end()
        except BareLineEnd as fault:
            raise Trouble(_line_end_refusal(fault)) from None
        self.all_sent = True
        yield Send(end, timeouts.data_block)
        final = yield from self.client._hear("end of DATA", timeouts.data_end)
        self.all_sent = False
        if final.code // 100 == 3:
            raise Trouble(Reply(451, f"the host answers the message with {final}", "4.5.0"))
        self.replies = {name: final if was.good else was for name, was in self.replies.items()}

    def given_up(self, reply: Reply) -> Mapping[str, Reply]:
        """What each recipient is told when the conversation ends with `reply`: who was refused stays refused."""
        if reply.good:
            reply = Reply(451, str(reply), "4.5.0")
        return {
            recipient: was if (was := self.replies.get(recipient)) is not None and not was.good else reply
            for recipient in self.envelope.recipients
        }


def _wire_safe(address: str) -> bool:
    """No character that could end the path or the line."""
    return not any(c < " " or c == "\x7f" or 0xD800 <= ord(c) < 0xE000 for c in address) and (
        not any(c in "<> " for c in address) or address.startswith('"')
    )


def bare_line_end(content: Content) -> Reply | None:
    """The refusal that a message with a bare CR or LF deserves: sent as it is, it could smuggle (RFC 5321 2.3.8)."""
    ends = LineEnds()
    try:
        for chunk in content.chunks():
            ends.feed(chunk)
        ends.end()
    except BareLineEnd as fault:
        return _line_end_refusal(fault)
    return None


def _line_end_refusal(fault: BareLineEnd) -> Reply:
    return Reply(554, f"the message has a {fault} and was not sent", "5.6.0")
