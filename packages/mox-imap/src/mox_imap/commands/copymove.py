"""COPY and MOVE"""

from __future__ import annotations

from mox_imap import writer
from mox_imap.backend import Copied
from mox_imap.commands.store import chosen, writable
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No


def copy(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.7"""
    uids, target = _arguments(s, scan, uid)
    if not uids:
        return None
    copied: Copied = yield s.selected().mailbox.copy(uids, target)
    return _code(copied) + "copied" if copied.pairs else None


def move(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.8: COPYUID is told before the expunges."""
    writable(s)
    uids, target = _arguments(s, scan, uid)
    if not uids:
        return None
    copied: Copied = yield s.selected().mailbox.move(uids, target)
    if copied.pairs:
        yield b"* OK " + _code(copied).encode() + b"moved\r\n"
    return None


def _arguments(s: ImapServer, scan: Scanner, uid: bool) -> tuple[list[int], str]:
    scan.sp()
    numbers = scan.sequence_set()
    scan.sp()
    target = scan.mailbox()
    scan.end()
    view = s.selected()
    limit = s.config.message_limit
    indexes = chosen(s, scan, numbers, uid=uid)
    if limit and len(indexes) > limit:
        # RFC 9738 3.1: all or nothing, because COPYUID tells of all that was asked for.
        raise No(f"MESSAGELIMIT {limit}", f"at most {limit} messages at once")
    return [view.uids[at] for at in indexes], target


def _code(copied: Copied) -> str:
    """COPYUID (RFC 4315 3)"""
    old = writer.sequence_set([a for a, _ in copied.pairs]).decode()
    new = writer.sequence_set([b for _, b in copied.pairs]).decode()
    return f"[COPYUID {copied.uidvalidity} {old} {new}] "
