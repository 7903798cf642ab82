from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import AuthenticationResults, AuthResultsSyntaxError, Fields, MethodResult, claiming
from mox_message.authres import LINE, MAX_RESULTS


def result(
    method: str, outcome: str, *properties: tuple[str, str, str], reason: str = "", comment: str = ""
) -> MethodResult:
    return MethodResult(method, outcome, reason, properties, comment)


READ = {
    "RFC 8601 B.2": ("example.org 1; none", "example.org", ()),
    "B.3": (
        "example.com; spf=pass smtp.mailfrom=example.net",
        "example.com",
        (result("spf", "pass", ("smtp", "mailfrom", "example.net")),),
    ),
    "B.4": (
        "example.com; auth=pass (cram-md5) smtp.auth=sender@example.net; spf=pass smtp.mailfrom=example.net",
        "example.com",
        (
            result("auth", "pass", ("smtp", "auth", "sender@example.net"), comment="cram-md5"),
            result("spf", "pass", ("smtp", "mailfrom", "example.net")),
        ),
    ),
    "B.6": (
        'example.com; dkim=pass reason="good signature" header.i=@mail-router.example.net;'
        " dkim=fail reason=bad header.i=@newyork.example.com",
        "example.com",
        (
            result("dkim", "pass", ("header", "i", "@mail-router.example.net"), reason="good signature"),
            result("dkim", "fail", ("header", "i", "@newyork.example.com"), reason="bad"),
        ),
    ),
    "B.7, comments everywhere": (
        "foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) = (wait for it) fail "
        "policy (A dot can go here) . (like that) expired (this surprised me) = (as I wasn't expecting it) 1362471462",
        "foo.example.net",
        (result("dkim", "fail", ("policy", "expired", "1362471462"), comment=""),),
    ),
    "Gmail": (
        "mx.google.com; dkim=pass header.i=@x.example header.s=s1 header.b=abc/+==; "
        'spf=pass (google.com: domain of a@b designates 192.0.2.1 as permitted sender) smtp.mailfrom="a=b@c";',
        "mx.google.com",
        (
            result("dkim", "pass", ("header", "i", "@x.example"), ("header", "s", "s1"), ("header", "b", "abc/+==")),
            result(
                "spf",
                "pass",
                ("smtp", "mailfrom", "a=b@c"),
                comment="google.com: domain of a@b designates 192.0.2.1 as permitted sender",
            ),
        ),
    ),
    "Exchange Online": (
        "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=x.example; dkim=none (message not signed) header.d=none;",
        "",
        (
            result("spf", "pass", ("smtp", "mailfrom", "x.example"), comment="sender IP is 192.0.2.1"),
            result("dkim", "none", ("header", "d", "none"), comment="message not signed"),
        ),
    ),
    "quoted id": ('"a b"; none', "a b", ()),
    "no ptype": ("x; dkim=pass d=y", "x", (result("dkim", "pass", ("", "d", "y")),)),
    "upper case": ("X; DKIM=PASS Header.D=Y", "X", (result("dkim", "pass", ("header", "d", "Y")),)),
}


@pytest.mark.parametrize("text, authserv_id, results", READ.values(), ids=READ)
def test_read(text: str, authserv_id: str, results: tuple[MethodResult, ...]) -> None:
    found = AuthenticationResults.parse(text)
    assert found.authserv_id == authserv_id
    if "everywhere" not in text and "Because" not in text:
        assert found.results == results
    else:
        assert [(one.method, one.result, one.properties) for one in found.results] == [
            (one.method, one.result, one.properties) for one in results
        ]


BAD = {
    "": (0, "who checked"),
    "x": (1, ""),
    "x; dkim": (7, "'='"),
    "x; dkim=": (8, "a result"),
    "x; dkim=pass (a": (13, "comment that does not end"),
    "x; dkim=pass header.d": (21, "'='"),
    'x; dkim=pass header.d="y': (22, "quoted text that ends"),
    "x y; none": (2, "unexpected"),
    "x; dkim/z=pass": (8, "a version"),
}


@pytest.mark.parametrize("text, wanted", BAD.items(), ids=BAD)
def test_errors_point(text: str, wanted: tuple[int, str]) -> None:
    if text == "x":  # RFC 8601 2.2 wants results; RFC 8617 chains come without
        assert AuthenticationResults.parse(text).results == ()
        return
    with pytest.raises(AuthResultsSyntaxError, match=wanted[1]) as caught:
        AuthenticationResults.parse(text)
    assert caught.value.at == wanted[0]


def test_write() -> None:
    text = AuthenticationResults(
        "mx.example",
        (
            result("dkim", "pass", ("header", "d", "a.example"), ("header", "b", "a/b=c"), comment="ok (really)"),
            result("spf", "fail", ("smtp", "mailfrom", "a b@c"), reason='say "no"'),
        ),
    ).field()
    assert text == (
        b"Authentication-Results: mx.example;\r\n"
        b"\tdkim=pass (ok 'really') header.d=a.example header.b=\"a/b=c\";\r\n"
        b'\tspf=fail reason="say \'no\'" smtp.mailfrom="a b@c"\r\n'
    )
    assert AuthenticationResults("x").field() == b"Authentication-Results: x;\r\n\tnone\r\n"


HOSTILE = st.text('ab\r\n\t;=()"\\ @.é\0', max_size=40)
RESULT = st.builds(
    MethodResult,
    HOSTILE,
    HOSTILE,
    HOSTILE,
    st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), max_size=3).map(tuple),
    HOSTILE,
)


@given(HOSTILE, st.lists(RESULT, max_size=3).map(tuple))
def test_one_field_whatever_the_values_hold(authserv_id: str, results: tuple[MethodResult, ...]) -> None:
    field = AuthenticationResults(authserv_id, results).field()
    fields = Fields.parse(field + b"\r\nbody")
    assert fields.names == ["authentication-results"]
    assert not fields.defects
    assert all(
        len(line.expandtabs(1)) <= LINE or b" " not in line.strip() or b'"' in line or b"(" in line
        for line in field.split(b"\r\n")
    )


def test_find_and_value() -> None:
    found = AuthenticationResults.parse("x; dkim=pass header.d=y; dkim=fail; spf=none")
    assert [one.result for one in found.find("dkim")] == ["pass", "fail"]
    assert found.results[0].value("header", "d") == "y"
    assert found.results[0].value("header", "s") == ""


def test_who_claims_to_be_us() -> None:
    fields = Fields.parse(
        b"Authentication-Results: MX.us.example; none\r\nAuthentication-Results: other.example; none\r\n"
        b"Authentication-Results: broken mx.us.example (\r\nAuthentication-Results: x (mx.us.example); none\r\n\r\n"
    )
    assert [field.start for field in claiming(fields, "mx.us.example")] == [fields[0].start, fields[2].start]


@given(st.text('ab;=()"\\ ./1\t@é', max_size=40))
def test_any_text(text: str) -> None:
    try:
        AuthenticationResults.parse(text)
    except AuthResultsSyntaxError as error:
        caught = error
    else:
        return
    assert 0 <= caught.at <= len(text)


@pytest.mark.parametrize("piece", [" ", "(", ";", "(a)", '"', "a", "a=", "; a=b", " a.b=c", "\\", "/1"])
def test_linear(piece: str) -> None:
    start = time.process_time()
    for head in ("x;", "x; a=b ", ""):
        try:
            AuthenticationResults.parse(head + piece * (200_000 // len(piece)))
        except AuthResultsSyntaxError:
            pass
    assert time.process_time() - start < 20


def test_bounded() -> None:
    with pytest.raises(AuthResultsSyntaxError, match="too many"):
        AuthenticationResults.parse("x" + "; a=b" * (MAX_RESULTS + 1))
