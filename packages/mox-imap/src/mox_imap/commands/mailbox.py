"""SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE STATUS CLOSE UNSELECT"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from mox_imap import utf7, writer
from mox_imap.extensions import Identified
from mox_imap.fulfils import fulfils
from mox_imap.scanner import Scanner, SequenceSet
from mox_imap.server import Command, ImapServer, No, State
from mox_imap.view import View, vanished


def name_bytes(s: ImapServer, name: str) -> bytes:
    """A mailbox name as this client reads it."""
    if name == "Inbox" or name.startswith("Inbox/"):
        name = "INBOX" + name[5:]
    return writer.astring(name if s.utf8 else utf7.encode(name))


def select(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.2"""
    return _open(s, scan, read_only=False)


def examine(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.3"""
    return _open(s, scan, read_only=True)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a client that comes back knows (RFC 7162 3.2.5)."""

    uidvalidity: int
    modseq: int
    uids: SequenceSet | None = None


def _open(s: ImapServer, scan: Scanner, *, read_only: bool) -> Command:
    scan.sp()
    name = scan.mailbox()
    known = _parameters(s, scan) if scan.take(b" (") else None
    scan.end()
    assert s.account is not None
    if s.view is not None:
        left = s.view.left()
        s.close_mailbox()
        s.left = left
        yield b"* OK [CLOSED] the mailbox before is closed\r\n"
    mailbox = s.account.open(name, s.heard_news)
    info = s.account.mailbox(name) if fulfils(s.account, Identified) else None
    view = s.view = View(mailbox)
    view.modseqs, view.vanished, view.uidonly = s.condstore, s.qresync or s.uidonly, s.uidonly
    view.new_items = s.new_items
    view.shows_recent = not s.rev2
    # RFC 4314 5.2: whoever may change nothing is told so.
    read_only = read_only or not view.may("istwe")
    s.state, s.read_only = State.SELECTED, read_only
    view.notify(info.mailbox_id if info is not None else name, read_only=read_only, left=s.left)
    s.left = None
    flags = view.all_flags()
    yield b"* FLAGS (%s)\r\n* %d EXISTS\r\n" % (flags, len(view))
    if not s.rev2:
        yield view.recent_line()
        unseen = next((at for at, bits in enumerate(view.told) if not bits & 1), -1)
        if unseen >= 0 and not s.uidonly:
            yield b"* OK [UNSEEN %d] first unseen\r\n" % (unseen + 1)
    yield b"* OK [PERMANENTFLAGS (%s)] limited\r\n" % (b"" if read_only else view.permanent_flags())
    yield b"* OK [UIDVALIDITY %d] for good\r\n* OK [UIDNEXT %d] at least\r\n" % (mailbox.uidvalidity, mailbox.uidnext())
    if highest := s.highest_modseq():
        yield b"* OK [HIGHESTMODSEQ %d] highest\r\n" % highest
    if info is not None:
        yield b"* OK [MAILBOXID (%s)] for good\r\n" % info.mailbox_id.encode()
    if s.rev2:
        yield b'* LIST () "/" %s\r\n' % name_bytes(s, mailbox.name)
    if known is not None and known.uidvalidity == mailbox.uidvalidity:
        yield b"".join(_since(view, known))
    return f"[READ-{'ONLY' if read_only else 'WRITE'}] opened"


def _parameters(s: ImapServer, scan: Scanner) -> _Known | None:
    """select-params: CONDSTORE and QRESYNC"""
    known: _Known | None = None
    while True:
        word = scan.atom().upper()
        if word == "CONDSTORE":
            s.condstore_used(scan)
        elif word == "QRESYNC" and s.qresync and known is None:
            scan.expect(b" (")
            known = _known(scan)
        else:
            raise scan.fail(f"no such parameter {word[:40]}")
        if scan.take(b")"):
            return known
        scan.sp()


def _known(scan: Scanner) -> _Known:
    uidvalidity = scan.nz_number()
    scan.sp()
    modseq = scan.number()
    uids: SequenceSet | None = None
    if scan.take(b" ") and not scan.peek(b"("):
        uids = scan.sequence_set()
        if scan.take(b" ") and not scan.peek(b"("):
            raise scan.fail("'(' is expected")
    if scan.take(b"("):
        # seq-match-data only spares servers that forget expunges; we do not, so it is read and left.
        scan.sequence_set()
        scan.sp()
        scan.sequence_set()
        scan.expect(b")")
    scan.expect(b")")
    return _Known(uidvalidity, modseq, uids)


def _since(view: View, known: _Known) -> Iterator[bytes]:
    """What happened since the client was here last (RFC 7162 3.2.5.1): VANISHED (EARLIER), then flags."""
    assert view.indexed is not None
    bounds = list(known.uids.bounds(2**32)) if known.uids is not None else [(1, 2**32)]
    gone = [uid for uid in view.indexed.expunged_since(known.modseq) if view.index(uid) < 0]
    low = [first for first, _ in bounds]
    yield from vanished(
        [uid for uid in gone if (at := bisect_right(low, uid)) and uid <= bounds[at - 1][1]], earlier=True
    )
    modseqs = view.modseqs_of(range(len(view)))
    changed = [at for at, modseq in enumerate(modseqs) if modseq > known.modseq]
    if known.uids is not None:
        within = frozenset(view.indexes(known.uids, uid=True))
        changed = [at for at in changed if at in within]
    yield view.flag_lines(changed, uid=True)


def create(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.4, RFC 6154 3"""
    scan.sp()
    name = scan.mailbox().rstrip("/")
    special = ""
    if scan.take(b" ("):
        scan.expect(b"USE (")
        special = "\\" + _special(scan)
        scan.expect(b"))")
    scan.end()
    assert s.account is not None
    yield s.account.create(name, special)
    if fulfils(s.account, Identified) and (info := s.account.mailbox(name)) is not None:
        return f"[MAILBOXID ({info.mailbox_id})] created"
    return None


def _special(scan: Scanner) -> str:
    scan.expect(b"\\")
    use = scan.atom().capitalize()
    if use not in ("Archive", "Drafts", "Junk", "Sent", "Trash"):
        raise No("USEATTR", f"\\{use} cannot be given")
    return use


def delete(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.5"""
    scan.sp()
    name = scan.mailbox()
    scan.end()
    assert s.account is not None
    yield s.account.delete(name)
    return None


def rename(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.6"""
    scan.sp()
    old = scan.mailbox()
    scan.sp()
    new = scan.mailbox().rstrip("/")
    scan.end()
    assert s.account is not None
    yield s.account.rename(old, new)
    return None


def subscribe(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.7"""
    return _subscribe(s, scan, wanted=True)


def unsubscribe(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.8"""
    return _subscribe(s, scan, wanted=False)


def _subscribe(s: ImapServer, scan: Scanner, *, wanted: bool) -> Command:
    scan.sp()
    name = scan.mailbox()
    scan.end()
    assert s.account is not None
    yield s.account.subscribe(name, wanted)
    return None


def close(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.1: expunges without telling, unless opened read-only."""
    scan.end()
    highest = 0
    # RFC 4314 4: without the right, CLOSE closes all the same.
    if not s.read_only and s.selected().may("e"):
        yield s.selected().mailbox.expunge(None)
        highest = s.highest_modseq() if s.qresync else 0
    s.close_mailbox()
    return f"[HIGHESTMODSEQ {highest}] closed" if highest else None


def unselect(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.2"""
    scan.end()
    yield b""
    s.close_mailbox()
    return None
