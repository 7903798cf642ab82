"""Reading one command: rules of RFC 9051 9."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_imap import utf7, writer
from mox_imap.scanner import CommandSyntaxError, Scanner, SequenceSet


def scanner(data: bytes, **options: bool) -> Scanner:
    return Scanner(data + b"\r\n", **options)


def whole(scan: Scanner, rule: Callable[[Scanner], object]) -> None:
    """Reads the rule, and nothing may follow."""
    rule(scan)
    scan.end()


@pytest.mark.parametrize(
    "data, value",
    [
        (b"atom]", b"atom]"),
        (b'"a \\"quoted\\" \\\\"', b'a "quoted" \\'),
        (b'""', b""),
        (b"{3}\r\na\r\n", b"a\r\n"),
        (b"{3+}\r\nabc", b"abc"),
        (b'"caf\xc3\xa9"', "café".encode()),
    ],
)
def test_astring(data: bytes, value: bytes) -> None:
    scan = scanner(data)
    assert scan.astring() == value
    scan.end()


@pytest.mark.parametrize("data", [b"", b"(", b'"open', b'"a\\x"', b"{3}\r\nab", b"a{3}", b"\x7f", b"%", b"*", b'"a\0"'])
def test_no_astring(data: bytes) -> None:
    with pytest.raises(CommandSyntaxError) as caught:
        whole(scanner(data), Scanner.astring)
    assert 0 <= caught.value.at <= len(data) + 2


@pytest.mark.parametrize(
    "text, bounds",
    [
        (b"1", [(1, 1)]),
        (b"1:3", [(1, 3)]),
        (b"3:1", [(1, 3)]),
        (b"*", [(9, 9)]),
        (b"7:*", [(7, 9)]),
        (b"*:7,1", [(1, 1), (7, 9)]),
        (b"12:*", [(9, 12)]),
        (b"1,2,3,5:6,6:8", [(1, 3), (5, 8)]),
    ],
)
def test_sequence_set(text: bytes, bounds: list[tuple[int, int]]) -> None:
    assert list(scanner(text).sequence_set().bounds(9)) == bounds


@pytest.mark.parametrize(
    "text", [b"", b"0", b"1:0", b"1,", b",1", b"1:2:3", b"a", b"1:a", b"4294967296", b"9" * 30, b"-1", b"1 :2"]
)
def test_no_sequence_set(text: bytes) -> None:
    with pytest.raises(CommandSyntaxError):
        whole(scanner(text), Scanner.sequence_set)


def test_a_million_ranges() -> None:
    with pytest.raises(CommandSyntaxError, match="too many ranges"):
        scanner(b"1:2," * 1_000_000 + b"1").sequence_set()
    big = SequenceSet(tuple((2 * n + 1, 2 * n + 1) for n in range(100_000)))
    assert len(list(big.bounds(10))) == 100_000


@pytest.mark.parametrize(
    "text, value",
    [
        (b'" 1-Jan-1970 00:00:00 +0000"', 0.0),
        (b'"01-Jan-1970 01:00:00 +0100"', 0.0),
        (b'"31-Dec-1969 23:00:00 -0100"', 0.0),
        (b'" 1-jan-1970 00:00:60 +0000"', 59.0),
    ],
)
def test_date_time(text: bytes, value: float) -> None:
    assert scanner(text).date_time() == value


@pytest.mark.parametrize(
    "text", [b'"32-Jan-1970 00:00:00 +0000"', b'" 1-Foo-1970 00:00:00 +0000"', b'" 1-Jan-1970 24:00:00 +0000"', b'" 1-Jan-0000 00:00:00 +0000"', b'" 1-Jan-1970"', b'" 1-Jan-1970 00:00:00 +9959"']
)  # fmt: skip
def test_no_date_time(text: bytes) -> None:
    with pytest.raises(CommandSyntaxError):
        scanner(text).date_time()


def test_date() -> None:
    assert scanner(b"1-Feb-2020").date() == date(2020, 2, 1)
    assert scanner(b'"29-feb-2020"').date() == date(2020, 2, 29)
    with pytest.raises(CommandSyntaxError):
        scanner(b"29-Feb-2021").date()


@pytest.mark.parametrize(
    "data, utf8, name",
    [
        (b"inbox", False, "Inbox"),
        (b"Entw&APw-rfe", False, "Entwürfe"),
        (b"Entw&APw-rfe", True, "Entw&APw-rfe"),
        ('"Entwürfe"'.encode(), True, "Entwürfe"),
        (b"a&-b", False, "a&b"),
        (b"&2D3eAA-", False, "\U0001f600"),
    ],
)
def test_mailbox(data: bytes, utf8: bool, name: str) -> None:
    assert scanner(data, utf8=utf8).mailbox() == name


@pytest.mark.parametrize("data", [b"&", b"&APw", b"&!!!-", b"&AGE-", b'"\xff"', b'"a\xc3"', b"&2D0-", b"&APw-&APw-&A-"])
def test_no_mailbox(data: bytes) -> None:
    with pytest.raises(CommandSyntaxError):
        scanner(data).mailbox()


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_utf7_both_ways(name: str) -> None:
    assert utf7.decode(utf7.encode(name)) == name
    assert utf7.encode(name).isascii()


@settings(max_examples=200)
@given(st.text(st.sampled_from("&-abA,APwé\U0001f600 "), max_size=12))
def test_utf7_reads_back_what_it_takes(text: str) -> None:
    try:
        name = utf7.decode(text)
    except utf7.Utf7Error:
        return
    assert utf7.decode(utf7.encode(name)) == name


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_strings_both_ways(data: bytes) -> None:
    written = writer.string(data)
    assert scanner(written).string() == data.replace(b"\0", b"?")
    assert b"\0" not in written


@settings(max_examples=100)
@given(st.text(max_size=30))
def test_astrings_both_ways(text: str) -> None:
    text = text.encode("utf-8", "replace").decode().replace("\0", "")
    assert scanner(writer.astring(text)).astring().decode() == text


@settings(max_examples=100)
@given(st.sets(st.integers(1, 60)))
def test_sets_both_ways(numbers: set[int]) -> None:
    if numbers:
        ordered = sorted(numbers)
        bounds = scanner(writer.sequence_set(ordered)).sequence_set().bounds(1)
        assert [n for low, high in bounds for n in range(low, high + 1)] == ordered


@settings(max_examples=100)
@given(st.integers(-(10**9), 4 * 10**9))
def test_dates_both_ways(moment: int) -> None:
    assert scanner(writer.internal_date(float(moment))).date_time() == moment


def test_dates_that_no_calendar_has() -> None:
    for moment in (1e15, -1e15):
        assert writer.internal_date(moment).endswith(b'+0000"')
