"""Mailbox names of IMAP4rev1: modified UTF-7 (RFC 3501 5.1.3), both ways."""

from __future__ import annotations

import base64
import binascii


class Utf7Error(ValueError):
    """A name is no modified UTF-7."""


def encode(name: str) -> str:
    """A name as rev1 clients write it."""
    out: list[str] = []
    held = ""
    for character in name + "\0":
        if " " <= character <= "~":
            if held:
                out.append(_shifted(held))
                held = ""
            out.append("&-" if character == "&" else character)
        elif character != "\0":
            held += character
        elif held:
            out.append(_shifted(held))
    return "".join(out)


def _shifted(text: str) -> str:
    data = base64.b64encode(text.encode("utf-16-be", "surrogatepass")).rstrip(b"=").replace(b"/", b",")
    return f"&{data.decode()}-"


def decode(text: str) -> str:
    """The name behind modified UTF-7.  Raises Utf7Error, also for needless or unfinished shifts."""
    if "&" not in text:
        return text
    out: list[str] = []
    at = 0
    while (shift := text.find("&", at)) >= 0:
        out.append(text[at:shift])
        end = text.find("-", shift)
        if end < 0:
            raise Utf7Error("a shift that does not end")
        inner = text[shift + 1 : end]
        out.append(_unshifted(inner) if inner else "&")
        at = end + 1
    out.append(text[at:])
    return "".join(out)


def _unshifted(inner: str) -> str:
    try:
        data = base64.b64decode(inner.replace(",", "/").encode("ascii") + b"=" * (-len(inner) % 4), validate=True)
        text = data.decode("utf-16-be")
    except (binascii.Error, UnicodeError, ValueError):
        raise Utf7Error("a shift that does not decode") from None
    if not text or any(" " <= c <= "~" for c in text):
        raise Utf7Error("printable ASCII in a shift")
    return text
