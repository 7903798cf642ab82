"""Fuzz target: what IMAP makes of a message.  Run `python fuzz/imap_message.py` where atheris is installed."""

from __future__ import annotations

import sys

from mox_imap import structure
from mox_imap.commands.matching import body_matches, header_matches, named_fields, text_matches
from mox_message import Content, Fields, parse


def fuzz(data: bytes) -> None:
    """Envelope, structure, kept header and searches of `data`."""
    content = Content.of(data)
    part = parse(content)
    extended = structure.bodystructure(part)
    short = structure.short(extended)
    for written in (structure.envelope(part), extended, short):
        assert b"\0" not in written
        assert written.startswith(b"(")
        assert written.endswith(b")")
    assert len(short) <= len(extended)
    kept = structure.trimmed_header(part.fields)
    cut = b"".join(field.raw for field in Fields.parse(kept + b"\r\n") if field.name in ("subject", "from"))
    if kept.endswith(b"\n"):
        assert named_fields(kept, ("subject", "from")) == cut + b"\r\n"
    for needle in ("a", "hello world", "é", "("):
        header_matches(kept, "from", needle)
        if body_matches(content, needle):
            assert text_matches(content, needle)


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
