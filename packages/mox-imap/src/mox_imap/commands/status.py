"""STATUS (RFC 9051 6.3.11), with SIZE, DELETED, HIGHESTMODSEQ, MAILBOXID, APPENDLIMIT and DELETED-STORAGE."""

from __future__ import annotations

from mox_imap.backend import BackendError, MailboxInfo
from mox_imap.commands.mailbox import name_bytes
from mox_imap.extensions import Quoted, Recents, may_read
from mox_imap.fulfils import fulfils
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer

STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "RECENT", "HIGHESTMODSEQ",
    "MAILBOXID", "APPENDLIMIT", "DELETED-STORAGE")  # fmt: skip


# What has to be announced for an item.
NEEDS = {"MAILBOXID": "OBJECTID", "DELETED-STORAGE": "QUOTA"}


def status_items(s: ImapServer, scan: Scanner) -> list[str]:
    """`(MESSAGES UNSEEN …)`"""
    scan.expect(b"(")
    scan.skip_sp()
    items: list[str] = []
    while not scan.take(b")"):
        item = scan.atom().upper()
        scan.skip_sp()
        if item not in STATUS_ITEMS or len(items) > 20 or not s.offers(NEEDS.get(item, "ESEARCH")):
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
        "RECENT": _recent(s, info.name) if "RECENT" in items else 0,
        "HIGHESTMODSEQ": max(1, info.highest_modseq),
        "MAILBOXID": f"({info.mailbox_id})",
        "APPENDLIMIT": s.config.limits.append,
        "DELETED-STORAGE": _deleted_size(s, info.name) if "DELETED-STORAGE" in items else 0,
    }
    told = " ".join(f"{item} {values[item]}" for item in items)
    return b"* STATUS %s (%s)\r\n" % (name_bytes(s, info.name), told.encode())


def _recent(s: ImapServer, name: str) -> int:
    """RFC 3501 6.3.10; of the open mailbox, as this session has been told"""
    if s.view is not None and s.view.shows_recent and s.view.mailbox.name == name:
        return s.view.recent_count()
    return s.account.recent(name) if fulfils(s.account, Recents) and not s.rev2 else 0


def _deleted_size(s: ImapServer, name: str) -> int:
    """In octets, as SIZE is."""
    return s.account.deleted_size(name) if fulfils(s.account, Quoted) else 0


def status(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.11"""
    scan.sp()
    name = scan.mailbox()
    scan.sp()
    items = status_items(s, scan)
    scan.end()
    if "HIGHESTMODSEQ" in items:
        s.condstore_used(scan)
    assert s.account is not None
    info = s.account.mailbox(name)
    if info is None:
        raise BackendError("NONEXISTENT", "no such mailbox")
    if not may_read(s.account, name):
        raise BackendError("NOPERM", "that takes the right to read")
    yield status_line(s, info, items)
    return None
