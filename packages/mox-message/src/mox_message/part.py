"""The MIME tree of a message as offsets: nothing is copied, nothing decoded until somebody asks.

One pass over the bytes finds every line that begins with "--" and looks it up among the boundaries that are open; so
the work is linear whatever the nesting.  What is odd is noted in `defects` and never raised."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mox_message.content import Content
from mox_message.fields import MAX_HEADER, Fields
from mox_message.words import decoded_parameters, parameters, to_text

# Beyond these a part is a leaf, with a defect: real mail has 5 levels and 50 parts.
MAX_DEPTH = 30
MAX_PARTS = 1000
MAX_BOUNDARY = 200  # RFC 2046 5.1.1 allows 70; some write more
_WINDOW = 1024 * 1024
_MEMORY = 4 * _WINDOW


@dataclass(slots=True)
class Part:
    """A part: what its header says, where its bytes are.  Offsets count from the start of the message."""

    fields: Fields
    header_start: int
    body_start: int
    body_end: int
    type: str = "text"
    subtype: str = "plain"
    parameters: tuple[tuple[str, str], ...] = ()
    disposition: str = ""
    disposition_parameters: tuple[tuple[str, str], ...] = ()
    encoding: str = "7bit"
    id: str = ""
    description: str = ""
    md5: str = ""
    language: tuple[str, ...] = ()
    location: str = ""
    lines: int = 0
    children: list[Part] = field(default_factory=list)
    message: Part | None = None
    defects: list[str] = field(default_factory=list)

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
        named = decoded_parameters(self.disposition_parameters).get("filename")
        return named or self.parameter("name")

    def parameter(self, name: str) -> str:
        """A parameter of Content-Type, decoded; "" when it is not there."""
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
            below = part.children if part.message is None else [part.message]
            stack.extend(reversed(below))

    def find(self, path: str) -> Part | None:
        """The part with an IMAP section number such as "1.2" (RFC 9051 6.4.5.1); "" is this one."""
        part: Part | None = self
        for step in filter(None, path.split(".")):
            if part is None or not step.isdigit():
                return None
            if part.message is not None:
                part = part.message
            index = int(step) - 1
            if part.children:
                part = part.children[index] if 0 <= index < len(part.children) else None
            elif index != 0:
                part = None
        return part

    def decoded(self, content: Content) -> Iterator[bytes]:
        """The body with its transfer encoding undone, in pieces.  Never raises for what the sender wrote."""
        chunks = content.chunks(self.body_start, self.body_end)
        if self.encoding == "base64":
            return _base64(chunks)
        if self.encoding == "quoted-printable":
            return _quoted_printable(chunks)
        return chunks

    def text(self, content: Content, most: int = 1024 * 1024) -> str:
        """The decoded text of a text part, at most `most` octets of it."""
        data, size = [], 0
        for chunk in self.decoded(content):
            data.append(chunk[: most - size])
            size += len(data[-1])
            if size >= most:
                break
        return to_text(b"".join(data), self.parameter("charset") or "utf-8")


def _base64(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        held += chunk.translate(None, b" \t\r\n")
        whole = len(held) // 4 * 4
        if whole:
            yield _unbase64(held[:whole])
            held = held[whole:]
    if held:
        yield _unbase64(held + b"=" * (-len(held) % 4))


def _unbase64(data: bytes) -> bytes:
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def _quoted_printable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        held += chunk
        # Whole lines; a line without end is cut where no escape is open.
        end = held.rfind(b"\n") + 1
        if not end and len(held) > 4096:
            end = len(held) - 3
        if end:
            yield binascii.a2b_qp(held[:end])
            held = held[end:]
    if held:
        yield binascii.a2b_qp(held)


class _Source(Protocol):
    size: int

    def find(self, what: bytes, start: int, stop: int) -> int: ...
    def slice(self, start: int, stop: int) -> bytes: ...
    def count(self, start: int, stop: int) -> int: ...


class _Memory:
    """A message that is small enough to look at whole."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def find(self, what: bytes, start: int, stop: int) -> int:
        return self._data.find(what, start, stop)

    def slice(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def count(self, start: int, stop: int) -> int:
        return self._data.count(b"\n", start, stop)


class _Windowed:
    """A message on disk, seen through a window that moves forward."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size
        self._at = 0
        self._window = b""

    def _look(self, start: int) -> None:
        if not self._at <= start < self._at + len(self._window) - 4096 or not self._window:
            self._at, self._window = start, self._content.read(start, start + _WINDOW)

    def find(self, what: bytes, start: int, stop: int) -> int:
        while start < stop:
            self._look(start)
            end = self._at + len(self._window)
            found = self._window.find(what, start - self._at, min(stop, end) - self._at)
            if found >= 0:
                return self._at + found
            if end >= stop:
                return -1
            start = max(start + 1, end - len(what) + 1)
            self._window = b""
        return -1

    def slice(self, start: int, stop: int) -> bytes:
        end = self._at + len(self._window)
        if self._at <= start and stop <= end:
            return self._window[start - self._at : stop - self._at]
        return self._content.read(start, stop)

    def count(self, start: int, stop: int) -> int:
        return sum(chunk.count(b"\n") for chunk in self._content.chunks(start, stop, _WINDOW))


@dataclass(slots=True)
class _Delimiter:
    """A boundary line: where it begins (its line end before belongs to it), where it ends, whose it is."""

    start: int
    end: int
    level: int
    close: bool


class _Parser:
    def __init__(self, source: _Source) -> None:
        self._source = source
        self._levels: dict[bytes, int] = {}  # open boundary -> its level
        self._parts = 0

    def _next(self, at: int, stop: int | None = None) -> _Delimiter | None:
        """The next line that is an open boundary, from `at` (the start of a line) to `stop`."""
        source, levels = self._source, self._levels
        limit = source.size if stop is None else stop
        if not levels:
            return None
        # The line at `at` itself has no line end of its part before it.
        position = at - 1
        first = True
        while True:
            if first and source.slice(at, at + 2) == b"--":
                found = position
            else:
                found = source.find(b"\n--", at if first else position + 1, limit)
            first = False
            if found < 0:
                return None
            text_at = found + 3
            line = source.slice(text_at, text_at + MAX_BOUNDARY + 80)
            newline = line.find(b"\n")
            text = (line if newline < 0 else line[:newline]).rstrip(b" \t\r")
            level, close = levels.get(text, -1), False
            if level < 0 and text.endswith(b"--"):
                level, close = levels.get(text[:-2], -1), True
            if level >= 0:
                end = text_at + newline + 1 if newline >= 0 else min(source.size, text_at + len(line))
                start = found if found >= at else at
                if found > at and source.slice(found - 1, found) == b"\r":
                    start = found - 1
                return _Delimiter(start, end, level, close)
            position = found

    def entity(self, start: int, depth: int, default: str = "text/plain") -> tuple[Part, _Delimiter | None]:
        """A part that starts with its header at `start`; and the delimiter that ended it (None: the end)."""
        source = self._source
        self._parts += 1
        head = source.slice(start, start + 16384)
        fields = Fields.parse(head)
        if fields.end >= len(head) and start + len(head) < source.size:
            head = source.slice(start, start + MAX_HEADER + 1)
            fields = Fields.parse(head)
        body = start + fields.end
        part = Part(fields, start, body, body)
        part.defects.extend(fields.defects)
        # A boundary inside the header ends the part before its body began.
        early = self._next(start, body) if self._levels else None
        if early is not None:
            part.fields = fields = Fields.parse(source.slice(start, early.start))
            part.body_start = part.body_end = early.start
            part.defects.append("the header runs into a boundary")
            _describe(part, default)
            return part, early
        _describe(part, default)
        ended = self._body(part, depth)
        if part.type == "text" or part.type == "message":
            part.lines = source.count(part.body_start, part.body_end)
        return part, ended

    def _body(self, part: Part, depth: int) -> _Delimiter | None:
        if depth >= MAX_DEPTH or self._parts >= MAX_PARTS:
            if part.type == "multipart" or part.media_type in ("message/rfc822", "message/global"):
                part.defects.append("nested too deep or too many parts; not looked into")
        elif part.type == "multipart":
            boundary = part.parameter("boundary").encode("utf-8", "surrogateescape").rstrip()
            if boundary and len(boundary) <= MAX_BOUNDARY and boundary not in self._levels:
                return self._multipart(part, boundary, depth)
            part.defects.append("multipart without a usable boundary")
        elif part.media_type in ("message/rfc822", "message/global") and part.encoding in ("7bit", "8bit", "binary"):
            part.message, ended = self.entity(part.body_start, depth + 1)
            part.body_end = part.message.body_end
            return ended
        found = self._next(part.body_start)
        part.body_end = found.start if found is not None else self._source.size
        return found

    def _multipart(self, part: Part, boundary: bytes, depth: int) -> _Delimiter | None:
        level = len(self._levels)
        self._levels[boundary] = level
        default = "message/rfc822" if part.subtype == "digest" else "text/plain"
        at = part.body_start
        found = self._next(at)
        while found is not None and found.level == level and not found.close:
            if self._parts >= MAX_PARTS:
                part.defects.append("too many parts; the rest is left out")
                while found is not None and found.level == level and not found.close:
                    found = self._next(found.end)
                break
            child, found = self.entity(found.end, depth + 1, default)
            part.children.append(child)
        del self._levels[boundary]
        if not part.children:
            part.defects.append("multipart without parts")
        if found is not None and found.level == level:  # closed properly; an epilogue may follow
            found = self._next(found.end)
        else:
            part.defects.append("multipart is not closed")
        part.body_end = found.start if found is not None else self._source.size
        return found


def _describe(part: Part, default: str) -> None:
    """Reads the MIME fields of a part's header (RFC 2045, 2183, 3282, 2557, 1864)."""
    fields = part.fields
    part.type, _, part.subtype = default.partition("/")
    if (found := fields.first("content-type")) is not None:
        _content_type(part, found.text)
    if (found := fields.first("content-transfer-encoding")) is not None:
        part.encoding = found.text.partition("(")[0].strip(' \t;"').lower() or "7bit"
    if (found := fields.first("content-disposition")) is not None:
        value = found.text
        part.disposition = value.partition(";")[0].partition("(")[0].strip().lower()
        part.disposition_parameters = parameters(value)
    if (found := fields.first("content-id")) is not None:
        part.id = found.text
    if (found := fields.first("content-description")) is not None:
        part.description = found.text
    if (found := fields.first("content-md5")) is not None:
        part.md5 = found.text
    if (found := fields.first("content-location")) is not None:
        part.location = found.text
    if (found := fields.first("content-language")) is not None:
        part.language = tuple(word.strip() for word in found.text.split(",") if word.strip())


def _content_type(part: Part, value: str) -> None:
    head = value.partition(";")[0]
    if "(" in head:
        head = head.partition("(")[0]
    main, slash, sub = head.strip().lower().partition("/")
    main, sub = main.strip(), sub.strip()
    if not slash or not _token(main) or not _token(sub):
        # RFC 2045 5.2: what cannot be understood is text/plain.
        part.defects.append("Content-Type cannot be understood")
        part.type, part.subtype = "text", "plain"
        return
    part.type, part.subtype = main, sub
    if ";" in value:
        part.parameters = parameters(value)


_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`{|}~")


def _token(text: str) -> bool:
    return bool(text) and set(text) <= _TOKEN


def parse(content: Content) -> Part:
    """The tree of a message.  Linear in its size; messages above a few MB are read through a window.  Raises OSError
    only, when a file cannot be read."""
    source: _Source = _Memory(content.read()) if content.size <= _MEMORY else _Windowed(content)
    part, _ = _Parser(source).entity(0, 0)
    return part
