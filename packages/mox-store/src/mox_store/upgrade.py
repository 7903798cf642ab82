"""From one version of the account's tables to the next; each step runs inside the transaction that opens the database.

Version 2 knows annotations, access rights, threads, marks and reputation, the bin, and who may log in how.  Version 3
knows whose mailboxes an account may see, and writes nothing into a message when it is copied or expunged."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from importlib.resources import files

from mox_store.database import statements
from mox_store.group import Connection, Operation

# Read at import: later the process may be a user who cannot read our folder.
SCHEMA = files("mox_store").joinpath("schema.sql").read_text("utf-8")


def to_2(db: Connection) -> None:
    """New columns get what can be known; what is only for new tables is made empty."""
    for table, column in (
        ("mailbox", "createseq INTEGER NOT NULL DEFAULT 0"),
        ("mailbox", "owner TEXT NOT NULL DEFAULT ''"),
        ("entry", "createseq INTEGER NOT NULL DEFAULT 0"),
        ("message", "thread INTEGER NOT NULL DEFAULT 0"),
        ("message", "mark INTEGER NOT NULL DEFAULT 0"),
        ("message", "trained INTEGER NOT NULL DEFAULT 0"),
        ("message", "counted INTEGER NOT NULL DEFAULT 0"),
        ("message", "origin TEXT NOT NULL DEFAULT ''"),
    ):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    _create_missing(db)
    db.execute("UPDATE message SET thread=id")
    db.execute("INSERT INTO bin(message,mailbox,flags) SELECT id,'Inbox','' FROM message WHERE copies=0")  # when: to_3
    db.execute("UPDATE mailbox SET createseq=modseq")
    # The modseq of the change that added it, or nothing better than its own.
    db.execute("UPDATE entry SET createseq=modseq")


def _create_missing(db: Connection) -> None:
    """The tables and indexes of SCHEMA that are not there."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for statement in statements(SCHEMA):
        words = statement[statement.index("CREATE ") :].split()
        if words[2] not in there:
            db.execute(statement)


def to_3(db: Connection) -> None:
    """What was in each message, how many show it and since when none does, is said by `entry` and `bin`."""
    if "expunged" not in {row[1] for row in db.execute("PRAGMA table_info(bin)")}:  # to_2 makes today's
        db.execute("ALTER TABLE bin ADD COLUMN expunged REAL NOT NULL DEFAULT 0")
    db.execute("UPDATE bin SET expunged=ifnull((SELECT expunged FROM message WHERE id=bin.message),0)")
    db.execute("DROP INDEX message_swept")
    for column in ("copies", "expunged"):
        db.execute(f"ALTER TABLE message DROP COLUMN {column}")
    _create_missing(db)


UPGRADES: Mapping[int, Operation[None]] = {1: to_2, 2: to_3}

# RETURNING, and UPDATE of several columns from one row.
MIN_SQLITE = (3, 35, 0)
if sqlite3.sqlite_version_info < MIN_SQLITE:  # pragma: no cover
    raise ImportError(f"mox_store needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}")
