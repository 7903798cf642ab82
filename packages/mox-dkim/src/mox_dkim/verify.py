"""Is what these signatures say true?  RFC 6376 6.

    plan_verify   a message -> one Lookup[Result] a signature, to be run side by side
    Verifier      the same for a message that arrives in pieces
    Result        what became of one signature

The body is read once for all signatures, after the first key is there; without a signature it is not read at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mox_dkim.canonical import BodyHash, Form, SignedHeader, hasher
from mox_dkim.key import KeyType, PublicKey, UnusableKey
from mox_dkim.policy import DEFAULT, BodyLength, Policy
from mox_dkim.record import KeyRecord, KeyRecordSyntaxError
from mox_dkim.signature import Algorithm, Signature, SignatureSyntaxError, salvage, without_b
from mox_dns import Answer, Domain, Lookup, Question, Step
from mox_message import Content, Field, Fields, MethodResult
from mox_message.fields import MAX_HEADER


class Status(StrEnum):
    """The results of RFC 8601 2.7.1."""

    NONE = "none"  # as if not signed: a failed signature whose key is in test mode (t=y)
    PASS = "pass"  # noqa: S105
    FAIL = "fail"  # header or body do not fit the signature
    POLICY = "policy"  # sound, but not what our policy asks
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"  # the key could not be fetched for now
    PERMERROR = "permerror"  # the signature or its key cannot be used, now or later


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one signature.  What is not known (yet) is None or empty.

    `header_ok` and `body_ok` are known as soon as a key was found.  `body_signed` of `body_size` octets of the
    canonical body went into the hash; they differ only with l=.  `index` counts fields from the top, from 0."""

    status: Status
    reason: str
    index: int = 0
    domain: Domain | None = None
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    header_ok: bool | None = None
    body_ok: bool | None = None
    body_signed: int | None = None
    body_size: int | None = None
    key_bits: int | None = None
    testing: bool = False
    authentic: bool = False  # the key's DNS answer was validated with DNSSEC
    signature_prefix: str = ""  # the first characters of b=, which tell signatures apart (RFC 6008)
    signed_headers: tuple[str, ...] = ()
    signed_at: int | None = None
    expires_at: int | None = None
    record: KeyRecord | None = None
    warnings: tuple[str, ...] = ()
    trace: tuple[Step, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "index": self.index,
            "domain": str(self.domain) if self.domain else None,
            "selector": self.selector,
            "identity": self.identity,
            "algorithm": self.algorithm,
            "header_ok": self.header_ok,
            "body_ok": self.body_ok,
            "body_signed": self.body_signed,
            "body_size": self.body_size,
            "key_bits": self.key_bits,
            "testing": self.testing,
            "authentic": self.authentic,
            "signature_prefix": self.signature_prefix,
            "signed_headers": list(self.signed_headers),
            "signed_at": self.signed_at,
            "expires_at": self.expires_at,
            "record": str(self.record) if self.record else None,
            "warnings": list(self.warnings),
        }

    def method_result(self) -> MethodResult:
        """For Authentication-Results, RFC 8601 2.7.1 and RFC 6008."""
        header = (
            ("d", str(self.domain or "")),
            ("s", self.selector),
            ("i", self.identity if self.identity != f"@{self.domain}" else ""),
            ("a", self.algorithm),
            ("b", self.signature_prefix),
        )
        properties = tuple([("header", name, value) for name, value in header if value])
        comment = f"{self.key_bits}-bit key{', test mode' if self.testing else ''}" if self.key_bits else ""
        reason = "" if self.status is Status.PASS else self.reason
        return MethodResult("dkim", str(self.status), reason, properties, comment)

    def explain(self) -> str:
        """Line by line: the result, what was signed with which key, what was asked."""
        lines = [f"dkim={self.status}: {self.reason}"]
        if self.domain is not None:
            bits = f", {self.key_bits} bits" if self.key_bits else ""
            lines.append(f"  {self.algorithm or 'signature'} by {self.domain}, selector {self.selector}{bits}")
        if self.signed_headers:
            lines.append(f"  signs {', '.join(dict.fromkeys(self.signed_headers))}")
        for part, good in (("header", self.header_ok), ("body", self.body_ok)):
            if good is not None:
                lines.append(f"  {part}: {'as signed' if good else 'not as signed'}")
        if self.body_signed != self.body_size:
            lines.append(f"  only {self.body_signed} of {self.body_size} octets of the body are signed")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        lines += [f"  asked {step}" for step in self.trace]
        return "\n".join(lines)


def plan_verify(content: Content, fields: Fields, *, policy: Policy = DEFAULT, now: float) -> list[Lookup[Result]]:
    """One lookup for each signature of a message, from the top; none where there is no DKIM-Signature.

    `fields` is the header of `content`, whose body begins at `fields.end`; `now` is in seconds since 1970.  Run them
    side by side (`mox_dns.run_together`).  Reading the body may raise OSError if `content` is a file."""
    if "dkim-signature" not in fields:
        return []
    message = _Message(fields, policy, now)
    message.bodies.source = lambda: content.chunks(fields.end)
    return message.plans()


class Verifier:
    """Verifies a message that arrives in chunks; memory stays bounded whatever its size.

    feed() every chunk, then finish() for the lookups.  `now` is in seconds since 1970."""

    __slots__ = ("_header", "_message", "_now", "_policy")

    def __init__(self, policy: Policy = DEFAULT, *, now: float) -> None:
        self._policy = policy
        self._now = now
        self._header: bytearray | None = bytearray()
        self._message: _Message | None = None

    def feed(self, chunk: bytes) -> None:
        """The next octets of the message."""
        if self._header is None:
            assert self._message is not None
            self._message.bodies.feed(chunk)
            return
        seen = len(self._header)
        self._header += chunk
        if _has_header_end(self._header, max(0, seen - 3)):
            self._begin_body()

    def finish(self) -> list[Lookup[Result]]:
        """The message is complete: one lookup for each of its signatures, from the top."""
        if self._header is not None:
            self._begin_body()
        assert self._message is not None
        self._message.bodies.finish()
        return self._message.plans()

    def _begin_body(self) -> None:
        assert self._header is not None
        data, self._header = bytes(self._header), None
        fields = Fields.parse(data)
        self._message = _Message(fields, self._policy, self._now)
        if len(data) > fields.end:
            self._message.bodies.feed(data[fields.end :])


def _has_header_end(data: bytearray, since: int) -> bool:
    if data.startswith((b"\n", b"\r\n")):
        return True
    return len(data) > MAX_HEADER or data.find(b"\n\n", since) >= 0 or data.find(b"\n\r\n", since) >= 0


class Want(NamedTuple):
    """A hash of the body that some signature needs."""

    hash: str
    form: Form
    length: int | None


class Bodies:
    """The hashes of one body, each computed once, all in one reading."""

    __slots__ = ("_digests", "_hashes", "source")

    def __init__(self) -> None:
        self._hashes: dict[Want, BodyHash] = {}
        self._digests: dict[Want, bytes] | None = None
        self.source: Callable[[], Iterable[bytes]] | None = None

    def want(self, want: Want) -> None:
        if want not in self._hashes:
            self._hashes[want] = BodyHash(want.form, want.hash, want.length)

    def feed(self, chunk: bytes) -> None:
        for one in self._hashes.values():
            one.feed(chunk)

    def finish(self) -> None:
        self._digests = {want: one.finish() for want, one in self._hashes.items()}

    def digest(self, want: Want) -> tuple[bytes, BodyHash]:
        """The digest, and the counts beside it; reads the body if that was not done yet."""
        if self._digests is None:
            for chunk in self.source() if self.source is not None else ():
                self.feed(chunk)
            self.finish()
        assert self._digests is not None
        return self._digests[want], self._hashes[want]


class _Message:
    """The signatures of one message, read; knows which body hashes they need before the body is."""

    __slots__ = ("_found", "_header", "bodies", "fields", "now", "policy")

    def __init__(self, fields: Fields, policy: Policy, now: float) -> None:
        self.fields = fields
        self.policy = policy
        self.now = now
        self.bodies = Bodies()
        self._header: SignedHeader | None = None
        found = fields.all("dkim-signature")
        self._found = [self._read(index, one) for index, one in enumerate(found[: policy.max_signatures])]
        if len(found) > policy.max_signatures:
            for one in self._found:
                one.warn(f"{len(found)} signatures; only the first {policy.max_signatures} were looked at")

    @property
    def header(self) -> SignedHeader:
        """What the signatures sign, made canonical once for all of them."""
        if self._header is None:
            self._header = SignedHeader(self.fields)
        return self._header

    def plans(self) -> list[Lookup[Result]]:
        return [_plan(self, one) for one in self._found]

    def _read(self, index: int, field: Field) -> _Case:
        """The signature, and a verdict already if it is not worth a DNS question."""
        try:
            signature = Signature.parse(field.value)
        except SignatureSyntaxError as error:
            domain, selector = salvage(field.value)
            case = _Case(field, None, {"index": index, "domain": domain, "selector": selector})
            case.verdict = Status.PERMERROR, error.why
            return case
        case = _Case(field, signature, _facts(signature, index))
        case.verdict = _refusal(signature, self.policy, self.now)
        if signature.length is not None:
            case.warn(f"l={signature.length}: what follows in the body is not signed")
        if signature.signed_at is not None and signature.signed_at > self.now + self.policy.clock_skew:
            case.warn(f"t= is {int(signature.signed_at - self.now)} seconds in the future")
        if case.verdict is None:
            self.bodies.want(want_of(signature))
        return case


class _Case:
    """One signature on its way to a Result: what is known of it so far."""

    __slots__ = ("facts", "field", "signature", "verdict")

    def __init__(self, field: Field, signature: Signature | None, facts: dict[str, Any]) -> None:
        self.field = field
        self.signature = signature
        self.facts = facts
        self.verdict: tuple[Status, str] | None = None

    def warn(self, text: str) -> None:
        self.facts["warnings"] = (*self.facts.get("warnings", ()), text)

    def result(self, status: Status, reason: str, **facts: Any) -> Result:
        return Result(status, reason, **self.facts, **facts)


def _facts(signature: Signature, index: int) -> dict[str, Any]:
    return {
        "index": index,
        "domain": signature.domain,
        "selector": signature.selector,
        "identity": signature.identity or "@" + signature.domain.ascii,
        "algorithm": signature.algorithm.label,
        "signature_prefix": signature.prefix,
        "signed_headers": signature.headers,
        "signed_at": signature.signed_at,
        "expires_at": signature.expires_at,
    }


def want_of(signature: Signature) -> Want:
    return Want(signature.algorithm.hash, signature.body_form, signature.length)


def _refusal(signature: Signature, policy: Policy, now: float) -> tuple[Status, str] | None:
    """Why this signature cannot count whatever its key says; then DNS is not asked.  RFC 6376 6.1.1."""
    if signature.algorithm is Algorithm.RSA_SHA1 and not policy.allow_sha1:
        return Status.PERMERROR, "rsa-sha1 is historic and never valid, RFC 8301 3.1"
    if "from" not in signature.headers:
        return Status.PERMERROR, "From is not signed, RFC 6376 6.1.1"
    if "dns/txt" not in signature.query:
        return Status.PERMERROR, f"the key is to be had by {':'.join(signature.query)[:60]} only, which is unknown"
    if signature.expires_at is not None and signature.expires_at < now:
        return Status.PERMERROR, f"expired {int(now - signature.expires_at)} seconds ago"
    if len(signature.headers) > policy.max_signed_fields:
        return Status.POLICY, f"h= lists {len(signature.headers)} fields, more than {policy.max_signed_fields}"
    missing = [name for name in policy.required if name not in signature.headers]
    if missing:
        return Status.POLICY, f"{', '.join(missing)} not signed"
    if signature.length is not None and policy.body_length is BodyLength.REFUSE:
        return Status.POLICY, "l= leaves the end of the body open"
    if policy.refused_domain is not None and policy.refused_domain(signature.domain):
        return Status.POLICY, f"{signature.domain} is nobody's own domain"
    return None


def _plan(message: _Message, case: _Case) -> Lookup[Result]:
    signature = case.signature
    if case.verdict is not None or signature is None:
        assert case.verdict is not None
        return case.result(*case.verdict)
    question = Question(signature.key_name, "TXT")
    (answer,) = yield (question,)
    case.facts["trace"] = (Step(question, answer),)
    case.facts["authentic"] = answer.authentic
    if answer.failed:
        return case.result(Status.TEMPERROR, f"no answer for {question.name}: {answer.status}")
    if answer.absent:
        return case.result(Status.PERMERROR, f"no key at {question.name}")
    return _judge(message, case, signature, answer)


def _judge(message: _Message, case: _Case, signature: Signature, answer: Answer) -> Result:
    if len(answer.records) > 1:
        case.warn(f"{len(answer.records)} records for one selector")
    tried = try_keys(answer, signature, _header_digest(message, case, signature), message.policy)
    if tried.key is None or tried.record is None:
        return case.result(Status.PERMERROR, tried.trouble)
    return _with_body(message, case, signature, tried.record, tried.key, tried.verified)


class Tried(NamedTuple):
    """What became of an answer's key records: the one that verified, else the first that could have, else why not."""

    record: KeyRecord | None
    key: PublicKey | None
    verified: bool
    trouble: str


def try_keys(answer: Answer, signature: Signature, digest: bytes, policy: Policy) -> Tried:
    """Holds the key records against a signature over `digest`, RFC 6376 6.1.2 and 6.1.3."""
    best = Tried(None, None, False, "")
    for text in answer.records[: policy.max_key_records]:
        try:
            record = KeyRecord.parse(text)
            key = _fitting_key(record, signature, policy)
        except KeyRecordSyntaxError as error:
            best = best._replace(trouble=best.trouble or f"key record: {error.why}")
            continue
        except UnusableKey as error:
            best = best._replace(trouble=best.trouble or f"key record: {error}")
            continue
        if key.verifies(signature.signature, digest, signature.algorithm.hash):
            return Tried(record, key, True, "")
        if best.key is None:
            best = Tried(record, key, False, best.trouble)
    return best


def _header_digest(message: _Message, case: _Case, signature: Signature) -> bytes:
    """RFC 6376 3.7: the signed fields, then the signature's own without b= and without its line end."""
    form = signature.header_form
    signed = message.header.signed(signature.headers, form) + without_b(case.field, form)
    return digest_of(signed, signature.algorithm)


def digest_of(data: bytes, algorithm: Algorithm) -> bytes:
    """The hash that `algorithm` signs."""
    return hasher(algorithm.hash)(data).digest()


def _fitting_key(record: KeyRecord, signature: Signature, policy: Policy) -> PublicKey:
    """The key of `record`, if it may verify `signature`.  Raises UnusableKey with the reason if not; RFC 6376 6.1.2."""
    algorithm = signature.algorithm
    if record.revoked:
        raise UnusableKey("the key is revoked (p= is empty)")
    if record.type != algorithm.key:
        raise UnusableKey(f"k={record.type[:20]}, but the signature is {algorithm}")
    if record.hashes is not None and algorithm.hash not in record.hashes:
        raise UnusableKey(f"h= does not allow {algorithm.hash}")
    if "*" not in record.services and "email" not in record.services:
        raise UnusableKey("s= does not allow mail")
    if record.strict and signature.identity_domain != signature.domain:
        raise UnusableKey(f"t=s, but i= names {signature.identity_domain} below {signature.domain}")
    key = record.public_key()
    if key.type is KeyType.RSA and key.bits < policy.min_rsa_bits:
        # RFC 8301 3.2: less than 1024 bits MUST NOT be considered valid.
        raise UnusableKey(f"an RSA key of {key.bits} bits; at least {policy.min_rsa_bits} are needed")
    return key


def _with_body(
    message: _Message, case: _Case, signature: Signature, record: KeyRecord, key: PublicKey, header_ok: bool
) -> Result:
    """The verdict over header and body."""
    digest, counts = message.bodies.digest(want_of(signature))
    body_ok = digest == signature.body_hash
    if not header_ok:
        status, reason = Status.FAIL, "header or signature were changed, or it was made with another key"
    elif signature.length is not None and signature.length > counts.total:
        # RFC 6376 3.5: l= MUST NOT be larger than the canonical body.
        status, reason = Status.PERMERROR, f"l={signature.length}, but the body has {counts.total} octets"
    elif not body_ok:
        status, reason = Status.FAIL, "the body was changed"
    elif counts.hashed < counts.total and message.policy.body_length is not BodyLength.ACCEPT:
        status, reason = Status.POLICY, f"only {counts.hashed} of {counts.total} octets of the body are signed"
    else:
        status, reason = Status.PASS, f"signed by {signature.domain.ascii}"
    if record.testing:
        case.warn("the key is in test mode (t=y)")
        if status is not Status.PASS:
            # RFC 6376 3.6.1: not to be treated otherwise than unsigned mail.
            status, reason = Status.NONE, f"{reason}; the key is in test mode"
    return case.result(
        status,
        reason,
        header_ok=header_ok,
        body_ok=body_ok,
        body_signed=counts.hashed,
        body_size=counts.total,
        key_bits=key.bits,
        testing=record.testing,
        record=record,
    )
