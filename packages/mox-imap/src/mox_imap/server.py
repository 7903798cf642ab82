"""The server's half of IMAP, without I/O: bytes in, bytes out, and now and then something to wait for.

    session.receive(data, now); session.run()
    transport.write(session.outgoing())
    if session.waiting: session.waiting.add_done_callback(lambda _: (session.resume(), …))

A command is a generator: it yields bytes to write, or a Pending to wait for; its return value is the text of the
tagged OK.  `run` stops when there is much to write (`outgoing` comes first then), so a slow reader costs little."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from mox_imap.backend import Account, BackendError, Logins, Pending, Sink
from mox_imap.scanner import CommandSyntaxError, Scanner
from mox_imap.view import View
from mox_imap.wire import CommandReader, Line, LiteralStart, Piece, TooLong, WireLimits

# Output that gathers before the driver must write it.
HIGH = 256 * 1024


class State(Enum):
    """Where a session stands (RFC 9051 3)."""

    NOT_AUTHENTICATED = auto()
    AUTHENTICATED = auto()
    SELECTED = auto()
    LOGOUT = auto()


class No(Exception):
    """The command fails: NO with a response code ("" for none) and a text."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class Breathe:
    """Yielded by long commands: let others have the loop, then go on."""


class Exchange:
    """Yielded by AUTHENTICATE: the value is the client's next line, decoded."""


BREATHE = Breathe()
_EXCHANGE = Exchange()
Yielded: TypeAlias = bytes | Pending[Any] | Breathe | Exchange
Command: TypeAlias = Generator[Yielded, Any, str | None]


@dataclass(frozen=True, slots=True)
class ImapConfig:
    """Who we are, what we offer, what we take."""

    hostname: str = "localhost"
    starttls: bool = False
    plaintext_login: bool = False
    limits: WireLimits = field(default_factory=WireLimits)
    limits_before_login: WireLimits = field(default_factory=lambda: WireLimits(line=16384, literal=8192, command=32768))
    modseqs: bool = False  # every mailbox is an IndexedMailbox: CONDSTORE and QRESYNC (RFC 7162)
    login_seconds: float = 60.0
    idle_seconds: float = 1800.0 + 60.0  # RFC 9051 5.4: at least 30 minutes
    bad_commands: int = 20  # before the login


CAPABILITIES = (
    "IMAP4rev2 IMAP4rev1 LITERAL+ ENABLE IDLE SASL-IR ID NAMESPACE UNSELECT UIDPLUS MOVE ESEARCH SEARCHRES CHILDREN "
    "LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE BINARY MULTIAPPEND UTF8=ACCEPT "
    "PARTIAL SAVEDATE"
)


class ImapServer:
    """One session."""

    def __init__(
        self,
        config: ImapConfig,
        logins: Logins,
        *,
        now: float,
        tls: bool = False,
        peer: IPv4Address | IPv6Address | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        from mox_imap.commands import COMMANDS

        self.config = config
        self.logins = logins
        self.peer = peer
        self.tls = tls
        self.state = State.NOT_AUTHENTICATED
        self.ended = False
        self.account: Account | None = None
        self.view: View | None = None
        self.read_only = False
        self.utf8 = False
        self.rev2 = False
        self.condstore = False
        self.qresync = False
        self.now = now
        self.waiting: Pending[Any] | None = None
        self.breathing = False
        self.idle_tag = ""
        self.wants_tls = False
        self.wake = wake
        self.client_id: dict[str, str] = {}
        self._commands = COMMANDS
        self._reader = CommandReader(config.limits_before_login)
        self._out: list[bytes] = []
        self._size = 0
        self._running: Command | None = None
        self._tag = ""
        self._name = ""
        self._uid = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._exchanging = False
        self.ends_after = False
        self.logged_out = False  # the client asked for the end
        self.failed_logins = 0
        self._append: Any = None
        self._bad = 0
        self._news = False
        self._heard = now
        self._write(b"* OK [CAPABILITY %s] %s\r\n" % (self.capabilities().encode(), config.hostname.encode()))

    # -- the driver's side

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that came."""
        self._heard = self.now = now
        if self.wants_tls:
            # As with SMTP: nothing may slip in before the handshake.
            self.bye("nothing may follow STARTTLS before TLS")
        if not self.ended:
            self._reader.feed(data)

    def outgoing(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        out = b"".join(self._out)
        self._out.clear()
        self._size = 0
        return out

    def run(self) -> None:
        """Goes on until there is nothing to do, something to wait for, or enough to write."""
        self.breathing = False
        while not self.ended and self.waiting is None and self._size < HIGH:
            if self._running is not None and not self._exchanging:
                if not self._advance():
                    return
                continue
            if self.wants_tls:
                return
            item = self._reader.next()
            if item is None:
                return
            self._item(item)

    def resume(self) -> None:
        """What was waited for is done; call run() next."""
        pending, self.waiting = self.waiting, None
        if pending is None:
            return
        try:
            self._value = pending.result()
        except Exception as error:  # the command decides what it means
            self._error = error
        except BaseException:  # cancelled: asyncio's word for "it was given up"
            self._error = BackendError("UNAVAILABLE", "it was given up")

    @property
    def busy(self) -> bool:
        """More output is to come: write, then run() again."""
        return self._running is not None and self.waiting is None and not self._exchanging

    def news(self) -> None:
        """After wake(): an idling client is told at once; write outgoing() then."""
        if self.idle_tag and self._running is None:
            self._write_all(self.updates(expunges=True))

    def deadline(self) -> float:
        """When on_timeout() is to be called if nothing comes before."""
        wait = self.config.login_seconds if self.account is None else self.config.idle_seconds
        return self._heard + wait

    def on_timeout(self) -> None:
        """Nothing came in time."""
        self.bye("autologout; idle for too long")

    def bye(self, text: str) -> None:
        """Says BYE and ends."""
        if not self.ended:
            self._write(b"* BYE %s\r\n" % text.encode("utf-8", "replace"))
            self.ended = True

    def tls_started(self) -> None:
        """The handshake is done."""
        self.tls, self.wants_tls = True, False

    def close(self) -> None:
        """The connection is gone."""
        self.ended = True
        if self._running is not None:
            self._running.close()
            self._running = None
        self.drop_append()
        self.close_mailbox()
        if self.account is not None:
            self.account.close()
            self.account = None

    # -- for commands

    def capabilities(self) -> str:
        """The words of CAPABILITY in this state."""
        words = CAPABILITIES + (" CONDSTORE QRESYNC" if self.config.modseqs else "")
        if self.account is None:
            if self.tls or self.config.plaintext_login:
                words += " AUTH=SCRAM-SHA-256 AUTH=PLAIN"
            else:
                words += " LOGINDISABLED"
            if self.config.starttls and not self.tls:
                words += " STARTTLS"
        else:
            words += f" APPENDLIMIT={self.config.limits.append}"
        return words

    @property
    def tag(self) -> str:
        """The running command's tag."""
        return self._tag

    def selected(self) -> View:
        """The open mailbox."""
        assert self.view is not None
        return self.view

    def logged_in(self, account: Account) -> None:
        """The session belongs to `account` now."""
        self.account = account
        self.state = State.AUTHENTICATED
        self._reader.limits = self.config.limits

    def close_mailbox(self) -> None:
        """Back to the authenticated state."""
        if self.view is not None:
            self.view.mailbox.close()
            self.view = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def updates(self, *, expunges: bool) -> Iterator[bytes]:
        """What the client has not been told yet."""
        if self.view is not None:
            if self._news:
                self._news = False
                self.view.hear(self.view.mailbox.changes())
            yield from self.view.tell(expunges=expunges)

    def condstore_used(self, scan: Scanner) -> None:
        """A CONDSTORE enabling command (RFC 7162 3.1): from now on MODSEQ is told.  Raises CommandSyntaxError."""
        if not self.config.modseqs or (self.view is not None and self.view.indexed is None):
            raise scan.fail("CONDSTORE is not to be had")
        if not self.condstore:
            self.condstore = True
            if self.view is not None:
                self.view.modseqs = True
                self._write(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % self.highest_modseq())

    def highest_modseq(self) -> int:
        """Of the open mailbox; 0 when its backend knows of none."""
        indexed = self.selected().indexed
        return indexed.highest_modseq() if indexed is not None and self.config.modseqs else 0

    def exchange(self, data: bytes) -> Generator[Yielded, Any, bytes]:
        """Sends a SASL challenge; the client's answer."""
        self._write(b"+ " + base64.b64encode(data) + b"\r\n")
        answer: bytes = yield _EXCHANGE
        return answer

    def begin_idle(self) -> None:
        """From here on changes are told as they happen, until DONE."""
        self.idle_tag = self._tag
        if self.view is not None:
            self.view.last = None

    def unread(self) -> bool:
        """Has the client sent more than this command?"""
        return self._reader.pending > 0

    def heard_news(self) -> None:
        """The backend's wake, as given to Account.open."""
        self._news = True
        self.wake()

    def start(self, tag: str, name: str, command: Command, *, uid: bool = False) -> None:
        """Runs a command's generator."""
        self._tag, self._name, self._uid, self._running = tag, name, uid, command
        self._value, self._error = None, None

    def drop_append(self) -> None:
        """Gives up a half-read APPEND."""
        if self._append is not None:
            self._append.abort()
            self._append = None

    # -- running

    def _advance(self) -> bool:
        """One step of the running command; False: there is something to wait for."""
        command = self._running
        assert command is not None
        value, error = self._value, self._error
        self._value = self._error = None
        try:
            item = command.throw(error) if error is not None else command.send(value)
        except StopIteration as stop:
            self._finished(stop.value)
            return True
        except (No, BackendError) as refused:
            self._complete("NO", refused.code, refused.text)
            return True
        except CommandSyntaxError as wrong:
            self._bad_command(wrong)
            return True
        if isinstance(item, bytes):
            self._write(item)
            return True
        if isinstance(item, Breathe):
            self.breathing = True
            return False
        if isinstance(item, Exchange):
            self._exchanging = True
            return True
        if item.done():
            self.waiting = item
            self.resume()
            return True
        self.waiting = item
        return False

    def _finished(self, text: str | None) -> None:
        if self.idle_tag:
            self._running = None
            self._write_all(self.updates(expunges=True))
            return
        code, _, rest = (text or "").rpartition("] ")
        code = code.lstrip("[")
        self._complete("OK", code, rest or f"{self._name} done")

    def _complete(self, word: str, code: str, text: str) -> None:
        self._running = None
        if self.view is not None:
            # RFC 9051 7.5.1: not while numbers of messages may be on their way.
            expunges = self._uid or self._name not in ("FETCH", "STORE", "SEARCH")
            self._write_all(self.updates(expunges=expunges))
        middle = f"[{code}] " if code else ""
        self._write(f"{self._tag} {word} {middle}{_clean(text)}\r\n".encode("utf-8", "replace"))
        if self.ends_after:
            self.ended = self.logged_out = True

    def _bad_command(self, error: CommandSyntaxError) -> None:
        self._running = None
        self._exchanging = False
        self._write(f"{self._tag or '*'} BAD {_clean(str(error))}\r\n".encode("utf-8", "replace"))
        self._bad += 1
        if self._bad >= self.config.bad_commands and self.account is None:
            self.bye("too many errors")

    def _write(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self._size += len(data)

    def _write_all(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self._write(piece)

    # -- reading

    def _item(self, item: Line | LiteralStart | Piece | TooLong) -> None:
        if isinstance(item, Line):
            self._line(item.data)
        elif isinstance(item, LiteralStart):
            self._literal(item)
        elif isinstance(item, Piece):
            self._piece(item)
        else:
            self._write(b"* BAD %s\r\n" % item.why.encode())
            self.bye("the stream cannot be followed any further")

    def _line(self, data: bytes) -> None:
        line = data.removesuffix(b"\n").removesuffix(b"\r")
        if self._exchanging:
            self._exchanging = False
            self._answer(line)
        elif self.idle_tag:
            self._idle_line(line)
        elif self._append is not None:
            self._append_rest(data)
        else:
            self._command(data)

    def _answer(self, line: bytes) -> None:
        """A line of a SASL exchange."""
        try:
            if line == b"*":
                raise CommandSyntaxError(0, "given up")
            self._value = base64.b64decode(line, validate=True)
        except (CommandSyntaxError, binascii.Error, ValueError) as error:
            self._bad_command(CommandSyntaxError(0, str(error)))

    def _idle_line(self, line: bytes) -> None:
        tag, self.idle_tag = self.idle_tag, ""
        self._tag, self._name = tag, "IDLE"
        if line.upper() == b"DONE":
            self._complete("OK", "", "IDLE done")
        else:
            self._bad_command(CommandSyntaxError(0, "DONE is expected"))

    def _command(self, data: bytes) -> None:
        self._tag = ""
        scan = Scanner(data if data.endswith(b"\r\n") else data[:-1] + b"\r\n", utf8=self.utf8)
        try:
            self._tag = scan.tag()
            scan.sp()
            name = scan.atom().upper()
            uid = name == "UID"
            if uid:
                scan.sp()
                name = scan.atom().upper()
            found = self._commands.get((name, uid))
            if found is None:
                raise scan.fail(f"no such command {name[:40]}")
            states, handler = found
            if self.state not in states:
                raise scan.fail(f"{name} cannot be said now")
            self.start(self._tag, name, handler(self, scan, uid), uid=uid)
        except CommandSyntaxError as error:
            self._bad_command(error)

    def _literal(self, item: LiteralStart) -> None:
        from mox_imap.commands import append

        if self._append is not None or append.is_append(item.data):
            self._append_literal(item)
            return
        if item.size > self._reader.limits.literal or item.before + item.size > self._reader.limits.command:
            self._refuse_literal(item, "BAD", f"a literal has at most {self._reader.limits.literal} octets here")
            return
        self._reader.accept()
        if item.synchronizing:
            self._write(b"+ go ahead\r\n")

    def _refuse_literal(self, item: LiteralStart, word: str, why: str, code: str = "TOOBIG") -> None:
        if self._append is not None:
            self._tag = self._append.tag
        else:
            self._tag = _clean(item.data.split(b" ", 1)[0][:100].decode("latin-1")) or "*"
        middle = f"[{code}] " if code else ""
        if item.synchronizing:
            self._reader.refuse()
            self.drop_append()
            self._write(f"{self._tag} {word} {middle}{_clean(why)}\r\n".encode("utf-8", "replace"))
            return
        # The client sends it anyway: the only way not to read it is to end the connection (RFC 7888 4).
        self.drop_append()
        self._write(f"* BAD {middle}{_clean(why)}\r\n".encode("utf-8", "replace"))
        self.bye("a literal that is too big was sent without asking")

    def _append_literal(self, item: LiteralStart) -> None:
        from mox_imap.commands import append

        limits = self._reader.limits
        first = self._append is None
        if first and append.mailbox_literal(item.data):
            if item.size > limits.literal:
                self._refuse_literal(item, "BAD", f"a literal has at most {limits.literal} octets here")
                return
            self._reader.accept()
        else:
            most = limits.append if self.account is not None else limits.literal
            if item.size > most:
                self._refuse_literal(item, "NO", f"a message has at most {most} octets")
                return
            try:
                self._append = append.head(self, item.data, self._append)
            except (CommandSyntaxError, No, BackendError) as error:
                if item.synchronizing:
                    self._refuse_append(item, error)
                    return
                # It comes in any case; what is wrong is said when it is over.
                self._append = append.refused(item.data, self._append, error)
            self._reader.stream()
        if item.synchronizing:
            self._write(b"+ go ahead\r\n")

    def _refuse_append(self, item: LiteralStart, error: Exception) -> None:
        if isinstance(error, CommandSyntaxError):
            self._refuse_literal(item, "BAD", str(error), "")
        else:
            assert isinstance(error, No | BackendError)
            self._refuse_literal(item, "NO", error.text, error.code)

    def _piece(self, item: Piece) -> None:
        assert self._append is not None
        self._append.write(item.data)

    def _append_rest(self, data: bytes) -> None:
        """What follows the literal of an APPEND: the end of the command."""
        job, self._append = self._append, None
        self._tag, self._name = job.tag, "APPEND"
        try:
            self.start(job.tag, "APPEND", job.finish(self, data))
        except CommandSyntaxError as error:
            job.abort()
            self._bad_command(error)


def _clean(text: str) -> str:
    """Text that stays on its line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:500]


__all__ = ["BREATHE", "Command", "ImapConfig", "ImapServer", "No", "Sink", "State"]
