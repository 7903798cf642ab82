"""Does the name of an address lead back to it?"""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address

import pytest

from mox_dns import IprevStatus, Zone, iprev, plan_iprev, run_blocking
from mox_dns.iprev import MAX_NAMES

REVERSE = "9.2.0.192.in-addr.arpa"
CASES: dict[str, tuple[dict[str, object], IprevStatus, str]] = {
    "there and back": (
        {f"{REVERSE} PTR": ["mx.a.example"], "mx.a.example A": ["192.0.2.9"]},
        IprevStatus.PASS,
        "mx.a.example",
    ),
    "one of several": (
        {f"{REVERSE} PTR": ["x.example", "mx.a.example"], "mx.a.example A": ["192.0.2.1", "192.0.2.9"]},
        IprevStatus.PASS,
        "mx.a.example",
    ),
    "one of several, another fails": (
        {f"{REVERSE} PTR": ["x.example", "mx.a.example"], "x.example": "TIMEOUT", "mx.a.example A": ["192.0.2.9"]},
        IprevStatus.PASS,
        "mx.a.example",
    ),
    "not back": ({f"{REVERSE} PTR": ["mx.a.example"], "mx.a.example A": ["192.0.2.8"]}, IprevStatus.FAIL, ""),
    "to nowhere": ({f"{REVERSE} PTR": ["mx.a.example"]}, IprevStatus.FAIL, ""),
    "no name": ({}, IprevStatus.PERMERROR, ""),
    "names that can be none": ({f"{REVERSE} PTR": ["a b.example", "-.example"]}, IprevStatus.PERMERROR, ""),
    "no answer for the name": ({f"{REVERSE} PTR": "TIMEOUT"}, IprevStatus.TEMPERROR, ""),
    "no answer for the address": (
        {f"{REVERSE} PTR": ["mx.a.example"], "mx.a.example": "SERVFAIL"},
        IprevStatus.TEMPERROR,
        "",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_verdicts(case: tuple[dict[str, object], IprevStatus, str]) -> None:
    """RFC 8601 2.7.3 and 3."""
    records, status, name = case
    zone = Zone(records)  # type: ignore[arg-type]
    result = iprev.check_sync("192.0.2.9", zone)
    assert (result.status, result.name) == (status, name)
    assert result == asyncio.run(iprev.check("192.0.2.9", zone))
    assert result == run_blocking(plan_iprev(ip_address("192.0.2.9")), zone).value
    assert result.explain().startswith(f"iprev={status}: ")
    assert json.loads(json.dumps(result.to_dict()))["status"] == status.value
    assert len(result.trace) == len(result.names) + 1


def test_ipv6_and_ipv4_within_it() -> None:
    zone = Zone(
        {
            f"{ip_address('2001:db8::9').reverse_pointer} PTR": ["mx.a.example"],
            "mx.a.example AAAA": ["2001:db8::9"],
            f"{REVERSE} PTR": ["mx.b.example"],
            "mx.b.example A": ["192.0.2.9"],
        },
        authentic=True,
    )
    result = iprev.check_sync("2001:db8::9", zone)
    assert (result.status, result.name, result.authentic) == (IprevStatus.PASS, "mx.a.example", True)
    assert iprev.check_sync("::ffff:192.0.2.9", zone).name == "mx.b.example"


def test_a_link_local_address() -> None:
    """RFC 4007 11: the zone is ours alone; DNS knows nothing of it."""
    assert iprev.check_sync("fe80::1%eth0", Zone()) == iprev.check_sync("fe80::1", Zone())


def test_no_more_names_than_allowed() -> None:
    zone = Zone({f"{REVERSE} PTR": [f"n{n}.example" for n in range(100)]})
    assert iprev.check_sync("192.0.2.9", zone).status is IprevStatus.FAIL
    assert len(zone.asked) == MAX_NAMES + 1


def test_misuse() -> None:
    with pytest.raises(ValueError, match="192"):
        iprev.check_sync("192.0.2", Zone())
