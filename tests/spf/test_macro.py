"""Macros, RFC 7208 7."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_spf.macro import (
    MAX_NAME,
    MAX_TEXT,
    Macro,
    MacroString,
    MacroSyntaxError,
    Values,
    askable,
    fitted,
    parse,
    parse_domain,
)

VALUES = Values(
    ip_address("192.0.2.3"),
    "strong-bad@email.example.com",
    "mx.example.org",
    "email.example.com",
    "recv.example",
    1234.5,
)
V6 = Values(ip_address("2001:db8::cb01"), "strong-bad@email.example.com", "", "email.example.com")

# RFC 7208 7.4, as numbers and names go.
EXPANDED = {
    "%{s}": "strong-bad@email.example.com",
    "%{o}": "email.example.com",
    "%{d}": "email.example.com",
    "%{d4}": "email.example.com",
    "%{d3}": "email.example.com",
    "%{d2}": "example.com",
    "%{d1}": "com",
    "%{dr}": "com.example.email",
    "%{d2r}": "example.email",
    "%{l}": "strong-bad",
    "%{l-}": "strong.bad",
    "%{lr}": "strong-bad",
    "%{lr-}": "bad.strong",
    "%{l1r-}": "strong",
    "%{ir}.%{v}._spf.%{d2}": "3.2.0.192.in-addr._spf.example.com",
    "%{lr-}.lp._spf.%{d2}": "bad.strong.lp._spf.example.com",
    "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}": "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
    "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}": "3.2.0.192.in-addr.strong.lp._spf.example.com",
    "%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
    "%{h}": "mx.example.org",
    "%{p}": "unknown",
    "%{S}": "strong-bad%40email.example.com",
    "%{D002}": "example.com",
    "%{d99999999999999999999}": "email.example.com",
    "%{o.-}": "email.example.com",
    "a%%b%_c%-d": "a%b c%20d",
}


@pytest.mark.parametrize("text, expanded", EXPANDED.items())
def test_expanded(text: str, expanded: str) -> None:
    parsed = parse(text)
    assert parsed.expand(VALUES) == expanded
    assert parse(str(parsed)).expand(VALUES) == expanded


def test_explanations_know_more() -> None:
    """RFC 7208 7.2."""
    text = parse("%{c} at %{t} is none of %{R}", explanation=True)
    assert text.expand(VALUES) == "192.0.2.3 at 1234 is none of recv.example"
    assert text.letters == {"c", "t", "r"}
    assert parse("%{r}", explanation=True).expand(V6) == "unknown"


def test_ipv6_as_digits() -> None:
    assert parse("%{ir}.%{v}").expand(V6).lower() == "1.0.b.c." + "0." * 20 + "8.b.d.0.1.0.0.2.ip6"
    assert parse("%{c}", explanation=True).expand(V6) == "2001:db8::cb01"


BAD = {
    "%": 0,
    "a%": 1,
    "%{": 0,
    "%{}": 0,
    "%{d": 0,
    "%{x}": 2,
    "%{d0}": 3,
    "%{d000}": 3,
    "%{d;}": 0,
    "%{dr2}": 0,
    "%a": 0,
    "a b": 1,
    "a\x7fb": 1,
    "aäb": 1,
    "%{c}": 2,
    "%{R}": 2,
    "%{t}": 2,
}


@pytest.mark.parametrize("text, at", BAD.items())
def test_bad(text: str, at: int) -> None:
    with pytest.raises(MacroSyntaxError) as caught:
        parse(text)
    assert caught.value.at == at


DOMAINS = [
    "a.example",
    "a.example.",
    "%{d}",
    "a.%{d}",
    "a%%",
    "x.%-",
    "a/b.example",
    "1.2.3.4a",
    "a.b-1",
    "%{d}.com",
    "..com",
]
NOT_DOMAINS = ["", "example", "a.1", "a.-b", "a.b-", "%{d}com", "%{d}..", "a.b_c", ".", "a.example..", "%{d}.1"]


@pytest.mark.parametrize("text", DOMAINS)
def test_domains(text: str) -> None:
    parse_domain(text)
    parse_domain(f"x%{text} y", 2, 2 + len(text))


@pytest.mark.parametrize("text", NOT_DOMAINS)
def test_not_domains(text: str) -> None:
    with pytest.raises(MacroSyntaxError):
        parse_domain(text)


def test_a_name_too_long_loses_its_left_labels() -> None:
    """RFC 7208 7.3."""
    values = Values(VALUES.ip, "a" * 60 + "@b.example", "", ".".join(["c" * 49] * 5))
    name = parse_domain("%{l}.%{d}.example").name(values)
    assert name == ".".join(["c" * 49] * 4) + ".example"
    assert len(name) <= MAX_NAME
    assert parse_domain("a.example.").name(values) == "a.example"
    assert len(parse("%{s}" * 1000).expand(values)) <= MAX_TEXT
    assert parse_domain("y." * 200 + "example").name(values) == "y." * 123 + "example"
    assert parse_domain("%{d}." * 2000 + "x.example").name(values).endswith("c.x.example")
    assert fitted("x" * 300) == ""
    assert fitted("x" * 10 + "." + "y" * 253) == "y" * 253


@pytest.mark.parametrize(
    "text, name",
    {
        "a.example": "a.example",
        "A.Example.": "a.example",
        "_x y.example": "_x y.example",
        "a..example": "",
        "a.example..": "",
        ".a.example": "",
        ".": "",
        "": "",
        " ..": "",
        "x" * 63 + ".example": "x" * 63 + ".example",
        "x" * 64 + ".example": "",
        "a." * 126 + "a": "a." * 126 + "a",
        "a." * 127 + "a": "",
        "a\n.example": "",
        "ä.example": "",
    }.items(),
)
def test_askable(text: str, name: str) -> None:
    assert askable(text) == name


def test_senders_of_any_octets() -> None:
    """What a client says need be no UTF-8, nor short."""
    for local in ("\udcff", "\ud800", "x" * 10**6, "@" * 10**5):
        values = Values(VALUES.ip, f"{local}@b.example", local, "b.example")
        assert parse("%{S}%{H}%{L}").expand(values).isascii()
        assert len(parse("%{s}" * 5000).expand(values)) <= MAX_TEXT
        assert len(parse_domain("%{s}%{h}.b.example").name(values)) <= MAX_NAME
    assert parse("%{L}").expand(Values(VALUES.ip, "\udcff@b", "", "b")) == "%FF"


def test_constants_need_no_values() -> None:
    assert parse("a.example").constant == "a.example"
    assert parse("a%%b").constant == "a%b"
    assert parse("%{d}").constant is None
    assert parse("") == MacroString((), "")
    assert parse("%{D2r-}").parts == (Macro("d", 2, True, "-", True),)


@given(st.text("%{}sdilopr2 0-.+,/_=aZ\0é", max_size=30), st.booleans())
def test_any_text(text: str, explanation: bool) -> None:
    try:
        parsed = parse(text, explanation=explanation)
    except MacroSyntaxError as error:
        mistake = error
    else:
        assert parse(str(parsed), explanation=explanation).expand(VALUES) == parsed.expand(VALUES)
        assert parsed.expand(VALUES).isascii()
        return
    assert 0 <= mistake.at < len(text)
