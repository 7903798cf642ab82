"""Content-Transfer-Encoding (RFC 2045 6), undone and done.  Undoing works in pieces of any size and never raises."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Octets of an encoded line that is written (RFC 2045 6.7, 6.8), and of a line that may be sent (RFC 5322 2.1.1).
LINE = 76
MAX_LINE = 998

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _ALPHABET)
# A line of quoted-printable longer than this is cut, so that a body of one line is not held whole.
_HELD = 64 * 1024


def decoded(encoding: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a body with `encoding` (lower case) undone; what has no known encoding comes as it is."""
    if encoding == "base64":
        return _base64(chunks)
    if encoding == "quoted-printable":
        return _quoted_printable(chunks)
    return iter(chunks)


class Reader(io.RawIOBase):
    """Pieces as a file that is read from the beginning to the end; it cannot be sought in."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fills `buffer` with what is next; 0 at the end.  Raises OSError when a file cannot be read."""
        wanted = memoryview(buffer).cast("B")
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        size = min(len(wanted), len(self._held))
        wanted[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        # RFC 2045 6.8: every character outside the alphabet is to be ignored, line ends among them.
        held += chunk.translate(None, _NOT_BASE64)
        if b"=" in held:
            # Padding ends one encoded text; some write several, one behind the other.
            *whole, held = held.split(b"=")
            data = b"".join([_unbase64(piece) for piece in whole if piece])
            if data:
                yield data
        size = len(held) & ~3
        if size:
            yield binascii.a2b_base64(held[:size])
            held = held[size:]
    if data := _unbase64(held):
        yield data


def _unbase64(data: bytes) -> bytes:
    """Base64 that may have lost its padding; a single last character says nothing."""
    extra = len(data) & 3
    if extra == 1:
        data = data[:-1]
    return binascii.a2b_base64(data + b"=" * (-len(data) & 3))


def _quoted_printable(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        held += chunk
        end = held.rfind(b"\n") + 1
        if not end and len(held) > _HELD:
            # An escape must not be cut, nor white space from the line end that makes it void.
            end = len(held[:-3].rstrip(b" \t\r")) or len(held) - 3
            escape = held.rfind(b"=", max(end - 2, 0), end)
            end = escape if escape >= 0 else end
        if end:
            yield _unquoted(held[:end])
            held = held[end:]
    if held:
        yield _unquoted(held)


# What is no escape stands for itself (RFC 2045 6.7, notes 1 and 2): binascii would lose text behind some of it.  A `=`
# at the very end is a soft line break whose line end became that of a boundary.
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)")


def _unquoted(data: bytes) -> bytes:
    # RFC 2045 6.7 (3): white space at the end of a line was put there on the way.
    if b" \r\n" in data or b" \n" in data or b"\t\r\n" in data or b"\t\n" in data:
        lines = data.split(b"\n")
        last = lines.pop()
        kept = [line[:-1].rstrip(b" \t") + b"\r" if line[-1:] == b"\r" else line.rstrip(b" \t") for line in lines]
        data = b"\n".join([*kept, last])
    return binascii.a2b_qp(_NO_ESCAPE.sub(b"=3D", data))


def chosen(data: bytes) -> str:
    """The transfer encoding for text with CRLF line ends that everybody takes: 7bit, quoted-printable or base64."""
    if data.isascii() and b"\0" not in data and _lines_fit(data):
        return "7bit"
    foreign = len(data.translate(None, bytes(range(32, 127)) + b"\r\n\t"))
    # Quoted-printable writes three octets for one, base64 four for three; the first is legible.
    return "quoted-printable" if foreign * 6 < len(data) else "base64"


def _lines_fit(data: bytes) -> bool:
    lines = data.split(b"\r\n")
    if b"\r" in data.replace(b"\r\n", b"") or b"\n" in data.replace(b"\r\n", b""):
        return False
    return max(map(len, lines)) <= MAX_LINE


def encoded(encoding: str, data: bytes) -> bytes:
    """A body in `encoding`, with CRLF line ends; `data` as it is for 7bit, 8bit and binary."""
    if encoding == "base64":
        return b"".join(
            base64.b64encode(data[at : at + LINE // 4 * 3]) + b"\r\n" for at in range(0, len(data), LINE // 4 * 3)
        )
    if encoding == "quoted-printable":
        return b"\r\n".join([_quoted(line) for line in data.split(b"\r\n")])
    return data


def _quoted(line: bytes) -> bytes:
    """One line, with soft line breaks."""
    escaped = "".join([_QUOTED[octet] for octet in line])
    if escaped[-1:] in (" ", "\t"):
        escaped = escaped[:-1] + f"={ord(escaped[-1]):02X}"
    out: list[str] = []
    while len(escaped) > LINE:
        cut = LINE - 1
        if escaped[cut - 1] == "=":
            cut -= 1
        elif escaped[cut - 2] == "=":
            cut -= 2
        out.append(escaped[:cut] + "=")
        escaped = escaped[cut:]
    out.append(escaped)
    return "\r\n".join(out).encode("ascii")


_QUOTED = [chr(octet) if octet == 9 or (32 <= octet < 127 and octet != 61) else f"={octet:02X}" for octet in range(256)]
