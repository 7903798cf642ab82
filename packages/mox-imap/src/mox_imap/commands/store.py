"""STORE and EXPUNGE"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No

if TYPE_CHECKING:
    from mox_imap.backend import FlagAction
    from mox_imap.scanner import SequenceSet

AT_ONCE = 5000


def writable(s: ImapServer) -> None:
    """EXAMINE means: no changes."""
    if s.read_only:
        raise No("READ-ONLY", "the mailbox was opened read-only")


def chosen(s: ImapServer, scan: Scanner, numbers: SequenceSet, *, uid: bool) -> list[int]:
    """The indexes that a command means.  A sequence number that does not exist is BAD (RFC 9051 2.3.1.2)."""
    indexes = s.selected().indexes(numbers, uid=uid)
    if indexes is None:
        raise scan.fail("no such sequence number")
    return indexes


def store(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.6"""
    scan.sp()
    numbers = scan.sequence_set()
    scan.sp()
    action: FlagAction = "add" if scan.take(b"+") else "remove" if scan.take(b"-") else "replace"
    scan.expect(b"FLAGS")
    silent = scan.take(b".SILENT")
    scan.sp()
    flags = scan.flag_list() if scan.peek(b"(") else _bare_flags(scan)
    scan.end()
    writable(s)
    view = s.selected()
    indexes = chosen(s, scan, numbers, uid=uid)
    known = set(view.mailbox.keywords())
    missed = False
    for start in range(0, len(indexes), AT_ONCE):
        uids = [view.uids[at] for at in indexes[start : start + AT_ONCE]]
        yield view.mailbox.store(uids, action, flags)
        fresh = [word for word in view.mailbox.keywords() if word not in known]
        if fresh:
            known.update(fresh)
            words = b" ".join([b"\\Answered \\Flagged \\Deleted \\Seen \\Draft", *(w.encode() for w in view.mailbox.keywords())])
            yield b"* FLAGS (%s)\r\n" % words
        lines: list[bytes] = []
        for number in uids:
            at, bits = view.index(number), view.mailbox.bits(number)
            if bits is None or at < 0:
                missed = True
                continue
            view.told[at] = bits
            if not silent:
                middle = b"UID %d " % number if uid or s.rev2 else b""
                lines.append(b"* %d FETCH (%sFLAGS (%s))\r\n" % (at + 1, middle, view.names(bits)))
        yield b"".join(lines)
    if missed and not uid:
        # RFC 2180 4.2.1: some were expunged elsewhere, and this session has not been told yet.
        raise No("EXPUNGEISSUED", "some of these messages are gone")
    return None


def _bare_flags(scan: Scanner) -> tuple[str, ...]:
    flags = [scan.flag()]
    while scan.take(b" "):
        flags.append(scan.flag())
    return tuple(flags)


def expunge(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.3, 6.4.9"""
    uids: list[int] | None = None
    if uid:
        scan.sp()
        numbers = scan.sequence_set()
        view = s.selected()
        uids = [view.uids[at] for at in chosen(s, scan, numbers, uid=True)]
    scan.end()
    writable(s)
    yield s.selected().mailbox.expunge(uids)
    return None
