"""The client's half of IMAP, without I/O: commands to bytes, bytes to responses.

    client = ImapClient()
    tag = client.command(b"SELECT", mailbox("Inbox"))
    transport.write(client.outgoing()); client.receive(data)
    while (response := client.next_response()) is not None: …

Commands go out one after the other; literals wait for "+" unless the server has LITERAL+ or they are small and it has
LITERAL-.  `mox_imap.aio.client` drives it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from mox_imap import utf7, writer
from mox_imap.responses import Fetched, Response, ResponseReader, ResponseSyntaxError, Value

# RFC 7888 5: what LITERAL- may send without asking.
SMALL = 4096


class Literal(bytes):
    """An argument that goes out as a literal in any case."""


Argument: TypeAlias = "bytes | Literal"
_NEEDS_LITERAL = re.compile(rb"[\x00\r\n\x80-\xff]")
_ATOM = re.compile(rb"[A-Za-z0-9!#$&'+,./:;<=>?@^_`|}~-]+\Z")
_NUMBERS = re.compile(r"[0-9*:,$]+\Z")


def string(value: str | bytes) -> Argument:
    """A text as an astring, quoted if need be, a literal where it must."""
    data = value.encode() if isinstance(value, str) else value
    if _ATOM.match(data) and data.upper() != b"NIL":
        return data
    if _NEEDS_LITERAL.search(data) or len(data) > 1000:
        return Literal(data)
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def flag_list(flags: Iterable[str]) -> bytes:
    """`(\\Seen work)`"""
    return b"(" + b" ".join(flag.encode("ascii") for flag in flags) + b")"


def numbers(of: str | Iterable[int]) -> bytes:
    """A sequence set, from text or from numbers.  Raises ValueError."""
    text = of if isinstance(of, str) else writer.sequence_set(sorted(set(of))).decode()
    if not _NUMBERS.match(text):
        raise ValueError(f"no sequence set: {text!r}")
    return text.encode()


class ImapClient:
    """One connection's commands and responses.  `capabilities` and `utf8` follow what the server says."""

    def __init__(self, *, most: int = 256 * 1024 * 1024) -> None:
        self.capabilities: frozenset[str] = frozenset()
        self.utf8 = False
        self._reader = ResponseReader(most=most)
        self._out: list[bytes] = []
        self._waiting: deque[bytes] = deque()  # goes out with the next "+", piece by piece
        self._next = 0
        self._running = ""

    def mailbox(self, name: str) -> Argument:
        """A mailbox name as this server reads it."""
        return string(name if self.utf8 else utf7.encode(name))

    def mailbox_name(self, value: Value) -> str:
        """A mailbox name as this server wrote it."""
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if not self.utf8:
            try:
                text = utf7.decode(text)
            except utf7.Utf7Error:
                pass  # as it is: better than none
        return "Inbox" if text.upper() == "INBOX" else text

    def command(self, name: bytes, *arguments: Argument | Sequence[Argument]) -> str:
        """Says a command; the tag of its answer.  Arguments are bytes, or sequences of them that stand together."""
        assert not self._waiting, "the command before waits for the server"
        self._next += 1
        tag = f"c{self._next}"
        self._running = tag
        line = [tag.encode() + b" " + name]
        for argument in arguments:
            group = (argument,) if isinstance(argument, bytes) else argument
            line.append(b" ")
            for one in group:
                self._argument(line, one)
        line.append(b"\r\n")
        self._waiting.append(b"".join(line))
        self._out.append(self._waiting.popleft())  # up to the first literal that has to wait
        return tag

    def _argument(self, line: list[bytes], one: Argument) -> None:
        if not isinstance(one, Literal):
            line.append(one)
            return
        eight = b"~" if b"\0" in bytes(one) else b""
        if "LITERAL+" in self.capabilities or ("LITERAL-" in self.capabilities and len(one) <= SMALL):
            line += [b"%s{%d+}\r\n" % (eight, len(one)), bytes(one)]
            return
        line.append(b"%s{%d}\r\n" % (eight, len(one)))
        self._waiting.append(b"".join(line))
        line[:] = [bytes(one)]

    def line(self, data: bytes) -> None:
        """A line outside of commands: DONE, an answer of AUTHENTICATE."""
        self._out.append(data + b"\r\n")

    def outgoing(self) -> bytes:
        """What is to be written now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> None:
        """Bytes that came."""
        self._reader.feed(data)

    def next_response(self) -> Response | None:
        """The next response; None: more bytes are needed.  Raises ResponseSyntaxError."""
        while (found := self._reader.next()) is not None:
            if found.tag == "+" and self._waiting:
                self._out.append(self._waiting.popleft())
                continue
            self._learn(found)
            return found
        return None

    def _learn(self, found: Response) -> None:
        if found.name == "CAPABILITY":
            self.capabilities = frozenset(str(one).upper() for one in found.data)
        elif found.code[:1] == ("CAPABILITY",):
            self.capabilities = frozenset(str(one).upper() for one in found.code[1:])
        elif found.name == "ENABLED" and {"UTF8=ACCEPT", "IMAP4REV2"} & {str(one).upper() for one in found.data}:
            self.utf8 = True
        if found.tag == self._running:
            self._waiting.clear()  # refused before its literals


__all__ = [
    "Argument",
    "Fetched",
    "ImapClient",
    "Literal",
    "Response",
    "ResponseSyntaxError",
    "Value",
    "flag_list",
    "numbers",
    "string",
]
