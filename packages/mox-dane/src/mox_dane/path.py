"""From a server's certificate up to one that DNS vouches for.  RFC 7671 5.2, RFC 5280 6.1, RFC 7672 3.1.2.

Not the path building of a library: there an anchor is a whole certificate, and the rules are those of the Web PKI.
Here the anchor may be an intermediate or a bare key, and private authorities count.  Signatures are checked by
cryptography; what stands here is which certificate may sign which.  All that is looked for is among what the peer has
sent, a dozen certificates at most, so the work is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

# Of a chain; more are not looked at.  Servers send two or three.
MAX_CERTIFICATES = 12
# Ways up that are looked at: certificates of one name that sign each other make many.
MAX_PATHS = 60
_WEAK = ("md5", "sha1")
_CHECKED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.NAME_CONSTRAINTS,
    # They limit policies, and none is asked for.
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
}
# Whatever cryptography raises for a certificate that makes no sense.
_ODD = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, Warning)


@dataclass(frozen=True)
class Certificate:
    """A certificate of the chain: its octets, and what is in them once somebody asks.  Properties raise ValueError."""

    der: bytes

    @cached_property
    def parsed(self) -> x509.Certificate:
        """Raises ValueError."""
        try:
            return x509.load_der_x509_certificate(self.der)
        except (x509.InvalidVersion, Warning) as error:  # neither is a ValueError; some make warnings errors
            raise ValueError(str(error)) from None

    @cached_property
    def extensions(self) -> dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]:
        """By their identifier.  Raises ValueError."""
        try:
            return {extension.oid: extension for extension in self.parsed.extensions}
        except _ODD as error:
            raise ValueError(f"extensions that make no sense: {error}") from None

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The DNS-IDs; where there is none, the common names (RFC 7672 3.2.3).  Raises ValueError."""
        names = tuple(name.value.lower() for name in self._alternatives() if isinstance(name, x509.DNSName))
        if names:
            return names
        common = self.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(one.value.lower() for one in common if isinstance(one.value, str))

    def _alternatives(self) -> Sequence[x509.GeneralName]:
        found = self.extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        return tuple(found.value) if found and isinstance(found.value, x509.SubjectAlternativeName) else ()

    def why_not_now(self, now: float) -> str:
        """Expired, or not valid yet?"""
        moment = datetime.fromtimestamp(now, UTC)
        if moment > self.parsed.not_valid_after_utc:
            return f"expired on {self.parsed.not_valid_after_utc:%Y-%m-%d}"
        if moment < self.parsed.not_valid_before_utc:
            return f"not valid before {self.parsed.not_valid_before_utc:%Y-%m-%d}"
        return ""

    def signed_by(self, issuer: Certificate) -> bool:
        """Does `issuer` bear the name of this one's issuer, and verify its signature?"""
        try:
            if self._weak or self.parsed.issuer != issuer.parsed.subject:
                return False
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (*_ODD, InvalidSignature):
            return False
        return True

    def signed_with(self, key: bytes) -> bool:
        """Is this signed with the key of a SubjectPublicKeyInfo?"""
        try:
            return not self._weak and _verified(self.parsed, key)
        except (*_ODD, InvalidSignature):
            return False

    @property
    def _weak(self) -> bool:
        algorithm = self.parsed.signature_hash_algorithm
        return algorithm is not None and algorithm.name in _WEAK

    def why_no_issuer(self, below: int) -> str:
        """May this one sign others?  `below`: the intermediates under it (RFC 5280 6.1.4 k to n)."""
        constraints = self.extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
        if constraints is None or not isinstance(constraints.value, x509.BasicConstraints) or not constraints.value.ca:
            return "no certificate authority"
        limit = constraints.value.path_length
        if limit is not None and below > limit:
            return f"may have {limit} intermediates below it, and has {below}"
        usage = self.extensions.get(ExtensionOID.KEY_USAGE)
        if usage is not None and isinstance(usage.value, x509.KeyUsage) and not usage.value.key_cert_sign:
            return "may not sign certificates"
        return self.why_no_server("an authority for other purposes")

    def why_no_server(self, why: str = "not for servers") -> str:
        """May this one, or what it signs, speak for a TLS server?"""
        for oid, extension in self.extensions.items():
            if extension.critical and oid not in _CHECKED:
                return f"has a critical extension that is not known here: {oid.dotted_string}"
        purposes = self.extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
        good = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
        if purposes is not None and isinstance(purposes.value, x509.ExtendedKeyUsage):
            return "" if good & set(purposes.value) else why
        return ""

    def why_not_allowed(self, other: Certificate) -> str:
        """May this one sign for the names of `other` (RFC 5280 4.2.1.10)?"""
        found = self.extensions.get(ExtensionOID.NAME_CONSTRAINTS)
        if found is None or not isinstance(found.value, x509.NameConstraints):
            return ""
        permitted, excluded = found.value.permitted_subtrees or (), found.value.excluded_subtrees or ()
        for name in other._alternatives():
            kind = type(name)
            if isinstance(name, x509.DNSName):
                continue
            if any(isinstance(tree, kind) for tree in (*permitted, *excluded)):
                return f"limits names of a kind that is not checked here ({kind.__name__})"
        allowed = [tree.value for tree in permitted if isinstance(tree, x509.DNSName)]
        refused = [tree.value for tree in excluded if isinstance(tree, x509.DNSName)]
        for text in other.dns_names:
            # `*.a.example` may be any name right below a.example, so a refused one there refuses it as well.
            parent = text[1:] if text.startswith("*.") else "\0"
            if any(_within(text, tree) or tree.lower().endswith(parent) for tree in refused):
                return f"may not sign for {text}"
            if allowed and not any(_within(text, tree) for tree in allowed):
                return f"may not sign for {text}"
        return ""


def _within(name: str, tree: str) -> bool:
    tree = tree.lower().lstrip(".")
    bare = name.removeprefix("*.")
    return not tree or bare == tree or bare.endswith("." + tree)


def _verified(certificate: x509.Certificate, spki: bytes) -> bool:
    """Raises InvalidSignature, or what _ODD lists."""
    key = load_der_public_key(spki)
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    parameters = certificate.signature_algorithm_parameters
    digest = certificate.signature_hash_algorithm
    if isinstance(key, rsa.RSAPublicKey):
        if digest is None or not isinstance(parameters, padding.PKCS1v15 | padding.PSS):
            return False
        key.verify(signature, signed, parameters, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(parameters, ec.ECDSA):
            return False
        key.verify(signature, signed, parameters)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, signed)
    else:
        return False
    return True


Path = tuple[Certificate, ...]


def paths(chain: Sequence[Certificate], is_anchor: Callable[[Certificate], bool]) -> Iterator[Path]:
    """Ways up from the first of `chain` to an anchor, over what signs what; the leaf itself is never the anchor."""
    certificates = chain[:MAX_CERTIFICATES]
    issuers = {
        one.der: [other for other in certificates[1:] if other.der != one.der and _signs(other, one)]
        for one in certificates
    }
    open_: list[Path] = [(certificates[0],)] if certificates else []
    for _ in range(MAX_PATHS):
        if not open_:
            return
        path = open_.pop(0)
        if len(path) > 1 and is_anchor(path[-1]):
            yield path
            continue
        open_ += [(*path, issuer) for issuer in issuers[path[-1].der] if issuer not in path]


def open_ends(chain: Sequence[Certificate], is_signed: Callable[[Certificate], bool]) -> Iterator[Path]:
    """Ways up to one whose signature a key or certificate that was not sent verifies."""
    if chain and is_signed(chain[0]):
        yield (chain[0],)
    yield from paths(chain, is_signed)


def _signs(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        return certificate.signed_by(issuer)
    except ValueError:
        return False
