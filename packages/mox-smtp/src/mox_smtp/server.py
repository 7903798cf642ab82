"""The server's half of SMTP, without I/O: bytes in, events out, replies in, bytes out.  RFC 5321.

    session.receive(data, now)
    while event := session.next_event():        # None: nothing to decide until more bytes come
        session.send(policy(event))             # None: nothing to say against it
    transport.write(session.outgoing())

The session answers what policy has no say in: order, syntax, line ends, NOOP, RSET, VRFY.  Every event is answered by
one send() before the next is given.  Time is an argument; nothing here waits.

Which command may come when stands in order.py, what it does in perform.py, what an answer does in settle.py."""

from __future__ import annotations

import base64
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from mox_sasl import Challenge, ChannelBinding
from mox_smtp.config import Quirk, ServerConfig
from mox_smtp.data import ChunkReader, DataReader
from mox_smtp.event import (
    Aborted,
    AuthResponse,
    AuthStart,
    Chunk,
    Connected,
    Event,
    MessageEnd,
    Violation,
)
from mox_smtp.order import (
    AFTER_STARTTLS,
    BETWEEN,
    HTTP,
    HTTP_VERBS,
    LINE_ENDS,
    NOBODY,
    ORDER,
    OUT_OF_ORDER,
    TRANSACTION,
    UNKNOWN,
    Phase,
)
from mox_smtp.parameters import CommandSyntaxError
from mox_smtp.perform import PERFORM
from mox_smtp.reply import Reply
from mox_smtp.scanner import base64_text, read
from mox_smtp.settle import SETTLE

Answer: TypeAlias = Reply | Challenge | tuple[Reply, ...] | None


@dataclass(frozen=True, slots=True)
class _ChunkEnd:
    """Not for the policy: a BDAT that was not the last is in, and is answered when its pieces are."""

    size: int


class SmtpServer:
    """One session.  When `ended`, write outgoing() and close.

    `tls`, `authenticated`, `extended` (EHLO, not HELO) and `hello` (its name) may be read; they are forgotten when TLS
    begins.  `binding`: what the driver found to bind SCRAM-…-PLUS to; without it no -PLUS is offered.  `slow_seconds`
    may be set: every reply then waits so long (see `hold`).  `epoch`: what to add to `now` to have seconds since 1970,
    for FUTURERELEASE.  The other attributes are this package's own."""

    __slots__ = (
        "_at",
        "_back",
        "_bad",
        "_bad_line_ends",
        "_began",
        "_buffer",
        "_draining",
        "_errors",
        "_garbage",
        "_open",
        "_out",
        "_refused_line",
        "authenticated",
        "bad_logins",
        "binary",
        "binding",
        "chatter",
        "chunk_left",
        "chunks",
        "config",
        "dead",
        "ended",
        "epoch",
        "events",
        "extended",
        "fatal",
        "hello",
        "hold",
        "last_chunk",
        "message_began",
        "now",
        "phase",
        "reader",
        "recipients",
        "refused",
        "refused_recipients",
        "since",
        "size",
        "slow_seconds",
        "smtputf8",
        "starting_tls",
        "tls",
        "transactions",
        "verdict",
    )  # fmt: skip

    def __init__(self, config: ServerConfig, *, now: float, tls: bool = False, epoch: float = 0.0) -> None:
        self.config = config
        self.tls = tls
        self.epoch = epoch
        self.now = now
        self.authenticated = self.extended = self.ended = False
        self.hello = ""
        self.binding: ChannelBinding | None = None
        self.slow_seconds = 0.0
        self.hold = 0.0  # seconds that outgoing() should wait before it is written: tarpit, slow mode
        self.phase = Phase.CONNECTED
        self.events: deque[Event | _ChunkEnd] = deque((_CONNECTED,))
        self.reader: DataReader | ChunkReader | None = None
        self.chunk_left: int | None = None  # octets of a BDAT that are still to come; None: no BDAT
        self.last_chunk = False
        self.verdict: Reply | None = None  # why the message that still comes in is lost already
        self.fatal = False  # the verdict is the end of the session too
        self.smtputf8 = self.binary = self.refused = self.starting_tls = False
        self.size = self.dead = self.recipients = self.transactions = self.chunks = 0
        self.bad_logins = self.chatter = self.refused_recipients = 0
        self.since = self.message_began = self._began = now
        self._buffer = b""
        self._at = 0  # what of the buffer is used up; cutting it off for each command would be quadratic
        self._refused_line = False  # a part of the line at hand was refused; so is its rest
        self._out: list[bytes] = []
        self._open: Event | None = None
        self._back: Phase | None = None  # where a BDAT that is dropped leads back to
        self._bad = self._bad_line_ends = self._garbage = self._errors = 0
        self._draining = ""

    # -- the driver's side

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that came.  After the end they are ignored."""
        self.now = now
        if self.starting_tls:
            # RFC 3207 4 and CVE-2011-0411: what came in the clear must not be taken for what TLS protects.
            self.violation(AFTER_STARTTLS, "bytes after STARTTLS", fatal=True)
        if self.ended:
            return
        if self._at < len(self._buffer):
            if self.phase is Phase.DATA:
                self.since = now
            self._buffer = self._buffer[self._at :] + data
        else:
            self.since = now
            self._buffer = data
        self._at = 0

    def next_event(self) -> Event | None:
        """The next thing to decide; None: more bytes are needed, or the last event is not answered yet."""
        if self._open is not None:
            return None
        events = self.events
        while True:
            while not events:
                if self._draining and self.idle:
                    self.shut(self._draining)
                if self.ended or not self._step():
                    return None
            event = events.popleft()
            if isinstance(event, _ChunkEnd):
                self.say(self.verdict or Reply(250, f"{event.size} octets", "2.0.0"))
            elif self.verdict is not None and isinstance(event, MessageEnd):
                self._message_lost(self.verdict)
            else:
                self._open = event
                return event

    def send(self, answer: Answer, now: float | None = None) -> None:
        """The answer to the event given last; None takes it, with the usual words.

        `now`: given when the answer took its time, which is then not the client's.  Raises TypeError for an answer
        that the event cannot have, which stays open."""
        event = self._open
        assert event is not None, "no event is open"
        if answer is None or isinstance(answer, Reply):
            if (settle := SETTLE.get(type(event))) is not None:
                settle(self, event, answer)
            if answer is not None and answer.code == 421:
                self.ended = True
        else:
            self._send_special(event, answer)
        self._open = None
        if now is not None:
            self.since = self.now = now

    def _send_special(self, event: Event, answer: object) -> None:
        if isinstance(answer, Challenge):
            if not isinstance(event, AuthStart | AuthResponse):
                raise TypeError(f"{type(event).__name__} cannot be answered with a challenge")
            self.phase = Phase.AUTH
            self._out.append(b"334 " + base64.b64encode(answer.data) + b"\r\n")
        elif isinstance(answer, tuple) and isinstance(event, MessageEnd):
            SETTLE[MessageEnd](self, event, answer)
        else:
            raise TypeError(f"{answer!r} is no answer")

    def outgoing(self) -> bytes:
        """What is to be written now, or after `hold` seconds where the driver keeps to that."""
        out = self._out
        if not out:
            return b""
        self._out, self.hold = [], 0.0
        return out[0] if len(out) == 1 else b"".join(out)

    def deadline(self, now: float) -> float:
        """When timed_out() is to be called if nothing has come by then."""
        limits = self.config.limits
        end = self._began + limits.session_seconds
        if self._open is not None:
            # We are the slow side: the client waits for us.
            return now + limits.command_seconds
        if self.phase is Phase.DATA:
            return min(end, self.since + limits.chunk_seconds, self.message_began + limits.message_seconds)
        if self.phase is Phase.CHUNKS:
            end = min(end, self.message_began + limits.message_seconds)
        return min(end, self.since + limits.command_seconds)

    def timed_out(self) -> None:
        """The deadline has passed (RFC 5321 4.5.3.2.7)."""
        self.shut("waited too long", "4.4.2")

    def shut(self, why: str, enhanced: str = "4.3.2") -> None:
        """Says 421 and ends (RFC 5321 3.8)."""
        if not self.ended:
            self.say(Reply(421, f"{self.config.hostname} {why}", enhanced))
            self.ended = True

    def drain(self, why: str = "closing down, try again later") -> None:
        """Says 421 as soon as no transaction is open."""
        self._draining = why
        if self.idle:
            self.shut(why)

    @property
    def idle(self) -> bool:
        """Between transactions, with nothing to answer."""
        return self._open is None and not self.events and self.phase in BETWEEN and not self.starting_tls

    @property
    def unread(self) -> int:
        """Octets that came and are not looked at yet."""
        return len(self._buffer) - self._at

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was granted: write outgoing(), upgrade, call tls_started()."""
        return self.starting_tls and not self.ended

    def tls_started(self, now: float) -> None:
        """The handshake is done.  What was said before it is forgotten (RFC 3207 4.2)."""
        assert not self.unread, "bytes from before the handshake"
        self.tls, self.starting_tls = True, False
        self.authenticated = self.extended = self.smtputf8 = False
        self.hello = ""
        self.phase, self.since = Phase.CONNECTED, now

    # -- reading

    def _step(self) -> bool:
        """Uses some of the buffer; False: more bytes are needed."""
        buffer, at = self._buffer, self._at
        if self.phase is Phase.DATA:
            if at >= len(buffer) and self.chunk_left != 0:
                return False
            self._read_message()
            return True
        if at >= len(buffer) or self.starting_tls:
            return False
        end = buffer.find(b"\n", at) + 1
        limit = self.config.limits.auth_line if self.phase is Phase.AUTH else self.config.limits.line
        if (end or len(buffer)) - at > limit:
            self._overlong(end, limit)
        elif not end:
            return False
        else:
            self._at = end
            if end - at > 1 and buffer[end - 2] == _CR and not self._refused_line:
                self._sound_line(buffer[at : end - 2])
            else:
                self._odd_line(buffer[at:end])
        return True

    def _odd_line(self, line: bytes) -> None:
        """One that ends with LF alone, or the rest of one that was refused."""
        if line.endswith(b"\r\n"):
            self._refused_line = False
        elif Quirk.BARE_LF in self.config.quirks and not self._refused_line:
            self._sound_line(line[:-1])
        else:
            # RFC 5321 2.3.8: a line ends with CRLF and nothing else.  What follows belongs to this line still.
            self._refused_line = True
            self._bad_line_end(line)

    def _sound_line(self, line: bytes) -> None:
        if b"\r" in line or b"\0" in line:
            self._bad_line_end(line)
        elif self.phase is Phase.AUTH:
            self._auth_line(line)
        else:
            self._command(line)

    def _bad_line_end(self, line: bytes) -> None:
        if line[:8].upper() == b"STARTTLS":
            # Also this is text behind STARTTLS, in the hope of a reader that takes another line end.
            self.violation(AFTER_STARTTLS, "bytes after STARTTLS", fatal=True)
            return
        self._bad_line_ends += 1
        self.phase = Phase.GREETED if self.phase is Phase.AUTH else self.phase
        self.violation(LINE_ENDS, "line end", fatal=self._bad_line_ends >= self.config.limits.bad_line_ends)

    def _overlong(self, end: int, limit: int) -> None:
        """Drops what there is of a line that is too long; answers it once."""
        cut = end or len(self._buffer)
        whole = self._buffer[cut - 2 : cut] == b"\r\n"
        if not end and self._buffer.endswith(b"\r"):
            cut -= 1  # the LF may come next
        self.phase = Phase.GREETED if self.phase is Phase.AUTH else self.phase
        self._garbage += cut - self._at
        self._at = cut
        answered, self._refused_line = self._refused_line, not whole
        too_much = self._garbage > self.config.limits.garbage
        if too_much or not answered:
            self.violation(Reply(500, f"a line has at most {limit} octets", "5.5.6"), "line too long", fatal=too_much)

    def _command(self, line: bytes) -> None:
        word = line.partition(b" ")[0]
        known = _KNOWN.get(word) or _KNOWN.get(word.upper())
        if known is None:
            # A stranger to SMTP (a browser made to talk to us) shows itself with its first line.
            http = word.upper() in HTTP_VERBS
            self.violation(HTTP if http else UNKNOWN, "unknown command", fatal=http or self.phase is Phase.CONNECTED)
            return
        verb, allowed, perform = known
        if self.phase not in allowed:
            self.violation(OUT_OF_ORDER[verb], "order")
            return
        try:
            perform(self, read(line, self.config.quirks))
        except CommandSyntaxError as error:
            if verb == "AUTH":
                self._bad_response(error)
            else:
                # After BDAT: how many octets follow is not known, so what follows cannot be told from commands.
                self.violation(Reply(error.code, error.why, error.enhanced), "syntax", fatal=verb == "BDAT")

    def _auth_line(self, line: bytes) -> None:
        if line == b"*":
            self.phase = Phase.GREETED
            self.violation(Reply(501, "given up", "5.7.0"), "auth given up")
            return
        try:
            self.events.append(AuthResponse(base64_text(line.decode("latin-1"))))
        except CommandSyntaxError as error:
            self.phase = Phase.GREETED
            self._bad_response(error)

    def _bad_response(self, error: CommandSyntaxError) -> None:
        self.bad_logins += 1
        fatal = self.bad_logins >= self.config.limits.bad_logins
        reply = Reply(421, "too many failed logins", "4.7.0") if fatal else Reply(501, error.why, error.enhanced)
        self.violation(reply, "auth", fatal=fatal)

    # -- the message

    def expect_chunk(self, size: int, last: bool) -> None:
        """BDAT: so many octets of the message come now."""
        self.chunk_left, self.last_chunk, self.phase = size, last, Phase.DATA

    def drop_chunk(self, size: int, reply: Reply) -> None:
        """BDAT where there is no message: its octets come all the same."""
        self._back, self.verdict, self.fatal, self.dead = self.phase, reply, False, 0
        self.expect_chunk(size, False)

    def _read_message(self) -> None:
        reader = self.reader
        if self.chunk_left is not None:
            self._read_chunk(self.chunk_left)
            return
        assert isinstance(reader, DataReader)
        payload, rest = reader.feed(self._buffer[self._at :] if self._at else self._buffer)
        self._buffer, self._at = rest or b"", 0
        if reader.fault and not self.fatal:
            text = f"the message has a {reader.fault}; lines end with CRLF (RFC 5321 2.3.8)"
            # Also where it was lost before: who smuggles is not talked to any longer.
            self._lose(Reply(521, text, "5.5.2"), reader.fault, fatal=True)
        self._take(payload)
        if rest is not None and not self.ended:
            # A Chunk in front of it may still be refused: whether it is given out, next_event() sees then.
            self.reader, self.phase = None, Phase.GREETED
            self.events.append(MessageEnd(self.size))

    def _read_chunk(self, left: int) -> None:
        piece = self._buffer[self._at : self._at + left]
        self._at += len(piece)
        self.chunk_left = left = left - len(piece)
        if self._back is None:
            assert isinstance(self.reader, ChunkReader)
            self.reader.feed(piece)
            if not left and self.last_chunk:
                self.reader.end()
            if self.reader.fault and self.verdict is None:
                self._lose(Reply(554, f"the message has a {self.reader.fault}", "5.6.0"), self.reader.fault)
        self._take(piece)
        if not left and not self.ended:
            self._chunk_over()

    def _chunk_over(self) -> None:
        if self._back is not None:
            assert self.verdict is not None
            self.phase, self._back = self._back, None
            if self.verdict is NOBODY:  # a pipelining client could not know (RFC 2920 3.1)
                self.say(NOBODY)
            else:
                self.violation(self.verdict, "order")
            self.verdict = None
        elif self.last_chunk:
            self.reader, self.phase = None, Phase.GREETED
            self.events.append(MessageEnd(self.size))
        else:
            self.phase = Phase.CHUNKS
            self.events.append(_ChunkEnd(self.size))

    def _take(self, payload: bytes) -> None:
        self.size += len(payload)
        if self.verdict is None:
            if self.size > self.config.limits.message:
                self._lose(Reply(552, f"a message has at most {self.config.limits.message} octets", "5.3.4"), "too big")
            elif payload:
                self.events.append(Chunk(payload))
        else:
            self.dead += len(payload)
            if self.dead > self.config.limits.dead_data:
                self.say(self.verdict)
                self.ended = True

    def _lose(self, reply: Reply, why: str, *, fatal: bool = False) -> None:
        if self.verdict is None:
            self.events.append(Aborted(why))
        self.verdict, self.fatal = reply, fatal

    def _message_lost(self, verdict: Reply) -> None:
        for _ in range(self.recipients if self.config.lmtp else 1):
            self.say(verdict)
        self.recipients, self.smtputf8, self.binary = 0, False, False
        self.verdict = None
        self.ended = self.ended or self.fatal

    # -- small things, for perform.py and settle.py too

    def say(self, reply: Reply) -> None:
        """Adds a reply; one that refuses is what the tarpit is for."""
        self._out.append(reply.to_bytes(utf8=self.smtputf8))
        if reply.code >= 400 and (limits := self.config.limits).tarpit_seconds:
            self._errors += 1
            self.hold = max(self.hold, min(self._errors * limits.tarpit_seconds, limits.tarpit_most))
        if self.slow_seconds:
            self.hold = max(self.hold, self.slow_seconds)

    def say_bytes(self, reply: bytes) -> None:
        """Adds a good reply that is written already."""
        self._out.append(reply)
        if self.slow_seconds:
            self.hold = max(self.hold, self.slow_seconds)

    def chat(self, reply: Reply) -> None:
        """A reply that leads to no message; a client that wants nothing else is in the way."""
        self.chatter += 1
        if self.chatter > self.config.limits.chatter:
            self.shut("too many commands without a message", "4.7.0")
        else:
            self.say(reply)

    def count_refused(self) -> None:
        """A recipient was not taken; who asks for too many of those is asked to leave."""
        self.refused_recipients += 1
        if self.refused_recipients > self.config.limits.refused_recipients:
            self.shut("too many recipients that were not taken", "4.7.0")

    def violation(self, reply: Reply, what: str, *, fatal: bool = False) -> None:
        """Answers what breaks the protocol; the last of too many is answered with 421 instead."""
        self._bad += 1
        self.events.append(Violation(what))
        if self._bad >= self.config.limits.bad_commands and not fatal:
            self.shut("too many errors", "4.7.0")
            return
        self.say(reply)
        self.ended = self.ended or fatal

    def forget(self, why: str) -> None:
        """The transaction is over without a message."""
        if self.phase in TRANSACTION:
            self.events.append(Aborted(why))
            self.phase = Phase.GREETED
        self.recipients, self.smtputf8, self.binary = 0, False, False
        self.reader, self.verdict = None, None


_CONNECTED = Connected()
_CR = 13
_KNOWN = {verb.encode(): (verb, ORDER[verb], perform) for verb, perform in PERFORM.items()}
