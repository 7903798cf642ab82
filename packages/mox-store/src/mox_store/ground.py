"""The ground that operations stand on: one transaction, its clock, its numbers, and the changes that it notes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from mox_store.changes import Change, Kind, to_text
from mox_store.group import Connection
from mox_store.mailbox import Mailbox, canonical

# After an unclean stop numbers jump by this: more than one group of transactions can use up.
LEAP = 1000

_MAILBOX = "id,name,uidvalidity,uidnext,modseq,special,subscribed,keywords,total,unseen,deleted,size,createseq,owner"
_MAILBOXES = f"SELECT {_MAILBOX} FROM mailbox ORDER BY name"  # noqa: S608
_BY_ID = f"SELECT {_MAILBOX} FROM mailbox WHERE id=?"  # noqa: S608
_BY_NAME = f"SELECT {_MAILBOX} FROM mailbox WHERE name=?"  # noqa: S608


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


def _mailbox_of(row: Sequence[Any]) -> Mailbox:
    values = list(row)
    values[6] = bool(values[6])
    values[7] = tuple(values[7].split())
    return Mailbox(*values)


def read_mailboxes(asked: Asked) -> list[Mailbox]:
    """Every mailbox, by name."""
    return [_mailbox_of(row) for row in asked.rows(_MAILBOXES)]


def read_mailbox(asked: Asked, *, name: str | None = None, id: int | None = None) -> Mailbox | None:
    """One mailbox by name ("inbox" in any case) or id."""
    rows = asked.rows(_BY_ID, (id,)) if id is not None else asked.rows(_BY_NAME, (canonical(name or ""),))
    return _mailbox_of(rows[0]) if rows else None


def read_facts(asked: Asked) -> dict[str, int]:
    """The numbers of the account as a whole."""
    return dict(asked.rows("SELECT name,value FROM fact"))


class Ground:
    """A transaction.  `changes` is what happened, in order of modseq; `now` is seconds since 1970."""

    def __init__(self, db: Connection, now: float) -> None:
        self._db = db
        self._asked = Inside(db)
        self._now = now
        self.changes: list[Change] = []

    @property
    def connection(self) -> Connection:
        """For the rooms of this package that mend, import and keep house."""
        return self._db

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def _modseq(self) -> int:
        (number,) = self._db.execute("UPDATE fact SET value=value+1 WHERE name='modseq' RETURNING value").fetchone()
        return int(number)

    def _note(self, modseq: int, mailbox: int, kind: Kind, uids: Sequence[int] = ()) -> None:
        self._db.execute("INSERT INTO change VALUES(?,?,?,?)", (modseq, mailbox, int(kind), to_text(uids)))
        self.changes.append(Change(modseq, mailbox, kind, tuple(uids)))

    def note_again(self, mailbox: int, kind: Kind, uids: Collection[int]) -> None:
        """For check.py: a change that the history lacks."""
        if uids:
            modseq = self._modseq()
            self._db.execute("UPDATE mailbox SET modseq=? WHERE id=?", (modseq, mailbox))
            self._note(modseq, mailbox, kind, sorted(uids))

    def set_fact(self, name: str, value: int) -> None:
        """Keeps a number of the account as a whole."""
        self._db.execute("INSERT OR REPLACE INTO fact VALUES(?,?)", (name, value))


def leap(db: Connection, by: int = LEAP) -> None:
    """After an unclean stop: numbers that a reader may have seen before their sync are never given to anything else."""
    db.execute("UPDATE mailbox SET uidnext=uidnext+?", (by,))
    db.execute("UPDATE fact SET value=value+? WHERE name IN ('modseq','uidvalidity')", (by,))
    db.execute("UPDATE sqlite_sequence SET seq=seq+? WHERE name IN ('mailbox','message')", (by,))
