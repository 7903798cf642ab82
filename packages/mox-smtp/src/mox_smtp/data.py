"""Message data on the wire: dots, the end, and line ends that would smuggle a second message (RFC 5321 4.1.1.4, 2.3.8).

Whole chunks are scanned, never lines; what costs is done only where a chunk has a dot or a stray line end at all."""

from __future__ import annotations

END = b"\r\n.\r\n"


class DataReader:
    """Undoes dot-stuffing and finds the end.  Only CRLF . CRLF ends a message; a bare CR, a bare LF or a NUL is
    remembered in `.fault`, and everything up to the true end is then swallowed.

    feed(data) -> (payload, rest): `rest` is None until the end was found, then what follows it."""

    def __init__(self) -> None:
        # As if the line before had just ended: a first line of "." is the end of an empty message.
        self._tail = b"\r\n"
        self._first = True
        self.fault = ""

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Takes bytes as they came."""
        window = self._tail + data
        end = window.find(END)
        if end >= 0:
            # The CRLF in front of the dot belongs to the message.
            body, rest = window[: end + 2], window[end + len(END) :]
            return self._payload(body, final=True), rest
        # Keep back what may be the beginning of the end.
        keep = _overlap(window)
        cut = len(window) - keep
        body, self._tail = window[:cut], window[cut:]
        return self._payload(body, final=False), None

    def _payload(self, body: bytes, *, final: bool) -> bytes:
        if not self.fault:
            self.fault = _fault(body)
        if b"\r\n." in body:
            body = body.replace(b"\r\n.", b"\r\n")
        if self._first and len(body) >= 2:
            self._first = False
            return body[2:]
        return body


def _overlap(window: bytes) -> int:
    """How many last bytes may belong to CRLF . CRLF, or to a stuffed dot whose line goes on in the next chunk."""
    for length in range(min(4, len(window)), 0, -1):
        if END.startswith(window[-length:]):
            return length
    return 0


def _fault(body: bytes) -> str:
    """What is wrong with the line ends of `body`; a CR at its very end has been kept back, so pairs are whole."""
    pairs = body.count(b"\r\n")
    if body.count(b"\n") != pairs:
        return "bare LF"
    if body.count(b"\r") != pairs:
        return "bare CR"
    return "NUL" if b"\0" in body else ""


def stuffed(chunks: list[bytes]) -> list[bytes]:
    """For tests and small messages: dot-stuffed chunks with the end."""
    writer = DataWriter()
    return [*(writer.feed(chunk) for chunk in chunks), writer.end()]


class BareLineEnd(ValueError):
    """A message to be sent has a bare CR or LF: on the wire it could smuggle, so it is not sent."""


class DataWriter:
    """Dot-stuffs a message that is read in chunks, changing nothing else.  Raises BareLineEnd."""

    def __init__(self) -> None:
        self._last = b"\n"  # the last byte sent; a first line may begin with a dot too
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The chunk as it goes out."""
        if not chunk:
            return b""
        chunk = self._held + chunk
        self._held = b""
        if chunk.endswith(b"\r"):
            chunk, self._held = chunk[:-1], b"\r"
            if not chunk:
                return b""
        if (fault := _fault(chunk)) in ("bare LF", "bare CR"):
            raise BareLineEnd(fault)
        out = chunk.replace(b"\r\n.", b"\r\n..") if b"\r\n." in chunk else chunk
        if self._last == b"\n" and chunk[:1] == b".":
            out = b"." + out
        self._last = chunk[-1:]
        return out

    def end(self) -> bytes:
        """The final dot; a message without a line end at its end gets one."""
        if self._held:
            raise BareLineEnd("bare CR")
        return b".\r\n" if self._last == b"\n" else b"\r\n.\r\n"
