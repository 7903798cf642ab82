"""FETCH (RFC 9051 6.4.5, 7.5.2): what was made ready is written through; bodies are read by offset.

A message's line is made from columns: every item gives a piece of a template and the values of 500 messages for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mox_imap import writer
from mox_imap.backend import Row
from mox_imap.commands.ranges import cut, partial
from mox_imap.commands.section import Reader, Section, kept_fields, kept_fields_of, section
from mox_imap.commands.store import chosen, limited
from mox_imap.scanner import MAX_ITEMS, Scanner
from mox_imap.server import Breathe, Command, ImapServer, Yielded
from mox_imap.structure import short
from mox_imap.view import View, vanished
from mox_message import parse, preview

AT_ONCE = 500
PIECE = 64 * 1024
# Octets of bodies that are made ready before the client has read any.
MOST_AT_ONCE = 1024 * 1024
MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
# What arrays know; the rest needs rows.
QUICK = frozenset({"UID", "FLAGS", "MODSEQ", "RFC822.SIZE"})
# Items whose values stand in one column, and what is made of them.
_CELLS = {
    "INTERNALDATE": "received", "SAVEDATE": "saved", "ENVELOPE": "envelope", "BODYSTRUCTURE": "bodystructure",
    "BODY": "bodystructure",
}  # fmt: skip
_MADE_OF: dict[str, Callable[[Any], bytes]] = {
    "INTERNALDATE": writer.internal_date, "SAVEDATE": writer.internal_date, "BODY": short,
}  # fmt: skip
_BY_CELLS = QUICK | _CELLS.keys()
SIMPLE = QUICK | {
    "INTERNALDATE", "SAVEDATE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "EMAILID", "THREADID", "PREVIEW", "PREVIEW (LAZY)",
}  # fmt: skip
# RFC 3501 6.4.5: what they are short for, and whether they set \Seen.
OLD = {
    "RFC822": Section(b"RFC822", peek=False),
    "RFC822.HEADER": Section(b"RFC822.HEADER", what="HEADER"),
    "RFC822.TEXT": Section(b"RFC822.TEXT", what="TEXT", peek=False),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a FETCH asks for, in order, and what narrows it."""

    simple: tuple[str, ...]
    sections: tuple[Section, ...]
    changed_since: int = -1
    vanished: bool = False
    partial: tuple[int, int] | None = None

    @property
    def marks_seen(self) -> bool:
        """Does this set \\Seen?"""
        return any(not one.peek for one in self.sections)


def wanted(scan: Scanner) -> Wanted:
    """fetch-att list or macro, and fetch-modifiers (RFC 4466, RFC 7162, RFC 9394)"""
    want = items(scan, listed=scan.take(b"("))
    return _modifiers(scan, want) if scan.take(b" (") else want


def items(scan: Scanner, *, listed: bool) -> Wanted:
    """One fetch-att, or a list of them from after its parenthesis on"""
    simple: dict[str, None] = {}
    sections: list[Section] = []
    if not listed:
        _item(scan, simple, sections)
    while listed and not scan.take(b")"):
        if simple or sections:
            scan.sp()
        _item(scan, simple, sections)
        if len(simple) + len(sections) > MAX_ITEMS:
            raise scan.fail("too many items")
    if not simple and not sections:
        raise scan.fail("an item is expected")
    return Wanted(tuple(simple), tuple(sections))


def _item(scan: Scanner, simple: dict[str, None], sections: list[Section]) -> None:
    found = section(scan)
    if found is not None:
        sections.append(found)
        return
    name = scan.atom().upper()
    if name in MACROS:  # Quirk macro-list: some clients put a macro in parentheses.
        simple.update(dict.fromkeys(MACROS[name]))
    elif name in SIMPLE:
        lazy = name == "PREVIEW" and scan.take(b" (LAZY)")  # RFC 8970 3.2
        simple[name + " (LAZY)" if lazy else name] = None
    elif name in OLD:
        sections.append(OLD[name])
    else:
        raise scan.fail(f"no such item {name[:40]}")


def _modifiers(scan: Scanner, want: Wanted) -> Wanted:
    first = True
    while not scan.take(b")"):
        if not first:
            scan.sp()
        first = False
        word = scan.atom().upper()
        if word == "CHANGEDSINCE" and want.changed_since < 0:
            scan.sp()
            want = replace(want, changed_since=scan.number())
        elif word == "VANISHED" and not want.vanished:
            want = replace(want, vanished=True)
        elif word == "PARTIAL" and want.partial is None:
            scan.sp()
            want = replace(want, partial=partial(scan))
        else:
            raise scan.fail(f"no such modifier {word[:40]}")
    if first:
        raise scan.fail("a modifier is expected")
    return want


def fetch(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.5"""
    scan.sp()
    numbers = scan.sequence_set()
    scan.sp()
    want = wanted(scan)
    scan.end()
    view = s.selected()
    indexes = chosen(s, scan, numbers, uid=uid)
    if not {"EMAILID", "THREADID"}.isdisjoint(want.simple) and not s.offers("OBJECTID"):
        raise scan.fail("OBJECTID is not to be had")
    if want.changed_since >= 0 or "MODSEQ" in want.simple:
        s.condstore_used(scan)
    if want.vanished and not (uid and s.qresync and want.changed_since >= 0):
        raise scan.fail("VANISHED needs UID FETCH, CHANGEDSINCE, and QRESYNC to be enabled")
    if uid and not s.uidonly and "UID" not in want.simple:
        want = replace(want, simple=("UID", *want.simple))
    if want.changed_since >= 0:
        if want.vanished:
            yield b"".join(_gone(view, want.changed_since, list(numbers.bounds(2**32))))
        if "MODSEQ" not in want.simple:
            want = replace(want, simple=(*want.simple, "MODSEQ"))
        modseqs = view.modseqs_of(indexes)
        indexes = [at for at, modseq in zip(indexes, modseqs, strict=True) if modseq > want.changed_since]
    if want.partial is not None:
        indexes = cut(indexes, want.partial)
    indexes, code = limited(s, view, indexes)
    for start in range(0, len(indexes), AT_ONCE):
        if start:
            yield Breathe(start, len(indexes))
        yield from _some(s, view, indexes[start : start + AT_ONCE], want)
    return code


def _gone(view: View, since: int, bounds: list[tuple[int, int]]) -> Iterator[bytes]:
    """RFC 7162 3.2.6: what went since then, of the uids that were asked for and that are not there."""
    assert view.indexed is not None
    gone = view.indexed.expunged_since(since)
    yield from vanished([uid for uid in gone if _within(uid, bounds) and view.index(uid) < 0], earlier=True)


def _within(uid: int, bounds: list[tuple[int, int]]) -> bool:
    at = bisect_right(bounds, (uid, 2**33)) - 1
    return at >= 0 and bounds[at][0] <= uid <= bounds[at][1]


def _some(s: ImapServer, view: View, indexes: Sequence[int], want: Wanted) -> Iterator[Yielded]:
    fresh: frozenset[int] = frozenset()
    if want.marks_seen and not s.read_only and view.may("s"):
        unseen = [at for at, bits in zip(indexes, view.flags(indexes), strict=True) if not bits & 1]
        if unseen:
            yield view.mailbox.store([view.uids[at] for at in unseen], "add", ("\\Seen",))
            fresh = frozenset(unseen)
    if fresh and "FLAGS" not in want.simple:
        want = replace(want, simple=(*want.simple, "FLAGS"))
    yield from told(view, indexes, want)


def told(view: View, indexes: Sequence[int], want: Wanted) -> Iterator[Yielded]:
    """The FETCH responses of some messages."""
    if "FLAGS" in want.simple and (news := view.keywords_for(indexes)):
        yield news
    if not want.sections and QUICK.issuperset(want.simple):
        sizes = view.sizes(indexes) if "RFC822.SIZE" in want.simple else ()
        if sizes is not None:
            yield b"".join(_lines(view, indexes, want.simple, (), sizes, b")\r\n"))
            return
    quick = _from_cells(view, indexes, want)
    if quick is not None:
        yield from quick
        return
    rows = _rows(view, indexes)
    if len(rows) != len(indexes):  # some are gone for good
        left = {row.uid for row in rows}
        indexes = [at for at in indexes if view.uids[at] in left]
    simple = want.simple
    sizes = [row.size for row in rows]
    if not want.sections:
        yield b"".join(_lines(view, indexes, simple, rows, sizes, b")\r\n"))
        return
    if all(one.kept for one in want.sections) and all(row.header for row in rows):
        yield b"".join(_lines(view, indexes, simple, rows, sizes, b")\r\n", want.sections))
        return
    heads = list(_lines(view, indexes, simple, rows, sizes, b""))
    yield from _bodies(view, heads, rows, want.sections, bare=not simple)


def _from_cells(view: View, indexes: Sequence[int], want: Wanted) -> Iterator[bytes] | None:
    """The same from single columns, where those are enough."""
    if view.celled is None or not _BY_CELLS.issuperset(want.simple):
        return None
    whole = len(want.sections) == 1 and want.sections[0].whole
    if not whole and not all(one.kept for one in want.sections):
        return None
    sizes = view.sizes(indexes) if whole or "RFC822.SIZE" in want.simple else ()
    if sizes is None:
        return None
    if not whole:
        lines = _cell_lines(view, indexes, want, sizes)
        return iter((lines,)) if lines is not None else None
    pieces: list[bytes] = []
    start = octets = 0
    for end, size in enumerate(sizes, 1):
        octets += size
        if octets >= PIECE or end == len(indexes):
            lines = _cell_lines(view, indexes[start:end], want, sizes[start:end])
            if lines is None:
                return None if not pieces else _rest(view, indexes[start:], want, pieces)
            pieces.append(lines)
            start, octets = end, 0
            if len(pieces) * PIECE > MOST_AT_ONCE:
                return _rest(view, indexes[start:], want, pieces)
    return iter(pieces)


def _rest(view: View, indexes: Sequence[int], want: Wanted, pieces: list[bytes]) -> Iterator[Any]:
    """What is ready, then the others."""
    yield from pieces
    if indexes:
        yield from told(view, indexes, want)


def _cell_lines(view: View, indexes: Sequence[int], want: Wanted, sizes: Sequence[int]) -> bytes | None:
    names = list(dict.fromkeys(_CELLS[name] for name in want.simple if name in _CELLS))
    if want.sections:
        names += ["prefix", "data"] if want.sections[0].whole else ["header"]
    found = view.cells(indexes, names)
    if found is None:
        return None
    cells = dict(zip(names, found, strict=True))
    word, numbers = view.labels(indexes)
    pieces: list[bytes] = []
    columns: list[Sequence[Any]] = [numbers]
    for name in want.simple:
        if name in _CELLS:
            pieces.append(name.encode() + b" %b")
            make, column = _MADE_OF.get(name), cells[_CELLS[name]]
            columns.append(column if make is None else list(map(make, column)))
        else:
            piece, values = _COLUMNS[name](view, indexes, (), sizes)
            pieces.append(piece)
            columns.append(values)
    for one in want.sections:
        label = one.label.replace(b"%", b"%%")
        if one.whole:
            prefixes, bodies = cells["prefix"], cells["data"]
            if None in bodies or any(b"\0" in body for body in bodies):
                return None
            pieces.append(label + b" {%d}\r\n%b%b")
            columns += [[len(p) + len(b) for p, b in zip(prefixes, bodies, strict=True)], prefixes, bodies]
        else:
            headers = cells["header"]
            if not all(headers):
                return None
            fields = kept_fields_of(headers, one)
            pieces.append(label + b" {%d}\r\n%b")
            columns += [list(map(len, fields)), fields]
    template = b"* %d " + word + b" (" + b" ".join(pieces) + b")\r\n"
    return b"".join(map(template.__mod__, zip(*columns, strict=True)))


def _rows(view: View, indexes: Sequence[int]) -> list[Row]:
    uids = [view.uids[at] for at in indexes]
    rows = list(view.mailbox.rows(uids))
    if len(rows) == len(uids):
        return rows
    there = {row.uid: row for row in rows}
    found: list[Row] = []
    for at, uid in zip(indexes, uids, strict=True):
        row = there.get(uid) or view.mailbox.gone_row(view.messages[at])
        if row is not None:
            found.append(row if row.uid else row._replace(uid=uid))
    return found


def _lines(
    view: View,
    indexes: Sequence[int],
    simple: Sequence[str],
    rows: Sequence[Row],
    sizes: Sequence[int],
    end: bytes,
    sections: Sequence[Section] = (),
) -> Iterator[bytes]:
    """`* n FETCH (items` and `end` for each message; of sections, those that are in the header that is kept."""
    pieces: list[bytes] = []
    word, numbers = view.labels(indexes)
    columns: list[Sequence[Any]] = [numbers]
    for name in simple:
        piece, column = _COLUMNS[name](view, indexes, rows, sizes)
        pieces.append(piece)
        columns.append(column)
    for one in sections:
        pieces.append(one.label.replace(b"%", b"%%") + b" %b")
        columns.append([kept_fields(row.header, one) for row in rows])
    template = b"* %d " + word + b" (" + b" ".join(pieces) + end
    return map(template.__mod__, zip(*columns, strict=True))


_Column = Callable[[View, Sequence[int], Sequence[Row], Sequence[int]], tuple[bytes, Sequence[Any]]]


def _preview(view: View, row: Row) -> bytes:
    """RFC 8970: as it was kept, or made now."""
    text = row.preview
    if text is None:
        content = view.mailbox.content(row.message)
        text = preview(parse(content), content)
    return writer.text(text)


_COLUMNS: dict[str, _Column] = {
    "UID": lambda view, indexes, rows, sizes: (b"UID %d", [view.uids[at] for at in indexes]),
    "FLAGS": lambda view, indexes, rows, sizes: (b"FLAGS (%s)", view.flags_of(indexes, view.tell_of(indexes))),
    "MODSEQ": lambda view, indexes, rows, sizes: (b"MODSEQ (%d)", view.tell_modseqs_of(indexes)),
    "RFC822.SIZE": lambda view, indexes, rows, sizes: (b"RFC822.SIZE %d", sizes),
    "INTERNALDATE": lambda view, indexes, rows, sizes: (
        b"INTERNALDATE %s",
        [writer.internal_date(row.received) for row in rows],
    ),
    "SAVEDATE": lambda view, indexes, rows, sizes: (b"SAVEDATE %s", [writer.internal_date(row.saved) for row in rows]),
    "ENVELOPE": lambda view, indexes, rows, sizes: (b"ENVELOPE %s", [row.envelope for row in rows]),
    "BODYSTRUCTURE": lambda view, indexes, rows, sizes: (b"BODYSTRUCTURE %s", [row.bodystructure for row in rows]),
    "BODY": lambda view, indexes, rows, sizes: (b"BODY %s", [short(row.bodystructure) for row in rows]),
    "EMAILID": lambda view, indexes, rows, sizes: (b"EMAILID (%s)", [row.email_id.encode() for row in rows]),
    "THREADID": lambda view, indexes, rows, sizes: (
        b"THREADID %s",
        [b"(%s)" % row.thread_id.encode() if row.thread_id else b"NIL" for row in rows],
    ),
    "PREVIEW": lambda view, indexes, rows, sizes: (b"PREVIEW %s", [_preview(view, row) for row in rows]),
    "PREVIEW (LAZY)": lambda view, indexes, rows, sizes: (
        b"PREVIEW %s",
        [b"NIL" if row.preview is None else writer.text(row.preview) for row in rows],
    ),
}


def _bodies(
    view: View, heads: Sequence[bytes], rows: Sequence[Row], sections: Sequence[Section], *, bare: bool
) -> Iterator[Yielded]:
    """Lines with sections, in pieces."""
    out: list[bytes] = []
    size = 0
    for head, row in zip(heads, rows, strict=True):
        reader = Reader(view, row)
        out.append(head)
        between = b"" if bare else b" "
        for one in sections:
            out.append(between + one.label + b" ")
            between = b" "
            for piece in reader.section(one):
                out.append(piece)
                size += len(piece)
                if size > PIECE:
                    yield b"".join(out)
                    out, size = [], 0
        out.append(b")\r\n")
        size += len(head)
    yield b"".join(out)
