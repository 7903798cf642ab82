"""The evaluations of mailauth, read in place.  All of them agree with RFC 9989."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.suites import SUITES, suite
from mox_dmarc import Pass, Record, check_sync
from mox_dns import Domain, Zone


def cases() -> list[dict[str, Any]]:
    path = SUITES / "dmarc-mailauth" / "cases.json"
    return json.loads(path.read_text()) if path.exists() else [{"id": "absent"}]


def zone_of(case: dict[str, Any]) -> Zone:
    zone = Zone()
    for one in case["dns"]:
        key = f"{one['name']} {one['type']}"
        if "answer" in one:
            zone.add(key, ["".join(strings) for strings in one["answer"]])
        elif one["error"] not in ("ENOTFOUND", "ENODATA"):
            zone.add(key, "SERVFAIL")
    return zone


def passes_of(case: dict[str, Any]) -> list[Pass]:
    given = case["input"]
    return [Pass("dkim", Domain.parse(one["domain"])) for one in given["dkimDomains"]] + [
        Pass("spf", Domain.parse(one["domain"])) for one in given["spfDomains"]
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_mailauth(case: dict[str, Any]) -> None:
    suite("dmarc-mailauth")
    want = case["expect"]
    verdict = check_sync(case["input"]["headerFrom"], passes_of(case), zone_of(case))
    assert verdict.status == want["result"], verdict.explain()
    if want["result"] == "none":
        return
    assert isinstance(verdict.record, Record)
    assert verdict.request == want["policy"]
    assert verdict.record.effective_p == want["p"]
    assert verdict.record.for_subdomain(exists=True) == want["sp"]
    for means in ("spf", "dkim"):
        aligned = [one.domain.ascii for one in verdict.aligned if one.means == means]
        expected = want["alignment"][means].get("result")
        assert next(iter(aligned), None) == expected, verdict.explain()
