"""One transaction: whole operations on an account, each noting the changes it makes.

Every method works on committed-or-nothing ground; who hears of the changes, and when, is account.py's business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from mox_store.changes import Kind, ranges
from mox_store.history import HistoryChanges
from mox_store.mailbox import Mailbox, MailboxError
from mox_store.mailboxes import MailboxOperations
from mox_store.message import DELETED, FORMAT, SEEN, Added, Mark, NewMessage, Traits
from mox_store.people import PeopleChanges
from mox_store.quota import ROOM, Quota, read_quota
from mox_store.threads import thread_of

FlagAction = Literal["add", "remove", "replace"]

_ADD_MESSAGE = (
    "INSERT INTO message(id,size,received,sent,format,prefix,envelope,bodystructure,header,subject,preview,"
    "message_id,decision,segment,at,length,origin,thread) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_ADD_ENTRY = "INSERT INTO entry(mailbox,uid,flags,size,modseq,message,saved,createseq) VALUES(?,?,?,?,?,?,?,?)"
_DELETE_RUN = "DELETE FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?"
_SHOWN = "SELECT 1 FROM entry WHERE message=? LIMIT 1"
_SHOWN_BETWEEN = "SELECT message FROM entry WHERE message BETWEEN ? AND ?"
# Of so many messages, whose numbers are not further apart than this times as many, it is asked at once what shows them.
MANY, SPREAD = 50, 8
# So many, in so few runs of numbers that each has this many on average, are copied and moved by the run.
RUN = 20
_Entry = tuple[int, int, int, int, int]  # (uid, flags, size, modseq, message)
_TOTALS = (
    "SELECT count(*),ifnull(sum(flags&1=0),0),ifnull(sum(flags&8<>0),0),ifnull(sum(size),0),ifnull(max(flags>>5),0) "
    "FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?"
)
_UIDS = "SELECT uid FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?"
_COPY_RUN = (
    "INSERT INTO entry(mailbox,uid,flags,size,modseq,message,saved,createseq) "
    "SELECT :target,{uid},flags,size,:modseq,message,:now,:modseq FROM entry "
    "WHERE mailbox=:source AND uid BETWEEN :first AND :last"
)
_COPY_DENSE = _COPY_RUN.format(uid="uid+:shift")
_COPY_SPARSE = _COPY_RUN.format(uid="row_number() OVER (ORDER BY uid)+:before")
# What being in a mailbox says of a message: that it is junk, that it is wanted, that nobody said (Mark.NONE), or
# (None) nothing that should change its keywords.
MarkRule = Callable[[Mailbox], Mark | None]
# As registered with IANA, and as older clients write them.
_JUNK_WORDS = ("$Junk", "Junk")
_WANTED_WORDS = ("$NotJunk", "NonJunk", "NotJunk")


@dataclass(frozen=True, slots=True)
class Flagged:
    """What a flag operation did: (uid, flags after, modseq) of what changed; uids that UNCHANGEDSINCE kept."""

    changed: tuple[tuple[int, int, int], ...]
    modified: tuple[int, ...]
    modseq: int


class _Totals(NamedTuple):
    """What some entries come to; `keywords` is the most of their bits as a number, 0 when none has any."""

    entries: int
    unseen: int
    deleted: int
    size: int
    keywords: int = 0

    @classmethod
    def of(cls, entries: Sequence[tuple[int, int]]) -> _Totals:
        """Of (flags, size)."""
        return cls(
            len(entries),
            sum([not flags & SEEN for flags, _ in entries]),
            sum([flags & DELETED for flags, _ in entries]) // DELETED,
            sum([size for _, size in entries]),
        )

    @classmethod
    def together(cls, all_of: Sequence[_Totals]) -> _Totals:
        """Of several together."""
        return cls(*map(sum, zip(*all_of, strict=True))) if all_of else cls(0, 0, 0, 0)


def _runs(uids: Sequence[int]) -> list[tuple[int, int]]:
    """Many uids as (first, last) runs, when they are few; else nothing."""
    if len(uids) <= MANY:
        return []
    found = list(ranges(sorted(set(uids))))
    return found if len(found) * RUN <= len(uids) else []


class Transaction(MailboxOperations):
    """Operations inside one commit."""

    # Who copies or moves a message from one kind of mailbox into another has said what it is.
    mark_rule: MarkRule | None = None

    @cached_property
    def added_entries(self) -> dict[int, list[tuple[int, int, int, int, int]]]:
        """What came into which mailbox, as View.add wants it."""
        return {}

    @cached_property
    def added_runs(self) -> dict[int, list[tuple[int, int]]]:
        """What else came into which mailbox: first and last uid."""
        return {}

    @cached_property
    def flag_results(self) -> dict[int, list[tuple[int, int, int]]]:
        """What changed flags in which mailbox, as View.flag wants it."""
        return {}

    @cached_property
    def people(self) -> PeopleChanges:
        """Who may log in, and how."""
        return PeopleChanges(self._db, self._now)

    @cached_property
    def history(self) -> HistoryChanges:
        """What the owner's marks say about senders; to whom the owner writes."""
        return HistoryChanges(self._db, self._now)

    @cached_property
    def _quota(self) -> Quota:
        return read_quota(self._asked)

    @cached_property
    def _last_message(self) -> int:
        """The highest number that was ever given to a message."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='message'").fetchone()
        return row[0] if row is not None else 0

    # -- messages

    def add(self, mailbox: Mailbox, message: NewMessage) -> Added:
        """Adds a message; the mailbox must exist in this transaction.  Raises MailboxError."""
        db, traits, staged = self._db, message.traits, message.staged
        size = len(message.prefix) + message.content.size
        self._room_for(1, size)
        mailbox = self.learn(mailbox, message.flags)
        flags = mailbox.bits(message.flags)
        decision = message.decision
        self._last_message = number = self._last_message + 1
        # Asked before: to set the thread afterwards would write the whole row twice.
        thread = thread_of(db, number, traits.message_id, traits.references)
        db.execute(
            _ADD_MESSAGE,
            (
                number, size, message.received, traits.sent, traits.format, message.prefix, traits.envelope,
                traits.bodystructure, traits.header, traits.subject, traits.preview, traits.message_id,
                decision[0] if decision else None, staged.segment if staged else None, staged.at if staged else None,
                message.content.size, "\n".join(f"{kind} {value}" for kind, value in message.origin), thread,
            ),
        )  # fmt: skip
        if staged is None:
            db.execute("INSERT INTO blob VALUES(?,?)", (number, message.content.read()))
        if decision is not None:
            db.execute("INSERT OR REPLACE INTO decision VALUES(?,?)", decision)
        modseq = self._modseq()
        uid, uidvalidity = self._grow(mailbox, modseq, _Totals.of([(flags, size)]))
        db.execute(_ADD_ENTRY, (mailbox.id, uid, flags, size, modseq, number, self._now, modseq))
        self._note(modseq, mailbox.id, Kind.ADDED, (uid,))
        self.added_entries.setdefault(mailbox.id, []).append((uid, number, size, flags, modseq))
        if flags >> 5:
            self._marked(mailbox, [(number, flags)])
        return Added(mailbox.id, uidvalidity, uid, number, modseq)

    def _room_for(self, messages: int, size: int) -> None:
        quota = self._quota
        if quota is not ROOM:
            problem = quota.refusal(messages, size)
            if problem:
                raise MailboxError("OVERQUOTA", problem)
            self.__dict__["_quota"] = quota.with_more(messages, size)

    def _entries(self, mailbox: int, uids: Sequence[int]) -> list[_Entry]:
        """Those of `uids` that are there, ascending."""
        found: list[_Entry] = []
        for first, last in ranges(sorted(set(uids))):
            found += self._db.execute(
                "SELECT uid,flags,size,modseq,message FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?",
                (mailbox, first, last),
            )
        return found

    def copy(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        """Copies what is there of `uids`; (uid, uid of the copy) pairs, ascending.  Raises MailboxError."""
        if (runs := _runs(uids)) and (pairs := self._copy_runs(source, runs, target)) is not None:
            return pairs
        entries = self._entries(source.id, uids)
        self._room_for(len(entries), sum(entry[2] for entry in entries))
        return self._copy(source, entries, target)

    def _totals(self, mailbox: int, runs: Sequence[tuple[int, int]]) -> list[_Totals]:
        return [_Totals(*self._db.execute(_TOTALS, (mailbox, *run)).fetchone()) for run in runs]

    def _uids(self, mailbox: int, run: tuple[int, int], count: int) -> Sequence[int]:
        """The uids of a run, in which there are so many."""
        first, last = run
        if count == last - first + 1:
            return range(first, last + 1)
        return [uid for (uid,) in self._db.execute(_UIDS, (mailbox, first, last))]

    def _copy_runs(
        self, source: Mailbox, runs: Sequence[tuple[int, int]], target: Mailbox, *, moves: bool = False
    ) -> list[tuple[int, int]] | None:
        """`copy` of many whose flags stay as they are, without looking at each; None: they do not."""
        target, mark = self._said(source, target)
        if mark is not None:
            return None
        totals = self._totals(source.id, runs)
        whole = _Totals.together(totals)
        if not whole.entries or (whole.keywords and source.keywords != target.keywords):
            return None
        if any(total.keywords >> len(source.keywords) for total in totals):  # `source` is from before they were learned
            return None
        if not moves:
            self._room_for(whole.entries, whole.size)
        modseq = self._modseq()
        first, _ = self._grow(target, modseq, whole)
        uid = first
        pairs: list[tuple[int, int]] = []
        if source.id == target.id:  # the copies are not to be copied
            runs = [(low, min(high, first - 1)) for low, high in runs]
        for run, total in zip(runs, totals, strict=True):
            values = {
                "target": target.id, "source": source.id, "modseq": modseq, "now": self._now, "first": run[0],
                "last": run[1], "shift": uid - run[0], "before": uid - 1,
            }  # fmt: skip
            old = self._uids(source.id, run, total.entries)
            self._db.execute(_COPY_DENSE if isinstance(old, range) else _COPY_SPARSE, values)
            pairs += zip(old, range(uid, uid + total.entries), strict=True)
            uid += total.entries
        self._note(modseq, target.id, Kind.ADDED, range(first, uid))
        self.added_runs.setdefault(target.id, []).append((first, uid - 1))
        return pairs

    def _copy(self, source: Mailbox, entries: list[_Entry], target: Mailbox) -> list[tuple[int, int]]:
        if not entries:
            return []
        # In the order in which they come up, so that the same copy learns them the same way each time.
        seen = dict.fromkeys(entry[1] for entry in entries)
        target = self.learn(target, list(dict.fromkeys(name for bits in seen for name in source.names(bits))))
        target, mark = self._said(source, target)
        modseq = self._modseq()
        carried = [self._carried(source, entry[1], target) for entry in entries]
        if mark is not None:
            carried = [marked(target, bits, mark) for bits in carried]
        added = _Totals.of([(bits, e[2]) for bits, e in zip(carried, entries, strict=True)])
        first, _ = self._grow(target, modseq, added)
        pairs: list[tuple[int, int]] = []
        rows = []
        shown = self.added_entries.setdefault(target.id, [])
        for uid, bits, entry in zip(range(first, first + len(entries)), carried, entries, strict=True):
            rows.append((target.id, uid, bits, entry[2], modseq, entry[4], self._now, modseq))
            pairs.append((entry[0], uid))
            shown.append((uid, entry[4], entry[2], bits, modseq))
        self._db.executemany(_ADD_ENTRY, rows)
        self._note(modseq, target.id, Kind.ADDED, [new for _, new in pairs])
        if mark is not None:
            self._marked(target, [(entry[4], bits) for entry, bits in zip(entries, carried, strict=True)])
        return pairs

    def _said(self, source: Mailbox, target: Mailbox) -> tuple[Mailbox, Mark | None]:
        """What going from one to the other says of a message; the target, with the keywords for it."""
        if self.mark_rule is None or (mark := self.mark_rule(target)) is None or mark == self.mark_rule(source):
            return target, None
        try:
            return self.learn(target, mark.keywords), mark
        except MailboxError:  # it has as many keywords as it may have: the message goes there all the same
            return target, None

    def _carried(self, source: Mailbox, bits: int, target: Mailbox) -> int:
        return bits if source.keywords == target.keywords else target.bits(source.names(bits))

    def _grow(self, target: Mailbox, modseq: int, added: _Totals) -> tuple[int, int]:
        """Counts entries in; (the first's uid, uidvalidity)."""
        row = self._db.execute(
            "UPDATE mailbox SET uidnext=uidnext+?,modseq=?,total=total+?,unseen=unseen+?,deleted=deleted+?,size=size+? "
            "WHERE id=? RETURNING uidnext,uidvalidity",
            (added.entries, modseq, added.entries, added.unseen, added.deleted, added.size, target.id),
        ).fetchone()
        if row is None:
            raise MailboxError("TRYCREATE", f"no mailbox {target.name!r}")
        return row[0] - added.entries, row[1]

    def _shrink(self, mailbox: Mailbox, gone: Sequence[int], totals: _Totals) -> None:
        """Counts entries out that are gone, and notes it."""
        modseq = self._modseq()
        self._db.execute(
            "UPDATE mailbox SET modseq=?,total=total-?,unseen=unseen-?,deleted=deleted-?,size=size-? WHERE id=?",
            (modseq, totals.entries, totals.unseen, totals.deleted, totals.size, mailbox.id),
        )
        self._note(modseq, mailbox.id, Kind.EXPUNGED, gone)

    def move(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        """Copies and expunges in one step (RFC 6851); (uid, new uid) pairs.  Raises MailboxError."""
        if (runs := _runs(uids)) and source.id != target.id:
            totals = self._totals(source.id, runs)
            pairs = self._copy_runs(source, runs, target, moves=True)
            if pairs is not None:
                # All of it is shown in the other mailbox now: nothing goes into the bin.
                for first, last in runs:
                    self._db.execute(_DELETE_RUN, (source.id, first, last))
                self._shrink(source, [uid for uid, _ in pairs], _Totals.together(totals))
                return pairs
        entries = self._entries(source.id, uids)
        pairs = self._copy(source, entries, target)
        if pairs:
            self._expunge(source, entries)
        return pairs

    def flag(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        action: FlagAction,
        flags: Sequence[str],
        unchanged_since: int | None = None,
    ) -> Flagged:
        """Changes flags; what stays the same gets no new modseq.  Raises MailboxError."""
        mailbox = self.learn(mailbox, tuple(flags)) if action != "remove" else mailbox
        bits = mailbox.bits(tuple(flags))
        touched = bits if action != "replace" else -1
        modified: tuple[int, ...] = ()
        messages: dict[int, int] = {}
        if unchanged_since is not None or touched >> 5:
            entries = self._entries(mailbox.id, uids)
            if unchanged_since is not None:
                modified = tuple(entry[0] for entry in entries if entry[3] > unchanged_since)
                entries = [entry for entry in entries if entry[3] <= unchanged_since]
            messages = {entry[0]: entry[4] for entry in entries}
            flagged = [(entry[0], entry[1]) for entry in entries]
        else:
            flagged = self._flags(mailbox.id, uids)
        turned = _turned(action, flagged, bits)
        if not turned:
            return Flagged((), modified, mailbox.modseq)
        modseq = self._modseq()
        self._set_flags(mailbox, action, bits, [entry[0] for entry in turned], modseq)
        unseen = deleted = 0
        if touched & SEEN:
            unseen = sum([(had & SEEN) - (now & SEEN) for _, had, now in turned])
        if touched & DELETED:
            deleted = sum([(now & DELETED) - (had & DELETED) for _, had, now in turned]) // DELETED
        self._db.execute(
            "UPDATE mailbox SET modseq=?,unseen=unseen+?,deleted=deleted+? WHERE id=?",
            (modseq, unseen, deleted, mailbox.id),
        )
        self._note(modseq, mailbox.id, Kind.FLAGS, [entry[0] for entry in turned])
        changed = tuple([(uid, now, modseq) for uid, _, now in turned])
        self.flag_results.setdefault(mailbox.id, []).extend(changed)
        if touched >> 5:
            self._marked(mailbox, [(messages[uid], now) for uid, had, now in turned if (had ^ now) >> 5])
        return Flagged(changed, modified, modseq)

    def _flags(self, mailbox: int, uids: Sequence[int]) -> list[tuple[int, int]]:
        """(uid, flags) of those of `uids` that are there, ascending."""
        found: list[tuple[int, int]] = []
        for first, last in ranges(sorted(set(uids))):
            found += self._db.execute(
                "SELECT uid,flags FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?", (mailbox, first, last)
            )
        return found

    def _set_flags(self, mailbox: Mailbox, action: FlagAction, bits: int, uids: list[int], modseq: int) -> None:
        expression = {"add": "flags|:bits", "remove": "flags&~:bits", "replace": ":bits"}[action]
        for first, last in ranges(uids):
            self._db.execute(
                f"UPDATE entry SET flags={expression},modseq=:modseq "  # noqa: S608
                "WHERE mailbox=:mailbox AND uid BETWEEN :first AND :last",
                {"bits": bits, "modseq": modseq, "mailbox": mailbox.id, "first": first, "last": last},
            )

    def _marked(self, mailbox: Mailbox, messages: Sequence[tuple[int, int]]) -> None:
        """(message, flags) whose keywords changed: do they say junk, or not junk?"""
        junk, wanted = mailbox.bits(_JUNK_WORDS), mailbox.bits(_WANTED_WORDS)
        if junk | wanted:
            for message, flags in messages:
                self.history.mark(message, _mark(bool(flags & junk), bool(flags & wanted)))

    def expunge(self, mailbox: Mailbox, uids: Sequence[int] | None, *, only_deleted: bool = True) -> tuple[int, ...]:
        """Removes entries (all with \\Deleted, or those of `uids`); the uids that went, ascending.

        Messages without entries stay until they are swept: a session that has not been told may still read them, and
        `undelete` brings them back."""
        if uids is None:
            entries = self._db.execute(
                "SELECT uid,flags,size,modseq,message FROM entry WHERE mailbox=? AND flags&8", (mailbox.id,)
            ).fetchall()
        else:
            entries = [e for e in self._entries(mailbox.id, uids) if not only_deleted or e[1] & DELETED]
        self.__dict__.pop("_quota", None)  # there is more room now, also for what follows in this transaction
        return self._expunge(mailbox, entries)

    def _expunge(self, mailbox: Mailbox, entries: list[_Entry]) -> tuple[int, ...]:
        if not entries:
            return ()
        gone = tuple([entry[0] for entry in entries])
        for first, last in ranges(gone):
            self._db.execute(_DELETE_RUN, (mailbox.id, first, last))
        self._keep(mailbox, entries)
        self._shrink(mailbox, gone, _Totals.of([(entry[1], entry[2]) for entry in entries]))
        return gone

    # -- the bin

    def _keep(self, mailbox: Mailbox, entries: list[_Entry]) -> None:
        """What nothing shows any more goes into the bin, with where it was and how it was flagged."""
        shown = self._shown([entry[4] for entry in entries])
        names = {flags: " ".join(mailbox.names(flags & ~DELETED)) for flags in {entry[1] for entry in entries}}
        self._db.executemany(
            "INSERT OR REPLACE INTO bin VALUES(?,?,?,?)",
            [(e[4], mailbox.name, names[e[1]], self._now) for e in entries if e[4] not in shown],
        )

    def _shown(self, messages: Sequence[int]) -> set[int]:
        """Those of some messages that an entry shows, and perhaps others."""
        low, high = min(messages), max(messages)
        if len(messages) > MANY and high - low < SPREAD * len(messages):
            return {id for (id,) in self._db.execute(_SHOWN_BETWEEN, (low, high))}
        return {id for id in messages if self._db.execute(_SHOWN, (id,)).fetchone() is not None}

    def undelete(self, messages: Collection[int], mailbox: str | None = None) -> list[Added]:
        """Brings messages of the bin back, each to the mailbox that had it last (made again if need be), or all to
        `mailbox`; where they went.  What has been swept is passed over.  Raises MailboxError."""
        back: list[Added] = []
        for message in sorted(set(messages)):
            row = self._db.execute(
                "SELECT b.mailbox,b.flags,m.size FROM bin b JOIN message m ON m.id=b.message WHERE b.message=?",
                (message,),
            ).fetchone()
            if row is None:
                continue
            name, flags, size = row
            self._room_for(1, size)
            target = self.learn(self.mailbox_or_new(mailbox or name), flags.split())
            bits, modseq = target.bits(flags.split()), self._modseq()
            uid, uidvalidity = self._grow(target, modseq, _Totals.of([(bits, size)]))
            self._db.execute(_ADD_ENTRY, (target.id, uid, bits, size, modseq, message, self._now, modseq))
            self._db.execute("DELETE FROM bin WHERE message=?", (message,))
            self._note(modseq, target.id, Kind.ADDED, (uid,))
            self.added_entries.setdefault(target.id, []).append((uid, message, size, bits, modseq))
            back.append(Added(target.id, uidvalidity, uid, message, modseq))
        return back

    # -- everything else

    def retrait(self, message: int, traits: Traits) -> None:
        """Replaces what was made at delivery: when its format changed, or when an import left it to be made."""
        self._db.execute(
            "UPDATE message SET format=?,envelope=?,bodystructure=?,header=?,subject=?,preview=?,sent=?,message_id=? "
            "WHERE id=?",
            (
                traits.format, traits.envelope, traits.bodystructure, traits.header, traits.subject, traits.preview,
                traits.sent, traits.message_id, message,
            ),
        )  # fmt: skip

    def set_quota(self, *, size: int | None = None, messages: int | None = None) -> None:
        """Limits the account; None is no limit."""
        self.set_fact("quota", -1 if size is None else size)
        self.set_fact("quota messages", -1 if messages is None else messages)
        self.__dict__.pop("_quota", None)

    def set_retention(self, seconds: int) -> None:
        """How long expunged messages can be brought back; sessions that have not been told of an expunge may read a
        message for account.SWEEP_SECONDS in any case."""
        self.set_fact("retention", seconds)

    def decide(self, number: int, record: bytes) -> None:
        """Keeps a decision that belongs to no message."""
        self._db.execute("INSERT OR REPLACE INTO decision VALUES(?,?)", (number, record))

    def set_credential(self, kind: str, value: str) -> None:
        """Keeps a verifier (opaque), replacing an older one of that kind."""
        self._db.execute("INSERT OR REPLACE INTO credential VALUES(?,?)", (kind, value))


def _turned(action: FlagAction, entries: Sequence[tuple[int, int]], bits: int) -> list[tuple[int, int, int]]:
    """(uid, flags before, flags after) of those (uid, flags) that an action changes."""
    if action == "add":
        return [(uid, had, had | bits) for uid, had in entries if had & bits != bits]
    if action == "remove":
        kept = ~bits
        return [(uid, had, had & kept) for uid, had in entries if had & bits]
    return [(uid, had, bits) for uid, had in entries if had != bits]


def marked(mailbox: Mailbox, bits: int, mark: Mark) -> int:
    """Flags with the keyword for the mark, and without those that speak against it.  Who said "not junk" before (as
    clients do when they move a message out of Junk) is not contradicted by a mailbox that says nothing."""
    against = _WANTED_WORDS if mark is Mark.JUNK else _JUNK_WORDS
    return bits & ~mailbox.bits(against) | mailbox.bits(mark.keywords)


def _mark(junk: bool, wanted: bool) -> Mark:
    if junk == wanted:  # neither, or a client that says both
        return Mark.NONE
    return Mark.JUNK if junk else Mark.WANTED


__all__ = ["FORMAT", "FlagAction", "Flagged", "MarkRule", "Transaction"]
