"""The server's half of SMTP, without I/O: bytes in, events out, replies in, bytes out.  RFC 5321.

    session.receive(data, now)
    while event := session.next_event():        # None: nothing to decide until more bytes come
        reply = policy(event)                   # None: nothing to say against it
        session.send(reply)
    transport.write(session.outgoing())

The session answers what policy has no say in (order, syntax, line ends, NOOP, RSET, VRFY …).  Every event must be
answered by one send() before the next is given.  Time is an argument; nothing here waits."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from mox_message import Path
from mox_smtp import command as commands
from mox_smtp.command import CommandSyntaxError, Parameters
from mox_smtp.data import DataReader
from mox_smtp.reply import Challenge, Reply


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session takes: octets, counts, seconds."""

    line: int = 2048  # RFC 5321 4.5.3.1.4 asks for 512, SMTPUTF8 and parameters for more
    auth_line: int = 12288  # RFC 4954 4
    message: int = 100 * 1024 * 1024
    recipients: int = 1000  # RFC 5321 4.5.3.1.8 asks for 100 at least
    bad_commands: int = 10
    bad_line_ends: int = 1
    transactions: int = 1000
    command_seconds: float = 300.0  # RFC 5321 4.5.3.2.7
    data_seconds: float = 180.0  # between two pieces of a message (4.5.3.2.5)
    session_seconds: float = 3600.0
    greeting_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Who we are and what we offer."""

    hostname: str
    limits: Limits = field(default_factory=Limits)
    starttls: bool = False
    auth: tuple[str, ...] = ()  # mechanisms; offered only over TLS
    auth_needed: bool = False  # submission: MAIL only after AUTH
    smtputf8: bool = True


class Phase(Enum):
    """Where a session stands."""

    CONNECTED = auto()
    GREETED = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    AUTH = auto()


# RFC 5321 4.1.4: which command may come when.  Where a yes leads stands with the command.
ORDER: dict[str, frozenset[Phase]] = {
    "EHLO": frozenset({Phase.CONNECTED, Phase.GREETED, Phase.MAIL, Phase.RCPT}),
    "HELO": frozenset({Phase.CONNECTED, Phase.GREETED, Phase.MAIL, Phase.RCPT}),
    "STARTTLS": frozenset({Phase.CONNECTED, Phase.GREETED}),
    "AUTH": frozenset({Phase.GREETED}),
    "MAIL": frozenset({Phase.GREETED}),
    "RCPT": frozenset({Phase.MAIL, Phase.RCPT}),
    "DATA": frozenset({Phase.RCPT}),
}
ALWAYS = frozenset({"NOOP", "RSET", "QUIT", "VRFY", "EXPN", "HELP"})


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection; a refusal is the greeting then."""


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO (extended) or HELO."""

    name: str
    extended: bool


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client asks for TLS; yes makes the driver upgrade, then call tls_started()."""


@dataclass(frozen=True, slots=True)
class AuthStart:
    """AUTH: `initial` is None when the client sent no initial response.  Answer: Challenge, or a reply that ends it."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a Challenge."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MailFrom:
    """MAIL FROM; `size` as declared, or None."""

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
    """DATA, with at least one recipient taken."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the message, dots undone.  There is nothing to reply; send(None)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete and sound.  The reply decides whose it is now."""

    size: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """The transaction is over without a message (RSET, EHLO, a fault, too big); forget it.  send(None)."""

    why: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The client says goodbye."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the protocol; it was answered already.  send(None)."""

    what: str


Event: TypeAlias = (
    Connected | Hello | StartTls | AuthStart | AuthResponse | MailFrom | RcptTo | DataStart | Chunk | MessageEnd | Aborted | Quit | Violation
)


class SmtpServer:
    """One session.  Limits are in the config; `ended` says that the connection is to be closed after outgoing()."""

    def __init__(self, config: ServerConfig, *, now: float, tls: bool = False) -> None:
        self.config = config
        self.ended = False
        self.tls = tls
        self.authenticated = False
        self.extended = False
        self.hello = ""
        self._buffer = b""
        self._at = 0  # what of the buffer is used up; cutting it off for each command would be quadratic
        self._smtputf8 = False
        self._out: list[bytes] = []
        self._events: deque[Event] = deque([Connected()])
        self._open: Event | None = None
        self._phase = Phase.CONNECTED
        self._data: DataReader | None = None
        self._size = 0
        self._recipients = 0
        self._transactions = 0
        self._bad = 0
        self._auth_bad = 0
        self._began = now
        self._heard = now
        self._starting_tls = False

    # -- the driver's side

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that came.  After the end they are ignored."""
        self._heard = now
        if self._starting_tls:
            # RFC 3207 6 and CVE-2011-0411: nothing may follow STARTTLS before the handshake.
            self._violation(Reply(554, "nothing may follow STARTTLS before TLS", "5.5.1"), "bytes after STARTTLS")
            self.ended = True
        if not self.ended:
            self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
            self._at = 0

    def next_event(self) -> Event | None:
        """The next thing to decide; None: more bytes are needed, or the last event is not answered yet."""
        if self._open is not None:
            return None
        while not self._events and not self.ended:
            if not self._step():
                return None
        if not self._events:
            return None
        self._open = self._events.popleft()
        return self._open

    def send(self, reply: Reply | Challenge | None) -> None:
        """The answer to the event given last; None takes it, with the usual words."""
        event, self._open = self._open, None
        assert event is not None, "no event is open"
        if isinstance(reply, Challenge):
            self._out.append(b"334 " + base64.b64encode(reply.data) + b"\r\n")
            self._phase = Phase.AUTH
            return
        settle = getattr(self, "_settle_" + type(event).__name__.lower(), None)
        if settle is not None:
            settle(event, reply)
        if reply is not None and reply.code == 421:
            self.ended = True

    def outgoing(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        out, self._out = b"".join(self._out), []
        return out

    def deadline(self) -> float:
        """When on_timeout() is to be called if nothing comes before."""
        limits = self.config.limits
        quiet = limits.data_seconds if self._phase is Phase.DATA else limits.command_seconds
        return min(self._heard + quiet, self._began + limits.session_seconds)

    def on_timeout(self) -> None:
        """Nothing came in time."""
        self.shut("waited too long")

    def shut(self, why: str) -> None:
        """Says 421 and ends (RFC 5321 3.8); not in the middle of an answer."""
        if not self.ended:
            self._say(Reply(421, f"{self.config.hostname} {why}", "4.4.2"))
            self.ended = True

    @property
    def idle(self) -> bool:
        """Between transactions, with nothing to answer."""
        return self._open is None and self._phase in (Phase.CONNECTED, Phase.GREETED) and self._at >= len(self._buffer)

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was granted: write outgoing(), upgrade, call tls_started()."""
        return self._starting_tls and not self.ended

    def tls_started(self) -> None:
        """The handshake is done; what was said before is forgotten (RFC 3207 4.2)."""
        self.tls = True
        self._starting_tls = False
        self._phase = Phase.CONNECTED
        self.hello = ""

    # -- reading

    def _step(self) -> bool:
        """Uses some of the buffer; False: more bytes are needed."""
        if self._starting_tls:
            return False
        if self._phase is Phase.DATA:
            return self._read_data()
        end = self._buffer.find(b"\n", self._at)
        limit = self.config.limits.auth_line if self._phase is Phase.AUTH else self.config.limits.line
        if end < 0:
            if len(self._buffer) - self._at > limit:
                self._violation(Reply(500, f"a line has at most {limit} octets", "5.5.6"), "line too long")
                self.ended = True
            return False
        line = self._buffer[self._at : end + 1]
        self._at = end + 1
        if len(line) > limit:
            self._violation(Reply(500, f"a line has at most {limit} octets", "5.5.6"), "line too long")
            self.ended = True
            return True
        if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
            # RFC 5321 2.3.8: a line ends with CRLF and nothing else does.
            self._violation(Reply(500, "a line ends with CRLF and has no CR, LF or NUL inside", "5.5.2"), "line end")
            self.ended = True
            return True
        if self._phase is Phase.AUTH:
            self._auth_line(line[:-2])
        else:
            self._command(line[:-2])
        return True

    def _read_data(self) -> bool:
        if self._at >= len(self._buffer):
            return False
        assert self._data is not None
        payload, rest = self._data.feed(self._buffer[self._at :] if self._at else self._buffer)
        self._buffer, self._at = rest or b"", 0
        self._size += len(payload)
        too_big = self._size > self.config.limits.message
        if payload and not too_big and not self._data.fault:
            self._events.append(Chunk(payload))
        if rest is None:
            return True
        fault, self._data = self._data.fault, None
        self._phase = Phase.GREETED
        if fault:
            self._say(Reply(550, f"the message has a {fault}; lines end with CRLF (RFC 5321 2.3.8)", "5.6.0"))
            self._events.append(Aborted(fault))
        elif too_big:
            self._say(Reply(552, f"a message has at most {self.config.limits.message} octets", "5.3.4"))
            self._events.append(Aborted("too big"))
        else:
            self._events.append(MessageEnd(self._size))
        return True

    # -- commands

    def _command(self, line: bytes) -> None:
        try:
            command = commands.split(line)
            allowed = ORDER.get(command.verb)
            if allowed is None and command.verb not in ALWAYS:
                self._violation(Reply(500, "no such command", "5.5.1"), "unknown command")
            elif allowed is not None and self._phase not in allowed:
                self._violation(Reply(503, _order_text(command.verb, self._phase), "5.5.1"), "order")
            else:
                getattr(self, "_do_" + command.verb.lower())(command.rest)
        except CommandSyntaxError as error:
            self._violation(Reply(error.code, error.why, error.enhanced), "syntax")

    def _do_ehlo(self, rest: str) -> None:
        self._hello(rest, extended=True)

    def _do_helo(self, rest: str) -> None:
        self._hello(rest, extended=False)

    def _hello(self, rest: str, *, extended: bool) -> None:
        name = commands.hello(rest)
        self._forget("greeted again")
        self._events.append(Hello(name, extended))

    def _do_starttls(self, rest: str) -> None:
        if rest.strip():
            raise CommandSyntaxError("STARTTLS takes no parameter")
        if self.tls or not self.config.starttls:
            self._violation(Reply(503, "TLS is on already" if self.tls else "TLS is not to be had", "5.5.1"), "order")
        elif self._at < len(self._buffer):
            self._violation(Reply(554, "nothing may follow STARTTLS before TLS", "5.5.1"), "bytes after STARTTLS")
            self.ended = True
        else:
            self._events.append(StartTls())

    def _do_auth(self, rest: str) -> None:
        mechanism, space, initial = rest.partition(" ")
        if not self.config.auth or not self.tls:
            text = "AUTH needs TLS: say STARTTLS first" if self.config.auth else "AUTH is not offered here"
            self._violation(Reply(538 if self.config.auth else 502, text, "5.7.11" if self.config.auth else "5.5.1"), "auth")
            return
        if self.authenticated:
            self._violation(Reply(503, "authenticated already", "5.5.1"), "order")
            return
        if mechanism.upper() not in self.config.auth:
            self._violation(Reply(504, "no such mechanism", "5.5.4"), "auth")
            return
        self._events.append(AuthStart(mechanism.upper(), _unbase64(initial) if space else None))

    def _auth_line(self, line: bytes) -> None:
        if line == b"*":
            self._phase = Phase.GREETED
            self._violation(Reply(501, "given up", "5.0.0"), "auth given up")
            return
        try:
            self._events.append(AuthResponse(_unbase64(line.decode("latin-1")) if line else b""))
        except CommandSyntaxError as error:
            self._phase = Phase.GREETED
            self._violation(Reply(501, error.why, "5.5.2"), "auth")

    def _do_mail(self, rest: str) -> None:
        limits = self.config.limits
        if self.config.auth_needed and not self.authenticated:
            self._violation(Reply(530, "log in first", "5.7.0"), "auth")
            return
        if self._transactions >= limits.transactions:
            self.shut("too many messages on one connection")
            return
        path, parameters = commands.mail_from(rest)
        self._known(parameters, {"SIZE", "BODY", "SMTPUTF8"} if self.config.smtputf8 else {"SIZE", "BODY"})
        size = parameters.number("SIZE")
        if size is not None and size > limits.message:
            self._say(Reply(552, f"a message has at most {limits.message} octets", "5.3.4"))
            return
        body = (parameters.values.get("BODY") or "7BIT").upper()
        if body not in ("7BIT", "8BITMIME"):
            raise CommandSyntaxError("BODY is 7BIT or 8BITMIME")
        smtputf8 = "SMTPUTF8" in parameters.values
        if smtputf8 and parameters.values["SMTPUTF8"] is not None:
            raise CommandSyntaxError("SMTPUTF8 takes no value")
        if path.address is not None and not path.address.ascii and not smtputf8:
            raise CommandSyntaxError("this address needs SMTPUTF8", 553, "5.6.7")
        self._smtputf8 = smtputf8
        self._events.append(MailFrom(path, parameters, size, smtputf8, body == "8BITMIME"))

    def _do_rcpt(self, rest: str) -> None:
        if self._recipients >= self.config.limits.recipients:
            # RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in a second transaction.
            self._violation(Reply(452, f"at most {self.config.limits.recipients} recipients at once", "4.5.3"), "recipients")
            return
        path, parameters = commands.rcpt_to(rest)
        self._known(parameters, set())
        if path.address is not None and not path.address.ascii and not self._smtputf8:
            raise CommandSyntaxError("this address needs SMTPUTF8", 553, "5.6.7")
        self._events.append(RcptTo(path, parameters))

    def _known(self, parameters: Parameters, known: set[str]) -> None:
        if unknown := set(parameters.values) - known:
            raise CommandSyntaxError(f"parameter {sorted(unknown)[0]} is not known here", 555, "5.5.4")

    def _do_data(self, rest: str) -> None:
        if rest.strip():
            raise CommandSyntaxError("DATA takes no parameter")
        self._events.append(DataStart())

    def _do_rset(self, rest: str) -> None:
        self._forget("reset")
        self._say(Reply(250, "forgotten", "2.0.0"))

    def _do_noop(self, rest: str) -> None:
        self._say(Reply(250, "yes", "2.0.0"))

    def _do_help(self, rest: str) -> None:
        self._say(Reply(214, "RFC 5321", "2.0.0"))

    def _do_vrfy(self, rest: str) -> None:
        # RFC 5321 7.3: a true answer helps nobody but address harvesters.
        self._say(Reply(252, "send mail and see", "2.5.0"))

    def _do_expn(self, rest: str) -> None:
        self._say(Reply(502, "lists are not told", "5.5.1"))

    def _do_quit(self, rest: str) -> None:
        self._events.append(Quit())

    # -- what an answer does

    def _settle_connected(self, event: Connected, reply: Reply | None) -> None:
        self._say(reply or Reply(220, f"{self.config.hostname} ESMTP"))
        if reply is not None and not reply.good:
            self.ended = True

    def _settle_hello(self, event: Hello, reply: Reply | None) -> None:
        if reply is not None:
            self._say(reply)
            return
        self.hello, self.extended = event.name, event.extended
        self._phase = Phase.GREETED
        self._say(Reply(250, "\n".join([self.config.hostname, *self._offers()]) if event.extended else self.config.hostname))

    def _offers(self) -> list[str]:
        config = self.config
        offers = ["PIPELINING", f"SIZE {config.limits.message}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if config.smtputf8:
            offers.append("SMTPUTF8")
        if config.starttls and not self.tls:
            offers.append("STARTTLS")
        if config.auth and self.tls and not self.authenticated:
            offers.append("AUTH " + " ".join(config.auth))
        offers.append(f"LIMITS RCPTMAX={config.limits.recipients}")
        return offers

    def _settle_starttls(self, event: StartTls, reply: Reply | None) -> None:
        self._say(reply or Reply(220, "go ahead", "2.0.0"))
        if reply is None or reply.good:
            self._starting_tls = True
            self._recipients = 0

    def _settle_authstart(self, event: Event, reply: Reply | None) -> None:
        reply = reply or Reply(235, "welcome", "2.7.0")
        self._phase = Phase.GREETED
        self._say(reply)
        if reply.good:
            self.authenticated = True
        else:
            self._auth_bad += 1
            if self._auth_bad >= 5:
                self.shut("too many failed logins")

    _settle_authresponse = _settle_authstart

    def _settle_mailfrom(self, event: MailFrom, reply: Reply | None) -> None:
        if reply is None or reply.good:
            self._phase, self._recipients = Phase.MAIL, 0
        self._say(reply or Reply(250, "sender ok", "2.1.0"))

    def _settle_rcptto(self, event: RcptTo, reply: Reply | None) -> None:
        if reply is None or reply.good:
            self._phase = Phase.RCPT
            self._recipients += 1
        self._say(reply or Reply(250, "recipient ok", "2.1.5"))

    def _settle_datastart(self, event: DataStart, reply: Reply | None) -> None:
        if reply is not None and reply.code != 354:
            self._phase = Phase.GREETED
            self._say(reply)
            return
        self._phase, self._data, self._size = Phase.DATA, DataReader(), 0
        self._transactions += 1
        self._say(reply or Reply(354, "go ahead, end with CRLF . CRLF"))

    def _settle_messageend(self, event: MessageEnd, reply: Reply | None) -> None:
        assert reply is not None, "a message needs an answer"
        self._recipients = 0
        self._say(reply)

    def _settle_quit(self, event: Quit, reply: Reply | None) -> None:
        self._say(reply or Reply(221, "goodbye", "2.0.0"))
        self.ended = True

    # -- small things

    def _say(self, reply: Reply) -> None:
        self._out.append(reply.to_bytes())

    def _violation(self, reply: Reply, what: str) -> None:
        self._say(reply)
        self._events.append(Violation(what))
        self._bad += 1
        if self._bad >= self.config.limits.bad_commands and not self.ended:
            self.shut("too many errors")

    def _forget(self, why: str) -> None:
        if self._phase in (Phase.MAIL, Phase.RCPT):
            self._phase = Phase.GREETED
            self._events.append(Aborted(why))
        self._recipients = 0


def _order_text(verb: str, phase: Phase) -> str:
    wanted = {"MAIL": "say EHLO first", "RCPT": "MAIL must come first", "DATA": "a recipient is needed first", "AUTH": "not now"}
    if verb == "MAIL" and phase is not Phase.CONNECTED:
        return "a transaction is open; RSET ends it"
    return wanted.get(verb, "not now")


def _unbase64(text: str) -> bytes:
    if text == "=":  # RFC 4954 4: an empty initial response
        return b""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise CommandSyntaxError("not base64", 501, "5.5.2") from None
