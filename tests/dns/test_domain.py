"""Names and address literals, and Unicode's own cases for IDNA (UTS 46)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.suites import counted, suite
from mox_dns import Domain, DomainSyntaxError, IpLiteral

GOOD = {
    "lower case": ("Mail.Example.ORG", "mail.example.org"),
    "a final dot": ("a.example.", "a.example"),
    "a top-level name": ("example", "example"),
    "underscores": ("_dmarc.a_b.example", "_dmarc.a_b.example"),
    "U-form": ("Bücher.example", "xn--bcher-kva.example"),
    "U-form below a service": ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),
    "A-form": ("XN--bcher-kva.example", "xn--bcher-kva.example"),
    "sharp s is a letter, UTS 46 non-transitional": ("faß.de", "xn--fa-hia.de"),
    "an ideographic full stop": ("a。example", "a.example"),
    "an ideographic final dot": ("a.example。", "a.example"),
    "full width": ("ＥＸＡＭＰＬＥ", "example"),
    "hyphens third and fourth, as content servers have them": ("r3---sn-x.example", "r3---sn-x.example"),
    "digits": ("4.3.2.1", "4.3.2.1"),
    "the longest label": ("a" * 63 + ".example", "a" * 63 + ".example"),
    "the longest name": (".".join(["a" * 49] * 5) + ".abc", ".".join(["a" * 49] * 5) + ".abc"),
}


@pytest.mark.parametrize("text, name", GOOD.values(), ids=GOOD.keys())
def test_good(text: str, name: str) -> None:
    assert Domain.parse(text).ascii == name


BAD = {
    "nothing": "",
    "the root": ".",
    "an empty label": "a..example",
    "a dot first": ".example",
    "two final dots": "a.example..",
    "a space": "a b.example",
    "a control character": "a\0.example",
    "a line end": "a.example\n",
    "a hyphen first": "-a.example",
    "a hyphen last": "a-.example",
    "a label too long": "a" * 64 + ".example",
    "a name too long": ".".join(["a" * 49] * 5) + ".abcde",
    "a name far too long": "a." * 100_000,
    "a name far too long, in U-form": "ä" * 100_000,
    "a literal": "[192.0.2.1]",
    "an address": "a@b.example",
    "a slash": "a/b.example",
    "no such A-label": "xn--a.example",
    "an A-label of ASCII": "xn--abc-.example",
    "a symbol": "☃.example",
    "right to left beside a digit first, RFC 5893 2": "0a.א",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_bad(text: str) -> None:
    with pytest.raises(DomainSyntaxError) as caught:
        Domain.parse(text)
    error = caught.value
    assert error.text == text
    assert 0 <= error.at <= len(text)
    assert error.why
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "text, at", [("a..b", 2), ("À.\0", 2), ("ä。-b.c", 2), ("a.xn--0.b", 2), ("ok.b c", 3), ("é" * 300, 253), ("", 0)]
)
def test_the_place_is_in_the_text_as_written(text: str, at: int) -> None:
    with pytest.raises(DomainSyntaxError) as caught:
        Domain.parse(text)
    assert caught.value.at == at


def test_the_parts() -> None:
    name = Domain.parse("a.bücher.example")
    assert name.labels == ("a", "xn--bcher-kva", "example")
    assert name.unicode == "a.bücher.example"
    assert str(name) == "a.xn--bcher-kva.example"
    parent = name.parent()
    assert parent is not None
    assert parent.ascii == "xn--bcher-kva.example"
    assert Domain.parse("example").parent() is None
    assert parent.under("_dmarc") == "_dmarc.xn--bcher-kva.example"
    assert name.within(parent)
    assert name.within(name)
    assert not parent.within(name)
    assert not Domain.parse("nota.example").within(Domain.parse("a.example"))


LITERALS = {"[192.0.2.1]": IPv4Address("192.0.2.1"), "[IPv6:2001:db8::1]": IPv6Address("2001:db8::1")}


@pytest.mark.parametrize("text, address", LITERALS.items())
def test_literals(text: str, address: object) -> None:
    """RFC 5321 4.1.3."""
    literal = IpLiteral.parse(text)
    assert literal.address == address
    assert str(literal) == text
    assert IpLiteral.parse(text.lower()) == literal


@pytest.mark.parametrize(
    "text",
    ["", "[]", "192.0.2.1", "[192.0.2.1", "[192.0.2.256]", "[2001:db8::1]", "[IPv6:]", "[IPv6:fe80::1%1]", "[" * 90],
)
def test_no_literals(text: str) -> None:
    with pytest.raises(DomainSyntaxError):
        IpLiteral.parse(text)


@given(st.text(st.characters(exclude_categories=[]), max_size=80) | st.text("abAB.-_xn0ßäא。", max_size=40))
def test_any_text(text: str) -> None:
    try:
        name = Domain.parse(text)
    except DomainSyntaxError:
        return
    assert Domain.parse(name.ascii) == name
    assert Domain.parse(name.unicode) == name


# What Unicode's cases want and we do not do, or the other way round.
REFUSED = "IDNA 2008 does not have this character (NV8 of UTS 46: symbols, punctuation and the like)"
HYPHENS = "V2: hyphens third and fourth; names of hosts have them, and RFC 5891 4.2.3.1 speaks of U-labels"
NEWER = "P1 V6: a later version of Unicode has mapped these characters"


def idna_cases() -> Iterator[tuple[str, str, set[str]]]:
    """Source, its A-form (non-transitional), and the errors that it must raise."""
    for line in (suite("idna") / "IdnaTestV2.txt").read_text(encoding="utf-8").splitlines():
        columns = [_unescaped(column.strip()) for column in line.partition("#")[0].split(";")]
        if len(columns) < 7:
            continue
        source = columns[0]
        unicode = columns[1] or source
        status = columns[4] or columns[2]
        yield source, (columns[3] or unicode).lower().removesuffix("."), set(re.findall(r"\w+", status))


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})|\\x\{([0-9A-Fa-f]+)\}", lambda found: chr(int(found[1] or found[2], 16)), text)


def _parsed(text: str) -> str | DomainSyntaxError:
    try:
        return Domain.parse(text).ascii
    except DomainSyntaxError as error:
        return error


def _judged(source: str, wanted: str, errors: set[str]) -> str:
    found = _parsed(source)
    if isinstance(found, str):
        if not errors:
            return "ok" if found == wanted else f"WRONG: {source!r} became {found}, not {wanted}"
        if errors == {"V2"}:
            return HYPHENS
        return NEWER if errors == {"P1", "V6"} else f"WRONG: {source!r} was taken in spite of {errors}"
    if errors:
        return "ok"
    return REFUSED if "not allowed" in found.why else f"WRONG: {source!r} was refused: {found.why}"


def test_unicode_cases() -> None:
    """RFC 5891 5, with the mapping of UTS 46."""
    counts = Counter(_judged(*case) for case in idna_cases())
    counted("idna", counts["ok"], counts[REFUSED] + counts[HYPHENS] + counts[NEWER])
    assert [what for what in counts if what.startswith("WRONG")] == []
    assert counts["ok"] > 6000
    # The tables of the idna package move with Unicode; the orders of magnitude do not.
    assert counts[REFUSED] < 100
    assert counts[HYPHENS] + counts[NEWER] < 60
