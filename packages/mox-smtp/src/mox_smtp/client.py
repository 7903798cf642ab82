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
from collections.abc import Mapping
from dataclasses import dataclass

import mox_sasl
from mox_message import Content
from mox_smtp.command import Auth, Ehlo
from mox_smtp.envelope import Delivered, Envelope, Needs, bare_line_end, wire_safe
from mox_smtp.offers import Offers
from mox_smtp.reply import Reply
from mox_smtp.step import Expect, Lost, Send, Step, Steps, TlsFailed, Trouble, Upgrade
from mox_smtp.transaction import Transaction
from mox_smtp.transcript import Transcript
from mox_smtp.trust import NOT_SUPPORTED, OPPORTUNISTIC, Tls, Trust

__all__ = [
    "ClientConfig",
    "Delivered",
    "Envelope",
    "Expect",
    "Lost",
    "Needs",
    "Offers",
    "Send",
    "SmtpClient",
    "Step",
    "Steps",
    "Timeouts",
    "TlsFailed",
    "Transcript",
    "Trouble",
    "Upgrade",
    "bare_line_end",
]


# Octets of a command line with its end (RFC 5321 4.5.3.1.4), less the end.
MAX_AUTH = 510


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
    lmtp: bool = False  # RFC 2033: LHLO, and a reply for each recipient
    chunking: bool = True  # BDAT in place of DATA where it is offered
    auth_in_clear: bool = False  # also mechanisms that show the password, on a connection without TLS
    host: str = ""  # the server's name and port, which OAUTHBEARER tells it
    port: int = 0


class SmtpClient:
    """One connection's conversation."""

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.offers = Offers()
        self.tls: Tls | None = None
        self.transcript = Transcript()
        self.usable = True  # for a further message
        self.logged_in = ""  # the mechanism
        self._sent = 0
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
        lmtp = self.config.lmtp
        yield from self._say(str(Ehlo(self.config.hostname, lmtp=lmtp)))
        reply = yield from self._hear("EHLO")
        if reply.good:
            self.offers = Offers.of(reply)
            return
        if reply.temporary or lmtp:
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

    def _mechanism(self, credentials: mox_sasl.Credentials) -> mox_sasl.ClientMechanism:
        """The best that both know and this connection is safe enough for.  Raises Trouble."""
        config = self.config
        binding = self.tls.binding if self.tls is not None else None
        encrypted = self._over_tls or config.auth_in_clear
        offered = self.offers.mechanisms
        name = mox_sasl.choose(offered, credentials, binding=binding, encrypted=encrypted)
        if name is None and not encrypted and mox_sasl.choose(offered, credentials):
            raise Trouble(Reply(538, "logging in without TLS would show the password to all who listen", "5.7.11"))
        if name is None:
            raise Trouble(Reply(535, "the host offers no mechanism that we know", "5.7.4"))
        return mox_sasl.client(name, credentials, config.nonce, binding=binding, host=config.host, port=config.port)

    def _log_in(self, credentials: mox_sasl.Credentials) -> Steps[None]:
        mechanism = self._mechanism(credentials)
        line, waiting = str(Auth(mechanism.name, initial := mechanism.start())), b""
        if len(line) > MAX_AUTH and initial is not None:
            # RFC 4954 4: what does not fit into a command line is sent when the server asks for it.
            line, waiting = str(Auth(mechanism.name)), initial
        yield from self._say(line, f"AUTH {mechanism.name} ***")
        reply = yield from self._hear("AUTH")
        while reply.code == 334:
            try:
                said = base64.b64decode(reply.text, validate=True)
                answer, waiting = (waiting, b"") if waiting and not said else (mechanism.step(said), b"")
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
        self.logged_in = mechanism.name

    # -- delivering

    def deliver(self, envelope: Envelope, content: Content) -> Steps[Delivered]:
        """One message.  Raises OSError when `content` cannot be read, after which the connection is of no use."""
        assert envelope.recipients, "a message needs recipients"
        assert self.usable, "this connection cannot be used further"
        refused = self._unfit(envelope, content)
        if refused is not None:
            return self._done(dict.fromkeys(envelope.recipients, refused), local=True)
        transaction = Transaction(self, envelope, content)
        self.usable = False
        try:
            yield from transaction.run()
        except Trouble as trouble:
            return self._done(transaction.given_up(trouble.reply), trouble.reply, uncertain=transaction.all_sent)
        self._sent += 1
        most = self.offers.limit("MAILMAX")
        self.usable = not most or self._sent < most
        return self._done(transaction.replies)

    def _unfit(self, envelope: Envelope, content: Content) -> Reply | None:
        """Why this message cannot go to this server at all."""
        offers = self.offers
        addresses = (envelope.sender, *envelope.recipients)
        if not all(map(wire_safe, addresses)):
            return Reply(553, "an address has a character that cannot be sent", "5.1.3")
        if envelope.smtputf8 and "SMTPUTF8" not in offers:
            return Reply(553, "the host does not take internationalised mail (SMTPUTF8)", "5.6.7")
        if not envelope.smtputf8 and not all(map(str.isascii, addresses)):
            return Reply(553, "an address is not ASCII, and SMTPUTF8 was not asked for", "5.6.7")
        if envelope.eightbit and self.config.strict_8bit and "8BITMIME" not in offers:
            return Reply(554, "the host does not take 8-bit mail (8BITMIME)", "5.6.3")
        if 0 < offers.size < content.size:
            return Reply(552, f"the message has {content.size} octets, the host takes {offers.size}", "5.3.4")
        if envelope.binary and not (self.config.chunking and {"BINARYMIME", "CHUNKING"} <= offers.keywords.keys()):
            return Reply(554, "the message has no proper lines, and the host does not take BINARYMIME", "5.6.1")
        return self._denied(envelope) or (None if envelope.checked else bare_line_end(content))

    def _denied(self, envelope: Envelope) -> Reply | None:
        """Why what the sender asks for cannot be had here; what is only lost when it is not offered does not count."""
        asked, offers = envelope.options, self.offers
        if asked.require_tls:
            if self.tls is None or not self.tls.proof.means:
                return Reply(
                    550, "the message requires TLS with a verified host (REQUIRETLS)", "5.7.10"
                )  # RFC 8689 4.2
            if "REQUIRETLS" not in offers:
                return Reply(550, "the message requires a host with REQUIRETLS", "5.7.30")
        if (asked.hold_for or asked.hold_until) and "FUTURERELEASE" not in offers:
            return Reply(554, "the host does not hold messages (FUTURERELEASE)", "5.3.3")
        if asked.by is not None and asked.by.give_back and "DELIVERBY" not in offers:
            return Reply(554, "the host does not keep to times (DELIVERBY)", "5.3.3")  # RFC 2852 4.1.4
        return None

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
            "DSN" in self.offers and not local,
        )

    def quit(self) -> Steps[None]:
        """Says goodbye.  Never raises Trouble: nothing depends on it any more."""
        self.usable = False
        try:
            yield from self._say("QUIT")
            yield from self._hear("QUIT", self.config.timeouts.quit)
        except Trouble:
            return
