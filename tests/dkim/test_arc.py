"""RFC 8617: chains hold over hops, break where they should, and end where they must."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dkim import (
    CannotSign,
    Chain,
    ChainStatus,
    KeyRecord,
    KeyType,
    Policy,
    Sealer,
    plan_verify_chain,
    verify_chain,
    verify_chain_sync,
)
from mox_dkim.policy import BodyLength
from mox_dkim.testing.signing import MESSAGE, NOW, key
from mox_dns import Domain, Zone, run_blocking
from mox_message import AuthenticationResults, Content, Fields, MethodResult

RECORD = str(KeyRecord.of(key()))
FOUND = AuthenticationResults(
    "mx.example.net", (MethodResult("dkim", "pass", properties=(("header", "d", "a.example"),)),)
)


def zone(*domains: str) -> Zone:
    return Zone({f"sel._domainkey.{domain} TXT": [RECORD] for domain in domains or ("one.example", "two.example")})


def sealed(message: bytes, domain: str, chain: Chain | None = None) -> bytes:
    chain = chain or verify_chain_sync(message, zone())
    fields = Fields.parse(message)
    return Sealer(domain, "sel", key()).seal(fields, Content.of(message), FOUND, chain, now=NOW) + message


ONE = sealed(MESSAGE, "one.example")
TWO = sealed(ONE, "two.example")


def test_no_chain() -> None:
    chain = verify_chain_sync(MESSAGE, zone())
    assert (chain.status, chain.instance, chain.hops) == (ChainStatus.NONE, 0, ())
    assert chain.method_result().result == "none"


# RFC 8617 5.1 and 5.2
def test_two_hops() -> None:
    known = zone()
    chain = verify_chain_sync(TWO, known)
    assert chain.status is ChainStatus.PASS, chain.explain()
    assert (chain.instance, chain.oldest_pass, chain.closed) == (2, 0, False)
    assert [(hop.instance, str(hop.domain), hop.chain) for hop in chain.hops] == [
        (1, "one.example", "none"),
        (2, "two.example", "pass"),
    ]
    assert all(hop.seal_ok and hop.message_ok for hop in chain.hops)
    assert chain.hops[0].results == FOUND
    assert len(known.asked) == 2
    assert chain.to_dict()["status"] == "pass"
    assert "2: two.example (sel) cv=pass; seal good, message good" in chain.explain()
    field = AuthenticationResults("x.example", (chain.method_result(),)).field()
    assert b"arc=pass" in field
    assert b"header.oldest-pass=0" in field


def test_spellings_agree() -> None:
    blocking = verify_chain_sync(TWO, zone())
    assert asyncio.run(verify_chain(TWO, zone())) == blocking
    plan = plan_verify_chain(Content.of(TWO), Fields.parse(TWO))
    assert run_blocking(plan, zone()).value == blocking


def test_a_changed_message_passes_where_a_later_hop_signed_the_change() -> None:
    changed = ONE.replace(b"Subject: ", b"Subject: [list] ")
    chain = verify_chain_sync(changed, zone())
    assert chain.status is ChainStatus.FAIL
    # A hop that found the chain good, and changed the message before it sealed:
    again = sealed(changed, "two.example", verify_chain_sync(ONE, zone()))
    chain = verify_chain_sync(again, zone())
    assert chain.status is ChainStatus.PASS, chain.explain()
    assert chain.oldest_pass == 2
    assert [hop.message_ok for hop in chain.hops] == [False, True]


CHANGES = {
    "the body": (b"Bye.", b"Buy."),
    "a signed field": (b"To: bob", b"To: eve"),
    "what an earlier hop found": (b"i=1; mx.example.net", b"i=1; mx.example.org"),
    "what the last hop found": (b"i=2; mx.example.net", b"i=2; mx.example.org"),
    "an earlier seal": (b"cv=none; d=one.example", b"cv=none; d=two.example"),
    "cv of the first": (b"cv=none", b"cv=pass"),
    "cv of the second": (b"cv=pass", b"cv=none"),
    "an instance": (b"ARC-Seal: i=2", b"ARC-Seal: i=3"),
    "instance 0": (b"ARC-Seal: i=2", b"ARC-Seal: i=0"),
    "instance 51": (b"ARC-Seal: i=2", b"ARC-Seal: i=51"),
    "a doubled instance": (b"ARC-Seal: i=2", b"ARC-Seal: i=1"),
    "a seal with h=": (b"ARC-Seal: i=2;", b"ARC-Seal: i=2; h=from;"),
    "a seal without cv=": (b"cv=pass;", b""),
    "a signature over seals": (b"h=from:", b"h=arc-seal:from:"),
    "sha1": (b"ARC-Seal: i=2; a=ed25519-sha256", b"ARC-Seal: i=2; a=rsa-sha1"),
}


# RFC 8617 4.1.2 and 4.1.3
@pytest.mark.parametrize("old, new", CHANGES.values(), ids=CHANGES)
def test_changes_break_it(old: bytes, new: bytes) -> None:
    assert old in TWO
    chain = verify_chain_sync(TWO.replace(old, new, 1), zone())
    assert chain.status is ChainStatus.FAIL, chain.explain()
    assert chain.reason


# RFC 8617 5.2
@pytest.mark.parametrize("kind", [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"])
def test_a_missing_or_doubled_field_breaks_it(kind: bytes) -> None:
    field = next(field.raw for field in Fields.parse(TWO) if field.raw.startswith(kind + b": i=1"))
    assert verify_chain_sync(TWO.replace(field, b""), zone()).status is ChainStatus.FAIL
    assert verify_chain_sync(field + TWO, zone()).status is ChainStatus.FAIL


def test_keys() -> None:
    assert verify_chain_sync(TWO, zone("two.example")).status is ChainStatus.FAIL
    late = Zone({"sel._domainkey.one.example TXT": "TIMEOUT", "sel._domainkey.two.example TXT": [RECORD]})
    chain = verify_chain_sync(TWO, late)
    assert chain.status is ChainStatus.TEMPERROR
    with pytest.raises(CannotSign, match="could not be checked"):
        sealed(TWO, "two.example", chain)


def test_a_broken_newest_signature_asks_for_no_older_key() -> None:
    known = zone()
    verify_chain_sync(TWO.replace(b"Bye", b"Buy"), known)
    assert [question.name for question in known.asked] == ["sel._domainkey.two.example"]


# RFC 8617 5.1.2
def test_a_failed_chain_is_sealed_once_as_failed_5_1_2() -> None:
    broken = TWO.replace(b"Bye", b"Buy")
    closed = sealed(broken, "two.example")
    seal = Fields.parse(closed)[0]
    assert (seal.name, b"cv=fail" in seal.raw, b"i=3" in seal.raw) == ("arc-seal", True, True)
    chain = verify_chain_sync(closed, zone())
    assert (chain.status, chain.closed) == (ChainStatus.FAIL, True)
    assert "sealed the chain as failed" in chain.reason
    with pytest.raises(CannotSign, match="failed"):
        sealed(closed, "one.example", chain)
    # Also where the structure is broken, so that the sets cannot be read as a chain.
    odd = closed.replace(b"ARC-Message-Signature: i=1", b"X-Gone: i=1")
    assert verify_chain_sync(odd, zone()).closed


# RFC 8617 4.2.1
def test_at_most_fifty_sets() -> None:
    chain = Chain(ChainStatus.PASS, "", instance=50)
    with pytest.raises(CannotSign, match="50"):
        sealed(MESSAGE, "one.example", chain)
    flood = b"".join(b"ARC-Seal: i=%d; cv=none\r\n" % (n % 50 + 1) for n in range(60)) + MESSAGE
    assert "more than 50" in verify_chain_sync(flood, zone()).reason


def test_length_tags_are_judged_by_the_policy() -> None:
    assert verify_chain_sync(ONE.replace(b"h=from", b"l=1; h=from"), zone()).status is ChainStatus.FAIL
    policy = Policy(body_length=BodyLength.REFUSE)
    chain = verify_chain_sync(ONE.replace(b"h=from", b"l=1; h=from"), zone(), policy=policy)
    assert "l= leaves" in chain.reason
    assert verify_chain_sync(ONE, zone(), policy=policy).status is ChainStatus.PASS


def test_rsa_and_chosen_headers() -> None:
    sealer = Sealer(Domain("one.example"), "rsa", key(KeyType.RSA), headers=("From", "DKIM-Signature"))
    made = sealer.seal(Fields.parse(MESSAGE), Content.of(MESSAGE), FOUND, Chain(ChainStatus.NONE, ""), now=NOW)
    assert re.search(rb"h=from:\s*dkim-signature;", made)
    known = Zone({"rsa._domainkey.one.example TXT": [str(KeyRecord.of(key(KeyType.RSA)))]})
    assert verify_chain_sync(made + MESSAGE, known).status is ChainStatus.PASS
    with pytest.raises(ValueError, match="seals"):
        Sealer("one.example", "rsa", key(), headers=("ARC-Seal",))


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"]),
            st.one_of(
                st.binary(max_size=80), st.sampled_from([b"i=1; a.example; none", b"i=1; cv=none; a=rsa-sha256"])
            ),
        ),
        max_size=6,
    )
)
def test_hostile_fields_never_raise_and_never_pass(parts: list[tuple[bytes, bytes]]) -> None:
    message = b"".join(name + b": " + value + b"\r\n" for name, value in parts) + MESSAGE
    chain = verify_chain_sync(message, zone())
    assert chain.status in (ChainStatus.NONE, ChainStatus.FAIL)
    assert chain.explain()
