"""What a search returns: search-return-opts, and the ESEARCH response (RFC 9051 6.4.4, RFC 5267, RFC 9394)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mox_imap import writer
from mox_imap.commands.ranges import cut, partial
from mox_imap.scanner import Scanner
from mox_imap.view import View

OPTIONS = ("MIN", "MAX", "ALL", "COUNT", "SAVE", "PARTIAL", "CONTEXT", "UPDATE")


@dataclass(frozen=True, slots=True)
class Returns:
    """search-return-opts"""

    options: frozenset[str] = frozenset()
    span: tuple[int, int] | None = None
    given: bool = False

    @property
    def tells(self) -> bool:
        """Is anything but SAVE asked for?"""
        return bool(self.options - {"SAVE"})


def returns(scan: Scanner) -> Returns:
    """`RETURN (…)` from its parenthesis on.  Raises CommandSyntaxError."""
    scan.expect(b"(")
    found: set[str] = set()
    span: tuple[int, int] | None = None
    while not scan.take(b")"):
        if found:
            scan.sp()
        word = scan.atom().upper()
        if word not in OPTIONS or word in found:
            raise scan.fail(f"no such return option {word[:40]}")
        if word == "PARTIAL":
            scan.sp()
            span = partial(scan)
        found.add(word)
    if {"PARTIAL", "ALL"} <= found:
        raise scan.fail("PARTIAL and ALL exclude each other")
    # RFC 5267 4.2: CONTEXT and UPDATE only say what will be asked for; what is returned is as if they were not there.
    if not found - {"CONTEXT", "UPDATE"}:
        found.add("ALL")
    return Returns(frozenset(found), span, given=True)


def highest(view: View, found: Sequence[int], wanted: Returns) -> int:
    """RFC 7162 3.1.5, 3.1.10: of the messages that the answer tells of."""
    ends = [found[at] for name, at in (("MIN", 0), ("MAX", -1)) if name in wanted.options]
    some = found if wanted.options & {"ALL", "COUNT"} or not ends else ends
    return max(view.modseqs_of(some))


def saved(found: Sequence[int], wanted: Returns) -> Sequence[int]:
    """RFC 9051 6.4.4.1, RFC 9394 3.2: with MIN, MAX or PARTIAL only, those are what is saved."""
    options = wanted.options
    if options & {"ALL", "COUNT"} or not options & {"MIN", "MAX", "PARTIAL"} or not found:
        return sorted(found)
    kept = {*(found[:1] if "MIN" in options else ()), *(found[-1:] if "MAX" in options else ())}
    if wanted.span is not None:
        kept.update(cut(found, wanted.span))
    return sorted(kept)


def esearch(tag: str, numbers: Sequence[int], wanted: Returns, modseq: int, *, uid: bool, where: bytes = b"") -> bytes:
    """The ESEARCH response; `where`: what a search of several mailboxes says of the one (RFC 7377)."""
    options = wanted.options
    parts = [b"* ESEARCH (TAG %s%s)" % (writer.string(tag.encode()), where)]
    if uid:
        parts.append(b"UID")
    if numbers and "MIN" in options:
        parts.append(b"MIN %d" % numbers[0])
    if numbers and "MAX" in options:
        parts.append(b"MAX %d" % numbers[-1])
    if "COUNT" in options:
        parts.append(b"COUNT %d" % len(numbers))
    if numbers and "ALL" in options:
        parts.append(b"ALL " + writer.sequence_set(numbers))
    if wanted.span is not None:
        some = cut(numbers, wanted.span)
        low, high = wanted.span if wanted.span[0] > 0 else wanted.span[::-1]
        parts.append(b"PARTIAL (%d:%d %s)" % (low, high, writer.sequence_set(some) if some else b"NIL"))
    if modseq:
        parts.append(b"MODSEQ %d" % modseq)
    return b" ".join(parts) + b"\r\n"
