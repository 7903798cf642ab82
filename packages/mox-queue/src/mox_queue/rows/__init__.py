"""The durable rows of the queue; the only room of this package that knows SQL.

database.py   the door to the database, and a plain one
rows.py       adding, and what the runner does
desk.py       what administrators do: list, hold, release, schedule, fail, drop; hold rules; suppressions"""

from mox_queue.rows.database import UPGRADES, Connection, Database, PlainDatabase, schema
from mox_queue.rows.desk import Desk, Filter
from mox_queue.rows.rows import SMALL, Rows, insert, open_rows

__all__ = [
    "SMALL",
    "UPGRADES",
    "Connection",
    "Database",
    "Desk",
    "Filter",
    "PlainDatabase",
    "Rows",
    "insert",
    "open_rows",
    "schema",
]
