"""Canonical bodies from hostile octets: however it is cut, what a line-by-line reading gives.

The first two octets say where the body is cut.

    python fuzz/dkim_body.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import re

from mox_dkim.canonical import BodyCanon, Form


def slow(body: bytes, form: Form) -> bytes:
    """RFC 6376 3.4.3 and 3.4.4, line by line."""
    lines = body.split(b"\r\n")
    if form is Form.RELAXED:
        lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    if not lines:
        return b"" if form is Form.RELAXED else b"\r\n"
    return b"".join(line + b"\r\n" for line in lines)


def fuzz(data: bytes) -> None:
    """One input."""
    cuts, body = sorted(data[:2]), data[2:]
    for form in Form:
        pieces: list[bytes] = []
        canon = BodyCanon(form, pieces.append)
        edges = [0, *cuts, len(body)]
        for index in range(len(edges) - 1):
            canon.feed(body[edges[index] : edges[index + 1]])
        canon.finish()
        assert b"".join(pieces) == slow(body, form)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
