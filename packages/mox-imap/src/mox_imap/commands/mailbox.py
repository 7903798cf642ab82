"""SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE STATUS CLOSE UNSELECT"""

from __future__ import annotations

from mox_imap import utf7, writer
from mox_imap.backend import BackendError, MailboxInfo
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No, State
from mox_imap.view import View

SYSTEM = b"\\Answered \\Flagged \\Deleted \\Seen \\Draft"
STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "RECENT")


def name_bytes(s: ImapServer, name: str) -> bytes:
    """A mailbox name as this client reads it."""
    name = "INBOX" if name == "Inbox" else name
    return writer.astring(name if s.utf8 else utf7.encode(name))


def select(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.2"""
    return _open(s, scan, read_only=False)


def examine(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.3"""
    return _open(s, scan, read_only=True)


def _open(s: ImapServer, scan: Scanner, *, read_only: bool) -> Command:
    scan.sp()
    name = scan.mailbox()
    scan.end()
    assert s.account is not None
    was_open = s.view is not None
    s.close_mailbox()
    if was_open:
        yield b"* OK [CLOSED] the mailbox before is closed\r\n"
    mailbox = s.account.open(name, s.heard_news)
    view = s.view = View(mailbox)
    s.state, s.read_only = State.SELECTED, read_only
    keywords = " ".join(mailbox.keywords()).encode("utf-8", "replace")
    flags = SYSTEM + (b" " + keywords if keywords else b"")
    yield b"* FLAGS (%s)\r\n* %d EXISTS\r\n" % (flags, len(view))
    if not s.rev2:
        yield b"* 0 RECENT\r\n"
        unseen = next((at for at, bits in enumerate(view.told) if not bits & 1), -1)
        if unseen >= 0:
            yield b"* OK [UNSEEN %d] first unseen\r\n" % (unseen + 1)
    permanent = b"" if read_only else flags + b" \\*"
    yield b"* OK [PERMANENTFLAGS (%s)] limited\r\n" % permanent
    yield b"* OK [UIDVALIDITY %d] for good\r\n* OK [UIDNEXT %d] at least\r\n" % (mailbox.uidvalidity, mailbox.uidnext())
    yield b'* LIST () "/" %s\r\n' % name_bytes(s, mailbox.name)
    return f"[READ-{'ONLY' if read_only else 'WRITE'}] opened"


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


def status_items(scan: Scanner) -> list[str]:
    """`(MESSAGES UNSEEN …)`"""
    scan.expect(b"(")
    items: list[str] = []
    while not scan.take(b")"):
        if items:
            scan.sp()
        item = scan.atom().upper()
        if item not in STATUS_ITEMS or len(items) > 20:
            raise scan.fail(f"no such status item {item[:40]}")
        items.append(item)
    return items


def status_line(s: ImapServer, info: MailboxInfo, items: list[str]) -> bytes:
    """The untagged STATUS of a mailbox."""
    values = {
        "MESSAGES": info.messages,
        "UIDNEXT": info.uidnext,
        "UIDVALIDITY": info.uidvalidity,
        "UNSEEN": info.unseen,
        "DELETED": info.deleted,
        "SIZE": info.size,
        "RECENT": 0,
    }
    told = " ".join(f"{item} {values[item]}" for item in items)
    return b"* STATUS %s (%s)\r\n" % (name_bytes(s, info.name), told.encode())


def status(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.11"""
    scan.sp()
    name = scan.mailbox()
    scan.sp()
    items = status_items(scan)
    scan.end()
    assert s.account is not None
    info = s.account.mailbox(name)
    if info is None:
        raise BackendError("NONEXISTENT", "no such mailbox")
    yield status_line(s, info, items)
    return None


def close(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.1: expunges without telling, unless opened read-only."""
    scan.end()
    if not s.read_only:
        yield s.selected().mailbox.expunge(None)
    s.close_mailbox()
    return None


def unselect(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.2"""
    scan.end()
    yield b""
    s.close_mailbox()
    return None
