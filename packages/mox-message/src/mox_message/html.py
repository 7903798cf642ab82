"""The words of HTML: for reading, searching and previews, never for showing.  Linear, whatever the tags look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

# Tags that do not part words.
_INLINE_TAGS = (
    "a abbr acronym b bdi bdo big cite code dfn em font i ins del kbd label mark nobr q s samp small span strike "
    "strong sub sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_TAGS.split())
# Those that stand apart from what is before and behind them, by an empty line.
_APART_TAGS = "address article blockquote dl fieldset form h1 h2 h3 h4 h5 h6 hr ol p pre section table ul"
_APART = frozenset(_APART_TAGS.split())
_CELLS = frozenset(["td", "th"])
_HIDDEN = ("script", "style", "title", "template")
_HIDDEN_END = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _HIDDEN}

_TAG_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
# A > in quotes does not end a tag; quotes that hold a < are not believed, so that no search goes further than the next.
_TAG_REST = re.compile(r"""[^>"'<]*+(?:(?:"[^"<]*+"|'[^'<]*+')[^>"'<]*+)*+>""")
_ALT = re.compile(r"""\salt\s*=\s*(?:"([^"<]*+)"|'([^'<]*+)'|([^\s"'<>]++))""", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\xa0]+")
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_LOOKED_AT = 1024  # octets (WHATWG HTML 13.2.3.2)

LINE, PARAGRAPH = "\n", "\n\n"
# Spaces of preformatted text on their way through; everything else has only single spaces.
_KEPT = "\xa0"
_DOUBLE = re.compile(r" {2,}")


def html_to_text(text: str) -> str:
    """The text of HTML as a person would read it: without tags, scripts and styles, white space as browsers show it, a
    line for each block, an empty line around paragraphs, `- ` before list items, images by their `alt`."""
    lines: list[str] = []
    held: list[str] = []
    for piece in pieces(text):
        if piece != LINE and piece != PARAGRAPH:
            held.append(piece)
            continue
        line = _DOUBLE.sub(" ", "".join(held).strip(" "))
        held.clear()
        if line.strip() and line != "-":
            lines.append(line)
        if piece == PARAGRAPH and lines and lines[-1]:
            lines.append("")
    lines.append(_DOUBLE.sub(" ", "".join(held).strip(" ")))
    return "\n".join(lines).strip("\n").replace(_KEPT, " ")


def pieces(text: str) -> Iterator[str]:
    """Texts with white space made single, LINE and PARAGRAPH, in order; as many as are asked for."""
    at, pre = 0, 0
    while (start := text.find("<", at)) >= 0:
        if start > at:
            yield from _shown(text[at:start], pre)
        tag = _TAG_NAME.match(text, start)
        if tag is None and not text.startswith(("<!", "<?", "</"), start):
            yield "<"  # a sign, not a tag
            at = start + 1
            continue
        name = tag[1].lower() if tag is not None else ""
        at = _tag_end(text, start, name)
        if name == "pre":
            pre = max(0, pre + (-1 if text.startswith("</", start) else 1))
        yield from _meaning(name, text, start, at)
    if at < len(text):
        yield from _shown(text[at:], pre)


def _shown(text: str, pre: int) -> Iterator[str]:
    plain = unescape(text) if "&" in text else text
    if not pre:
        yield _SPACES.sub(" ", plain)
        return
    for number, line in enumerate(plain.replace("\r\n", "\n").split("\n")):
        if number:
            yield LINE
        yield line.replace(" ", _KEPT)


def _meaning(name: str, text: str, start: int, end: int) -> Iterator[str]:
    """What a tag stands for in a text."""
    if not name or name in _INLINE:
        return
    if name == "img":
        found = _ALT.search(text, start, min(end, start + 4000))
        if found is not None:
            yield _SPACES.sub(" ", unescape(found[1] or found[2] or found[3] or ""))
    elif name in _CELLS:
        yield " "
    elif name in _APART:
        yield PARAGRAPH
    else:
        yield LINE
        if name == "li" and not text.startswith("</", start):
            yield "- "


def _tag_end(text: str, start: int, name: str) -> int:
    """Where the tag at `start` ends, with what it hides.  Without an end all that follows is hidden, so each search
    goes over its text once."""
    if text.startswith("<!--", start):
        end = text.find("-->", start)
        return end + 3 if end >= 0 else len(text)
    match = _TAG_REST.match(text, start + 1)
    end = match.end() - 1 if match is not None else text.find(">", start)
    if end >= 0 and name in _HIDDEN and text[start + 1] != "/":
        close = _HIDDEN_END[name].search(text, end)
        end = text.find(">", close.start()) if close is not None else -1
    return end + 1 if end >= 0 else len(text)


def charset(data: bytes) -> str:
    """The charset that an HTML text names in a meta tag at its beginning; "" when it names none."""
    match = _CHARSET.search(data[:_LOOKED_AT])
    return match[1].decode("ascii") if match is not None else ""
