"""How do people read their mail?  IMAP4rev2 (RFC 9051) and rev1 (RFC 3501), as a state machine without I/O.

    wire.py       cuts the stream into whole commands with their literals, within limits
    scanner.py    reads one command
    writer.py     writes strings, literals, dates, sets
    structure.py  ENVELOPE and BODYSTRUCTURE as final bytes
    commands/     one file per family: parse, do, answer
    server.py     the session: states, tags, what is waited for
    view.py       one session's numbering of a mailbox
    backend.py    what an application fulfils
    memory.py     a backend in memory: for examples and tests
    utf7.py       mailbox names of rev1
    aio.py        sessions on asyncio

Not here: where mail is kept, who may log in."""

from mox_imap import structure
from mox_imap.backend import (
    Account,
    Appended,
    BackendError,
    Changes,
    Columns,
    Conditional,
    Copied,
    Done,
    IndexedMailbox,
    Logins,
    Mailbox,
    MailboxInfo,
    Pending,
    Row,
    Sink,
)
from mox_imap.server import ImapConfig, ImapServer
from mox_imap.wire import WireLimits

__all__ = [
    "Account",
    "Appended",
    "BackendError",
    "Changes",
    "Columns",
    "Conditional",
    "Copied",
    "Done",
    "ImapConfig",
    "ImapServer",
    "IndexedMailbox",
    "Logins",
    "Mailbox",
    "MailboxInfo",
    "Pending",
    "Row",
    "Sink",
    "WireLimits",
    "structure",
]
