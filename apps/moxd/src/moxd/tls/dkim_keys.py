"""DKIM keys on disk: made once, readable by nobody else."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

RSA_BITS = 2048

_TRIAL = b"does this key sign?"

DkimKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class KeyFileError(Exception):
    """A key file cannot be used; the message says which and why."""


def load(path: Path) -> DkimKey:
    """The private key of a PEM file (PKCS#8 or PKCS#1).  Raises KeyFileError."""
    try:
        # The usual checks of an RSA key take 50 ms, for every selector at every start; a signature tells as much here.
        key = serialization.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError) as error:
        raise KeyFileError(f"{path} is not an unencrypted private key in PEM form: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise KeyFileError(f"{path} is neither an RSA nor an Ed25519 key")
    if isinstance(key, rsa.RSAPrivateKey) and not _signs(key):
        raise KeyFileError(f"{path} is damaged: what it signs does not verify; make a new one, and its DNS record")
    return key


def _signs(key: rsa.RSAPrivateKey) -> bool:
    """Does the public half agree with what the private half signs?"""
    try:
        signature = key.sign(_TRIAL, padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, _TRIAL, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def ensure(path: Path) -> DkimKey:
    """The key at `path`, made when it is not there.  Raises KeyFileError, OSError."""
    if path.exists():
        return load(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = rsa.generate_private_key(65537, RSA_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return key
