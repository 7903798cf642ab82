"""A second engine behind the same doors: everything in memory, gone when the program ends.

For tests and trials; and the other opinion in the model test, written from what the doors promise and not from SQL."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mox_message import Content
from mox_store.changes import Change, Kind
from mox_store.disk import Loop, StoreError
from mox_store.mailbox import INITIAL, SPECIAL_USES, Mailbox, MailboxError, canonical, check_name
from mox_store.mailboxes import MAX_ANNOTATION, MAX_ANNOTATIONS, annotation_name
from mox_store.memory_people import Known, MemoryHistory, MemoryPeople
from mox_store.message import Added, Binned, Flag, Mark, NewMessage, Row
from mox_store.quota import Quota
from mox_store.sweep import RETENTION_SECONDS
from mox_store.transaction import FlagAction, Flagged
from mox_store.view import View
from mox_store.watch import Watch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: int
    message: int
    size: int
    flags: int
    modseq: int
    saved: float
    createseq: int


@dataclass(frozen=True, slots=True)
class _Letter:
    """A message."""

    new: NewMessage
    data: bytes
    thread: int
    copies: int = 1
    expunged: float | None = None

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(slots=True)
class _World:
    """Everything that an account holds.  Values are frozen, so a shallow copy is a snapshot."""

    modseq: int = 1
    uidvalidity: int = 1
    last_mailbox: int = 0
    last_message: int = 0
    facts: dict[str, int] = field(default_factory=dict)
    mailboxes: dict[int, Mailbox] = field(default_factory=dict)
    entries: dict[int, dict[int, _Entry]] = field(default_factory=dict)
    letters: dict[int, _Letter] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    notified: dict[int, int] = field(default_factory=dict)
    subscriptions: set[str] = field(default_factory=set)
    annotations: dict[tuple[int, str], bytes] = field(default_factory=dict)
    rights: dict[tuple[int, str], str] = field(default_factory=dict)
    sharers: set[str] = field(default_factory=set)
    bin: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    decisions: dict[int, bytes] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)
    known: Known = field(default_factory=Known)

    def copy(self) -> _World:
        """A snapshot."""
        values = {name: getattr(self, name) for name in self.__slots__}
        copied: dict[str, Any] = {
            name: value.copy() if isinstance(value, (dict, set, Known)) else value for name, value in values.items()
        }
        copied["entries"] = {number: entries.copy() for number, entries in self.entries.items()}
        return _World(**copied)

    def by_name(self, name: str) -> Mailbox | None:
        """The mailbox of that name."""
        name = canonical(name)
        return next((one for one in self.mailboxes.values() if one.name == name), None)

    def counted(self, number: int) -> Mailbox:
        """A mailbox with its counters."""
        entries = self.entries[number].values()
        return replace(
            self.mailboxes[number],
            total=len(entries),
            unseen=sum(not one.flags & Flag.SEEN for one in entries),
            deleted=sum(bool(one.flags & Flag.DELETED) for one in entries),
            size=sum(one.size for one in entries),
        )

    def quota(self) -> Quota:
        """The limits and the use."""
        entries = [one for mailbox in self.entries.values() for one in mailbox.values()]
        size, messages = (self.facts.get(name, -1) for name in ("quota", "quota messages"))
        return Quota(
            size if size >= 0 else None,
            messages if messages >= 0 else None,
            sum(one.size for one in entries),
            len(entries),
        )


class MemoryTransaction:
    """mox_store.doors.TransactionDoor"""

    def __init__(self, world: _World, now: float) -> None:
        self._world = world
        self._now = now
        self.changes: list[Change] = []

    def _step(self, mailbox: int, kind: Kind, uids: Sequence[int] = ()) -> int:
        """A new modseq with its change."""
        modseq = self._next()
        self.changes.append(Change(modseq, mailbox, kind, tuple(uids)))
        return modseq

    def _next(self) -> int:
        self._world.modseq += 1
        return self._world.modseq

    def _touch(self, mailbox: int, **values: object) -> None:
        old = self._world.mailboxes[mailbox]
        self._world.mailboxes[mailbox] = replace(old, **values)  # type: ignore[arg-type]

    # -- mailboxes

    def mailbox(self, name: str) -> Mailbox:
        found = self._world.by_name(name)
        if found is None:
            raise MailboxError("NONEXISTENT", f"no mailbox {name!r}")
        return self._world.counted(found.id)

    def mailbox_by_id(self, id: int) -> Mailbox:
        if id not in self._world.mailboxes:
            raise MailboxError("NONEXISTENT", "the mailbox is gone")
        return self._world.counted(id)

    def mailbox_or_new(self, name: str) -> Mailbox:
        found = self._world.by_name(name)
        return self._world.counted(found.id) if found else self.create(name)

    def create(self, name: str, special: str = "") -> Mailbox:
        world, name = self._world, canonical(name)
        check_name(name)
        if world.by_name(name):
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {name!r} already")
        special = self._special(special)
        above = name.rpartition("/")[0]
        if above and not world.by_name(above):
            self.create(above)
        world.last_mailbox += 1
        modseq = self._step(world.last_mailbox, Kind.MAILBOXES)
        world.uidvalidity = max(world.uidvalidity + 1, int(self._now))
        made = Mailbox(
            world.last_mailbox, name, world.uidvalidity, 1, modseq, special, True, (), 0, 0, 0, 0, modseq
        )  # fmt: skip
        world.mailboxes[made.id], world.entries[made.id] = made, {}
        world.subscriptions.add(name)
        if above and (parent := world.by_name(above)) is not None:
            for (number, who), rights in list(world.rights.items()):
                if number == parent.id:
                    world.rights[made.id, who] = rights
        return made

    def _special(self, special: str) -> str:
        uses = [SPECIAL_USES.get(use.lower(), "") for use in special.split()]
        if "" in uses:
            raise MailboxError("USEATTR", f"{special} is no special use")
        for one in list(self._world.mailboxes.values()):
            self._touch(one.id, special=" ".join(use for use in one.special.split() if use not in uses))
        return " ".join(uses)

    def set_special(self, mailbox: Mailbox, special: str) -> None:
        special = self._special(special)
        self._touch(mailbox.id, special=special, modseq=self._step(mailbox.id, Kind.MAILBOXES))

    def delete(self, name: str) -> None:
        world, mailbox = self._world, self.mailbox(name)
        if mailbox.name == "Inbox":
            raise MailboxError("CANNOT", "the Inbox cannot be deleted")
        if any(one.name.startswith(mailbox.name + "/") for one in world.mailboxes.values()):
            raise MailboxError("HASCHILDREN", f"{mailbox.name!r} has mailboxes below it")
        self.expunge(mailbox, list(world.entries[mailbox.id]), only_deleted=False)
        for kept in (world.annotations, world.rights):
            for key in [key for key in kept if key[0] == mailbox.id]:
                del kept[key]
        del world.mailboxes[mailbox.id], world.entries[mailbox.id]
        self._step(mailbox.id, Kind.MAILBOXES)

    def rename(self, old: str, new: str) -> None:
        world, source, new = self._world, self.mailbox(old), canonical(new)
        check_name(new)
        if world.by_name(new):
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {new!r} already")
        if new.startswith(source.name + "/"):
            raise MailboxError("CANNOT", "a mailbox cannot move below itself")
        if source.name == "Inbox":
            target = self.create(new)
            self.move(source, list(world.entries[source.id]), target)
            return
        above = new.rpartition("/")[0]
        if above and not world.by_name(above):
            self.create(above)
        modseq = self._step(source.id, Kind.MAILBOXES)
        for one in list(world.mailboxes.values()):
            if one.id == source.id or one.name.startswith(source.name + "/"):
                renamed = new + one.name[len(source.name) :]
                check_name(renamed)
                self._touch(one.id, name=renamed, modseq=modseq)
                if one.name in world.subscriptions:
                    world.subscriptions.remove(one.name)
                    world.subscriptions.add(renamed)

    def subscribe(self, name: str, wanted: bool) -> None:
        name = canonical(name)
        if wanted:
            check_name(name)
            self._world.subscriptions.add(name)
        else:
            self._world.subscriptions.discard(name)
        if found := self._world.by_name(name):
            self._touch(found.id, subscribed=wanted)
        self._step(0, Kind.MAILBOXES)

    def annotate(self, mailbox: Mailbox | None, name: str, value: bytes | None) -> None:
        number, kept = (mailbox.id if mailbox else 0), self._world.annotations
        key = (number, annotation_name(name))
        if value is None:
            if kept.pop(key, None) is None:
                return
        elif len(value) > MAX_ANNOTATION:
            raise MailboxError(f"METADATA MAXSIZE {MAX_ANNOTATION}", "too long")
        elif sum(one[0] == number and one != key for one in kept) >= MAX_ANNOTATIONS:
            raise MailboxError("METADATA TOOMANY", "too many")
        else:
            kept[key] = value
        modseq = self._step(number, Kind.ANNOTATIONS)
        if number:
            self._touch(number, modseq=modseq)

    def rights(self, mailbox: int) -> dict[str, str]:
        return {who: rights for (number, who), rights in sorted(self._world.rights.items()) if number == mailbox}

    def set_rights(self, mailbox: Mailbox, who: str, rights: Collection[str]) -> None:
        self._world.rights.pop((mailbox.id, who), None)
        if rights:
            self._world.rights[mailbox.id, who] = "".join(sorted(set(rights)))
        self._step(mailbox.id, Kind.MAILBOXES)

    def set_sharer(self, account: str, shares: bool) -> None:
        if (account in self._world.sharers) != shares:
            (self._world.sharers.add if shares else self._world.sharers.remove)(account)
            self._step(0, Kind.MAILBOXES)

    def _learn(self, mailbox: Mailbox, flags: Sequence[str]) -> Mailbox:
        fresh = self.mailbox_by_id(mailbox.id)
        unknown = fresh.unknown(tuple(flags))
        if len(unknown) > fresh.room_for_keywords:
            raise MailboxError("LIMIT", "too many keywords")
        self._touch(mailbox.id, keywords=(*fresh.keywords, *unknown))
        return self.mailbox_by_id(mailbox.id)

    # -- messages

    def add(self, mailbox: Mailbox, message: NewMessage) -> Added:
        world, data = self._world, message.prefix + message.content.read()
        self._room_for(1, len(data))
        if mailbox.id not in world.mailboxes:
            raise MailboxError("NONEXISTENT" if message.flags else "TRYCREATE", f"no mailbox {mailbox.name!r}")
        flags = self._learn(mailbox, message.flags).bits(message.flags)
        world.last_message += 1
        number = world.last_message
        ids = [one for one in (*message.traits.references, message.traits.message_id) if one]
        thread = min((world.threads[one] for one in ids if one in world.threads), default=number)
        for one in ids:
            world.threads.setdefault(one, thread)
        world.letters[number] = _Letter(message, data, thread)
        world.known.origins[number] = (message.received, message.origin)
        if message.decision is not None:
            world.decisions[message.decision[0]] = message.decision[1]
        added = self._enter(mailbox, [(number, flags)])[0]
        if flags >> 5:
            self._marked(mailbox.id, [(number, flags)])
        return added

    @property
    def people(self) -> MemoryPeople:
        """mox_store.Transaction.people"""
        return MemoryPeople(self._world.known, self._now)

    @property
    def history(self) -> MemoryHistory:
        """mox_store.Transaction.history"""
        return MemoryHistory(self._world.known, self._now)

    def _marked(self, mailbox: int, messages: Sequence[tuple[int, int]]) -> None:
        """(message, flags) whose keywords changed: they may say junk, or not junk."""
        names = self._world.mailboxes[mailbox]
        junk, wanted = names.bits(("$Junk", "Junk")), names.bits(("$NotJunk", "NonJunk", "NotJunk"))
        for message, flags in messages if junk | wanted else ():
            said = (bool(flags & junk), bool(flags & wanted))
            self.history.mark(message, {(True, False): Mark.JUNK, (False, True): Mark.WANTED}.get(said, Mark.NONE))

    def _enter(self, mailbox: Mailbox, letters: Sequence[tuple[int, int]]) -> list[Added]:
        """(message, flags) into a mailbox, all with one modseq."""
        world, box = self._world, self._world.mailboxes[mailbox.id]
        uids = range(box.uidnext, box.uidnext + len(letters))
        modseq = self._step(mailbox.id, Kind.ADDED, uids)
        for uid, (number, flags) in zip(uids, letters, strict=True):
            size = world.letters[number].size
            world.entries[mailbox.id][uid] = _Entry(uid, number, size, flags, modseq, self._now, modseq)
        self._touch(mailbox.id, uidnext=uids.stop, modseq=modseq)
        return [
            Added(box.id, box.uidvalidity, uid, number, modseq)
            for uid, (number, _) in zip(uids, letters, strict=True)
        ]  # fmt: skip

    def _room_for(self, messages: int, size: int) -> None:
        if problem := self._world.quota().refusal(messages, size):
            raise MailboxError("OVERQUOTA", problem)

    def _entries(self, mailbox: int, uids: Sequence[int]) -> list[_Entry]:
        entries = self._world.entries.get(mailbox, {})
        return [entries[uid] for uid in sorted(set(uids)) if uid in entries]

    def copy(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        entries = self._entries(source.id, uids)
        self._room_for(len(entries), sum(one.size for one in entries))
        return self._copy(source, entries, target)

    def _copy(self, source: Mailbox, entries: Sequence[_Entry], target: Mailbox) -> list[tuple[int, int]]:
        if not entries:
            return []
        names = [source.names(one.flags) for one in entries]
        target = self._learn(target, list(dict.fromkeys(name for some in names for name in some)))
        letters = [(one.message, target.bits(some)) for one, some in zip(entries, names, strict=True)]
        added = self._enter(target, letters)
        for one in entries:
            letter = self._world.letters[one.message]
            self._world.letters[one.message] = replace(letter, copies=letter.copies + 1, expunged=None)
        return [(one.uid, new.uid) for one, new in zip(entries, added, strict=True)]

    def move(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        entries = self._entries(source.id, uids)
        pairs = self._copy(source, entries, target)
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
        mailbox = self._learn(mailbox, flags) if action != "remove" else mailbox
        bits = mailbox.bits(tuple(flags))
        entries = self._entries(mailbox.id, uids)
        since = unchanged_since
        modified = tuple(one.uid for one in entries if since is not None and one.modseq > since)
        outcomes = {one.uid: {"add": one.flags | bits, "remove": one.flags & ~bits, "replace": bits} for one in entries}
        turned = [(one, outcomes[one.uid][action]) for one in entries if one.uid not in modified]
        turned = [(one, now) for one, now in turned if now != one.flags]
        if not turned:
            return Flagged((), modified, mailbox.modseq)
        modseq = self._step(mailbox.id, Kind.FLAGS, [one.uid for one, _ in turned])
        for one, now in turned:
            self._world.entries[mailbox.id][one.uid] = replace(one, flags=now, modseq=modseq)
        self._touch(mailbox.id, modseq=modseq)
        self._marked(mailbox.id, [(one.message, now) for one, now in turned if (one.flags ^ now) >> 5])
        return Flagged(tuple((one.uid, now, modseq) for one, now in turned), modified, modseq)

    def expunge(self, mailbox: Mailbox, uids: Sequence[int] | None, *, only_deleted: bool = True) -> tuple[int, ...]:
        wanted = list(self._world.entries.get(mailbox.id, {})) if uids is None else uids
        entries = self._entries(mailbox.id, wanted)
        if uids is None or only_deleted:
            entries = [one for one in entries if one.flags & Flag.DELETED]
        return self._expunge(mailbox, entries)

    def _expunge(self, mailbox: Mailbox, entries: Sequence[_Entry]) -> tuple[int, ...]:
        if not entries:
            return ()
        gone = tuple(one.uid for one in entries)
        world, modseq = self._world, self._step(mailbox.id, Kind.EXPUNGED, gone)
        for one in entries:
            del world.entries[mailbox.id][one.uid]
            letter = world.letters[one.message]
            left = letter.copies - 1
            world.letters[one.message] = replace(letter, copies=left, expunged=None if left else self._now)
            if not left:
                world.bin[one.message] = (mailbox.name, tuple(mailbox.names(one.flags & ~int(Flag.DELETED))))
        self._touch(mailbox.id, modseq=modseq)
        return gone

    def undelete(self, messages: Collection[int], mailbox: str | None = None) -> list[Added]:
        back: list[Added] = []
        for number in sorted(set(messages) & set(self._world.bin)):
            letter = self._world.letters[number]
            if letter.copies:
                continue
            name, flags = self._world.bin[number]
            self._room_for(1, letter.size)
            target = self._learn(self.mailbox_or_new(mailbox or name), flags)
            back += self._enter(target, [(number, target.bits(flags))])
            self._world.letters[number] = replace(letter, copies=1, expunged=None)
            del self._world.bin[number]
        return back

    # -- everything else

    def set_quota(self, *, size: int | None = None, messages: int | None = None) -> None:
        self._world.facts["quota"] = -1 if size is None else size
        self._world.facts["quota messages"] = -1 if messages is None else messages

    def set_retention(self, seconds: int) -> None:
        self._world.facts["retention"] = seconds

    def decide(self, number: int, record: bytes) -> None:
        self._world.decisions[number] = record

    def set_credential(self, kind: str, value: str) -> None:
        self._world.credentials[kind] = value


class MemoryAccount:
    """mox_store.doors.AccountDoor"""

    def __init__(self, name: str, *, clock: Callable[[], float], loop: Loop | None = None) -> None:
        self.name = name
        self._clock = clock
        self._loop = loop
        self._world = _World()
        self._history: list[Change] = []
        self._views: dict[int, View] = {}
        self._watches: list[Watch] = []
        with self.write() as tx:
            for mailbox, special in INITIAL.items():
                tx.create(mailbox, special)

    # -- changing

    def commit(self, operation: Callable[[MemoryTransaction], T]) -> Future[T]:
        """Runs `operation` now; its changes are told when the loop comes round."""
        assert self._loop is not None, "commit() needs a loop; use write()"
        future: Future[T] = self._loop.create_future()
        try:
            with self.write() as tx:
                result = operation(tx)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    @contextmanager
    def write(self) -> Iterator[MemoryTransaction]:
        """A transaction: all of it, or nothing if it raises."""
        world = self._world.copy()
        tx = MemoryTransaction(world, self._clock())
        yield tx
        self._world = world
        self._history += tx.changes
        for change in tx.changes:
            self._show(change)
        if tx.changes:
            Watch.tell(self._watches, tx.changes)

    def _show(self, change: Change) -> None:
        view = self._views.get(change.mailbox)
        if view is None:
            return
        view.modseq = change.modseq
        if change.kind is Kind.EXPUNGED:
            view.remove(change.uids)
        entries = self._world.entries.get(change.mailbox, {})
        view.add(_columns(entries[uid]) for uid in change.uids if uid in entries)

    def watch(self, wake: Callable[[], None]) -> Watch:
        """Hears of every change from now on."""
        watch = Watch(wake, self._watches.remove)
        self._watches.append(watch)
        return watch

    # -- reading

    @property
    def people(self) -> MemoryPeople:
        """mox_store.Account.people"""
        return MemoryPeople(self._world.known)

    @property
    def history(self) -> MemoryHistory:
        """mox_store.Account.history"""
        return MemoryHistory(self._world.known)

    def modseq(self) -> int:
        return self._world.modseq

    def mailboxes(self) -> list[Mailbox]:
        return sorted((self._world.counted(id) for id in self._world.mailboxes), key=lambda one: one.name.encode())

    def mailbox(self, name: str) -> Mailbox | None:
        found = self._world.by_name(name)
        return self._world.counted(found.id) if found else None

    def mailbox_by_id(self, id: int) -> Mailbox | None:
        return self._world.counted(id) if id in self._world.mailboxes else None

    def subscriptions(self) -> list[str]:
        return sorted(self._world.subscriptions, key=str.encode)

    def open_view(self, mailbox: int) -> View:
        view = self._views.get(mailbox)
        if view is None:
            view = self._views[mailbox] = View(mailbox)
            view.modseq = self._world.modseq
            view.add(_columns(one) for _, one in sorted(self._world.entries.get(mailbox, {}).items()))
        view.references += 1
        return view

    def close_view(self, view: View) -> None:
        view.references -= 1
        if view.references <= 0:
            self._views.pop(view.mailbox, None)

    def look(self) -> None:
        """Nobody else changes anything."""

    def notified(self, mailbox: int, last: int) -> int:
        before = self._world.notified.get(mailbox, 0)
        self._world.notified[mailbox] = max(before, last)
        return before + 1

    def not_notified(self, mailbox: int) -> int:
        return self._world.notified.get(mailbox, 0) + 1

    def recent(self, mailbox: int) -> int:
        first = self.not_notified(mailbox)
        return sum(uid >= first for uid in self._world.entries.get(mailbox, {}))

    def rows(self, mailbox: int, uids: Sequence[int]) -> Iterator[Row]:
        entries = self._world.entries.get(mailbox, {})
        for uid in uids:
            if uid in entries:
                one = entries[uid]
                yield self._row(uid, one.message, one.saved, one.createseq)

    def message_rows(self, messages: Sequence[int]) -> Iterator[Row]:
        for number in messages:
            if number in self._world.letters:
                yield self._row(0, number, self._world.letters[number].new.received, 0)

    def _row(self, uid: int, number: int, saved: float, createseq: int) -> Row:
        letter = self._world.letters[number]
        traits = letter.new.traits
        return Row(
            uid, number, letter.size, letter.new.received, saved, traits.envelope, traits.bodystructure, traits.header,
            traits.preview, traits.sent, traits.subject, letter.thread, createseq,
        )  # fmt: skip

    def content(self, message: int) -> Content:
        if message not in self._world.letters:
            raise StoreError(f"message {message} is gone")
        return Content.of(self._world.letters[message].data)

    def expunged_since(self, mailbox: int, modseq: int) -> tuple[int, ...]:
        gone = (one for one in self._history if one.mailbox == mailbox and one.modseq > modseq)
        return tuple(sorted(uid for one in gone if one.kind is Kind.EXPUNGED for uid in one.uids))

    def annotations(self, mailbox: int = 0) -> dict[str, bytes]:
        return {name: value for (number, name), value in sorted(self._world.annotations.items()) if number == mailbox}

    def rights(self, mailbox: int) -> dict[str, str]:
        return {who: rights for (number, who), rights in sorted(self._world.rights.items()) if number == mailbox}

    def all_rights(self) -> dict[int, dict[str, str]]:
        return {number: self.rights(number) for number in sorted({number for number, _ in self._world.rights})}

    def sharers(self) -> tuple[str, ...]:
        return tuple(sorted(self._world.sharers))

    def quota(self) -> Quota:
        return self._world.quota()

    def retention(self) -> int:
        return self._world.facts.get("retention", RETENTION_SECONDS)

    def bin(self, most: int = 1000) -> list[Binned]:
        found = []
        for number, (mailbox, flags) in self._world.bin.items():
            letter = self._world.letters[number]
            if not letter.copies and letter.expunged is not None:
                subject = letter.new.traits.subject
                found.append(Binned(number, mailbox, letter.expunged, letter.size, subject, flags))
        return sorted(found, key=lambda one: (-one.expunged, -one.message))[:most]

    def decision(self, id: int) -> bytes | None:
        return self._world.decisions.get(id)

    def credential(self, kind: str) -> str | None:
        return self._world.credentials.get(kind)

    def close(self) -> None:
        """Nothing to close."""


def _columns(entry: _Entry) -> tuple[int, int, int, int, int]:
    """As View.add wants it."""
    return entry.uid, entry.message, entry.size, entry.flags, entry.modseq
