"""Cuts the stream into whole commands: lines with the literals that they announce, within limits.

The literal of an APPEND is not part of a command: it is handed out in pieces, so that no message is ever whole in
memory.  Who asks for a literal is answered with "+" only when there is room for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

_ANNOUNCED = re.compile(rb"~?\{(\d{1,20})(\+?)\}\r?\n\Z")


# Literals that may stand before the one of a message: a name, and URLs.
JOINED = 20


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Octets."""

    line: int = 64 * 1024
    literal: int = 100 * 1024
    command: int = 1024 * 1024
    append: int = 100 * 1024 * 1024
    literals: int = 1000  # how many in one command


@dataclass(frozen=True, slots=True)
class Line:
    """A whole command, literals included."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """A command has announced a literal.  `data` is the command so far, or its beginning when it has several literals;
    `before` is how many octets it has so far.  Answer with accept(), stream() or refuse()."""

    data: bytes
    size: int
    synchronizing: bool
    before: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a streamed literal; `last` ends it."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class TooLong:
    """A limit was passed and the stream cannot be followed any further."""

    why: str


Item: TypeAlias = Line | LiteralStart | Piece | TooLong


class CommandReader:
    """feed() whatever came; next() until None."""

    def __init__(self, limits: WireLimits) -> None:
        self.limits = limits
        self._buffer = b""
        self._at = 0
        self._looked = 0  # there is no line end before this
        self._command: list[bytes] = []  # a line, a literal, a line …
        self._pieces: list[bytes] = []  # of the literal that is coming
        self._size = 0
        self._literal = 0  # octets still to come of a literal that becomes part of the command
        self._stream = 0  # octets still to come of a streamed literal
        self._streaming = False
        self._asked: LiteralStart | None = None
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Takes bytes."""
        self._looked = max(0, self._looked - self._at)
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    @property
    def pending(self) -> int:
        """Octets that are not used yet."""
        return len(self._buffer) - self._at

    def next(self) -> Item | None:
        """The next item; None: more bytes are needed, or a literal is not answered."""
        while not self._broken and self._asked is None:
            if self._streaming:
                return self._piece()
            if self._literal:
                if not self._take_literal():
                    return None
                continue
            return self._line()
        return None

    def _take_literal(self) -> bool:
        data = self._buffer[self._at : self._at + self._literal]
        self._at += len(data)
        self._literal -= len(data)
        self._pieces.append(data)
        self._size += len(data)
        if self._literal:
            return False
        self._command.append(b"".join(self._pieces))
        self._pieces.clear()
        return True

    def _piece(self) -> Piece | None:
        data = self._buffer[self._at : self._at + self._stream]
        if not data and self._stream:
            return None
        self._at += len(data)
        self._stream -= len(data)
        self._streaming = self._stream > 0
        return Piece(data, not self._streaming)

    def _line(self) -> Item | None:
        end = self._buffer.find(b"\n", max(self._at, self._looked))
        if end < 0:
            self._looked = len(self._buffer)
            if len(self._buffer) - self._at + self._size > min(self.limits.line, self.limits.command):
                self._broken = True
                return TooLong(f"a line has at most {self.limits.line} octets")
            return None
        line = self._buffer[self._at : end + 1]
        self._at = end + 1
        self._size += len(line)
        if len(line) > self.limits.line or self._size > self.limits.command:
            self._broken = True
            return TooLong("the command is too long")
        self._command.append(line)
        announced = _ANNOUNCED.search(line[-32:])
        if announced is not None:
            if len(self._command) > 2 * self.limits.literals:
                self._broken = True
                return TooLong("too many literals")
            # What an APPEND says before its message is in the first few; joining more each time would be quadratic.
            beginning = b"".join(self._command[: 2 * JOINED + 1])
            self._asked = LiteralStart(beginning, int(announced[1]), not announced[2], self._size)
            return self._asked
        data = b"".join(self._command)
        self._command, self._size = [], 0
        return Line(data)

    def rest(self) -> bytes:
        """Takes back what is not used yet."""
        data, self._buffer, self._at, self._looked = self._buffer[self._at :], b"", 0, 0
        return data

    def accept(self) -> None:
        """The literal becomes part of the command."""
        assert self._asked is not None
        self._literal, self._asked = self._asked.size, None
        if not self._literal:
            self._command.append(b"")

    def stream(self) -> None:
        """The literal is handed out in pieces; the command so far is forgotten, and its rest is read as a new line."""
        assert self._asked is not None
        self._stream, self._asked = self._asked.size, None
        self._streaming = True
        self._command, self._size = [], 0

    def refuse(self) -> None:
        """The client will not send the literal: the command is over."""
        self._asked = None
        self._command, self._size = [], 0
