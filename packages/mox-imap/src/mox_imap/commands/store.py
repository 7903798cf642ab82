"""STORE (with the conditions of RFC 7162) and EXPUNGE"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mox_imap import writer
from mox_imap.backend import Conditional, FlagAction
from mox_imap.scanner import STAR, Scanner, SequenceSet
from mox_imap.server import Command, ImapServer, No
from mox_imap.view import View

AT_ONCE = 5000


def writable(s: ImapServer) -> None:
    """EXAMINE means: no changes."""
    if s.read_only:
        raise No("READ-ONLY", "the mailbox was opened read-only")


def chosen(s: ImapServer, scan: Scanner, numbers: SequenceSet, *, uid: bool) -> Sequence[int]:
    """The indexes that a command means.  A sequence number that does not exist is BAD (RFC 9051 2.3.1.2)."""
    view = s.selected()
    # Deviation RFC 9051 2.3.1.2: in an empty mailbox `*` means nothing; many clients ask for 1:* without looking.
    empty = not len(view) and all(STAR in ends for ends in numbers.ranges)
    if not uid and not empty and view.beyond(numbers):
        raise scan.fail("no such sequence number")
    return view.indexes(numbers, uid=uid)


def limited(s: ImapServer, view: View, indexes: Sequence[int]) -> tuple[Sequence[int], str | None]:
    """Those that one command works on, the last ones, and what the tagged OK says of the rest (RFC 9738 3.1)."""
    limit = s.config.message_limit
    if not limit or len(indexes) <= limit:
        return indexes, None
    some = indexes[-limit:]
    return some, f"[MESSAGELIMIT {limit} {view.uids[some[0]]}] done in part"


@dataclass(frozen=True, slots=True)
class _Change:
    action: FlagAction
    flags: tuple[str, ...]
    silent: bool
    unchanged_since: int = -1


def store(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.6, RFC 7162 3.1.3"""
    scan.sp()
    numbers = scan.sequence_set()
    scan.sp()
    change = _change(scan)
    scan.end()
    writable(s)
    indexes = chosen(s, scan, numbers, uid=uid)
    if change.unchanged_since >= 0:
        s.condstore_used(scan)
    view = s.selected()
    indexes, code = limited(s, view, indexes)
    if code and change.unchanged_since >= 0:
        raise No(f"MESSAGELIMIT {s.config.message_limit}", "too many messages at once")  # one code has room for one
    modified: list[int] = []
    missed = False
    for start in range(0, len(indexes), AT_ONCE):
        some = indexes[start : start + AT_ONCE]
        kept: Sequence[int] = ()
        uids = [view.uids[at] for at in some]
        if change.unchanged_since >= 0:
            assert view.indexed is not None
            done: Conditional = yield view.indexed.store_unchanged(
                uids, change.action, change.flags, change.unchanged_since
            )
            kept = done.modified
        else:
            yield view.mailbox.store(uids, change.action, change.flags)
        there = view.present(some)
        missed = missed or len(there) < len(some)
        modified += kept
        lines = _told(s, view, there, change, frozenset(kept), uid=uid)
        yield view.new_keywords() + lines
    if missed and not uid:
        # RFC 2180 4.2.1: some were expunged elsewhere, and this session has not been told yet.
        raise No("EXPUNGEISSUED", "some of these messages have been deleted")
    if modified:
        names = modified if uid else [view.index(one) + 1 for one in modified]
        return f"[MODIFIED {writer.sequence_set(names).decode()}] some have changed since"
    return code


def _told(
    s: ImapServer, view: View, indexes: Sequence[int], change: _Change, kept: frozenset[int], *, uid: bool
) -> bytes:
    """What the client hears of its own change."""
    # Those that were left alone have changed, and that is told as any change is.
    done = [at for at in indexes if view.uids[at] not in kept] if kept else indexes
    if not change.silent:
        view.tell_of(done)
        return view.flag_lines(done, uid=uid or s.rev2)
    # What the client can know by itself is not told; where somebody else's change came between, it will be.
    bits = view.mailbox.flag_bits([flag for flag in change.flags if view.may_set(flag)])
    view.names(bits)
    for at in done:
        had = view.told[at]
        view.told[at] = had | bits if change.action == "add" else had & ~bits if change.action == "remove" else bits
    if not view.modseqs:
        return b""
    # RFC 7162 3.1.3: the new modseq is told even when the flags are not.
    modseqs = view.tell_modseqs_of(done)
    if view.uidonly:
        return b"".join(
            [b"* %d UIDFETCH (MODSEQ (%d))\r\n" % (view.uids[at], m) for at, m in zip(done, modseqs, strict=True)]
        )
    told = zip(done, modseqs, strict=True)
    return b"".join([b"* %d FETCH (UID %d MODSEQ (%d))\r\n" % (at + 1, view.uids[at], modseq) for at, modseq in told])


def _change(scan: Scanner) -> _Change:
    """store-att-flags, and the modifier before it"""
    unchanged_since = -1
    if scan.take(b"("):
        scan.expect(b"UNCHANGEDSINCE ")
        unchanged_since = scan.number()
        scan.expect(b") ")
    action: FlagAction = "add" if scan.take(b"+") else "remove" if scan.take(b"-") else "replace"
    scan.expect(b"FLAGS")
    silent = scan.take(b".SILENT")
    scan.sp()
    flags = scan.flag_list() if scan.peek(b"(") else _bare_flags(scan)
    return _Change(action, flags, silent, unchanged_since)


def _bare_flags(scan: Scanner) -> tuple[str, ...]:
    flags = [scan.flag()]
    while not scan.at_end:
        scan.sp()
        if not scan.at_end:
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
    code = None
    if s.config.message_limit:
        uids, code = _few(s, uids)
    yield s.selected().mailbox.expunge(uids)
    if s.qresync:
        # RFC 7162 3.2.7: what is told before the OK is all there is up to this modseq.
        yield b"".join(s.updates(expunges=True))
        assert s.selected().indexed is not None
        return code or f"[HIGHESTMODSEQ {s.highest_modseq()}] expunged"
    return code


def _few(s: ImapServer, uids: list[int] | None) -> tuple[list[int], str | None]:
    """Those with \\Deleted, as many as may go at once."""
    view = s.selected()
    indexes = range(len(view)) if uids is None else [at for uid in uids if (at := view.index(uid)) >= 0]
    deleted = [at for at, bits in zip(indexes, view.flags(indexes), strict=True) if bits & 8]
    some, code = limited(s, view, deleted)
    return [view.uids[at] for at in some], code
