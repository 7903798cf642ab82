"""What a person would read: subject, preview, which parts to show, and the readable text of a part, HTML too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mox_message.charsets import to_text
from mox_message.content import Content
from mox_message.dates import date
from mox_message.fields import Fields
from mox_message.html import charset, html_to_text, pieces
from mox_message.part import Part
from mox_message.structured import message_ids
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


def readable(part: Part, content: Content, max_bytes: int = MAX_TEXT) -> str:
    """The text of a text part, of at most `max_bytes` octets: HTML undone (`html_to_text`), flowed lines joined
    (RFC 3676); "" for other parts.  Never raises for what the sender wrote."""
    if part.type != "text":
        return ""
    text = _text(part, content, max_bytes)
    if part.subtype == "html":
        return html_to_text(text)
    if part.subtype == "plain" and part.parameter("format").lower() == "flowed":
        return unflowed(text, delete_space=part.parameter("delsp").lower() == "yes")
    return text


def _text(part: Part, content: Content, max_bytes: int) -> str:
    named = part.parameter("charset")
    data = part.data(content, max_bytes)
    return to_text(data, named or (charset(data) if part.subtype == "html" else ""))


def unflowed(text: str, *, delete_space: bool = False) -> str:
    """`format=flowed` text with its soft line breaks undone (RFC 3676 4.1 to 4.5); `delete_space` is DelSp=yes."""
    out: list[str] = []
    held, depth = [""], 0
    open_ = False
    for line in text.replace("\r\n", "\n").split("\n"):
        rest = line.lstrip(">")
        quotes = len(line) - len(rest)
        rest = rest.removeprefix(" ")
        signature = rest == "-- "
        if not (open_ and quotes == depth and not signature):
            if held:
                out.append(_requoted(held, depth))
            held, depth = [], quotes
        flowed = rest.endswith(" ") and not signature
        held.append(rest[:-1] if flowed and delete_space else rest)
        open_ = flowed
    out.append(_requoted(held, depth))
    return "\n".join(out[1:])


def _requoted(held: list[str], depth: int) -> str:
    return (">" * depth + " " if depth else "") + "".join(held)


@dataclass(frozen=True, slots=True)
class Bodies:
    """What to show of a message: each of `text` and `html` is the whole of it in order (inline images among it), in the
    kind that a reader prefers; `attachments` is what is beside it."""

    text: tuple[Part, ...]
    html: tuple[Part, ...]
    attachments: tuple[Part, ...]


def bodies(message: Part) -> Bodies:
    """The parts that are text, HTML and attachments of a message, as RFC 8621 4.1.4 tells them apart."""
    text: list[Part] = []
    html: list[Part] = []
    beside: list[Part] = []
    _sort([message], "mixed", False, text, html, beside)
    return Bodies(tuple(text), tuple(html), tuple(beside))


_MEDIA = ("image", "audio", "video")


def _inline(part: Part, first: bool, around: str) -> bool:
    media = part.type in _MEDIA
    if part.disposition == "attachment" or not (media or part.media_type in ("text/plain", "text/html")):
        return False
    return first or (around != "related" and (media or not part.filename))


def _sort(
    parts: Sequence[Part],
    around: str,
    alternative: bool,
    text: list[Part] | None,
    html: list[Part] | None,
    beside: list[Part],
) -> None:
    """RFC 8621 4.1.4, parseStructure; MAX_DEPTH bounds its depth."""
    before_text = len(text) if text is not None else -1
    before_html = len(html) if html is not None else -1
    for number, part in enumerate(parts):
        if part.type == "multipart":
            inner = alternative or part.subtype == "alternative"
            _sort(part.children, part.subtype, inner, text, html, beside)
        elif not _inline(part, number == 0, around):
            beside.append(part)
        elif around == "alternative":
            chosen = {"text/plain": text, "text/html": html}.get(part.media_type, beside)
            (chosen if chosen is not None else beside).append(part)
        else:
            if alternative and part.media_type == "text/plain":
                html = None
            elif alternative and part.media_type == "text/html":
                text = None
            for shown in (text, html):
                if shown is not None:
                    shown.append(part)
            if (text is None or html is None) and part.type in _MEDIA:
                beside.append(part)
    if around == "alternative" and text is not None and html is not None:
        # Only one of the two was offered: it is the other as well.
        if len(text) == before_text and len(html) != before_html:
            text.extend(html[before_html:])
        elif len(html) == before_html and len(text) != before_text:
            html.extend(text[before_text:])


def text_part(message: Part) -> Part | None:
    """The part that a person would read first: plain text before HTML, no attachments; of a message that is nothing but
    another one, the other's."""
    found = bodies(message)
    for part in found.text:
        if part.type == "text" and part.size:
            return part
    for part in found.attachments:
        if part.message is not None and part.disposition != "attachment":
            return text_part(part.message)
    return None


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
    text = _text(part, content, most)
    out: list[str] = []
    size, enough = 0, PREVIEW * 2
    for piece in pieces(text) if part.subtype == "html" else _unquoted_lines(text):
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
