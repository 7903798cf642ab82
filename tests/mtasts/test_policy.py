"""MTA-STS policies, RFC 8461 3.2 and 4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import Domain
from mox_mtasts import MAX_MAX_AGE, Mode, Policy, PolicySyntaxError, of_patterns, policy_url

PLAIN = (
    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backup.example.com\nmax_age: 604800\n"
)

GOOD = {
    "as in RFC 8461 3.2": PLAIN,
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "mixed ends": PLAIN.replace("\n", "\r\n", 2),
    "no last line end": PLAIN.rstrip("\n"),
    "white space": PLAIN.replace(": ", ":\t ").replace("\n", " \t\n"),
    "no white space": PLAIN.replace(": ", ":"),
    "any order": "\n".join(reversed(PLAIN.splitlines())).replace(
        "mx: backup.example.com\nmx: *.example.net\nmx: mail.example.com",
        "mx: mail.example.com\nmx: *.example.net\nmx: backup.example.com",
    ),
    "blank lines": "\n" + PLAIN.replace("mode", "\r\n \t\nmode") + "\n\n",
    "second of a field": PLAIN + "mode: none\nmax_age: x\nversion: 2\n",
    "capitals in mx": PLAIN.replace("mail.", "MAIL."),
    "the same mx twice": PLAIN + "mx: mail.example.com\n",
}
BAD = {
    "nothing": ("", "no version"),
    "garbage": ("garbage", "name of a field"),
    "no version": (PLAIN.replace("version: STSv1\n", ""), "no version"),
    "another version": (PLAIN.replace("STSv1", "STSv2"), "version is not"),
    "no mode": (PLAIN.replace("mode: enforce\n", ""), "no mode"),
    "no such mode": (PLAIN.replace("enforce", "doubt"), "mode is enforce"),
    "mode in capitals": (PLAIN.replace("enforce", "Enforce"), "mode is enforce"),
    "no max_age": (PLAIN.replace("max_age: 604800\n", ""), "no max_age"),
    "max_age no number": (PLAIN.replace("604800", "xxx"), "max_age is"),
    "max_age below zero": (PLAIN.replace("604800", "-1"), "max_age is"),
    "max_age beyond a year": (PLAIN.replace("604800", str(MAX_MAX_AGE + 1)), "max_age is"),
    "max_age too long": (PLAIN.replace("604800", "0" * 9 + "60"), "max_age is"),
    "max_age in other digits": (PLAIN.replace("604800", "٣"), "max_age is"),
    "no mx": ("version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"),
    "no mx in testing": ("version: STSv1\nmode: testing\nmax_age: 1\n", "no mx"),
    "an empty mx": (PLAIN.replace("mx: mail.example.com", "mx:"), "a value"),
    "a star inside": (PLAIN.replace("*.example", "a.*.example"), "an mx is"),
    "part of a label": (PLAIN.replace("*.example", "a*.example"), "an mx is"),
    "a star alone": (PLAIN.replace("*.example.net", "*"), "an mx is"),
    "an address": (PLAIN.replace("mail.example.com", "[192.0.2.1]"), "an mx is"),
    "not in ASCII": (PLAIN.replace("mail", "bücher"), "an mx is"),
    "a final dot": (PLAIN.replace("mail.example.com", "mail.example.com."), "an mx is"),
    "two hosts in one": (PLAIN.replace("mail.example.com", "a.example, b.example"), "an mx is"),
    "field in capitals": (PLAIN.replace("mode", "Mode"), "no mode"),
    "a record": ("v=STSv1; id=1", "name of a field"),
    "white space in front": (PLAIN.replace("mode", " mode"), "name of a field"),
    "a control character": (PLAIN + "x: a\0b\n", "control"),
    "CR alone": (PLAIN.replace("\n", "\r"), "control"),
    "an empty extension": (PLAIN + "x: \n", "a value"),
    "byte order mark": ("\ufeff" + PLAIN, "name of a field"),
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_good(text: str) -> None:
    policy = Policy.parse(text)
    assert policy == Policy(
        Mode.ENFORCE, ("mail.example.com", "*.example.net", "backup.example.com"), 604800, policy.extensions
    )
    assert Policy.parse(str(policy)) == policy
    assert Policy.parse(text.encode()) == policy


@pytest.mark.parametrize("text, why", BAD.values(), ids=BAD)
def test_bad(text: str, why: str) -> None:
    with pytest.raises(PolicySyntaxError) as caught:
        Policy.parse(text)
    assert why in caught.value.why
    assert 0 <= caught.value.at <= len(text)


def test_not_utf8() -> None:
    with pytest.raises(PolicySyntaxError, match="not UTF-8"):
        Policy.parse(b"version: STSv1\nx: \xff")


def test_mode_none_needs_no_mx() -> None:
    assert Policy.parse("version: STSv1\nmode: none\nmax_age: 0").mx == ()


MATCHES = {
    "the same": ("mail.example.com", "mail.example.com", True),
    "in capitals, with a dot": ("mail.example.com", "MAIL.example.com.", True),
    "another": ("mail.example.com", "mx.example.com", False),
    "below": ("mail.example.com", "a.mail.example.com", False),
    "one label for the star": ("*.example.com", "mail.example.com", True),
    "two labels": ("*.example.com", "a.mail.example.com", False),
    "none": ("*.example.com", "example.com", False),
    "the end only": ("*.example.com", "badexample.com", False),
    "an empty label": ("*.example.com", ".example.com", False),
    "A-form": ("*.xn--bcher-kva.example", "mx.xn--bcher-kva.example", True),
}


@pytest.mark.parametrize("pattern, host, want", MATCHES.values(), ids=MATCHES)
def test_allows(pattern: str, host: str, want: bool) -> None:
    assert (Policy(Mode.ENFORCE, (pattern,), 1).allows(host) == pattern) is want


def test_allows_a_domain() -> None:
    assert Policy(Mode.TESTING, ("a.example", "*.example"), 1).allows(Domain("a.example")) == "a.example"


@pytest.mark.parametrize(
    "mode, mx, max_age",
    [
        (Mode.ENFORCE, (), 1),
        (Mode.ENFORCE, ("a b",), 1),
        (Mode.ENFORCE, ("A.example",), 1),
        (Mode.NONE, (), -1),
        (Mode.NONE, (), MAX_MAX_AGE + 1),
    ],
)
def test_only_what_can_be_served(mode: Mode, mx: tuple[str, ...], max_age: int) -> None:
    with pytest.raises(PolicySyntaxError):
        Policy(mode, mx, max_age)


def test_served() -> None:
    policy = of_patterns(Mode.ENFORCE, ["MX.Bücher.example", "*.bücher.example"], 86400)
    assert str(policy) == (
        "version: STSv1\r\nmode: enforce\r\nmx: mx.xn--bcher-kva.example\r\nmx: *.xn--bcher-kva.example\r\n"
        "max_age: 86400\r\n"
    )
    assert policy_url("a.example") == "https://mta-sts.a.example/.well-known/mta-sts.txt"


LINES = st.sampled_from([*PLAIN.splitlines(), "", " ", "x: y", "mx:", "mode:none", "\r", "é", "mx: *.", ":"])


def points(error: PolicySyntaxError, text: str) -> None:
    assert 0 <= error.at <= len(text)
    assert error.why in str(error)


@given(st.one_of(st.text(max_size=80), st.lists(LINES, max_size=12).map("\n".join)))
def test_only_the_declared_error(text: str) -> None:
    try:
        policy = Policy.parse(text)
    except PolicySyntaxError as error:
        points(error, text)
    else:
        assert Policy.parse(str(policy)) == policy


def test_linear() -> None:
    text = PLAIN + "mx: a.example\n" * 4000 + " \t" * 20000 + "x"
    with pytest.raises(PolicySyntaxError):
        Policy.parse(text)
