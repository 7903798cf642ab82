"""A result as the header field Received-SPF.  RFC 7208 9.1."""

from __future__ import annotations

import re

from mox_spf.check import Result

# RFC 5322 3.2.3; anything else stands in quotes.
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
LINE = 78
# Characters of one value: what a client says must not make the field endless.
MAX_VALUE = 320


def received_spf(result: Result, *, ip: str, mail_from: str, helo: str, receiver: str) -> bytes:
    """The whole field, folded, with its line end.  Never raises, whatever the client has said."""
    pairs = [
        ("receiver", receiver),
        ("identity", result.identity),
        ("client-ip", ip),
        ("envelope-from", mail_from),
        ("helo", helo),
        # 9.1: "default" where no mechanism matched.
        ("mechanism", result.mechanism or "default"),
    ]
    if result.problem:
        pairs.append(("problem", result.problem))
    words = [f"({_comment(result.reason)})", *[f"{key}={_value(value)};" for key, value in pairs]]
    words[-1] = words[-1].removesuffix(";")
    return _folded(f"Received-SPF: {result.status}", words).encode()


def _value(text: str) -> str:
    if _DOT_ATOM.match(text) and len(text) <= MAX_VALUE:
        return text
    return '"' + _clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(text: str) -> str:
    return re.sub(r"([()\\])", r"\\\1", _clean(text))


def _clean(text: str) -> str:
    """Without controls and lone surrogates, and no longer than MAX_VALUE."""
    return "".join([char if char.isprintable() else "?" for char in text[:MAX_VALUE]])


def _folded(start: str, words: list[str]) -> str:
    lines = [start]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > LINE:
            lines.append(f"\t{word}")
        else:
            lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"
