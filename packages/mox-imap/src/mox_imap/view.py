"""One session's numbering of a mailbox: what the client has been told, whatever happened since.

Sequence numbers move only when the client is told; messages expunged elsewhere keep their number until then."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mox_imap import writer
from mox_imap.backend import Celled, Changes, Columns, Followed, IndexedMailbox, Mailbox, Notified, Righted
from mox_imap.fulfils import fulfils
from mox_imap.scanner import SequenceSet
from mox_message import Content, Part

if TYPE_CHECKING:
    from mox_imap.commands.contexts import Live
    from mox_imap.commands.sorting import Traits
    from mox_imap.commands.thread import Told

# RFC 4314 2.1: the right that a flag takes; all others take w.
RIGHT_FOR = {"\\seen": "s", "\\deleted": "t"}
FIRST_KEYWORD = 5  # the bits below are the system flags
SYSTEM = b"\\Answered \\Flagged \\Deleted \\Seen \\Draft"
# Of fewer than one in so many, each is looked for by itself.
FEW = 8
# How many lines are made at a time.
AT_ONCE = 1000
# From so many changes on, all flags are compared.
SEVERAL = 20
# Two sessions that are notified in turns make many ranges of \Recent messages; so many are remembered, the newest.
RECENT_RANGES = 500
# How long the set in one VANISHED may be, in numbers of ranges: clients have line limits too.
VANISHED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Left:
    """A mailbox that was left by opening another, perhaps the same: its id and UIDVALIDITY, what was \\Recent in it."""

    identity: tuple[str, int]
    recent: list[tuple[int, int]]


class View:
    """Sequence number n is index n - 1 of `uids`, `messages` and `told` (flag bits that the client knows)."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.indexed: IndexedMailbox | None = mailbox if fulfils(mailbox, IndexedMailbox) else None
        self.celled: Celled | None = mailbox if fulfils(mailbox, Celled) else None
        self.followed: Followed | None = mailbox if fulfils(mailbox, Followed) else None
        self.shows_recent = False  # \Recent is told: IMAP4rev1
        self._notified: Notified | None = None
        self._read_only = False
        self._identity = ("", 0)
        self._recent: list[tuple[int, int]] = []  # uids of which this session was the first to be notified
        self._told_recent = 0
        self.uids = array("q")
        self.messages = array("q")
        self.told = array("q")
        self.saved: tuple[int, ...] = ()  # the result of SEARCH RETURN (SAVE), as uids
        self.last: tuple[int, Content, Part] | None = None  # the message whose parts were looked at last
        self.modseqs = False  # tell MODSEQ with every change of flags (RFC 7162 3.1)
        self.uidonly = False  # UIDFETCH instead of FETCH (RFC 9586)
        self.contexts: list[Live] = []  # searches that are kept up to date (RFC 5267)
        self.traits: dict[int, Traits] = {}  # what messages are sorted by, once it was looked at
        self.threading: dict[int, Told] = {}  # the same for threads
        self.new_items: Callable[[Sequence[int]], Iterator[bytes]] | None = None  # FETCH of what is new (RFC 5465)
        self.vanished = False  # tell VANISHED, not EXPUNGE (RFC 7162 3.2.10)
        self._names: dict[int, bytes] = {}
        # Bits that the client knows the names of: what is above the highest keyword is news.
        self._known = (1 << (FIRST_KEYWORD + len(mailbox.keywords()))) - 1
        self._new_keywords = False
        self._look_for_keywords = False
        self._told_modseqs: array[int] | None = None  # beside uids, 0 for none, once one was told
        self._added: list[tuple[int, int]] = []
        self._flags: dict[int, None] = {}
        self._expunged: set[int] = set()
        self._load()

    def _load(self) -> None:
        if self.indexed is not None:
            columns = self.indexed.columns()
            self.uids, self.messages, self.told = columns.uids[:], columns.messages[:], columns.flags[:]
            return
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

    def indexes(self, numbers: SequenceSet, *, uid: bool) -> Sequence[int]:
        """The indexes that a set means, ascending; numbers beyond the mailbox mean nothing."""
        if numbers.saved:
            return [at for found in self.saved if (at := self.index(found)) >= 0]
        count = len(self.uids)
        pieces: list[range] = []
        if uid:
            for low, high in numbers.bounds(self.uids[-1] if count else 0):
                pieces.append(range(bisect_left(self.uids, low), bisect_right(self.uids, high)))
        else:
            pieces = [range(low - 1, min(high, count)) for low, high in numbers.bounds(count) if 0 < low <= count]
        if len(pieces) == 1:
            return pieces[0]
        return [at for piece in pieces for at in piece]

    def beyond(self, numbers: SequenceSet) -> bool:
        """Does a set have sequence numbers that do not exist?"""
        return not numbers.saved and any(
            low < 1 or high > len(self.uids) for low, high in numbers.bounds(len(self.uids))
        )

    def forget(self) -> None:
        """Gives back what was only kept for speed."""
        self.last = None
        self.traits.clear()
        self.threading.clear()

    # -- what is there now

    def present(self, indexes: Sequence[int]) -> Sequence[int]:
        """Those that are still there."""
        if self._aligned() is not None:
            return indexes
        bits, uids = self.mailbox.bits, self.uids
        return [at for at in indexes if bits(uids[at]) is not None]

    def _aligned(self) -> Columns | None:
        """The columns, if their first entries are those that the client knows.

        Every uid that is there and not above the last one told has been told; so if as many are there as were told,
        they are the same, and it is enough to look at the last one."""
        if self.indexed is None:
            return None
        columns, count = self.indexed.columns(), len(self.uids)
        if count == 0 or (len(columns.uids) >= count and columns.uids[count - 1] == self.uids[-1]):
            return columns
        return None

    def flags(self, indexes: Sequence[int]) -> Sequence[int]:
        """Flag bits now; of what is gone, as last told."""
        columns = self._aligned()
        if columns is None:
            bits, uids, told = self.mailbox.bits, self.uids, self.told
            return [told[at] if (now := bits(uids[at])) is None else now for at in indexes]
        return _pick(columns.flags, indexes)

    def sizes(self, indexes: Sequence[int]) -> Sequence[int] | None:
        """Sizes, when they are at hand."""
        columns = self._aligned()
        return _pick(columns.sizes, indexes) if columns is not None else None

    def cells(self, indexes: Sequence[int], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        """Columns of these messages, if all of them are to be had that way."""
        if self.celled is None or not indexes:
            return None
        found = self.celled.cells(_pick(self.uids, indexes), names)
        return found[1:] if found is not None and len(found[0]) == len(indexes) else None

    def modseqs_of(self, indexes: Sequence[int]) -> Sequence[int]:
        """Modseqs now; of what is gone, the mailbox's, for its going was a change."""
        assert self.indexed is not None
        columns = self._aligned()
        if columns is not None:
            return _pick(columns.modseqs, indexes)
        columns, highest = self.indexed.columns(), self.indexed.highest_modseq()
        found = [(at, bisect_left(columns.uids, self.uids[at])) for at in indexes]
        return [
            columns.modseqs[now] if now < len(columns.uids) and columns.uids[now] == self.uids[at] else highest
            for at, now in found
        ]

    def tell_modseqs_of(self, indexes: Sequence[int]) -> Sequence[int]:
        """The same, which from here on count as told."""
        modseqs = self.modseqs_of(indexes)
        if self._told_modseqs is None:
            self._told_modseqs = array("q", bytes(8 * len(self.uids)))
        if isinstance(indexes, range) and indexes.step == 1:
            self._told_modseqs[indexes.start : indexes.stop] = array("q", modseqs)
        else:
            for at, one in zip(indexes, modseqs, strict=True):
                self._told_modseqs[at] = one
        return modseqs

    def tell_of(self, indexes: Sequence[int]) -> Sequence[int]:
        """Flag bits now, which from here on count as told."""
        bits = self.flags(indexes)
        if isinstance(indexes, range) and indexes.step == 1 and isinstance(bits, array):
            self.told[indexes.start : indexes.stop] = bits
        else:
            for at, one in zip(indexes, bits, strict=True):
                self.told[at] = one
        return bits

    def names(self, bits: int) -> bytes:
        """Flag names, space separated."""
        names = self._names.get(bits)
        if names is None:  # a bit's keyword never changes, so this need not be forgotten
            self._new_keywords = self._new_keywords or bits > self._known
            names = self._names[bits] = " ".join(self.mailbox.flag_names(bits)).encode("utf-8", "replace")
        return names

    def named(self, bits: Sequence[int]) -> list[bytes]:
        """The flags of messages."""
        names = {one: self.names(one) for one in set(bits)}
        return [names[one] for one in bits]

    def all_flags(self) -> bytes:
        """Every flag that the mailbox knows."""
        return b" ".join([SYSTEM, *(word.encode("utf-8", "replace") for word in self.mailbox.keywords())])

    def new_keywords(self) -> bytes:
        """FLAGS, when keywords came up that the client has not been told of; else nothing."""
        if not self._new_keywords:
            return b""
        self._new_keywords = False
        self._known = (1 << (FIRST_KEYWORD + len(self.mailbox.keywords()))) - 1
        return b"* FLAGS (%s)\r\n* OK [PERMANENTFLAGS (%s)] more\r\n" % (self.all_flags(), self.permanent_flags())

    def keywords_for(self, indexes: Sequence[int]) -> bytes:
        """The same before the flags of messages are told, if there are such keywords among them."""
        bits = self.flags(indexes)
        if max(bits, default=0) <= self._known:
            return b""
        self.named(bits)
        return self.new_keywords()

    # -- \Recent (RFC 3501 2.3.2)

    def notify(self, identity: str, *, read_only: bool, left: Left | None = None) -> None:
        """From here on the session counts as notified of what it is told; what no other was before is recent here.

        `left`: what this client had open before.  Its session goes on when it opens the same mailbox again (RFC 3501
        1.2)."""
        self._notified = self.mailbox if fulfils(self.mailbox, Notified) else None
        self._identity, self._read_only = (identity, self.mailbox.uidvalidity), read_only
        if left is not None and left.identity == self._identity:
            self._recent = left.recent
        self._note_recent()

    def left(self) -> Left:
        """What is to be kept in case that the same mailbox is opened again."""
        return Left(self._identity, self._recent)

    def _note_recent(self) -> None:
        if self._notified is None or not self.uids:
            return
        last = self.uids[-1]
        # Who may not change the mailbox takes nothing away from who comes next.
        first = self._notified.not_notified() if self._read_only else self._notified.notified(last)
        if first > last:
            return
        if self._recent and first <= self._recent[-1][1] + 1:
            first = min(first, self._recent.pop()[0])
        self._recent.append((first, last))
        del self._recent[:-RECENT_RANGES]

    def _recent_runs(self) -> list[tuple[int, int]]:
        """(first index, index behind the last) of the recent ones."""
        uids = self.uids
        return [(bisect_left(uids, first), bisect_right(uids, last)) for first, last in self._recent]

    def recent_count(self) -> int:
        """How many are recent."""
        return sum(end - start for start, end in self._recent_runs())

    def recent(self, indexes: Sequence[int]) -> list[int]:
        """Those that are recent."""
        runs = self._recent_runs() if self.shows_recent else []
        ends = [end for _, end in runs]
        return [at for at in indexes if (run := bisect_right(ends, at)) < len(runs) and runs[run][0] <= at]

    def not_recent(self, indexes: Sequence[int]) -> Sequence[int]:
        """Those that are not."""
        recent = frozenset(self.recent(indexes))
        return [at for at in indexes if at not in recent] if recent else indexes

    def recent_line(self) -> bytes:
        """RECENT, which from here on counts as told."""
        self._told_recent = self.recent_count()
        return b"* %d RECENT\r\n" % self._told_recent

    def flags_of(self, indexes: Sequence[int], bits: Sequence[int]) -> list[bytes]:
        r"""The flags of messages, \Recent among them."""
        names = self.named(bits)
        if not (self._recent and self.shows_recent):
            return names
        both = {name: name + b" \\Recent" if name else b"\\Recent" for name in set(names)}
        if isinstance(indexes, range) and indexes.step == 1:
            for start, end in self._recent_runs():
                first, last = max(start - indexes.start, 0), min(end - indexes.start, len(names))
                if first < last:
                    names[first:last] = [both[name] for name in names[first:last]]
            return names
        recent = frozenset(self.recent(indexes))
        return [both[name] if at in recent else name for at, name in zip(indexes, names, strict=True)]

    # -- rights (RFC 4314)

    def may(self, rights: str) -> bool:
        """Has the user one of these rights here?"""
        mailbox = self.mailbox
        return not fulfils(mailbox, Righted) or not set(rights).isdisjoint(mailbox.my_rights())

    def may_set(self, flag: str) -> bool:
        """May the user change a flag here?"""
        return self.may(RIGHT_FOR.get(flag.lower(), "w"))

    def permanent_flags(self) -> bytes:
        """The flags that the user may change; `\\*` for more of them."""
        allowed = [word for word in self.all_flags().split(b" ") if self.may_set(word.decode("utf-8", "replace"))]
        return b" ".join([*allowed, b"\\*"] if self.may("w") else allowed)

    # -- what happened

    def hear(self, changes: Changes) -> None:
        """Takes news from the backend; nothing is told yet."""
        if changes.resync:
            self._resync()
            return
        last = self.uids[-1] if self.uids else 0
        self._added += [entry for entry in changes.added if entry[0] > last]
        self._flags.update(dict.fromkeys(changes.flags))
        self._look_for_keywords = bool(changes.added or changes.flags) or self._look_for_keywords
        self._expunged.update(changes.expunged)

    def _resync(self) -> None:
        now = {uid: message for uid, message, _ in self.mailbox.entries()}
        last = self.uids[-1] if self.uids else 0
        self._added = [(uid, message) for uid, message in now.items() if uid > last]
        self._flags = dict.fromkeys(now)
        self._look_for_keywords = True
        self._expunged = {uid for uid in self.uids if uid not in now}

    def tell(self, *, expunges: bool) -> Iterator[bytes]:
        """The untagged responses that bring the client up to date."""
        touched = [*self._flags, *(uid for uid, _ in self._added)] if self.contexts else []
        if self._look_for_keywords:
            # All sessions know of the same keywords, also of those whose messages are gone again.
            self._look_for_keywords = False
            if FIRST_KEYWORD + len(self.mailbox.keywords()) > self._known.bit_length():
                self._new_keywords = True
                yield self.new_keywords()
        moved = bool(self._added or (self._expunged and expunges))
        if self._expunged and expunges:
            # RFC 5267 4.3: numbers that a search loses are told while they are still those messages'.
            for live in self.contexts:
                yield live.lost(self._expunged)
            yield from self._tell_expunged()
        if self._added:
            yield from self._tell_added()
        if moved and self._recent and self.shows_recent and self.recent_count() != self._told_recent:
            yield self.recent_line()
        if self._flags:
            yield from self._tell_flags()
        for live in self.contexts if touched else ():
            yield live.changed(touched)

    def _tell_expunged(self) -> Iterator[bytes]:
        gone = self._expunged
        self._added = [entry for entry in self._added if entry[0] not in self._expunged]
        self._expunged = set()
        if len(gone) * FEW > len(self.uids):
            indexes = [at for at, uid in enumerate(self.uids) if uid in gone]
        else:
            indexes = [at for uid in sorted(gone) if (at := self.index(uid)) >= 0]
        if not indexes:
            return
        if self.vanished:
            yield from vanished([self.uids[at] for at in indexes])
        else:
            for end in range(len(indexes), 0, -AT_ONCE):
                some = indexes[max(0, end - AT_ONCE) : end]
                yield b"".join([b"* %d EXPUNGE\r\n" % (at + 1) for at in reversed(some)])
        self._remove(indexes)

    def _remove(self, indexes: list[int]) -> None:
        columns = [self.uids, self.messages, self.told]
        if self._told_modseqs is not None:
            columns.append(self._told_modseqs)
        if indexes[-1] - indexes[0] == len(indexes) - 1:
            for column in columns:
                del column[indexes[0] : indexes[-1] + 1]
            return
        if len(indexes) < 20:
            for column in columns:
                for at in reversed(indexes):
                    del column[at]
            return
        gone = set(indexes)
        kept = [at for at in range(len(self.uids)) if at not in gone]
        for column in columns:
            column[:] = array("q", [column[at] for at in kept])

    def _tell_added(self) -> Iterator[bytes]:
        added, self._added = self._added, []
        before = len(self.uids)
        for uid, message in sorted(set(added)):
            bits = self.mailbox.bits(uid)
            if bits is not None and (not self.uids or uid > self.uids[-1]):
                self.uids.append(uid)
                self.messages.append(message)
                self.told.append(bits)
                if self._told_modseqs is not None:
                    self._told_modseqs.append(0)
                self._flags.pop(uid, None)
                self.names(bits)
        if len(self.uids) > before:
            self._note_recent()
            yield self.new_keywords() + b"* %d EXISTS\r\n" % len(self.uids)
            if self.new_items is not None:
                yield from self.new_items(range(before, len(self.uids)))

    def _tell_flags(self) -> Iterator[bytes]:
        flags, self._flags = self._flags, {}
        changed: list[int] = []
        columns = self._aligned() if len(flags) > SEVERAL and not self.modseqs else None
        if columns is not None:
            # Whatever is otherwise than it was told; for many that is quicker than looking for each.
            now = columns.flags[: len(self.told)]
            if now != self.told:
                changed = [at for at, (had, has) in enumerate(zip(self.told, now, strict=True)) if had != has]
                self.told = now
            flags = {}
        for uid in flags:
            at = self.index(uid)
            if at >= 0:
                bits = self.mailbox.bits(uid)
                if bits is not None and (bits != self.told[at] or self._modseq_is_news(at)):
                    self.told[at] = bits
                    changed.append(at)
        if changed:
            for start in range(0, len(changed), AT_ONCE):
                lines = self.flag_lines(changed[start : start + AT_ONCE], uid=True)
                yield self.new_keywords() + lines

    def _modseq_is_news(self, at: int) -> bool:
        """RFC 7162 3.2: a change that was undone before it could be told has left a new modseq."""
        if not self.modseqs or self.indexed is None:
            return False
        (now,) = self.modseqs_of((at,))
        return self._told_modseqs is None or self._told_modseqs[at] != now

    def flag_lines(self, indexes: Sequence[int], *, uid: bool) -> bytes:
        """Untagged FETCH responses with the flags as told, and with MODSEQ where it is due."""
        names = self.flags_of(indexes, _pick(self.told, indexes))
        word, numbers = self.labels(indexes)
        columns: list[Sequence[Any]] = [numbers]
        items = b""
        if (uid or self.modseqs) and not self.uidonly:
            items = b"UID %d "
            columns.append(_pick(self.uids, indexes))
        items += b"FLAGS (%s)"
        columns.append(names)
        if self.modseqs and self.indexed is not None:
            items += b" MODSEQ (%d)"
            columns.append(self.tell_modseqs_of(indexes))
        return b"".join(map((b"* %d " + word + b" (" + items + b")\r\n").__mod__, zip(*columns, strict=True)))

    def labels(self, indexes: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The name of the response that tells of messages, and their numbers in it."""
        if self.uidonly:
            return b"UIDFETCH", [self.uids[at] for at in indexes]
        return b"FETCH", [at + 1 for at in indexes]


def vanished(uids: Sequence[int], *, earlier: bool = False) -> Iterator[bytes]:
    """VANISHED responses (RFC 7162 3.2.10) for ascending uids."""
    word = b"VANISHED (EARLIER)" if earlier else b"VANISHED"
    ranges = writer.sequence_set(uids).split(b",") if uids else []
    for start in range(0, len(ranges), VANISHED_AT_ONCE):
        yield b"* %s %s\r\n" % (word, b",".join(ranges[start : start + VANISHED_AT_ONCE]))


def _pick(column: array[int], indexes: Sequence[int]) -> Sequence[int]:
    if isinstance(indexes, range) and indexes.step == 1:
        return column[indexes.start : indexes.stop]
    return [column[at] for at in indexes]
