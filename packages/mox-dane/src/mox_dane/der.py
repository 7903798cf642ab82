"""Just enough DER to find the key in a certificate, octet for octet as RFC 6698 2.1.2 wants it.

To have a library read the key and write it again would not do: of some keys other octets come back, or none."""

from __future__ import annotations

_SEQUENCE = 0x30
_VERSION = 0xA0
# Of a length; no certificate needs more.
_MAX_LENGTH_OCTETS = 4


class DerError(ValueError):
    """These octets are no certificate, or no key."""


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, and where the value of the element at `at` begins and ends.  Raises DerError."""
    if end - at < 2:
        raise DerError("an element is cut off")
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= _MAX_LENGTH_OCTETS or end - at < count:
            raise DerError("a length makes no sense")
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    if end - at < length:
        raise DerError("an element is longer than what holds it")
    return tag, at, at + length


def _sequence(data: bytes, at: int, end: int) -> tuple[int, int]:
    tag, start, stop = element(data, at, end)
    if tag != _SEQUENCE:
        raise DerError("not a sequence")
    return start, stop


def subject_public_key_info(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, as it stands there (RFC 5280 4.1).  Raises DerError."""
    start, stop = _sequence(certificate, 0, len(certificate))
    if stop != len(certificate):
        raise DerError("octets behind the certificate")
    at, stop = _sequence(certificate, start, stop)
    tag, _, after = element(certificate, at, stop)
    if tag == _VERSION:
        at = after
    # serialNumber, signature, issuer, validity, subject
    for _ in range(5):
        _, _, at = element(certificate, at, stop)
    tag, _, after = element(certificate, at, stop)
    if tag != _SEQUENCE:
        raise DerError("no key where it should be")
    return certificate[at:after]


def is_key(data: bytes) -> bool:
    """Has this the shape of a SubjectPublicKeyInfo: algorithm and bit string, and nothing else?"""
    try:
        start, stop = _sequence(data, 0, len(data))
        _, after = _sequence(data, start, stop)
        tag, _, end = element(data, after, stop)
    except DerError:
        return False
    return tag == 0x03 and end == stop == len(data)


def is_certificate(data: bytes) -> bool:
    """Has this the shape of a certificate?"""
    try:
        return is_key(subject_public_key_info(data))
    except DerError:
        return False
