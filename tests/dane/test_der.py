"""The key in a certificate, octet for octet: RFC 5280 4.1, RFC 6698 2.1.2."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from kit.certificates import make
from mox_dane.der import DerError, element, is_certificate, is_key, subject_public_key_info

KEYS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "a long RSA": rsa.generate_private_key(3, 4096),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "brainpool": ec.generate_private_key(ec.BrainpoolP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "DSA": dsa.generate_private_key(2048),
}
LEAF = make("leaf")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_key_as_it_stands_there(key: object) -> None:
    made = make("leaf", key=key)
    assert subject_public_key_info(made.der) == made.spki
    assert is_certificate(made.der)
    assert is_key(made.spki)
    assert not is_key(made.der)
    assert not is_certificate(made.spki)


BAD = {
    "nothing": b"",
    "one octet": b"\x30",
    "cut off": LEAF.der[:-1],
    "octets behind": LEAF.der + b"\0",
    "length without end": b"\x30\x80" + LEAF.der,
    "length of nine octets": b"\x30\x89" + b"\0" * 9,
    "a length too long": b"\x30\x84\xff\xff\xff\xff",
    "no sequence": b"\x02\x01\x00",
    "an empty one": b"\x30\x02\x30\x00",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad(data: bytes) -> None:
    with pytest.raises(DerError):
        subject_public_key_info(data)
    assert not is_certificate(data)
    assert not is_key(data)


@given(
    st.one_of(
        st.binary(max_size=200), st.integers(0, len(LEAF.der)).map(lambda at: LEAF.der[:at] + b"\x30" + LEAF.der[at:])
    )
)
def test_only_the_declared_error(data: bytes) -> None:
    is_key(data)
    try:
        assert subject_public_key_info(data) in data
    except DerError:
        pass


def test_element() -> None:
    assert element(b"\x04\x81\x01x", 0, 4) == (4, 3, 4)
