"""DKIM keys on disk."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moxd.tls.dkim_keys import KeyFileError, ensure, load


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "first.pem"
    made = ensure(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load(path).public_key() == ensure(path).public_key() == made.public_key()


def test_both_kinds(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    for one in (key, ed25519.Ed25519PrivateKey.generate()):
        (tmp_path / "key.pem").write_bytes(pem(one))
        assert load(tmp_path / "key.pem").public_key() == one.public_key()


@given(at=st.integers(0, 1_200), turned=st.integers(1, 255))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_key(tmp_path: Path, key: rsa.RSAPrivateKey, at: int, turned: int) -> None:
    """It is refused, or signs all the same: some of its numbers are only there for speed."""
    data = bytearray(base64.b64decode(b"".join(pem(key).splitlines()[1:-1])))
    data[at % len(data)] ^= turned
    lines = base64.encodebytes(data)
    (tmp_path / "key.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + lines + b"-----END PRIVATE KEY-----\n")
    with suppress(KeyFileError):
        used = load(tmp_path / "key.pem")
        if isinstance(used, rsa.RSAPrivateKey):
            signature = used.sign(b"text", padding.PKCS1v15(), hashes.SHA256())
            used.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_what_it_signs_does_not_verify(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    numbers = key.private_numbers()
    bad = rsa.RSAPrivateNumbers(
        p=numbers.p, q=numbers.q, d=numbers.d ^ 2, dmp1=numbers.dmp1 ^ 2, dmq1=numbers.dmq1 ^ 2, iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)  # fmt: skip
    (tmp_path / "key.pem").write_bytes(pem(bad))
    with pytest.raises(KeyFileError, match=r"key\.pem is damaged: what it signs does not verify"):
        load(tmp_path / "key.pem")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "cannot be read"),
        (b"", "not an unencrypted private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
    ],
    ids=["none", "empty", "another kind"],
)
def test_what_is_no_key(tmp_path: Path, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / "key.pem").write_bytes(data)
    with pytest.raises(KeyFileError, match=said):
        load(tmp_path / "key.pem")
