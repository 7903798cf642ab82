"""What reports about messages have in common (multipart/report, RFC 6522): blocks of fields, the message itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mox_message import transfer
from mox_message.compose import part
from mox_message.content import Content
from mox_message.dates import date
from mox_message.fields import Fields
from mox_message.part import Part

# Octets of what is read of a report, and of the original's header that is read or sent back.
MAX_REPORT = 256 * 1024
MAX_ORIGINAL = 64 * 1024
HEADER_TYPES = ("text/rfc822-headers", "message/global-headers", "message/rfc822-headers")


def one_line(text: str, smtputf8: bool) -> str:
    """Foreign text in one line; ASCII unless `smtputf8`."""
    line = " ".join("".join([c if c.isprintable() else " " for c in text]).split())
    return line if smtputf8 else line.encode("ascii", "replace").decode()


def headers(original: bytes, smtputf8: bool) -> bytes:
    """The part with the header of the message that a report is about."""
    fields = Fields.parse(original[:MAX_ORIGINAL])
    block = b"".join([one.raw.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n") for one in fields])
    encoding = transfer.chosen(block)
    if encoding == "7bit":
        return part("text/rfc822-headers", block, encoding)
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:  # of no known charset: sent as octets that nobody has to show
        return part("text/rfc822-headers", block, encoding)
    return part("message/global-headers", block, "8bit" if smtputf8 else encoding)


def whole_message(original: bytes, smtputf8: bool) -> bytes:
    """The part with the whole message that a report is about.  RFC 2046 5.2.1: a message within is never encoded."""
    international = smtputf8 and not original[: Fields.parse(original[:MAX_ORIGINAL]).end].isascii()
    return part(
        "message/global" if international else "message/rfc822", original, "7bit" if original.isascii() else "8bit"
    )


def field_blocks(data: bytes, most: int) -> list[Fields]:
    """The blocks of fields between empty lines, at most so many (RFC 3464 2.1)."""
    found: list[Fields] = []
    at = _behind_empty_lines(data, 0)
    while at < len(data) and len(found) < most:
        fields = Fields.parse(data, at)
        at = _behind_empty_lines(data, max(fields.end, at + 1))
        if len(fields):
            found.append(fields)
    return found


_EMPTY_LINES = re.compile(rb"(?:[ \t]*+\r?\n)*+")


def _behind_empty_lines(data: bytes, at: int) -> int:
    match = _EMPTY_LINES.match(data, at)
    return match.end() if match is not None else at


def seconds(value: str | None) -> float | None:
    """Seconds since 1970 of a date-time; None when there is none that can be understood."""
    moment = date(value) if value else None
    try:
        return moment.timestamp() if moment is not None else None
    except (OverflowError, ValueError, OSError):
        return None


def own_parts(message: Part) -> list[Part]:
    """The parts of a message in order, without those of messages in it: a report that was passed on is not ours."""
    found, stack = [], [message]
    while stack:
        part_ = stack.pop()
        found.append(part_)
        stack.extend(reversed(part_.children))
    return found


def original_fields(parts: Sequence[Part], content: Content) -> Fields | None:
    """The header of the message that a report is about, if it is among these parts."""
    for one in parts:
        if one.message is not None:
            return one.message.fields
        if one.media_type in HEADER_TYPES:
            return Fields.parse(one.data(content, MAX_ORIGINAL))
    return None
