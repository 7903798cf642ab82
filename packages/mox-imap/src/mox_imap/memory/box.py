"""One mailbox in memory, and what it holds."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mox_imap.backend import BackendError, MailboxInfo, Row
from mox_message import Content

if TYPE_CHECKING:
    from mox_imap.memory.mailbox import OpenMailbox

MAX_NAME = 1000
MAX_KEYWORDS = 57
SEEN, DELETED = 1, 8
SYSTEM = {"\\seen": 1, "\\answered": 2, "\\flagged": 4, "\\deleted": 8, "\\draft": 16}
NAMES = {1: "\\Seen", 2: "\\Answered", 4: "\\Flagged", 8: "\\Deleted", 16: "\\Draft"}
FIRST_KEYWORD = 5


@dataclass(frozen=True, slots=True)
class Message:
    """Immutable, shared by its copies."""

    content: Content
    received: float
    envelope: bytes
    bodystructure: bytes
    header: bytes
    sent: float | None
    email_id: str
    thread_id: str
    preview: str
    subject: str


@dataclass(slots=True)
class Box:
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
    open: list[OpenMailbox] = field(default_factory=list)
    annotations: dict[str, bytes] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)  # by uid, once they were asked for
    notified: int = 0  # the last uid that a session was notified of

    def index(self, uid: int) -> int:
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

    def indexes(self, uids: Sequence[int]) -> Sequence[int]:
        if len(uids) == len(self.uids) and array("q", uids) == self.uids:
            return range(len(self.uids))
        return [at for uid in uids if (at := self.index(uid)) >= 0]

    def bits(self, names: Iterable[str], *, learn: bool = False) -> int:
        """Bits of flag names; keywords that are not known yet are learned or left out."""
        bits, known = 0, {word.lower(): at for at, word in enumerate(self.keywords)}
        for name in names:
            folded = name.lower()
            if folded in SYSTEM:
                bits |= SYSTEM[folded]
                continue
            if folded not in known:
                if not learn:
                    continue
                if len(self.keywords) >= MAX_KEYWORDS:
                    raise BackendError("LIMIT", f"a mailbox can have at most {MAX_KEYWORDS} keywords")
                known[folded] = len(self.keywords)
                self.keywords.append(name)
            bits |= 1 << (FIRST_KEYWORD + known[folded])
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
        for uid in uids:
            self.rows.pop(uid, None)
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
            self.modseq, f"F{self.uidvalidity}",
        )  # fmt: skip


def canonical(name: str) -> str:
    """RFC 9051 5.1: INBOX is the same in any case, alone and as the first part of a name."""
    first, slash, rest = name.partition("/")
    return "Inbox" + slash + rest if first.lower() == "inbox" else name


def check_name(name: str) -> None:
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise BackendError("CANNOT", f"a mailbox name has 1 to {MAX_NAME} bytes")
    if any(not c.isprintable() for c in name):
        raise BackendError("CANNOT", "a mailbox name has no control characters")
    if name.startswith("#") or any(part in ("", ".", "..") for part in name.split("/")) or set(name) & set("*%"):
        raise BackendError(
            "CANNOT", "mailbox names have non-empty parts, none of them . or .., no * and %, no # in front"
        )
