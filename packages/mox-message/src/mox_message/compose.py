"""Writing header fields: folding, encoded words, and what a submitted message must have (RFC 5322 3.6, RFC 6409 8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mox_message.fields import Fields
from mox_message.words import encode

LINE = 78
_HARD = 998


def date_text(now: float) -> str:
    """Seconds since 1970 as a date-time of RFC 5322 3.3, in UTC."""
    moment = datetime.fromtimestamp(now, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} +0000"


def fold(name: str, text: str) -> bytes:
    """A whole field, folded at spaces (RFC 5322 2.2.3), with its line end.  Line ends inside `text` become spaces."""
    words = " ".join(text.split("\n")).replace("\r", "").split(" ")
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > LINE and lines[-1].strip() and len(lines[-1]) > len(name) + 1:
            lines.append("")
        lines[-1] += " " + word
    return ("\r\n".join(line for line in lines if line.strip()) + "\r\n").encode("utf-8", "surrogateescape")


def unstructured(name: str, text: str) -> bytes:
    """A whole unstructured field such as Subject; encoded words where `text` is not ASCII."""
    return fold(name, encode(text))


def complete(fields: Fields, *, message_id: str, now: float) -> bytes:
    """The fields that a submitted message lacks: Message-ID and Date."""
    missing = b""
    if fields.first("message-id") is None:
        missing += f"Message-ID: <{message_id}>\r\n".encode()
    if fields.first("date") is None:
        missing += f"Date: {date_text(now)}\r\n".encode()
    return missing


def multipart(subtype: str, parts: Sequence[bytes], boundary: str, parameters: str = "") -> bytes:
    """Content-Type field, empty line and body of a multipart; each part is header, empty line and body."""
    head = f'Content-Type: multipart/{subtype};{parameters} boundary="{boundary}"\r\n\r\n'.encode()
    delimiter = f"--{boundary}".encode()
    body = b"".join(delimiter + b"\r\n" + part + (b"" if part.endswith(b"\r\n") else b"\r\n") for part in parts)
    return head + body + delimiter + b"--\r\n"
