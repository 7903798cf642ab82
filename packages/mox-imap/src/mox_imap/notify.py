"""NOTIFY (RFC 5465): what a client wants to hear of without asking, and what there is to tell.

Nothing is queued: whatever happens, a session compares its account with what it told last, when there is time to
tell.  So a client that reads slowly costs nothing, and hears the newest state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mox_imap import writer
from mox_imap.backend import BackendError, MailboxInfo
from mox_imap.extensions import Annotated, Watched, is_personal
from mox_imap.fulfils import fulfils

if TYPE_CHECKING:
    from mox_imap.server import ImapServer

MESSAGE_EVENTS = frozenset({"MESSAGENEW", "MESSAGEEXPUNGE", "FLAGCHANGE"})
MAILBOX_EVENTS = frozenset({"MAILBOXNAME", "SUBSCRIPTIONCHANGE", "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"})
EVENTS = MESSAGE_EVENTS | MAILBOX_EVENTS


@dataclass(frozen=True, slots=True)
class Group:
    """event-group: which mailboxes, which events."""

    kind: str  # SELECTED, SELECTED-DELAYED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE, MAILBOXES
    names: tuple[str, ...] = ()
    events: frozenset[str] = frozenset()

    def holds(self, name: str, subscribed: frozenset[str], *, personal: bool = True) -> bool:
        """Is a mailbox one of them?"""
        if self.kind == "PERSONAL":
            return personal
        if self.kind == "INBOXES":
            return name == "Inbox"
        if self.kind == "SUBSCRIBED":
            return name in subscribed
        if self.kind == "SUBTREE":
            return any(name == one or name.startswith(one + "/") for one in self.names)
        return self.kind == "MAILBOXES" and name in self.names


@dataclass(slots=True)
class _Known:
    """An account as it was told of."""

    boxes: dict[object, MailboxInfo] = field(default_factory=dict)
    subscribed: frozenset[str] = frozenset()
    annotations: dict[str, Mapping[str, bytes]] = field(default_factory=dict)


def _identity(info: MailboxInfo) -> object:
    return info.mailbox_id or info.uidvalidity


class Notify:
    """What one session asked for."""

    def __init__(
        self,
        s: ImapServer,
        account: Watched,
        groups: tuple[Group, ...],
        name: Callable[[str], bytes],
        *,
        wake: Callable[[], None],
    ) -> None:
        self._s = s
        self._groups = groups
        self._name = name
        self._dirty = False
        self._wake = wake
        self._selected = next((one for one in groups if one.kind.startswith("SELECTED")), None)
        self._known = self._look()
        self._watch = account.watch(self._woken)

    @property
    def selected(self) -> bool:
        """Is the client to hear of the open mailbox?"""
        return self._selected is not None and bool(self._selected.events)

    @property
    def expunges_at_once(self) -> bool:
        """SELECTED, not SELECTED-DELAYED"""
        return self._selected is not None and self._selected.kind == "SELECTED"

    def close(self) -> None:
        """No more."""
        self._watch.close()

    def _woken(self) -> None:
        self._dirty = True
        self._wake()

    def _events(self, name: str) -> frozenset[str]:
        """Those of the first group that has the mailbox (RFC 5465 6)."""
        for one in self._groups:
            if one.holds(name, self._known.subscribed, personal=is_personal(self._s.account, name)):
                return one.events
        return frozenset()

    def _look(self) -> _Known:
        account = self._s.account
        assert account is not None
        known = _Known({_identity(info): info for info in account.mailboxes()}, frozenset(account.subscriptions()))
        wanted = frozenset().union(*(one.events for one in self._groups))
        if fulfils(account, Annotated) and wanted & {"MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"}:
            for name in ["", *(info.name for info in known.boxes.values())]:
                try:
                    known.annotations[name] = dict(account.annotations(name))
                except BackendError:
                    continue
        return known

    def status(self) -> Iterator[bytes]:
        """The STATUS of what is to be heard of, as it is now (RFC 5465 3.1, STATUS)."""
        for info in self._known.boxes.values():
            if (items := self._items(self._events(info.name))) and not self._is_open(info):
                yield self._status(info, items)

    def tell(self) -> Iterator[bytes]:
        """What has changed since it was told last."""
        if not self._dirty:
            return
        self._dirty = False
        before, self._known = self._known, self._look()
        now = self._known
        yield from self._names(before, now)
        yield from self._subscriptions(before, now)
        for key, info in now.boxes.items():
            was = before.boxes.get(key)
            events = self._events(info.name)
            if was is not None and not self._is_open(info) and (items := self._changed(was, info, events)):
                yield self._status(info, items)
        yield from self._metadata(before, now)

    def _is_open(self, info: MailboxInfo) -> bool:
        view = self._s.view
        return view is not None and view.mailbox.name == info.name

    # -- messages

    def _items(self, events: frozenset[str]) -> list[str]:
        items = []
        if events & {"MESSAGENEW", "MESSAGEEXPUNGE"}:
            items += ["MESSAGES", "UIDNEXT", "UIDVALIDITY"]
        if "FLAGCHANGE" in events:
            items += ["UNSEEN"] if not self._s.config.modseqs else ["UNSEEN", "HIGHESTMODSEQ"]
        return items

    def _changed(self, was: MailboxInfo, info: MailboxInfo, events: frozenset[str]) -> list[str]:
        """Items of a STATUS, when one of the events happened."""
        new = info.uidnext != was.uidnext
        gone = was.messages + info.uidnext - was.uidnext > info.messages
        other = (info.unseen, info.deleted, info.highest_modseq) != (was.unseen, was.deleted, was.highest_modseq)
        items: list[str] = []
        if (new and "MESSAGENEW" in events) or (gone and "MESSAGEEXPUNGE" in events):
            items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"]
        elif other and "FLAGCHANGE" in events and not (new or gone):
            items = ["UIDVALIDITY", "UNSEEN"]
        return [*items, "HIGHESTMODSEQ"] if items and self._s.config.modseqs else items

    def _status(self, info: MailboxInfo, items: list[str]) -> bytes:
        from mox_imap.commands.status import status_line

        return status_line(self._s, info, items)

    # -- mailboxes

    def _names(self, before: _Known, now: _Known) -> Iterator[bytes]:
        for key, info in now.boxes.items():
            was = before.boxes.get(key)
            if (was is None or was.name != info.name) and "MAILBOXNAME" in self._events(info.name):
                old = b' ("OLDNAME" (%s))' % self._name(was.name) if was is not None else b""
                yield self._list(info.name, b"\\Subscribed" if info.name in now.subscribed else b"", old)
        for key, was in before.boxes.items():
            if key not in now.boxes and "MAILBOXNAME" in self._events(was.name):
                yield self._list(was.name, b"\\NonExistent", b"")

    def _subscriptions(self, before: _Known, now: _Known) -> Iterator[bytes]:
        there = {info.name for info in now.boxes.values()}
        for name in sorted(before.subscribed ^ now.subscribed):
            if "SUBSCRIPTIONCHANGE" not in self._events(name):
                continue
            words = [b"\\Subscribed"] if name in now.subscribed else []
            words += [b"\\NonExistent"] if name not in there else []
            yield self._list(name, b" ".join(words), b"")

    def _list(self, name: str, attributes: bytes, more: bytes) -> bytes:
        return b'* LIST (%s) "/" %s%s\r\n' % (attributes, self._name(name), more)

    def _metadata(self, before: _Known, now: _Known) -> Iterator[bytes]:
        for name, values in now.annotations.items():
            was = before.annotations.get(name, {})
            event = "MAILBOXMETADATACHANGE" if name else "SERVERMETADATACHANGE"
            wanted = self._events(name) if name else frozenset().union(*(one.events for one in self._groups))
            changed = sorted(
                entry for entry in {*was, *values} if was.get(entry) != values.get(entry) and event in wanted
            )
            if changed:
                entries = b" ".join(writer.astring(entry) for entry in changed)
                yield b"* METADATA %s %s\r\n" % (self._name(name) if name else b'""', entries)
