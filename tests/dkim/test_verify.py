"""RFC 6376 6: what becomes of a signature, and what the result tells of it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mox_dkim import (
    Algorithm,
    BodyLength,
    Form,
    KeyRecord,
    KeyType,
    Policy,
    Result,
    Signature,
    Status,
    Verifier,
    plan_verify,
    plan_verify_chain,
    settle,
    settle_sync,
    verify,
    verify_sync,
)
from mox_dkim.canonical import canonical_body, relaxed_field, signed_header
from mox_dkim.testing.signing import MESSAGE, NOW, key, signed, signer, zone
from mox_dns import Domain, Zone, run_blocking
from mox_message import AuthenticationResults, Content, Fields

SIGNED = signed()


def check(message: bytes = SIGNED, known: Zone | None = None, *, now: float = NOW, **policy: Any) -> list[Result]:
    return verify_sync(message, known or zone(), policy=Policy(**policy), now=now)


def forge(**changes: Any) -> bytes:
    """A message with a sound signature that says what a Signer would not."""
    body = MESSAGE[MESSAGE.index(b"\r\n\r\n") + 4 :]
    canonical = canonical_body(body, Form.RELAXED)
    length = changes.get("length")
    unsigned = Signature(
        Algorithm.ED25519_SHA256,
        Domain("example.org"),
        "sel",
        ("from", "to", "subject"),
        hashlib.sha256(canonical[:length]).digest(),
        b"",
        Form.RELAXED,
        Form.RELAXED,
    )
    unsigned = replace(unsigned, **changes)
    raw = unsigned.field()
    signing = signed_header(Fields.parse(MESSAGE), unsigned.headers, Form.RELAXED) + relaxed_field(raw, raw.index(b":"))
    made = replace(unsigned, signature=key().sign(hashlib.sha256(signing).digest()))
    return made.field() + MESSAGE


def test_a_pass_and_what_it_tells() -> None:
    (result,) = check()
    assert result.status is Status.PASS
    assert (result.domain, result.selector, result.identity) == (Domain("example.org"), "sel", "@example.org")
    assert (result.header_ok, result.body_ok, result.index) == (True, True, 0)
    assert (result.algorithm, result.key_bits, result.testing) == ("ed25519-sha256", 256, False)
    assert result.body_signed == result.body_size == len(b"Hello, Bob.\r\n\r\nBye.\r\n")
    assert (result.signed_at, result.expires_at) == (NOW, None)
    assert result.signature_prefix == re.sub(rb"\s", b"", SIGNED.split(b" b=")[1])[:8].decode()
    assert [step.question.name for step in result.trace] == ["sel._domainkey.example.org"]
    assert result.to_dict()["status"] == "pass"
    assert "dkim=pass: signed by example.org" in result.explain()


# RFC 8601 2.7.1, RFC 6008
def test_results_for_the_header() -> None:
    good, bad = check()[0].method_result(), check(SIGNED.replace(b"Bye", b"Buy"))[0].method_result()
    field = AuthenticationResults("mx.example.net", (good, bad)).field()
    read = AuthenticationResults.parse(Fields.parse(field + b"\r\n")[0].text)
    assert [(one.method, one.result) for one in read.results] == [("dkim", "pass"), ("dkim", "fail")]
    assert read.results[0].comment == "256-bit key"
    assert ("header", "d", "example.org") in read.results[0].properties
    assert read.results[1].reason == "the body was changed"


def test_no_signature_reads_and_asks_nothing() -> None:
    class Unreadable(Content):
        __slots__ = ()
        size = 1000

        def read(self, start: int = 0, stop: int | None = None) -> bytes:
            raise AssertionError("read")

    assert plan_verify(Unreadable(), Fields.parse(MESSAGE), now=NOW) == []
    assert check(MESSAGE) == []


CHANGED = {
    "a signed field": (b"Subject: a", b"Subject: b", False, True),
    "a field above": (b"From: Ann", b"From: Eve", False, True),
    "a second field of an oversigned name": (b"To: bob", b"Cc: eve@example.net\r\nTo: bob", False, True),
    "a second From": (b"From: Ann", b"From: eve@example.net\r\nFrom: Ann", False, True),
    "the body": (b"Bye.", b"Buy.", True, False),
    "both": (b"Subject: a subject\r\n\tin two lines\r\n", b"", False, True),
    "the signature's own tags": (b"t=1700000000", b"t=1700000001", False, True),
    "b= itself": (b" b=", b" b=AAAA", False, True),
}


@pytest.mark.parametrize("old, new, header_ok, body_ok", CHANGED.values(), ids=CHANGED)
def test_changes_are_seen(old: bytes, new: bytes, header_ok: bool, body_ok: bool) -> None:
    assert old in SIGNED
    (result,) = check(SIGNED.replace(old, new, 1))
    assert result.status is Status.FAIL, result.explain()
    assert (result.header_ok, result.body_ok) == (header_ok, body_ok)


UNCHANGED = {
    "folding": (b"\r\n\tin two", b" in two"),
    "white space in the body": (b"Hello,  Bob.", b"Hello, \t Bob.  "),
    "lines at the end": (b"Bye.\r\n", b"Bye.\r\n\r\n\r\n"),
    "an unsigned field": (b"From:", b"Received: from x\r\nFrom:"),
    "case of names": (b"Subject:", b"SUBJECT :"),
}


@pytest.mark.parametrize("old, new", UNCHANGED.values(), ids=UNCHANGED)
def test_what_relaxed_does_not_see(old: bytes, new: bytes) -> None:
    assert old in SIGNED
    (result,) = check(SIGNED.replace(old, new, 1))
    assert result.status is Status.PASS, result.explain()


P = str(KeyRecord.of(key())).rpartition("p=")[2]

# record text(s) or failure -> status, words of the reason
KEYS: dict[str, tuple[Any, str, str]] = {
    "no record": ([], "permerror", "no key at"),
    "no answer": ("TIMEOUT", "temperror", "timeout"),
    "servers fail": ("SERVFAIL", "temperror", "servfail"),
    "forged answer": ("BOGUS", "temperror", "bogus"),
    "revoked, 3.6.1": (["v=DKIM1; k=ed25519; p="], "permerror", "revoked"),
    "no key record": (["v=spf1 -all"], "permerror", "key record"),
    "no p": (["v=DKIM1; k=ed25519"], "permerror", "p= is missing"),
    "k of another kind": ([f"v=DKIM1; k=rsa; p={P}"], "permerror", "k=rsa"),
    "k by default": ([f"v=DKIM1; p={P}"], "permerror", "k=rsa"),
    "a broken key": (["v=DKIM1; k=ed25519; p=YWFh"], "permerror", "32 octets"),
    "h without sha256": ([f"v=DKIM1; h=sha1; k=ed25519; p={P}"], "permerror", "h= does not allow sha256"),
    "h with it": ([f"v=DKIM1; h=sha1:sha256; k=ed25519; p={P}"], "pass", ""),
    "s for another service": ([f"v=DKIM1; s=tlsrpt; k=ed25519; p={P}"], "permerror", "s= does not allow mail"),
    "s for mail": ([f"v=DKIM1; s=tlsrpt:email; k=ed25519; p={P}"], "pass", ""),
    "t=s, same domain": ([f"v=DKIM1; t=s; k=ed25519; p={P}"], "pass", ""),
    "another key": (["v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(31) + b"\1").decode()], "fail", "another key"),
    "the second fits, 6.1.2": ([f"v=DKIM1; k=rsa; p={P}", f"v=DKIM1; k=ed25519; p={P}"], "pass", ""),
    "the fourth is not tried": (["v=DKIM1; p="] * 3 + [f"v=DKIM1; k=ed25519; p={P}"], "permerror", "revoked"),
}


# RFC 6376 6.1.2 and 6.1.3
@pytest.mark.parametrize("records, status, why", KEYS.values(), ids=KEYS)
def test_keys(records: Any, status: str, why: str) -> None:
    known = Zone({"sel._domainkey.example.org TXT": records} if records else {})
    (result,) = check(known=known)
    assert result.status == status, result.explain()
    assert why in result.reason
    if isinstance(records, list) and len(records) > 1:
        assert any("records for one selector" in warning for warning in result.warnings)


# RFC 6376 3.6.1
def test_t_s_needs_the_same_domain() -> None:
    message = signed(by=signer(identity="@sub.example.org"))
    assert check(message)[0].status is Status.PASS
    (result,) = check(message, zone(text=f"v=DKIM1; t=s; k=ed25519; p={P}"))
    assert result.status is Status.PERMERROR
    assert "t=s" in result.reason


def test_test_mode_makes_a_failure_none_3_6_1() -> None:
    known = zone(text=f"v=DKIM1; t=y; k=ed25519; p={P}")
    (result,) = check(SIGNED, known)
    assert (result.status, result.testing) == (Status.PASS, True)
    (result,) = check(SIGNED.replace(b"Bye", b"Buy"), known)
    assert (result.status, result.testing, result.body_ok) == (Status.NONE, True, False)
    assert "test mode" in result.reason


# what the signature says -> policy, status, words of the reason; nothing is asked of DNS for those that end here
REFUSED: dict[str, tuple[bytes, dict[str, Any], str, str]] = {
    "From not signed, 6.1.1": (forge(headers=("to", "subject")), {}, "permerror", "From is not signed"),
    "only another query method": (forge(query=("x-other",)), {}, "permerror", "x-other"),
    "expired": (forge(expires_at=NOW - 60), {}, "permerror", "expired 60 seconds ago"),
    "Subject not signed, required": (
        forge(headers=("from",)),
        {"required": ("subject",)},
        "policy",
        "subject not signed",
    ),
    "l= refused": (forge(length=5), {"body_length": BodyLength.REFUSE}, "policy", "l="),
    "endless h=": (forge(headers=("from",) * 600), {}, "policy", "600 fields"),
    "a domain nobody owns": (
        forge(),
        {"refused_domain": lambda domain: domain == Domain("example.org")},
        "policy",
        "own",
    ),
    "sha1, RFC 8301": (forge(algorithm=Algorithm.RSA_SHA1), {}, "permerror", "historic"),
}


# RFC 6376 6.1.1, RFC 8301 3.1
@pytest.mark.parametrize("message, policy, status, why", REFUSED.values(), ids=REFUSED)
def test_refused_before_dns(message: bytes, policy: dict[str, Any], status: str, why: str) -> None:
    known = zone()
    (result,) = check(message, known, **policy)
    assert result.status == status, result.explain()
    assert why in result.reason
    assert known.asked == []
    assert result.domain == Domain("example.org")


def test_what_is_no_signature_is_told_as_well() -> None:
    (result,) = check(SIGNED.replace(b"v=1;", b"v=7;"))
    assert (result.status, result.domain, result.selector) == (Status.PERMERROR, Domain("example.org"), "sel")
    (result,) = check(b"DKIM-Signature: nonsense\r\n" + MESSAGE)
    assert (result.status, result.domain) == (Status.PERMERROR, None)


LENGTHS = {
    "part, accepted": (5, BodyLength.ACCEPT, "pass"),
    "part, by default": (5, BodyLength.WHOLE, "policy"),
    "whole, by default": (21, BodyLength.WHOLE, "pass"),
    "nothing, accepted": (0, BodyLength.ACCEPT, "pass"),
    "more than there is, 3.5": (22, BodyLength.ACCEPT, "permerror"),
}


@pytest.mark.parametrize("length, treatment, status", LENGTHS.values(), ids=LENGTHS)
def test_l_tag(length: int, treatment: BodyLength, status: str) -> None:
    (result,) = check(forge(length=length), body_length=treatment)
    assert result.status == status, result.explain()
    assert (result.body_signed, result.body_size) == (min(length, 21), 21)
    assert any(f"l={length}" in warning for warning in result.warnings)


# RFC 6376 8.2
def test_text_added_behind_l_is_never_silent() -> None:
    message = forge(length=21) + b"Buy now!\r\n"
    assert check(message)[0].status is Status.POLICY
    (result,) = check(message, body_length=BodyLength.ACCEPT)
    assert result.status is Status.PASS
    assert (result.body_signed, result.body_size) == (21, 31)
    assert "only 21 of 31 octets" in result.explain()


def test_key_sizes() -> None:
    message = signed(by=signer(type=KeyType.RSA))
    assert check(message, zone(KeyType.RSA))[0].status is Status.PASS
    (result,) = check(message, zone(KeyType.RSA), min_rsa_bits=3072)
    assert result.status is Status.PERMERROR
    assert "2048 bits" in result.reason


# A key of 512 bits, made for this test, and nothing else is done with it.
SHORT = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf"
    "9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
)


# RFC 8301 3.2
def test_keys_below_1024_bits_never_count_8301() -> None:
    message = signed(by=signer(type=KeyType.RSA))
    (result,) = check(message, zone(text=f"v=DKIM1; p={SHORT}"))
    assert result.status is Status.PERMERROR
    assert "512 bits" in result.reason


def test_only_so_many_signatures() -> None:
    field = SIGNED[: SIGNED.index(b"From: Ann")]
    known = zone()
    results = check(field * 6 + MESSAGE, known, max_signatures=3)
    assert len(results) == 3
    assert [result.index for result in results] == [0, 1, 2]
    assert all("only the first 3" in result.warnings[0] for result in results)
    assert len(known.asked) == 3


HOSTILE = {
    "ten thousand signatures": b"DKIM-Signature: v=1; h=from; b=YWFh\r\n" * 10_000,
    "ten thousand seals": b"ARC-Seal: i=1; cv=none\r\n" * 10_000,
    "a list of names without end": b"DKIM-Signature: v=1; h=" + b"from:" * 12_000 + b"\r\n",
    "colons and spaces": b"DKIM-Signature: v=1; h=" + b": " * 30_000 + b"\r\n",
    "semicolons": b"DKIM-Signature: " + b"; " * 30_000 + b"\r\n",
    "spaces": b"DKIM-Signature: v=1; b" + b" " * 60_000 + b"=\r\n",
    "folds": b"DKIM-Signature: v=1; b=" + b"A\r\n " * 15_000 + b"\r\n",
    "a huge field": b"DKIM-Signature: v=1; n=" + b"x" * 900_000 + b"\r\n",
    "equal signs": b"DKIM-Signature: i=" + b"=20" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_take_little_time(header: bytes) -> None:
    message = header + MESSAGE
    fields, content = Fields.parse(message), Content.of(message)
    started = time.process_time()
    for _ in range(5):
        settle_sync(plan_verify(content, fields, now=NOW), zone())
        run_blocking(plan_verify_chain(content, fields), zone())
    assert (time.process_time() - started) / 5 < 0.2


def test_a_clock_ahead_draws_a_warning() -> None:
    (result,) = check(now=NOW - 3600)
    assert result.status is Status.PASS
    assert "t= is 3600 seconds in the future" in result.warnings


def test_dnssec_is_told() -> None:
    known = zone()
    known.authentic = True
    assert check(known=known)[0].authentic


def test_three_spellings_agree(tmp_path: Path) -> None:
    blocking = verify_sync(SIGNED, zone(), now=NOW)
    assert asyncio.run(verify(SIGNED, zone(), now=NOW)) == blocking
    assert settle_sync(plan_verify(Content.of(SIGNED), Fields.parse(SIGNED), now=NOW), zone()) == blocking
    path = tmp_path / "m.eml"
    path.write_bytes(SIGNED)
    assert verify_sync(path, zone(), now=NOW) == blocking
    assert verify_sync(Content.of(SIGNED), zone())[0].status is Status.PASS  # the clock's time

    async def fed() -> list[Result]:
        verifier = Verifier(now=NOW)
        verifier.feed(SIGNED)
        return await settle(verifier.finish(), zone())

    assert asyncio.run(fed()) == blocking


@settings(max_examples=100)
@given(st.lists(st.integers(0, len(SIGNED))))
@example([])
@example(list(range(len(SIGNED))))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    verifier = Verifier(now=NOW)
    edges = [0, *sorted(cuts), len(SIGNED)]
    for start, stop in pairwise(edges):
        verifier.feed(SIGNED[start:stop])
    assert settle_sync(verifier.finish(), zone()) == check()


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"\r", b"\n", b"\r\nbody", b"no header", b"\rx: y\r\n\r\nz", b"A: b"]
)
def test_odd_messages_in_pieces(message: bytes) -> None:
    for size in (1, 2, 100):
        verifier = Verifier(now=NOW)
        for at in range(0, len(message), size):
            verifier.feed(message[at : at + size])
        assert verifier.finish() == []


def test_one_reading_for_several_hashes() -> None:
    message = signed(signed(signed(), signer(body_form=Form.SIMPLE)), signer(type=KeyType.RSA, selector="rsa"))
    known = zone()
    known.add("rsa._domainkey.example.org TXT", [str(KeyRecord.of(key(KeyType.RSA)))])
    reads = []

    class Counting(Content):
        __slots__ = ()

        def __init__(self) -> None:
            self.size = len(message)

        def read(self, start: int = 0, stop: int | None = None) -> bytes:
            reads.append(start)
            return message[start:stop]

    plans = plan_verify(Counting(), Fields.parse(message), now=NOW)
    assert reads == []
    results = settle_sync(plans, known)
    assert [result.status for result in results] == [Status.PASS] * 3
    assert len(reads) == 1


@settings(max_examples=200)
@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_any_changed_octet_fails_or_means_the_same(at: int, flip: int) -> None:
    changed = bytearray(SIGNED)
    changed[at] ^= flip
    results = check(bytes(changed))
    if any(result.status is Status.PASS for result in results):
        # White space that relaxed does not see, or the case of a name: then the canonical text is the same.
        before, after = Fields.parse(SIGNED), Fields.parse(bytes(changed))
        names = Signature.parse(before[0].value).headers
        assert signed_header(before, names, Form.RELAXED) == signed_header(after, names, Form.RELAXED)
        assert canonical_body(SIGNED[before.end :], Form.RELAXED) == canonical_body(
            bytes(changed[after.end :]), Form.RELAXED
        )


@settings(max_examples=200)
@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=60))
def test_hostile_octets_never_raise(value: bytes, rest: bytes, record: bytes) -> None:
    message = b"DKIM-Signature: " + value + b"\r\n" + rest
    known = Zone({"sel._domainkey.example.org TXT": [record]})
    for result in check(message, known) + check(SIGNED, known):
        assert result.status is not Status.PASS
        result.explain()
        result.to_dict()


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from([b"To", b"Subject", b"X-Y"]), st.binary(max_size=40)), max_size=6),
    st.binary(max_size=400),
    st.sampled_from(list(Form)),
    st.sampled_from(list(Form)),
)
def test_what_is_signed_verifies(
    fields: list[tuple[bytes, bytes]], body: bytes, header_form: Form, body_form: Form
) -> None:
    header = b"".join(name + b": " + re.sub(rb"[\r\n]", b"", value) + b"\r\n" for name, value in fields)
    message = b"From: a@example.org\r\n" + header + b"\r\n" + body
    by = signer(header_form=header_form, body_form=body_form)
    (result,) = check(signed(message, by))
    assert result.status is Status.PASS, result.explain()
