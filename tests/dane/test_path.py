"""What a certificate may sign, and what is said where it may not."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from kit.certificates import make
from mox_dane import Selector, UnusableSource
from mox_dane import make as make_record
from mox_dane.path import MAX_PATHS, Certificate, paths

ROOT = make("Root", ca=True)
NOW = time.time()


def test_dates() -> None:
    leaf = Certificate(make("leaf", ROOT, days=(-2, 2)).der)
    assert leaf.why_not_now(NOW) == ""
    assert "expired" in leaf.why_not_now(NOW + 3 * 86400)
    assert "not valid before" in leaf.why_not_now(NOW - 3 * 86400)


def test_signatures_of_every_kind() -> None:
    for key in (None, rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
        root = make("Root", ca=True, key=key)
        leaf = Certificate(make("leaf", root).der)
        assert leaf.signed_by(Certificate(root.der))
        assert leaf.signed_with(root.spki)
        assert not leaf.signed_by(Certificate(ROOT.der))
        assert not leaf.signed_with(ROOT.spki)
        assert not leaf.signed_with(b"nothing")
        assert not leaf.signed_with(make("x", key=rsa.generate_private_key(65537, 2048)).spki)


def test_the_name_must_be_the_issuers() -> None:
    other = make("Another", ca=True, key=ROOT.key)
    assert not Certificate(make("leaf", ROOT).der).signed_by(Certificate(other.der))


# RFC 5280 4.2.1.10
CONSTRAINTS = {
    "below what is permitted": (["a.example"], None, ["mx.a.example"], True),
    "what is permitted": (["a.example"], None, ["a.example"], True),
    "with a dot in front": ([".a.example"], None, ["mx.a.example"], True),
    "not permitted": (["a.example"], None, ["mx.a.example", "mx.b.example"], False),
    "ends alike": (["a.example"], None, ["mx.ba.example"], False),
    "a star below what is permitted": (["a.example"], None, ["*.a.example"], True),
    "a star over what is permitted": (["mx.a.example"], None, ["*.a.example"], False),
    "excluded": (None, ["a.example"], ["mx.a.example"], False),
    "a star over what is excluded": (None, ["mx.a.example"], ["*.a.example"], False),
    "excluded elsewhere": (None, ["b.example"], ["*.a.example"], True),
    "all excluded": (None, [""], ["a.example"], False),
    "an address, unlimited": (["a.example"], None, ["a.example", "192.0.2.1"], True),
}


@pytest.mark.parametrize("permitted, excluded, names, want", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_name_constraints(
    permitted: list[str] | None, excluded: list[str] | None, names: list[str], want: bool
) -> None:  # fmt: skip
    trees = [None if part is None else [x509.DNSName(name) for name in part] for part in (permitted, excluded)]
    authority = make("CA", ROOT, ca=True, extensions=[(x509.NameConstraints(*trees), True)])
    leaf = Certificate(make("leaf", authority, names=names).der)
    assert (Certificate(authority.der).why_not_allowed(leaf) == "") is want


def test_constraints_of_other_kinds_are_refused_where_they_matter() -> None:
    from ipaddress import ip_network

    limits = x509.NameConstraints([x509.IPAddress(ip_network("192.0.2.0/24"))], None)
    authority = Certificate(make("CA", ROOT, ca=True, extensions=[(limits, True)]).der)
    assert authority.why_not_allowed(Certificate(make("leaf", ROOT, names=["a.example"]).der)) == ""
    assert "not checked" in authority.why_not_allowed(Certificate(make("leaf", ROOT, names=["192.0.2.1"]).der))


def test_ways_are_bounded() -> None:
    shared = make("Maze", ca=True)
    maze = [Certificate(make("Maze", shared, ca=True, key=shared.key).der) for _ in range(9)]
    leaf = Certificate(make("leaf", shared).der)
    looked: list[Certificate] = []

    def never(one: Certificate) -> bool:
        looked.append(one)
        return False

    assert list(paths([leaf, *maze], never)) == []
    assert len(looked) < MAX_PATHS


def of_version(number: int) -> bytes:
    """A certificate whose version is changed, and which is else whole."""
    at = ROOT.der.index(b"\xa0\x03\x02\x01\x02") + 4
    return ROOT.der[:at] + bytes([number]) + ROOT.der[at + 1 :]


@pytest.mark.parametrize("number", [1, 3, 255])
def test_a_version_that_is_none(number: int) -> None:
    odd = Certificate(of_version(number))
    with pytest.raises(ValueError):
        _ = odd.parsed
    assert not Certificate(make("leaf", ROOT).der).signed_by(odd)
    with pytest.raises(UnusableSource):
        make_record(odd.der, selector=Selector.CERT)


def test_no_certificate_at_all() -> None:
    odd = Certificate(b"\x30\x03\x02\x01\x00")
    assert not odd.signed_by(Certificate(ROOT.der))
    assert not Certificate(ROOT.der).signed_by(odd)
    with pytest.raises(ValueError):
        _ = odd.dns_names
    assert list(paths([odd, Certificate(ROOT.der)], lambda one: True)) == []
    assert list(paths([], lambda one: True)) == []
