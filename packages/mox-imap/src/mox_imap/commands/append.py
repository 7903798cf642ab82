"""APPEND, one message or several (RFC 9051 6.3.12, RFC 3502): the literals stream into sinks."""

from __future__ import annotations

import re

from mox_imap import writer
from mox_imap.backend import Appended, Sink
from mox_imap.scanner import CommandSyntaxError, Scanner
from mox_imap.server import Command, ImapServer, No, State

MAX_MESSAGES = 1000
_APPEND = re.compile(rb"[^ \r\n]+ APPEND ", re.IGNORECASE)
_ANNOUNCED = re.compile(rb"~?\{\d{1,20}\+?\}\r?\n\Z")
_MAILBOX_LITERAL = re.compile(rb"[^ \r\n]+ APPEND \{\d{1,20}\+?\}\r?\n\Z", re.IGNORECASE)


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
        self.error: BaseException | None = None

    def write(self, data: bytes) -> None:
        """A piece of the message; after an error the rest is swallowed, because the client sends it in any case."""
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
        """The end of the command."""
        if rest not in (b"\r\n", b"\n", b")\r\n"):
            raise CommandSyntaxError(0, "unexpected text after the literal")
        return self._run(s)

    def _run(self, s: ImapServer) -> Command:
        if self.error is not None:
            self.abort()
            raise self.error
        assert s.account is not None
        appended: Appended = yield s.account.append(self.mailbox, self.messages)
        return f"[APPENDUID {appended.uidvalidity} {writer.sequence_set(appended.uids).decode()}] appended"


def head(s: ImapServer, data: bytes, job: Job | None) -> Job:
    """What stands before a message literal.  Raises CommandSyntaxError, No, BackendError."""
    text = _ANNOUNCED.sub(b"", data)
    scan = Scanner(text, utf8=s.utf8)
    if job is None:
        tag = scan.tag()
        scan.expect(b" APPEND ")
        if s.state not in (State.AUTHENTICATED, State.SELECTED):
            raise scan.fail("APPEND cannot be said now")
        name = scan.mailbox()
        assert s.account is not None
        if s.account.mailbox(name) is None:
            raise No("TRYCREATE", "no such mailbox")
        job = Job(tag, name)
    elif len(job.messages) >= MAX_MESSAGES:
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
    if scan.take(b"UTF8 ("):
        pass
    scan.take(b"~")
    scan.end()
    assert s.account is not None
    job.messages.append((s.account.sink(), flags, moment))
    return job
