"""Does a message have this text?  Needles are case-folded; headers are decoded, bodies too (RFC 9051 6.4.4).

Opening a message and decoding it costs a hundred times as much as looking for octets, so that is done first, wherever
octets can say no."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mox_message import AddressList, Content, Fields, Group, addresses, decode, parse

MAX_TEXT = 4 * 1024 * 1024
MAX_HEADER = 1024 * 1024
# Messages up to this are looked through in one piece before they are taken apart.
WHOLE = 8 * 1024 * 1024
# Letters of mail, the rare ones first; all else counts as rarer still.
_COMMON = "zqxjkvbpygfwmucldrhsnioate \r\n"
# Octets of characters that fold into ASCII letters: sharp s, long s, the Kelvin sign, ligatures and the like, in UTF-8,
# and the sharp s of Latin charsets.  Where there are any, only decoding can tell.
_FOLDS = re.compile(rb"\xdf|\xc3\x9f|\xc5[\x89\xbf]|\xc4\xb0|\xc7\xb0|\xce\x90|\xe1\xba|\xe2\x84[\xaa\xab]|\xef\xac")
ADDRESS_FIELDS = frozenset({"from", "to", "cc", "bcc", "sender", "reply-to"})


@lru_cache(maxsize=200)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Fields of these names, each with the line end before it: an alternative that begins with a fixed octet is found
    four times as fast as one that begins with a name."""
    # Both cases of each letter spelled out are a third faster than IGNORECASE.
    wanted = "|".join(
        "".join(f"[{c.upper()}{c}]" if c.isascii() and c.isalpha() else re.escape(c) for c in name.lower())
        for name in names
    )
    return re.compile(rb"\n(?:%s)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*" % wanted.encode())


# Between two headers that are looked through together: a line that no pattern goes across.
_BETWEEN = b"\n\0\n"


@lru_cache(maxsize=200)
def _marked_pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(_pattern(names).pattern + rb"|\n\0")


def named_fields(block: bytes, names: tuple[str, ...]) -> bytes:
    """The fields with these names (lower case) of a header block, as they are, and an empty line."""
    found = b"".join(_pattern(names).findall(b"\n" + block.removesuffix(b"\n")))
    return found[1:] + b"\n\r\n" if found else b"\r\n"


def named_fields_of(blocks: Sequence[bytes], names: tuple[str, ...]) -> list[bytes]:
    """`named_fields` of many: looked for in all of them at once."""
    joined = _BETWEEN.join([block.removesuffix(b"\n") for block in blocks])
    if joined.count(b"\0") != len(blocks) - 1:  # somebody wrote one
        return [named_fields(block, names) for block in blocks]
    found = b"".join(_marked_pattern(names).findall(b"\n" + joined)).split(b"\n\0")
    return [one[1:] + b"\n\r\n" if one else b"\r\n" for one in found]


def header_matches(block: bytes, name: str, needle: str) -> bool:
    """Has a field of this name (lower case) in a header block the needle in it?  "": is there such a field?"""
    found = _pattern((name,)).findall(b"\n" + block)
    if not found:
        return False
    if needle.isascii() and not any(b"=?" in one or b"(" in one or not one.isascii() for one in found):
        wanted = needle.encode()
        return any(wanted in _unfolded(one).lower() for one in found)
    return any(
        needle in text or (name in ADDRESS_FIELDS and needle in _addresses(text))
        for text in (decode(field.text).casefold() for field in Fields.parse(block).all(name))
    )


def _unfolded(field: bytes) -> bytes:
    value = field.split(b":", 1)[1]
    return value.replace(b"\r\n", b"").replace(b"\n", b"").strip() if b"\n" in value else value.strip()


def _addresses(text: str) -> str:
    """Addresses without the comments and white space that may stand within them."""
    found: AddressList = addresses(text)
    members = [one for entry in found.entries for one in (entry.members if isinstance(entry, Group) else (entry,))]
    return " ".join(f"{one.localpart}@{one.domain}" for one in members).casefold()


def body_matches(content: Content, needle: str, structure: bytes = b"") -> bool:
    """Has a text part, decoded, the needle in it?  `structure`: its BODYSTRUCTURE, for speed."""
    return not _surely_not(content, needle, structure) and _in_parts(content, needle)


def text_matches(content: Content, needle: str, structure: bytes = b"") -> bool:
    """Has a header, of the message or of one of its parts, or a text part the needle in it, decoded?"""
    if _surely_not(content, needle, structure, header=True):
        return False
    return _in_fields(Fields.parse(content.read(0, MAX_HEADER)), needle) or _in_parts(content, needle, headers=True)


def _in_fields(fields: Fields, needle: str) -> bool:
    return any(needle in f"{field.name}: {decode(field.text)}".casefold() for field in fields)


def _surely_not(content: Content, needle: str, structure: bytes, *, header: bool = False) -> bool:
    """Can the octets alone say no?"""
    if content.size > WHOLE or not needle.isascii() or b'"BASE64"' in structure or b'"QUOTED-PRINTABLE"' in structure:
        return False
    data = content.read()
    # Looking for one octet is forty times as fast as anything else.
    rare = "" if not data.isascii() else min(needle, key=_COMMON.find, default="")
    if structure and rare and rare.encode() not in data and rare.upper().encode() not in data:
        return not header or b"=?" not in data
    if not data.isascii() and _FOLDS.search(data):
        return False
    lowered = data.lower()
    if needle.encode() in lowered:
        return False
    if not structure and (b"base64" in lowered or b"quoted-printable" in lowered):
        return False
    # Encoded words and folded lines hide a text in a header, and letters beyond ASCII may fold into it.
    return not header or not (" " in needle or b"=?" in lowered or not lowered.isascii())


def _in_parts(content: Content, needle: str, *, headers: bool = False) -> bool:
    """In the text parts; `headers`: in the headers of parts and of attached messages too."""
    wanted, whole = needle.encode("utf-8"), parse(content)
    for part in whole.walk():
        if headers and part is not whole and _in_fields(part.fields, needle):
            return True
        if part.type not in ("text", "message") or part.children or part.message is not None:
            continue
        plain = part.encoding in ("7bit", "8bit", "binary")
        if plain and needle.isascii() and part.size <= MAX_TEXT:
            raw = content.read(part.body_start, part.body_end)
            if wanted in raw.lower() or (_FOLDS.search(raw) and needle in part.text(content, MAX_TEXT).casefold()):
                return True
        elif needle in part.text(content, MAX_TEXT).casefold():
            return True
    return False
