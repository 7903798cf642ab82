"""Is an address on a block list?"""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address

import pytest

from mox_dns import Domain, Zone, dnsbl, run_blocking
from mox_dns.dnsbl import DnsblStatus

AT = "9.2.0.192.bl.example"
CASES: dict[str, tuple[dict[str, object], DnsblStatus, str]] = {
    "listed, and why": (
        {f"{AT} A": ["127.0.0.2"], f"{AT} TXT": ["see\x07 bl.example"]},
        DnsblStatus.LISTED,
        "see bl.example",
    ),
    "listed without a word": ({f"{AT} A": ["127.0.0.2"]}, DnsblStatus.LISTED, ""),
    "not listed": ({}, DnsblStatus.CLEAR, ""),
    "no answer": ({AT: "TIMEOUT"}, DnsblStatus.TEMPERROR, ""),
    "an answer that is no listing": ({f"{AT} A": ["203.0.113.1"]}, DnsblStatus.TEMPERROR, ""),
    "the list refuses": ({f"{AT} A": ["127.255.255.254"]}, DnsblStatus.TEMPERROR, ""),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_verdicts(case: tuple[dict[str, object], DnsblStatus, str]) -> None:
    records, status, explanation = case
    zone = Zone(records)  # type: ignore[arg-type]
    result = dnsbl.check_sync("192.0.2.9", "bl.example", zone)
    assert (result.status, result.explanation) == (status, explanation)
    assert result == asyncio.run(dnsbl.check("192.0.2.9", "bl.example", zone))
    assert json.loads(json.dumps(result.to_dict()))["status"] == status.value
    assert result.explain().startswith(f"bl.example: {status}")


def test_names() -> None:
    """RFC 5782 2.1 and 2.4."""
    zone = Domain("bl.example")
    assert dnsbl.name_for(ip_address("192.0.2.9"), zone) == AT
    assert dnsbl.name_for(ip_address("::ffff:192.0.2.9"), zone) == AT
    assert dnsbl.name_for(ip_address("2001:db8::1%eth0"), zone) == dnsbl.name_for(ip_address("2001:db8::1"), zone)
    assert dnsbl.name_for(ip_address("2001:db8::1"), zone) == "1." + "0." * 23 + "8.b.d.0.1.0.0.2.bl.example"


HEALTH: dict[str, tuple[dict[str, object], str, str]] = {
    "as it should be": ({"2.0.0.127.bl.example A": ["127.0.0.2"]}, "good", "it lists 127.0.0.2"),
    "lists nothing": ({}, "bad", "does not list"),
    "lists everything": (
        {"2.0.0.127.bl.example A": ["127.0.0.2"], "1.0.0.127.bl.example A": ["127.0.0.2"]},
        "bad",
        "lists 127.0.0.1",
    ),
    "refuses": ({"2.0.0.127.bl.example A": ["127.255.255.254"]}, "bad", "refuses"),
    "answers nonsense": ({"2.0.0.127.bl.example A": ["203.0.113.1"]}, "bad", "does not list"),
    "silent": ({"2.0.0.127.bl.example": "TIMEOUT"}, "temperror", "does not answer"),
}


@pytest.mark.parametrize("records, status, reason", HEALTH.values(), ids=HEALTH.keys())
def test_health(records: dict[str, object], status: str, reason: str) -> None:
    """RFC 5782 5."""
    zone = Zone(records)  # type: ignore[arg-type]
    found = dnsbl.health_sync("bl.example", zone)
    assert found.status == status
    assert reason in found.reason
    assert found == asyncio.run(dnsbl.health(Domain("bl.example"), zone))
    assert found == run_blocking(dnsbl.plan_health(Domain("bl.example")), zone).value
    assert json.loads(json.dumps(found.to_dict()))["status"] == status
    assert len(found.explain().splitlines()) == 3
