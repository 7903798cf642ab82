"""One session's numbering of a mailbox: what the client has been told, whatever happened since.

Sequence numbers move only when the client is told; messages expunged elsewhere keep their number until then."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from mox_imap.backend import Changes, Mailbox
from mox_imap.scanner import SequenceSet


class View:
    """Sequence number n is index n - 1 of `uids`, `messages` and `told` (flag bits that the client knows)."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.uids = array("q")
        self.messages = array("q")
        self.told = array("q")
        self.saved: tuple[int, ...] = ()  # the result of SEARCH RETURN (SAVE), as uids
        self._added: list[tuple[int, int]] = []
        self._flags: dict[int, None] = {}
        self._expunged: set[int] = set()
        self._load()

    def _load(self) -> None:
        for uid, message, bits in self.mailbox.entries():
            self.uids.append(uid)
            self.messages.append(message)
            self.told.append(bits)

    def __len__(self) -> int:
        return len(self.uids)

    def index(self, uid: int) -> int:
        """Index of a uid, or -1."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def gone(self, uid: int) -> bool:
        """Was it expunged, without the client knowing yet?"""
        return uid in self._expunged

    def indexes(self, numbers: SequenceSet, *, uid: bool) -> list[int] | None:
        """The indexes that a set means, ascending; None when a sequence number is beyond the mailbox."""
        if numbers.saved:
            return [at for found in self.saved if (at := self.index(found)) >= 0]
        found: list[int] = []
        if uid:
            largest = self.uids[-1] if self.uids else 0
            for low, high in numbers.bounds(largest):
                found.extend(range(bisect_left(self.uids, low), bisect_right(self.uids, high)))
            return found
        count = len(self.uids)
        for low, high in numbers.bounds(count):
            if low < 1 or high > count:
                return None
            found.extend(range(low - 1, high))
        return found

    # -- what happened

    def hear(self, changes: Changes) -> None:
        """Takes news from the backend; nothing is told yet."""
        if changes.resync:
            self._resync()
            return
        self._added += [entry for entry in changes.added if not self.uids or entry[0] > self.uids[-1]]
        self._flags.update(dict.fromkeys(changes.flags))
        self._expunged.update(changes.expunged)

    def _resync(self) -> None:
        now = {uid: message for uid, message, _ in self.mailbox.entries()}
        last = self.uids[-1] if self.uids else 0
        self._added = [(uid, message) for uid, message in now.items() if uid > last]
        self._flags = dict.fromkeys(now)
        self._expunged = {uid for uid in self.uids if uid not in now}

    def tell(self, *, expunges: bool) -> Iterator[bytes]:
        """The untagged responses that bring the client up to date."""
        if self._expunged and expunges:
            yield from self._tell_expunged()
        if self._added:
            yield from self._tell_added()
        if self._flags:
            yield from self._tell_flags()

    def _tell_expunged(self) -> Iterator[bytes]:
        indexes = sorted((at for uid in self._expunged if (at := self.index(uid)) >= 0), reverse=True)
        self._added = [entry for entry in self._added if entry[0] not in self._expunged]
        self._expunged.clear()
        yield from self.remove(indexes)

    def remove(self, indexes: Sequence[int]) -> Iterator[bytes]:
        """Takes entries (descending indexes) out and says so."""
        if not indexes:
            return
        if len(indexes) < 20:
            for at in indexes:
                del self.uids[at], self.messages[at], self.told[at]
        else:
            gone = set(indexes)
            kept = [at for at in range(len(self.uids)) if at not in gone]
            for name in ("uids", "messages", "told"):
                column = getattr(self, name)
                setattr(self, name, array("q", [column[at] for at in kept]))
        yield b"".join([b"* %d EXPUNGE\r\n" % (at + 1) for at in indexes])

    def _tell_added(self) -> Iterator[bytes]:
        added, self._added = self._added, []
        last = self.uids[-1] if self.uids else 0
        for uid, message in sorted(set(added)):
            bits = self.mailbox.bits(uid)
            if uid > last and bits is not None and uid not in self._expunged:
                self.uids.append(uid)
                self.messages.append(message)
                self.told.append(bits)
                self._flags.pop(uid, None)
        yield b"* %d EXISTS\r\n" % len(self.uids)

    def _tell_flags(self) -> Iterator[bytes]:
        flags, self._flags = self._flags, {}
        for uid in flags:
            at = self.index(uid)
            bits = self.mailbox.bits(uid)
            if at >= 0 and bits is not None and bits != self.told[at]:
                self.told[at] = bits
                yield b"* %d FETCH (UID %d FLAGS (%s))\r\n" % (at + 1, uid, self.names(bits))

    def names(self, bits: int) -> bytes:
        """Flag names, space separated."""
        return " ".join(self.mailbox.flag_names(bits)).encode("utf-8", "replace")
