"""RFC 6376 3.4: the fast forms equal a slow reading of the text, however the body is cut."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dkim.canonical import (
    BodyCanon,
    BodyHash,
    Form,
    SignedHeader,
    canonical_body,
    relaxed_field,
    signed_header,
    simple_field,
)
from mox_message import Fields


def slow_body(body: bytes, form: Form) -> bytes:
    """3.4.3 and 3.4.4 word by word."""
    lines = body.split(b"\r\n")
    if form is Form.RELAXED:
        lines = [re.sub(rb"[ \t]+", b" ", line) for line in lines]
        lines = [line.removesuffix(b" ") for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    if not lines:
        return b"" if form is Form.RELAXED else b"\r\n"
    return b"".join(line + b"\r\n" for line in lines)


def slow_field(raw: bytes, colon: int) -> bytes:
    """3.4.2 word by word."""
    name, value = raw[:colon].lower(), raw[colon + 1 :]
    value = re.sub(rb"\r\n", b"", value)
    value = re.sub(rb"[ \t]+", b" ", value)
    return name.strip(b" \t") + b":" + value.strip(b" ")


# RFC 6376 3.4.5, the example of both forms.
EXAMPLE_HEADER = [b"A: X\r\n", b"B : Y\t\r\n\tZ  \r\n"]
EXAMPLE_BODY = b" C \r\nD \t E\r\n\r\n\r\n"


# RFC 6376 3.4.2, 3.4.4 and 3.4.5
def test_rfc_example_relaxed() -> None:
    assert [relaxed_field(raw, raw.index(b":")) for raw in EXAMPLE_HEADER] == [b"a:X", b"b:Y Z"]
    assert canonical_body(EXAMPLE_BODY, Form.RELAXED) == b" C\r\nD E\r\n"


# RFC 6376 3.4.1 and 3.4.3
def test_rfc_example_simple() -> None:
    assert b"".join(simple_field(raw) + b"\r\n" for raw in EXAMPLE_HEADER) == b"".join(EXAMPLE_HEADER)
    assert canonical_body(EXAMPLE_BODY, Form.SIMPLE) == b" C \r\nD \t E\r\n"


BODIES = {
    "nothing, 3.4.3 and 3.4.4": (b"", b"\r\n", b""),
    "line ends only": (b"\r\n\r\n", b"\r\n", b""),
    "white space only": (b" \t\r\n \r\n", b" \t\r\n \r\n", b""),
    "last line open": (b"a", b"a\r\n", b"a\r\n"),
    "last line open, blank": (b"a\r\n \t", b"a\r\n \t\r\n", b"a\r\n"),
    "lone CR and LF are text": (b"a \r b \n c\r\n", b"a \r b \n c\r\n", b"a \r b \n c\r\n"),
    "a CR at the end is text": (b"a \r", b"a \r\r\n", b"a \r\r\n"),
    "LF before the last CRLF": (b"a\n\r\n\r\n", b"a\n\r\n", b"a\n\r\n"),
    "CR CR LF": (b"a\r\r\n", b"a\r\r\n", b"a\r\r\n"),
}


@pytest.mark.parametrize("body, simple, relaxed", BODIES.values(), ids=BODIES)
def test_bodies(body: bytes, simple: bytes, relaxed: bytes) -> None:
    assert canonical_body(body, Form.SIMPLE) == simple
    assert canonical_body(body, Form.RELAXED) == relaxed


pieces = st.lists(
    st.sampled_from([b" ", b"\t", b"\r", b"\n", b"\r\n", b"a", b"\0", b"  ", b"\x0b", b"\xe9"]), max_size=40
)


@pytest.mark.parametrize("form", Form)
@settings(max_examples=200)
@given(chunks=st.lists(pieces.map(b"".join), max_size=6))
def test_any_cut_equals_the_slow_reading(form: Form, chunks: list[bytes]) -> None:
    out: list[bytes] = []
    canon = BodyCanon(form, out.append)
    for chunk in chunks:
        canon.feed(chunk)
    canon.finish()
    assert b"".join(out) == slow_body(b"".join(chunks), form)


@settings(max_examples=200)
@given(pieces.map(b"".join))
def test_field_equals_the_slow_reading(value: bytes) -> None:
    raw = b"Name \t:" + value + b"\r\n"
    assert relaxed_field(raw, raw.index(b":")) == slow_field(raw, raw.index(b":"))


@settings(max_examples=100)
@given(pieces.map(b"".join), st.integers(0, 50), st.sampled_from(list(Form)))
def test_length_cuts_the_canonical_body(body: bytes, length: int, form: Form) -> None:
    whole = slow_body(body, form)
    digest = BodyHash(form, length=length)
    digest.feed(body)
    assert digest.finish() == hashlib.sha256(whole[:length]).digest()
    assert (digest.hashed, digest.total) == (min(length, len(whole)), len(whole))


HOSTILE = {
    "spaces": b" " * 65536,
    "tabs": b"\t" * 65536,
    "line ends": b"\r\n" * 32768,
    "CRs": b"\r" * 65536,
    "blank lines": b" \r\n" * 21000,
    "spaces of all lengths": b"".join(b" " * n + b"x" for n in range(360)),
}


@pytest.mark.parametrize("chunk", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_take_linear_time_and_little_memory(chunk: bytes) -> None:
    digest = BodyHash(Form.RELAXED)
    started = time.process_time()
    for _ in range(160):
        digest.feed(chunk)
    digest.feed(b"x")
    digest.finish()
    assert time.process_time() - started < 3.0  # 10 MB; a quadratic reading would take minutes


@dataclass
class F:
    name: str
    raw: bytes
    colon: int


def fields(*raws: bytes) -> list[F]:
    return [F(raw[: raw.index(b":")].decode().lower(), raw, raw.index(b":")) for raw in raws]


# RFC 6376 5.4.2
def test_names_take_fields_from_the_bottom_5_4_2() -> None:
    header = fields(b"A: 1\r\n", b"B: 2\r\n", b"A: 3\r\n")
    assert signed_header(header, ["a", "b"], Form.RELAXED) == b"a:3\r\nb:2\r\n"
    assert signed_header(header, ["a", "a"], Form.SIMPLE) == b"A: 3\r\nA: 1\r\n"


# RFC 6376 5.4 and 8.15
def test_names_beyond_what_there_is_add_nothing_5_4() -> None:
    header = fields(b"A: 1\r\n")
    assert signed_header(header, ["a", "a", "c", "a"], Form.RELAXED) == b"a:1\r\n"
    assert signed_header(header, [], Form.RELAXED) == b""


PIECES = st.sampled_from(
    [b"A", b"a", b"B", b":", b" ", b"\t", b"\r\n", b"\r\n ", b"\r\n\t", b"\r", b"\n", b"x", b"\xff", b"A:", b"b: "]
)


@given(st.lists(PIECES, max_size=40), st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), st.sampled_from(Form))
def test_the_header_made_canonical_once_is_the_same(pieces: list[bytes], names: list[str], form: Form) -> None:
    fields = Fields.parse(b"".join(pieces))
    assert [fields.raw_at(index) for index in range(len(fields))] == [field.raw for field in fields]
    header = SignedHeader(fields)
    for _ in range(2):
        assert header.signed(names, form) == signed_header(fields, names, form)
    assert header.signed(["b", *names], form) == signed_header(fields, ["b", *names], form)
