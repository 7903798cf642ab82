"""NOTIFY (RFC 5465 3): which events of which mailboxes a client wants to hear of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from mox_imap.commands.fetch import Wanted, items, told
from mox_imap.commands.mailbox import name_bytes
from mox_imap.extensions import Annotated, Watched
from mox_imap.fulfils import fulfils
from mox_imap.notify import EVENTS, MAILBOX_EVENTS, MESSAGE_EVENTS, Group, Notify
from mox_imap.scanner import MAX_ITEMS, Scanner
from mox_imap.server import Command, ImapServer, No

MAX_GROUPS = 100
KINDS = ("SELECTED-DELAYED", "SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED", "SUBTREE", "MAILBOXES")


def notify(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 5465 3.1"""
    account = s.account
    if not fulfils(account, Watched):
        raise scan.fail("no such command NOTIFY")
    scan.sp()
    if scan.take(b"NONE"):
        scan.end()
        _end(s)
        yield b""
        return None
    scan.expect(b"SET")
    scan.sp()
    status = scan.take(b"STATUS ")
    scan.skip_sp()
    groups: list[Group] = []
    fetched: Wanted | None = None
    while not groups or not scan.at_end:
        if groups:
            scan.sp()
        group, wanted = _group(s, scan)
        fetched = fetched or wanted
        if len(groups) >= MAX_GROUPS or (
            group.kind.startswith("SELECTED") and any(one.kind.startswith("SELECTED") for one in groups)
        ):
            raise scan.fail("too many event groups")
        groups.append(group)
    scan.end()
    _end(s)
    s.notify = Notify(s, account, tuple(groups), partial(name_bytes, s), wake=s.wake)
    s.new_items = partial(_fetched, s, fetched) if fetched is not None else None
    if s.view is not None:
        s.view.new_items = s.new_items
    if status:
        yield b"".join(s.notify.status())
    yield b""
    return None


def _end(s: ImapServer) -> None:
    if s.notify is not None:
        s.notify.close()
    s.notify = s.new_items = None
    if s.view is not None:
        s.view.new_items = None


def _group(s: ImapServer, scan: Scanner) -> tuple[Group, Wanted | None]:
    """event-group"""
    scan.expect(b"(")
    kind = scan.atom().upper()
    if kind not in KINDS:
        raise scan.fail(f"no such mailboxes {kind[:40]}")
    scan.sp()
    names: tuple[str, ...] = ()
    if kind in ("SUBTREE", "MAILBOXES"):
        names = _names(scan)
        scan.sp()
    events: set[str] = set()
    wanted: Wanted | None = None
    if not scan.take(b"NONE"):
        wanted = _events(s, scan, events, selected=kind.startswith("SELECTED"))
    scan.expect(b")")
    return Group(kind, names, frozenset(events)), wanted


def _names(scan: Scanner) -> tuple[str, ...]:
    """one-or-more-mailbox"""
    if not scan.take(b"("):
        return (scan.mailbox(),)
    found = [scan.mailbox()]
    while not scan.take(b")"):
        scan.sp()
        found.append(scan.mailbox())
        if len(found) > MAX_ITEMS:
            raise scan.fail("too many mailboxes")
    return tuple(found)


def _events(s: ImapServer, scan: Scanner, events: set[str], *, selected: bool) -> Wanted | None:
    wanted: Wanted | None = None
    scan.expect(b"(")
    while not events or not scan.take(b")"):
        if events:
            scan.sp()
        event = scan.atom().upper()
        possible = EVENTS if fulfils(s.account, Annotated) else EVENTS - {
            "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE",
        }  # fmt: skip
        if event not in possible:
            names = {one.lower(): one for one in _WRITTEN}
            raise No(f"BADEVENT ({' '.join(names[one.lower()] for one in sorted(possible))})", "no such event")
        events.add(event)
        if event == "MESSAGENEW" and scan.take(b" ("):
            if not selected:
                raise scan.fail("only what is selected can be fetched")
            wanted = items(scan, listed=True)
            if "UID" not in wanted.simple and not s.uidonly:
                wanted = replace(wanted, simple=("UID", *wanted.simple))
    _consistent(scan, events, selected=selected)
    return wanted


# As RFC 5465 writes them.
_WRITTEN = (
    "FlagChange", "MailboxMetadataChange", "MailboxName", "MessageExpunge", "MessageNew", "ServerMetadataChange",
    "SubscriptionChange",
)  # fmt: skip


def _consistent(scan: Scanner, events: set[str], *, selected: bool) -> None:
    """RFC 5465 5: new and expunged go together, flags with them; of the open mailbox, messages only."""
    if ("MESSAGENEW" in events) != ("MESSAGEEXPUNGE" in events):
        raise scan.fail("MessageNew and MessageExpunge go together")
    if "FLAGCHANGE" in events and "MESSAGENEW" not in events:
        raise scan.fail("FlagChange needs MessageNew and MessageExpunge")
    if selected and events & MAILBOX_EVENTS:
        raise scan.fail("of the selected mailbox there are messages only")
    assert events <= MESSAGE_EVENTS | MAILBOX_EVENTS


def _fetched(s: ImapServer, want: Wanted, indexes: Sequence[int]) -> Iterator[bytes]:
    """FETCH of new messages (RFC 5465 5.2); reads only, so that there is nothing to wait for."""
    view = s.selected()
    yield from (piece for piece in told(view, indexes, want) if isinstance(piece, bytes))
