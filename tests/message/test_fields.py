from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Fields
from mox_message.fields import BARE_LF, MAX_DEFECTS, MAX_FIELDS, MAX_HEADER

HEADER = b"From: a@b.example\r\nSubject: one\r\n two\r\nX-Odd : x\r\nsubject:\r\n\r\nbody\r\n"


def test_fields_with_offsets() -> None:
    fields = Fields.parse(HEADER)
    assert fields.names == ["from", "subject", "x-odd", "subject"]
    assert HEADER[fields.end :] == b"body\r\n"
    for field in fields:
        assert HEADER[field.start : field.start + len(field.raw)] == field.raw
        assert field.raw[field.colon : field.colon + 1] == b":"
    assert fields[-1] == fields[3]
    assert fields[-1].start == HEADER.index(b"subject:")


def test_names_in_any_case() -> None:
    fields = Fields.parse(HEADER)
    assert fields.text("SUBJECT") == fields.text("subject") == "one two"
    assert [field.value for field in fields.all("Subject")] == [b" one\r\n two\r\n", b"\r\n"]
    assert fields.count("Subject") == 2
    assert "X-Odd" in fields
    assert "x" not in fields
    assert 1 not in fields
    first = fields.first("X-ODD")
    assert first is not None
    assert (first.name, first.spelling, first.text) == ("x-odd", "X-Odd", "x")
    assert fields.first("x-none") is None
    assert fields.text("x-none") is None


CASES = {
    "nothing": (b"", [], 0, True),
    "no header": (b"\r\nbody", [], 2, False),
    "bare LF": (b"A: b\n\nbody", ["a"], 6, True),
    "mixed ends of the header": (b"A: b\r\n\nbody", ["a"], 7, False),
    "no line end at all": (b"A: b", ["a"], 4, True),
    "mbox line": (b"From x@y Tue Nov 14 22:13:20 2023\r\nA: b\r\n\r\n", ["a"], 43, True),
    "continuation first": (b" x\r\nA: b\r\n\r\n", ["a"], 12, True),
    "a known name without colon": (b"From\nA: b\n\n", ["a"], 11, True),
    "no colon": (b"A: b\r\nwhat\r\nC: d\r\n\r\n", ["a", "c"], 20, True),
    "white space line folds": (b"A: b\r\n \r\n c\r\n\r\n", ["a"], 15, False),
    "space in a name": (b"A B: c\r\n\r\n", [], 10, True),
    "eight bits in a name": (b"A\xe4: c\r\n\r\n", [], 9, True),
}


@pytest.mark.parametrize("data, names, end, odd", CASES.values(), ids=CASES)
def test_boundaries_of_a_header(data: bytes, names: list[str], end: int, odd: bool) -> None:
    fields = Fields.parse(data)
    assert (fields.names, fields.end) == (names, end)
    assert bool(fields.defects) == odd


def test_start_stop_and_base() -> None:
    data = b"junk" + HEADER
    fields = Fields.parse(data, 4, 4 + len(HEADER), base=100)
    assert (fields.start, fields[0].start, fields.end) == (104, 104, 100 + data.index(b"body"))
    assert Fields.parse(data, 4, 10).names == ["from"]


def test_octets_that_others_read_differently_are_told() -> None:
    assert Fields.parse(b"A: b\rC: d\r\n\r\n").defects == ("a CR without LF in the header",)
    assert Fields.parse(b"A: b\0\r\n\r\n").defects == ("a NUL in the header",)
    assert Fields.parse(b"A: b\nC: d\r\n\r\n").defects == (BARE_LF,)


def test_text_that_is_not_utf8_is_kept() -> None:
    text = Fields.parse(b"A: \xe4\xff\r\n\r\n").text("a")
    assert text is not None
    assert text.encode("utf-8", "surrogateescape") == b"\xe4\xff"


def test_limits_are_told() -> None:
    many = Fields.parse(b"A: b\r\n" * (MAX_FIELDS + 5) + b"\r\n")
    assert (len(many), many.truncated) == (MAX_FIELDS, True)
    long = Fields.parse(b"A: b\r\n" + b"C: " + b"d" * MAX_HEADER + b"\r\n\r\nbody")
    assert (long.names, long.truncated, long.closed, long.end) == (["a"], True, False, 6)
    assert len(Fields.parse(b"what\r\n" * 100).defects) == MAX_DEFECTS


@given(
    st.lists(st.sampled_from([b"A: b", b"\r\n", b"\n", b" ", b":", b"x", b"From", b"\r", b"\xff", b"\0"]), max_size=30)
)
@settings(deadline=None)
def test_any_octets(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    fields = Fields.parse(data)
    assert 0 <= fields.end <= len(data)
    at = 0
    for field in fields:
        assert field.start >= at
        at = field.start + len(field.raw)
        assert data[field.start : at] == field.raw
        assert field.raw[: field.colon].rstrip(b" \t").lower() == field.name.encode()
        assert fields.text(field.name) == fields.all(field.name)[0].text
    assert at <= fields.end


@pytest.mark.parametrize("piece", [b"\n", b" ", b"a", b":", b"a:\n", b"\r", b"a\n", b" \n", b"a: b\n "], ids=repr)
def test_linear(piece: bytes) -> None:
    """Not a measure of speed: a quadratic reader needs minutes for this."""
    start = time.process_time()
    fields = Fields.parse(b"A: b\n" + piece * (MAX_HEADER // len(piece)))
    list(fields)
    assert time.process_time() - start < 10
