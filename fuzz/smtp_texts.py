"""Fuzz target: command lines, PROXY headers, Received fields, and the dots of a message.

Run `python fuzz/smtp_texts.py` where atheris is installed."""

from __future__ import annotations

import sys

from mox_smtp import CommandSyntaxError, ProxyReader, ProxySyntaxError, Received, ReceivedSyntaxError, read
from mox_smtp.data import BareLineEnd, DataReader, DataWriter


def commands(data: bytes) -> None:
    """Read, written and read again is the same."""
    try:
        command = read(data)
    except CommandSyntaxError:
        return
    if b" " * 2 not in data:
        assert read(str(command).encode()) == command


def proxy(data: bytes) -> None:
    """In one piece and octet by octet the same, and never more is wanted than belongs to the header."""
    found = []
    for size in (1, 4096):
        reader, at, header = ProxyReader(), 0, None
        try:
            while at < len(data) and header is None:
                piece = data[at : at + min(size, reader.wanted)]
                at += len(piece)
                header = reader.feed(piece)
        except ProxySyntaxError:
            found.append("broken")
        else:
            found.append((header, at) if header is not None else "short")
    assert found[0] == found[1] or "broken" in found


def dots(data: bytes) -> None:
    """What is written is read as it was, wherever it is cut; what would smuggle is not written."""
    writer, cut = DataWriter(), len(data) // 2
    try:
        out = writer.feed(data[:cut]) + writer.feed(data[cut:]) + writer.end()
    except BareLineEnd:
        return
    reader = DataReader()
    got, rest = reader.feed(out)
    assert rest == b""
    assert not reader.fault
    assert got == (data if data.endswith(b"\r\n") or not data else data + b"\r\n")


def fuzz(data: bytes) -> None:
    """One input for each."""
    commands(data)
    proxy(data)
    dots(data)
    try:
        Received.parse(data.decode("utf-8", "replace"))
    except ReceivedSyntaxError:
        return


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
