"""FETCH (RFC 9051 6.4.5, 7.5.2): what was made ready is written through; bodies are read by offset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mox_imap import structure, writer
from mox_imap.backend import Row
from mox_imap.commands.store import chosen
from mox_imap.scanner import MAX_ITEMS, Scanner
from mox_imap.server import BREATHE, Command, ImapServer, No, Yielded
from mox_imap.structure import NOT_KEPT
from mox_imap.view import View
from mox_message import Content, Fields, Part, parse

AT_ONCE = 500
PIECE = 64 * 1024
MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
SIMPLE = frozenset({"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822", "RFC822.HEADER", "RFC822.TEXT"})
_PART = re.compile(r"[1-9]\d{0,9}(?:\.[1-9]\d{0,9}){0,100}")


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[part.what fields]<start.length>, or BINARY[part], BINARY.SIZE[part]."""

    label: bytes
    part: str = ""
    what: str = ""  # "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
    names: tuple[str, ...] = ()
    start: int = -1
    length: int = 0
    peek: bool = True
    binary: str = ""  # "", BINARY, BINARY.SIZE


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a FETCH asks for, in order."""

    simple: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def marks_seen(self) -> bool:
        """Does this set \\Seen?"""
        return any(not section.peek for section in self.sections) or bool({"RFC822", "RFC822.TEXT"} & set(self.simple))

    @property
    def needs_row(self) -> bool:
        """More than arrays know?"""
        return bool(self.sections) or not set(self.simple) <= {"UID", "FLAGS"}

    @property
    def needs_content(self) -> bool:
        """More than rows know?"""
        return bool(self.sections) or bool({"RFC822", "RFC822.HEADER", "RFC822.TEXT", "BODY"} & set(self.simple))


def wanted(scan: Scanner) -> Wanted:
    """fetch-att list or macro"""
    simple: dict[str, None] = {}
    sections: list[Section] = []
    if not scan.take(b"("):
        _item(scan, simple, sections, macro=True)
    else:
        while not scan.take(b")"):
            if simple or sections:
                scan.sp()
            _item(scan, simple, sections, macro=False)
            if len(simple) + len(sections) > MAX_ITEMS:
                raise scan.fail("too many items")
    return Wanted(tuple(simple), tuple(sections))


def _item(scan: Scanner, simple: dict[str, None], sections: list[Section], *, macro: bool) -> None:
    for word in (b"BODY.PEEK[", b"BODY[", b"BINARY.PEEK[", b"BINARY.SIZE[", b"BINARY["):
        if scan.take(word):
            sections.append(_section(scan, word))
            return
    name = scan.atom().upper()
    if macro and name in MACROS:
        simple.update(dict.fromkeys(MACROS[name]))
    elif name in SIMPLE:
        simple[name] = None
    else:
        raise scan.fail(f"no such item {name[:40]}")


def _section(scan: Scanner, word: bytes) -> Section:
    binary = "BINARY.SIZE" if word == b"BINARY.SIZE[" else "BINARY" if word.startswith(b"BINARY") else ""
    part, what, names = _section_text(scan, binary)
    scan.expect(b"]")
    start, length = -1, 0
    if binary != "BINARY.SIZE" and scan.take(b"<"):
        start = scan.number()
        scan.expect(b".")
        length = scan.nz_number()
        scan.expect(b">")
    label = (binary or "BODY").encode() + b"[" + part.encode()
    if what:
        label += (b"." if part else b"") + what.encode()
    if names:
        label += b" (" + b" ".join(writer.astring(name) for name in names) + b")"
    label += b"]" + (b"<%d>" % start if start >= 0 else b"")
    peek = b"PEEK" in word or binary == "BINARY.SIZE"
    return Section(label, part, what, tuple(name.lower() for name in names), start, length, peek, binary)


def _section_text(scan: Scanner, binary: str) -> tuple[str, str, tuple[str, ...]]:
    if scan.peek(b"]"):
        return "", "", ()
    text = scan.atom().upper()
    match = _PART.match(text)
    part = match[0] if match else ""
    what = text[len(part) :].removeprefix(".") if part else text
    if part and len(text) > len(part) and (text[len(part)] != "." or not what):
        raise scan.fail("no such section")
    if binary and what:
        raise scan.fail("BINARY takes part numbers only")
    names: tuple[str, ...] = ()
    if what in ("HEADER.FIELDS", "HEADER.FIELDS.NOT"):
        scan.expect(b" (")
        listed = [_field_name(scan)]
        while not scan.take(b")"):
            scan.sp()
            listed.append(_field_name(scan))
            if len(listed) > MAX_ITEMS:
                raise scan.fail("too many fields")
        names = tuple(listed)
    elif what not in ("", "HEADER", "TEXT", "MIME") or (what == "MIME" and not part):
        raise scan.fail(f"no such section {what[:40]}")
    return part, what, names


def _field_name(scan: Scanner) -> str:
    return scan.astring().decode("utf-8", "replace").upper()


def fetch(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.5"""
    scan.sp()
    numbers = scan.sequence_set()
    scan.sp()
    want = wanted(scan)
    scan.end()
    view = s.selected()
    indexes = chosen(s, scan, numbers, uid=uid)
    if uid and "UID" not in want.simple:
        want = Wanted(("UID", *want.simple), want.sections)
    for start in range(0, len(indexes), AT_ONCE):
        yield from _some(s, view, indexes[start : start + AT_ONCE], want)
        yield BREATHE
    return None


def _some(s: ImapServer, view: View, indexes: Sequence[int], want: Wanted) -> Iterator[Yielded]:
    if want.marks_seen and not s.read_only:
        unseen = [view.uids[at] for at in indexes if not (view.mailbox.bits(view.uids[at]) or 1) & 1]
        if unseen:
            yield view.mailbox.store(unseen, "add", ("\\Seen",))
    if not want.needs_row:
        yield _flags_only(view, indexes, want)
        return
    rows = {row.uid: row for row in view.mailbox.rows([view.uids[at] for at in indexes])}
    out: list[bytes] = []
    size = 0
    for at in indexes:
        row = rows.get(view.uids[at]) or view.mailbox.gone_row(view.messages[at])
        if row is None:
            continue
        for piece in _message(s, view, at, row, want):
            out.append(piece)
            size += len(piece)
        if size > PIECE:
            yield b"".join(out)
            out, size = [], 0
    yield b"".join(out)


def _flags_only(view: View, indexes: Sequence[int], want: Wanted) -> bytes:
    names: dict[int, bytes] = {}
    lines: list[bytes] = []
    with_uid, with_flags = "UID" in want.simple, "FLAGS" in want.simple
    for at in indexes:
        uid = view.uids[at]
        bits = view.mailbox.bits(uid)
        if bits is None:
            bits = view.told[at]
        view.told[at] = bits
        if bits not in names:
            names[bits] = view.names(bits)
        if with_uid and with_flags:
            lines.append(b"* %d FETCH (UID %d FLAGS (%s))\r\n" % (at + 1, uid, names[bits]))
        elif with_uid:
            lines.append(b"* %d FETCH (UID %d)\r\n" % (at + 1, uid))
        else:
            lines.append(b"* %d FETCH (FLAGS (%s))\r\n" % (at + 1, names[bits]))
    return b"".join(lines)


def _message(s: ImapServer, view: View, at: int, row: Row, want: Wanted) -> Iterator[bytes]:
    uid = view.uids[at]
    bits = view.mailbox.bits(uid)
    bits = view.told[at] if bits is None else bits
    items: list[bytes] = []
    reader = _Reader(view, row) if want.needs_content else None
    for name in want.simple:
        if name == "UID":
            items.append(b"UID %d" % uid)
        elif name == "FLAGS":
            view.told[at] = bits
            items.append(b"FLAGS (" + view.names(bits) + b")")
        elif name == "ENVELOPE":
            items.append(b"ENVELOPE " + row.envelope)
        elif name == "BODYSTRUCTURE":
            items.append(b"BODYSTRUCTURE " + row.bodystructure)
        elif name == "RFC822.SIZE":
            items.append(b"RFC822.SIZE %d" % row.size)
        elif name == "INTERNALDATE":
            items.append(b"INTERNALDATE " + writer.internal_date(row.received))
        else:
            assert reader is not None
            items.append(reader.old(name))
    if want.marks_seen and "FLAGS" not in want.simple and not s.read_only and bits != view.told[at]:
        view.told[at] = bits
        items.append(b"FLAGS (" + view.names(bits) + b")")
    yield b"* %d FETCH (" % (at + 1) + b" ".join(items)
    between = b" " if items else b""
    for section in want.sections:
        assert reader is not None
        yield between + section.label + b" "
        yield from reader.section(section)
        between = b" "
    yield b")\r\n"


class _Reader:
    """The bytes of one message, opened when they are needed."""

    def __init__(self, view: View, row: Row) -> None:
        self._view = view
        self._row = row
        self._content: Content | None = None
        self._root: Part | None = None

    @property
    def content(self) -> Content:
        """The message.  Raises BackendError."""
        if self._content is None:
            self._content = self._view.mailbox.content(self._row.message)
        return self._content

    @property
    def root(self) -> Part:
        """Its parts."""
        if self._root is None:
            self._root = parse(self.content)
        return self._root

    def old(self, name: str) -> bytes:
        """RFC822, RFC822.HEADER, RFC822.TEXT of rev1, and BODY."""
        if name == "BODY":
            return b"BODY " + structure.body(self.root)
        what = {"RFC822": "", "RFC822.HEADER": "HEADER", "RFC822.TEXT": "TEXT"}[name]
        return name.encode() + b" " + b"".join(self.section(Section(b"", "", what)))

    def section(self, section: Section) -> Iterator[bytes]:
        """The literal of a section, in pieces; NIL for what is not there."""
        if section.binary:
            yield from self._binary(section)
            return
        if section.names and not section.part and section.what == "HEADER.FIELDS" and self._kept(section.names):
            yield from _cut(section, _chosen_fields(Fields.parse(self._row.header + b"\r\n"), section))
            return
        found = self._range(section)
        if isinstance(found, bytes):
            yield from _cut(section, found)
        elif found is None:
            yield b"NIL"
        else:
            start, stop = found
            if section.start >= 0:
                start = min(start + section.start, stop)
                stop = min(stop, start + section.length)
            yield b"{%d}\r\n" % (stop - start)
            yield from self.content.chunks(start, stop, PIECE)

    def _kept(self, names: tuple[str, ...]) -> bool:
        return bool(self._row.header) and not NOT_KEPT & set(names)

    def _range(self, section: Section) -> tuple[int, int] | bytes | None:
        """Where a section is, or its bytes."""
        if not section.part and not section.what:
            return 0, self.content.size
        part = self.root.find(section.part) if section.part else self.root
        if part is None:
            return None
        if section.what == "":
            return part.body_start, part.body_end
        if section.what == "MIME":
            return part.header_start, part.body_start
        # HEADER and TEXT of a part are those of the message inside it (RFC 9051 6.4.5.1).
        message = part.message if section.part else part
        if message is None:
            return None
        if section.what == "TEXT":
            return message.body_start, message.body_end
        if section.what == "HEADER":
            return message.header_start, message.body_start
        return _chosen_fields(message.fields, section)

    def _binary(self, section: Section) -> Iterator[bytes]:
        if not section.part:
            data = self.content.read()
        else:
            part = self.root.find(section.part)
            if part is None:
                yield b"NIL" if section.binary == "BINARY" else b"0"
                return
            if part.encoding not in ("7bit", "8bit", "binary", "base64", "quoted-printable"):
                raise No("UNKNOWN-CTE", f"the encoding {part.encoding[:40]!r} is not known")
            data = b"".join(part.decoded(self.content))
        if section.binary == "BINARY.SIZE":
            yield b"%d" % len(data)
            return
        if section.start >= 0:
            data = data[section.start : section.start + section.length]
        yield (b"~" if b"\0" in data else b"") + writer.literal(data)


def _cut(section: Section, data: bytes) -> Iterator[bytes]:
    if section.start >= 0:
        data = data[section.start : section.start + section.length]
    yield writer.literal(data)


def _chosen_fields(fields: Fields, section: Section) -> bytes:
    negated = section.what == "HEADER.FIELDS.NOT"
    names = set(section.names)
    return b"".join([field.raw for field in fields if (field.name in names) != negated]) + b"\r\n"


