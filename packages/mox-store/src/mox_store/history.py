"""What is known of senders: the owner's marks, counted by where messages came from; and to whom the owner writes.

Marks are level-triggered: a message's mark may change as often as it likes, and what was counted for it is taken back
before the new mark is counted.  The same holds for what the junk filter has learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mox_store.ground import Asked
from mox_store.group import Connection
from mox_store.message import Mark


@dataclass(frozen=True, slots=True)
class Reputation:
    """How many messages with this trait were marked junk and wanted, and from when to when."""

    kind: str
    value: str
    junk: int
    wanted: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Untrained:
    """A message whose mark the junk filter has not learned: forget `trained`, then learn `mark`."""

    message: int
    mark: Mark
    trained: Mark


class HistoryReading:
    """What can be asked.  Methods raise StoreError when the disk fails."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def reputation(self, traits: Sequence[tuple[str, str]]) -> list[Reputation]:
        """What is known, for those of the (kind, value) traits of which something is, in their order."""
        found: list[Reputation] = []
        for kind, value in traits:
            rows = self._asked.rows("SELECT * FROM reputation WHERE kind=? AND value=?", (kind, value))
            found += [Reputation(*row) for row in rows]
        return found

    def wrote_to(self, address: str) -> float | None:
        """When the owner last wrote to this address, or None."""
        rows = self._asked.rows("SELECT last FROM correspondent WHERE address=?", (address.lower(),))
        return rows[0][0] if rows else None

    def wrote_to_domain(self, domain: str) -> float | None:
        """When the owner last wrote to somebody there, or None."""
        rows = self._asked.rows("SELECT max(last) FROM correspondent WHERE domain=?", (domain.lower(),))
        return rows[0][0] if rows else None

    def correspondents(self, most: int = 100) -> list[tuple[str, int, float]]:
        """(address, how often, when last), the last ones first."""
        return self._asked.rows(
            "SELECT address,times,last FROM correspondent ORDER BY last DESC,address LIMIT ?", (most,)
        )

    def untrained(self, most: int = 100) -> list[Untrained]:
        """Messages whose mark the junk filter has yet to learn."""
        rows = self._asked.rows("SELECT id,mark,trained FROM message WHERE mark<>trained ORDER BY id LIMIT ?", (most,))
        return [Untrained(id, Mark(mark), Mark(trained)) for id, mark, trained in rows]

    def mark_of(self, message: int) -> Mark:
        """What the owner said of a message."""
        rows = self._asked.rows("SELECT mark FROM message WHERE id=?", (message,))
        return Mark(rows[0][0]) if rows else Mark.NONE


class HistoryChanges:
    """What a transaction can change."""

    def __init__(self, db: Connection, now: float) -> None:
        self._db = db
        self._now = now

    def mark(self, message: int, mark: Mark) -> None:
        """The owner says what a message is; reputations follow.  `Transaction.flag` calls this for $Junk, $NotJunk."""
        row = self._db.execute("SELECT counted,origin,received FROM message WHERE id=?", (message,)).fetchone()
        if row is None:
            return
        counted, origin, received = row
        self._db.execute("UPDATE message SET mark=?,counted=? WHERE id=?", (mark, mark, message))
        if counted == mark:
            return
        junk, wanted = ((mark == one) - (counted == one) for one in (Mark.JUNK, Mark.WANTED))
        traits = [line.partition(" ") for line in origin.splitlines()]
        self._db.executemany(
            "INSERT INTO reputation VALUES(?,?,max(0,?),max(0,?),?,?) ON CONFLICT DO UPDATE SET "
            "junk=max(0,junk+?),wanted=max(0,wanted+?),first=min(first,excluded.first),last=max(last,excluded.last)",
            [(kind, value, junk, wanted, received, received, junk, wanted) for kind, _, value in traits],
        )
        self._db.executemany(
            "DELETE FROM reputation WHERE kind=? AND value=? AND junk=0 AND wanted=0",
            [(kind, value) for kind, _, value in traits],
        )

    def trained(self, message: int, mark: Mark) -> None:
        """The junk filter has learned this mark of the message (NONE: has forgotten it)."""
        self._db.execute("UPDATE message SET trained=? WHERE id=?", (mark, message))

    def forget_training(self) -> None:
        """The junk filter has forgotten everything: every mark is to be learned again."""
        self._db.execute("UPDATE message SET trained=0 WHERE trained<>0")

    def wrote(self, addresses: Iterable[str]) -> None:
        """The owner has written to these."""
        self._db.executemany(
            "INSERT INTO correspondent VALUES(?,?,1,?) ON CONFLICT DO UPDATE SET times=times+1,last=excluded.last",
            [(one, one.rpartition("@")[2], self._now) for one in (address.lower() for address in addresses)],
        )
