"""Cutting the stream: lines, literals, limits, any cut."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_imap.wire import CommandReader, Item, Line, LiteralStart, Piece, TooLong, WireLimits


def read(pieces: Sequence[bytes], limits: WireLimits | None = None, stream: bytes = b"APPEND") -> list[Item]:
    """All items; literals are accepted, or streamed after `stream`."""
    reader = CommandReader(limits or WireLimits())
    found: list[Item] = []
    for piece in pieces:
        reader.feed(piece)
        while (item := reader.next()) is not None:
            found.append(item)
            if isinstance(item, LiteralStart):
                if stream in item.data:
                    reader.stream()
                else:
                    reader.accept()
            if isinstance(item, TooLong):
                return found
    return found


def joined(items: Sequence[Item]) -> list[Item]:
    """Pieces of one literal put together."""
    out: list[Item] = []
    for item in items:
        if isinstance(item, LiteralStart):
            item = replace(item, before=0)
        if isinstance(item, Piece) and out and isinstance(out[-1], Piece) and not out[-1].last:
            out[-1] = Piece(out[-1].data + item.data, item.last)
        else:
            out.append(item)
    return out


CASES: dict[str, tuple[bytes, list[Item]]] = {
    "a line": (b"a NOOP\r\n", [Line(b"a NOOP\r\n")]),
    "two lines": (b"a\r\nb\r\n", [Line(b"a\r\n"), Line(b"b\r\n")]),
    "half a line": (b"a NO", []),
    "an old line end": (b"a NOOP\n", [Line(b"a NOOP\n")]),
    "a literal": (b"a {3}\r\nx\r\n\r\n", [LiteralStart(b"a {3}\r\n", 3, True), Line(b"a {3}\r\nx\r\n\r\n")]),
    "two literals": (
        b"a {1+}\r\nx ~{1}\r\ny\r\n",
        [
            LiteralStart(b"a {1+}\r\n", 1, False),
            LiteralStart(b"a {1+}\r\nx ~{1}\r\n", 1, True),
            Line(b"a {1+}\r\nx ~{1}\r\ny\r\n"),
        ],
    ),
    "an empty literal": (b"a {0}\r\n\r\n", [LiteralStart(b"a {0}\r\n", 0, True), Line(b"a {0}\r\n\r\n")]),
    "a streamed literal": (
        b"a APPEND x {3+}\r\nxyz\r\nb\r\n",
        [LiteralStart(b"a APPEND x {3+}\r\n", 3, False), Piece(b"xyz", True), Line(b"\r\n"), Line(b"b\r\n")],
    ),
    "an empty streamed literal": (
        b"a APPEND x {0+}\r\n\r\n",
        [LiteralStart(b"a APPEND x {0+}\r\n", 0, False), Piece(b"", True), Line(b"\r\n")],
    ),
    "no literal": (b"a {3} \r\nb {x}\r\nc {}\r\n", [Line(b"a {3} \r\n"), Line(b"b {x}\r\n"), Line(b"c {}\r\n")]),
}


@pytest.mark.parametrize("data, items", CASES.values(), ids=CASES)
def test_items(data: bytes, items: list[Item]) -> None:
    assert joined(read([data])) == items
    assert joined(read([data[at : at + 1] for at in range(len(data))])) == items


def test_limits() -> None:
    limits = WireLimits(line=20, literal=50, command=60)
    assert isinstance(read([b"x" * 21], limits)[0], TooLong)
    assert isinstance(read([b"x" * 30 + b"\r\n"], limits)[0], TooLong)
    assert read([b"x" * 18 + b"\r\n"], limits) == [Line(b"x" * 18 + b"\r\n")]
    many = read([b"a {20+}\r\n" + (b"x" * 20 + b"{20+}\r\n") * 5], limits)
    assert isinstance(many[-1], TooLong)
    several = read([b"a {1+}\r\n" + b"x{1+}\r\n" * 20], WireLimits(literals=5))
    assert several[-1] == TooLong("too many literals")
    starts = [item for item in several if isinstance(item, LiteralStart)]
    assert len(starts) == 5
    many = read([b"a {1+}\r\n" + b"x{1+}\r\n" * 90], WireLimits())
    last = [item for item in many if isinstance(item, LiteralStart)][-1]
    assert last.before > len(last.data)  # the beginning is enough to know an APPEND by


def test_a_refused_literal() -> None:
    reader = CommandReader(WireLimits())
    reader.feed(b"a {9}\r\nb NOOP\r\n")
    assert reader.next() == LiteralStart(b"a {9}\r\n", 9, True, 7)
    assert reader.next() is None
    reader.refuse()
    assert reader.next() == Line(b"b NOOP\r\n")


def test_a_slow_line_is_linear() -> None:
    reader = CommandReader(WireLimits())
    start = time.process_time()
    for _ in range(60_000):
        reader.feed(b"x")
        assert reader.next() is None
    assert time.process_time() - start < 5


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([data for data, _ in CASES.values()]) | st.binary(max_size=30), max_size=6),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_any_cut_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    marks = sorted({min(at, len(data)) for at in cuts} | {0, len(data)})
    pieces = [data[a:b] for a, b in pairwise(marks)]
    assert joined(read(pieces)) == joined(read([data]))
