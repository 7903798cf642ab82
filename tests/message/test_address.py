from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import Domain, IpLiteral
from mox_message import Address, AddressSyntaxError, Path

GOOD = {
    "a@b.example": ("a", "b.example"),
    '"a b"@b.example': ("a b", "b.example"),
    r'"a\"b\\"@b.example': ('a"b\\', "b.example"),
    '"a"@b.example': ("a", "b.example"),
    "a@[192.0.2.1]": ("a", "[192.0.2.1]"),
    "a@[IPv6:2001:db8::1]": ("a", "[IPv6:2001:db8::1]"),
    "zoë@münchen.example": ("zoë", "xn--mnchen-3ya.example"),
    "A@B.EXAMPLE": ("A", "b.example"),
    '""@b.example': ("", "b.example"),
}


@pytest.mark.parametrize("text, wanted", GOOD.items(), ids=GOOD)
def test_parse(text: str, wanted: tuple[str, str]) -> None:
    address = Address.parse(text)
    assert (address.localpart, str(address.domain)) == wanted
    assert Address.parse(str(address)) == address
    assert Address.parse(address.unicode) == address


BAD = {
    "": (0, "@ is missing"),
    "a": (1, "@ is missing"),
    "a.@b.example": (0, "a localpart"),
    "a b@b.example": (0, "a localpart"),
    "@b.example": (0, "a localpart"),
    "a@": (2, "empty"),
    "a@b.example.": (11, "does not end with a dot"),
    "a@b_c.example": (3, "underscore"),
    "a@-b.example": (2, "hyphen"),
    '"a@b.example': (0, "does not end"),
    '"a"b@c.example': (3, "@ is missing"),
    "a@[1.2.3]": (3, "Expected 4 octets"),
    "a@[IPv6:1:2:3:4:5:6::7]": (19, "two groups"),
    "x" * 65 + "@b.example": (64, "at most 64 octets"),
    "é" * 33 + "@b.example": (64, "at most 64 octets"),
    "x" * 60 + "@" + "y" * 60 + "." + "z" * 60 + "." + "y" * 60 + "." + "z" * 20: (254, "at most 254 octets"),
    "a\udce4@b.example": (1, "not UTF-8"),
    "a\x85@b.example": (0, "a localpart"),
}


@pytest.mark.parametrize("text, wanted", BAD.items(), ids=[ascii(text)[:40] for text in BAD])
def test_no_address(text: str, wanted: tuple[int, str]) -> None:
    with pytest.raises(AddressSyntaxError, match=wanted[1]) as caught:
        Address.parse(text)
    assert (caught.value.at, caught.value.text) == (wanted[0], text)
    assert str(caught.value).endswith(f"at character {wanted[0] + 1}")


def test_lax() -> None:
    assert Address.parse("a..b.@c.example", strict=False).localpart == "a..b."
    assert str(Address.parse("a..b.@c.example", strict=False)) == '"a..b."@c.example'
    assert len(Address.parse("x" * 128 + "@c.example", strict=False).localpart) == 128
    with pytest.raises(AddressSyntaxError, match="at most 128"):
        Address.parse("x" * 129 + "@c.example", strict=False)


def test_forms() -> None:
    address = Address("zoë", Domain.parse("münchen.example"))
    assert (address.ascii, address.unicode, str(address)) == (
        False,
        "zoë@münchen.example",
        "zoë@xn--mnchen-3ya.example",
    )
    assert Address("a", IpLiteral.parse("[192.0.2.1]")).unicode == "a@[192.0.2.1]"
    assert Address.parse("a@münchen.example").ascii


def test_paths() -> None:
    assert str(Path.parse("<a@b.example>")) == "a@b.example"
    assert str(Path.parse("<@x.example,@y.example:a@b.example>")) == "a@b.example"
    null = Path.parse("<>", null=True)
    assert (null.null, str(null)) == (True, "")
    postmaster = Path.parse("<PostMaster>", postmaster=True)
    assert (postmaster.null, postmaster.postmaster, str(postmaster)) == (False, True, "postmaster")


NO_PATHS = {
    "a@b.example": (0, "angle brackets"),
    "<>": (1, "empty path"),
    "<postmaster>": (11, "@ is missing"),
    "<@x.example a@b.example>": (1, "source route"),
    "<@x..example:a@b.example>": (1, "source route"),
    "<a@b.example.>": (12, "end with a dot"),
    "<" + "a" * 300 + "@b.example>": (312, "at most 256 octets"),
    "<é@" + "b" * 300 + ">": (304, "at most 256 octets"),
}


@pytest.mark.parametrize("text, wanted", NO_PATHS.items(), ids=[text[:30] for text in NO_PATHS])
def test_no_path(text: str, wanted: tuple[int, str]) -> None:
    with pytest.raises(AddressSyntaxError, match=wanted[1]) as caught:
        Path.parse(text)
    assert caught.value.at == wanted[0]


@given(st.text('ab@.<>"\\[]:é\udce4 ,-_1x\x80', max_size=20), st.booleans())
def test_any_text(text: str, strict: bool) -> None:
    for read in (Address.parse, Path.parse):
        try:
            found = read(text, strict=strict)
        except AddressSyntaxError as error:
            caught = error
        else:
            again = str(found) if read is Address.parse else f"<{found}>"
            assert read(again, strict=strict) == found
            continue
        assert 0 <= caught.at <= len(text)
