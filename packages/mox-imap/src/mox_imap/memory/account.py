"""An account in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mox_imap import structure
from mox_imap.backend import Appended, BackendError, Copied, FlagAction, Mailbox, MailboxInfo, Pending, Sink
from mox_imap.memory.box import DELETED, Box, Message, canonical, check_name
from mox_imap.memory.extras import Extras
from mox_imap.memory.held import MemorySink
from mox_imap.memory.mailbox import OpenMailbox
from mox_message import Content, Fields, decoded_subject, message_ids, parse, preview, sent_date
from mox_message.thread import references

if TYPE_CHECKING:
    from mox_imap.memory.logins import MemoryBackend


class MemoryAccount(Extras):
    """mox_imap.Account, and all that is in mox_imap.extensions"""

    def __init__(self, backend: MemoryBackend, user: str) -> None:
        super().__init__(backend, user)
        self._threads: dict[str, str] = {}  # message-id -> thread id
        self._messages: dict[int, Message] = {}
        self._subscribed: set[str] = set()
        self._uidvalidity = 0
        self._modseq = 1
        self._create("Inbox", "")

    def deliver(self, name: str, data: bytes, flags: Sequence[str] = (), received: float | None = None) -> int:
        """Puts a message into a mailbox, as a delivery would; its uid."""
        box = self._box(name)
        bits = box.bits(flags, learn=True)
        part = parse(Content.of(data))
        moment = self._backend.clock() if received is None else received
        number = len(self._messages) + 1
        content = Content.of(data)
        self._messages[number] = Message(
            content, moment, structure.envelope(part), structure.bodystructure(part),
            structure.trimmed_header(part.fields), sent_date(part.fields), f"M{number}",
            self._thread(part.fields, f"T{number}"), preview(part, content),
            decoded_subject(part.fields).casefold(),
        )  # fmt: skip
        uid = box.add(number, len(data), bits, self._next(), self._backend.clock())
        self._tell(box)
        return uid

    # -- mox_imap.Account

    def mailboxes(self) -> Sequence[MailboxInfo]:
        """mox_imap.Account"""
        return [box.info(name in self._subscribed) for name, box in sorted(self._boxes.items())]

    def mailbox(self, name: str) -> MailboxInfo | None:
        """mox_imap.Account"""
        box = self._boxes.get(canonical(name))
        return box.info(box.name in self._subscribed) if box is not None else None

    def recent(self, name: str) -> int:
        """mox_imap.extensions.Recents"""
        box = self._box(name)
        return sum(uid > box.notified for uid in box.uids)

    def subscriptions(self) -> Sequence[str]:
        """mox_imap.Account"""
        return sorted(self._subscribed)

    def open(self, name: str, wake: Callable[[], None]) -> Mailbox:
        """mox_imap.Account"""
        return OpenMailbox(self, self._box(name), wake)

    def create(self, name: str, special_use: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._create(name, special_use))

    def delete(self, name: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._delete(name))

    def rename(self, old: str, new: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._rename(old, new))

    def subscribe(self, name: str, wanted: bool) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._subscribe(name, wanted))

    def sink(self) -> Sink:
        """mox_imap.Account"""
        return MemorySink()

    def append(self, name: str, messages: Sequence[tuple[Any, Sequence[str], float | None]]) -> Pending[Appended]:
        """mox_imap.Account"""
        whole = [(sink.whole(), flags, moment) for sink, flags, moment in messages]

        def run() -> Appended:
            box = self._box(name, "TRYCREATE")
            self._room_for(sum(len(data) for data, _, _ in whole), len(whole))
            return Appended(box.uidvalidity, tuple(self.deliver(name, *one) for one in whole))

        return self._backend.do(run)

    def close(self) -> None:
        """mox_imap.Account"""

    # -- below

    def _next(self) -> int:
        self._modseq += 1
        return self._modseq

    def _thread(self, fields: Fields, new: str) -> str:
        """The thread of the first message-id that is known, else a new one."""
        ids = [*references(fields), *message_ids(fields.text("message-id") or "")]
        thread = next((self._threads[one] for one in ids if one in self._threads), new)
        for one in ids:
            self._threads.setdefault(one, thread)
        return thread

    def _tell(self, box: Box) -> None:
        for one in list(box.open):
            one.wake()
        self.tell_watchers()

    def _create(self, name: str, special: str) -> None:
        name = canonical(name)
        check_name(name)
        if name in self._boxes:
            raise BackendError("ALREADYEXISTS", "there is such a mailbox already")
        above, slash, _ = name.rpartition("/")
        if slash and above not in self._boxes:
            self._create(above, "")
        self._uidvalidity += 1
        self._boxes[name] = Box(name, self._uidvalidity, special, modseq=self._next())
        self._subscribed.add(name)
        self.tell_watchers()

    def _delete(self, name: str) -> None:
        box = self._box(name)
        if box.name == "Inbox":
            raise BackendError("CANNOT", "the Inbox cannot be deleted")
        if any(other.startswith(box.name + "/") for other in self._boxes):
            raise BackendError("HASCHILDREN", "there are mailboxes below it; delete those first")
        box.remove(list(box.uids), self._next())
        del self._boxes[box.name]
        self._keys.pop(box.name, None)
        self._tell(box)

    def _rename(self, old: str, new: str) -> None:
        box, new = self._box(old), canonical(new)
        check_name(new)
        if new in self._boxes:
            raise BackendError("ALREADYEXISTS", "there is such a mailbox already")
        if new.startswith(box.name + "/"):
            raise BackendError("CANNOT", "a mailbox cannot move below itself")
        if box.name == "Inbox":  # RFC 9051 6.3.6: it stays, and gives its messages away
            self._create(new, "")
            self.carry(box, list(box.uids), new, move=True)
            return
        above, slash, _ = new.rpartition("/")
        if slash and above not in self._boxes:
            self._create(above, "")
        was = box.name
        for name in [n for n in self._boxes if n == was or n.startswith(was + "/")]:
            moved = self._boxes.pop(name)
            moved.name = new + name[len(was) :]
            self._boxes[moved.name] = moved
            if name in self._subscribed:
                self._subscribed.discard(name)
                self._subscribed.add(moved.name)
        self.tell_watchers()

    def _subscribe(self, name: str, wanted: bool) -> None:
        name = canonical(name)
        if wanted:
            check_name(name)
            self._subscribed.add(name)
        else:
            self._subscribed.discard(name)
        self.tell_watchers()

    def message(self, number: int) -> Message:
        """A message, also one that is in no mailbox any more."""
        return self._messages[number]

    def flag(self, box: Box, indexes: Sequence[int], action: FlagAction, flags: Sequence[str]) -> list[tuple[int, int]]:
        """(uid, bits after) of what changed."""
        bits = box.bits(flags, learn=action != "remove")

        if action == "replace":
            changed = [(at, bits) for at in indexes if box.flags[at] != bits]
        elif action == "add":
            changed = [(at, had | bits) for at in indexes if (had := box.flags[at]) & bits != bits]
        else:
            changed = [(at, had & ~bits) for at in indexes if (had := box.flags[at]) & bits]
        if not changed:
            return []
        box.modseq = self._next()
        for at, now in changed:
            box.flags[at], box.modseqs[at] = now, box.modseq
        told = [(box.uids[at], now) for at, now in changed]
        for one in box.open:
            one.news.flags.extend(uid for uid, _ in told)
        self._tell(box)
        return told

    def carry(self, box: Box, uids: Sequence[int], target: str, *, move: bool) -> Copied:
        """Copies or moves."""
        there = self._box(target, "TRYCREATE")
        modseq, now = self._next(), self._backend.clock()
        pairs = []
        if not move:
            indexes = box.indexes(uids)
            self._room_for(sum(box.sizes[at] for at in indexes), len(indexes))
        for at in box.indexes(uids):
            bits = there.bits(box.names(box.flags[at]), learn=True)
            pairs.append((box.uids[at], there.add(box.messages[at], box.sizes[at], bits, modseq, now)))
        if move:
            box.remove([old for old, _ in pairs], self._next())
            self._tell(box)
        self._tell(there)
        return Copied(there.uidvalidity, tuple(pairs))

    def remove(self, box: Box, uids: Sequence[int]) -> None:
        """Removes messages."""
        box.remove(uids, self._next())
        self._tell(box)

    def expunge(self, box: Box, uids: Sequence[int] | None) -> Sequence[int]:
        """Removes what has \\Deleted."""
        indexes = range(len(box.uids)) if uids is None else box.indexes(uids)
        gone = [box.uids[at] for at in indexes if box.flags[at] & DELETED]
        if gone:
            self.remove(box, gone)
        return gone
