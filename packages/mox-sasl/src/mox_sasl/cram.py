"""CRAM-MD5 (RFC 2195), for clients that know nothing newer: it hides the password on the wire, but whoever checks it
must keep the password itself, and MD5 is what it is.  Prefer SCRAM."""

from __future__ import annotations

import hashlib
import hmac
import re

from mox_sasl.secret import Secret

_RESPONSE = re.compile(rb"(.+) ([0-9a-f]{32})\Z", re.DOTALL)
MAX_RESPONSE = 4096


def challenge(nonce: str, hostname: str) -> bytes:
    """`<nonce@hostname>`: a message-id that was never there before."""
    return f"<{nonce}@{hostname}>".encode()


def digest(password: str, said: bytes) -> str:
    """What one who knows the password answers."""
    return hmac.digest(password.encode(), said, hashlib.md5).hex()


def response(name: str, password: str, said: bytes) -> bytes:
    """The client's answer to a challenge."""
    return f"{name} {digest(password, said)}".encode()


def read_response(data: bytes) -> tuple[str, str] | None:
    """Name and digest, or None where it is no answer."""
    match = _RESPONSE.match(data) if len(data) <= MAX_RESPONSE else None
    if match is None:
        return None
    try:
        return match[1].decode("utf-8"), match[2].decode("ascii")
    except UnicodeDecodeError:
        return None


def proves(password: Secret | None, substitute: str, said: bytes, proof: str) -> bool:
    """Does `proof` come from one who knows the password?  Without one, `substitute` is tried for the same time."""
    expected = digest(password.reveal() if password is not None else substitute, said)
    return hmac.compare_digest(expected, proof) and password is not None
