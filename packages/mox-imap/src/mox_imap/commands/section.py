"""BODY[…] and BINARY[…]: what a section means, and its bytes (RFC 9051 6.4.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mox_imap import writer
from mox_imap.backend import Mailbox, Row
from mox_imap.commands.matching import named_fields, named_fields_of
from mox_imap.scanner import MAX_ITEMS, Scanner
from mox_imap.server import No
from mox_imap.structure import NOT_KEPT
from mox_message import Content, Fields, Part, parse

PIECE = 64 * 1024
# Decoded parts up to this are decoded once; larger ones twice, first to learn their size.
IN_MEMORY = 1024 * 1024
MAX_HEADER = 1024 * 1024
_WORDS = (b"BODY.PEEK[", b"BODY[", b"BINARY.PEEK[", b"BINARY.SIZE[", b"BINARY[")
_PART = re.compile(r"[1-9]\d{0,9}(?:\.[1-9]\d{0,9}){0,100}")
DECODABLE = frozenset({"7bit", "8bit", "binary", "base64", "quoted-printable"})


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[part.what fields]<start.length>, or BINARY[part], BINARY.SIZE[part]."""

    label: bytes
    part: str = ""
    what: str = ""  # "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
    names: tuple[str, ...] = ()  # lower case
    start: int = -1
    length: int = 0
    peek: bool = True
    binary: str = ""  # "", BINARY, BINARY.SIZE

    @property
    def whole(self) -> bool:
        """Is this the message, all of it, as it is?"""
        return not (self.part or self.what or self.binary) and self.start < 0 and self.label == b"BODY[]"

    @property
    def kept(self) -> bool:
        """Is this in the header that is kept ready, if one is?"""
        return self.what == "HEADER.FIELDS" and not self.part and self.start < 0 and NOT_KEPT.isdisjoint(self.names)


def kept_fields(header: bytes, wanted: Section) -> bytes:
    """The literal of a section that is `kept`."""
    return _literal(named_fields(header, wanted.names))


def kept_fields_of(headers: Sequence[bytes], wanted: Section) -> list[bytes]:
    """The octets of a section that is `kept`, of many."""
    found = named_fields_of(headers, wanted.names)
    return [one.replace(b"\0", b"?") if b"\0" in one else one for one in found]


def section(scan: Scanner) -> Section | None:
    """`BODY[` and what follows, or None when something else comes next."""
    word = next((word for word in _WORDS if scan.take(word)), None)
    if word is None:
        return None
    binary = "BINARY.SIZE" if word == b"BINARY.SIZE[" else "BINARY" if word.startswith(b"BINARY") else ""
    part, what, names = _text(scan, binary)
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


def _text(scan: Scanner, binary: str) -> tuple[str, str, tuple[str, ...]]:
    """section-spec"""
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
    if what in ("HEADER.FIELDS", "HEADER.FIELDS.NOT"):
        return part, what, _names(scan)
    if what not in ("", "HEADER", "TEXT", "MIME") or (what == "MIME" and not part):
        raise scan.fail(f"no such section {what[:40]}")
    return part, what, ()


def _names(scan: Scanner) -> tuple[str, ...]:
    """header-list"""
    scan.expect(b" (")
    names = [_field_name(scan)]
    while not scan.take(b")"):
        scan.sp()
        names.append(_field_name(scan))
        if len(names) > MAX_ITEMS:
            raise scan.fail("too many fields")
    return tuple(names)


def _field_name(scan: Scanner) -> str:
    return scan.astring().decode("utf-8", "replace").upper()


class Place(Protocol):
    """Where a message is; `last` is what was taken apart last."""

    last: tuple[int, Content, Part] | None

    @property
    def mailbox(self) -> Mailbox: ...


class Reader:
    """The bytes of one message, opened when they are needed."""

    __slots__ = ("_content", "_fields", "_row", "_view")

    def __init__(self, view: Place, row: Row) -> None:
        self._view = view
        self._row = row
        self._content: Content | None = None
        self._fields: Fields | None = None

    @property
    def content(self) -> Content:
        """The message.  Raises BackendError."""
        if self._content is None:
            last = self._view.last
            if last is not None and last[0] == self._row.message:
                self._content = last[1]
            else:
                self._content = self._view.mailbox.content(self._row.message)
        return self._content

    @property
    def root(self) -> Part:
        """Its parts; those of the last message stay, because clients fetch one part after the other."""
        last = self._view.last
        if last is None or last[0] != self._row.message:
            last = self._view.last = (self._row.message, self.content, parse(self.content))
        return last[2]

    @property
    def fields(self) -> Fields:
        """Its header; quicker than all of its parts."""
        if self._fields is None:
            for most in (16 * 1024, MAX_HEADER + 1):
                data = self.content.read(0, most)
                self._fields = Fields.parse(data)
                if self._fields.closed or len(data) < most:
                    break
        assert self._fields is not None
        return self._fields

    def section(self, wanted: Section) -> Iterator[bytes]:
        """The literal of a section, in pieces; NIL for what is not there."""
        if wanted.binary:
            yield from self._binary(wanted)
            return
        found = self._found(wanted)
        if isinstance(found, bytes):
            yield _literal(_cut(wanted, found))
        elif found is None:
            yield b"NIL"
        else:
            start, stop = _narrowed(wanted, *found)
            yield b"{%d}\r\n" % (stop - start)
            for piece in self.content.chunks(start, stop, PIECE):
                # A literal has no NUL (RFC 9051 9, CHAR8); BINARY shows what really is there.
                yield piece.replace(b"\0", b"?") if b"\0" in piece else piece

    def octets(self, wanted: Section) -> Iterator[bytes] | None:
        """The octets of a section that is not BINARY, as they are; None for what is not there."""
        found = self._found(wanted)
        if isinstance(found, bytes):
            return iter((_cut(wanted, found),))
        if found is None:
            return None
        start, stop = _narrowed(wanted, *found)
        return self.content.chunks(start, stop, PIECE)

    def part(self, number: str) -> Part | None:
        """A part by its number; "" is the message."""
        return self._part(number) if number else self.root

    def _found(self, wanted: Section) -> tuple[int, int] | bytes | None:
        kept = self._row.header
        if kept and not wanted.part and wanted.what == "HEADER.FIELDS" and NOT_KEPT.isdisjoint(wanted.names):
            return named_fields(kept, wanted.names)
        return self._range(wanted)

    def _range(self, wanted: Section) -> tuple[int, int] | bytes | None:
        """Where a section is, or its bytes."""
        if not wanted.part:
            if not wanted.what:
                return 0, self.content.size
            if wanted.what == "HEADER":
                return 0, self.fields.end
            if wanted.what == "TEXT":
                return self.fields.end, self.content.size
            return _chosen_fields(self.fields, wanted)
        part = self._part(wanted.part)
        if part is None:
            return None
        if wanted.what == "":
            return part.body_start, part.body_end
        if wanted.what == "MIME":
            return part.header_start, part.body_start
        # HEADER and TEXT of a part are those of the message inside it (RFC 9051 6.4.5.1).
        message = part.message
        if message is None:
            return None
        if wanted.what == "TEXT":
            return message.body_start, message.body_end
        if wanted.what == "HEADER":
            return message.header_start, message.body_start
        return _chosen_fields(message.fields, wanted)

    def _part(self, number: str) -> Part | None:
        return next((part for found, part in self.root.numbered() if found == number), None)

    def _binary(self, wanted: Section) -> Iterator[bytes]:
        """RFC 3516 4.2: decoded; a literal8 only where there are NULs."""
        if not wanted.part:
            read = self.content.chunks
        else:
            part = self._part(wanted.part)
            if part is None:
                yield b"NIL" if wanted.binary == "BINARY" else b"0"
                return
            if part.encoding not in DECODABLE:
                raise No("UNKNOWN-CTE", f"the encoding {part.encoding[:40]!r} is not known")
            content, found = self.content, part

            def read() -> Iterator[bytes]:  # type: ignore[misc]
                return found.decoded(content)

        size, nul, held = 0, False, []
        for piece in read():
            size += len(piece)
            nul = nul or b"\0" in piece
            if size <= IN_MEMORY:
                held.append(piece)
        if wanted.binary == "BINARY.SIZE":
            yield b"%d" % size
            return
        start = min(wanted.start, size) if wanted.start >= 0 else 0
        stop = min(size, start + wanted.length) if wanted.start >= 0 else size
        yield b"%s{%d}\r\n" % (b"~" if nul else b"", stop - start)
        yield from _between(iter(held) if size <= IN_MEMORY else read(), start, stop)


def _between(pieces: Iterator[bytes], start: int, stop: int) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        if at >= stop:
            return
        if at + len(piece) > start:
            yield piece[max(0, start - at) : stop - at]
        at += len(piece)


def _narrowed(wanted: Section, start: int, stop: int) -> tuple[int, int]:
    """The octets of `<start.length>` within a range."""
    if wanted.start >= 0:
        start = min(start + wanted.start, stop)
        stop = min(stop, start + wanted.length)
    return start, stop


def _cut(wanted: Section, data: bytes) -> bytes:
    return data[wanted.start : wanted.start + wanted.length] if wanted.start >= 0 else data


def _literal(data: bytes) -> bytes:
    return writer.literal(data.replace(b"\0", b"?") if b"\0" in data else data)


def _chosen_fields(fields: Fields, wanted: Section) -> bytes:
    negated = wanted.what == "HEADER.FIELDS.NOT"
    names = set(wanted.names)
    return b"".join([field.raw for field in fields if (field.name in names) != negated]) + b"\r\n"
