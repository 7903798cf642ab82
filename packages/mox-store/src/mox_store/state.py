"""Small durable facts of a server, beside its accounts: caches of policies, reports to come, counters.

A fact is bytes under a name in a space; the space belongs to whoever asks (("mtasts", "example.org") → a policy)."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from pathlib import Path

from mox_store.database import Database, Durability
from mox_store.disk import Disk, Loop, Syncer
from mox_store.group import Connection

_SCHEMA = """
CREATE TABLE state (
    space   TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   BLOB NOT NULL,
    expires REAL,
    PRIMARY KEY (space, name)
) WITHOUT ROWID;
CREATE INDEX state_expires ON state (expires) WHERE expires IS NOT NULL;
"""
MOST_AT_ONCE = 1000


class State:
    """The facts.  `clock` gives seconds since 1970.  Raises StoreError."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        loop: Loop | None = None,
        syncer: Syncer | None = None,
        durability: Durability = "group",
        disk: Disk | None = None,
    ) -> None:
        self._clock = clock
        self.database = Database(path, _SCHEMA, loop=loop, syncer=syncer, durability=durability, disk=disk)

    def get(self, space: str, name: str) -> bytes | None:
        """A fact that has not expired."""
        row = self.database.row(
            "SELECT value FROM state WHERE space=? AND name=? AND (expires IS NULL OR expires>?)",
            (space, name, self._clock()),
        )
        return row[0] if row else None

    def items(self, space: str, after: str = "", most: int = MOST_AT_ONCE) -> list[tuple[str, bytes]]:
        """Facts of a space by name, those after `after`: call again with the last name for more."""
        return self.database.rows(
            "SELECT name,value FROM state WHERE space=? AND name>? AND (expires IS NULL OR expires>?) "
            "ORDER BY name LIMIT ?",
            (space, after, self._clock(), most),
        )

    def put(self, space: str, name: str, value: bytes, expires: float | None = None) -> Future[None]:
        """Keeps a fact; done when it is on disk."""
        return self.database.commit(lambda db: _put(db, space, name, value, expires))

    def update(
        self, space: str, name: str, change: Callable[[bytes | None], bytes | None], expires: float | None = None
    ) -> Future[None]:
        """Keeps what `change` makes of a fact (None: there is none, shall be none), whoever else changes it."""
        now = self._clock()

        def run(db: Connection) -> None:
            row = db.execute(
                "SELECT value FROM state WHERE space=? AND name=? AND (expires IS NULL OR expires>?)",
                (space, name, now),
            ).fetchone()
            value = change(row[0] if row else None)
            if value is None:
                db.execute("DELETE FROM state WHERE space=? AND name=?", (space, name))
            else:
                _put(db, space, name, value, expires)

        return self.database.commit(run)

    def remove(self, space: str, *names: str) -> Future[None]:
        """Forgets facts."""
        values = [(space, name) for name in names]

        def run(db: Connection) -> None:
            db.executemany("DELETE FROM state WHERE space=? AND name=?", values)

        return self.database.commit(run)

    def sweep(self) -> Future[int]:
        """Forgets what has expired; how many."""
        now = self._clock()
        return self.database.commit(lambda db: db.execute("DELETE FROM state WHERE expires<=?", (now,)).rowcount)

    def close(self) -> None:
        """Closes."""
        self.database.close()


def _put(db: Connection, space: str, name: str, value: bytes, expires: float | None) -> None:
    db.execute("INSERT OR REPLACE INTO state VALUES(?,?,?,?)", (space, name, value, expires))
