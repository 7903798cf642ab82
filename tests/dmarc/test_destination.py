"""RFC 9990 4: may reports be sent where a record says?  What is asked, and what becomes of each address."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mox_dmarc import (
    Discovery,
    Mode,
    Permission,
    addresses,
    check_destinations,
    check_destinations_sync,
    plan_discover,
)
from mox_dmarc.destination import MAX_DESTINATIONS, Destination
from mox_dns import Domain, Zone, run_blocking


def two_labels(domain: Domain) -> Domain | None:
    return Domain(".".join(domain.labels[-2:])) if len(domain.labels) > 1 else None


def find(author: str, zone: Zone, mode: Mode = Mode.RFC9989) -> Discovery:
    return run_blocking(plan_discover(Domain.parse(author), mode, organization=two_labels), zone).value


def check(
    rua: str, records: dict[str, Any] | None = None, mode: Mode = Mode.RFC9989, author: str = "blue.example.com"
) -> tuple[tuple[Destination, ...], list[str]]:
    zone = Zone({f"_dmarc.{author} TXT": [f"v=DMARC1; p=none; rua={rua}"]})
    for name, value in (records or {}).items():
        zone.add(f"{name} TXT", value)
    found = find(author, zone, mode)
    zone.asked.clear()
    return check_destinations_sync(found, zone), [question.name for question in zone.asked]


ASKED = "blue.example.com._report._dmarc.red.example.net"
YES = ["v=DMARC1"]

# rua=, what DNS has -> what becomes of it, where to send
CASES: dict[str, tuple[str, dict[str, Any], Permission, list[str]]] = {
    "the same domain": ("mailto:a@blue.example.com", {}, Permission.OWN, ["mailto:a@blue.example.com"]),
    "the same organization, by its record": (
        "mailto:a@example.com", {"_dmarc.example.com": ["v=DMARC1; p=none"]}, Permission.OWN, ["mailto:a@example.com"],
    ),
    "no record above: two organizations, by the walk": (
        "mailto:a@example.com", {}, Permission.REFUSED, [],
    ),
    "no record above, but the other says yes": (
        "mailto:a@example.com", {"blue.example.com._report._dmarc.example.com": YES}, Permission.GRANTED,
        ["mailto:a@example.com"],
    ),
    "another organization says nothing": ("mailto:reports@red.example.net", {}, Permission.REFUSED, []),
    "another organization says yes": (
        "mailto:reports@red.example.net", {ASKED: YES}, Permission.GRANTED, ["mailto:reports@red.example.net"],
    ),
    "with a semicolon": (
        "mailto:reports@red.example.net", {ASKED: ["v=DMARC1;"]}, Permission.GRANTED, ["mailto:reports@red.example.net"],
    ),
    "something else is there as well": (
        "mailto:r@red.example.net", {ASKED: ["v=spf1 -all", "v=DMARC1"]}, Permission.GRANTED, ["mailto:r@red.example.net"],
    ),
    "only something else is there": ("mailto:r@red.example.net", {ASKED: ["v=spf1 -all"]}, Permission.REFUSED, []),
    "the version is not first": ("mailto:r@red.example.net", {ASKED: ["p=none; v=DMARC1"]}, Permission.REFUSED, []),
    "by a wildcard, for anybody": (
        "mailto:r@red.example.net", {"*._report._dmarc.red.example.net": YES}, Permission.GRANTED,
        ["mailto:r@red.example.net"],
    ),
    "another address at that host": (
        "mailto:r@red.example.net", {ASKED: ["v=DMARC1; rua=mailto:new@red.example.net"]}, Permission.GRANTED,
        ["mailto:new@red.example.net"],
    ),
    "another host: neither the old nor the new": (
        "mailto:r@red.example.net", {ASKED: ["v=DMARC1; rua=mailto:new@victim.example"]}, Permission.REFUSED, [],
    ),
    "one of them at another host": (
        "mailto:r@red.example.net",
        {ASKED: ["v=DMARC1; rua=mailto:new@red.example.net,mailto:new@victim.example"]}, Permission.REFUSED, [],
    ),
    "no answer": ("mailto:r@red.example.net", {ASKED: "SERVFAIL"}, Permission.TEMPERROR, []),
    "no answer about the organization": (
        "mailto:a@example.com", {"_dmarc.example.com": "SERVFAIL"}, Permission.TEMPERROR, [],
    ),
    "not by mail": ("https://red.example.net/dmarc", {}, Permission.UNUSABLE, []),
    "no address": ("mailto:red.example.net", {}, Permission.UNUSABLE, []),
    "two addresses in one": ("mailto:a@b.example%2Cc@d.example", {}, Permission.UNUSABLE, []),
    "a header smuggled in": ("mailto:a@b.example%0D%0ABcc:c@d.example", {}, Permission.UNUSABLE, []),
    "an address literal": ("mailto:a@[192.0.2.1]", {}, Permission.UNUSABLE, []),
    "a host that is no name": ("mailto:a@b..example", {}, Permission.UNUSABLE, []),
    "parameters are no part of it": (
        "mailto:a@blue.example.com?subject=x", {}, Permission.OWN, ["mailto:a@blue.example.com?subject=x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rua, records, status, send_to", CASES.values(), ids=CASES)
def test_destination(rua: str, records: dict[str, Any], status: Permission, send_to: list[str]) -> None:
    (found,), _ = check(rua, records)
    assert found.status is status, found.explain()
    assert [str(uri) for uri in found.send_to] == send_to
    assert bool(found.send_to) == (status in (Permission.OWN, Permission.GRANTED))
    assert found.reason in found.explain()
    assert found.to_dict()["status"] == str(status)


def test_what_is_asked() -> None:
    """Names under different top-level domains are no one's: one question.  One's own: none."""
    assert check("mailto:r@red.example.net", {ASKED: YES})[1] == [ASKED]
    assert check("mailto:r@blue.example.com")[1] == []
    found, asked = check("https://a.example/,mailto:r@red.example.net", {ASKED: YES})
    assert [one.status for one in found] == [Permission.UNUSABLE, Permission.GRANTED]
    assert asked == [ASKED]


def test_by_the_suffix_list() -> None:
    """RFC 7489 7.1: the same organization, whatever records there are."""
    (found,), asked = check("mailto:a@example.com", {}, Mode.RFC7489)
    assert (found.status, asked) == (Permission.OWN, [])
    (found,), _ = check("mailto:r@red.example.net", {ASKED: YES}, Mode.RFC7489)
    assert found.status is Permission.GRANTED


def test_a_name_that_dns_cannot_have() -> None:
    long = ".".join(["a" * 60] * 3 + ["example"])
    (found,), asked = check(f"mailto:a@{'b' * 60}.example.net", {}, author=long)
    assert (found.status, asked) == (Permission.UNUSABLE, [])


def test_there_is_an_end_to_it() -> None:
    found, asked = check(",".join(f"mailto:a@h{n}.example.net" for n in range(15)))
    assert len(found) == 15
    assert len(asked) == MAX_DESTINATIONS
    assert found[-1].status is Permission.UNUSABLE


def test_each_address_once() -> None:
    found, _ = check("mailto:a@blue.example.com,mailto:a@blue.example.com,mailto:b%2Bc@blue.example.com!10m")
    assert addresses(found) == ("a@blue.example.com", "b+c@blue.example.com")


def test_failure_reports() -> None:
    """RFC 9991 5: the same with ruf=; 2: never to a public suffix."""
    zone = Zone({
        "_dmarc.example.com TXT": ["v=DMARC1; p=none; ruf=mailto:f@red.example.net; rua=mailto:a@red.example.net"],
        "example.com._report._dmarc.red.example.net TXT": ["v=DMARC1; rua=mailto:x@y.example; ruf=mailto:g@red.example.net"],
    })  # fmt: skip
    (found,) = check_destinations_sync(find("example.com", zone), zone, "ruf")
    assert addresses([found]) == ("g@red.example.net",)
    suffix = Zone({"_dmarc.bank TXT": ["v=DMARC1; p=none; psd=y; ruf=mailto:f@bank"]})
    (found,) = check_destinations_sync(find("a.bank", suffix), suffix, "ruf")
    assert found.status is Permission.REFUSED


def test_waiting() -> None:
    zone = Zone(
        {"_dmarc.blue.example.com TXT": ["v=DMARC1; p=none; rua=mailto:r@red.example.net"], f"{ASKED} TXT": YES}
    )
    (found,) = asyncio.run(check_destinations(find("blue.example.com", zone), zone))
    assert found.status is Permission.GRANTED
