"""The MIME tree of a message as offsets: nothing is copied, nothing decoded until somebody asks.

Every open boundary is searched for by itself, and where it comes next is remembered; so each octet is looked at once
for each level that it is in, by `bytes.find`.  What is odd is noted in `defects` and never raised."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Protocol

from mox_message import transfer
from mox_message.charsets import to_text
from mox_message.content import Content
from mox_message.fields import BARE_LF, MAX_HEADER, Fields
from mox_message.words import decoded_parameters, parameters, without_comments

# Beyond these a part is a leaf, with a defect: real mail has 5 levels and 50 parts.
MAX_DEPTH = 30
MAX_PARTS = 1000
MAX_BOUNDARY = 994  # RFC 2046 5.1.1 allows 70; some write more, but `--x--` must fit into a line (RFC 5322 2.1.1)
MAX_PADDING = 80  # white space after a boundary
# Octets of all headers together, and lines that begin like a boundary and are none.
MAX_HEADERS = 4 * MAX_HEADER
MAX_NEAR = 10_000
MAX_TEXT = 1024 * 1024
MAX_LANGUAGES = 100
MAX_OPENED = 64 * MAX_TEXT
_MESSAGES = ("rfc822", "global")
_WINDOW = 1024 * 1024
_MEMORY = _WINDOW
_NEVER = 1 << 62


@dataclass(slots=True)
class Part:
    """A part: what its header says, where its octets are.  Offsets count from the start of the message."""

    fields: Fields
    header_start: int
    body_start: int
    body_end: int
    type: str = "text"
    subtype: str = "plain"
    parameters: tuple[tuple[str, str], ...] = ()  # as written, in order; names in lower case
    disposition: str = ""
    disposition_parameters: tuple[tuple[str, str], ...] = ()
    encoding: str = "7bit"
    id: str = ""
    description: str = ""
    md5: str = ""
    language: tuple[str, ...] = ()
    location: str = ""
    children: list[Part] = field(default_factory=list)
    message: Part | None = None
    defects: list[str] = field(default_factory=list)
    _lines: int = field(default=0, compare=False, repr=False)
    # A message in memory, until its lines are counted: that takes as long as all the rest, and few ask.
    _uncounted: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def lines(self) -> int:
        """Line ends in the body of a text or a message, which is where IMAP tells them (RFC 9051 7.5.2); else 0."""
        if self._uncounted is not None:
            self._lines = self._uncounted.count(b"\n", self.body_start, self.body_end)
            self._uncounted = None
        return self._lines

    @property
    def size(self) -> int:
        """Octets of the body as it is."""
        return self.body_end - self.body_start

    @property
    def media_type(self) -> str:
        """`text/plain`, in lower case."""
        return f"{self.type}/{self.subtype}"

    @property
    def filename(self) -> str:
        """The name of an attachment, decoded; "" when it has none.  Foreign text: never a path."""
        named = decoded_parameters(self.disposition_parameters).get("filename") if self.disposition_parameters else None
        return named or decoded_parameters(self.parameters).get("name", "")

    @property
    def attachment(self) -> bool:
        """Would a reader show this beside the text, rather than in it?"""
        if self.disposition:
            return self.disposition != "inline" or (bool(self.filename) and self.type != "image")
        return self.type not in ("text", "multipart") or bool(self.filename)

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type, decoded; "" when it is not there.  The first of equal names counts."""
        for key, value in self.parameters:
            if key == name and "=?" not in value:
                return value
        return decoded_parameters(self.parameters).get(name, "")

    def walk(self) -> Iterator[Part]:
        """This part and everything below it, in order."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.children if part.message is None else [part.message]))

    def numbered(self) -> Iterator[tuple[str, Part]]:
        """Every part that has an IMAP section number (RFC 9051 6.4.5.1), with it, in order."""
        if self.children:
            stack = [(str(number), child) for number, child in enumerate(self.children, 1)][::-1]
        else:
            stack = [("1", self)]
        while stack:
            number, part = stack.pop()
            yield number, part
            inner = part if part.message is None else part.message
            if inner.children:
                stack += [(f"{number}.{index}", child) for index, child in enumerate(inner.children, 1)][::-1]
            elif part.message is not None:
                stack.append((f"{number}.1", part.message))

    def find(self, path: str) -> Part | None:
        """The part with an IMAP section number such as "1.2" (RFC 9051 6.4.5.1); "" is this one."""
        part: Part | None = self
        within: Part | None = self  # what the next number counts the parts of
        for step in filter(None, path.split(".")):
            if within is None or not (step.isascii() and step.isdigit() and len(step) < 10):
                return None
            index = int(step) - 1
            if within.children:
                part = within.children[index] if 0 <= index < len(within.children) else None
            else:
                part = within if index == 0 else None
            if part is None:
                return None
            within = part.message if part.message is not None else part if part.children else None
        return part

    def raw(self, content: Content) -> Iterator[bytes]:
        """The body as it is, in pieces."""
        return content.chunks(self.body_start, self.body_end)

    def decoded(self, content: Content) -> Iterator[bytes]:
        """The body with its transfer encoding undone, in pieces.  Never raises for what the sender wrote."""
        return transfer.decoded(self.encoding, content.chunks(self.body_start, self.body_end))

    def reader(self, content: Content) -> BufferedReader:
        """`decoded` as a binary file, for what wants one: `csv`, `zipfile` by way of a copy, `shutil.copyfileobj`."""
        return BufferedReader(transfer.Reader(self.decoded(content)))

    def data(self, content: Content, max_bytes: int = MAX_TEXT) -> bytes:
        """The first octets of `decoded`."""
        pieces, size = [], 0
        for chunk in transfer.decoded(self.encoding, content.chunks(self.body_start, self.body_end, max_bytes + 4096)):
            pieces.append(chunk)
            size += len(chunk)
            if size >= max_bytes:
                break
        return b"".join(pieces)[:max_bytes]

    def opened(self, content: Content, max_bytes: int = MAX_OPENED) -> tuple[Part, Content] | None:
        """The message in a message part that was sent in a transfer encoding, decoded in memory: RFC 2046 5.2.1 bars
        that for message/rfc822, RFC 6532 3.5 allows it for message/global.  None for every other part."""
        if self.type != "message" or self.message is not None or self.subtype not in _MESSAGES:
            return None
        inner = Content.of(self.data(content, max_bytes))
        return parse(inner), inner

    def text(self, content: Content, max_bytes: int = MAX_TEXT) -> str:
        """The decoded text of a text part, of at most `max_bytes` octets; what does not decode is replaced."""
        return to_text(self.data(content, max_bytes), self.parameter("charset"))


def parse(content: Content) -> Part:
    """The tree of a message.  Linear in its size; messages of more than a few MB are read through a window.  Raises
    OSError only, when a file cannot be read."""
    source: _Source = _Memory(content.read()) if content.size <= _MEMORY else _Windowed(content)
    part, _ = _Parser(source).entity(0, 0, "text", "plain")
    if isinstance(source, _Memory) and not content.in_memory:
        for one in part.walk():
            one.lines  # noqa: B018  counted, so that what was read of a file is not held
    return part


class _Source(Protocol):
    size: int

    def find(self, what: bytes, start: int, stop: int) -> int: ...
    def slice(self, start: int, stop: int) -> bytes: ...
    def count_lines(self, part: Part) -> None: ...
    def fields(self, start: int, stop: int) -> Fields: ...


class _Memory:
    """A message that is small enough to be held whole."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.find = data.find

    def slice(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def count_lines(self, part: Part) -> None:
        part._uncounted = self._data

    def fields(self, start: int, stop: int) -> Fields:
        return Fields.parse(self._data, start, stop)


class _Windowed:
    """A message on disk, seen through a window."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size
        self._at = 0
        self._window = b""

    def find(self, what: bytes, start: int, stop: int) -> int:
        while start + len(what) <= stop:
            if not self._at <= start <= self._at + len(self._window) - len(what):
                self._at, self._window = start, self._content.read(start, start + _WINDOW)
                if len(self._window) < len(what):
                    return -1
            end = self._at + len(self._window)
            found = self._window.find(what, start - self._at, min(stop, end) - self._at)
            if found >= 0:
                return self._at + found
            start = end - len(what) + 1
        return -1

    def slice(self, start: int, stop: int) -> bytes:
        if self._at <= start and stop <= self._at + len(self._window):
            return self._window[start - self._at : stop - self._at]
        return self._content.read(start, stop)

    def count_lines(self, part: Part) -> None:
        # At once: the file may be closed by the time that somebody asks.
        chunks = self._content.chunks(part.body_start, part.body_end, _WINDOW)
        part._lines = sum(chunk.count(b"\n") for chunk in chunks)

    def fields(self, start: int, stop: int) -> Fields:
        for most in (16 * 1024, MAX_HEADER + 1):
            data = self.slice(start, min(stop, start + most))
            fields = Fields.parse(data, base=start)
            if fields.closed or start + len(data) >= stop:
                break
        return fields


class _Boundary:
    """A boundary whose multipart is open, and its next line: where its line end before is, where the line ends."""

    __slots__ = ("at", "close", "end", "needle", "start")

    def __init__(self, text: bytes) -> None:
        self.needle = b"\n--" + text
        self.at = -1  # the LF before the line; _NEVER when there is none before the boundaries around it
        self.start = 0  # where the body before it ends: the CRLF belongs to the boundary (RFC 2046 5.1.1)
        self.end = 0
        self.close = False


class _Parser:
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._open: list[_Boundary] = []
        self._parts = 0
        self._headers = 0
        self._near = 0
        self._bare = False

    def _full(self) -> bool:
        return self._parts >= MAX_PARTS or self._headers >= MAX_HEADERS

    def _next(self, at: int) -> _Boundary | None:
        """The open boundary whose line comes first at or after `at`, the start of a line; None when none does."""
        limit, first = self._source.size, None
        for boundary in self._open:
            # One that is not found before those around it is not looked for again: it ends with them.
            if boundary.at < at - 1:
                self._search(boundary, at - 1, limit)
            if boundary.at < limit:
                limit, first = boundary.at, boundary
        return first

    def _search(self, boundary: _Boundary, position: int, limit: int) -> None:
        source, needle = self._source, boundary.needle
        boundary.at = _NEVER
        while (found := source.find(needle, position, limit)) >= 0:
            after = found + len(needle)
            line, newline, _ = source.slice(after, after + MAX_PADDING).partition(b"\n")
            padding = line.rstrip(b" \t\r")
            # Deviation RFC 2046 5.1.1: the whole line must be the boundary, not begin with it; many programs name the
            # boundary of a part within after the one around it.
            if (newline or after + len(line) == source.size) and padding in (b"", b"--"):
                boundary.at, boundary.end = found, after + len(line) + len(newline)
                boundary.close = padding != b""
                boundary.start = found - 1 if found and source.slice(found - 1, found) == b"\r" else found
                return
            self._near += 1
            if self._near > MAX_NEAR:
                return
            position = found + 1

    def entity(self, start: int, depth: int, main: str, sub: str) -> tuple[Part, _Boundary | None]:
        """A part whose header is at `start`, of this type if it names none; and the boundary that ended it."""
        source = self._source
        following = self._next(start) if self._open else None
        stop = source.size if following is None else following.at + 1
        fields = source.fields(start, stop)
        self._parts += 1
        self._headers += fields.end - start
        part = Part(fields, start, fields.end, stop, main, sub)
        if fields.defects:
            # Line ends are the same in all parts, as a rule; once is enough.
            part.defects.extend([defect for defect in fields.defects if defect != BARE_LF or not self._bare])
            self._bare = self._bare or BARE_LF in fields.defects
        if not fields.names and fields.defects and fields.end > start:
            # Not one line of it is a field: what looked like a header is text that lacks one.
            part.defects.append("no header; what is there was taken as the body")
            part.body_start = start
        elif fields.names:
            _describe(part)
            if not fields.closed and not fields.truncated and following is not None:
                part.body_start = part.body_end = fields.end
                return part, following
        part.body_end = source.size if following is None else max(following.start, part.body_start)
        if part.type == "multipart" or part.type == "message":
            following = self._inner(part, depth, following)
        if part.type == "text" or part.type == "message":
            source.count_lines(part)
        return part, following

    def _inner(self, part: Part, depth: int, following: _Boundary | None) -> _Boundary | None:
        if part.type == "message" and part.subtype not in _MESSAGES:
            return following
        if part.encoding not in ("7bit", "8bit", "binary"):
            # RFC 2046 5.2.1, 5.1: these must not be encoded.  A multipart is read as if it were not, as all do.
            part.defects.append(f"{part.media_type} in {part.encoding[:40]}")
            if part.type == "message":
                return following
        if depth >= MAX_DEPTH or self._full():
            part.defects.append("nested too deep or too many parts; not looked into")
            return following
        if part.type == "message":
            part.message, following = self.entity(part.body_start, depth + 1, "text", "plain")
            part.body_end = part.message.body_end
            return following
        text = _boundary_text(part).rstrip().encode("utf-8", "surrogateescape")
        if not text or len(text) > MAX_BOUNDARY or b"\n" in text:
            part.defects.append("multipart without a usable boundary")
            return following
        boundary = _Boundary(text)
        if any(boundary.needle == other.needle for other in self._open):
            part.defects.append("the boundary of a multipart around this one; not looked into")
            return following
        return self._multipart(part, boundary, depth)

    def _multipart(self, part: Part, boundary: _Boundary, depth: int) -> _Boundary | None:
        main, sub = ("message", "rfc822") if part.subtype == "digest" else ("text", "plain")
        self._open.append(boundary)
        following = self._next(part.body_start)
        while following is boundary and not boundary.close:
            if self._full():
                part.defects.append("too many parts; the rest is left out")
                break
            child, following = self.entity(boundary.end, depth + 1, main, sub)
            part.children.append(child)
        self._open.pop()
        if not part.children:
            part.defects.append("multipart without parts")
        if following is not boundary:
            part.defects.append("multipart is not closed")
        elif self._open:  # what follows belongs to nobody, up to a boundary of those around
            following = self._next(boundary.end)
        else:
            following = None
        if self._near > MAX_NEAR:
            part.defects.append("too many lines that begin like a boundary")
        part.body_end = self._source.size if following is None else max(following.start, part.body_start)
        return following


_TYPE = re.compile(r"([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)[ \t]*/[ \t]*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)[ \t]*(;)?")


def _boundary_text(part: Part) -> str:
    """As it is written: what looks like an encoded word is none, lines have the same letters."""
    for name, value in part.parameters:
        if name == "boundary":
            return value
    return part.parameter("boundary")  # perhaps in pieces (RFC 2231)


def _describe(part: Part) -> None:
    """Reads the MIME fields of a header (RFC 2045, 2183, 3282, 2557, 1864).  Of equal fields the first counts."""
    fields = part.fields
    seen: dict[str, Callable[[Part, str], None]] = {}
    for index, name in enumerate(fields.names):
        reader = _MIME_FIELDS.get(name)
        if reader is None:
            continue
        if name not in seen:
            seen[name] = reader
            reader(part, fields.text_at(index))
        elif reader in (_content_type, _encoding, _disposition):
            part.defects.append(f"{name} is there more than once; the first counts")


def _encoding(part: Part, value: str) -> None:
    part.encoding = _word(value) or "7bit"


def _disposition(part: Part, value: str) -> None:
    part.disposition = _word(value)
    part.disposition_parameters = parameters(value)


def _id(part: Part, value: str) -> None:
    part.id = value


def _description(part: Part, value: str) -> None:
    part.description = value


def _md5(part: Part, value: str) -> None:
    part.md5 = value


def _location(part: Part, value: str) -> None:
    part.location = value


def _language(part: Part, value: str) -> None:
    part.language = tuple([word for word in map(str.strip, value.split(",")) if word][:MAX_LANGUAGES])


def _word(value: str) -> str:
    """The one word of a field, in lower case, without comments and parameters."""
    return value.partition(";")[0].partition("(")[0].strip(' \t"').lower()


# Type and one parameter, in which nothing is odd: read at once, as nearly all are so.
_PLAIN_TYPE = re.compile(
    r"""([a-z]+)/([a-z0-9.+-]+);[ \t]*([a-z]+)=(?:"([^"\\(]*+)"|([a-z0-9._+/-]++));?\Z""", re.IGNORECASE | re.ASCII
)


def _content_type(part: Part, value: str) -> None:
    plain = _PLAIN_TYPE.match(value)
    if plain is not None:
        main, sub, name, quoted, bare = plain.groups()
        part.type, part.subtype = main.lower(), sub.lower()
        part.parameters = ((name.lower(), bare if quoted is None else quoted),)
        return
    if "(" in value:
        value = without_comments(value).strip()
    match = _TYPE.match(value)
    if match is None:
        # RFC 2045 5.2: what cannot be understood is text/plain.
        part.defects.append("Content-Type cannot be understood")
        part.type, part.subtype = "text", "plain"
        return
    part.type, part.subtype = match[1].lower(), match[2].lower()
    if match[3]:
        part.parameters = parameters(value)
    elif match.end() < len(value):
        # Quirk lost-semicolon: `multipart/mixed boundary=x`.
        part.defects.append("text after the type in Content-Type")
        part.parameters = parameters(";" + value[match.end() :])


_MIME_FIELDS: dict[str, Callable[[Part, str], None]] = {
    "content-type": _content_type,
    "content-transfer-encoding": _encoding,
    "content-disposition": _disposition,
    "content-id": _id,
    "content-description": _description,
    "content-md5": _md5,
    "content-location": _location,
    "content-language": _language,
}
