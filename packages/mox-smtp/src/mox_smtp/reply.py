"""Replies: a code, an enhanced code, a text; and refusals, which also know why (for us, not for the peer)."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A reply line has at most this many octets with code and line end (RFC 5321 4.5.3.1.5).
MAX_LINE = 512
# A client reads no more than this of one reply, whatever the server writes.
MAX_REPLY = 64 * 1024

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3}) ?")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of one or more lines.  `enhanced` is "" where the RFC has none (greeting, EHLO, 354)."""

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

    def to_bytes(self) -> bytes:
        """The lines on the wire; bytes that could end a line early are replaced."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        lines = [_clean(prefix + line)[: MAX_LINE - 8] for line in self.text.split("\n")]
        last = len(lines) - 1
        return b"".join(
            b"%d%s%s\r\n" % (self.code, b" " if n == last else b"-", line.encode("utf-8", "replace"))
            for n, line in enumerate(lines)
        )

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))


def _clean(text: str) -> str:
    return "".join(c if c >= " " and c != "\x7f" else "?" for c in text) if not text.isprintable() else text


@dataclass(frozen=True, slots=True)
class Refusal(Reply):
    """A reply that says no.  `text` is for the peer; `because` is for our log and the decision record."""

    because: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """An answer to AUTH: the exchange goes on with this (RFC 4954)."""

    data: bytes


class ReplySyntaxError(ValueError):
    """The peer's reply is none: `.text`, `.why`."""

    def __init__(self, text: bytes, why: str) -> None:
        self.text, self.why = text[:200], why
        super().__init__(f"{why}: {text[:100]!r}")


class ReplyReader:
    """Reads replies from the bytes of a server: feed() whatever came, next() until None."""

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[tuple[int, str]] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Raises ReplySyntaxError when a line or a reply grows beyond all bounds."""
        self._buffer += data
        if len(self._buffer) > MAX_REPLY and b"\n" not in self._buffer[:MAX_REPLY]:
            raise ReplySyntaxError(self._buffer, f"a reply line longer than {MAX_REPLY} octets")

    def next(self) -> Reply | None:
        """The next whole reply.  Raises ReplySyntaxError."""
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[: end + 1], self._buffer[end + 1 :]
            self._size += len(line)
            if self._size > MAX_REPLY:
                raise ReplySyntaxError(line, f"a reply longer than {MAX_REPLY} octets")
            reply = self._line(line.rstrip(b"\r\n"))
            if reply is not None:
                return reply
        return None

    def _line(self, line: bytes) -> Reply | None:
        if len(line) < 3 or not line[:3].isdigit() or not 200 <= int(line[:3]) <= 599 or line[3:4] not in (b" ", b"-", b""):
            raise ReplySyntaxError(line, "not a reply line")
        code = int(line[:3])
        if self._lines and self._lines[0][0] != code:
            raise ReplySyntaxError(line, "the lines of a reply differ in their code")
        self._lines.append((code, line[4:].decode("utf-8", "replace")))
        if line[3:4] == b"-":
            return None
        texts = [text for _, text in self._lines]
        self._lines, self._size = [], 0
        match = _ENHANCED.match(texts[0])
        if match is None or int(match[1]) != code // 100:
            return Reply(code, "\n".join(texts))
        prefix = match[0].rstrip() + " "
        enhanced = match[0].strip()
        return Reply(code, "\n".join(text.removeprefix(prefix).removeprefix(enhanced) for text in texts), enhanced)

    @property
    def pending(self) -> bool:
        """Bytes that no reply has used yet."""
        return bool(self._buffer or self._lines)
