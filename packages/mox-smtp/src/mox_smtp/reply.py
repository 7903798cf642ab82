"""Replies: a code, an enhanced code, a text; and refusals, which also know why (for us, not for the peer)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A reply line has at most so many octets with code and line end (RFC 5321 4.5.3.1.5).
MAX_LINE = 512
# A client reads no more than this of one reply, whatever the server writes.
MAX_REPLY = 64 * 1024

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?: |\Z)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply; `text` has one or more lines, `enhanced` (RFC 3463) is "" where there is none (greeting, EHLO, 354)."""

    code: int
    text: str = ""
    enhanced: str = ""

    @property
    def good(self) -> bool:
        """2yz or 3yz."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """4yz."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz."""
        return self.code >= 500

    def to_bytes(self, *, utf8: bool = False) -> bytes:
        """The lines as they go out; `utf8`: the client has said SMTPUTF8, and may be told more than ASCII (RFC 6531
        3.7.4).  What could end a line early is replaced, what is too long cut."""
        if "\n" not in self.text:
            return b"%d %b\r\n" % (self.code, _line(self.enhanced, self.text, utf8))
        lines = self.text.split("\n")
        out = [b"%d-%b\r\n" % (self.code, _line(self.enhanced, line, utf8)) for line in lines[:-1]]
        out.append(b"%d %b\r\n" % (self.code, _line(self.enhanced, lines[-1], utf8)))
        return b"".join(out)

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text.replace("\n", " / "))))


def _line(enhanced: str, text: str, utf8: bool) -> bytes:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    if enhanced:
        text = f"{enhanced} {text}"
    line = text.encode("utf-8" if utf8 else "ascii", "replace")
    if len(line) > MAX_LINE - 6:
        line = line[: MAX_LINE - 6].decode("utf-8", "ignore").encode()
    return line


@dataclass(frozen=True, slots=True)
class Refusal(Reply):
    """A reply that says no.  `text` is for the peer; `because` is for our log and the decision record."""

    because: str = ""


class ReplySyntaxError(ValueError):
    """What the peer sent is no reply: `.text` (its beginning), `.why`."""

    def __init__(self, text: bytes, why: str) -> None:
        self.text, self.why = text[:200], why
        super().__init__(f"{why}: {text[:100]!r}")


class ReplyReader:
    """Cuts a server's bytes into replies: feed() whatever came, then next() until None."""

    __slots__ = ("_at", "_buffer", "_code", "_lines", "_size")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._code = 0
        self._lines: list[str] = []
        self._size = 0  # octets of the reply's lines so far

    def feed(self, data: bytes) -> None:
        """Adds bytes; call next() before feeding more, or they pile up."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def next(self) -> Reply | None:
        """The next whole reply; None: more bytes are needed.  Raises ReplySyntaxError, after which nothing follows."""
        while True:
            end = self._buffer.find(b"\n", self._at)
            size = (len(self._buffer) if end < 0 else end + 1) - self._at
            if self._size + size > MAX_REPLY:
                raise ReplySyntaxError(self._buffer[self._at : self._at + 200], f"a reply of over {MAX_REPLY} octets")
            if end < 0:
                return None
            # Quirk bare-lf: a reply line that ends with LF alone is read; nothing can be smuggled in this direction.
            line = self._buffer[self._at : end + 1].rstrip(b"\r\n")
            self._at, self._size = end + 1, self._size + size
            if (reply := self._line(line)) is not None:
                return reply

    def _line(self, line: bytes) -> Reply | None:
        # RFC 5321 4.2: the class decides, so any code of a known class is a reply.
        if not line[:3].isdigit() or not 200 <= int(line[:3]) <= 599 or line[3:4] not in (b" ", b"-", b""):
            raise ReplySyntaxError(line, "not a reply line")
        code = int(line[:3])
        if self._lines and self._code != code:
            raise ReplySyntaxError(line, "the lines of a reply differ in their code")
        self._code = code
        self._lines.append(line[4:].decode("utf-8", "replace"))
        if line[3:4] == b"-":
            return None
        texts, self._lines, self._size = self._lines, [], 0
        return _reply(code, texts)

    @property
    def pending(self) -> bool:
        """Bytes that belong to no reply given yet."""
        return self._at < len(self._buffer) or bool(self._lines)


def _reply(code: int, texts: list[str]) -> Reply:
    match = _ENHANCED.match(texts[0])
    if match is None or int(match[1]) != code // 100:
        return Reply(code, "\n".join(texts))
    enhanced = match[0].strip()
    return Reply(code, "\n".join(text.removeprefix(enhanced).removeprefix(" ") for text in texts), enhanced)
