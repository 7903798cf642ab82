"""Message data on the wire: dots, the end, and line ends that would smuggle a second message (RFC 5321 4.5.2, 2.3.8).

Whole chunks are scanned, never lines; most chunks of a large message have no dot at all and are passed on unscanned for
them."""

from __future__ import annotations

import re

END = b"\r\n.\r\n"


class DataReader:
    """Undoes dot-stuffing and finds the end.  Only CRLF . CRLF ends a message.  A bare CR, a bare LF or a NUL is named
    in `fault`; what follows is still read up to the true end."""

    __slots__ = ("_first", "_tail", "fault")

    def __init__(self) -> None:
        # As if a line had just ended: a first line of "." is the end of an empty message.
        self._tail = b"\r\n"
        self._first = True
        self.fault = ""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(payload, rest): `rest` is None until the end has come, then what follows it."""
        window = self._tail + data
        odd = _ODD.search(window)
        if odd is not None and not (odd.end() == len(window) - 2 and window.endswith(END)):
            return self._feed_odd(window)
        # Nothing but the end itself, or not even that: neither dots to undo nor a CR that is alone.
        cut = len(window) - (3 if odd is not None else _overlap(window))
        self._tail = window[cut:] if odd is None else b""
        body = window[:cut]
        if not self.fault:
            self.fault = _line_feed_fault(body)
        return self._without_begin(body), None if odd is None else b""

    def _feed_odd(self, window: bytes) -> tuple[bytes, bytes | None]:
        end = window.find(END)
        cut = (
            end + 2 if end >= 0 else len(window) - _overlap(window)
        )  # the CRLF in front of the dot belongs to the message
        self._tail = window[cut:] if end < 0 else b""
        body = window[:cut]
        if not self.fault:
            self.fault = line_fault(body)
        body = body.replace(b"\r\n.", b"\r\n")
        return self._without_begin(body), window[end + len(END) :] if end >= 0 else None

    def _without_begin(self, body: bytes) -> bytes:
        if self._first and len(body) >= 2:
            self._first = False
            return body[2:]
        return body


def _overlap(window: bytes) -> int:
    """How many of the last bytes may belong to CRLF . CRLF, or to a stuffed dot whose line is not whole yet."""
    for length in (4, 3, 2, 1):
        if END.startswith(window[-length:]):
            return min(length, len(window))
    return 0


# A CR that is alone, or a dot at the beginning of a line: most of a message has neither.
_ODD = re.compile(rb"\r(?:[^\n]|\n\.)")
# Faster than counting pairs, and than a look-behind by far; what it costs is one pass over the CRs.
_BARE_CR = re.compile(rb"\r[^\n]")


def line_fault(body: bytes) -> str:
    """What is wrong with the line ends of `body`, which is not cut between CR and LF; "" when nothing is."""
    if _BARE_CR.search(body) is not None or body.endswith(b"\r"):
        return "bare CR"
    return _line_feed_fault(body)


def _line_feed_fault(body: bytes) -> str:
    """Where each CR is known to be half of a pair: an LF more than there are CRs is alone."""
    if len(body.replace(b"\n", b"")) != len(body.replace(b"\r", b"")):
        return "bare LF"
    return "NUL" if b"\0" in body else ""


class ChunkReader:
    """Passes on the octets of BDAT as they are (RFC 3030 2), and names a fault of their lines in `fault` unless they
    are `binary`: what came in as lines must be able to go out as lines, without smuggling."""

    __slots__ = ("_held", "binary", "fault")

    def __init__(self, *, binary: bool) -> None:
        self.binary = binary
        self.fault = ""
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The payload: all of `data`."""
        if not self.binary and not self.fault:
            window = self._held + data
            self._held = b"\r" if window.endswith(b"\r") else b""
            self.fault = line_fault(window[:-1] if self._held else window)
        return data

    def end(self) -> None:
        """The last chunk is in."""
        if self._held and not self.fault:
            self.fault = "bare CR"


class BareLineEnd(ValueError):
    """A message to be sent has a bare CR or LF, or a NUL.  On the wire it could smuggle, so it is not sent."""


class LineEnds:
    """Finds bare line ends in a message that is read in chunks.  Raises BareLineEnd."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the bytes so far is known to be sound: all but a CR at the end, which waits for its LF."""
        if self._held:
            chunk = self._held + chunk
        self._held = b"\r" if chunk.endswith(b"\r") else b""
        if self._held:
            chunk = chunk[:-1]
        if fault := line_fault(chunk):
            raise BareLineEnd(fault)
        return chunk

    def end(self) -> None:
        """No more comes."""
        if self._held:
            raise BareLineEnd("bare CR")


class DataWriter:
    """Dot-stuffs a message that is read in chunks, and changes nothing else.  Raises BareLineEnd."""

    __slots__ = ("_checked", "_tail")

    def __init__(self) -> None:
        self._checked = LineEnds()
        self._tail = b"\n"  # the last byte sent, as if a line had ended: a first line may begin with a dot too

    def feed(self, chunk: bytes) -> bytes:
        """The chunk as it goes out."""
        chunk = self._checked.feed(chunk)
        if not chunk:
            return b""
        out = chunk.replace(b"\n.", b"\n..") if b"\n." in chunk else chunk
        if self._tail == b"\n" and chunk.startswith(b"."):
            out = b"." + out
        self._tail = chunk[-1:]
        return out

    def end(self) -> bytes:
        """The end mark; a message whose last line has no end gets one."""
        self._checked.end()
        return b".\r\n" if self._tail == b"\n" else END
