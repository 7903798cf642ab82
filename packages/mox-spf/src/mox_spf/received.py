"""Result -> the Received-SPF field (RFC 7208 9.1)."""

from __future__ import annotations

import re

from mox_spf.check import Result

_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.@:]+\Z")
LINE = 78


def _value(text: str) -> str:
    if _PLAIN.match(text):
        return text
    return '"' + "".join("?" if c in '"\\' or not c.isprintable() else c for c in text)[:200] + '"'


def received_spf(result: Result, *, ip: str, mail_from: str, helo: str, receiver: str) -> bytes:
    """The whole field, folded, with its line end."""
    comment = "".join("?" if c in "()\\" or not c.isprintable() else c for c in result.reason)[:200]
    pairs = [
        ("client-ip", ip),
        ("envelope-from", mail_from),
        ("helo", helo),
        ("receiver", receiver),
        ("identity", result.identity),
    ]
    if result.mechanism:
        pairs.append(("mechanism", result.mechanism))
    words = [f"({comment})", *(f"{name}={_value(value)};" for name, value in pairs)]
    words[-1] = words[-1].rstrip(";")
    lines = [f"Received-SPF: {result.status}"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("\t" + word)
        else:
            lines[-1] += " " + word
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")
