"""TLSA records: which count, digest agility, their text.  RFC 6698 2, RFC 7671 9, RFC 7672 3.1."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.certificates import make
from mox_dane import (
    Matching,
    Selector,
    TlsaSyntaxError,
    Usage,
    parse_tlsa,
    selected,
    tlsa_name,
    why_unusable,
    zone_line,
)
from mox_dane.testing.texts import records
from mox_dane.tlsa import association
from mox_dns import Tlsa

LEAF = make("leaf", names=["mx.a.example"])
D32, D64 = b"a" * 32, b"b" * 64

# RFC 7672 3.1.3 for PKIX-TA and PKIX-EE; RFC 6698 2.1.1 to 2.1.3 say which numbers there are.
UNUSABLE = {
    "PKIX-TA": (Tlsa(0, 1, 1, D32), "7672 3.1.3"),
    "PKIX-EE": (Tlsa(1, 1, 1, D32), "7672 3.1.3"),
    "private usage": (Tlsa(255, 1, 1, D32), "usage 255"),
    "usage to come": (Tlsa(4, 1, 1, D32), "usage 4"),
    "selector": (Tlsa(3, 2, 1, D32), "selector 2"),
    "matching": (Tlsa(3, 1, 3, D32), "matching type 3"),
    "short digest": (Tlsa(3, 1, 1, D32[1:]), "31 octets"),
    "the other digest's size": (Tlsa(3, 1, 2, D32), "32 octets"),
    "no data": (Tlsa(3, 1, 1, b""), "0 octets"),
    "no certificate": (Tlsa(3, 0, 0, D32), "no certificate or key"),
    "a key where a certificate should be": (Tlsa(3, 0, 0, LEAF.spki), "no certificate or key"),
    "a certificate where a key should be": (Tlsa(3, 1, 0, LEAF.der), "no certificate or key"),
    "a certificate with octets behind": (Tlsa(2, 0, 0, LEAF.der + b"\0"), "no certificate or key"),
}


@pytest.mark.parametrize("record, why", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable(record: Tlsa, why: str) -> None:
    assert why in why_unusable(record)
    assert selected([record]) == ()


KINDS = {
    "whole certificate": (0, 0, LEAF.der),
    "whole key": (1, 0, LEAF.spki),
    "certificate, SHA-256": (0, 1, D32),
    "key, SHA-256": (1, 1, D32),
    "certificate, SHA-512": (0, 2, D64),
    "key, SHA-512": (1, 2, D64),
}


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize("selector, matching, data", KINDS.values(), ids=KINDS)
def test_usable(usage: int, selector: int, matching: int, data: bytes) -> None:
    record = Tlsa(usage, selector, matching, data)
    assert why_unusable(record) == ""
    assert selected([record, record]) == (record,)


AGILITY = {
    "the stronger digest alone": (["3 1 1 A", "3 1 2 B"], ["3 1 2 B"]),
    "several of the stronger": (["3 1 1 A", "3 1 2 B", "3 1 2 C"], ["3 1 2 B", "3 1 2 C"]),
    "for each selector": (["3 0 1 A", "3 1 2 B"], ["3 0 1 A", "3 1 2 B"]),
    "for each usage": (["2 1 1 A", "3 1 2 B"], ["2 1 1 A", "3 1 2 B"]),
    "whole keys always": (["3 1 0 K", "3 1 1 A", "3 1 2 B"], ["3 1 0 K", "3 1 2 B"]),
    "an unusable one is not stronger": (["3 1 1 A", "3 1 2 bad"], ["3 1 1 A"]),
    "an unknown one is not stronger": (["3 1 1 A", "3 1 3 B"], ["3 1 1 A"]),
    "PKIX beside DANE": (["1 1 2 B", "3 1 1 A"], ["3 1 1 A"]),
}
DATA = {"K": LEAF.spki, "bad": b"b"}


def of(text: str) -> Tlsa:
    usage, selector, matching, name = text.split()
    data = DATA.get(name) or (name * (32 if matching == "1" else 64)).encode()
    return Tlsa(int(usage), int(selector), int(matching), data)


@pytest.mark.parametrize("given_, want", AGILITY.values(), ids=AGILITY)
def test_digest_agility(given_: list[str], want: list[str]) -> None:
    assert selected(map(of, given_)) == tuple(map(of, want))
    assert set(selected(map(of, reversed(given_)))) == set(map(of, want))


@given(st.lists(records(), max_size=8))
def test_selected_are_some_of_those_given(found: list[Tlsa]) -> None:
    chosen = selected(found)
    assert set(chosen) <= {record for record in found if not why_unusable(record)}
    assert bool(chosen) == any(not why_unusable(record) for record in found)


def test_association() -> None:
    assert association(LEAF.der, Selector.CERT, Matching.FULL) == LEAF.der
    assert association(LEAF.der, Selector.SPKI, Matching.FULL) == LEAF.spki
    assert association(LEAF.der, Selector.SPKI, Matching.SHA2_256) == hashlib.sha256(LEAF.spki).digest()
    assert association(LEAF.der, Selector.CERT, Matching.SHA2_512) == hashlib.sha512(LEAF.der).digest()
    assert association(b"nothing", Selector.SPKI, Matching.FULL) is None


def test_names_and_lines() -> None:
    """RFC 6698 3."""
    assert tlsa_name("mx.a.example") == "_25._tcp.mx.a.example"
    assert zone_line(Tlsa(3, 1, 1, b"\x01"), "mx.a.example", 465) == "_465._tcp.mx.a.example. IN TLSA 3 1 1 01"


# RFC 6698 2.2, and the names of RFC 7218.
GOOD = {
    "numbers": ("3 1 1 0a0B", Tlsa(3, 1, 1, b"\x0a\x0b")),
    "names": ("DANE-TA cert SHA2-512 00", Tlsa(2, 0, 2, b"\0")),
    "white space": ("  3\t1  1 0a 0\t0 ", Tlsa(3, 1, 1, b"\x0a\0")),
    "private": ("PrivCert PrivSel PrivMatch 00", Tlsa(255, 255, 255, b"\0")),
}
BAD = {
    "nothing": ("", 0, "a number or a name"),
    "two numbers": ("3 1 ", 4, "a number or a name"),
    "no data": ("3 1 1", 5, "white space"),
    "no data but white space": ("3 1 1 ", 6, "even number"),
    "half an octet": ("3 1 1 abc", 6, "even number"),
    "no hexadecimal": ("3 1 1 0g", 7, "unexpected text"),
    "no such name": ("3 key 1 00", 2, "no such name"),
    "too large": ("256 1 1 00", 0, "0 to 255"),
    "together": ("311 00", 0, "0 to 255"),
    "a zone line": ("a.example. IN TLSA 3 1 1 00", 0, "a number or a name"),
}


@pytest.mark.parametrize("text, record", GOOD.values(), ids=GOOD)
def test_good_texts(text: str, record: Tlsa) -> None:
    assert parse_tlsa(text) == record
    assert parse_tlsa(str(record)) == record


@pytest.mark.parametrize("text, at, why", BAD.values(), ids=BAD)
def test_bad_texts(text: str, at: int, why: str) -> None:
    with pytest.raises(TlsaSyntaxError) as caught:
        parse_tlsa(text)
    assert (caught.value.at, why in caught.value.why) == (at, True)


def test_the_numbers() -> None:
    assert [usage.value for usage in Usage] == [0, 1, 2, 3]
