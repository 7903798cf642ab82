"""What did those say who handled this message before us?  The Authenticated Received Chain, RFC 8617.

    plan_verify_chain   a message -> Lookup[Chain]
    Chain, Hop          whether the chain holds, and what each hop said it had found
    Sealer              adds our own set of three fields to a message that we pass on

The signatures are DKIM's, and are checked by its parts.  That a chain holds says who sealed, not that he is honest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mox_dkim.canonical import CRLF, BodyHash, Form, SignedHeader, relaxed_field, signed_header
from mox_dkim.key import SigningKey
from mox_dkim.policy import DEFAULT, BodyLength, Policy
from mox_dkim.sign import OVERSIGNED, SIGNED_IF_PRESENT, CannotSign, Signer, signed_names
from mox_dkim.signature import Algorithm, Signature, SignatureSyntaxError, TagReader, fold_tags, message_signature
from mox_dkim.signature import without_b as without_b_of
from mox_dkim.verify import Bodies, digest_of, try_keys, want_of
from mox_dns import Answer, Domain, Lookup, Question, Step
from mox_message import AuthenticationResults, AuthResultsSyntaxError, Content, Field, Fields, MethodResult

# RFC 8617 4.2.1: more sets than this, and the chain is broken.
MAX_SETS = 50

SEAL, MESSAGE, RESULTS = "arc-seal", "arc-message-signature", "arc-authentication-results"
_INSTANCE = re.compile(r"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,2})[ \t\r\n]*;")


class ChainStatus(StrEnum):
    """The results of RFC 8617 5.2, and what DNS may do to them."""

    NONE = "none"  # no set
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    TEMPERROR = "temperror"  # a key could not be fetched for now; do not seal


@dataclass(frozen=True, slots=True)
class Hop:
    """One set: who sealed it, what he found of the chain before him (cv=), and what he says of the message.

    `message_ok` tells whether the message is still what he signed; None if that was not looked at.  `results` is None
    where they cannot be read."""

    instance: int
    domain: Domain
    selector: str
    chain: str
    seal_ok: bool | None = None
    message_ok: bool | None = None
    results: AuthenticationResults | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Whether the chain holds.  `oldest_pass` is RFC 8617 5.2's: the message is unchanged since that hop, 0 for all.

    `instance` is the highest i= seen, for the next seal; `closed` says that somebody sealed the chain as failed, after
    which nobody may add to it."""

    status: ChainStatus
    reason: str
    hops: tuple[Hop, ...] = ()
    oldest_pass: int | None = None
    instance: int = 0
    closed: bool = False
    trace: tuple[Step, ...] = ()

    def method_result(self) -> MethodResult:
        """For Authentication-Results, RFC 8617 10.2."""
        properties: tuple[tuple[str, str, str], ...] = ()
        if self.oldest_pass is not None:
            properties = (("header", "oldest-pass", str(self.oldest_pass)),)
        reason = self.reason if self.status in (ChainStatus.FAIL, ChainStatus.TEMPERROR) else ""
        return MethodResult("arc", str(self.status), reason, properties)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "oldest_pass": self.oldest_pass,
            "instance": self.instance,
            "hops": [
                {
                    "instance": hop.instance,
                    "domain": str(hop.domain),
                    "selector": hop.selector,
                    "chain": hop.chain,
                    "seal_ok": hop.seal_ok,
                    "message_ok": hop.message_ok,
                    "results": [f"{one.method}={one.result}" for one in hop.results.results] if hop.results else None,
                }
                for hop in self.hops
            ],
        }

    def explain(self) -> str:
        """Line by line: the result, each hop, each question."""
        lines = [f"arc={self.status}: {self.reason}"]
        words = {True: "good", False: "bad", None: "not looked at"}
        for hop in self.hops:
            lines.append(
                f"  {hop.instance}: {hop.domain} ({hop.selector}) cv={hop.chain}; "
                f"seal {words[hop.seal_ok]}, message {words[hop.message_ok]}"
            )
        return "\n".join(lines + [f"  asked {step}" for step in self.trace])


@dataclass(frozen=True, slots=True)
class _Set:
    """The three fields of one instance, read."""

    instance: int
    fields: tuple[Field, Field, Field]  # in the order in which a seal signs them: results, message, seal
    message: Signature
    seal: Signature
    chain: str

    def canonical(self) -> tuple[bytes, ...]:
        """Its fields as a seal signs them, RFC 8617 5.1.1."""
        return tuple([relaxed_field(field.raw, field.colon) for field in self.fields])

    def hop(self) -> Hop:
        results = None
        try:
            text = self.fields[0].text
            results = AuthenticationResults.parse(text[_instance_end(text) :])
        except AuthResultsSyntaxError:
            pass
        return Hop(self.instance, self.seal.domain, self.seal.selector, self.chain, results=results)


class _Broken(Exception):
    """The chain does not hold; the text says why."""


def plan_verify_chain(content: Content, fields: Fields, *, policy: Policy = DEFAULT) -> Lookup[Chain]:
    """RFC 8617 5.2.  `fields` is the header of `content`, whose body begins at `fields.end`.

    Reading the body may raise OSError if `content` is a file."""
    instance = _highest(fields)
    if instance == 0 and not any(fields.all(name) for name in (SEAL, MESSAGE, RESULTS)):
        return Chain(ChainStatus.NONE, "no ARC set")
    trace: list[Step] = []
    try:
        sets = _read_sets(fields)
    except (_Broken, SignatureSyntaxError) as error:
        why = error.why if isinstance(error, SignatureSyntaxError) else str(error)
        return Chain(ChainStatus.FAIL, why, instance=instance, closed=_closed(fields, instance))
    hops = {one.instance: one.hop() for one in sets}
    so_far = Chain(ChainStatus.FAIL, "", tuple(hops.values()), instance=instance)
    trouble = _chain_trouble(sets)
    if trouble:
        return replace(so_far, reason=trouble, closed=sets[-1].chain == "fail")
    answers: dict[str, Answer] = {}
    bodies = Bodies()
    bodies.source = lambda: content.chunks(fields.end)
    for one in sets:
        bodies.want(want_of(one.message))
    check = _Check(fields, sets, bodies, policy, answers, SignedHeader(fields), [one.canonical() for one in sets])
    # The newest message signature first: most chains that fail do so there, and then no other key is asked for.
    last = sets[-1]
    yield from _ask([last.message, last.seal], answers, trace)
    status, reason = check.message(last)
    hops[last.instance] = replace(hops[last.instance], message_ok=status is ChainStatus.PASS)
    if status is ChainStatus.PASS:
        yield from _ask([key for one in sets for key in (one.seal, one.message)], answers, trace)
        for one in reversed(sets):
            status, reason = check.seal(one)
            hops[one.instance] = replace(hops[one.instance], seal_ok=status is ChainStatus.PASS)
            if status is not ChainStatus.PASS:
                break
    oldest = None
    if status is ChainStatus.PASS:
        oldest = check.oldest_pass(hops)
        reason = f"{len(sets)} set{'s' if len(sets) > 1 else ''}, last sealed by {last.seal.domain}"
    return replace(
        so_far, status=status, reason=reason, hops=tuple(hops.values()), oldest_pass=oldest, trace=tuple(trace)
    )


def _highest(fields: Fields) -> int:
    """The highest instance that any ARC field names, 0 where none does."""
    found = [0]
    for name in (SEAL, MESSAGE, RESULTS):
        for field in fields.all(name)[: 2 * MAX_SETS]:  # so many are broken in any case
            if (instance := _instance(field)) is not None:
                found.append(instance)
    return max(found)


def _closed(fields: Fields, instance: int) -> bool:
    """Does the newest seal say that the chain had failed already?"""
    for field in fields.all(SEAL)[: 2 * MAX_SETS]:
        try:
            read = TagReader(field.value.decode("utf-8", "surrogateescape").removesuffix("\r\n"))
        except SignatureSyntaxError:
            continue
        if read.optional("i") == str(instance) and (read.optional("cv") or "").lower() == "fail":
            return True
    return False


def _instance(field: Field) -> int | None:
    """The i= of an ARC field, RFC 8617 4.2.1: 1 to 50."""
    text = field.text
    if field.name == RESULTS:
        found = _INSTANCE.match(text)
        number = found[1] if found else ""
    else:
        try:
            number = TagReader(text).optional("i") or ""
        except SignatureSyntaxError:
            number = ""
    if number.isascii() and number.isdigit() and len(number) <= 2 and 1 <= int(number) <= MAX_SETS:
        return int(number)
    return None


def _instance_end(text: str) -> int:
    found = _INSTANCE.match(text)
    return found.end() if found else 0


def _read_sets(fields: Fields) -> list[_Set]:
    """RFC 8617 5.2, step 3: each instance from 1 on has each field once.  Raises _Broken, SignatureSyntaxError."""
    by_kind: dict[str, dict[int, Field]] = {RESULTS: {}, MESSAGE: {}, SEAL: {}}
    for kind, known in by_kind.items():
        found = fields.all(kind)
        if len(found) > MAX_SETS:
            raise _Broken(f"more than {MAX_SETS} sets")
        for field in found:
            instance = _instance(field)
            if instance is None:
                raise _Broken(f"a field {kind} without a valid i=")
            if instance in known:
                raise _Broken(f"two fields {kind} with i={instance}")
            known[instance] = field
    highest = max(max(known, default=0) for known in by_kind.values())
    sets = []
    for instance in range(1, highest + 1):
        for kind, known in by_kind.items():
            if instance not in known:
                raise _Broken(f"no {kind} with i={instance}")
        sets.append(
            _read_set(instance, by_kind[RESULTS][instance], by_kind[MESSAGE][instance], by_kind[SEAL][instance])
        )
    return sets


def _read_set(instance: int, results: Field, message: Field, seal: Field) -> _Set:
    signature = message_signature(_reader(message))
    if SEAL in signature.headers:
        # RFC 8617 4.1.2: seals are not signed by it.
        raise _Broken(f"the message signature with i={instance} signs seals")
    read = _reader(seal)
    chain = read.required("cv").lower()
    if chain not in ("none", "pass", "fail"):
        raise read.error("cv", f"cv={chain[:20]!r}")
    if "h" in read:
        # RFC 8617 4.1.3: what a seal signs is fixed.
        raise read.error("h", "h= in a seal")
    sealed = Signature(
        read.algorithm(),
        read.domain("d"),
        read.domain("s").ascii,
        (),
        b"",
        read.octets("b"),
        Form.RELAXED,
        signed_at=read.number("t"),
    )
    return _Set(instance, (results, message, seal), signature, read.usable(sealed), chain)


def _reader(field: Field) -> TagReader:
    return TagReader(field.value.decode("utf-8", "surrogateescape").removesuffix("\r\n"))


def _chain_trouble(sets: Sequence[_Set]) -> str:
    """RFC 8617 5.2, steps 2 and 3.C."""
    if sets[-1].chain == "fail":
        return f"{sets[-1].seal.domain} sealed the chain as failed"
    for one in sets:
        expected = "none" if one.instance == 1 else "pass"
        if one.chain != expected:
            return f"cv={one.chain} in the seal with i={one.instance}"
    return ""


def _ask(signatures: Iterable[Signature], answers: dict[str, Answer], trace: list[Step]) -> Lookup[None]:
    """Fetch the keys that are not there yet, side by side."""
    names = [name for name in dict.fromkeys(one.key_name for one in signatures) if name not in answers]
    if not names:
        return
    questions = tuple([Question(name, "TXT") for name in names])
    for question, answer in zip(questions, (yield questions), strict=True):
        trace.append(Step(question, answer))
        answers[question.name] = answer


@dataclass(frozen=True, slots=True)
class _Check:
    """Checks the signatures of a chain whose keys are known."""

    fields: Fields
    sets: Sequence[_Set]
    bodies: Bodies
    policy: Policy
    answers: dict[str, Answer]
    header: SignedHeader
    canonical: Sequence[tuple[bytes, ...]]  # the three fields of each set, made canonical once

    def message(self, one: _Set) -> tuple[ChainStatus, str]:
        """Is the message what the signature with this instance says?"""
        signature, what = one.message, f"message signature with i={one.instance}"
        if signature.length is not None and self.policy.body_length is BodyLength.REFUSE:
            return ChainStatus.FAIL, f"{what}: l= leaves the end of the body open"
        data = self.header.signed(signature.headers, signature.header_form)
        status, reason = self._verify(signature, data + without_b_of(one.fields[1], signature.header_form), what)
        if status is not ChainStatus.PASS:
            return status, reason
        digest, counts = self.bodies.digest(want_of(signature))
        if digest != signature.body_hash:
            return ChainStatus.FAIL, f"{what}: the body was changed"
        if counts.hashed < counts.total and self.policy.body_length is not BodyLength.ACCEPT:
            return ChainStatus.FAIL, f"{what}: only {counts.hashed} of {counts.total} octets of the body are signed"
        return ChainStatus.PASS, ""

    def seal(self, one: _Set) -> tuple[ChainStatus, str]:
        """Is the seal with this instance right?  RFC 8617 5.1.1: over all sets up to its own."""
        pieces = [piece for before in self.canonical[: one.instance] for piece in before]
        pieces[-1] = without_b_of(one.fields[2], Form.RELAXED)
        return self._verify(one.seal, CRLF.join(pieces), f"seal with i={one.instance}")

    def oldest_pass(self, hops: dict[int, Hop]) -> int:
        """RFC 8617 5.2, step 5.  Notes in `hops` what is found."""
        for one in reversed(self.sets[:-1]):
            good = self.message(one)[0] is ChainStatus.PASS
            hops[one.instance] = replace(hops[one.instance], message_ok=good)
            if not good:
                return one.instance + 1
        return 0

    def _verify(self, signature: Signature, data: bytes, what: str) -> tuple[ChainStatus, str]:
        if signature.algorithm is Algorithm.RSA_SHA1 and not self.policy.allow_sha1:
            return ChainStatus.FAIL, f"{what}: rsa-sha1 is historic, RFC 8301 3.1"
        answer = self.answers[signature.key_name]
        if answer.failed:
            return ChainStatus.TEMPERROR, f"{what}: no answer for {signature.key_name}: {answer.status}"
        tried = try_keys(answer, signature, digest_of(data, signature.algorithm), self.policy)
        if tried.verified:
            return ChainStatus.PASS, ""
        return ChainStatus.FAIL, f"{what}: " + (tried.trouble or ("does not fit" if tried.key else "no key in DNS"))


class Sealer:
    """Seals for a domain with one key, RFC 8617 5.1.  Key and domain as for a Signer."""

    __slots__ = ("_signer", "headers")

    def __init__(
        self, domain: Domain | str, selector: str, key: SigningKey | object, *, headers: Iterable[str] | None = None
    ) -> None:
        self._signer = Signer(domain, selector, key)
        self.headers = None if headers is None else tuple(name.lower() for name in headers)
        if self.headers is not None and SEAL in self.headers:
            raise ValueError("seals are not signed by the message signature, RFC 8617 4.1.2")

    def seal(
        self, fields: Fields, content: Content, results: AuthenticationResults, chain: Chain, *, now: float
    ) -> bytes:
        """The three fields of our set, with CRLF, for the top of `content`, whose header is `fields`.

        `results` is what we found, `chain` what `plan_verify_chain` said of this message.  Raises CannotSign where
        nobody may add a set: the chain is closed, full, or could not be checked for now."""
        instance = chain.instance + 1
        if chain.closed:
            raise CannotSign("the chain was sealed as failed")
        if chain.status is ChainStatus.TEMPERROR:
            raise CannotSign(f"the chain could not be checked: {chain.reason}")
        if instance > MAX_SETS:
            raise CannotSign(f"a chain has at most {MAX_SETS} sets")
        word = "none" if chain.status is ChainStatus.NONE else str(chain.status)
        stamp = ("t", str(int(now)))
        report = b"ARC-Authentication-Results: i=%d;" % instance + results.field().partition(b":")[2]
        own = Fields.parse(report + CRLF)[0]
        message = self._message(instance, [own, *fields], fields, content, stamp)
        # RFC 8617 5.1.2: with cv=fail a seal covers its own set only.
        sets = [] if chain.status is ChainStatus.FAIL else _read_sets(fields)
        pieces = [relaxed_field(field.raw, field.colon) for one in sets for field in one.fields]
        pieces += [relaxed_field(raw, raw.index(b":")) for raw in (report, message)]
        tags = [("i", str(instance)), ("a", str(self._signer.algorithm)), ("cv", word), *self._names(), stamp]
        return self._finished("ARC-Seal", tags, CRLF.join([*pieces, b""])) + message + report

    def _message(
        self, instance: int, signed: Sequence[Field], fields: Fields, content: Content, stamp: tuple[str, str]
    ) -> bytes:
        body = BodyHash(Form.RELAXED)
        for chunk in content.chunks(fields.end):
            body.feed(chunk)
        headers = self.headers
        if headers is None:
            # RFC 8617 4.1.2: DKIM's fields, and the DKIM signatures themselves.
            headers = signed_names(fields, OVERSIGNED, (*SIGNED_IF_PRESENT, "dkim-signature"))
        start = [("i", str(instance)), ("a", str(self._signer.algorithm)), ("c", "relaxed/relaxed")]
        unsigned = Signature(self._signer.algorithm, self._signer.domain, "", headers, body.finish())
        end = [(name, value) for name, value in unsigned.tags() if name in ("h", "bh")]
        return self._finished(
            "ARC-Message-Signature",
            [*start, *self._names(), stamp, *end],
            signed_header(signed, headers, Form.RELAXED),
        )

    def _names(self) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("d", self._signer.domain.ascii), ("s", self._signer.selector)

    def _finished(self, name: str, tags: Sequence[tuple[str, str]], before: bytes) -> bytes:
        """The field with its b=, which signs `before` and the field itself."""
        unsigned = fold_tags(name, [*tags, ("b", "")])
        digest = digest_of(before + relaxed_field(unsigned, len(name)), self._signer.algorithm)
        signature = Signature(self._signer.algorithm, self._signer.domain, "", (), b"", self._signer.key.sign(digest))
        return fold_tags(name, [*tags, signature.tags()[-1]])
