"""Who wants reports: RFC 8460 3."""

from __future__ import annotations

import asyncio

import pytest

from mox_dns import DomainSyntaxError, Zone
from mox_tlsrpt import Mailto, Status, lookup, lookup_sync, plan_lookup

TXT = "_smtp._tls.a.example TXT"
CASES: dict[str, tuple[dict[str, object], Status, str]] = {
    "a record": ({TXT: ["v=TLSRPTv1; rua=mailto:a@b.example"]}, Status.FOUND, "1 places"),
    "beside others": ({TXT: ["v=spf1", "v=TLSRPTv1; rua=mailto:a@b.example"]}, Status.FOUND, "1 places"),
    "nowhere we know": ({TXT: ["v=TLSRPTv1; rua=tel:1"]}, Status.FOUND, "0 places"),
    "none": ({}, Status.NONE, "no TLSRPT record"),
    "two": ({TXT: ["v=TLSRPTv1; rua=mailto:a@b.example"] * 2}, Status.NONE, "2 TLSRPT records"),
    "wrong": ({TXT: ["v=TLSRPTv1; rua=b"]}, Status.NONE, "wrong at character 17"),
    "no answer": ({TXT: "TIMEOUT"}, Status.TEMPERROR, "no answer: timeout"),
    "forged": ({TXT: "BOGUS"}, Status.TEMPERROR, "no answer: bogus"),
}


@pytest.mark.parametrize("records, status, reason", CASES.values(), ids=CASES)
def test_lookup(records: dict[str, object], status: Status, reason: str) -> None:
    zone = Zone(records)  # type: ignore[arg-type]
    found = lookup_sync("A.example", zone)
    assert found.status is status
    assert reason in found.reason
    assert found.reason in found.explain()
    assert found.to_dict()["status"] == status.value
    assert asyncio.run(lookup("a.example", zone)) == found
    assert (found.record is not None) == (status is Status.FOUND)


def test_destinations() -> None:
    found = lookup_sync("a.example", Zone({TXT: ["v=TLSRPTv1; rua=mailto:a@b.example,tel:1"]}))
    assert found.destinations == (Mailto("a@b.example"),)
    assert found.explain().endswith("\n  to a@b.example")
    assert lookup_sync("b.example", Zone({})).destinations == ()


def test_hostile_texts_are_shown_as_ascii() -> None:
    shown = lookup_sync("a.example", Zone({TXT: [b"v=TLSRPTv1; \x1b[31m\xff\n"]})).explain()
    assert shown.isascii()
    assert shown.count("\n") == 2


def test_names() -> None:
    name = ".".join(["a" * 63] * 3 + ["b" * 56])
    assert lookup_sync(name, Zone({})).status is Status.NONE
    with pytest.raises(DomainSyntaxError):
        plan_lookup("a..b")
