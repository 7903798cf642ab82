"""Where is the XML?  In a file, in gzip, in a zip archive, or attached to a mail.  Every step has an end.

    Limits    how much of anything is looked at
    xml_of    octets or a Content -> the octets of the XML in pieces
    Unusable  there is none to be had; the text says why

Archives are told by their first octets, not by name or type: reporters write both as they please.  Nothing is trusted
that an archive says of its own size, and nothing is written anywhere."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from mox_message import Content, Part, parse

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
_CHUNK = 64 * 1024
_BLANK = b" \t\r\n"
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # byte order marks


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is looked at before a report is given up.  Octets, unless said otherwise."""

    message: int = 32 << 20  # a whole mail
    packed: int = 24 << 20  # an archive
    xml: int = 64 << 20  # what comes out of it
    layers: int = 3  # archives within archives: some reporters compress twice
    members: int = 16  # entries of a zip archive
    parts: int = 32  # parts of a mail that could be a report
    rows: int = 200_000  # of one report
    elements: int = 4000  # below one row
    depth: int = 16  # elements within elements
    text: int = 2048  # characters of one value; the rest is cut off
    token: int = 1 << 20  # one tag, comment or the like

    def __post_init__(self) -> None:
        if min(self.layers, self.members, self.parts, self.rows, self.elements, self.depth, self.text) < 1:
            raise ValueError("a limit below one lets nothing through")


DEFAULT = Limits()


class Unusable(ValueError):
    """There is no report in this, or more of it than the limits allow; the text says which."""


def xml_of(source: bytes | Content, limits: Limits = DEFAULT) -> Iterator[bytes]:
    """The octets of the XML in `source`, which is XML, gzip, zip, or a mail with one of them.

    Raises Unusable, also later, while the pieces are being taken; OSError if `source` is a file that cannot be read."""
    content = Content.of(source) if isinstance(source, bytes) else source
    start = content.read(0, 64)
    if not start.strip(_BLANK):
        raise Unusable("nothing but white space" if start else "empty")
    if start.startswith((GZIP, ZIP)) or _is_xml(start):
        return _bounded(_opened(content.read(0, limits.packed + 1), limits, limits.layers), limits)
    if content.size > limits.message:
        raise Unusable(f"a mail of {content.size} octets; at most {limits.message} are looked at")
    return _bounded(_from_mail(content, limits), limits)


def _is_xml(start: bytes) -> bool:
    return start.lstrip(_BLANK).startswith(b"<") or start.startswith(_MARKS)


def _bounded(chunks: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.xml:
            raise Unusable(f"more than {limits.xml} octets of XML")
        yield chunk


def _opened(data: bytes, limits: Limits, layers: int) -> Iterable[bytes]:
    """The octets under at most `layers` archives."""
    if not data.startswith((GZIP, ZIP)):
        if len(data) > limits.packed:
            raise Unusable(f"more than {limits.packed} octets")
        return (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
    if len(data) > limits.packed:
        raise Unusable(f"an archive of more than {limits.packed} octets")
    if layers < 1:
        raise Unusable("archives within archives")
    chunks = _gunzip(data) if data.startswith(GZIP) else _unzip(data, limits)
    first = next(chunks, b"")
    if first.startswith((GZIP, ZIP)):
        return _opened(b"".join(_bounded(chain((first,), chunks), limits)), limits, layers - 1)
    return chain((first,), chunks)


def _gunzip(data: bytes) -> Iterator[bytes]:
    """RFC 1952: one member after the other; what follows the last is not looked at."""
    while data.startswith(GZIP):
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        yield from _inflated(inflater, data)
        if not inflater.eof:
            raise Unusable("gzip data that breaks off")
        data = inflater.unused_data


def _inflated(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    try:
        while data and not inflater.eof:
            chunk = inflater.decompress(data, _CHUNK)
            data = inflater.unconsumed_tail
            if chunk:
                yield chunk
        while not inflater.eof and (chunk := inflater.decompress(b"", _CHUNK)):
            yield chunk
    except zlib.error as error:
        raise Unusable(f"compressed data that is broken: {error}") from None


@dataclass(frozen=True, slots=True)
class _Member:
    """An entry of a zip archive, from its central directory."""

    name: str
    flags: int
    method: int
    check: int
    packed: int
    offset: int


def _unzip(data: bytes, limits: Limits) -> Iterator[bytes]:
    """The one member of a zip archive that is a report: the first named .xml or like an archive, else the first."""
    members = [one for one in _members(data, limits) if one.packed and not one.name.startswith("__MACOSX/")]
    named = [one for one in members if one.name.lower().endswith((".xml", ".gz", ".zip"))]
    for one in named or members:
        return _member(data, one)
    raise Unusable("a zip archive with nothing in it")


def _members(data: bytes, limits: Limits) -> list[_Member]:
    """The central directory, read by hand: its own count of entries, and its size, are whatever a sender likes."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    if end < 0 or len(data) < end + 22:
        raise Unusable("a zip archive that breaks off")
    at = struct.unpack_from("<I", data, end + 16)[0]
    found: list[_Member] = []
    while data.startswith(b"PK\x01\x02", at) and len(data) >= at + 46:
        if len(found) == limits.members:
            raise Unusable(f"a zip archive of more than {limits.members} files")
        flags, method = struct.unpack_from("<HH", data, at + 8)
        check, packed = struct.unpack_from("<II", data, at + 16)
        name, extra, comment = struct.unpack_from("<HHH", data, at + 28)
        offset = struct.unpack_from("<I", data, at + 42)[0]
        text = data[at + 46 : at + 46 + name].decode("utf-8", "replace")
        found.append(_Member(text, flags, method, check, packed, offset))
        at += 46 + name + extra + comment
    return found


def _member(data: bytes, one: _Member) -> Iterator[bytes]:
    if one.flags & 1:
        raise Unusable("a zip archive with a password")
    if not data.startswith(ZIP, one.offset) or len(data) < one.offset + 30:
        raise Unusable("a zip archive whose directory points nowhere")
    name, extra = struct.unpack_from("<HH", data, one.offset + 26)
    start = one.offset + 30 + name + extra
    packed = data[start : start + one.packed]
    if len(packed) < one.packed:
        raise Unusable("a zip archive that breaks off")
    if one.method == 0:
        return iter((packed,))
    if one.method != 8:
        raise Unusable(f"a zip archive with compression method {one.method}; 0 and 8 are known")
    return _deflated(packed, one.check)


def _deflated(packed: bytes, check: int) -> Iterator[bytes]:
    inflater, found = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for chunk in _inflated(inflater, packed):
        found = zlib.crc32(chunk, found)
        yield chunk
    if not inflater.eof or found != check:
        raise Unusable("a zip archive whose contents do not fit its checksum")


def _from_mail(content: Content, limits: Limits) -> Iterable[bytes]:
    """The first part of a mail that is a report, wherever in its structure it is."""
    troubles: list[str] = []
    for looked_at, part in enumerate(_candidates(parse(content))):
        if looked_at == limits.parts:
            break
        data = part.data(content, limits.packed + 1)
        if not (data.startswith((GZIP, ZIP)) or _is_xml(data[:64])):
            continue
        if _is_html(data[:512]):
            continue
        try:
            return _opened(data, limits, limits.layers)
        except Unusable as error:
            troubles.append(f"{part.filename or part.media_type}: {error}")
    raise Unusable(f"no usable report in the mail: {troubles[0]}" if troubles else "no report attached to the mail")


def _candidates(root: Part) -> Iterator[Part]:
    """Leaves that may hold a report; those named or typed like one first (RFC 9990 3.5.2)."""
    leaves = [part for part in root.walk() if not part.children and part.message is None and part.size]
    likely = [part for part in leaves if _likely(part)]
    yield from likely
    yield from (part for part in leaves if part not in likely and part.type in ("application", "text"))


def _likely(part: Part) -> bool:
    return part.subtype in (
        "gzip", "x-gzip", "zip", "x-zip", "x-zip-compressed", "xml", "x-gzip-compressed", "gzip-compressed"
    ) or part.filename.lower().endswith((".xml", ".gz", ".zip"))  # fmt: skip


def _is_html(start: bytes) -> bool:
    head = start.lstrip(_BLANK).lower()
    return head.startswith((b"<html", b"<!doctype html", b"<head", b"<body", b"<div", b"<p>", b"<p "))
