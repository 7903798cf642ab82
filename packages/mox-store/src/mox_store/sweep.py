"""Forgetting what nothing shows any more: after its time in the bin, and never before sessions were told."""

from __future__ import annotations

from dataclasses import dataclass

from mox_store.group import Connection

# Expunged messages can be brought back for a week, unless `set_retention` says something else.
RETENTION_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many messages went, and where their large bytes were: (segment, at, length)."""

    count: int
    places: tuple[tuple[int, int, int], ...]


def forget(db: Connection, now: float, at_least: float, most: int) -> Forgotten:
    """Removes at most `most` messages whose time is over, with their bytes, decisions and places in the bin."""
    row = db.execute("SELECT value FROM fact WHERE name='retention'").fetchone()
    keep = max(at_least, row[0] if row else RETENTION_SECONDS)
    rows = db.execute(
        "SELECT m.id,m.segment,m.at,m.length,m.decision FROM bin b JOIN message m ON m.id=b.message "
        "WHERE b.expunged<? LIMIT ?",
        (now - keep, most),
    ).fetchall()
    numbers = [(row[0],) for row in rows]
    for table, column in (("blob", "message"), ("bin", "message"), ("message", "id")):
        db.executemany(f"DELETE FROM {table} WHERE {column}=?", numbers)  # noqa: S608
    db.executemany("DELETE FROM decision WHERE id=?", [(row[4],) for row in rows if row[4] is not None])
    return Forgotten(len(rows), tuple(row[1:4] for row in rows if row[1] is not None))
