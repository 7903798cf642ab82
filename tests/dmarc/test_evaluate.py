"""RFC 9989 5.3: passes and a record make a verdict."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mox_dmarc import Mode, Pass, Request, Status, Verdict, author_domain, check, check_sync
from mox_dns import Domain, Zone
from mox_message import AuthenticationResults, Fields, from_address

P = "v=DMARC1; p=reject"


def judge(header_from: Any, passed: list[str], record: Any, **options: Any) -> Verdict:
    zone = Zone({"_dmarc.example.com TXT": record} if record else {})
    passes = [Pass(text.partition(":")[0], Domain.parse(text.partition(":")[2])) for text in passed]
    options.setdefault("organization", lambda domain: Domain(".".join(domain.labels[-2:])))
    verdict = check_sync(header_from, passes, zone, **options)
    assert asyncio.run(check(header_from, passes, zone, **options)) == verdict
    return verdict


# passes, record, options, status, disposition
CASES = {
    "aligned by DKIM": (["dkim:example.com"], P, {}, "pass", "none"),
    "aligned by SPF": (["spf:example.com"], P, {}, "pass", "none"),
    "one of several is enough": (["dkim:a.example", "spf:example.com"], P, {}, "pass", "none"),
    "nothing passed": ([], P, {}, "fail", "reject"),
    "nothing aligned": (["dkim:example.net"], P, {}, "fail", "reject"),
    "quarantine": ([], "v=DMARC1; p=quarantine", {}, "fail", "quarantine"),
    "p=none": ([], "v=DMARC1; p=none", {}, "fail", "none"),
    "test mode lowers by one, 4.7": ([], P + "; t=y", {}, "fail", "quarantine"),
    "test mode, quarantine": ([], "v=DMARC1; p=quarantine; t=y", {}, "fail", "none"),
    "pct is historic": ([], P + "; pct=0", {"sample": 0.99}, "fail", "reject"),
    "no record": (["dkim:example.com"], None, {}, "none", "none"),
    "no policy and no rua, 4.10.1": (["dkim:example.com"], "v=DMARC1; p=x", {}, "none", "none"),
    "no policy but a rua, 4.10.1": ([], "v=DMARC1; p=x; rua=mailto:a@b.example", {}, "fail", "none"),
    "DNS does not answer": (["dkim:example.com"], "TIMEOUT", {}, "temperror", "none"),
    "SPF or DKIM not known for now, 5.3.6": ([], P, {"temporary": True}, "temperror", "none"),
    "not known, but something is aligned": (["spf:example.com"], P, {"temporary": True}, "pass", "none"),
    "7489: pct, in the sample": ([], P + "; pct=20", {"mode": Mode.RFC7489, "sample": 0.19}, "fail", "reject"),
    "7489: pct, not in it": ([], P + "; pct=20", {"mode": Mode.RFC7489, "sample": 0.2}, "fail", "quarantine"),
    "7489: pct without a sample": ([], P + "; pct=20", {"mode": Mode.RFC7489}, "fail", "reject"),
    "7489: t is unknown": ([], P + "; t=y", {"mode": Mode.RFC7489}, "fail", "reject"),
}


# RFC 9989 5.3.6, RFC 7489 6.6.4
@pytest.mark.parametrize("passed, record, options, status, disposition", CASES.values(), ids=CASES)
def test_verdicts(
    passed: list[str], record: str | None, options: dict[str, Any], status: str, disposition: str
) -> None:
    verdict = judge("example.com", passed, record, **options)
    assert (verdict.status, verdict.disposition) == (status, disposition), verdict.explain()
    assert verdict.to_dict()["status"] == status
    assert verdict.explain().startswith(f"dmarc={status}: ")


FROMS = {
    "an address": ("a@Example.COM", "pass"),
    "a domain": ("example.com", "pass"),
    "a Domain": (Domain("example.com"), "pass"),
    "two addresses in one domain": (["a@example.com", "b@example.com"], "pass"),
    "two domains": (["a@example.com", "b@example.net"], "permerror"),
    "none": ([], "permerror"),
    "no domain in it": ("a@-", "permerror"),
    "nothing in it": ("", "permerror"),
}


# RFC 9989 5.3.1
@pytest.mark.parametrize("header_from, status", FROMS.values(), ids=FROMS)
def test_zero_one_and_many_from_are_stated_5_3_1(header_from: Any, status: str) -> None:
    verdict = judge(header_from, ["dkim:example.com"], P)
    assert verdict.status == status, verdict.explain()
    assert verdict.disposition is Request.NONE


@pytest.mark.parametrize(
    "header, status",
    {
        b"From: Ann <ann@example.com>\r\n": "pass",
        b"Subject: x\r\n": "permerror",
        b"From: a@example.com\r\nFrom: b@example.com\r\n": "permerror",
        b"From: a@example.com, b@example.com\r\n": "permerror",
        b"From: nobody\r\n": "permerror",
        b"From: a@[192.0.2.1]\r\n": "permerror",
    }.items(),
)
def test_the_from_of_a_message(header: bytes, status: str) -> None:
    verdict = judge(from_address(Fields.parse(header + b"\r\n")), ["dkim:example.com"], P)
    assert verdict.status == status
    assert verdict.method_result().result == status


# RFC 8601 2.7.1, RFC 9989 9.2
def test_result_for_the_header() -> None:
    field = AuthenticationResults("mx.example.net", (judge("example.com", [], P).method_result(),)).field()
    assert b"dmarc=fail (p=reject dis=reject)" in field
    assert b"header.from=example.com" in field


def test_author_domain_in_unicode() -> None:
    assert author_domain("x@bücher.example") == Domain("xn--bcher-kva.example")


def test_verdict_names_what_counted() -> None:
    verdict = judge("a@x.example.com", ["spf:example.net", "dkim:y.example.com"], P)
    assert verdict.status is Status.PASS
    assert (verdict.policy_domain, verdict.organizational) == (Domain("example.com"), Domain("example.com"))
    assert [one.domain for one in verdict.aligned] == [Domain("y.example.com")]
    assert verdict.aligned_by("dkim")
    assert not verdict.aligned_by("spf")
    assert [step.question.name for step in verdict.trace] == [
        "_dmarc.x.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
        "_dmarc.y.example.com",
    ]


def test_many_passes_do_not_make_many_walks() -> None:
    verdict = judge("example.com", [f"dkim:a{n}.example.com" for n in range(100)], "v=DMARC1; p=none; psd=n; adkim=s")
    assert len(verdict.alignments) == 16
