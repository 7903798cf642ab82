"""Messages as values: what comes in, what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from mox_message import Content

# Of the columns that are made at delivery and handed to IMAP as they are.  Rows with another number are rebuilt.
FORMAT = 1


class Mark(IntEnum):
    """What the owner said of a message."""

    WANTED = -1
    NONE = 0
    JUNK = 1

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keyword that says so, if there is one."""
        return {Mark.JUNK: ("$Junk",), Mark.WANTED: ("$NotJunk",)}.get(self, ())


class Flag(IntFlag):
    """The system flags (RFC 9051 2.3.2) as bits of `entry.flags`; keywords have the bits above."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


# Plain numbers: operations on members of an enum cost twenty times as much, and there are many.
SEEN, DELETED = int(Flag.SEEN), int(Flag.DELETED)
FLAG_NAMES = {
    int(Flag.SEEN): "\\Seen",
    int(Flag.ANSWERED): "\\Answered",
    int(Flag.FLAGGED): "\\Flagged",
    int(Flag.DELETED): "\\Deleted",
    int(Flag.DRAFT): "\\Draft",
}
SYSTEM_FLAGS = {name.lower(): flag for flag, name in FLAG_NAMES.items()}
FIRST_KEYWORD_BIT = 5
# SQLite's integers have 63 bits to use.
MAX_KEYWORDS = 57


@dataclass(frozen=True, slots=True)
class Traits:
    """What is made once when a message comes in, so that reading costs nothing: opaque to the store."""

    envelope: bytes
    bodystructure: bytes
    header: bytes
    subject: str = ""
    preview: str = ""
    sent: float | None = None
    message_id: str = ""
    references: tuple[str, ...] = ()  # message-ids that it follows, its parent last
    format: int = FORMAT


# Of a message whose traits are yet to be made: they are, when it is read first.
UNMADE = Traits(b"", b"", b"", format=0)


@dataclass(frozen=True, slots=True)
class Staged:
    """Large content that is on disk already, synced, waiting for its row."""

    segment: int
    at: int
    length: int


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to add.  `staged` for contents above BLOB_LIMIT."""

    content: Content
    traits: Traits
    received: float
    prefix: bytes = b""
    flags: tuple[str, ...] = ()
    staged: Staged | None = None
    decision: tuple[int, bytes] | None = None
    # Where it came from, as (kind, value) pairs without line ends, for reputation: ("from", "kim@example.org"), …
    origin: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """Where a message went."""

    mailbox: int
    uidvalidity: int
    uid: int
    message: int
    modseq: int


class Row(NamedTuple):
    """An entry with its message's precomputed parts.

    A tuple, because thousands are made for one FETCH, and a frozen dataclass takes five times as long to make."""

    uid: int
    message: int
    size: int
    received: float
    saved: float
    envelope: bytes
    bodystructure: bytes
    header: bytes
    preview: str
    sent: float | None
    subject: str = ""
    thread: int = 0
    createseq: int = 0

    @property
    def emailid(self) -> str:
        """EMAILID (RFC 8474 5.1): the same for all copies."""
        return f"M{self.message}"

    @property
    def threadid(self) -> str:
        """THREADID (RFC 8474 5.3)."""
        return f"T{self.thread}"


@dataclass(frozen=True, slots=True)
class Binned:
    """A message that can be brought back."""

    message: int
    mailbox: str
    expunged: float
    size: int
    subject: str
    flags: tuple[str, ...]
