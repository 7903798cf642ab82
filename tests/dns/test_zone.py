"""Answers from a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import Mx, Question, Status, Zone, ZoneSyntaxError

TEXT = """\
; a small zone
a.example.      300 IN TXT  "v=spf1 " "-all"   ; joined
a.example       MX   10 mx.a.example.
a.example       MX   0 .
mx.a.example    A    192.0.2.1
mx.a.example    AAAA 2001:db8::1
www.a.example   CNAME alias.a.example
alias.a.example CNAME mx.a.example
loop.example    CNAME loop.example
quoted.example  TXT  "a \\"b\\" ; c"
_25._tcp.a.example TLSA 3 1 1 00FF
slow.example    TIMEOUT
broken.example  TXT SERVFAIL
"""

CASES = {
    "TXT strings are joined": ("A.Example.", "TXT", Status.OK, (b"v=spf1 -all",)),
    "two of a kind": ("a.example", "MX", Status.OK, (Mx(10, "mx.a.example"), Mx(0, "."))),
    "behind aliases": ("www.a.example", "A", Status.OK, None),
    "an alias itself": ("www.a.example", "CNAME", Status.OK, ("alias.a.example",)),
    "no such type": ("mx.a.example", "TXT", Status.NODATA, ()),
    "nothing but names below, RFC 8020": ("_tcp.a.example", "A", Status.NODATA, ()),
    "no such name": ("b.example", "A", Status.NXDOMAIN, ()),
    "a whole name fails": ("slow.example", "MX", Status.TIMEOUT, ()),
    "one type fails": ("broken.example", "TXT", Status.SERVFAIL, ()),
    "a loop of aliases": ("loop.example", "A", Status.SERVFAIL, ()),
    "quotes": ("quoted.example", "TXT", Status.OK, (b'a "b" ; c',)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answers(case: tuple[str, str, Status, tuple[object, ...] | None]) -> None:
    name, type, status, records = case
    zone = Zone.parse(TEXT)
    answer = zone.ask(Question(name, type))
    assert answer.status is status
    if records is not None:
        assert answer.records == records
    assert zone.asked == [Question(name, type)]


def test_the_canonical_name() -> None:
    assert Zone.parse(TEXT).ask(Question("www.a.example", "A")).canonical == "mx.a.example"


def test_from_a_table() -> None:
    zone = Zone(
        {
            "a.example": Status.BOGUS,
            "a.example TXT": "only one",
            "b.example TXT": [b"\xff"],
            "c.example TXT": "SERVFAIL",
        },
        authentic=True,
        ttl=7,
    )
    answer = zone.ask(Question("a.example", "TXT"))
    assert (answer.records, answer.authentic, answer.ttl) == ((b"only one",), True, 7)
    assert zone.ask(Question("a.example", "MX")).status is Status.BOGUS
    assert zone.ask(Question("b.example", "TXT")).records == (b"\xff",)
    assert zone.ask(Question("c.example", "TXT")).status is Status.SERVFAIL


BAD = {
    "no type": "a.example",
    "no value": "a.example A",
    "no address": "a.example A 192.0.2.256",
    "no preference": "a.example MX mx.a.example",
    "no hexadecimal": "a.example TLSA 3 1 1 xy",
    "no end of a quoted text": 'a.example TXT "a',
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD.keys())
def test_mistakes_have_their_line(line: str) -> None:
    with pytest.raises(ZoneSyntaxError) as caught:
        Zone.parse(f"b.example A 192.0.2.1\n{line}\n")
    assert caught.value.line == 2


@given(st.text(max_size=60) | st.text('a.1 TXMAP";\\\n', max_size=60))
def test_any_text(text: str) -> None:
    try:
        Zone.parse(text)
    except ZoneSyntaxError as error:
        mistake = error
    else:
        return
    assert mistake.line >= 1
