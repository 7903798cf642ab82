"""A message and a key in, a DKIM-Signature field out.  RFC 6376 5.

    Signer       one domain, selector and key, and what it signs
    sign         the fields of several signers over one message, whose body is hashed once per form

Signing is deterministic but for what the key does: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from mox_dkim.canonical import BodyHash, Form, SignedHeader, hasher, relaxed_field, simple_field
from mox_dkim.key import KeyType, SigningKey, private_key
from mox_dkim.signature import Algorithm, Signature, with_value
from mox_dns import Domain
from mox_message import Content, Fields

# RFC 6376 5.4.1: the fields that carry the meaning of a message or steer what programs do with it.  Each is listed once
# more than it occurs, so that none can be added that a reader would be shown in its place (8.15).
OVERSIGNED = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
)
# Signed if they are there (RFC 8058 4 asks for the two of unsubscribing).  Mailing lists add some of these, and that
# must not break what the author signed, so they are not oversigned.
SIGNED_IF_PRESENT = ("sender", "list-id", "list-unsubscribe", "list-unsubscribe-post", "auto-submitted", "feedback-id")


class CannotSign(ValueError):
    """This message cannot be signed as asked; the text says why."""


class Signer:
    """Signs for a domain with one key.

    `key`: a PrivateKey, a private key of `cryptography`, or any object with `.type` and `.sign(digest)`.
    `identity`: the i= tag, "@sub.example.org" or "someone@example.org".  `lifetime`: seconds until x=; none without."""

    __slots__ = (
        "algorithm",
        "body_form",
        "domain",
        "header_form",
        "identity",
        "if_present",
        "key",
        "lifetime",
        "oversigned",
        "selector",
    )

    def __init__(
        self,
        domain: Domain | str,
        selector: str,
        key: SigningKey | object,
        *,
        oversigned: Iterable[str] = OVERSIGNED,
        if_present: Iterable[str] = SIGNED_IF_PRESENT,
        header_form: Form = Form.RELAXED,
        body_form: Form = Form.RELAXED,
        identity: str = "",
        lifetime: int | None = None,
    ) -> None:
        self.domain = Domain.parse(domain) if isinstance(domain, str) else domain
        self.selector = Domain.parse(selector).ascii
        self.key: SigningKey = key if _signs(key) else private_key(key)
        self.algorithm = Algorithm.RSA_SHA256 if self.key.type == KeyType.RSA else Algorithm.ED25519_SHA256
        self.oversigned = tuple(name.lower() for name in oversigned)
        self.if_present = tuple(name.lower() for name in if_present)
        self.header_form = header_form
        self.body_form = body_form
        self.identity = identity
        self.lifetime = lifetime
        if "from" not in self.oversigned:
            raise ValueError("From is always signed, RFC 6376 5.4")

    def sign(self, fields: Fields, content: Content, *, now: float) -> bytes:
        """The complete DKIM-Signature field, folded, with CRLF, for the top of `content`, whose header is `fields`.

        Raises CannotSign."""
        return sign(fields, content, [self], now=now)

    def __repr__(self) -> str:
        return f"Signer({self.domain}, {self.selector}, {self.algorithm})"


def sign(fields: Fields, content: Content, signers: Sequence[Signer], *, now: float) -> bytes:
    """The DKIM-Signature fields of all `signers`, each with CRLF, to be put in front of `content`.

    `fields` is the header of `content`, whose body begins at `fields.end`; lines end with CRLF.  `now` is in seconds
    since 1970.  Raises CannotSign."""
    authors = fields.count("from")
    if authors != 1:
        # RFC 5322 3.6: exactly one.  With none or several, readers and DMARC cannot tell whom a signature speaks for.
        raise CannotSign(f"{authors} From fields")
    bodies = {signer.body_form: BodyHash(signer.body_form) for signer in signers}
    for chunk in content.chunks(fields.end):
        for body in bodies.values():
            body.feed(chunk)
    digests = {form: body.finish() for form, body in bodies.items()}
    header = SignedHeader(fields)
    return b"".join([_field(signer, fields, header, digests[signer.body_form], int(now)) for signer in signers])


def signed_names(fields: Fields, oversigned: Iterable[str], if_present: Iterable[str]) -> tuple[str, ...]:
    """The h= list: each name as often as it occurs, and the oversigned ones once more (RFC 6376 5.4.2, 8.15)."""
    names: list[str] = []
    for name in if_present:
        names += [name] * fields.count(name)
    for name in oversigned:
        names += [name] * (fields.count(name) + 1)
    return tuple(names)


def _field(signer: Signer, fields: Fields, header: SignedHeader, body_hash: bytes, now: int) -> bytes:
    unsigned = Signature(
        signer.algorithm,
        signer.domain,
        signer.selector,
        signed_names(fields, signer.oversigned, signer.if_present),
        body_hash,
        b"",
        signer.header_form,
        signer.body_form,
        signer.identity,
        signed_at=now,
        expires_at=None if signer.lifetime is None else now + signer.lifetime,
    )
    signed = header.signed(unsigned.headers, signer.header_form)
    raw = unsigned.field()
    own = relaxed_field(raw, raw.index(b":")) if signer.header_form is Form.RELAXED else simple_field(raw)
    signature = signer.key.sign(hasher("sha256")(signed + own).digest())
    return with_value(raw, signature)


def _signs(key: object) -> TypeGuard[SigningKey]:
    return callable(getattr(key, "sign", None)) and isinstance(getattr(key, "type", None), str)
