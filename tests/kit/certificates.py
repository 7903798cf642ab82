"""Certificates for tests: authorities, chains and leaves as odd as asked for.  Made by cryptography, ECDSA P-256."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def key_usage(*wanted: str) -> x509.KeyUsage:
    """A key usage with those bits."""
    return x509.KeyUsage(**{name: name in wanted for name in _USAGES})


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and the chain that a server would send with it, leaf first."""

    certificate: x509.Certificate
    key: Any
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def spki(self) -> bytes:
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def key_pem(self) -> str:
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem.decode()

    @property
    def chain(self) -> tuple[bytes, ...]:
        return tuple(one.public_bytes(serialization.Encoding.DER) for one in (self.certificate, *self.above))

    def write(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """The chain and the key as PEM files."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        every = (self.certificate, *self.above)
        chain.write_text("".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in every))
        key.write_text(self.key_pem)
        return chain, key

    def server_context(self, folder: Path, name: str = "server") -> ssl.SSLContext:
        """What a server needs to show this chain."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, self.write(folder, name)))
        return context


def make(
    subject: str,
    issuer: Made | None = None,
    *,
    names: Iterable[str] = (),
    ca: bool = False,
    days: tuple[float, float] = (-1, 30),
    now: datetime | None = None,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
    basic: bool = True,
    key_ids: bool = True,
    send_root: bool = False,
) -> Made:
    """A certificate signed by `issuer`, or by itself.  `days`: valid from and until, counted from `now`.

    `basic` False: without basicConstraints.  `key_ids` False: without the identifiers of the keys, by which verifiers
    find issuers, and which Python asks for from 3.13 on.  `send_root`: the chain goes on to the root."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    moment = now or datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment + days[0] * DAY)
        .not_valid_after(moment + days[1] * DAY)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    if usage is None and basic:
        usage = key_usage("key_cert_sign", "crl_sign") if ca else key_usage("digital_signature")
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if names := tuple(names):
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    if key_ids and basic:
        signing = issuer.key.public_key() if issuer else key.public_key()
        identifiers = (
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing),
        )
        for identifier in identifiers:
            builder = builder.add_extension(identifier, critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signer = issuer.key if issuer else key
    plain = isinstance(signer, ed25519.Ed25519PrivateKey)
    certificate = builder.sign(signer, None if plain else hashes.SHA256())
    above: tuple[x509.Certificate, ...] = ()
    if issuer is not None:
        is_root = issuer.certificate.subject == issuer.certificate.issuer
        above = (issuer.certificate, *issuer.above) if send_root or not is_root else ()
    return Made(certificate, key, above)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
