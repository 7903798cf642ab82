"""Keys in and out, and which are refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mox_dkim import KeyType, PrivateKey, UnusableKey, generate, load_key
from mox_dkim.key import private_key, public_key
from mox_dkim.testing.signing import key

DIGEST = hashlib.sha256(b"text").digest()
BOTH = [KeyType.RSA, KeyType.ED25519]


# RFC 6376 3.3, RFC 8463 3
@pytest.mark.parametrize("type", BOTH)
def test_sign_and_verify(type: KeyType) -> None:
    signature = key(type).sign(DIGEST)
    public = key(type).public()
    assert public.verifies(signature, DIGEST)
    assert not public.verifies(signature, hashlib.sha256(b"other").digest())
    assert not public.verifies(signature[:-1], DIGEST)
    assert not public.verifies(b"", DIGEST)


@pytest.mark.parametrize("type", BOTH)
def test_pem_there_and_back(type: KeyType) -> None:
    again = load_key(key(type).pem())
    assert again.public() == key(type).public()
    assert load_key(key(type).pem().decode()).bits == key(type).bits


def test_pkcs1_and_encrypted_pem() -> None:
    made = rsa.generate_private_key(65537, 1024)
    old = made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert load_key(old).bits == 1024
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

    locked = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert load_key(locked, b"secret").bits == 1024
    for password in (None, b"wrong"):
        with pytest.raises(UnusableKey, match="PEM"):
            load_key(locked, password)


# RFC 8463 4
def test_an_ed25519_seed() -> None:
    # RFC 8463 A.1: the key of the example
    loaded = load_key("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=\n")
    assert base64.b64encode(loaded.public().data) == b"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    assert load_key(bytes(range(32))).type is KeyType.ED25519


@pytest.mark.parametrize("text", ["", "?", "YWFh", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"])
def test_no_key(text: str) -> None:
    with pytest.raises(UnusableKey):
        load_key(text)


@pytest.mark.parametrize("type", BOTH)
def test_damaged_pem(type: KeyType) -> None:
    """Any octet of it: it is refused with the declared error, or it is a key."""
    data = base64.b64decode(b"".join(key(type).pem().splitlines()[1:-1]))
    refused = 0
    for at in range(min(len(data), 60)):  # where kinds and lengths are
        for turned in (1, 2, 0x80):
            bad = bytearray(data)
            bad[at] ^= turned
            lines = base64.encodebytes(bad)
            try:
                load_key(b"-----BEGIN PRIVATE KEY-----\n" + lines + b"-----END PRIVATE KEY-----\n")
            except UnusableKey:
                refused += 1
    assert refused > 30


def test_keys_of_other_kinds_and_too_short_ones() -> None:
    with pytest.raises(UnusableKey, match="not with"):
        private_key(ec.generate_private_key(ec.SECP256R1()))
    other = dsa.generate_private_key(1024).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(UnusableKey, match="another kind"):
        public_key(KeyType.RSA, other)
    with pytest.raises(UnusableKey, match="1024"):
        generate(KeyType.RSA, 512)


# RFC 6376 3.6.1
def test_bare_rsa_public_key_is_understood_3_6_1() -> None:
    made = key(KeyType.RSA)
    bare = made._key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert public_key(KeyType.RSA, bare).verifies(made.sign(DIGEST), DIGEST)


def test_a_key_shows_nothing_of_itself() -> None:
    assert repr(key()) == "PrivateKey(type=<KeyType.ED25519: 'ed25519'>, bits=256)"
    assert isinstance(private_key(Ed25519PrivateKey.generate()), PrivateKey)
