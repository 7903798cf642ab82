"""Keys that let a mail program in without a password: whose is the certificate that a client shows?

A certificate is trusted because it is named in domains.toml, not because somebody signed it; what counts is its key."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moxd.config import Config


class ClientKeyError(Exception):
    """A certificate of a client key cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys of all accounts: fingerprint (SHA-256 of the SubjectPublicKeyInfo) -> account."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    certificates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, config: Config) -> ClientKeys:
        """Reads the certificates.  Raises ClientKeyError."""
        accounts: dict[str, str] = {}
        certificates = []
        for name, account in config.domains.accounts.items():
            for path in account.tls_keys:
                full = config.path(path)
                try:
                    certificate = x509.load_pem_x509_certificate(full.read_bytes())
                except OSError as error:
                    raise ClientKeyError(f"{full} cannot be read: {error.strerror}") from None
                except ValueError as error:
                    raise ClientKeyError(f"{full} is no certificate in PEM form: {error}") from None
                owner = accounts.setdefault(fingerprint_of(certificate), name)
                if owner != name:
                    raise ClientKeyError(f"{full}: the key of {name} already lets {owner} in")
                certificates.append(certificate)
        return cls(accounts, tuple(certificates))

    def account(self, der: bytes) -> str | None:
        """Whose certificate this is."""
        try:
            return self.accounts.get(fingerprint_of(x509.load_der_x509_certificate(der)))
        except ValueError:
            return None

    def trust(self, context: ssl.SSLContext) -> None:
        """Lets clients show these certificates.  A client that shows another one fails in its handshake; one that shows
        none is as welcome as ever."""
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.certificates:
            pem = b"".join(one.public_bytes(Encoding.PEM) for one in self.certificates)
            context.load_verify_locations(cadata=pem.decode())


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 of its public key."""
    key = certificate.public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
