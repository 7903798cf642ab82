"""What a person would read: subject, preview, and the readable text of a part, HTML too."""

from __future__ import annotations

import html
import re

from mox_message.content import Content
from mox_message.fields import Fields
from mox_message.part import Part
from mox_message.structured import date, message_ids
from mox_message.words import decode

PREVIEW = 256  # characters (RFC 8970 3.2)
_PREVIEW_SOURCE = 16 * 1024
_SPACES = re.compile(r"\s+")
_INVISIBLE = dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xAD, 0x34F])


def html_to_text(text: str) -> str:
    """The words of an HTML text, without tags, scripts and styles.  Not for showing: for reading and searching."""
    folded = text.lower()
    out: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        out.append(text[at:start])
        at = _tag_end(folded, start)
    out.append(text[at:])
    return html.unescape(" ".join(out))


def _tag_end(text: str, start: int) -> int:
    """Where the tag at `start` ends, with what it hides; text without an end is hidden whole (so the work is linear)."""
    if text.startswith("<!--", start):
        end = text.find("-->", start)
        return end + 3 if end >= 0 else len(text)
    end = text.find(">", start)
    if end < 0:
        return len(text)
    for name in ("script", "style", "head", "title"):
        if text.startswith(name, start + 1) and not text[start + 1 + len(name) : start + 2 + len(name)].isalnum():
            close = text.find(f"</{name}", end)
            end = text.find(">", close) if close >= 0 else len(text) - 1
            return end + 1 if end >= 0 else len(text)
    return end + 1


def readable(part: Part, content: Content, most: int = 1024 * 1024) -> str:
    """The text of a text part, HTML undone; "" for other parts."""
    if part.type != "text":
        return ""
    text = part.text(content, most)
    return html_to_text(text) if part.subtype == "html" else text


def text_part(part: Part) -> Part | None:
    """The part that a person would read first: plain text before HTML, no attachments."""
    best: Part | None = None
    for candidate in part.walk():
        if candidate.type != "text" or candidate.disposition == "attachment":
            continue
        if candidate.subtype == "plain":
            return candidate
        if best is None and candidate.subtype == "html":
            best = candidate
    return best


def preview(part: Part, content: Content) -> str:
    """The first words of a message, without quoted lines, at most PREVIEW characters."""
    chosen = text_part(part)
    if chosen is None:
        return ""
    text = readable(chosen, content, _PREVIEW_SOURCE)
    lines = [line for line in text.splitlines() if not line.startswith(">")]
    return _SPACES.sub(" ", " ".join(lines).translate(_INVISIBLE)).strip()[:PREVIEW]


def decoded_subject(fields: Fields) -> str:
    """The subject as people read it; "" when there is none."""
    field = fields.first("subject")
    return decode(field.text) if field is not None else ""


def sent_date(fields: Fields) -> float | None:
    """Seconds since 1970 of the Date field; None when it is missing or cannot be understood."""
    field = fields.first("date")
    moment = date(field.text) if field is not None else None
    try:
        return moment.timestamp() if moment is not None else None
    except (OverflowError, ValueError, OSError):
        return None


def message_id(fields: Fields) -> str:
    """The Message-ID without brackets; "" when there is none."""
    field = fields.first("message-id")
    found = message_ids(field.text) if field is not None else ()
    return found[0] if found else ""
