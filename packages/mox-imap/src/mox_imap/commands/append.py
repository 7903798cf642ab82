"""APPEND, one message or several (RFC 9051 6.3.12, RFC 3502): the literals stream into sinks."""

from __future__ import annotations

import re

from mox_imap import writer
from mox_imap.backend import Appended, Sink
from mox_imap.scanner import CommandSyntaxError, Scanner
from mox_imap.server import Command, ImapServer, No, State

MAX_MESSAGES = 1000
_APPEND = re.compile(rb"[^ \r\n]+ +APPEND ", re.IGNORECASE)
_ANNOUNCED = re.compile(rb"~?\{\d{1,20}\+?\}\r?\n\Z")
_MAILBOX_LITERAL = re.compile(rb"[^ \r\n]+ +APPEND +\{\d{1,20}\+?\}\r?\n\Z", re.IGNORECASE)


def is_append(data: bytes) -> bool:
    """Does this command begin like APPEND?"""
    return _APPEND.match(data) is not None


def mailbox_literal(data: bytes) -> bool:
    """Is the literal that was announced last the mailbox's name?"""
    return _MAILBOX_LITERAL.match(data) is not None


class Job:
    """An APPEND on its way."""

    def __init__(self, tag: str, mailbox: str) -> None:
        self.tag = tag
        self.mailbox = mailbox
        self.messages: list[tuple[Sink, tuple[str, ...], float | None]] = []
        self.error: Exception | None = None
        self.wrapped = False  # within UTF8 (~{…})
        self.empty = False

    def write(self, data: bytes) -> None:
        """A piece of the message; after an error the rest is swallowed, because the client sends it in any case."""
        self.empty = self.empty and not data
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
        scan = Scanner(rest if rest.endswith(b"\r\n") else rest[:-1] + b"\r\n")
        if self.error is not None:
            return self._run(s)
        if self.wrapped:
            scan.expect(b")")
        scan.end()
        if self.empty:
            raise CommandSyntaxError(0, "a message of no octets")
        return self._run(s)

    def _run(self, s: ImapServer) -> Command:
        if self.error is not None:
            self.abort()
            yield b""
            raise self.error
        assert s.account is not None
        appended: Appended = yield s.account.append(self.mailbox, self.messages)
        self.messages = []
        return f"[APPENDUID {appended.uidvalidity} {writer.sequence_set(appended.uids).decode()}] appended"


def head(s: ImapServer, data: bytes, job: Job | None) -> Job:
    """What stands before a message literal.  Raises CommandSyntaxError, No, BackendError."""
    scan = Scanner(_ANNOUNCED.sub(b"", data), utf8=s.utf8)
    if job is None:
        job = _first(s, scan)
    elif job.wrapped:
        scan.expect(b")")
    if job.error is not None:
        return job
    if job.empty:
        raise scan.fail("a message of no octets")
    if len(job.messages) >= MAX_MESSAGES:
        raise No("LIMIT", f"at most {MAX_MESSAGES} messages at once")
    scan.sp()
    flags: tuple[str, ...] = ()
    moment: float | None = None
    if scan.peek(b"("):
        flags = scan.flag_list()
        scan.sp()
    if scan.peek(b'"'):
        moment = scan.date_time()
        scan.sp()
    job.wrapped = s.utf8 and scan.take(b"UTF8 (")  # RFC 6855 4
    scan.end()
    assert s.account is not None
    job.empty = True
    job.messages.append((s.account.sink(), flags, moment))
    return job


def _first(s: ImapServer, scan: Scanner) -> Job:
    tag = scan.tag()
    scan.sp()
    scan.expect(b"APPEND")
    scan.sp()
    if s.state not in (State.AUTHENTICATED, State.SELECTED):
        raise scan.fail("APPEND cannot be said now")
    name = scan.mailbox()
    assert s.account is not None
    if s.account.mailbox(name) is None:
        raise No("TRYCREATE", "no such mailbox")
    return Job(tag, name)


def refused(data: bytes, job: Job | None, error: Exception) -> Job:
    """An APPEND that will fail, and whose literals come nevertheless."""
    if job is None:
        job = Job(_tag(data), "")
    job.abort()
    job.error = job.error or error
    return job


def _tag(data: bytes) -> str:
    try:
        return Scanner(data).tag()
    except CommandSyntaxError:
        return "*"
