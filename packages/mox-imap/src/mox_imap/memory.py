"""A backend in memory: for examples, for tests, and as the model of what a backend must do.

    backend = MemoryBackend()
    account = backend.add("ann", "secret")
    account.deliver("Inbox", b"From: …")

Writes happen at once, unless `backend.hold()` was called: then they wait for `backend.settle()`, as they would wait for
a disk."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Generic, TypeVar

import mox_sasl
from mox_imap import structure
from mox_imap.backend import (
    Appended,
    BackendError,
    Changes,
    Conditional,
    Copied,
    FlagAction,
    Mailbox,
    MailboxInfo,
    Pending,
    Row,
    Sink,
)
from mox_message import Content, parse, sent_date

T = TypeVar("T")

MAX_NAME = 1000
MAX_KEYWORDS = 57
SEEN, DELETED = 1, 8
SYSTEM = {"\\seen": 1, "\\answered": 2, "\\flagged": 4, "\\deleted": 8, "\\draft": 16}
NAMES = {1: "\\Seen", 2: "\\Answered", 4: "\\Flagged", 8: "\\Deleted", 16: "\\Draft"}
FIRST_KEYWORD = 5
SALT = b"mox-imap in memory"
ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class _Message:
    """Immutable, shared by its copies."""

    content: Content
    received: float
    envelope: bytes
    bodystructure: bytes
    header: bytes
    sent: float | None


@dataclass(slots=True)
class _Box:
    """A mailbox; also its Columns."""

    name: str
    uidvalidity: int
    special: str = ""
    uidnext: int = 1
    modseq: int = 1
    keywords: list[str] = field(default_factory=list)
    uids: array[int] = field(default_factory=lambda: array("q"))
    messages: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    flags: array[int] = field(default_factory=lambda: array("q"))
    modseqs: array[int] = field(default_factory=lambda: array("q"))
    saved: dict[int, float] = field(default_factory=dict)
    gone: list[tuple[int, int]] = field(default_factory=list)  # (modseq, uid)
    open: list[_Open] = field(default_factory=list)

    def index(self, uid: int) -> int:
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def indexes(self, uids: Iterable[int]) -> list[int]:
        return [at for uid in uids if (at := self.index(uid)) >= 0]

    def bits(self, names: Iterable[str], *, learn: bool = False) -> int:
        """Bits of flag names; keywords that are not known yet are learned or left out."""
        bits = 0
        for name in names:
            folded = name.lower()
            if folded in SYSTEM:
                bits |= SYSTEM[folded]
                continue
            if folded not in self.keywords:
                if not learn:
                    continue
                if len(self.keywords) >= MAX_KEYWORDS:
                    raise BackendError("LIMIT", f"a mailbox can have at most {MAX_KEYWORDS} keywords")
                self.keywords.append(folded)
            bits |= 1 << (FIRST_KEYWORD + self.keywords.index(folded))
        return bits

    def names(self, bits: int) -> list[str]:
        found = [name for bit, name in NAMES.items() if bits & bit]
        return found + [word for at, word in enumerate(self.keywords) if bits >> (FIRST_KEYWORD + at) & 1]

    def add(self, message: int, size: int, bits: int, modseq: int, now: float) -> int:
        uid, self.uidnext, self.modseq = self.uidnext, self.uidnext + 1, modseq
        for column, value in zip(self._columns(), (uid, message, size, bits, modseq), strict=True):
            column.append(value)
        self.saved[uid] = now
        for one in self.open:
            one.news.added.append((uid, message))
        return uid

    def remove(self, uids: Sequence[int], modseq: int) -> None:
        self.modseq = modseq
        gone = set(uids)
        kept = [at for at, uid in enumerate(self.uids) if uid not in gone]
        for column in self._columns():
            column[:] = array("q", [column[at] for at in kept])  # in place: the columns stay the same objects
        self.gone += [(modseq, uid) for uid in uids]
        for one in self.open:
            one.news.expunged.extend(uids)

    def _columns(self) -> tuple[array[int], ...]:
        return self.uids, self.messages, self.sizes, self.flags, self.modseqs

    def info(self, subscribed: bool) -> MailboxInfo:
        unseen = sum(1 for bits in self.flags if not bits & SEEN)
        deleted = sum(1 for bits in self.flags if bits & DELETED)
        return MailboxInfo(
            self.name, self.uidvalidity, self.uidnext, len(self.uids), unseen, deleted, sum(self.sizes),
            self.special, subscribed,
            self.modseq,
        )  # fmt: skip


class _Held(Generic[T]):
    """A write that waits for `settle`."""

    def __init__(self, operation: Callable[[], T]) -> None:
        self._operation = operation
        self._value: T | None = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Any], object]] = []
        self._done = False

    def run(self) -> None:
        try:
            self._value = self._operation()
        except Exception as error:
            self._error = error
        self._done = True
        for callback in self._callbacks:
            callback(self)

    def done(self) -> bool:
        return self._done

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)
        return None


class MemoryBackend:
    """Logins by name and password, in the clear: not for real use.  `nonce` gives SCRAM its randomness, `clock` seconds
    since 1970."""

    def __init__(
        self, *, clock: Callable[[], float] = lambda: 0.0, nonce: Callable[[], str] = lambda: "n" * 24
    ) -> None:
        self.clock = clock
        self.accounts: dict[str, MemoryAccount] = {}
        self._passwords: dict[str, str] = {}
        self._nonce = nonce
        self._held: list[_Held[Any]] | None = None

    def add(self, name: str, password: str) -> MemoryAccount:
        """A new account; it begins with an Inbox."""
        account = self.accounts[name] = MemoryAccount(self)
        self._passwords[name] = password
        return account

    def hold(self) -> None:
        """From now on writes wait for `settle`."""
        self._held = []

    def settle(self) -> None:
        """Does the writes that wait, in order."""
        held, self._held = self._held or [], []
        for one in held:
            one.run()

    def do(self, operation: Callable[[], T]) -> Pending[T]:
        """Runs a write, now or at `settle`."""
        done = _Held(operation)
        if self._held is None:
            done.run()
        else:
            self._held.append(done)
        return done

    # -- mox_imap.Logins

    def allowed(self, peer: IPv4Address | IPv6Address | None) -> bool:
        """mox_imap.Logins: everybody may try."""
        return True

    def password(
        self, name: str, password: str, peer: IPv4Address | IPv6Address | None
    ) -> Pending[MemoryAccount | None]:
        """mox_imap.Logins"""
        return self.do(lambda: self.accounts[name] if self._passwords.get(name) == password else None)

    def authenticated(
        self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None
    ) -> Pending[MemoryAccount | None]:
        """mox_imap.Logins"""
        return self.do(lambda: self.accounts.get(name))

    def failed(self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None) -> None:
        """mox_imap.Logins: nothing is counted."""

    def verifier(self) -> mox_sasl.Verifier:
        """mox_imap.Logins"""
        return self

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        """mox_sasl.Verifier"""
        password = self._passwords.get(name)
        return mox_sasl.derive("SCRAM-SHA-256", password, SALT, ITERATIONS) if password is not None else None

    def nonce(self) -> str:
        """mox_sasl.Verifier"""
        return self._nonce()

    def secret(self) -> bytes:
        """mox_sasl.Verifier"""
        return SALT


class _Sink:
    """mox_imap.Sink"""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def abort(self) -> None:
        self.pieces.clear()


class MemoryAccount:
    """mox_imap.Account"""

    def __init__(self, backend: MemoryBackend) -> None:
        self._backend = backend
        self._boxes: dict[str, _Box] = {}
        self._messages: dict[int, _Message] = {}
        self._subscribed: set[str] = set()
        self._uidvalidity = 0
        self._modseq = 1
        self._create("Inbox", "")

    def deliver(self, name: str, data: bytes, flags: Sequence[str] = (), received: float | None = None) -> int:
        """Puts a message into a mailbox, as a delivery would; its uid."""
        box = self._box(name)
        bits = box.bits(flags, learn=True)
        part = parse(Content.of(data))
        moment = self._backend.clock() if received is None else received
        sent = sent_date(part.fields)
        self._messages[len(self._messages) + 1] = _Message(
            Content.of(data), moment, structure.envelope(part), structure.bodystructure(part),
            structure.trimmed_header(part.fields), sent,
        )  # fmt: skip
        uid = box.add(len(self._messages), len(data), bits, self._next(), self._backend.clock())
        self._tell(box)
        return uid

    # -- mox_imap.Account

    def mailboxes(self) -> Sequence[MailboxInfo]:
        """mox_imap.Account"""
        return [box.info(name in self._subscribed) for name, box in sorted(self._boxes.items())]

    def mailbox(self, name: str) -> MailboxInfo | None:
        """mox_imap.Account"""
        box = self._boxes.get(_canonical(name))
        return box.info(box.name in self._subscribed) if box is not None else None

    def subscriptions(self) -> Sequence[str]:
        """mox_imap.Account"""
        return sorted(self._subscribed)

    def open(self, name: str, wake: Callable[[], None]) -> Mailbox:
        """mox_imap.Account"""
        return _Open(self, self._box(name), wake)

    def create(self, name: str, special_use: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._create(name, special_use))

    def delete(self, name: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._delete(name))

    def rename(self, old: str, new: str) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._rename(old, new))

    def subscribe(self, name: str, wanted: bool) -> Pending[None]:
        """mox_imap.Account"""
        return self._backend.do(lambda: self._subscribe(name, wanted))

    def sink(self) -> Sink:
        """mox_imap.Account"""
        return _Sink()

    def append(self, name: str, messages: Sequence[tuple[Any, Sequence[str], float | None]]) -> Pending[Appended]:
        """mox_imap.Account"""
        whole = [(b"".join(sink.pieces), flags, moment) for sink, flags, moment in messages]

        def run() -> Appended:
            box = self._box(name, "TRYCREATE")
            return Appended(box.uidvalidity, tuple(self.deliver(name, *one) for one in whole))

        return self._backend.do(run)

    def close(self) -> None:
        """mox_imap.Account"""

    # -- below

    def _next(self) -> int:
        self._modseq += 1
        return self._modseq

    def _box(self, name: str, code: str = "NONEXISTENT") -> _Box:
        box = self._boxes.get(_canonical(name))
        if box is None:
            raise BackendError(code, "no such mailbox")
        return box

    def _tell(self, box: _Box) -> None:
        for one in list(box.open):
            one.wake()

    def _create(self, name: str, special: str) -> None:
        name = _canonical(name)
        _check_name(name)
        if name in self._boxes:
            raise BackendError("ALREADYEXISTS", "there is such a mailbox already")
        above, slash, _ = name.rpartition("/")
        if slash and above not in self._boxes:
            self._create(above, "")
        self._uidvalidity += 1
        self._boxes[name] = _Box(name, self._uidvalidity, special, modseq=self._next())
        self._subscribed.add(name)

    def _delete(self, name: str) -> None:
        box = self._box(name)
        if box.name == "Inbox":
            raise BackendError("CANNOT", "the Inbox cannot be deleted")
        if any(other.startswith(box.name + "/") for other in self._boxes):
            raise BackendError("HASCHILDREN", "there are mailboxes below it; delete those first")
        box.remove(list(box.uids), self._next())
        del self._boxes[box.name]
        self._tell(box)

    def _rename(self, old: str, new: str) -> None:
        box, new = self._box(old), _canonical(new)
        _check_name(new)
        if new in self._boxes:
            raise BackendError("ALREADYEXISTS", "there is such a mailbox already")
        if new.startswith(box.name + "/"):
            raise BackendError("CANNOT", "a mailbox cannot move below itself")
        if box.name == "Inbox":  # RFC 9051 6.3.6: it stays, and gives its messages away
            self._create(new, "")
            self.carry(box, list(box.uids), new, move=True)
            return
        above, slash, _ = new.rpartition("/")
        if slash and above not in self._boxes:
            self._create(above, "")
        was = box.name
        for name in [n for n in self._boxes if n == was or n.startswith(was + "/")]:
            moved = self._boxes.pop(name)
            moved.name = new + name[len(was) :]
            self._boxes[moved.name] = moved
            if name in self._subscribed:
                self._subscribed.discard(name)
                self._subscribed.add(moved.name)

    def _subscribe(self, name: str, wanted: bool) -> None:
        name = _canonical(name)
        if wanted:
            _check_name(name)
            self._subscribed.add(name)
        else:
            self._subscribed.discard(name)

    def message(self, number: int) -> _Message:
        """A message, also one that is in no mailbox any more."""
        return self._messages[number]

    def flag(
        self, box: _Box, indexes: Sequence[int], action: FlagAction, flags: Sequence[str]
    ) -> list[tuple[int, int]]:
        """(uid, bits after) of what changed."""
        bits = box.bits(flags, learn=action != "remove")

        def after(had: int) -> int:
            return had | bits if action == "add" else had & ~bits if action == "remove" else bits

        changed = [(at, after(box.flags[at])) for at in indexes if after(box.flags[at]) != box.flags[at]]
        if not changed:
            return []
        box.modseq = self._next()
        for at, now in changed:
            box.flags[at], box.modseqs[at] = now, box.modseq
        told = [(box.uids[at], now) for at, now in changed]
        for one in box.open:
            one.news.flags.extend(uid for uid, _ in told)
        self._tell(box)
        return told

    def carry(self, box: _Box, uids: Sequence[int], target: str, *, move: bool) -> Copied:
        """Copies or moves."""
        there = self._box(target, "TRYCREATE")
        modseq, now = self._next(), self._backend.clock()
        pairs = []
        for at in box.indexes(uids):
            bits = there.bits(box.names(box.flags[at]), learn=True)
            pairs.append((box.uids[at], there.add(box.messages[at], box.sizes[at], bits, modseq, now)))
        if move:
            box.remove([old for old, _ in pairs], self._next())
            self._tell(box)
        self._tell(there)
        return Copied(there.uidvalidity, tuple(pairs))

    def expunge(self, box: _Box, uids: Sequence[int] | None) -> Sequence[int]:
        """Removes what has \\Deleted."""
        indexes = range(len(box.uids)) if uids is None else box.indexes(uids)
        gone = [box.uids[at] for at in indexes if box.flags[at] & DELETED]
        if gone:
            box.remove(gone, self._next())
            self._tell(box)
        return gone


class _Open:
    """mox_imap.IndexedMailbox"""

    def __init__(self, account: MemoryAccount, box: _Box, wake: Callable[[], None]) -> None:
        self._account = account
        self._do = account._backend.do
        self._box = box
        self.wake = wake
        self.news = Changes()
        box.open.append(self)

    @property
    def name(self) -> str:
        return self._box.name

    @property
    def uidvalidity(self) -> int:
        return self._box.uidvalidity

    def uidnext(self) -> int:
        return self._box.uidnext

    def keywords(self) -> Sequence[str]:
        return self._box.keywords

    def entries(self) -> Iterable[tuple[int, int, int]]:
        return zip(self._box.uids, self._box.messages, self._box.flags, strict=True)

    def columns(self) -> _Box:
        return self._box

    def highest_modseq(self) -> int:
        return self._box.modseq

    def bits(self, uid: int) -> int | None:
        at = self._box.index(uid)
        return self._box.flags[at] if at >= 0 else None

    def flag_names(self, bits: int) -> Sequence[str]:
        return self._box.names(bits)

    def flag_bits(self, names: Sequence[str]) -> int:
        return self._box.bits(names)

    def rows(self, uids: Sequence[int]) -> Iterator[Row]:
        box = self._box
        for at in box.indexes(uids):
            yield self._row(box.messages[at], box.uids[at], box.saved[box.uids[at]])

    def _row(self, number: int, uid: int, saved: float) -> Row:
        message = self._account.message(number)
        return Row(
            uid, number, message.content.size, message.received, saved, message.envelope, message.bodystructure,
            message.header, message.sent,
        )  # fmt: skip

    def gone_row(self, message: int) -> Row | None:
        return self._row(message, 0, self._account.message(message).received)

    def content(self, message: int) -> Content:
        return self._account.message(message).content

    def store(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str]
    ) -> Pending[Sequence[tuple[int, int]]]:
        return self._do(lambda: self._account.flag(self._box, self._box.indexes(uids), action, flags))

    def store_unchanged(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str], unchanged_since: int
    ) -> Pending[Conditional]:
        def run() -> Conditional:
            box = self._box
            indexes = box.indexes(uids)
            fresh = [at for at in indexes if box.modseqs[at] <= unchanged_since]
            modified = [box.uids[at] for at in indexes if box.modseqs[at] > unchanged_since]
            return Conditional(self._account.flag(box, fresh, action, flags), modified)

        return self._do(run)

    def copy(self, uids: Sequence[int], target: str) -> Pending[Copied]:
        return self._do(lambda: self._account.carry(self._box, uids, target, move=False))

    def move(self, uids: Sequence[int], target: str) -> Pending[Copied]:
        return self._do(lambda: self._account.carry(self._box, uids, target, move=True))

    def expunge(self, uids: Sequence[int] | None) -> Pending[Sequence[int]]:
        return self._do(lambda: self._account.expunge(self._box, uids))

    def expunged_since(self, modseq: int) -> Sequence[int]:
        return sorted(uid for when, uid in self._box.gone if when > modseq)

    def changes(self) -> Changes:
        news, self.news = self.news, Changes()
        return news

    def close(self) -> None:
        if self in self._box.open:
            self._box.open.remove(self)


def _canonical(name: str) -> str:
    """RFC 9051 5.1: INBOX is the same in any case, alone and as the first part of a name."""
    first, slash, rest = name.partition("/")
    return "Inbox" + slash + rest if first.lower() == "inbox" else name


def _check_name(name: str) -> None:
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise BackendError("CANNOT", f"a mailbox name has 1 to {MAX_NAME} bytes")
    if any(not c.isprintable() for c in name):
        raise BackendError("CANNOT", "a mailbox name has no control characters")
    if name.startswith("#") or any(part in ("", ".", "..") for part in name.split("/")) or set(name) & set("*%"):
        raise BackendError(
            "CANNOT", "mailbox names have non-empty parts, none of them . or .., no * and %, no # in front"
        )
