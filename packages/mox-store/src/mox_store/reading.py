"""What can be asked of an account: each answer is whole, nothing is held open between two questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from mox_message import Content
from mox_store.blobs import Segments
from mox_store.changes import from_text, ranges
from mox_store.database import Database
from mox_store.disk import StoreError
from mox_store.ground import read_facts, read_mailbox, read_mailboxes
from mox_store.history import HistoryReading
from mox_store.mailbox import Mailbox
from mox_store.message import FORMAT, Binned, Row, Traits
from mox_store.people import PeopleReading
from mox_store.quota import Quota, read_quota
from mox_store.sweep import RETENTION_SECONDS

ROWS_AT_ONCE = 500

_MESSAGE = "m.envelope,m.bodystructure,m.header,m.preview,m.sent,m.subject,m.thread"
_ROWS = (
    f"SELECT e.uid,m.id,m.size,m.received,e.saved,{_MESSAGE},e.createseq,m.format FROM entry e "  # noqa: S608
    "JOIN message m ON m.id=e.message WHERE e.mailbox=? AND e.uid BETWEEN ? AND ? ORDER BY e.uid LIMIT ?"
)
_MESSAGE_ROW = f"SELECT 0,m.id,m.size,m.received,m.received,{_MESSAGE},0,m.format FROM message m WHERE m.id=?"  # noqa: S608
_CONTENT = (
    "SELECT m.prefix,m.segment,m.at,m.length,b.data FROM message m LEFT JOIN blob b ON b.message=m.id WHERE m.id=?"
)

# What `cells` can read; those that are made at delivery are good in one format only.
_CELLS = {
    "size": "m.size", "received": "m.received", "saved": "e.saved", "envelope": "m.envelope",
    "bodystructure": "m.bodystructure", "header": "m.header", "subject": "m.subject", "prefix": "m.prefix",
    "data": "b.data",
}  # fmt: skip
_MADE = frozenset({"envelope", "bodystructure", "header", "subject"})


class Reading:
    """The reading half of an account.  Every method raises StoreError when the disk fails."""

    database: Database
    segments: Segments
    # What makes the traits of a message that has none, or old ones.
    _make_traits: Callable[[Content], Traits] | None

    def modseq(self) -> int:
        """The newest modseq of the account."""
        row = self.database.row("SELECT value FROM fact WHERE name='modseq'")
        return int(row[0]) if row else 0

    def fact(self, name: str) -> int:
        """A number that `Transaction.set_fact` kept; 0 when there is none."""
        row = self.database.row("SELECT value FROM fact WHERE name=?", (name,))
        return int(row[0]) if row else 0

    def mailboxes(self) -> list[Mailbox]:
        """Every mailbox with its counters, by name."""
        return read_mailboxes(self.database)

    def mailbox(self, name: str) -> Mailbox | None:
        """One mailbox with its counters."""
        return read_mailbox(self.database, name=name)

    def mailbox_by_id(self, id: int) -> Mailbox | None:
        """One mailbox with its counters."""
        return read_mailbox(self.database, id=id)

    def subscriptions(self) -> list[str]:
        """Subscribed names, also of mailboxes that are not there."""
        return [name for (name,) in self.database.rows("SELECT name FROM subscription ORDER BY name")]

    def rows(self, mailbox: int, uids: Sequence[int]) -> Iterator[Row]:
        """The rows of those of `uids` (ascending) that are there.  They are read some hundred at a time, and nothing is
        held open in between, however slowly they are taken."""
        for first, last in ranges(uids):
            while first <= last:
                found = self.database.rows(_ROWS, (mailbox, first, last, ROWS_AT_ONCE))
                yield from map(self._row, found)
                if len(found) < ROWS_AT_ONCE:
                    break
                first = found[-1][0] + 1

    def cells(self, mailbox: int, uids: Sequence[int], names: Sequence[str]) -> list[Sequence[Any]] | None:
        """Columns of those of `uids` (ascending) that are there: the uids, then one for each of `names`: size,
        received, saved, envelope, bodystructure, header, subject; prefix and data, which together are the message (data
        None: its bytes are large, ask for `content`).  None: something has to be made again first, as `rows` does."""
        columns = ",".join(["e.uid", *(_CELLS[name] for name in names), "m.format"])
        blob = " LEFT JOIN blob b ON b.message=m.id" if "data" in names else ""
        statement = (
            f"SELECT {columns} FROM entry e JOIN message m ON m.id=e.message{blob} "  # noqa: S608
            "WHERE e.mailbox=? AND e.uid BETWEEN ? AND ? ORDER BY e.uid"
        )
        found: list[tuple[Any, ...]] = []
        if uids and uids[-1] - uids[0] < 2 * len(uids):
            wanted = frozenset(uids)
            found = [row for row in self.database.rows(statement, (mailbox, uids[0], uids[-1])) if row[0] in wanted]
        else:
            for first, last in ranges(uids):
                found += self.database.rows(statement, (mailbox, first, last))
        *cells, formats = zip(*found, strict=True) if found else [()] * (len(names) + 2)
        if self._make_traits is not None and not _MADE.isdisjoint(names) and set(formats) - {FORMAT}:
            return None
        return list(cells)

    def message_rows(self, messages: Sequence[int]) -> Iterator[Row]:
        """Rows by message id, also of messages that were expunged a moment ago (uid 0)."""
        for number in messages:
            for row in self.database.rows(_MESSAGE_ROW, (number,)):
                yield self._row(row)

    def _row(self, values: Sequence[Any]) -> Row:
        row = Row(*values[:-1])
        if values[-1] == FORMAT or self._make_traits is None:
            return row
        made = self._make_traits(self.content(row.message))
        self._remade(row.message, made)
        return row._replace(
            envelope=made.envelope, bodystructure=made.bodystructure, header=made.header, preview=made.preview,
            sent=made.sent, subject=made.subject,
        )  # fmt: skip

    def _remade(self, message: int, traits: Traits) -> None:
        """Traits were made while reading: keep them."""

    def content(self, message: int) -> Content:
        """A message's bytes with our prefix in front."""
        row = self.database.row(_CONTENT, (message,))
        if row is None:
            raise StoreError(f"message {message} is gone")
        prefix, segment, at, length, data = row
        if segment is None and data is None:
            raise StoreError(f"message {message} has lost its bytes; a backup has them")
        stored = Content.of(data) if segment is None else self.segments.content(segment, at, length)
        return Content.joined(prefix, stored)

    def expunged_since(self, mailbox: int, modseq: int) -> tuple[int, ...]:
        """UIDs that went after `modseq`, ascending (RFC 7162 3.2.5)."""
        rows = self.database.rows("SELECT uids FROM change WHERE modseq>? AND mailbox=? AND kind=3", (modseq, mailbox))
        return tuple(sorted({uid for (uids,) in rows for uid in from_text(uids)}))

    def decision(self, id: int) -> bytes | None:
        """The record of a decision."""
        row = self.database.row("SELECT record FROM decision WHERE id=?", (id,))
        return row[0] if row else None

    def credential(self, kind: str) -> str | None:
        """A verifier that `set_credential` kept."""
        row = self.database.row("SELECT value FROM credential WHERE kind=?", (kind,))
        return row[0] if row else None

    # -- more about mailboxes

    def annotations(self, mailbox: int = 0) -> dict[str, bytes]:
        """The annotations of a mailbox (0: of the account) by name."""
        return dict(self.database.rows("SELECT name,value FROM annotation WHERE mailbox=? ORDER BY name", (mailbox,)))

    def rights(self, mailbox: int) -> dict[str, str]:
        """Who else may do what in a mailbox (RFC 4314)."""
        return dict(self.database.rows("SELECT who,rights FROM acl WHERE mailbox=? ORDER BY who", (mailbox,)))

    def all_rights(self) -> dict[int, dict[str, str]]:
        """`rights` of every mailbox in which anybody else has any, by its id."""
        found: dict[int, dict[str, str]] = {}
        for mailbox, who, rights in self.database.rows("SELECT mailbox,who,rights FROM acl ORDER BY mailbox,who"):
            found.setdefault(mailbox, {})[who] = rights
        return found

    def sharers(self) -> tuple[str, ...]:
        """Other accounts that let this one see something of theirs (RFC 4314); what, their rights say."""
        return tuple(name for (name,) in self.database.rows("SELECT account FROM sharer ORDER BY account"))

    def quota(self) -> Quota:
        """What the account may hold, and holds."""
        return read_quota(self.database, always=True)

    def retention(self) -> int:
        """Seconds for which expunged messages can be brought back."""
        return read_facts(self.database).get("retention", RETENTION_SECONDS)

    def bin(self, most: int = 1000) -> list[Binned]:
        """What can be brought back, the last to go first."""
        rows = self.database.rows(
            "SELECT b.message,b.mailbox,b.expunged,m.size,m.subject,b.flags "
            "FROM bin b JOIN message m ON m.id=b.message ORDER BY b.expunged DESC,b.message DESC LIMIT ?",
            (most,),
        )
        return [
            Binned(message, mailbox, expunged, size, subject, tuple(flags.split()))
            for message, mailbox, expunged, size, subject, flags in rows
        ]

    @cached_property
    def people(self) -> PeopleReading:
        """Who may log in, and how; who tried."""
        return PeopleReading(self.database)

    @cached_property
    def history(self) -> HistoryReading:
        """What is known of senders, and to whom the owner writes."""
        return HistoryReading(self.database)
