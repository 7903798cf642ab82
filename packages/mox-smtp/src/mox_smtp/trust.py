"""What a TLS peer must prove, and what it has proven.  DANE and MTA-STS are a caller's check and a caller's names.

OPPORTUNISTIC   TLS where it is offered; it need prove nothing (RFC 7435)
ENCRYPTED       TLS or nothing; it need prove nothing
CLEAR           no TLS
Pkix(names)     TLS, and a chain to a root we trust that bears one of the names
Checked(check)  TLS, and a chain that the caller's check takes"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mox_sasl import ChannelBinding

# Result types of RFC 8460 4.3, the word that a TLS report wants.
NOT_SUPPORTED = "starttls-not-supported"
NAME_MISMATCH = "certificate-host-mismatch"
EXPIRED = "certificate-expired"
NOT_TRUSTED = "certificate-not-trusted"
VALIDATION = "validation-failure"

# X509_V_ERR_…: OpenSSL's numbers, which Python's ssl passes on as verify_code.
_EXPIRED_CODES = {9, 10}
_NAME_CODES = {62, 63, 64}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a chain of certificates has proven.  `means`: "pkix", the word of a caller's check, or "" for nothing.

    `failure`: a result type of RFC 8460 where it did not suffice, and `because` in words."""

    means: str = ""
    failure: str = ""
    because: str = ""

    @property
    def ok(self) -> bool:
        """It sufficed."""
        return not self.failure


UNVERIFIED = Proof(because="nothing was asked for")
Check: TypeAlias = Callable[[tuple[bytes, ...]], Proof]


@dataclass(frozen=True, slots=True)
class Unproven:
    """TLS as far as it goes.  Use OPPORTUNISTIC, ENCRYPTED or CLEAR."""

    wanted: bool
    required: bool


OPPORTUNISTIC = Unproven(wanted=True, required=False)
ENCRYPTED = Unproven(wanted=True, required=True)
CLEAR = Unproven(wanted=False, required=False)


@dataclass(frozen=True, slots=True)
class Pkix:
    """A chain to one of the system's roots (or those of the PEM file `roots`), valid, for one of `names` (A-form)."""

    names: tuple[str, ...]
    roots: str = ""
    wanted: bool = field(default=True, init=False)
    required: bool = field(default=True, init=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """`check` is given the chain as the peer sent it (DER, leaf first) and says what it proves."""

    check: Check
    wanted: bool = field(default=True, init=False)
    required: bool = field(default=True, init=False)


Trust: TypeAlias = Unproven | Pkix | Checked


@dataclass(frozen=True, slots=True)
class Tls:
    """A handshake that was made: `proof` says what it is worth, `certificates` are the peer's, leaf first, DER."""

    version: str
    cipher: str
    proof: Proof = UNVERIFIED
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    binding: ChannelBinding | None = field(default=None, repr=False)  # what SCRAM-…-PLUS binds to, below TLS 1.3

    def __str__(self) -> str:
        return f"{self.version} {self.cipher}, {self.proof.means + ' verified' if self.proof.means else 'unverified'}"


def judge(trust: Trust, certificates: tuple[bytes, ...], decoded: Mapping[str, Any]) -> Proof:
    """What a completed handshake proves.  For Pkix the chain itself was verified in the handshake; `decoded` is the
    leaf as ssl's getpeercert() gives it."""
    if isinstance(trust, Pkix):
        names = subject_names(decoded)
        if any(matches(pattern, name) for pattern in names for name in trust.names):
            return Proof("pkix", because=f"the certificate is for {', '.join(names[:10])}")
        shown = ", ".join(names[:10]) or "no host"
        return Proof(
            failure=NAME_MISMATCH, because=f"the certificate is for {shown}, not for {' or '.join(trust.names)}"
        )
    if isinstance(trust, Checked):
        return trust.check(certificates)
    return UNVERIFIED


def subject_names(decoded: Mapping[str, Any]) -> tuple[str, ...]:
    """The host names of a certificate: only subjectAltName counts (RFC 9525 2)."""
    entries: Iterable[Any] = decoded.get("subjectAltName", ())
    return tuple(value for kind, value in entries if kind == "DNS")


def matches(pattern: str, name: str) -> bool:
    """Is `name` (A-form) what `pattern` of a certificate stands for?  RFC 9525 6.3: `*` is the whole first label."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == name and "*" not in name
    _, dot, parent = name.partition(".")
    return bool(dot) and pattern[2:] == parent and "." in parent and "*" not in name


def binding_of(tls: Any) -> ChannelBinding | None:
    """The channel binding of an ssl object: tls-unique below TLS 1.3.  From 1.3 on it takes an exporter (RFC 9266),
    which the ssl module does not have."""
    version = tls.version() or ""
    if version == "TLSv1.3" or not version.startswith("TLS"):
        return None
    data = tls.get_channel_binding("tls-unique")
    return ChannelBinding("tls-unique", data, version) if data else None


def failure_type(verify_code: int | None) -> str:
    """RFC 8460's word for why OpenSSL did not verify a chain; None: the handshake failed for another reason."""
    if verify_code is None:
        return VALIDATION
    if verify_code in _EXPIRED_CODES:
        return EXPIRED
    return NAME_MISMATCH if verify_code in _NAME_CODES else NOT_TRUSTED
