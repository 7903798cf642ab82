"""What a person would read: subject, preview, and the readable text of a part, HTML too."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from mox_message.content import Content
from mox_message.fields import Fields
from mox_message.part import Part
from mox_message.structured import date, message_ids
from mox_message.words import decode

PREVIEW = 256  # characters (RFC 8970 3.2)
# Octets that a preview is made of: nearly always the first number is enough; HTML may begin with much style.
_PREVIEW_FIRST = 4 * 1024
_PREVIEW_MOST = 128 * 1024
MAX_TEXT = 1024 * 1024

# Seen by nobody: they fill previews, and hide words from filters.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFFFD]
)
_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], " ")
# Tags that do not part words.
_INLINE_TAGS = (
    "a abbr acronym b bdi bdo big cite code dfn em font i ins del kbd label mark nobr q s samp small span strike "
    "strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_TAGS.split())
_HIDDEN = ("script", "style", "title", "template")
_TAG_NAME = re.compile(r"<[/!?]?([a-zA-Z][a-zA-Z0-9]*)")
_HIDDEN_END = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _HIDDEN}


def html_to_text(text: str) -> str:
    """The words of an HTML text, without tags, scripts and styles; a line end where a block begins or ends.  Not for
    showing: for reading and searching.  Linear."""
    return "".join(_html_pieces(text))


def _html_pieces(text: str) -> Iterator[str]:
    at = 0
    while (start := text.find("<", at)) >= 0:
        if start > at:
            yield html.unescape(text[at:start])
        tag = _TAG_NAME.match(text, start)
        if tag is None and not text.startswith(("<!", "<?", "</"), start):
            yield "<"  # a sign, not a tag
            at = start + 1
            continue
        name = tag[1].lower() if tag is not None else ""
        at = _tag_end(text, start, name)
        if name not in _INLINE and name:
            yield "\n"
    if at < len(text):
        yield html.unescape(text[at:])


def _tag_end(text: str, start: int, name: str) -> int:
    """Where the tag at `start` ends, with what it hides.  Without an end all that follows is hidden, so each search
    goes over its text once."""
    if text.startswith("<!--", start):
        end = text.find("-->", start)
        return end + 3 if end >= 0 else len(text)
    end = text.find(">", start)
    if end >= 0 and name in _HIDDEN and text[start + 1] != "/":
        close = _HIDDEN_END[name].search(text, end)
        end = text.find(">", close.start()) if close is not None else -1
    return end + 1 if end >= 0 else len(text)


def readable(part: Part, content: Content, max_bytes: int = MAX_TEXT) -> str:
    """The text of a text part, of at most `max_bytes` octets, HTML undone; "" for other parts."""
    if part.type != "text":
        return ""
    text = part.text(content, max_bytes)
    return html_to_text(text) if part.subtype == "html" else text


def text_part(part: Part) -> Part | None:
    """The part that a person would read first: plain text before HTML, no attachments."""
    best: Part | None = None
    for candidate in part.walk():
        if candidate.type != "text" or candidate.disposition == "attachment" or not candidate.size:
            continue
        if candidate.subtype == "plain":
            return candidate
        if best is None and candidate.subtype == "html":
            best = candidate
    return best


def preview(part: Part, content: Content) -> str:
    """The first words of a message, without quoted lines, at most PREVIEW characters (RFC 8970)."""
    chosen = text_part(part)
    if chosen is None:
        return ""
    found = _preview(chosen, content, _PREVIEW_FIRST)
    if len(found) < PREVIEW and chosen.size > _PREVIEW_FIRST:
        found = _preview(chosen, content, _PREVIEW_MOST)
    return found


def _preview(part: Part, content: Content, most: int) -> str:
    """Stops when there is enough: what follows is never looked at."""
    text = part.text(content, most)
    out: list[str] = []
    size, enough = 0, PREVIEW * 2
    for piece in _html_pieces(text) if part.subtype == "html" else _unquoted_lines(text):
        if piece == "\n":
            out.append(" ")
            continue
        out.append(piece)
        size += len(piece)
        if size > enough:
            if len(words := _squeezed(out)) >= PREVIEW:
                return words[:PREVIEW].rstrip()
            enough = size * 2  # mostly spaces: looked at again only when there is as much more
    return _squeezed(out)[:PREVIEW].rstrip()


def _unquoted_lines(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        if text[at] != ">":
            yield text[at:end]
        at = end


def _squeezed(pieces: list[str]) -> str:
    text = "".join(pieces)
    if not text.isascii():
        text = text.translate(_INVISIBLE)
    return " ".join(text.split())


def decoded_subject(fields: Fields) -> str:
    """The subject as people read it, in one line; "" when there is none."""
    found = fields.text("subject")
    if not found:
        return ""
    text = decode(found)
    return text if text.isprintable() else " ".join(text.translate(_CONTROLS).split())


def sent_date(fields: Fields) -> float | None:
    """Seconds since 1970 of the Date field; None when it is missing or cannot be understood."""
    found = fields.text("date")
    moment = date(found) if found else None
    try:
        return moment.timestamp() if moment is not None else None
    except (OverflowError, ValueError, OSError):
        return None


def message_id(fields: Fields) -> str:
    """The Message-ID without brackets; "" when there is none."""
    found = fields.text("message-id")
    ids = message_ids(found) if found else ()
    return ids[0] if ids else ""
