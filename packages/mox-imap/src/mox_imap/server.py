"""The server's half of IMAP, without I/O: bytes in, bytes out, and now and then something to wait for.

    session.receive(data, now); session.run()
    transport.write(session.outgoing())
    if session.waiting: session.waiting.add_done_callback(lambda _: (session.resume(), …))

A command is a generator: it yields bytes to write, or a Pending to wait for; its return value is the text of the
tagged OK.  `run` stops when there is much to write (`outgoing` comes first then), so a slow reader costs little."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from mox_imap.backend import Account, BackendError, Logins, Pending
from mox_imap.capabilities import words
from mox_imap.compress import CompressionError, Deflate
from mox_imap.scanner import CommandSyntaxError, Scanner
from mox_imap.view import Left, View
from mox_imap.wire import CommandReader, Line, LiteralStart, Piece, TooLong, WireLimits

if TYPE_CHECKING:
    from mox_imap.notify import Notify

# Output that gathers before the driver must write it.
HIGH = 256 * 1024
# RFC 9051 7.5.1: no EXPUNGE while these run, because they name messages by number.
NUMBERS_ON_THEIR_WAY = frozenset({"FETCH", "STORE", "SEARCH", "SORT", "THREAD"})
# RFC 9586 3.1: what is BAD without UID in front once UIDONLY is enabled.
NEED_UID = NUMBERS_ON_THEIR_WAY | {"COPY", "MOVE", "REPLACE"}
# RFC 9585 4: how long a command may run without a word.
PROGRESS_SECONDS = 10.0


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


@dataclass(frozen=True, slots=True)
class Breathe:
    """Yielded by long commands: let others have the loop, then go on.  `done` of `total` (0: unknown)."""

    done: int = 0
    total: int = 0


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
    message_limit: int = 0  # messages that one command works on at most (RFC 9738); 0: all
    compress: bool = True  # offer COMPRESS=DEFLATE, for which a session takes some 110 KB more
    login_seconds: float = 60.0  # between two commands before the login
    login_seconds_in_all: float = 180.0
    idle_seconds: float = 1800.0 + 60.0  # RFC 9051 5.4: at least 30 minutes
    bad_commands: int = 20  # before the login


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
        clock: Callable[[], float] | None = None,
        account: Account | None = None,
    ) -> None:
        """`now`: any clock that only goes forward.  `clock`: seconds since 1970, for WITHIN.  `account`: whose session
        this is already, by a TLS client key for example; greeted with PREAUTH."""
        from mox_imap.commands import COMMANDS
        from mox_imap.intake import Intake

        self.config = config
        self.logins = logins
        self.peer = peer
        self.tls = tls
        self.state = State.NOT_AUTHENTICATED
        self.ended = False
        self.account: Account | None = None
        self.view: View | None = None
        self.left: Left | None = None  # the mailbox that was open before
        self.read_only = False
        self.utf8 = False
        self.rev2 = False
        self.condstore = False
        self.qresync = False
        self.uidonly = False
        self.notify: Notify | None = None
        self.new_items: Callable[[Sequence[int]], Iterator[bytes]] | None = None  # what NOTIFY fetches
        self.now = now
        self.clock = clock
        self.compressed: Deflate | None = None
        self.waiting: Pending[Any] | None = None
        self.breathing = False
        self.idle_tag = ""
        self.wants_tls = False
        self.wake = wake
        self.client_id: dict[str, str] = {}
        self._commands = COMMANDS
        self._intake = Intake(self)
        self.reader = CommandReader(config.limits_before_login)
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
        self._turns_on_compression = False
        self._telling = False  # what runs is no command, but what there is to tell
        self._offered: frozenset[str] | None = None  # the words of CAPABILITY, once they were looked up
        self.logged_out = False  # the client asked for the end
        self.failed_logins = 0
        self.append_job: Any = None
        self._bad = 0
        self._news = False
        self._heard = self._began = self._told_progress = now
        self._ready: list[bytes] = []  # said before COMPRESS took effect
        if account is not None:
            self.logged_in(account)
        word = b"OK" if account is None else b"PREAUTH"
        self.write(b"* %s [CAPABILITY %s] %s\r\n" % (word, self.capabilities().encode(), config.hostname.encode()))

    # -- the driver's side

    def receive(self, data: bytes, now: float) -> None:
        """Bytes that came."""
        self._heard = self.now = now
        if self.wants_tls:
            # As with SMTP: nothing may slip in before the handshake.
            self.bye("nothing may follow STARTTLS before TLS")
        if self.ended:
            return
        if self.compressed is not None:
            self.compressed.receive(data)
        else:
            self.reader.feed(data)

    def outgoing(self) -> bytes:
        """What is to be written now."""
        if not self._out and not self._ready:
            return b""
        ready, out = b"".join(self._ready), b"".join(self._out)
        self._ready.clear()
        self._out.clear()
        self._size = 0
        return ready + self.compressed.deflated(out) if self.compressed is not None and out else ready + out

    def run(self, now: float | None = None) -> None:
        """Goes on until there is nothing to do, something to wait for, or enough to write."""
        self.breathing = False
        self.now = self.now if now is None else now
        while not self.ended and self.waiting is None and self._size < HIGH:
            if self._running is not None and not self._exchanging:
                if not self._advance():
                    return
                continue
            if self.wants_tls:
                return
            item = self.reader.next()
            if item is None:
                if self.compressed is None or not self._inflate():
                    return
                continue
            self._item(item)

    def _inflate(self) -> bool:
        assert self.compressed is not None
        try:
            data = self.compressed.inflated()
        except CompressionError as error:
            self.bye(f"that is not DEFLATE: {error}")
            return False
        self.reader.feed(data)
        return bool(data)

    def compress(self) -> None:
        """From here on both sides are compressed; what came after the command is so already."""
        self._ready += self._out
        self._out.clear()
        self.compressed = Deflate()
        self.compressed.receive(self.reader.rest())

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
        return self._running is not None and self.waiting is None and not self._exchanging and not self.ended

    def news(self) -> None:
        """After wake(): a client that listens is told at once; write outgoing() then."""
        if self.listening and self._running is None and self.append_job is None and not self.ended:
            now = bool(self.idle_tag) or (self.notify is not None and self.notify.expunges_at_once)
            if self.idle_tag or (self.notify is not None and self.notify.selected):
                self._tell(self.updates(expunges=now))
            elif self.notify is not None:
                self._tell(self.notify.tell())
            self.run()

    @property
    def listening(self) -> bool:
        """Is the client to hear of changes without asking (IDLE, NOTIFY)?"""
        return bool(self.idle_tag) or self.notify is not None

    def deadline(self) -> float:
        """When on_timeout() is to be called if nothing comes before."""
        if self.account is not None:
            return self._heard + self.config.idle_seconds
        # However slowly it types: a connection that does not log in is not kept.
        return min(self._heard + self.config.login_seconds, self._began + self.config.login_seconds_in_all)

    def on_timeout(self) -> None:
        """Nothing came in time."""
        self.bye("autologout; idle for too long")

    def bye(self, text: str) -> None:
        """Says BYE and ends."""
        if not self.ended:
            self.write(b"* BYE %s\r\n" % text.encode("utf-8", "replace"))
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
        self._leave()

    def _leave(self) -> None:
        self.close_mailbox()
        if self.notify is not None:
            self.notify.close()
            self.notify = self.new_items = None
        if self.account is not None:
            self.account.close()
            self.account = None

    def log_out_of_account(self) -> None:
        """UNAUTHENTICATE (RFC 8437): back to the beginning, as if nothing had been said; TLS and compression stay."""
        self._leave()
        self.state = State.NOT_AUTHENTICATED
        self.utf8 = self.rev2 = self.condstore = self.qresync = self.uidonly = False
        self.client_id = {}
        self.reader.limits = self.config.limits_before_login
        self._began, self._bad = self.now, 0

    # -- for commands

    def capabilities(self) -> str:
        """The words of CAPABILITY in this state."""
        return " ".join(words(self))

    def offers(self, word: str) -> bool:
        """Is this announced to whoever has logged in?"""
        if self._offered is None:
            self._offered = frozenset(words(self))
        return word in self._offered

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
        self._offered = None
        self.account = account
        self.state = State.AUTHENTICATED
        self.reader.limits = self.config.limits

    def close_mailbox(self) -> None:
        """Back to the authenticated state."""
        if self.view is not None:
            self.view.mailbox.close()
            self.view = None
        self.left = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def updates(self, *, expunges: bool) -> Iterator[bytes]:
        """What the client has not been told yet."""
        if self.view is not None:
            if self.view.followed is not None:
                self.view.followed.look()
            if self._news:
                self._news = False
                self.view.hear(self.view.mailbox.changes())
            yield from self.view.tell(expunges=expunges)
        if self.notify is not None:
            yield from self.notify.tell()

    def condstore_used(self, scan: Scanner) -> None:
        """A CONDSTORE enabling command (RFC 7162 3.1): from now on MODSEQ is told.  Raises CommandSyntaxError."""
        if not self.config.modseqs or (self.view is not None and self.view.indexed is None):
            raise scan.fail("CONDSTORE is not to be had")
        if not self.condstore:
            self.condstore = True
            if self.view is not None:
                self.view.modseqs = True
                self.write(b"* OK [HIGHESTMODSEQ %d] highest\r\n" % self.highest_modseq())

    def highest_modseq(self) -> int:
        """Of the open mailbox; 0 when its backend knows of none."""
        indexed = self.selected().indexed
        return indexed.highest_modseq() if indexed is not None and self.config.modseqs else 0

    def exchange(self, data: bytes) -> Generator[Yielded, Any, bytes]:
        """Sends a SASL challenge; the client's answer."""
        self.write(b"+ " + base64.b64encode(data) + b"\r\n")
        answer: bytes = yield _EXCHANGE
        return answer

    def compress_after(self) -> None:
        """The running command's OK is the last thing that is said uncompressed."""
        self._turns_on_compression = True

    def begin_idle(self) -> None:
        """From here on changes are told as they happen, until DONE."""
        self.idle_tag = self._tag
        if self.view is not None:
            self.view.forget()

    def unread(self) -> bool:
        """Has the client sent more than this command?"""
        return self.reader.pending > 0

    def heard_news(self) -> None:
        """The backend's wake, as given to Account.open."""
        self._news = True
        self.wake()

    def start(self, tag: str, name: str, command: Command, *, uid: bool = False) -> None:
        """Runs a command's generator."""
        self._tag, self._name, self._uid, self._running, self._telling = tag, name, uid, command, False
        self._value, self._error = None, None

    def drop_append(self) -> None:
        """Gives up a half-read APPEND."""
        if self.append_job is not None:
            self.append_job.abort()
            self.append_job = None

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
            if self._telling:
                self._running, self._telling = None, False
            else:
                self._finished(stop.value)
            return True
        except (No, BackendError) as refused:
            self._complete("NO", refused.code, refused.text)
            return True
        except CommandSyntaxError as wrong:
            self.bad_command(wrong)
            return True
        if isinstance(item, bytes):
            self.write(item)
            return True
        if isinstance(item, Breathe):
            self.breathing = True
            self._tell_progress(item)
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

    def _tell_progress(self, item: Breathe) -> None:
        """RFC 9585: a client that waits long hears how far it is."""
        if self.clock is not None and self.now - max(self._heard, self._told_progress) >= PROGRESS_SECONDS:
            self._told_progress = self.now
            far = b"%d %d" % (item.done, item.total) if item.total else b"NIL NIL"
            tag = self._tag.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            self.write(b'* OK [INPROGRESS ("%s" %s)] still at it\r\n' % (tag, far))

    def _finished(self, text: str | None) -> None:
        if self.idle_tag:
            self._tell(self.updates(expunges=True))
            return
        code, _, rest = (text or "").rpartition("] ")
        code = code.lstrip("[")
        self._complete("OK", code, rest or f"{self._name} done")

    def _complete(self, word: str, code: str, text: str) -> None:
        middle = f"[{code}] " if code else ""
        tagged = f"{self._tag} {word} {middle}{clean(text)}\r\n".encode("utf-8", "replace")
        if self.ended:  # BYE was said: nothing else is told
            self._running = None
            self.write(tagged)
        else:
            self._tell(self._ending(tagged))

    def _tell(self, pieces: Iterator[bytes]) -> None:
        """Says these next, as fast as they are read: much may have happened."""
        self._running, self._telling = cast(Command, pieces), True
        self._value, self._error = None, None

    def _ending(self, tagged: bytes) -> Iterator[bytes]:
        # RFC 9051 7.5.1: no EXPUNGE while numbers of messages may be on their way.
        expunges = self._uid or self.uidonly or self._name not in NUMBERS_ON_THEIR_WAY
        yield from self.updates(expunges=expunges)
        yield tagged
        if self._turns_on_compression:
            self._turns_on_compression = False
            self.compress()
        if self.ends_after:
            self.ended = self.logged_out = True

    def bad_command(self, error: CommandSyntaxError) -> None:
        self._running, self._telling = None, False
        self._exchanging = False
        middle = f"[{error.code}] " if error.code else ""
        self.write(f"{self._tag or '*'} BAD {middle}{clean(str(error))}\r\n".encode("utf-8", "replace"))
        self._bad += 1
        if self._bad >= self.config.bad_commands and self.account is None:
            self.bye("too many errors")

    def write(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self._size += len(data)

    # -- reading

    def _item(self, item: Line | LiteralStart | Piece | TooLong) -> None:
        if isinstance(item, Line):
            self._line(item.data)
        elif isinstance(item, LiteralStart):
            self._intake.literal(item)
        elif isinstance(item, Piece):
            self._intake.piece(item)
        else:
            self.write(b"* BAD %s\r\n" % item.why.encode())
            self.bye("the stream cannot be followed any further")

    def _line(self, data: bytes) -> None:
        line = data.removesuffix(b"\n").removesuffix(b"\r")
        if self._exchanging:
            self._exchanging = False
            self._answer(line)
        elif self.idle_tag:
            self._idle_line(line)
        elif self.append_job is not None:
            self._intake.rest(data)
        else:
            self._command(data)

    def _answer(self, line: bytes) -> None:
        """A line of a SASL exchange."""
        try:
            if line == b"*":
                raise CommandSyntaxError(0, "given up")
            self._value = base64.b64decode(line, validate=True)
        except (CommandSyntaxError, binascii.Error, ValueError) as error:
            self.bad_command(CommandSyntaxError(0, str(error)))

    def _idle_line(self, line: bytes) -> None:
        tag, self.idle_tag = self.idle_tag, ""
        self._tag, self._name = tag, "IDLE"
        if line.upper() == b"DONE":
            self._complete("OK", "", "IDLE done")
        else:
            self.bad_command(CommandSyntaxError(0, "DONE is expected"))

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
            if self.uidonly and not uid and name in NEED_UID:
                raise CommandSyntaxError(0, f"{name} goes by UID now", "UIDREQUIRED")
            self.start(self._tag, name, handler(self, scan, uid), uid=uid)
        except CommandSyntaxError as error:
            self.bad_command(error)


def clean(text: str) -> str:
    """Text that stays on its line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:500]


__all__ = ["BREATHE", "Command", "ImapConfig", "ImapServer", "No", "State", "clean"]
