"""An open mailbox in memory: arrays of uid, message, size, flags and modseq, shared by the sessions of a process.

33 bytes a message; SELECT, UNSEEN, SEARCH by flag and the numbering of sessions are array operations."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from mox_store.changes import ranges
from mox_store.database import Database
from mox_store.mailbox import Mailbox

LOAD_AT_ONCE = 5000
# From so many changes on it pays to look whether they stand side by side.
MANY = 20
# So few runs are cut out one by one; of more, what is left is put together anew.
RUNS = 20
_ENTRIES = "SELECT uid,message,size,flags,modseq FROM entry WHERE mailbox=? AND uid>? ORDER BY uid LIMIT ?"


class View:
    """The entries of one mailbox, ascending by uid.  `modseq` is the newest change that it knows."""

    __slots__ = ("flags", "mailbox", "messages", "modseq", "modseqs", "references", "row", "sizes", "uids")

    def __init__(self, mailbox: int) -> None:
        self.mailbox = mailbox
        self.modseq = 0
        self.references = 0
        self.row: tuple[int, Mailbox] | None = None  # the mailbox, as it was when the view stood at that modseq
        self.uids = array("q")
        self.messages = array("q")
        self.sizes = array("q")
        self.flags = array("q")
        self.modseqs = array("q")

    @classmethod
    def load(cls, database: Database, mailbox: int, modseq: int) -> View:
        """Reads the whole mailbox."""
        view = cls(mailbox)
        view.modseq = modseq
        last = 0
        while rows := database.rows(_ENTRIES, (mailbox, last, LOAD_AT_ONCE)):
            last = rows[-1][0]
            uids, messages, sizes, flags, modseqs = zip(*rows, strict=True)
            view.uids.extend(uids)
            view.messages.extend(messages)
            view.sizes.extend(sizes)
            view.flags.extend(flags)
            view.modseqs.extend(modseqs)
        return view

    def __len__(self) -> int:
        return len(self.uids)

    def index(self, uid: int) -> int:
        """Where `uid` stands, or -1."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def add(self, entries: Iterable[tuple[int, int, int, int, int]]) -> None:
        """(uid, message, size, flags, modseq), ascending; what is there already is brought up to date."""
        for uid, message, size, flags, modseq in entries:
            if not self.uids or uid > self.uids[-1]:
                self.uids.append(uid)
                self.messages.append(message)
                self.sizes.append(size)
                self.flags.append(flags)
                self.modseqs.append(modseq)
                continue
            at = bisect_left(self.uids, uid)
            if self.uids[at] == uid:
                if modseq >= self.modseqs[at]:
                    self.flags[at], self.modseqs[at] = flags, modseq
                continue
            for column, value in zip(self._columns(), (uid, message, size, flags, modseq), strict=True):
                column.insert(at, value)

    def flag(self, changed: Sequence[tuple[int, int, int]]) -> None:
        """(uid, flags, modseq) of entries that changed."""
        if len(changed) > MANY and self._flag_run(changed):
            return
        for uid, flags, modseq in changed:
            at = self.index(uid)
            if at >= 0 and modseq >= self.modseqs[at]:
                self.flags[at], self.modseqs[at] = flags, modseq

    def _flag_run(self, changed: Sequence[tuple[int, int, int]]) -> bool:
        """Many that stand side by side, as with STORE 1:*, go in together."""
        uids, flags, modseqs = zip(*changed, strict=True)
        at = self.index(uids[0])
        end = at + len(uids)
        if at < 0 or self.uids[at:end] != array("q", uids) or max(self.modseqs[at:end]) > min(modseqs):
            return False
        self.flags[at:end], self.modseqs[at:end] = array("q", flags), array("q", modseqs)
        return True

    def remove(self, uids: Sequence[int]) -> None:
        """Takes entries out."""
        runs = list(ranges(uids))
        if len(runs) <= RUNS:
            for first, last in runs:
                start, end = bisect_left(self.uids, first), bisect_right(self.uids, last)
                for column in self._columns():
                    del column[start:end]
            return
        gone = {at for uid in uids if (at := self.index(uid)) >= 0}
        kept = [at for at in range(len(self.uids)) if at not in gone]
        for name in ("uids", "messages", "sizes", "flags", "modseqs"):
            column = getattr(self, name)
            setattr(self, name, array("q", [column[at] for at in kept]))

    def _columns(self) -> tuple[array[int], ...]:
        return self.uids, self.messages, self.sizes, self.flags, self.modseqs
