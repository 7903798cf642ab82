"""How do people read their mail?  IMAP4rev2 (RFC 9051) and rev1 (RFC 3501), as a state machine without I/O.

    wire.py       cuts the stream into whole commands with their literals, within limits
    scanner.py    reads one command
    writer.py     writes strings, literals, dates, sets
    structure.py  ENVELOPE and BODYSTRUCTURE as final bytes
    commands/     one file per family: parse, do, answer
    server.py     the session: states, tags, what is waited for
    view.py       one session's numbering of a mailbox
    intake.py     literals: parts of a command, and messages that stream
    notify.py     what a client hears of without asking
    compress.py   DEFLATE, both ways
    backend.py    what an application fulfils
    extensions.py what it may fulfil besides, and what that makes possible
    capabilities.py what is announced
    memory/       a backend in memory: for examples and tests
    urls.py       IMAP URLs
    utf7.py       mailbox names of rev1
    aio/          sessions and clients on asyncio

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
    Followed,
    IndexedMailbox,
    Logins,
    Mailbox,
    MailboxInfo,
    Notified,
    Pending,
    Righted,
    Row,
    Sink,
)
from mox_imap.extensions import (
    AccessUrls,
    Annotated,
    Identified,
    Neighbours,
    Quota,
    QuotaGiving,
    Quoted,
    Replacing,
    Shared,
    Switched,
    Watch,
    Watched,
)
from mox_imap.server import ImapConfig, ImapServer
from mox_imap.wire import WireLimits

__all__ = [
    "AccessUrls",
    "Account",
    "Annotated",
    "Appended",
    "BackendError",
    "Changes",
    "Columns",
    "Conditional",
    "Copied",
    "Done",
    "Followed",
    "Identified",
    "ImapConfig",
    "ImapServer",
    "IndexedMailbox",
    "Logins",
    "Mailbox",
    "MailboxInfo",
    "Neighbours",
    "Notified",
    "Pending",
    "Quota",
    "QuotaGiving",
    "Quoted",
    "Replacing",
    "Righted",
    "Row",
    "Shared",
    "Sink",
    "Switched",
    "Watch",
    "Watched",
    "WireLimits",
    "structure",
]
