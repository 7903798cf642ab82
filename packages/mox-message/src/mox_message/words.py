"""Encoded words (RFC 2047) and parameters (RFC 2045 5.1, RFC 2231): text that hides in ASCII, both ways."""

from __future__ import annotations

import base64
import binascii
import re

from mox_message.charsets import to_text

# Of one field: beyond it words stay as they are, so that decoding a header is bounded.
MAX_WORDS = 2000
MAX_PARAMETERS = 100
MAX_VALUE = 64 * 1024
# RFC 2047 2: a word has at most 75 characters.
MAX_WORD = 75

# Quirk long-word: words longer than 75 characters, and with spaces inside; many write them.
_WORD = re.compile(r"=\?([^\s?*]{1,40})(?:\*[^\s?]{0,20})?\?([BbQq])\?([^?]{0,4000})\?=")


def decode(text: str) -> str:
    """Text of a header field with its encoded words decoded.  White space between words is none; neighbours of one
    charset are joined before decoding, because some cut characters (against RFC 2047 5).  Never raises."""
    if "=?" not in text:
        return text if text.isascii() else _repaired(text)
    parts: list[str] = []
    held: list[bytes] = []
    charset = ""
    at = 0
    for number, match in enumerate(_WORD.finditer(text)):
        data = _decoded(match[2], match[3]) if number < MAX_WORDS else None
        if data is None:
            continue
        gap = text[at : match.start()]
        if held and (match[1].lower() != charset or (not gap.isspace() and gap)):
            parts.append(to_text(b"".join(held), charset))
            held.clear()
        if not at or (gap and not gap.isspace()):
            parts.append(_repaired(gap))
        held.append(data)
        charset = match[1].lower()
        at = match.end()
    if held:
        parts.append(to_text(b"".join(held), charset))
    parts.append(_repaired(text[at:]))
    return "".join(parts)


def _decoded(kind: str, text: str) -> bytes | None:
    try:
        if kind in "Bb":
            clean = "".join(text.split()).rstrip("=")
            clean = clean[:-1] if len(clean) % 4 == 1 else clean
            return binascii.a2b_base64(clean + "=" * (-len(clean) % 4))
        return binascii.a2b_qp(text.replace("_", " ").encode("utf-8", "surrogateescape"))
    except (binascii.Error, ValueError):
        return None


def _repaired(text: str) -> str:
    """Text that came as raw octets: UTF-8 was tried, so what is left is most likely Windows-1252."""
    return text if text.isascii() else text.translate(_SURROGATES)


_SURROGATES = {0xDC00 + octet: bytes([octet]).decode("cp1252", "replace") for octet in range(128, 256)}


def encode(text: str, *, always: bool = False, first: int = MAX_WORD) -> str:
    """`text` for an unstructured field or a phrase: itself if it is printable ASCII, else encoded words of at most 75
    characters with a space between, in whichever of B and Q is shorter.

    `first`: how long the first word may be, for one that begins behind the name of its field."""
    if not always and text.isascii() and text.isprintable() and "=?" not in text:
        return text
    data = text.encode("utf-8", "replace")
    as_q = len(_q(data)) <= (len(data) + 2) // 3 * 4
    overhead = len("=?utf-8?q??=")
    room = max(first - overhead, _LEAST)
    words: list[str] = []
    held, size = b"", 0
    for character in text:
        octets = character.encode("utf-8", "replace")
        more = len(_q(octets)) if as_q else len(octets)
        if size + more > (room if as_q else room // 4 * 3):
            words.append(_word(held, as_q))
            held, size, room = b"", 0, MAX_WORD - overhead
        held += octets
        size += more
    words.append(_word(held, as_q))
    return " ".join(words)


# Room for one character of any kind, in Q.
_LEAST = 12


# RFC 2047 5 (3): what may stand in a word wherever it is used.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = ["_" if octet == 32 else chr(octet) if octet in _PLAIN else f"={octet:02X}" for octet in range(256)]


def _q(data: bytes) -> str:
    return "".join([_Q[octet] for octet in data])


def _word(data: bytes, as_q: bool) -> str:
    return f"=?utf-8?q?{_q(data)}?=" if as_q else f"=?utf-8?b?{base64.b64encode(data).decode()}?="


# Parameters.  Quirk lost-semicolon: the next "name=" begins a parameter, with or without a semicolon before it.  Quirk
# bare-spaces: an unquoted value may have spaces.
_PARAMETER = re.compile(
    r'([^\s;="]+)\s*='
    r'(?:\s*"([^"\\]*(?:\\.[^"\\]*)*)"?|\s*([^\s;]+(?:[ \t]+(?![^\s;="]+[ \t]*=)[^\s;]+)*))?',
    re.DOTALL,
)
_BETWEEN = re.compile(r"[;\s]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parameters(text: str) -> tuple[tuple[str, str], ...]:
    """`…; name=value; …` as (name in lower case, value) pairs in order, quotes and comments undone; see
    `decoded_parameters` for what they mean.  Never raises."""
    at = text.find(";")
    if at < 0:
        return ()
    text = text[:MAX_VALUE]
    if "(" in text:
        text = without_comments(text)
        at = text.find(";")
    found: list[tuple[str, str]] = []
    while 0 <= at < len(text) and len(found) < MAX_PARAMETERS:
        at = _after(text, at)
        match = _PARAMETER.match(text, at)
        if match is None:
            at = text.find(";", at)
            continue
        name, quoted, bare = match.groups()
        if quoted is not None:
            found.append((name.lower(), _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted))
        elif bare is not None:
            found.append((name.lower(), bare))
        at = match.end()
    return tuple(found)


def _after(text: str, at: int) -> int:
    """Behind white space and semicolons."""
    match = _BETWEEN.match(text, at)
    return match.end() if match is not None else at


def without_comments(text: str) -> str:
    """`text` with a space for every comment (RFC 5322 3.2.2); quoted strings stay as they are.  Linear."""
    out: list[str] = []
    depth, quoted, start, at = 0, False, 0, 0
    for match in _COMMENT_MARK.finditer(text):
        mark, at = match[0], match.start()
        if mark == '"':
            quoted = not quoted if not depth else quoted
        elif quoted or len(mark) == 2:
            continue
        elif mark == "(":
            if not depth:
                out.append(text[start:at])
            depth += 1
        elif depth:
            depth -= 1
            start = at + 1
    if not depth:
        out.append(text[start:])
    return " ".join(out)


_COMMENT_MARK = re.compile(r'["()]|\\.', re.DOTALL)


def decoded_parameters(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Parameters with continuations joined and charsets decoded (RFC 2231 3, 4), and with encoded words, which are not
    allowed there and common, decoded too.  The first of equal names counts; `name*` before `name`."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in pairs:
        base, star, number = name.partition("*")
        if not star:
            plain.setdefault(name, decode(value))
            continue
        coded = number == "" or number.endswith("*")
        digits = number.removesuffix("*") or "0"
        if base and digits.isascii() and digits.isdigit() and len(digits) < 4:
            pieces.setdefault(base, {}).setdefault(int(digits), (value, coded))
    for base, numbered in pieces.items():
        if 0 in numbered:
            plain[base] = _joined(numbered)
    return plain


def _joined(numbered: dict[int, tuple[str, bool]]) -> str:
    data, charset = b"", ""
    for index in range(len(numbered)):
        if index not in numbered:
            break
        value, coded = numbered[index]
        if index == 0 and coded and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        raw = value.encode("utf-8", "surrogateescape")
        data += _ESCAPE.sub(_octet, raw) if coded else raw
    return to_text(data, charset)


# RFC 2231 7, ext-octet.
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def _octet(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+\Z")  # RFC 2045 5.1
# RFC 2231 7, attribute-char: every octet as it is written.
_ATTRIBUTE_CHAR = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~"
_PERCENT = [chr(octet) if octet in _ATTRIBUTE_CHAR else f"%{octet:02X}" for octet in range(256)]
_ROOM = 60


def parameter(name: str, value: str) -> list[str]:
    """`name=value` as one or more parameters to be joined with "; " (RFC 2231): a token or quoted string for ASCII,
    UTF-8 in percent escapes for the rest, in pieces when it is long."""
    # What looks like an encoded word would be decoded as one, by us as by others.
    if value.isascii() and value.isprintable() and len(value) <= _ROOM and "=?" not in value:
        if _TOKEN.match(value):
            return [f"{name}={value}"]
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{name}="{escaped}"']
    escapes = ["".join([_PERCENT[octet] for octet in char.encode("utf-8", "replace")]) for char in value]
    pieces, held = [], "utf-8''"
    for escape in escapes:
        if len(held) + len(escape) > _ROOM:
            pieces.append(held)
            held = ""
        held += escape
    pieces.append(held)
    if len(pieces) == 1:
        return [f"{name}*={held}"]
    return [f"{name}*{index}*={piece}" for index, piece in enumerate(pieces)]
