"""The cursor under record parsers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import RecordSyntaxError, Scanner

DIGITS = re.compile(r"[0-9]+")


class MyError(RecordSyntaxError):
    pass


class MyScanner(Scanner):
    Error = MyError


def test_a_small_grammar() -> None:
    scan = MyScanner("Id=42;")
    scan.expect("id=")
    assert scan.need(DIGITS, "a number")[0] == "42"
    assert scan.take(DIGITS) is None
    assert scan.peek() == ";"
    assert not scan.literal(",")
    assert scan.literal(";")
    assert scan.ended
    assert scan.peek() == ""
    scan.finish()


def test_it_points() -> None:
    scan = MyScanner("id=x")
    scan.expect("id=")
    with pytest.raises(MyError) as caught:
        scan.need(DIGITS, "a number")
    error = caught.value
    assert (error.text, error.at, error.why) == ("id=x", 3, "expected a number")
    assert str(error) == "expected a number at character 4\n    id=x\n       ^"
    with pytest.raises(MyError, match="expected '='"):
        scan.expect("=")
    with pytest.raises(MyError, match="unexpected text"):
        scan.finish()
    with pytest.raises(MyError, match="at character 1"):
        scan.fail("wrong", 0)


@given(st.text(max_size=500), st.integers(0, 500))
def test_an_error_is_short_and_printable(text: str, at: int) -> None:
    at = min(at, len(text))
    lines = str(RecordSyntaxError(text, at, "wrong")).split("\n")
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 140 for line in lines)
    assert lines[2].endswith("^")
