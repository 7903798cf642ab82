"""Which messages have a text in them?  Bytes are scanned as they are stored, in slices, and only those that may match
are taken apart.

What a match is, the caller says (mox_imap.commands.matching for IMAP): case, encodings and folding are a protocol's
business.  Here it is decided which messages cannot match, whatever the protocol says, a hundred times faster."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

from mox_message import Content
from mox_store.changes import ranges
from mox_store.reading import Reading

# A slice is so many bytes scanned: about a millisecond, so that the loop stays responsive between two of them.
SLICE = 1024 * 1024
# Taking a message apart and decoding it costs as much as scanning so many times its size, and at least so many bytes.
DECODING = 30
DECODING_LEAST = 64 * 1024
_PIECE = 1024 * 1024
_ROWS = (
    "SELECT e.uid,m.prefix,m.segment,m.at,m.length,b.data FROM entry e JOIN message m ON m.id=e.message "
    "LEFT JOIN blob b ON b.message=m.id WHERE e.mailbox=? AND e.uid BETWEEN ? AND ? ORDER BY e.uid LIMIT 50"
)
_ENCODINGS = (b"base64", b"quoted-printable", b"=?")


def scan(
    account: Reading,
    mailbox: int,
    uids: Sequence[int],
    needle: str,
    matches: Callable[[Content], bool],
    candidates: Container[int] | None = None,
) -> Iterator[list[int]]:
    """Looks through the messages of `uids` (ascending) for a case-folded `needle`; after each slice, uids that match.

    `matches(content)` decides where the bytes do not; `candidates` (words.candidates) spares looking at the
    others.  Nothing is held between two slices; a message that goes meanwhile is not found.  Raises StoreError."""
    probe = _Probe(needle)
    if candidates is not None:
        uids = _among(account, mailbox, uids, candidates)
    found: list[int] = []
    spent = 0
    for first, last in ranges(uids):
        while first <= last:
            rows = account.database.rows(_ROWS, (mailbox, first, last))
            for row in rows:
                hit, cost = _look(account, row, probe, matches)
                spent += cost
                if hit:
                    found.append(row[0])
                if spent >= SLICE:
                    yield found
                    found, spent = [], 0
            if not rows:
                break
            first = rows[-1][0] + 1
    yield found


def _among(account: Reading, mailbox: int, uids: Sequence[int], candidates: Container[int]) -> list[int]:
    """Those of `uids` whose message is a candidate."""
    found: list[int] = []
    for first, last in ranges(uids):
        rows = account.database.rows(
            "SELECT uid,message FROM entry WHERE mailbox=? AND uid BETWEEN ? AND ? ORDER BY uid", (mailbox, first, last)
        )
        found += [uid for uid, message in rows if message in candidates]
    return found


def _look(account: Reading, row: Any, probe: _Probe, matches: Callable[[Content], bool]) -> tuple[bool, int]:
    """(does it match, what looking cost)"""
    _, prefix, segment, at, length, data = row
    stored = Content.of(data or b"") if segment is None else account.segments.content(segment, at, length)
    content = Content.joined(prefix, stored)
    if not probe.possible(content):
        return False, content.size
    return matches(content), max(content.size * DECODING, DECODING_LEAST)


class _Probe:
    """Can the octets alone say no?"""

    def __init__(self, needle: str) -> None:
        # Letters beyond ASCII are written in many ways; a space may be a folded line.
        self._needle = needle.encode() if needle.isascii() and not set(needle) & set(" \t") else b""

    def possible(self, content: Content) -> bool:
        """False only when no decoding can bring the needle about."""
        if not self._needle:
            return True
        overlap = max(len(self._needle), max(map(len, _ENCODINGS))) - 1
        rest = b""
        for chunk in content.chunks(size=_PIECE):
            lowered = rest + chunk.lower()
            # Beyond ASCII there are letters that fold to ASCII ones: the Kelvin sign is a k.
            if self._needle in lowered or any(one in lowered for one in _ENCODINGS) or not chunk.isascii():
                return True
            rest = lowered[-overlap:]
        return False
