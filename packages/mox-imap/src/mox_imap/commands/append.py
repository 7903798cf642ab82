"""APPEND, of one message or several (RFC 9051 6.3.12, RFC 3502), REPLACE (RFC 8508), and messages put together from
parts, CATENATE (RFC 4469).  Literals stream into sinks."""

from __future__ import annotations

import re

from mox_imap import writer
from mox_imap.backend import Appended, BackendError, Sink
from mox_imap.commands import reach
from mox_imap.extensions import Replacing
from mox_imap.scanner import STAR, CommandSyntaxError, Scanner, SequenceSet
from mox_imap.server import Command, ImapServer, No, State

MAX_MESSAGES = 1000
MAX_PARTS = 1000  # of a message that is put together
_APPEND = re.compile(rb"[^ \r\n]+ +(?:APPEND|(?:UID +)?REPLACE +[^ \r\n]+) ", re.IGNORECASE)
_ANNOUNCED = re.compile(rb"~?\{\d{1,20}\+?\}\r?\n\Z")
_NAME_LITERAL = re.compile(
    rb"[^ \r\n]+ +(?:APPEND|(?:UID +)?REPLACE +[^ \r\n]+) +\{\d{1,20}\+?\}\r?\n\Z", re.IGNORECASE
)
_URL_LITERAL = re.compile(rb"[ (]URL +\{\d{1,20}\+?\}\r?\n\Z", re.IGNORECASE)


def is_append(data: bytes) -> bool:
    """Does this command begin like APPEND or REPLACE?"""
    return _APPEND.match(data) is not None


def is_word(data: bytes, *, first: bool) -> bool:
    """Is the literal that was announced last a mailbox's name (which comes first) or a URL, and no message?"""
    return (first and _NAME_LITERAL.match(data) is not None) or _URL_LITERAL.search(data[-64:]) is not None


class Job:
    """An APPEND or a REPLACE on its way."""

    def __init__(self, tag: str, name: str, mailbox: str, *, uid: bool = False, replaced: int = 0) -> None:
        self.tag = tag
        self.name = name
        self.mailbox = mailbox
        self.uid = uid
        self.replaced = replaced  # the uid of the message whose place is taken
        self.messages: list[tuple[Sink, tuple[str, ...], float | None]] = []
        self.error: Exception | None = None
        self.wrapped = False  # within UTF8 (~{…})
        self.catenating = False  # within CATENATE (…)
        self.parts = 0
        self.size = 0  # of the message that is being written

    def write(self, data: bytes) -> None:
        """A piece of the message; after an error the rest is swallowed, because the client sends it in any case."""
        self.size += len(data)
        if self.error is None:
            try:
                self.messages[-1][0].write(data)
            except Exception as error:
                self.error = error

    def abort(self) -> None:
        """Forgets what was read."""
        for sink, _, _ in self.messages:
            sink.abort()
        self.messages.clear()

    def finish(self, s: ImapServer, rest: bytes) -> Command:
        """The end of the command.  Raises CommandSyntaxError."""
        scan = Scanner(rest if rest.endswith(b"\r\n") else rest[:-1] + b"\r\n", utf8=s.utf8)
        if self.error is None:
            try:
                if _read(s, scan, self, announced=False):
                    raise scan.fail("a literal is expected")
            except (No, BackendError) as error:
                self.error = error
        return self.run(s)

    def nothing(self) -> Command:
        """What runs when the end of the command is wrong."""
        yield b""
        return None

    def run(self, s: ImapServer) -> Command:
        """What is done when all of it is there."""
        if self.error is not None:
            self.abort()
            yield b""
            raise self.error
        assert s.account is not None
        if not self.replaced:
            appended: Appended = yield s.account.append(self.mailbox, self.messages)
            self.messages = []
            return _code(appended) + " appended"
        assert isinstance(s.account, Replacing)
        message = self.messages[0]
        replaced: Appended = yield s.account.replace(s.selected().mailbox.name, self.replaced, self.mailbox, message)
        self.messages = []
        yield b"* OK " + _code(replaced).encode() + b" in its place\r\n"
        # RFC 8508 3.3: the client hears of both, the new one first.
        yield b"".join(s.updates(expunges=False))
        yield b"".join(s.updates(expunges=True))
        return None


def _code(appended: Appended) -> str:
    return f"[APPENDUID {appended.uidvalidity} {writer.sequence_set(appended.uids).decode()}]"


def head(s: ImapServer, data: bytes, job: Job | None) -> Job:
    """What stands before a literal of a message.  Raises CommandSyntaxError, No, BackendError."""
    scan = Scanner(_ANNOUNCED.sub(b"", data), utf8=s.utf8)
    if job is None:
        job = _first(s, scan)
    if job.error is None and not _read(s, scan, job, announced=True):
        raise scan.fail("no literal is expected here")
    return job


def _read(s: ImapServer, scan: Scanner, job: Job, *, announced: bool) -> bool:
    """Reads to where the literal of a message is due (True), or to the end of the command (False).  Raises."""
    if job.wrapped:
        scan.expect(b")")
        job.wrapped = False
    while True:
        if job.catenating and _parts(s, scan, job):
            return True
        if job.messages:
            scan.skip_sp() if not announced else None
            if not job.size and not announced:
                raise scan.fail("a message of no octets")
            if scan.at_end and not announced:
                return False
        if _begin(s, scan, job, announced=announced):
            return True


def _begin(s: ImapServer, scan: Scanner, job: Job, *, announced: bool) -> bool:
    """append-message up to its data; False: it is put together from parts"""
    if len(job.messages) >= (1 if job.replaced else MAX_MESSAGES):
        raise scan.fail("unexpected text") if job.replaced else No("LIMIT", f"at most {MAX_MESSAGES} messages at once")
    if job.messages and not job.size:
        raise scan.fail("a message of no octets")
    if announced or not job.messages:
        scan.sp()
    flags: tuple[str, ...] = ()
    moment: float | None = None
    if scan.peek(b"("):
        flags = scan.flag_list()
        scan.sp()
    if scan.peek(b'"'):
        moment = scan.date_time()
        scan.sp()
    assert s.account is not None
    if scan.take(b"CATENATE ("):
        job.catenating, job.parts = True, 0
    else:
        job.wrapped = s.utf8 and scan.take(b"UTF8 (")  # RFC 6855 4
        scan.end()
        if not announced:
            raise scan.fail("a literal is expected")
    job.size = 0
    job.messages.append((s.account.sink(), flags, moment))
    return not job.catenating


def _parts(s: ImapServer, scan: Scanner, job: Job) -> bool:
    """cat-part list: True where the literal of a TEXT is due, False at its end.  Raises."""
    while True:
        if job.parts:
            if scan.take(b")"):
                job.catenating = False
                return False
            scan.sp()
        job.parts += 1
        if job.parts > MAX_PARTS:
            raise No("LIMIT", f"at most {MAX_PARTS} parts")
        if scan.take(b"TEXT"):
            scan.sp()
            scan.end()
            return True
        scan.expect(b"URL")
        scan.sp()
        _copy(s, job, scan.astring())


def _copy(s: ImapServer, job: Job, data: bytes) -> None:
    """The octets of a URL become part of the message.  Raises No."""
    assert s.account is not None
    try:
        url = reach.url_of(data)
        if not reach.is_own(s, url) or url.access is not None:
            raise reach.Unreachable("it leads to another account")
        for piece in reach.octets(s, s.account, url):
            job.write(piece)
            if job.size > s.config.limits.append:
                raise No("TOOBIG", f"a message has at most {s.config.limits.append} octets")
    except reach.Unreachable as error:
        raise No("BADURL " + writer.string(data[:1000]).decode("latin-1"), f"a URL leads nowhere: {error}") from None


def _first(s: ImapServer, scan: Scanner) -> Job:
    """The command's name, what is replaced, the mailbox"""
    tag = scan.tag()
    scan.sp()
    uid = scan.take(b"UID ")
    scan.skip_sp()
    name = scan.atom().upper()
    scan.sp()
    if s.state is not State.SELECTED and (name == "REPLACE" or s.state is not State.AUTHENTICATED):
        raise scan.fail(f"{name} cannot be said now")
    replaced = 0
    if name == "REPLACE":
        replaced = _replaced(s, scan, uid=uid)
    mailbox = scan.mailbox()
    assert s.account is not None
    if s.account.mailbox(mailbox) is None:
        raise No("TRYCREATE", "no such mailbox")
    return Job(tag, name, mailbox, uid=uid, replaced=replaced)


def _replaced(s: ImapServer, scan: Scanner, *, uid: bool) -> int:
    """The uid of the message that is to be replaced"""
    if not isinstance(s.account, Replacing):
        raise scan.fail("no such command REPLACE")
    if s.uidonly and not uid:
        raise CommandSyntaxError(0, "REPLACE goes by UID now", "UIDREQUIRED")
    if s.read_only:
        raise No("READ-ONLY", "the mailbox was opened read-only")
    number = STAR if scan.take(b"*") else scan.nz_number()
    scan.sp()
    view = s.selected()
    indexes = view.indexes(SequenceSet(((number, number),)), uid=uid)
    if not indexes:
        raise No("NONEXISTENT", "no such message") if uid else scan.fail("no such sequence number")
    return view.uids[indexes[0]]


def without_literal(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """APPEND or REPLACE of what is put together from URLs alone."""
    if b"CATENATE" not in scan.line.upper():
        raise scan.fail("a literal is expected")
    scan = Scanner(scan.line, utf8=s.utf8)
    job = _first(s, scan)
    try:
        if _read(s, scan, job, announced=False):
            raise scan.fail("a literal is expected")
    except BaseException:
        job.abort()
        raise
    return (yield from job.run(s))


def refused(data: bytes, job: Job | None, error: Exception) -> Job:
    """An APPEND that will fail, and whose literals come nevertheless."""
    if job is None:
        job = Job(_tag(data), "APPEND", "")
    job.abort()
    job.error = job.error or error
    return job


def _tag(data: bytes) -> str:
    try:
        return Scanner(data).tag()
    except CommandSyntaxError:
        return "*"
