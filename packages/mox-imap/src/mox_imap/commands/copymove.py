"""COPY and MOVE"""

from __future__ import annotations

from mox_imap import writer
from mox_imap.backend import Copied
from mox_imap.commands.store import chosen, writable
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer


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
    return [view.uids[at] for at in chosen(s, scan, numbers, uid=uid)], target


def _code(copied: Copied) -> str:
    """COPYUID (RFC 4315 3)"""
    old = writer.sequence_set(a for a, _ in copied.pairs).decode()
    new = writer.sequence_set(b for _, b in copied.pairs).decode()
    return f"[COPYUID {copied.uidvalidity} {old} {new}] "
