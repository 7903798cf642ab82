"""Where is the mail, and will it be there tomorrow?  Accounts, mailboxes, messages, changes, durable commits.

    account.py reading.py    open an account, change it in shared transactions, read it, hear of changes
    transaction.py mailboxes.py    whole operations: add, copy, move, flag, expunge, undelete; mailboxes, annotations
    ground.py threads.py quota.py sweep.py    what operations stand on; threads; limits; forgetting
    people.py history.py    who may log in and how; what is known of senders
    state.py        small durable facts of a server: caches, reports, counters
    mailbox.py message.py changes.py    the values
    view.py         an open mailbox in memory
    watch.py        who hears of changes, bounded
    blobs.py        message bytes: rows when small, append-only segments when large
    database.py group.py wal.py    the rooms that know SQLite; the shared, durable commit
    disk.py         what may fail on a bad day, behind one door
    check.py upgrade.py    every invariant of the data, as a function; from one version of the tables to the next

    search.py words.py    texts in messages, by bytes, in slices; an index of them for who wants one
    importing.py exporting.py letters.py mbox.py maildir.py    files in and out
    backup.py       generations of everything, while it is in use
    doors.py memory.py testing.py    what an engine must do; a second one; for tests of others

Not here: protocols, passwords (verifiers are opaque texts), what a message means."""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from mox_store.account import Account, Store
from mox_store.blobs import BLOB_LIMIT
from mox_store.changes import Change, Kind
from mox_store.database import Database
from mox_store.disk import Disk, StoreError, Syncer
from mox_store.history import Reputation, Untrained
from mox_store.mailbox import Mailbox, MailboxError, canonical
from mox_store.message import FORMAT, UNMADE, Added, Binned, Flag, Mark, NewMessage, Row, Staged, Traits
from mox_store.people import AppPassword, LoginAttempt, TlsKey, WebSession
from mox_store.quota import Quota
from mox_store.state import State
from mox_store.transaction import Flagged, Transaction
from mox_store.view import View
from mox_store.watch import Watch

if TYPE_CHECKING:
    from mox_store import backup, check, exporting, importing, memory, search, words

# Fetched when they are asked for: a server at work needs none of them.
_MODULES = ("backup", "check", "exporting", "importing", "memory", "search", "words")


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"mox_store.{name}")


__all__ = [
    "BLOB_LIMIT",
    "FORMAT",
    "UNMADE",
    "Account",
    "Added",
    "AppPassword",
    "Binned",
    "Change",
    "Database",
    "Disk",
    "Flag",
    "Flagged",
    "Kind",
    "LoginAttempt",
    "Mailbox",
    "MailboxError",
    "Mark",
    "NewMessage",
    "Quota",
    "Reputation",
    "Row",
    "Staged",
    "State",
    "Store",
    "StoreError",
    "Syncer",
    "TlsKey",
    "Traits",
    "Transaction",
    "Untrained",
    "View",
    "Watch",
    "WebSession",
    "backup",
    "canonical",
    "check",
    "exporting",
    "importing",
    "memory",
    "search",
    "words",
]
