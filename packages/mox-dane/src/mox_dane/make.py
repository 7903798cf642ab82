"""TLSA records for what a server has: its certificate, its public key, its private key.  RFC 6698 2.1, RFC 7671 5."""

from __future__ import annotations

from mox_dane.der import is_certificate, is_key
from mox_dane.tlsa import Matching, Selector, Usage, association, digest
from mox_dns import Tlsa


class UnusableSource(ValueError):
    """No such record can be made of this."""


def make(
    source: bytes,
    usage: Usage = Usage.DANE_EE,
    selector: Selector = Selector.SPKI,
    matching: Matching = Matching.SHA2_256,
) -> Tlsa:
    """A record for `source`: a certificate (of a PEM file the first), a public key or a private key, PEM or DER.

    The default, `3 1 1`, is what RFC 7672 3.1.1 recommends: it stays right when the certificate is renewed with the
    same key.  Raises UnusableSource where there is neither, where a key is encrypted, or where a selector CERT is asked
    of a key."""
    certificate, key = _read(source)
    if certificate is not None:
        data = association(certificate, selector, matching)
        if data is None:
            raise UnusableSource("the certificate has no key that can be found")
        return Tlsa(usage, selector, matching, data)
    if selector is not Selector.SPKI:
        raise UnusableSource("selector CERT needs a certificate; a key has only SPKI")
    return Tlsa(usage, selector, matching, digest(key, matching))


def _read(source: bytes) -> tuple[bytes | None, bytes]:
    """The certificate, or None and the key as SubjectPublicKeyInfo."""
    # Only here: a verifier needs none of it.
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.x509 import InvalidVersion

    try:
        return _read_pem(source) if b"-----BEGIN" in source else _read_der(source)
    except TypeError as error:
        raise UnusableSource(f"{error}") from None
    except (ValueError, UnsupportedAlgorithm, InternalError, InvalidVersion) as error:
        raise UnusableSource(f"neither certificate nor key: {str(error)[:200]}") from None


def _read_pem(source: bytes) -> tuple[bytes | None, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_private
    from cryptography.hazmat.primitives.serialization import load_pem_public_key as load_public

    if b"-----BEGIN CERTIFICATE" in source:
        return x509.load_pem_x509_certificate(source).public_bytes(Encoding.DER), b""
    public = b"-----BEGIN PUBLIC KEY" in source
    key = load_public(source) if public else load_private(source, None).public_key()
    return None, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read_der(source: bytes) -> tuple[bytes | None, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.hazmat.primitives.serialization import load_der_private_key as load_private
    from cryptography.hazmat.primitives.serialization import load_der_public_key as load_public

    if is_key(source):
        load_public(source)
        return None, source
    if is_certificate(source):
        return x509.load_der_x509_certificate(source).public_bytes(Encoding.DER), b""
    key = load_private(source, None).public_key()
    return None, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
