"""Every invariant of an account's data, as a function: what is wrong, and what mends it.

`check` changes nothing.  `mend` repairs what can be worked out from the rest (counters, numbers, leftovers); it is
said what only a backup can bring back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mox_store.account import Account
from mox_store.changes import Kind, to_text
from mox_store.ground import Asked, Inside, read_mailboxes
from mox_store.mailbox import MailboxError, check_name
from mox_store.message import FIRST_KEYWORD_BIT, MAX_KEYWORDS
from mox_store.transaction import Transaction

# Of one kind of trouble so many are listed; the rest is counted.
MOST_LISTED = 20
PASSES = 3


class Cure(StrEnum):
    """What helps."""

    MEND = "mend"  # `check --mend` does it, nothing is lost
    BACKUP = "backup"  # the bytes are gone; `restore` brings them back
    NOTE = "note"  # harmless


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that should not be: where, what, and the cure."""

    rule: str
    what: str
    cure: Cure

    def __str__(self) -> str:
        return f"{self.what} ({self.rule}; {_CURES[self.cure]})"


# A message that neither an entry nor the bin knows, and what is in the bin and should not be.
_LOST = "id NOT IN (SELECT message FROM entry) AND id NOT IN (SELECT message FROM bin)"
_NOT_BINNED = "message IN (SELECT message FROM entry) OR message NOT IN (SELECT id FROM message)"
_CURES = {
    Cure.MEND: "mended by `check --mend`",
    Cure.BACKUP: "restore it from a backup",
    Cure.NOTE: "harmless",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found."""

    account: str
    problems: tuple[Problem, ...]
    messages: int
    entries: int

    @property
    def clean(self) -> bool:
        """Is there nothing but notes?"""
        return all(problem.cure is Cure.NOTE for problem in self.problems)

    def explain(self) -> str:
        """One line for each problem, or that there is none."""
        head = f"{self.account}: {self.entries} entries, {self.messages} messages"
        return "\n".join([head + (", clean" if self.clean else ""), *(f"  {problem}" for problem in self.problems)])

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "account": self.account, "clean": self.clean, "entries": self.entries, "messages": self.messages,
            "problems": [{"rule": p.rule, "what": p.what, "cure": str(p.cure)} for p in self.problems],
        }  # fmt: skip


# Rules that one statement can check: name -> (SELECT of what breaks it, sentence, cure, statement that mends it).
_COUNTS = (
    "SELECT mailbox, count(*) total, sum(NOT flags&1) unseen, sum(flags&8=8) deleted, sum(size) size "
    "FROM entry GROUP BY mailbox"
)
RULES: dict[str, tuple[str, str, Cure, str]] = {
    "a mailbox's counters are those of its entries": (
        "SELECT m.name, m.total, m.unseen, m.deleted, m.size, ifnull(c.total,0), ifnull(c.unseen,0), "  # noqa: S608
        "ifnull(c.deleted,0), ifnull(c.size,0) FROM mailbox m LEFT JOIN (" + _COUNTS + ") c ON c.mailbox=m.id "
        "WHERE m.total<>ifnull(c.total,0) OR m.unseen<>ifnull(c.unseen,0) OR m.deleted<>ifnull(c.deleted,0) "
        "OR m.size<>ifnull(c.size,0)",
        "mailbox {0!r} says (total, unseen, deleted, size) = ({1}, {2}, {3}, {4}); it has ({5}, {6}, {7}, {8})",
        Cure.MEND,
        "UPDATE mailbox SET (total,unseen,deleted,size)=(SELECT ifnull(max(c.total),0), "  # noqa: S608
        "ifnull(max(c.unseen),0), "
        "ifnull(max(c.deleted),0), ifnull(max(c.size),0) FROM (" + _COUNTS + ") c WHERE c.mailbox=mailbox.id)",
    ),
    "uidnext is above every uid ever given": (
        "SELECT m.name, m.uidnext, max(e.uid) FROM mailbox m JOIN entry e ON e.mailbox=m.id GROUP BY m.id "
        "HAVING m.uidnext<=max(e.uid)",
        "mailbox {0!r} would give uid {1} next, but has uid {2}",
        Cure.MEND,
        "UPDATE mailbox SET uidnext=max(uidnext,(SELECT ifnull(max(uid),0)+1 FROM entry WHERE mailbox=mailbox.id))",
    ),
    "no modseq is above the account's": (
        "SELECT f.value, x.modseq FROM fact f JOIN (SELECT max(modseq) modseq FROM (SELECT modseq FROM entry UNION ALL "
        "SELECT modseq FROM mailbox UNION ALL SELECT modseq FROM change)) x WHERE f.name='modseq' AND x.modseq>f.value",
        "the account's modseq is {0}, but {1} was given already",
        Cure.MEND,
        "UPDATE fact SET value=max(value,(SELECT ifnull(max(modseq),1) FROM (SELECT modseq FROM entry UNION ALL "
        "SELECT modseq FROM mailbox UNION ALL SELECT modseq FROM change))) WHERE name='modseq'",
    ),
    "no entry is newer than its mailbox": (
        "SELECT m.name, e.uid, e.modseq, m.modseq FROM entry e JOIN mailbox m ON m.id=e.mailbox "
        "WHERE e.modseq>m.modseq",
        "mailbox {0!r}: uid {1} has modseq {2}, the mailbox only {3}",
        Cure.MEND,
        "UPDATE mailbox SET modseq=max(modseq,(SELECT ifnull(max(modseq),0) FROM entry WHERE mailbox=mailbox.id))",
    ),
    "a uidvalidity is given once": (
        "SELECT uidvalidity, count(*), group_concat(name, ', ') FROM mailbox GROUP BY uidvalidity HAVING count(*)>1",
        "uidvalidity {0} is that of {1} mailboxes: {2}",
        Cure.NOTE,
        "",
    ),
    "an entry is in a mailbox": (
        "SELECT e.mailbox, count(*) FROM entry e LEFT JOIN mailbox m ON m.id=e.mailbox WHERE m.id IS NULL "
        "GROUP BY e.mailbox",
        "{1} entries are in mailbox number {0}, which is not there",
        Cure.MEND,
        "DELETE FROM entry WHERE mailbox NOT IN (SELECT id FROM mailbox)",
    ),
    "an entry shows a message": (
        "SELECT b.name, e.uid, e.message FROM entry e JOIN mailbox b ON b.id=e.mailbox "
        "LEFT JOIN message m ON m.id=e.message WHERE m.id IS NULL",
        "mailbox {0!r}: uid {1} shows message {2}, which is not there",
        Cure.BACKUP,
        "",
    ),
    "an entry has its message's size": (
        "SELECT b.name, e.uid, e.size, m.size FROM entry e JOIN mailbox b ON b.id=e.mailbox "
        "JOIN message m ON m.id=e.message WHERE e.size<>m.size",
        "mailbox {0!r}: uid {1} has size {2}, its message {3}",
        Cure.MEND,
        "UPDATE entry SET size=(SELECT size FROM message WHERE id=entry.message) "
        "WHERE message IN (SELECT id FROM message) AND size<>(SELECT size FROM message WHERE id=entry.message)",
    ),
    "what nothing shows can be brought back": (
        f"SELECT id FROM message WHERE {_LOST}",  # noqa: S608
        "message {0} is shown by nothing and not in the bin",
        Cure.MEND,
        # For as long as if it had come now and gone at once.
        "INSERT INTO bin SELECT id,'Inbox','',max(received,ifnull((SELECT max(saved) FROM entry),0)) "  # noqa: S608
        f"FROM message WHERE {_LOST}",
    ),
    "the bin holds what nothing shows": (
        f"SELECT message FROM bin WHERE {_NOT_BINNED}",  # noqa: S608
        "message {0} is in the bin and should not be",
        Cure.MEND,
        f"DELETE FROM bin WHERE {_NOT_BINNED}",  # noqa: S608
    ),
    "a message's size is that of its parts": (
        "SELECT id, size, length(prefix)+length FROM message WHERE size<>length(prefix)+length",
        "message {0} says {1} bytes; its parts have {2}",
        Cure.MEND,
        "UPDATE message SET size=length(prefix)+length",
    ),
    "a message has its bytes in one place": (
        "SELECT m.id, m.segment IS NOT NULL, b.message IS NOT NULL FROM message m LEFT JOIN blob b ON b.message=m.id "
        "WHERE (m.segment IS NULL)=(b.message IS NULL)",
        "message {0} is in a segment: {1}, in a row: {2}",
        Cure.BACKUP,
        "",
    ),
    "a row of bytes has the message's length": (
        "SELECT m.id, m.length, length(b.data) FROM message m JOIN blob b ON b.message=m.id "
        "WHERE m.length<>length(b.data)",
        "message {0} should have {1} bytes, there are {2}",
        Cure.BACKUP,
        "",
    ),
    "bytes belong to a message": (
        "SELECT count(*) FROM blob WHERE message NOT IN (SELECT id FROM message) HAVING count(*)>0",
        "{0} rows of bytes belong to no message",
        Cure.MEND,
        "DELETE FROM blob WHERE message NOT IN (SELECT id FROM message)",
    ),
    "a message's decision is kept": (
        "SELECT id, decision FROM message WHERE decision IS NOT NULL AND decision NOT IN (SELECT id FROM decision)",
        "message {0} names decision {1}, which is not there",
        Cure.NOTE,
        "",
    ),
    "there is an Inbox": (
        "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE name='Inbox')",
        "there is no Inbox",
        Cure.MEND,
        "",
    ),
    "a change is of a known kind": (
        "SELECT modseq, mailbox, kind FROM change WHERE kind NOT IN (1,2,3,4,5)",
        "change {0} of mailbox {1} is of unknown kind {2}",
        Cure.MEND,
        "DELETE FROM change WHERE kind NOT IN (1,2,3,4,5)",
    ),
}


def check(account: Account, *, contents: bool = True) -> Report:
    """Walks every invariant; `contents` reads all large messages too, for their checksums.  Raises StoreError only when
    the database cannot be read at all."""
    problems: list[Problem] = []
    found = [text for (text,) in account.database.rows("PRAGMA integrity_check") if text != "ok"]
    problems += [Problem("SQLite's own check", text, Cure.BACKUP) for text in found[:MOST_LISTED]]
    for rule, (select, sentence, cure, _) in RULES.items():
        problems += _listed(rule, [sentence.format(*row) for row in account.database.rows(select)], cure)
    for mailbox in read_mailboxes(account.database):
        problems += _mailbox(account, mailbox.id, mailbox.name, mailbox.keywords)
    if contents:
        problems += _segments(account)
    counts = "SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM entry)"
    ((messages, entries),) = account.database.rows(counts)
    return Report(account.name, tuple(problems), messages, entries)


def _listed(rule: str, sentences: list[str], cure: Cure) -> Iterator[Problem]:
    for sentence in sentences[:MOST_LISTED]:
        yield Problem(rule, sentence, cure)
    if len(sentences) > MOST_LISTED:
        yield Problem(rule, f"and {len(sentences) - MOST_LISTED} more like these", cure)


def _mailbox(account: Account, id: int, name: str, keywords: tuple[str, ...]) -> Iterator[Problem]:
    try:
        check_name(name)
    except MailboxError as error:
        yield Problem("a mailbox's name is one", f"mailbox {name!r}: {error}; rename it", Cure.NOTE)
    if len(keywords) > MAX_KEYWORDS or len({word.lower() for word in keywords}) < len(keywords):
        yield Problem("keywords are few and differ", f"mailbox {name!r} has keywords {keywords}", Cure.NOTE)
    most = 1 << (FIRST_KEYWORD_BIT + len(keywords))
    bad = account.database.rows("SELECT uid FROM entry WHERE mailbox=? AND (flags<0 OR flags>=?)", (id, most))
    yield from _listed(
        "flags have names", [f"mailbox {name!r}: uid {uid} has unnamed flags" for (uid,) in bad], Cure.MEND
    )
    yield from _history(account, id, name)


@dataclass(slots=True)
class _Past:
    """The history of a mailbox, added up."""

    added: set[int]
    expunged: set[int]
    there: set[int]
    unreadable: list[tuple[int, int]]  # (modseq, kind)

    @classmethod
    def of(cls, asked: Asked, id: int) -> _Past:
        past = cls(set(), set(), set(), [])
        for modseq, kind, uids in asked.rows(
            "SELECT modseq,kind,uids FROM change WHERE mailbox=? AND kind IN (1,3)", (id,)
        ):
            try:
                (past.added if kind == Kind.ADDED else past.expunged).update(_numbers(uids))
            except ValueError:
                past.unreadable.append((modseq, kind))
        past.there.update(uid for (uid,) in asked.rows("SELECT uid FROM entry WHERE mailbox=?", (id,)))
        return past

    @property
    def never_added(self) -> set[int]:
        return self.there - self.added

    @property
    def back(self) -> set[int]:
        return self.there & self.expunged

    @property
    def never_expunged(self) -> set[int]:
        return self.added - self.expunged - self.there


def _history(account: Account, id: int, name: str) -> Iterator[Problem]:
    """What was added and not expunged is there, and nothing else: clients catch up from this (RFC 7162)."""
    rule = "the history of changes leads to what is there"
    past = _Past.of(account.database, id)
    for modseq, _ in past.unreadable:
        yield Problem(rule, f"mailbox {name!r}: change {modseq} has unreadable uids", Cure.MEND)
    for what, uids in (
        ("are there, but were never added", past.never_added),
        ("are there, but were expunged", past.back),
        ("are gone, but were never expunged", past.never_expunged),
    ):
        if uids:
            yield Problem(rule, f"mailbox {name!r}: uids {to_text(sorted(uids))[:200]} {what}", Cure.MEND)


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


def _segments(account: Account) -> Iterator[Problem]:
    bad = []
    for number, segment, at, length in account.database.rows(
        "SELECT id,segment,at,length FROM message WHERE segment IS NOT NULL"
    ):
        if problem := account.segments.check(segment, at, length):
            bad.append(f"message {number}: {problem}")
    yield from _listed("large messages are in their segments, with their checksums", bad, Cure.BACKUP)


def mend(account: Account) -> Report:
    """Repairs what `check` marks with Cure.MEND, in one transaction; what is left to say.  Raises StoreError."""
    with account.write() as tx:
        db = tx.connection
        # Mending one rule may break another: entries that go leave messages that nothing shows.
        for _ in range(PASSES):
            for select, _, cure, statement in reversed(RULES.values()):
                if cure is Cure.MEND and statement and db.execute(select).fetchone() is not None:
                    for one in statement.split("; "):
                        db.execute(one)
        if db.execute("SELECT 1 FROM mailbox WHERE name='Inbox'").fetchone() is None:
            tx.create("Inbox")
        for id, keywords in db.execute("SELECT id,keywords FROM mailbox").fetchall():
            mask = (1 << (FIRST_KEYWORD_BIT + len(keywords.split()))) - 1
            db.execute("UPDATE entry SET flags=flags&? WHERE mailbox=? AND flags&~?", (mask, id, mask))
            _mend_history(tx, id)
    return check(account)


def _mend_history(tx: Transaction, id: int) -> None:
    db, past = tx.connection, _Past.of(Inside(tx.connection), id)
    for modseq, kind in past.unreadable:
        db.execute("DELETE FROM change WHERE modseq=? AND mailbox=? AND kind=?", (modseq, id, kind))
    if past.back:
        rows = db.execute("SELECT modseq,uids FROM change WHERE mailbox=? AND kind=3", (id,)).fetchall()
        for modseq, uids in rows:
            left = sorted(set(_numbers(uids)) - past.back)
            db.execute("UPDATE change SET uids=? WHERE modseq=? AND mailbox=? AND kind=3", (to_text(left), modseq, id))
        db.execute("DELETE FROM change WHERE mailbox=? AND kind=3 AND uids=''", (id,))
    tx.note_again(id, Kind.ADDED, past.never_added)
    tx.note_again(id, Kind.EXPUNGED, past.never_expunged)
