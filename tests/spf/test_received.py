"""The field Received-SPF, RFC 7208 9.1."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_spf import Result, Status, received_spf

RESULT = Result(Status.PASS, "192.0.2.9 matches (it does)", "mailfrom", "a.example", "ip4:192.0.2.0/24")


def test_a_field() -> None:
    field = received_spf(RESULT, ip="192.0.2.9", mail_from="u@a.example", helo="mx.a.example", receiver="mx.b.example")
    assert field.decode().split("\r\n") == [
        "Received-SPF: pass (192.0.2.9 matches \\(it does\\)) receiver=mx.b.example;",
        '\tidentity=mailfrom; client-ip=192.0.2.9; envelope-from="u@a.example";',
        '\thelo=mx.a.example; mechanism="ip4:192.0.2.0/24"',
        "",
    ]


def test_what_went_wrong() -> None:
    result = Result(Status.PERMERROR, 'an "error"', problem='an "error"')
    field = received_spf(result, ip="2001:db8::1", mail_from="", helo="x", receiver="y").decode()
    assert 'client-ip="2001:db8::1"' in field
    assert 'envelope-from=""' in field
    assert "mechanism=default" in field
    assert 'problem="an \\"error\\""' in field


# RFC 7208 9.1 and RFC 5322: what a reader of the unfolded field expects.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
QUOTED = r'"(?:[^"\\]|\\["\\])*"'
FIELD = re.compile(
    rf"Received-SPF: [a-z]+(?: \((?:[^()\\]|\\[()\\])*\))?(?: [a-z-]+=(?:{ATOM}|{QUOTED});)* [a-z-]+=(?:{ATOM}|{QUOTED})\r\n\Z"
)


@given(st.text(max_size=50), st.text(max_size=400), st.text(max_size=50), st.sampled_from(Status))
def test_any_text(reason: str, mail_from: str, helo: str, status: Status) -> None:
    result = Result(status, reason, mechanism=helo, problem=reason)
    field = received_spf(result, ip="192.0.2.9", mail_from=mail_from, helo=helo, receiver="r").decode()
    lines = field.split("\r\n")
    assert lines[-1] == ""
    assert all(line[0] == "\t" and line[1:].isprintable() for line in lines[1:-1])
    assert FIELD.match(field.replace("\r\n\t", " "))


@pytest.mark.parametrize("text", ["\ud800", "a\r\nX: y", "\0"])
def test_nothing_of_it_breaks_the_message(text: str) -> None:
    field = received_spf(RESULT, ip="192.0.2.9", mail_from=text, helo=text, receiver="r")
    assert b"\r\nX" not in field
    assert b"\0" not in field
