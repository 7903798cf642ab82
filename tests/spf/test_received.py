"""The field Received-SPF, RFC 7208 9.1."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_spf import ReceivedSpf, ReceivedSyntaxError, Result, Status, received_spf
from mox_spf.received import MAX_VALUE
from mox_spf.testing.texts import matches, received

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


READ: dict[str, tuple[str, Status, str, dict[str, str]]] = {
    "RFC 7208 9.1, the first example": (
        "pass (mybox.example.org: domain of myname@example.com designates 192.0.2.1 as permitted sender)\r\n"
        '    receiver=mybox.example.org; client-ip=192.0.2.1;\r\n    envelope-from="myname@example.com"; helo=foo.example.com;',
        Status.PASS,
        "mybox.example.org: domain of myname@example.com designates 192.0.2.1 as permitted sender",
        {"client-ip": "192.0.2.1", "envelope-from": "myname@example.com", "helo": "foo.example.com"},
    ),
    "only a result": ("None", Status.NONE, "", {}),
    "no comment": ("softfail identity=helo", Status.SOFTFAIL, "", {"identity": "helo"}),
    "comments everywhere": (
        "(a) fail (b (c) \\) d) helo (e) = (f) x (g); (h)",
        Status.FAIL,
        "b (c) ) d",
        {"helo": "x"},
    ),
    "an escaped quotation mark": ('neutral problem="a \\"b\\" \\\\"', Status.NEUTRAL, "", {"problem": 'a "b" \\'}),
    "of two the first counts": ("pass helo=a; helo=b", Status.PASS, "", {"helo": "a"}),
}


@pytest.mark.parametrize("text, status, comment, pairs", READ.values(), ids=READ)
def test_read(text: str, status: Status, comment: str, pairs: dict[str, str]) -> None:
    field = ReceivedSpf.parse(text)
    assert (field.status, field.comment, field.defects) == (status, comment, ())
    assert {key: field.get(key) for key in pairs} == pairs
    assert json.loads(json.dumps(field.to_dict()))["pairs"].items() >= pairs.items()


def test_what_others_write() -> None:
    """Read as it is meant, and the defect is told."""
    text = "Pass (mailfrom) identity=mailfrom; client-ip=2001:db8::1; envelope-from=a@b.example receiver=<UNKNOWN>"
    field = ReceivedSpf.parse(text.encode())
    assert (field.client_ip, field.envelope_from, field.receiver) == ("2001:db8::1", "a@b.example", "<UNKNOWN>")
    assert (field.identity, field.helo, field.mechanism, field.problem) == ("mailfrom", None, None, None)
    assert field.defects == ("a value that should be in quotes", "no semicolon between pairs")


NOT_READ = {
    "nothing": ("", 0),
    "another result": ("maybe (x)", 0),
    "no value": ("pass x", 6),
    "no key": ("pass ;", 5),
    "a comment without end": ("pass (x", 5),
    "quotes without end": ('pass x="y', 7),
    "too deep": ("pass " + "(" * 100 + ")" * 100, 25),
    "too many": ("pass " + "a=b;" * 100, 205),
}


@pytest.mark.parametrize("text, at", NOT_READ.values(), ids=NOT_READ)
def test_not_read(text: str, at: int) -> None:
    with pytest.raises(ReceivedSyntaxError) as caught:
        ReceivedSpf.parse(text)
    assert caught.value.at == at, caught.value


def test_ours_is_read_as_it_was_meant() -> None:
    """RFC 7208 9.1 and 11.4: both ways."""
    for ip in ("192.0.2.9", "2001:db8::9"):
        field = received_spf(RESULT, ip=ip, mail_from="ü u@a.example", helo="[x]", receiver="mx.b.example")
        read = ReceivedSpf.parse(field.partition(b":")[2])
        assert read == ReceivedSpf.of(RESULT, ip=ip, mail_from="ü u@a.example", helo="[x]", receiver="mx.b.example")
        assert read.field() == field
        assert ReceivedSpf.parse(str(read)) == read


@settings(max_examples=100, deadline=None)
@given(received())
def test_what_the_grammar_makes(text: str) -> None:
    read = ReceivedSpf.parse(text)
    assert read.defects == ()
    if all(len(value) <= MAX_VALUE for _, value in read.pairs) and len(read.comment) <= MAX_VALUE:
        again = ReceivedSpf.parse(read.field().partition(b":")[2])
        assert (again.status, again.pairs) == (read.status, read.pairs)


@settings(max_examples=100, deadline=None)
@given(received(), st.data())
def test_what_the_grammar_nearly_makes(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from(["", "(", ")", '"', ";", "=", " ", "\\", "a", "@", ".."]))
        + text[at + 1 :]
    )
    try:
        sound = not ReceivedSpf.parse(text).defects
    except ReceivedSyntaxError:
        sound = False
    assert sound == matches(text, "received"), text


@given(st.text('pas()"\\;=  \t\r\nab1.@', max_size=60))
def test_any_value(text: str) -> None:
    for value in (text, "pass " + text, "fail (" + text, 'pass x="' + text):
        try:
            read = ReceivedSpf.parse(value)
        except ReceivedSyntaxError as error:
            place = error.at
        else:
            place = 0
            assert ReceivedSpf.parse(read.field().partition(b":")[2]).status is read.status
        assert 0 <= place <= len(value)


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "pass " + "(x) " * 50_000, 'pass x="' + "\\a" * 50_000, "pass " + "a" * 99_000]
)
def test_linear(text: str) -> None:
    start = time.process_time()
    try:
        ReceivedSpf.parse(text)
    except ReceivedSyntaxError as error:
        str(error)
    assert time.process_time() - start < 1
