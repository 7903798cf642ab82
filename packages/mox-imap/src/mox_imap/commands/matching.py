"""Does a message have this text?  Needles are case-folded; headers are decoded, bodies too (RFC 9051 6.4.4).

Opening a message and decoding it costs a hundred times as much as looking for octets, so that is done first, wherever
octets can say no."""

from __future__ import annotations

from mox_message import Content, Fields, decode, parse

MAX_TEXT = 4 * 1024 * 1024
MAX_HEADER = 1024 * 1024
# Messages up to this are looked through in one piece before they are taken apart.
WHOLE = 8 * 1024 * 1024


def header_matches(block: bytes, name: str, needle: str) -> bool:
    """Has a field of this name (lower case) in a header block the needle in it?  "": is there such a field?"""
    if needle and block.isascii() and b"=?" not in block and not _octets_have(block, needle):
        return False
    for field in Fields.parse(block).all(name):
        if needle in decode(field.text).casefold():
            return True
    return False


def _octets_have(block: bytes, needle: str) -> bool:
    """May the needle be in a block of ASCII octets?  Lines may be folded at its spaces."""
    if not needle.isascii():
        return False
    word = max(needle.split(), key=len, default="")
    return word.encode() in block.lower()


def body_matches(content: Content, needle: str) -> bool:
    """Has a text part, decoded, the needle in it?"""
    return not _surely_not(content, needle) and _in_parts(content, needle)


def text_matches(content: Content, needle: str) -> bool:
    """Has the header or a text part, decoded, the needle in it?"""
    if _surely_not(content, needle, header=True):
        return False
    fields = Fields.parse(content.read(0, MAX_HEADER))
    if any(needle in f"{field.name}: {decode(field.text)}".casefold() for field in fields):
        return True
    return _in_parts(content, needle)


def _surely_not(content: Content, needle: str, *, header: bool = False) -> bool:
    """Can the octets alone say no?"""
    if content.size > WHOLE or not needle.isascii():
        return False
    lowered = content.read().lower()
    if needle.encode() in lowered or b"base64" in lowered or b"quoted-printable" in lowered:
        return False
    # Encoded words and folded lines hide a text in a header, and letters beyond ASCII may fold into it.
    return not header or not (" " in needle or b"=?" in lowered or not lowered.isascii())


def _in_parts(content: Content, needle: str) -> bool:
    wanted = needle.encode("utf-8")
    for part in parse(content).walk():
        if part.type not in ("text", "message") or part.children or part.message is not None:
            continue
        plain = part.encoding in ("7bit", "8bit", "binary")
        if plain and needle.isascii() and part.size <= MAX_TEXT:
            if wanted in content.read(part.body_start, part.body_end).lower():
                return True
        elif needle in part.text(content, MAX_TEXT).casefold():
            return True
    return False
