"""Dots and line ends, against a reading that goes octet by octet.

RFC 5321 2.3.8 (line ends) and 4.5.2 (dots)."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit.play import cut
from mox_smtp.data import END, BareLineEnd, ChunkReader, DataReader, DataWriter, LineEnds, line_fault

PIECES = st.sampled_from(
    [b"\r\n", b"\r\n", b"\r", b"\n", b".", b".", b"x", b"\0", b"\r\n.", b"\r\n.\r\n", b"text", b".."]
)
DATA = st.lists(PIECES, max_size=14).map(b"".join)
CUTS = st.lists(st.integers(0, 200), max_size=6)


def slowly(data: bytes) -> tuple[bytes, bool, bytes | None]:
    """RFC 5321 4.5.2: the message, whether its line ends are sound, and what follows it (None: the end has not come)."""
    end = (b"\r\n" + data).find(END)
    body, rest = (data, None) if end < 0 else (data[: max(end, 0)], data[end + 3 :])
    lines = body.split(b"\r\n")
    sound = not any(re.search(rb"[\r\n\0]", line) for line in lines)
    return b"\r\n".join(line.removeprefix(b".") for line in lines), sound, rest


def feed(data: bytes, at: list[int]) -> tuple[bytes, str, bytes | None]:
    reader, out, rest = DataReader(), b"", None
    for piece in cut(data, at):
        if rest is not None:
            rest += piece
            continue
        payload, rest = reader.feed(piece)
        out += payload
    return out, reader.fault, rest


@settings(max_examples=500)
@example(b"..\r\n.\r\n", [])
@example(b".\r\n", [1, 2])
@example(b"\r\n.\r\r\n.\r\n", [3])
@given(DATA, CUTS)
def test_reading(data: bytes, at: list[int]) -> None:
    out, fault, rest = feed(data + END, at)
    want, sound, want_rest = slowly(data + END)
    assert rest == want_rest
    assert (not fault) == sound
    if sound:
        assert out == want


@given(DATA, CUTS)
def test_what_is_refused_does_not_depend_on_the_cut(data: bytes, at: list[int]) -> None:
    (out, fault, rest), (whole, whole_fault, whole_rest) = feed(data + END, at), feed(data + END, [])
    assert (out, bool(fault), rest) == (whole, bool(whole_fault), whole_rest)


@settings(max_examples=300)
@given(DATA, CUTS)
def test_what_is_written_is_read_as_it_was(data: bytes, at: list[int]) -> None:
    writer = DataWriter()
    try:
        out = b"".join(writer.feed(piece) for piece in cut(data, at)) + writer.end()
    except BareLineEnd:
        assert line_fault(data) or data.endswith(b"\r")
        return
    assert not line_fault(out)
    got, fault, rest = feed(out, [])
    assert (fault, rest) == ("", b"")
    assert got == (data if not data or data.endswith(b"\r\n") else data + b"\r\n")


@given(DATA, CUTS)
def test_chunks_are_judged_as_a_whole(data: bytes, at: list[int]) -> None:
    reader = ChunkReader(binary=False)
    assert b"".join(reader.feed(piece) for piece in cut(data, at)) == data
    reader.end()
    assert bool(reader.fault) == bool(line_fault(data))
    binary = ChunkReader(binary=True)
    binary.feed(data)
    binary.end()
    assert not binary.fault


@given(DATA, CUTS)
def test_line_ends_are_judged_as_a_whole(data: bytes, at: list[int]) -> None:
    ends = LineEnds()
    try:
        for piece in cut(data, at):
            ends.feed(piece)
        ends.end()
    except BareLineEnd:
        assert line_fault(data)
    else:
        assert not line_fault(data)


@pytest.mark.parametrize(
    "data, fault", [(b"a\nb\r\n", "bare LF"), (b"a\rb\r\n", "bare CR"), (b"\0", "NUL"), (b"a\r\n", "")]
)
def test_faults_have_names(data: bytes, fault: str) -> None:
    assert line_fault(data) == fault
