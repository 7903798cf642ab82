"""The server's half of SMTP, without I/O: bytes in, events out, replies in, bytes out.  RFC 5321.

    session.receive(data, now)
    while event := session.next_event():        # None: nothing to decide until more bytes come
        session.send(policy(event))             # None: nothing to say against it
    transport.write(session.outgoing())

The session answers what policy has no say in: order, syntax, line ends, NOOP, RSET, VRFY.  Every event is answered by
one send() before the next is given.  Time is an argument; nothing here waits."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeAlias

from mox_sasl import Challenge
from mox_smtp.command import Auth, CommandSyntaxError, Ehlo, Mail, Parameters, Rcpt, Simple
from mox_smtp.config import ServerConfig
from mox_smtp.data import DataReader
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
from mox_smtp.reply import Reply
from mox_smtp.scanner import RULES, Scanner, base64_text

Answer: TypeAlias = Reply | Challenge | None


class Phase(Enum):
    """Where a session stands."""

    CONNECTED = auto()
    GREETED = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    AUTH = auto()


_BETWEEN = frozenset({Phase.CONNECTED, Phase.GREETED})
_ANY = frozenset({Phase.CONNECTED, Phase.GREETED, Phase.MAIL, Phase.RCPT})

# RFC 5321 4.1.4: which command may come when.  Where a yes leads, the `_settle_…` of its event says.
ORDER: dict[str, frozenset[Phase]] = {
    "EHLO": _ANY,
    "HELO": _ANY,
    "STARTTLS": _BETWEEN,
    "AUTH": frozenset({Phase.GREETED}),
    "MAIL": frozenset({Phase.GREETED}),
    "RCPT": frozenset({Phase.MAIL, Phase.RCPT}),
    "DATA": frozenset({Phase.MAIL, Phase.RCPT}),
    "RSET": _ANY,
    "NOOP": _ANY,
    "VRFY": _ANY,
    "EXPN": _ANY,
    "HELP": _ANY,
    "QUIT": _ANY,
}
OUT_OF_ORDER = {
    "AUTH": "say EHLO first; not within a transaction",
    "STARTTLS": "not within a transaction",
    "MAIL": "say EHLO first; RSET ends a transaction",
    "RCPT": "MAIL comes first",
    "DATA": "MAIL and RCPT come first",
}
LINE_ENDS = Reply(500, "a line ends with CRLF and has no other CR, LF or NUL", "5.5.2")
AFTER_STARTTLS = Reply(554, "nothing may follow STARTTLS before the handshake", "5.5.1")


class SmtpServer:
    """One session.  When `ended`, write outgoing() and close.

    `tls`, `authenticated`, `extended` (EHLO, not HELO) and `hello` (its name) may be read; they are forgotten when
    TLS begins."""

    def __init__(self, config: ServerConfig, *, now: float, tls: bool = False) -> None:
        self.config = config
        self.tls = tls
        self.authenticated = False
        self.extended = False
        self.hello = ""
        self.ended = False
        self._phase = Phase.CONNECTED
        self._buffer = b""
        self._at = 0  # what of the buffer is used up; cutting it off for each command would be quadratic
        self._refused_line = False  # a part of the line at hand was refused; so is its rest
        self._out: list[bytes] = []
        self._events: deque[Event] = deque([Connected()])
        self._open: Event | None = None
        self._data: DataReader | None = None
        self._verdict: Reply | None = None  # why the message that still comes in is lost already
        self._size = 0
        self._dead = 0
        self._smtputf8 = False
        self._recipients = 0
        self._recipients_refused = False
        self._transactions = self._bad = self._bad_line_ends = self._bad_logins = self._chatter = self._garbage = 0
        self._began = self._since = self._message_began = now
        self._starting_tls = False
        self._draining = ""

    # -- the driver's side

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that came.  After the end they are ignored."""
        if self._starting_tls:
            # RFC 3207 4 and CVE-2011-0411: what came in the clear must not be taken for what TLS protects.
            self._violation(AFTER_STARTTLS, "bytes after STARTTLS", fatal=True)
        if self.ended:
            return
        if self._at < len(self._buffer):
            if self._phase is Phase.DATA:
                self._since = now
            self._buffer = self._buffer[self._at :] + data
        else:
            self._since = now
            self._buffer = data
        self._at = 0

    def next_event(self) -> Event | None:
        """The next thing to decide; None: more bytes are needed, or the last event is not answered yet."""
        if self._open is not None:
            return None
        while True:
            while not self._events:
                if self._draining and self.idle:
                    self.shut(self._draining)
                if self.ended or not self._step():
                    return None
            event = self._events.popleft()
            if isinstance(event, MessageEnd) and self._verdict is not None:
                self._recipients = 0
                self._say(self._verdict)
                continue
            self._open = event
            return event

    def send(self, answer: Answer, now: float | None = None) -> None:
        """The answer to the event given last; None takes it, with the usual words.

        `now`: given when the answer took its time, which is then not the client's.  Raises TypeError for an answer
        that the event cannot have, which stays open."""
        event = self._open
        assert event is not None, "no event is open"
        if isinstance(answer, Challenge):
            if not isinstance(event, AuthStart | AuthResponse):
                raise TypeError(f"{type(event).__name__} cannot be answered with a challenge")
            self._phase = Phase.AUTH
            self._out.append(b"334 " + base64.b64encode(answer.data) + b"\r\n")
        elif answer is not None and not isinstance(answer, Reply):
            raise TypeError(f"{answer!r} is no answer")
        elif (settle := _SETTLE.get(type(event))) is not None:
            settle(self, event, answer)
        self._open = None
        if now is not None:
            self._since = now
        if answer is not None and isinstance(answer, Reply) and answer.code == 421:
            self.ended = True

    def outgoing(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        out, self._out = b"".join(self._out), []
        return out

    def deadline(self, now: float) -> float:
        """When timed_out() is to be called if nothing has come by then."""
        limits = self.config.limits
        end = self._began + limits.session_seconds
        if self._open is not None:
            # We are the slow side: the client waits for us.
            return now + limits.command_seconds
        if self._phase is Phase.DATA:
            return min(end, self._since + limits.chunk_seconds, self._message_began + limits.message_seconds)
        return min(end, self._since + limits.command_seconds)

    def timed_out(self) -> None:
        """The deadline has passed (RFC 5321 4.5.3.2.7)."""
        self.shut("waited too long", "4.4.2")

    def shut(self, why: str, enhanced: str = "4.3.2") -> None:
        """Says 421 and ends (RFC 5321 3.8)."""
        if not self.ended:
            self._say(Reply(421, f"{self.config.hostname} {why}", enhanced))
            self.ended = True

    def drain(self, why: str = "closing down, try again later") -> None:
        """Says 421 as soon as no transaction is open."""
        self._draining = why
        if self.idle:
            self.shut(why)

    @property
    def idle(self) -> bool:
        """Between transactions, with nothing to answer."""
        return self._open is None and not self._events and self._phase in _BETWEEN and not self._starting_tls

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was granted: write outgoing(), upgrade, call tls_started()."""
        return self._starting_tls and not self.ended

    def tls_started(self, now: float) -> None:
        """The handshake is done.  What was said before it is forgotten (RFC 3207 4.2)."""
        assert self._at >= len(self._buffer), "bytes from before the handshake"
        self.tls, self._starting_tls = True, False
        self.authenticated = self.extended = self._smtputf8 = False
        self.hello = ""
        self._phase, self._since = Phase.CONNECTED, now

    # -- reading

    def _step(self) -> bool:
        """Uses some of the buffer; False: more bytes are needed."""
        if self._starting_tls or self._at >= len(self._buffer):
            return False
        if self._phase is Phase.DATA:
            self._read_data()
            return True
        end = self._buffer.find(b"\n", self._at) + 1
        limit = self.config.limits.auth_line if self._phase is Phase.AUTH else self.config.limits.line
        if (end or len(self._buffer)) - self._at > limit:
            self._overlong(end, limit)
        elif not end:
            return False
        else:
            line = self._buffer[self._at : end]
            self._at = end
            self._line(line)
        return True

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            # RFC 5321 2.3.8: a line ends with CRLF and nothing else.  What follows belongs to this line still.
            self._refused_line = True
            self._bad_line_end()
        elif self._refused_line:
            self._refused_line = False
        elif b"\r" in line[:-2] or b"\0" in line:
            self._bad_line_end()
        elif self._phase is Phase.AUTH:
            self._auth_line(line[:-2])
        else:
            self._command(line[:-2])

    def _bad_line_end(self) -> None:
        self._bad_line_ends += 1
        self._phase = Phase.GREETED if self._phase is Phase.AUTH else self._phase
        self._violation(LINE_ENDS, "line end", fatal=self._bad_line_ends >= self.config.limits.bad_line_ends)

    def _overlong(self, end: int, limit: int) -> None:
        """Drops what there is of a line that is too long; answers it once."""
        cut = end or len(self._buffer)
        whole = self._buffer[cut - 2 : cut] == b"\r\n"
        if not end and self._buffer.endswith(b"\r"):
            cut -= 1  # the LF may come next
        self._phase = Phase.GREETED if self._phase is Phase.AUTH else self._phase
        self._garbage += cut - self._at
        self._at = cut
        answered, self._refused_line = self._refused_line, not whole
        too_much = self._garbage > self.config.limits.garbage
        if too_much or not answered:
            self._violation(Reply(500, f"a line has at most {limit} octets", "5.5.6"), "line too long", fatal=too_much)

    def _read_data(self) -> None:
        assert self._data is not None
        limits = self.config.limits
        payload, rest = self._data.feed(self._buffer[self._at :] if self._at else self._buffer)
        self._buffer, self._at = rest or b"", 0
        self._size += len(payload)
        if self._verdict is None:
            if fault := self._data.fault:
                self._lose(
                    Reply(554, f"the message has a {fault}; lines end with CRLF (RFC 5321 2.3.8)", "5.6.0"), fault
                )
            elif self._size > limits.message:
                self._lose(Reply(552, f"a message has at most {limits.message} octets", "5.3.4"), "too big")
            elif payload:
                self._events.append(Chunk(payload))
        else:
            self._dead += len(payload)
            if self._dead > limits.dead_data:
                self._say(self._verdict)
                self.ended = True
                return
        if rest is not None:
            # A Chunk in front of it may still be refused: whether it is given out, next_event() sees then.
            self._data, self._phase = None, Phase.GREETED
            self._events.append(MessageEnd(self._size))

    def _lose(self, reply: Reply, why: str) -> None:
        self._verdict = reply
        self._events.append(Aborted(why))

    # -- commands

    def _command(self, line: bytes) -> None:
        try:
            scan = Scanner(line)
            verb = scan.verb()
            allowed = ORDER.get(verb)
            if allowed is None:
                # A stranger to SMTP (a browser made to talk to us) shows itself with its first line.
                stranger = self._phase is Phase.CONNECTED
                self._violation(Reply(500, "no such command", "5.5.1"), "unknown command", fatal=stranger)
            elif self._phase not in allowed:
                self._violation(Reply(503, OUT_OF_ORDER[verb], "5.5.1"), "order")
            else:
                _DO[verb](self, RULES[verb](scan))
        except CommandSyntaxError as error:
            self._violation(Reply(error.code, error.why, error.enhanced), "syntax")

    def _do_ehlo(self, command: Ehlo) -> None:
        self._forget("greeted again")
        self._events.append(Hello(command.name, command.extended))

    def _do_starttls(self, command: Simple) -> None:
        if self.tls or not self.config.starttls:
            self._violation(Reply(503, "TLS is on already" if self.tls else "TLS is not to be had", "5.5.1"), "order")
        elif self._at < len(self._buffer):
            self._violation(AFTER_STARTTLS, "bytes after STARTTLS", fatal=True)
        else:
            self._events.append(StartTls())

    def _do_auth(self, command: Auth) -> None:
        if not self.config.auth:
            self._violation(Reply(503, "AUTH is not to be had here", "5.5.1"), "auth")
        elif not (self.tls or self.config.auth_in_clear):
            self._violation(Reply(538, "AUTH needs TLS: say STARTTLS first", "5.7.11"), "auth")  # RFC 4954 4
        elif self.authenticated:
            self._violation(Reply(503, "authenticated already", "5.5.1"), "order")
        elif command.mechanism not in self.config.auth:
            self._violation(Reply(504, "no such mechanism", "5.5.4"), "auth")
        else:
            self._events.append(AuthStart(command.mechanism, command.initial))

    def _auth_line(self, line: bytes) -> None:
        if line == b"*":
            self._phase = Phase.GREETED
            self._violation(Reply(501, "given up", "5.7.0"), "auth given up")
            return
        try:
            self._events.append(AuthResponse(base64_text(line.decode("latin-1"))))
        except CommandSyntaxError as error:
            self._phase = Phase.GREETED
            self._bad_logins += 1
            fatal = self._bad_logins >= self.config.limits.bad_logins
            reply = Reply(421, "too many failed logins", "4.7.0") if fatal else Reply(501, error.why, "5.5.2")
            self._violation(reply, "auth", fatal=fatal)

    def _do_mail(self, command: Mail) -> None:
        config, parameters = self.config, command.parameters
        if config.auth_needed and not self.authenticated:
            self._violation(Reply(530, "log in first", "5.7.0"), "auth")
            return
        if self._transactions >= config.limits.transactions:
            self.shut("enough messages for one connection", "4.7.0")
            return
        _check_parameters(parameters, _mail_parameters(config))
        size = parameters.number("SIZE")
        body = parameters.get("BODY").upper() if "BODY" in parameters else "7BIT"
        if body not in ("7BIT", "8BITMIME"):
            raise CommandSyntaxError(body, 0, "BODY is 7BIT or 8BITMIME")
        smtputf8 = "SMTPUTF8" in parameters
        if parameters.get("SMTPUTF8"):
            raise CommandSyntaxError("", 0, "SMTPUTF8 has no value")
        _check_ascii(command, smtputf8)
        if size is not None and size > config.limits.message:
            self._say(Reply(552, f"a message has at most {config.limits.message} octets", "5.3.4"))
            return
        self._smtputf8 = smtputf8
        self._events.append(MailFrom(command.path, parameters, size, smtputf8, body == "8BITMIME"))

    def _do_rcpt(self, command: Rcpt) -> None:
        if self._recipients >= self.config.limits.recipients:
            # RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in a second transaction.
            self._say(Reply(452, f"at most {self.config.limits.recipients} recipients at once", "4.5.3"))
            return
        _check_parameters(command.parameters, frozenset())
        _check_ascii(command, self._smtputf8)
        self._events.append(RcptTo(command.path, command.parameters))

    def _do_data(self, command: Simple) -> None:
        if self._recipients:
            self._events.append(DataStart())
        elif self._recipients_refused:
            # RFC 2920 3.1: a pipelining client could not know that nobody was taken.
            self._say(Reply(554, "no valid recipients", "5.5.1"))
        else:
            self._violation(Reply(503, "RCPT comes first", "5.5.1"), "order")

    def _do_rset(self, command: Simple) -> None:
        self._forget("reset")
        self._chat(Reply(250, "forgotten", "2.0.0"))

    def _do_noop(self, command: Simple) -> None:
        self._chat(Reply(250, "yes", "2.0.0"))

    def _do_help(self, command: Simple) -> None:
        self._chat(Reply(214, "see RFC 5321", "2.0.0"))

    def _do_vrfy(self, command: Simple) -> None:
        # RFC 5321 7.3: a true answer helps nobody but harvesters of addresses.
        self._chat(Reply(252, "send mail and see", "2.5.0"))

    def _do_expn(self, command: Simple) -> None:
        self._chat(Reply(502, "lists are not told", "5.5.1"))

    def _do_quit(self, command: Simple) -> None:
        self._forget("quit")
        self._events.append(Quit())

    # -- what an answer does

    def _settle_connected(self, event: Connected, reply: Reply | None) -> None:
        self._say(reply or Reply(220, f"{self.config.hostname} {self.config.greeting}"))
        self.ended = reply is not None and not reply.good

    def _settle_hello(self, event: Hello, reply: Reply | None) -> None:
        if reply is None or reply.good:
            self.hello, self.extended, self._phase = event.name, event.extended, Phase.GREETED
            lines = [self.config.hostname, *self._offers()] if event.extended else [self.config.hostname]
            reply = Reply(250, "\n".join(lines))
        self._say(reply)

    def _offers(self) -> list[str]:
        config = self.config
        offers = ["PIPELINING", f"SIZE {config.limits.message}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if config.smtputf8:
            offers.append("SMTPUTF8")
        if config.starttls and not self.tls:
            offers.append("STARTTLS")
        if config.auth and (self.tls or config.auth_in_clear):
            offers.append("AUTH " + " ".join(config.auth))
        offers.append(f"LIMITS RCPTMAX={config.limits.recipients}")  # RFC 9422
        offers.append("HELP")
        return offers

    def _settle_starttls(self, event: StartTls, reply: Reply | None) -> None:
        self._starting_tls = reply is None or reply.good
        self._say(reply or Reply(220, "go ahead", "2.0.0"))

    def _settle_auth(self, event: Event, reply: Reply | None) -> None:
        self._phase = Phase.GREETED
        if reply is None or reply.good:
            self.authenticated = True
            self._say(reply or Reply(235, "welcome", "2.7.0"))
            return
        self._bad_logins += 1
        self._say(reply)
        if self._bad_logins >= self.config.limits.bad_logins:
            # The client has been told why; a 421 in place of this reply would have made it try the same again.
            self.ended = True

    def _settle_mail(self, event: MailFrom, reply: Reply | None) -> None:
        if reply is None or reply.good:
            self._phase, self._recipients, self._recipients_refused = Phase.MAIL, 0, False
        self._say(reply or Reply(250, "sender ok", "2.1.0"))

    def _settle_rcpt(self, event: RcptTo, reply: Reply | None) -> None:
        if reply is None or reply.good:
            self._phase = Phase.RCPT
            self._recipients += 1
        else:
            self._recipients_refused = True
        self._say(reply or Reply(250, "recipient ok", "2.1.5"))

    def _settle_data(self, event: DataStart, reply: Reply | None) -> None:
        if reply is not None and reply.code != 354:
            self._phase = Phase.GREETED
            self._say(reply)
            return
        self._phase, self._data = Phase.DATA, DataReader()
        self._verdict, self._size, self._dead = None, 0, 0
        self._transactions += 1
        self._message_began = self._since
        self._say(reply or Reply(354, "go ahead; CRLF . CRLF is the end"))

    def _settle_chunk(self, event: Chunk, reply: Reply | None) -> None:
        if reply is not None and not reply.good and self._verdict is None:
            self._verdict = reply
            self._events = deque(later for later in self._events if not isinstance(later, Chunk))

    def _settle_message(self, event: MessageEnd, reply: Reply | None) -> None:
        if reply is None:
            raise TypeError("a message needs a reply")
        self._recipients = self._chatter = 0
        self._say(reply)

    def _settle_quit(self, event: Quit, reply: Reply | None) -> None:
        self._say(reply or Reply(221, "goodbye", "2.0.0"))
        self.ended = True

    # -- small things

    def _say(self, reply: Reply) -> None:
        self._out.append(reply.to_bytes(utf8=self._smtputf8))

    def _chat(self, reply: Reply) -> None:
        """A reply that leads to no message; a client that wants nothing else is in the way."""
        self._chatter += 1
        if self._chatter > self.config.limits.chatter:
            self.shut("too many commands without a message", "4.7.0")
        else:
            self._say(reply)

    def _violation(self, reply: Reply, what: str, *, fatal: bool = False) -> None:
        """Answers what breaks the protocol; the last of too many is answered with 421 instead."""
        self._bad += 1
        self._events.append(Violation(what))
        if self._bad >= self.config.limits.bad_commands and not fatal:
            self.shut("too many errors", "4.7.0")
            return
        self._say(reply)
        self.ended = self.ended or fatal

    def _forget(self, why: str) -> None:
        if self._phase in (Phase.MAIL, Phase.RCPT):
            self._phase = Phase.GREETED
            self._events.append(Aborted(why))
        self._recipients, self._smtputf8 = 0, False


def _mail_parameters(config: ServerConfig) -> frozenset[str]:
    """Those of the extensions that are offered (RFC 1870, 6152, 6531, 4954)."""
    return _WITH_AUTH[config.smtputf8, bool(config.auth)]


_BASIC = frozenset({"SIZE", "BODY"})
_WITH_AUTH = {
    (smtputf8, auth): _BASIC | ({"SMTPUTF8"} if smtputf8 else set()) | ({"AUTH"} if auth else set())
    for smtputf8 in (False, True)
    for auth in (False, True)
}


def _check_parameters(parameters: Parameters, known: frozenset[str]) -> None:
    for keyword in parameters.values:
        if keyword not in known:
            raise CommandSyntaxError(keyword, 0, f"parameter {keyword} is not known here", 555, "5.5.4")


def _check_ascii(command: Mail | Rcpt, smtputf8: bool) -> None:
    address = command.path.address
    if address is not None and not smtputf8 and not address.ascii:
        raise CommandSyntaxError("", 0, "this address needs SMTPUTF8", 553, "5.6.7")  # RFC 6531 3.5


_DO: dict[str, Callable[[SmtpServer, Any], None]] = {
    "EHLO": SmtpServer._do_ehlo,
    "HELO": SmtpServer._do_ehlo,
    "STARTTLS": SmtpServer._do_starttls,
    "AUTH": SmtpServer._do_auth,
    "MAIL": SmtpServer._do_mail,
    "RCPT": SmtpServer._do_rcpt,
    "DATA": SmtpServer._do_data,
    "RSET": SmtpServer._do_rset,
    "NOOP": SmtpServer._do_noop,
    "HELP": SmtpServer._do_help,
    "VRFY": SmtpServer._do_vrfy,
    "EXPN": SmtpServer._do_expn,
    "QUIT": SmtpServer._do_quit,
}
_SETTLE: dict[type, Callable[[SmtpServer, Any, Reply | None], None]] = {
    Connected: SmtpServer._settle_connected,
    Hello: SmtpServer._settle_hello,
    StartTls: SmtpServer._settle_starttls,
    AuthStart: SmtpServer._settle_auth,
    AuthResponse: SmtpServer._settle_auth,
    MailFrom: SmtpServer._settle_mail,
    RcptTo: SmtpServer._settle_rcpt,
    DataStart: SmtpServer._settle_data,
    Chunk: SmtpServer._settle_chunk,
    MessageEnd: SmtpServer._settle_message,
    Quit: SmtpServer._settle_quit,
}
