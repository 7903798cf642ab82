"""What an application fulfils so that it can be served: Protocols over plain values.

Reads answer at once and are cheap; writes return a Pending, because they are durable only some time later, and a
session says OK only then.  asyncio's futures are Pendings as they are.  A backend never calls back in the middle of a
read; `wake` and what a Pending was given are called on the session's own loop.

`Logins`, `Account`, `Mailbox` and `Sink` are what it takes.  A mailbox that also fulfils `IndexedMailbox` is faster,
and makes CONDSTORE and QRESYNC possible (RFC 7162); say so with `ImapConfig(modseqs=True)`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import mox_sasl
from mox_message import Content

T_co = TypeVar("T_co", covariant=True)
FlagAction = Literal["add", "remove", "replace"]


class BackendError(Exception):
    """A request that cannot be fulfilled: NO with this response code ("" for none) and text."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class Pending(Protocol[T_co]):
    """Something that will be done; then `result()` gives its value or raises (BackendError for a plain NO)."""

    def done(self) -> bool: ...
    def result(self) -> T_co: ...
    def add_done_callback(self, callback: Callable[[Any], object], /) -> object: ...


@dataclass(slots=True)
class Done:
    """A Pending that is done already."""

    value: Any = None

    def done(self) -> bool:
        """True."""
        return True

    def result(self) -> Any:
        """The value."""
        return self.value

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """Calls back at once."""
        return callback(self)


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """A mailbox as LIST and STATUS tell of it."""

    name: str
    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int
    deleted: int
    size: int
    special_use: str = ""
    subscribed: bool = True
    highest_modseq: int = 0  # 0: not known here
    mailbox_id: str = ""  # RFC 8474


class Row(NamedTuple):
    """A message with its parts that were made ready; `header` is structure.trimmed_header, b"" when not kept.

    A tuple, because thousands are made for one FETCH, and a frozen dataclass takes five times as long to make."""

    uid: int
    message: int
    size: int
    received: float
    saved: float
    envelope: bytes
    bodystructure: bytes
    header: bytes
    sent: float | None = None
    email_id: str = ""  # RFC 8474
    thread_id: str = ""
    preview: str | None = None  # RFC 8970; None: to be made when asked for
    subject: str | None = None  # decoded and case-folded; None: to be made when asked for


@dataclass(slots=True)
class Changes:
    """What happened to an open mailbox since last asked.  `resync`: too much; look at all of it again."""

    added: list[tuple[int, int]] = field(default_factory=list)  # (uid, message)
    flags: list[int] = field(default_factory=list)
    expunged: list[int] = field(default_factory=list)
    resync: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """Where messages went (RFC 4315)."""

    uidvalidity: int
    uids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """(uid, new uid) pairs, and the uidvalidity of the target."""

    uidvalidity: int
    pairs: tuple[tuple[int, int], ...]


class Sink(Protocol):
    """Takes the bytes of one APPEND."""

    def write(self, data: bytes) -> None:
        """A piece.  Raises BackendError."""
        ...

    def abort(self) -> None:
        """The append is given up; forget the bytes."""
        ...


class Mailbox(Protocol):
    """An open mailbox; uids are ascending wherever there are several."""

    @property
    def name(self) -> str: ...
    @property
    def uidvalidity(self) -> int: ...
    def uidnext(self) -> int: ...
    def keywords(self) -> Sequence[str]: ...
    def entries(self) -> Iterable[tuple[int, int, int]]:
        """(uid, message, flag bits) of all messages.

        1 is \\Seen, 2 \\Answered, 4 \\Flagged, 8 \\Deleted, 16 \\Draft; the n-th of `keywords` is 32 << n, for ever."""
        ...

    def bits(self, uid: int) -> int | None:
        """Flag bits of a message; None when it is gone."""
        ...

    def flag_names(self, bits: int) -> Sequence[str]: ...
    def flag_bits(self, names: Sequence[str]) -> int:
        """Bits of those names that are known here."""
        ...

    def rows(self, uids: Sequence[int]) -> Iterator[Row]: ...
    def gone_row(self, message: int) -> Row | None:
        """A message that was expunged but that this session was not told of."""
        ...

    def content(self, message: int) -> Content: ...
    def store(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str]
    ) -> Pending[Sequence[tuple[int, int]]]:
        """(uid, flag bits after) of what changed."""
        ...

    def copy(self, uids: Sequence[int], target: str) -> Pending[Copied]: ...
    def move(self, uids: Sequence[int], target: str) -> Pending[Copied]: ...
    def expunge(self, uids: Sequence[int] | None) -> Pending[Sequence[int]]:
        """Removes those with \\Deleted (among `uids`); which."""
        ...

    def changes(self) -> Changes: ...
    def close(self) -> None: ...


class Columns(Protocol):
    """The messages of a mailbox as they are now: arrays side by side, ascending by uid.

    They are the backend's own and change whenever it does; a session only reads them, and never across a wait."""

    uids: array[int]
    messages: array[int]
    sizes: array[int]
    flags: array[int]  # bits, as in Mailbox.entries
    modseqs: array[int]


@dataclass(frozen=True, slots=True)
class Conditional:
    """What a conditional STORE did (RFC 7162 3.1.3): (uid, flag bits after) of what changed; uids that were left alone
    because they have changed since."""

    changed: Sequence[tuple[int, int]]
    modified: Sequence[int]


@runtime_checkable
class IndexedMailbox(Mailbox, Protocol):
    """A mailbox that can show its columns, and knows when what changed."""

    def columns(self) -> Columns: ...
    def highest_modseq(self) -> int:
        """Of everything that ever changed in this mailbox; 1 at least."""
        ...

    def store_unchanged(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str], unchanged_since: int
    ) -> Pending[Conditional]: ...
    def expunged_since(self, modseq: int) -> Sequence[int]:
        """Uids that went after `modseq`, ascending; more than those is right too, fewer is not."""
        ...


@runtime_checkable
class Celled(Protocol):
    """A mailbox that can read some columns of many messages without the rest of their rows."""

    def cells(self, uids: Sequence[int], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        """The uids that are there, of ascending `uids`, then a column for each of `names`: received, saved, envelope,
        bodystructure, header (as in Row), subject (decoded), prefix and data (the message is both together; data None:
        `content` has it).  None: it has to be done by `rows`."""
        ...


@runtime_checkable
class Followed(Protocol):
    """A mailbox that others change too, without this process: what was acknowledged there can be brought in at once."""

    def look(self) -> None:
        """Cheap; asked at the end of every command.  Calls `wake` when there is something new."""
        ...


@runtime_checkable
class Notified(Protocol):
    """A mailbox that knows which messages are \\Recent: those of which no session was notified before (RFC 3501
    2.3.2).  Without it none ever is, as in RFC 9051."""

    def notified(self, last: int) -> int:
        """A session that may change the mailbox is being notified of the messages up to that uid; the first uid of
        which none was before."""
        ...

    def not_notified(self) -> int:
        """The first uid of which no session was notified."""
        ...


@runtime_checkable
class Righted(Protocol):
    """A mailbox in which the user may not do everything (RFC 4314): the session offers only what they may."""

    def my_rights(self) -> str:
        """Letters, as they are now."""
        ...


class Account(Protocol):
    """A logged-in account."""

    def mailboxes(self) -> Sequence[MailboxInfo]: ...
    def mailbox(self, name: str) -> MailboxInfo | None: ...
    def subscriptions(self) -> Sequence[str]: ...
    def open(self, name: str, wake: Callable[[], None]) -> Mailbox:
        """`wake` is called when changes() has something new.  Raises BackendError("NONEXISTENT", …)."""
        ...

    def create(self, name: str, special_use: str) -> Pending[None]: ...
    def delete(self, name: str) -> Pending[None]: ...
    def rename(self, old: str, new: str) -> Pending[None]: ...
    def subscribe(self, name: str, wanted: bool) -> Pending[None]: ...
    def sink(self) -> Sink: ...
    def append(self, name: str, messages: Sequence[tuple[Sink, Sequence[str], float | None]]) -> Pending[Appended]:
        """(sink, flags, internal date) of each message; all of them or none."""
        ...

    def close(self) -> None: ...


class Logins(Protocol):
    """Who may come in.  `peer` is the client's address."""

    def allowed(self, peer: IPv4Address | IPv6Address | None) -> bool: ...
    def password(self, name: str, password: str, peer: IPv4Address | IPv6Address | None) -> Pending[Account | None]: ...
    def verifier(self) -> mox_sasl.Verifier: ...
    def authenticated(
        self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None
    ) -> Pending[Account | None]:
        """A mechanism has proven `name`; the account, or None."""
        ...

    def failed(self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None) -> None: ...


@runtime_checkable
class Keyed(Protocol):
    """Logins that know some clients by the certificate they show: their sessions begin with PREAUTH."""

    def by_certificate(self, der: bytes, peer: IPv4Address | IPv6Address | None) -> Account | None:
        """Whose it is.  The driver's TLS context has verified it, as far as it verifies."""
        ...
