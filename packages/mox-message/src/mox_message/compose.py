"""Writing: header fields, folding, what a submitted message must have (RFC 5322 3.6, RFC 6409 8), MIME parts.

A part is bytes: its header, an empty line, its body.  Nothing here makes up an identifier or asks the clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mox_message import transfer
from mox_message.fields import Fields
from mox_message.structured import Group, Mailbox
from mox_message.words import encode, parameter

LINE = 78
MAX_WORD_LINE = 76
MAX_LINE = 998  # RFC 5322 2.1.1, without CRLF

_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=?]{1,60}\Z")  # without the space, which some lose
_TOKEN = re.compile(r"[0-9A-Za-z'+_.-]+\Z")
_CONTROLS = dict.fromkeys([*range(32), 127], " ")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_text(now: float) -> str:
    """Seconds since 1970 as a date-time of RFC 5322 3.3, in UTC."""
    moment = datetime.fromtimestamp(now, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} +0000"


def fold(name: str, text: str) -> bytes:
    """A whole field of structured text, folded at its spaces (RFC 5322 2.2.3), with its line end.  Controls and line
    ends inside `text` become spaces, so it is one field whatever `text` holds."""
    assert _NAME.match(name), name
    lines = [f"{name}:"]
    for word in text.replace("\r\n", " ").translate(_CONTROLS).split(" "):
        if len(lines[-1]) + 1 + len(word) > LINE and len(lines[-1]) > len(name) + 1:
            lines.append("")
        lines[-1] += " " + word
    # A line of white space only would be taken for the end of the header (RFC 5322 3.2.2).
    return ("\r\n".join(line for line in lines if line.strip()) + "\r\n").encode("utf-8", "surrogateescape")


def unstructured(name: str, text: str) -> bytes:
    """A whole unstructured field such as Subject; encoded words where `text` is not ASCII, or cannot be folded."""
    text = text.replace("\r\n", " ").translate(_CONTROLS)
    long = len(text) > MAX_LINE // 2 and max(map(len, text.split(" "))) > MAX_LINE // 2
    # RFC 2047 2: a line with an encoded word has at most 76 characters.
    return fold(name, encode(text, always=long, first=MAX_WORD_LINE - len(name) - len(": ")))


def address_list(name: str, entries: Iterable[Mailbox | Group]) -> bytes:
    """A whole field of addresses: `address_list("To", [Mailbox("Zoë", "zoe", "example.org")])`."""
    return fold(name, ", ".join(map(str, entries)))


def message_ids_field(name: str, ids: Iterable[str]) -> bytes:
    """A whole field of message-ids, given without brackets: References, In-Reply-To."""
    return fold(name, " ".join(f"<{one}>" for one in ids))


def complete(fields: Fields, *, message_id: str, now: float) -> bytes:
    """The fields that a submitted message lacks, Message-ID and Date (RFC 6409 8.2, 8.3); b"" when it has them.
    `message_id` is without brackets."""
    missing = b""
    if not fields.text("message-id"):
        missing += fold("Message-ID", f"<{message_id}>")
    if not fields.text("date"):
        missing += fold("Date", date_text(now))
    return missing


def part(media_type: str, body: bytes, encoding: str, *more: bytes) -> bytes:
    """A part: `more` are whole fields, `encoding` is done to `body`."""
    head = fold("Content-Type", media_type)
    if encoding != "7bit":
        head += fold("Content-Transfer-Encoding", encoding)
    return head + b"".join(more) + b"\r\n" + transfer.encoded(encoding, body)


def text_part(text: str, subtype: str = "plain", *more: bytes) -> bytes:
    """A text part with CRLF line ends, in a transfer encoding that every server takes."""
    body = "\r\n".join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).encode("utf-8", "replace")
    charset = "us-ascii" if body.isascii() else "utf-8"
    return part(f"text/{subtype}; charset={charset}", body, transfer.chosen(body), *more)


def attachment(
    data: bytes, filename: str, media_type: str = "application/octet-stream", *, inline: bool = False, id: str = ""
) -> bytes:
    """A file, in base64; `id` is a Content-ID without brackets, for what HTML beside it shows."""
    disposition = "; ".join(
        ["inline" if inline else "attachment", *(parameter("filename", filename) if filename else [])]
    )
    more = [fold("Content-Disposition", disposition)]
    if id:
        more.append(fold("Content-ID", f"<{id}>"))
    return part(media_type, data, "base64", *more)


def multipart(subtype: str, parts: Sequence[bytes], boundary: str, parameters: str = "") -> bytes:
    """A multipart part.

    `boundary` is a unique text of at most 60 letters, digits and signs of RFC 2046 5.1.1; it is made longer should it
    occur in `parts` all the same.  `parameters` is written before it, such as `report-type=delivery-status;`."""
    assert _BOUNDARY.match(boundary), boundary
    while any(f"--{boundary}".encode() in one for one in parts):
        boundary += "-x"
    # Never in pieces or percent escapes (RFC 2231), which few readers of multiparts know.
    written = boundary if _TOKEN.match(boundary) else f'"{boundary}"'
    words = f"multipart/{subtype};{' ' if parameters else ''}{parameters} boundary={written}"
    delimiter = f"--{boundary}\r\n".encode()
    body = b"".join([delimiter + one + b"\r\n" for one in parts])
    return fold("Content-Type", words) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def message(fields: Iterable[bytes], body: bytes) -> bytes:
    """A message: whole fields, MIME-Version, and a part."""
    return b"".join(fields) + b"MIME-Version: 1.0\r\n" + body
