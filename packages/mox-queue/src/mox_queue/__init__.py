"""How does mail leave, whatever happens?  A durable queue with a schedule, couriers and notices.

    message.py      what is queued, what is due
    allowance.py    how much an account may send
    rows/           the queue on disk, and what administrators do with it
    queue.py        add, run
    schedule.py     when to try again, when to warn, when to give up
    route.py        which way a message leaves
    requirement.py  what a host must prove
    courier.py      who carries messages: a Protocol
    direct.py       the courier to MX hosts
    submit.py       the courier to a smarthost
    socks.py        calling through a SOCKS5 proxy
    outcome.py      what an attempt leads to
    notices.py      what senders are told
    suppress.py     addresses we no longer write to
    events.py       what happens, for webhooks
    fromid.py       reverse-paths of a message's own
    bounces.py      what comes back to them

Not here: accounts, signatures, what the application does with a notice."""

from mox_queue.allowance import Allowance, Over, OverLimit, Spent, over
from mox_queue.bounces import Bounce, Sent, meaning
from mox_queue.courier import Batch, Courier, Refusing
from mox_queue.events import Event, Kind, Listener
from mox_queue.fromid import fromid_of, with_fromid
from mox_queue.message import Due, HoldRule, Listed, NewMessage, Recipient, Suppression, TlsWish
from mox_queue.notices import Notices
from mox_queue.outcome import Attempt, Result, Settled, classified, settle
from mox_queue.queue import Limits, Queue
from mox_queue.requirement import PATIENCE, DaneCheck, Requirement, Skip, require
from mox_queue.route import DIRECT, Route, choose
from mox_queue.rows import UPGRADES, Desk, Filter, Rows, open_rows, schema
from mox_queue.schedule import Schedule
from mox_queue.socks import Proxy
from mox_queue.suppress import base_of

__all__ = [
    "DIRECT",
    "PATIENCE",
    "UPGRADES",
    "Allowance",
    "Attempt",
    "Batch",
    "Bounce",
    "Courier",
    "DaneCheck",
    "Desk",
    "Due",
    "Event",
    "Filter",
    "HoldRule",
    "Kind",
    "Limits",
    "Listed",
    "Listener",
    "NewMessage",
    "Notices",
    "Over",
    "OverLimit",
    "Proxy",
    "Queue",
    "Recipient",
    "Refusing",
    "Requirement",
    "Result",
    "Route",
    "Rows",
    "Schedule",
    "Sent",
    "Settled",
    "Skip",
    "Spent",
    "Suppression",
    "TlsWish",
    "base_of",
    "choose",
    "classified",
    "fromid_of",
    "meaning",
    "open_rows",
    "over",
    "require",
    "schema",
    "settle",
    "with_fromid",
]
