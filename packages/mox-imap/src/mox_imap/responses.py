"""What a server says, as values (RFC 9051 7, 9): for clients.

reader = ResponseReader()
reader.feed(data)
while (response := reader.next()) is not None: …"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

MAX_LINE = 1024 * 1024
MAX_LITERAL = 256 * 1024 * 1024
MAX_NESTING = 1000

Value: TypeAlias = "str | bytes | int | tuple[Value, ...] | None"

_LITERAL_END = re.compile(rb"~?\{(\d{1,19})\+?\}\r?\n\Z")
_TOKEN = re.compile(
    rb'"((?:[^"\\\r\n]|\\["\\])*)"|~?\{(\d{1,19})\+?\}\r?\n|([()])|(\d+)(?=[ ()\r\n]|\Z)'
    rb"|((?:[^ ()\[\r\n\"{]+(?:\[[^\]\r\n]*\](?:<\d+>)?)?)|\[[^\]\r\n]*\])"
)
_STATUS = frozenset({"OK", "NO", "BAD", "BYE", "PREAUTH"})
_CODE = re.compile(r'\[((?:"(?:[^"\\]|\\.)*"|[^\]"])*)\] ?')


class ResponseSyntaxError(ValueError):
    """A server said what is no response."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response.  Strings are bytes, atoms are str, numbers int, NIL None, lists tuples."""

    tag: str  # "*", "+", or a command's
    name: str  # OK NO BAD BYE PREAUTH, or FETCH, EXISTS, LIST …; "" for "+"
    number: int | None = None  # before the name
    code: tuple[Value, ...] = ()  # of a response code, ("UIDNEXT", 5)
    text: str = ""
    data: tuple[Value, ...] = ()  # after the name

    @property
    def ok(self) -> bool:
        """Is it an OK?"""
        return self.name == "OK"


@dataclass(frozen=True, slots=True)
class Fetched:
    """FETCH: the items by their names, upper case."""

    number: int
    items: dict[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, response: Response) -> Fetched:
        """From a FETCH or UIDFETCH response.  Raises ResponseSyntaxError."""
        inner = response.data[0] if response.data else ()
        if not isinstance(inner, tuple) or len(inner) % 2 or response.number is None:
            raise ResponseSyntaxError("FETCH has pairs")
        return cls(response.number, {str(inner[at]).upper(): inner[at + 1] for at in range(0, len(inner), 2)})

    @property
    def uid(self) -> int:
        """UID, or 0 when it was not asked for."""
        value = self.items.get("UID", 0)
        return value if isinstance(value, int) else 0

    @property
    def flags(self) -> tuple[str, ...]:
        """FLAGS"""
        value = self.items.get("FLAGS", ())
        return tuple(str(one) for one in value) if isinstance(value, tuple) else ()


class ResponseReader:
    """feed() whatever came; next() until None."""

    def __init__(self, *, most: int = MAX_LITERAL) -> None:
        self._most = most
        self._pieces: list[bytes] = []  # of the response that is coming
        self._buffer = bytearray()
        self._wanted = 0  # octets of a literal that are still to come
        self._looked = 0

    def feed(self, data: bytes) -> None:
        """Takes bytes."""
        self._buffer += data

    def next(self) -> Response | None:
        """The next response; None: more bytes are needed.  Raises ResponseSyntaxError."""
        while True:
            if self._wanted:
                if not self._buffer:
                    return None
                piece = bytes(self._buffer[: self._wanted])
                del self._buffer[: len(piece)]
                self._wanted -= len(piece)
                self._pieces.append(piece)
                continue
            end = self._buffer.find(b"\n", self._looked)
            if end < 0:
                self._looked = len(self._buffer)
                if len(self._buffer) > MAX_LINE:
                    raise ResponseSyntaxError("a line is too long")
                return None
            line = bytes(self._buffer[: end + 1])
            del self._buffer[: end + 1]
            self._looked = 0
            self._pieces.append(line)
            announced = _LITERAL_END.search(line[-32:])
            if announced is None:
                whole = b"".join(self._pieces)
                self._pieces.clear()
                return parse(whole)
            self._wanted = int(announced[1])
            if self._wanted > self._most:
                raise ResponseSyntaxError("a literal is too big")


def parse(data: bytes) -> Response:
    """One response with its line end.  Raises ResponseSyntaxError."""
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    tag, _, rest = line.partition(b" ")
    if tag == b"+":
        return Response("+", "", text=_text(rest))
    first, _, after = rest.partition(b" ")
    number: int | None = None
    if first.isdigit() and tag == b"*":
        number = int(first)
        rest = after
        first, _, after = rest.partition(b" ")
    name = _text(first).upper()
    if not tag or not name:
        raise ResponseSyntaxError("a tag and a name are expected")
    if number is None and name in _STATUS:
        return _status(_text(tag), name, _text(after))
    if tag != b"*":
        raise ResponseSyntaxError("a tagged response is OK, NO or BAD")
    return Response("*", name, number, data=tuple(values(after)))


def _status(tag: str, name: str, text: str) -> Response:
    match = _CODE.match(text)
    if match is None:
        return Response(tag, name, text=text)
    word, _, rest = match[1].partition(" ")
    code: tuple[Value, ...] = (word.upper(), *values(rest.encode("utf-8", "surrogateescape")))
    return Response(tag, name, code=code, text=text[match.end() :])


def values(data: bytes) -> Iterator[Value]:
    """Space-separated values.  Raises ResponseSyntaxError."""
    stack: list[list[Value]] = [[]]
    at = 0
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            if data[at : at + 1] not in (b" ", b"["):
                raise ResponseSyntaxError(f"unexpected {data[at : at + 20]!r}")
            at += 1
            continue
        at = match.end()
        if match[3] == b"(":
            stack.append([])
            if len(stack) > MAX_NESTING:
                raise ResponseSyntaxError("nested too deep")
        elif match[3] == b")":
            if len(stack) == 1:
                raise ResponseSyntaxError("a parenthesis too many")
            inner = stack.pop()
            stack[-1].append(tuple(inner))
        elif match[2] is not None:
            size = int(match[2])
            stack[-1].append(data[at : at + size])
            at += size
        elif match[1] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", match[1]))
        elif match[4] is not None:
            stack[-1].append(int(match[4]))
        else:
            word = _text(match[5])
            stack[-1].append(None if word.upper() == "NIL" else word)
    if len(stack) > 1:
        raise ResponseSyntaxError("a parenthesis is open")
    yield from stack[0]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
