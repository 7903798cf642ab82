"""Literals on their way in: those that become part of a command, and those of messages, which stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox_imap.backend import BackendError
from mox_imap.commands import append
from mox_imap.scanner import CommandSyntaxError
from mox_imap.server import No, clean
from mox_imap.wire import LiteralStart, Piece

if TYPE_CHECKING:
    from mox_imap.server import ImapServer


class Intake:
    """One session's literals."""

    def __init__(self, s: ImapServer) -> None:
        self._s = s

    def literal(self, item: LiteralStart) -> None:
        """A literal was announced: taken, or refused."""
        s = self._s
        if s.append_job is not None or append.is_append(item.data):
            self._append_literal(item)
            return
        limits = s.reader.limits
        if item.size > limits.literal or item.before + item.size > limits.command:
            self._refuse(item, "BAD", f"a literal has at most {limits.literal} octets here")
            return
        self._accept(item)

    def _accept(self, item: LiteralStart) -> None:
        self._s.reader.accept()
        if item.synchronizing:
            self._s.write(b"+ go ahead\r\n")

    def _refuse(self, item: LiteralStart, word: str, why: str, code: str = "TOOBIG") -> None:
        s = self._s
        if s.append_job is not None:
            tag = s.append_job.tag
        else:
            tag = clean(item.data.split(b" ", 1)[0][:100].decode("latin-1")) or "*"
        middle = f"[{code}] " if code else ""
        if item.synchronizing:
            s.reader.refuse()
            s.drop_append()
            s.write(f"{tag} {word} {middle}{clean(why)}\r\n".encode("utf-8", "replace"))
            return
        # The client sends it anyway: the only way not to read it is to end the connection (RFC 7888 4).
        s.drop_append()
        s.write(f"* BAD {middle}{clean(why)}\r\n".encode("utf-8", "replace"))
        s.bye("a literal that is too big was sent without asking")

    def _append_literal(self, item: LiteralStart) -> None:
        s = self._s
        limits = s.reader.limits
        if append.is_word(item.data, first=s.append_job is None):
            # The mailbox's name or a URL, not a message.
            if item.size > limits.literal or item.before + item.size > limits.command:
                self._refuse(item, "BAD", f"a literal has at most {limits.literal} octets here")
            else:
                self._accept(item)
            return
        most = limits.append if s.account is not None else limits.literal
        job = s.append_job
        if item.size + (job.size if job is not None and job.catenating else 0) > most:
            self._refuse(item, "NO", f"a message has at most {most} octets")
            return
        try:
            s.append_job = append.head(s, item.data, s.append_job)
        except (CommandSyntaxError, No, BackendError) as error:
            if item.synchronizing:
                self._refuse_append(item, error)
                return
            # It comes in any case; what is wrong is said when it is over.
            s.append_job = append.refused(item.data, s.append_job, error)
        s.reader.stream()
        if item.synchronizing:
            s.write(b"+ go ahead\r\n")

    def _refuse_append(self, item: LiteralStart, error: CommandSyntaxError | No | BackendError) -> None:
        if isinstance(error, CommandSyntaxError):
            self._refuse(item, "BAD", str(error), "")
        else:
            self._refuse(item, "NO", error.text, error.code)

    def piece(self, item: Piece) -> None:
        """A piece of a message."""
        assert self._s.append_job is not None
        self._s.append_job.write(item.data)

    def rest(self, data: bytes) -> None:
        """What follows the last literal of an APPEND: the end of the command."""
        s = self._s
        job, s.append_job = s.append_job, None
        assert job is not None
        try:
            s.start(job.tag, job.name, job.finish(s, data), uid=job.uid)
        except CommandSyntaxError as error:
            job.abort()
            s.start(job.tag, job.name, job.nothing())
            s.bad_command(error)
