"""How does mail leave, whatever happens?  A durable queue with a schedule, couriers and notices.

    rows.py      the queue on disk
    queue.py     add, run
    schedule.py  when to try again, when to warn, when to give up
    outcome.py   what an attempt leads to
    courier.py   who carries messages: a Protocol
    direct.py    the courier to MX hosts

Not here: accounts, signatures, what the application does with a notice."""

from mox_queue.courier import Batch, Courier
from mox_queue.outcome import Attempt, Result, Settled, settle
from mox_queue.queue import Queue
from mox_queue.rows import NewMessage, Rows, open_rows, schema
from mox_queue.schedule import Schedule

__all__ = [
    "Attempt",
    "Batch",
    "Courier",
    "NewMessage",
    "Queue",
    "Result",
    "Rows",
    "Schedule",
    "Settled",
    "open_rows",
    "schema",
    "settle",
]
