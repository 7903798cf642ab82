"""Encoded words (RFC 2047) and parameters (RFC 2045 5.1, RFC 2231): text that hides in ASCII, both ways."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from urllib.parse import unquote_to_bytes

# Of one field: beyond it words stay as they are, so that decoding a header is bounded.
MAX_WORDS = 2000
MAX_PARAMETERS = 100
MAX_VALUE = 64 * 1024

_WORD = re.compile(r"=\?([^\s?*]{1,40})(?:\*[^\s?]{0,20})?\?([BbQq])\?([^\s?]{0,2000})\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]+(?==\?)")


def charset(name: str) -> str:
    """A codec that Python has for a charset name; latin-1 for what it has not."""
    folded = name.strip("\"' ").lower()
    # What is labelled ASCII and is not, is most often UTF-8 today.
    if folded in ("us-ascii", "ascii", "", "unknown-8bit", "default", "utf8", "x-unknown"):
        return "utf-8"
    if folded in ("iso-8859-1", "latin1"):
        return "cp1252"  # a superset in practice (WHATWG Encoding)
    if folded in ("gb2312", "gbk", "x-gbk"):
        return "gb18030"
    if folded in ("ks_c_5601-1987", "euc-kr"):
        return "cp949"
    try:
        info = codecs.lookup(folded)
    except (LookupError, ValueError, UnicodeError):
        return "latin-1"
    # Codecs such as zlib or rot13 are no charsets.
    return (
        info.name
        if getattr(info, "_is_text_encoding", True)
        and info.name not in ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
        else "latin-1"
    )


def to_text(data: bytes, charset_name: str) -> str:
    """Bytes as text; what does not decode is replaced."""
    try:
        return data.decode(charset(charset_name), "replace")
    except (UnicodeError, LookupError, ValueError):
        return data.decode("latin-1")


def _decoded(match: re.Match[str]) -> bytes | None:
    kind, text = match[2], match[3]
    try:
        if kind in "Bb":
            return base64.b64decode(text + "=" * (-len(text) % 4))
        return binascii.a2b_qp(text.replace("_", " ").encode("ascii"), header=False)
    except (binascii.Error, ValueError):
        return None


def decode(text: str) -> str:
    """Text of a header field with its encoded words decoded; neighbours of one charset are joined before decoding."""
    if "=?" not in text:
        return _repaired(text)
    text = _BETWEEN.sub(r"\1", text)
    parts: list[str] = []
    held, held_charset = b"", ""
    at = 0
    for number, match in enumerate(_WORD.finditer(text)):
        data = _decoded(match) if number < MAX_WORDS else None
        if data is None:
            continue
        gap = text[at : match.start()]
        if held and (gap or held_charset != match[1].lower()):
            parts.append(to_text(held, held_charset))
            held = b""
        parts.append(_repaired(gap))
        held, held_charset = held + data, match[1].lower()
        at = match.end()
    if held:
        parts.append(to_text(held, held_charset))
    parts.append(_repaired(text[at:]))
    return "".join(parts)


def _repaired(text: str) -> str:
    """Text that came as raw bytes: UTF-8 was tried, so what is left is most likely Windows-1252."""
    if text.isascii() or not any(0xDC80 <= ord(c) <= 0xDCFF for c in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def encode(text: str) -> str:
    """`text` for an unstructured field: itself if it is ASCII, else encoded words of at most 75 characters."""
    if text.isascii() and "=?" not in text and text.isprintable():
        return text
    words: list[str] = []
    held = b""
    for character in text:
        data = character.encode("utf-8", "replace")
        # 75 less "=?utf-8?B?" and "?=" leaves 63 characters: 45 bytes.
        if len(held) + len(data) > 45:
            words.append(base64.b64encode(held).decode())
            held = b""
        held += data
    words.append(base64.b64encode(held).decode())
    return " ".join(f"=?utf-8?B?{word}?=" for word in words)


_TOKEN_END = re.compile(r"""[\s;=()<>@,:\\"/\[\]?]""")


def parameters(text: str) -> tuple[tuple[str, str], ...]:
    """`; name=value; …` as (name in lower case, value) pairs in order, quotes and comments undone.  Never raises."""
    found: list[tuple[str, str]] = []
    at, end = 0, min(len(text), MAX_VALUE)
    while at < end and len(found) < MAX_PARAMETERS:
        at = text.find(";", at, end)
        if at < 0:
            break
        at = _space(text, at + 1)
        stop = at
        while stop < end and text[stop] not in '=; \t\r\n("':
            stop += 1
        name = text[at:stop].lower()
        at = _space(text, stop)
        if at >= end or text[at] != "=" or not name:
            at = stop
            if at < end and text[at] != ";":
                at += 1
            continue
        value, at = _value(text, _space(text, at + 1), end)
        found.append((name, value))
    return tuple(found)


def _value(text: str, at: int, end: int) -> tuple[str, int]:
    if at < end and text[at] == '"':
        out: list[str] = []
        at += 1
        while at < end and text[at] != '"':
            if text[at] == "\\" and at + 1 < end:
                at += 1
            out.append(text[at])
            at += 1
        return "".join(out), at + 1
    stop = at
    while stop < end and text[stop] not in "; \t\r\n(":
        stop += 1
    return text[at:stop], stop


def _space(text: str, at: int) -> int:
    """Past white space and comments."""
    depth = 0
    while at < len(text):
        character = text[at]
        if depth and character == "\\":
            at += 1
        elif character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth and character not in " \t\r\n":
            break
        at += 1
    return at


def decoded_parameters(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Parameters with continuations joined and charsets decoded (RFC 2231), and with encoded words, which are not
    allowed there and common, decoded too.  The first of equal names counts."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in pairs:
        base, star, number = name.partition("*")
        if not star:
            plain.setdefault(name, decode(value))
        elif number == "":
            pieces.setdefault(base, {}).setdefault(0, (value, True))
        else:
            coded = number.endswith("*")
            digits = number.removesuffix("*")
            if digits.isascii() and digits.isdigit() and len(digits) < 4:
                pieces.setdefault(base, {}).setdefault(int(digits), (value, coded))
    for base, numbered in pieces.items():
        plain[base] = _joined(numbered)
    return plain


def _joined(numbered: dict[int, tuple[str, bool]]) -> str:
    data, name = b"", ""
    for index in range(len(numbered)):
        if index not in numbered:
            break
        value, coded = numbered[index]
        if index == 0 and coded and value.count("'") >= 2:
            name, _, value = value.split("'", 2)
        raw = value.encode("utf-8", "surrogateescape")
        data += unquote_to_bytes(raw) if coded else raw
    return to_text(data, name or "utf-8")
