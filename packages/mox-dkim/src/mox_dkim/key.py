"""Keys: load one, make one, sign with one, check a signature with one.

    SigningKey          what a Signer asks of a key: ours, or an object that keeps its secret elsewhere (HSM, agent)
    PrivateKey          a key in this process; `load_key` reads PEM, `generate` makes a new one
    PublicKey           what a key record holds; `public_key` reads its octets

The arithmetic is `cryptography`'s, imported when first needed: reading a signature or a record needs none of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

# RFC 8301 3.2: verifiers need to handle keys up to 4096 bits.  The owner of a key decides what checking it costs us,
# and that grows with the square of its size, so there is an end to it.
MAX_RSA_BITS = 8192


class UnusableKey(ValueError):
    """This is no key that DKIM can use; the text says why."""


class KeyType(StrEnum):
    """The k= of a key record and the first half of an algorithm's name."""

    RSA = "rsa"
    ED25519 = "ed25519"


class SigningKey(Protocol):
    """A key that signs: it gets the 32 octets of a SHA-256 digest and returns the signature.

    For `rsa` that is PKCS #1 v1.5 over the digest (RFC 6376 3.3.3), for `ed25519` PureEdDSA over the digest as its
    message (RFC 8463 3)."""

    @property
    def type(self) -> KeyType: ...

    def sign(self, digest: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in this process's memory; its text form shows nothing of it."""

    type: KeyType
    bits: int
    _key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, digest: bytes) -> bytes:
        """The signature of a SHA-256 digest."""
        if self.type is KeyType.RSA:
            padding, prehashed = _rsa_scheme("sha256")
            return _as_any(self._key).sign(digest, padding, prehashed)  # type: ignore[no-any-return]
        return _as_any(self._key).sign(digest)  # type: ignore[no-any-return]

    def pem(self) -> bytes:
        """PKCS #8, unencrypted: keep it where only the signer reads."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public(self) -> PublicKey:
        """The other half, for the key record."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        half = self._key.public_key()
        if self.type is KeyType.RSA:
            return public_key(self.type, half.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return public_key(self.type, half.public_bytes(Encoding.Raw, PublicFormat.Raw))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and its octets as a key record carries them (base64 apart)."""

    type: KeyType
    bits: int
    data: bytes
    _key: RSAPublicKey | Ed25519PublicKey = field(repr=False, compare=False)

    def verifies(self, signature: bytes, digest: bytes, hash_name: str = "sha256") -> bool:
        """Is `signature` this key's over `digest`, which is the output of `hash_name`?"""
        try:
            if self.type is KeyType.RSA:
                padding, prehashed = _rsa_scheme(hash_name)
                _as_any(self._key).verify(signature, digest, padding, prehashed)
            else:
                _as_any(self._key).verify(signature, digest)
        except _invalid_signature():
            return False
        return True


def load_key(source: bytes | str, password: bytes | None = None) -> PrivateKey:
    """A private key from PEM (PKCS #1, PKCS #8) or, for Ed25519, from the base64 or octets of its 32-octet seed.

    Raises UnusableKey."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = source.encode() if isinstance(source, str) else source
    if b"-----BEGIN" not in data:
        return _seed(data)
    try:
        key = load_pem_private_key(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        raise UnusableKey(f"not a private key in PEM: {error}") from None
    return private_key(key)


def private_key(key: object) -> PrivateKey:
    """A `cryptography` private key as ours.  Raises UnusableKey for any other kind than RSA and Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, RSAPrivateKey):
        # RFC 8301 3.2: signers MUST use keys of at least 1024 bits.
        if key.key_size < 1024:
            raise UnusableKey(f"an RSA key of {key.key_size} bits; verifiers refuse less than 1024")
        return PrivateKey(KeyType.RSA, key.key_size, key)
    if isinstance(key, Ed25519PrivateKey):
        return PrivateKey(KeyType.ED25519, 256, key)
    raise UnusableKey(f"DKIM signs with RSA and Ed25519, not with {type(key).__name__}")


def generate(type: KeyType = KeyType.RSA, bits: int = 2048) -> PrivateKey:
    """A new key from the system's random source; `bits` counts for RSA only."""
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    if type is KeyType.ED25519:
        return private_key(ed25519.Ed25519PrivateKey.generate())
    if not 1024 <= bits <= MAX_RSA_BITS:
        raise UnusableKey(f"RSA keys have 1024 to {MAX_RSA_BITS} bits here, not {bits}")
    return private_key(rsa.generate_private_key(65537, bits))


@lru_cache(maxsize=512)
def public_key(type: KeyType, data: bytes) -> PublicKey:
    """The key that the octets of a p= tag describe.  Raises UnusableKey.

    RSA keys come as SubjectPublicKeyInfo, which everybody publishes, or as the bare RSAPublicKey that the text of
    RFC 6376 3.6.1 asks for; Ed25519 keys are their 32 octets (RFC 8463 4)."""
    if type is KeyType.ED25519:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if len(data) != 32:
            raise UnusableKey(f"an Ed25519 key has 32 octets, not {len(data)}")
        return PublicKey(type, 256, data, Ed25519PublicKey.from_public_bytes(data))
    return _rsa_public_key(data)


def _rsa_public_key(data: bytes) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short keys are judged by the policy, not by a warning
            key = load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey("p= is no RSA key") from None
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("p= holds another kind of key than k=rsa says")
    if key.key_size > MAX_RSA_BITS:
        raise UnusableKey(f"an RSA key of {key.key_size} bits; at most {MAX_RSA_BITS} are checked")
    return PublicKey(KeyType.RSA, key.key_size, data, key)


def _seed(data: bytes) -> PrivateKey:
    import binascii

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = data
    if len(data) != 32:
        try:
            seed = binascii.a2b_base64(b"".join(data.split()), strict_mode=True)
        except binascii.Error:
            raise UnusableKey("neither PEM nor the base64 of an Ed25519 seed") from None
    if len(seed) != 32:
        raise UnusableKey(f"an Ed25519 seed has 32 octets, not {len(seed)}")
    return private_key(Ed25519PrivateKey.from_private_bytes(seed))


@cache
def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature


@cache
def _rsa_scheme(hash_name: str) -> tuple[Any, Any]:
    """PKCS #1 v1.5 over a digest that is computed already, RFC 6376 3.3.1 and 3.3.2."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    return PKCS1v15(), Prehashed(hashes.SHA1() if hash_name == "sha1" else hashes.SHA256())  # noqa: S303


def _as_any(key: object) -> Any:
    """The two kinds of key share the names of their methods but not their arguments."""
    return key
