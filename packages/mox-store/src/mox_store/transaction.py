"""One transaction: whole operations on an account, each noting the changes it makes.

Every method works on committed-or-nothing ground; who hears of the changes, and when, is account.py's business."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mox_store.changes import Change, Kind, from_text, ranges, to_text
from mox_store.group import Connection
from mox_store.mailbox import Mailbox, MailboxError
from mox_store.message import FORMAT, Added, Flag, NewMessage

MAX_NAME = 1000
LEAP = 1000
FlagAction = Literal["add", "remove", "replace"]

_MAILBOX = "id,name,uidvalidity,uidnext,modseq,special,subscribed,keywords,total,unseen,deleted,size"
_ADD_MESSAGE = (
    "INSERT INTO message(size,received,sent,copies,format,prefix,envelope,bodystructure,header,subject,preview,"
    "message_id,decision,segment,at,length) VALUES(?,?,?,1,?,?,?,?,?,?,?,?,?,?,?,?)"
)


def mailbox_of(row: tuple[object, ...]) -> Mailbox:
    """A row of `mailbox` as a value."""
    values = list(row)
    values[6] = bool(values[6])
    values[7] = tuple(str(values[7]).split())
    return Mailbox(*values)  # type: ignore[arg-type]


class Asked(Protocol):
    """A database, or a connection inside a transaction, as a thing to ask."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]: ...


class Inside:
    """A transaction's connection as something to ask: it sees what the transaction did so far."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one SELECT."""
        return self._db.execute(statement, values).fetchall()


_MAILBOXES = f"SELECT {_MAILBOX} FROM mailbox ORDER BY name"  # noqa: S608
_BY_ID = f"SELECT {_MAILBOX} FROM mailbox WHERE id=?"  # noqa: S608
_BY_NAME = f"SELECT {_MAILBOX} FROM mailbox WHERE name=?"  # noqa: S608


def read_mailboxes(database: Asked) -> list[Mailbox]:
    """Every mailbox, by name."""
    return [mailbox_of(row) for row in database.rows(_MAILBOXES)]


def read_mailbox(database: Asked, *, name: str | None = None, id: int | None = None) -> Mailbox | None:
    """One mailbox by name ("inbox" in any case) or id."""
    rows = database.rows(_BY_ID, (id,)) if id is not None else database.rows(_BY_NAME, (canonical(name or ""),))
    return mailbox_of(rows[0]) if rows else None


def canonical(name: str) -> str:
    """RFC 9051 5.1: INBOX is the same in any case, alone and as the first part of a name."""
    first, slash, rest = name.partition("/")
    return "Inbox" + slash + rest if first.lower() == "inbox" else name


@dataclass(frozen=True, slots=True)
class Flagged:
    """What a flag operation did: (uid, flags after, modseq) of what changed; uids that UNCHANGEDSINCE kept."""

    changed: tuple[tuple[int, int, int], ...]
    modified: tuple[int, ...]
    modseq: int


class Transaction:
    """Operations inside one commit.  `changes` is what happened, in order of modseq; `now` is seconds since 1970."""

    def __init__(self, db: Connection, now: float) -> None:
        self._db = db
        self._asked = Inside(db)
        self._now = now
        self.changes: list[Change] = []
        self.flag_results: dict[int, list[tuple[int, int, int]]] = {}
        self.added_entries: dict[int, list[tuple[int, int, int, int, int]]] = {}

    def _modseq(self) -> int:
        (number,) = self._db.execute("UPDATE fact SET value=value+1 WHERE name='modseq' RETURNING value").fetchone()
        return int(number)

    def _note(self, modseq: int, mailbox: int, kind: Kind, uids: Sequence[int] = ()) -> None:
        self._db.execute("INSERT INTO change VALUES(?,?,?,?)", (modseq, mailbox, int(kind), to_text(uids)))
        self.changes.append(Change(modseq, mailbox, kind, tuple(uids)))

    @property
    def connection(self) -> Connection:
        """For check.py, which mends what no operation should have made."""
        return self._db

    def note_again(self, mailbox: int, kind: Kind, uids: Collection[int]) -> None:
        """For check.py: a change that the history lacks."""
        if uids:
            modseq = self._modseq()
            self._db.execute("UPDATE mailbox SET modseq=? WHERE id=?", (modseq, mailbox))
            self._note(modseq, mailbox, kind, sorted(uids))

    # -- messages

    def add(self, mailbox: Mailbox, message: NewMessage) -> Added:
        """Adds a message; the mailbox must exist in this transaction.  Raises MailboxError."""
        db, traits = self._db, message.traits
        size = len(message.prefix) + message.content.size
        staged = message.staged
        mailbox = self.learn(mailbox, message.flags)
        flags = mailbox.bits(message.flags)
        decision = message.decision
        cursor = db.execute(
            _ADD_MESSAGE,
            (
                size, message.received, traits.sent, FORMAT, message.prefix, traits.envelope, traits.bodystructure,
                traits.header, traits.subject, traits.preview, traits.message_id, decision[0] if decision else None,
                staged.segment if staged else None, staged.at if staged else None, message.content.size,
            ),
        )  # fmt: skip
        number = cursor.lastrowid
        assert number is not None
        if staged is None:
            db.execute("INSERT INTO blob VALUES(?,?)", (number, message.content.read()))
        if decision is not None:
            db.execute("INSERT OR REPLACE INTO decision VALUES(?,?)", decision)
        modseq = self._modseq()
        row = db.execute(
            "UPDATE mailbox SET uidnext=uidnext+1,modseq=?,total=total+1,unseen=unseen+?,deleted=deleted+?,size=size+? "
            "WHERE id=? RETURNING uidnext-1,uidvalidity",
            (modseq, not flags & Flag.SEEN, bool(flags & Flag.DELETED), size, mailbox.id),
        ).fetchone()
        if row is None:
            raise MailboxError("TRYCREATE", f"no mailbox {mailbox.name!r}")
        uid, uidvalidity = row
        entry = (uid, number, size, flags, modseq)
        db.execute("INSERT INTO entry VALUES(?,?,?,?,?,?,?)", (mailbox.id, uid, flags, size, modseq, number, self._now))
        self._note(modseq, mailbox.id, Kind.ADDED, (uid,))
        self.added_entries.setdefault(mailbox.id, []).append(entry)
        return Added(mailbox.id, uidvalidity, uid, number, modseq)

    def _entries(self, mailbox: int, uids: Sequence[int]) -> list[tuple[int, int, int, int, int]]:
        """(uid, flags, size, modseq, message) of those of `uids` that are there, ascending."""
        found: list[tuple[int, int, int, int, int]] = []
        for first, last in ranges(sorted(set(uids))):
            found += self._db.execute(
                "SELECT uid,flags,size,modseq,message FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?",
                (mailbox, first, last),
            )
        return found

    def copy(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        """Copies what is there of `uids`; (uid, uid of the copy) pairs, ascending."""
        entries = self._entries(source.id, uids)
        if not entries:
            return []
        target = self.learn(target, tuple({name for entry in entries for name in source.names(entry[1])}))
        modseq = self._modseq()
        first = self._grow(target, modseq, [(self._carried(source, e[1], target), e[2]) for e in entries])
        pairs: list[tuple[int, int]] = []
        rows = []
        for offset, (uid, flags, size, _, message) in enumerate(entries):
            carried = self._carried(source, flags, target)
            rows.append((target.id, first + offset, carried, size, modseq, message, self._now))
            pairs.append((uid, first + offset))
            self.added_entries.setdefault(target.id, []).append((first + offset, message, size, carried, modseq))
        self._db.executemany("INSERT INTO entry VALUES(?,?,?,?,?,?,?)", rows)
        self._db.executemany("UPDATE message SET copies=copies+1,expunged=NULL WHERE id=?", [(e[4],) for e in entries])
        self._note(modseq, target.id, Kind.ADDED, [new for _, new in pairs])
        return pairs

    def _carried(self, source: Mailbox, bits: int, target: Mailbox) -> int:
        return bits if source.keywords == target.keywords else target.bits(source.names(bits))

    def _grow(self, target: Mailbox, modseq: int, entries: Sequence[tuple[int, int]]) -> int:
        unseen = sum(not flags & Flag.SEEN for flags, _ in entries)
        deleted = sum(bool(flags & Flag.DELETED) for flags, _ in entries)
        row = self._db.execute(
            "UPDATE mailbox SET uidnext=uidnext+?,modseq=?,total=total+?,unseen=unseen+?,deleted=deleted+?,size=size+? "
            "WHERE id=? RETURNING uidnext",
            (len(entries), modseq, len(entries), unseen, deleted, sum(size for _, size in entries), target.id),
        ).fetchone()
        if row is None:
            raise MailboxError("TRYCREATE", f"no mailbox {target.name!r}")
        return int(row[0]) - len(entries)

    def move(self, source: Mailbox, uids: Sequence[int], target: Mailbox) -> list[tuple[int, int]]:
        """Copies and expunges in one step (RFC 6851); (uid, new uid) pairs."""
        pairs = self.copy(source, uids, target)
        if pairs:
            self.expunge(source, [uid for uid, _ in pairs], only_deleted=False)
        return pairs

    def flag(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        action: FlagAction,
        flags: Sequence[str],
        unchanged_since: int | None = None,
    ) -> Flagged:
        """Changes flags; what stays the same gets no new modseq."""
        mailbox = self.learn(mailbox, tuple(flags)) if action != "remove" else mailbox
        bits = mailbox.bits(tuple(flags))
        entries = self._entries(mailbox.id, uids)
        modified: tuple[int, ...] = ()
        if unchanged_since is not None:
            modified = tuple(entry[0] for entry in entries if entry[3] > unchanged_since)
            entries = [entry for entry in entries if entry[3] <= unchanged_since]
        turned = [(uid, had, now) for uid, had, *_ in entries if (now := _flagged(action, had, bits)) != had]
        if not turned:
            return Flagged((), modified, mailbox.modseq)
        modseq = self._modseq()
        self._set_flags(mailbox, action, bits, [uid for uid, _, _ in turned], modseq)
        unseen = sum(bool(had & Flag.SEEN) - bool(now & Flag.SEEN) for _, had, now in turned)
        deleted = sum(bool(now & Flag.DELETED) - bool(had & Flag.DELETED) for _, had, now in turned)
        self._db.execute(
            "UPDATE mailbox SET modseq=?,unseen=unseen+?,deleted=deleted+? WHERE id=?",
            (modseq, unseen, deleted, mailbox.id),
        )
        self._note(modseq, mailbox.id, Kind.FLAGS, [uid for uid, _, _ in turned])
        changed = tuple((uid, now, modseq) for uid, _, now in turned)
        self.flag_results.setdefault(mailbox.id, []).extend(changed)
        return Flagged(changed, modified, modseq)

    def _set_flags(self, mailbox: Mailbox, action: FlagAction, bits: int, uids: list[int], modseq: int) -> None:
        expression = {"add": "flags|:bits", "remove": "flags&~:bits", "replace": ":bits"}[action]
        for first, last in ranges(uids):
            self._db.execute(
                f"UPDATE entry SET flags={expression},modseq=:modseq "  # noqa: S608
                "WHERE mailbox=:mailbox AND uid BETWEEN :first AND :last",
                {"bits": bits, "modseq": modseq, "mailbox": mailbox.id, "first": first, "last": last},
            )

    def expunge(self, mailbox: Mailbox, uids: Sequence[int] | None, *, only_deleted: bool = True) -> tuple[int, ...]:
        """Removes entries (all with \\Deleted, or those of `uids`); the uids that went, ascending.

        Messages without entries stay until they are swept: a session that has not been told may still read them."""
        if uids is None:
            entries = self._db.execute(
                "SELECT uid,flags,size,modseq,message FROM entry WHERE mailbox=? AND flags&8", (mailbox.id,)
            ).fetchall()
        else:
            entries = [e for e in self._entries(mailbox.id, uids) if not only_deleted or e[1] & Flag.DELETED]
        if not entries:
            return ()
        gone = tuple(entry[0] for entry in entries)
        modseq = self._modseq()
        for first, last in ranges(gone):
            self._db.execute("DELETE FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ?", (mailbox.id, first, last))
        self._db.executemany(
            "UPDATE message SET copies=copies-1,expunged=CASE copies WHEN 1 THEN ? END WHERE id=?",
            [(self._now, entry[4]) for entry in entries],
        )
        self._db.execute(
            "UPDATE mailbox SET modseq=?,total=total-?,unseen=unseen-?,deleted=deleted-?,size=size-? WHERE id=?",
            (
                modseq,
                len(entries),
                sum(not e[1] & Flag.SEEN for e in entries),
                sum(bool(e[1] & Flag.DELETED) for e in entries),
                sum(e[2] for e in entries),
                mailbox.id,
            ),
        )
        self._note(modseq, mailbox.id, Kind.EXPUNGED, gone)
        return gone

    # -- mailboxes

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox of that name.  Raises MailboxError."""
        found = read_mailbox(self._asked, name=name)
        if found is None:
            raise MailboxError("NONEXISTENT", f"no mailbox {name!r}")
        return found

    def mailbox_by_id(self, id: int) -> Mailbox:
        """The mailbox with that id.  Raises MailboxError."""
        found = read_mailbox(self._asked, id=id)
        if found is None:
            raise MailboxError("NONEXISTENT", "the mailbox is gone")
        return found

    def mailbox_or_new(self, name: str) -> Mailbox:
        """The mailbox of that name, made if it is not there."""
        return read_mailbox(self._asked, name=name) or self.create(name)

    def create(self, name: str, special: str = "") -> Mailbox:
        """Makes a mailbox, and those above it.  Raises MailboxError."""
        name = canonical(name)
        check_name(name)
        if read_mailbox(self._asked, name=name) is not None:
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {name!r} already")
        above, slash, _ = name.rpartition("/")
        if slash and read_mailbox(self._asked, name=above) is None:
            self.create(above)
        modseq = self._modseq()
        uidvalidity = self._uidvalidity()
        cursor = self._db.execute(
            "INSERT INTO mailbox(name,uidvalidity,modseq,special) VALUES(?,?,?,?)", (name, uidvalidity, modseq, special)
        )
        self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (name,))
        assert cursor.lastrowid is not None
        self._note(modseq, cursor.lastrowid, Kind.MAILBOXES)
        return Mailbox(cursor.lastrowid, name, uidvalidity, 1, modseq, special, True, (), 0, 0, 0, 0)

    def _uidvalidity(self) -> int:
        """Never given twice in this account, and never below the clock, so that a restored account differs too."""
        (number,) = self._db.execute(
            "UPDATE fact SET value=max(value+1,?) WHERE name='uidvalidity' RETURNING value", (int(self._now),)
        ).fetchone()
        return int(number)

    def delete(self, name: str) -> None:
        """Removes a mailbox and its entries.  Raises MailboxError."""
        mailbox = self.mailbox(name)
        if mailbox.name == "Inbox":
            raise MailboxError("CANNOT", "the Inbox cannot be deleted")
        (children,) = self._db.execute(
            "SELECT count(*) FROM mailbox WHERE name GLOB ?", (_glob(mailbox.name) + "/*",)
        ).fetchone()
        if children:
            raise MailboxError("HASCHILDREN", f"{mailbox.name!r} has mailboxes below it; delete those first")
        uids = [row[0] for row in self._db.execute("SELECT uid FROM entry WHERE mailbox=?", (mailbox.id,))]
        self.expunge(mailbox, uids, only_deleted=False)
        self._db.execute("DELETE FROM mailbox WHERE id=?", (mailbox.id,))
        self._note(self._modseq(), mailbox.id, Kind.MAILBOXES)

    def rename(self, old: str, new: str) -> None:
        """Renames a mailbox and those below it; the Inbox gives its messages away (RFC 9051 6.3.6)."""
        source, new = self.mailbox(old), canonical(new)
        check_name(new)
        if read_mailbox(self._asked, name=new) is not None:
            raise MailboxError("ALREADYEXISTS", f"there is a mailbox {new!r} already")
        if new.startswith(source.name + "/"):
            raise MailboxError("CANNOT", "a mailbox cannot move below itself")
        if source.name == "Inbox":
            target = self.create(new)
            self.move(
                source,
                [row[0] for row in self._db.execute("SELECT uid FROM entry WHERE mailbox=?", (source.id,))],
                target,
            )
            return
        above, slash, _ = new.rpartition("/")
        if slash and read_mailbox(self._asked, name=above) is None:
            self.create(above)
        modseq = self._modseq()
        below = self._db.execute(
            "SELECT id,name FROM mailbox WHERE id=? OR name GLOB ?", (source.id, _glob(source.name) + "/*")
        ).fetchall()
        for number, name in below:
            renamed = new + name[len(source.name) :]
            check_name(renamed)
            self._db.execute("UPDATE mailbox SET name=?,modseq=? WHERE id=?", (renamed, modseq, number))
            if self._db.execute("DELETE FROM subscription WHERE name=?", (name,)).rowcount:
                self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (renamed,))
        self._note(modseq, source.id, Kind.MAILBOXES)

    def subscribe(self, name: str, wanted: bool) -> None:
        """Subscribes or unsubscribes a name."""
        name = canonical(name)
        if wanted:
            check_name(name)
            self._db.execute("INSERT OR IGNORE INTO subscription VALUES(?)", (name,))
        else:
            self._db.execute("DELETE FROM subscription WHERE name=?", (name,))
        self._db.execute("UPDATE mailbox SET subscribed=? WHERE name=?", (wanted, name))
        self._note(self._modseq(), 0, Kind.MAILBOXES)

    def learn(self, mailbox: Mailbox, flags: Sequence[str]) -> Mailbox:
        """`mailbox`, knowing all keywords among `flags`.  Raises MailboxError when it would know too many."""
        unknown = mailbox.unknown(tuple(flags)) if flags else []
        if not unknown:
            return mailbox
        fresh = read_mailbox(self._asked, id=mailbox.id)
        if fresh is None:
            raise MailboxError("NONEXISTENT", f"no mailbox {mailbox.name!r}")
        unknown = fresh.unknown(tuple(flags))
        if not unknown:
            return fresh
        if len(unknown) > fresh.room_for_keywords:
            raise MailboxError("LIMIT", "a mailbox can have at most 57 keywords")
        keywords = (*fresh.keywords, *unknown)
        self._db.execute("UPDATE mailbox SET keywords=? WHERE id=?", (" ".join(keywords), fresh.id))
        learned = read_mailbox(self._asked, id=mailbox.id)
        assert learned is not None
        return learned

    # -- everything else

    def decide(self, number: int, record: bytes) -> None:
        """Keeps a decision that belongs to no message."""
        self._db.execute("INSERT OR REPLACE INTO decision VALUES(?,?)", (number, record))

    def set_credential(self, kind: str, value: str) -> None:
        """Keeps a verifier (opaque), replacing an older one of that kind."""
        self._db.execute("INSERT OR REPLACE INTO credential VALUES(?,?)", (kind, value))


def _flagged(action: FlagAction, had: int, bits: int) -> int:
    if action == "add":
        return had | bits
    return had & ~bits if action == "remove" else bits


def leap(db: Connection) -> None:
    """After an unclean stop: numbers that a reader may have seen before their sync are never given to anything else."""
    db.execute("UPDATE mailbox SET uidnext=uidnext+?", (LEAP,))
    db.execute("UPDATE fact SET value=value+? WHERE name IN ('modseq','uidvalidity')", (LEAP,))
    db.execute("UPDATE sqlite_sequence SET seq=seq+? WHERE name IN ('mailbox','message')", (LEAP,))


def _glob(name: str) -> str:
    """`name` for GLOB, with its wildcards taken literally."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def check_name(name: str) -> None:
    """May a mailbox be called so?  Raises MailboxError("CANNOT") with the reason."""
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise MailboxError("CANNOT", f"a mailbox name has 1 to {MAX_NAME} bytes")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 or c in "\u2028\u2029" for c in name):
        raise MailboxError("CANNOT", "a mailbox name has no control characters")
    if name.startswith("#") or any(part in ("", ".", "..") for part in name.split("/")):
        raise MailboxError("CANNOT", "mailbox names have non-empty parts, none of them . or .., and no # in front")
    if any(c in "*%" for c in name):
        raise MailboxError("CANNOT", "* and % are wildcards")


__all__ = ["Flagged", "Transaction", "canonical", "check_name", "from_text", "read_mailbox", "read_mailboxes"]
