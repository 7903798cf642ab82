"""Records and reports of parsedmarc and mail-auth, read in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.suites import counted, suite
from mox_tlsrpt import Record, RecordSyntaxError, Report, read, read_message

# Case -> the sentence of the RFC that makes it wrong or optional.
DEVIATIONS: dict[str, str] = {}


def records() -> list[tuple[str, dict[str, Any]]]:
    folder = suite("reports-tlsrpt")
    return [
        (path.name, case) for path in sorted(folder.glob("records-*.json")) for case in json.loads(path.read_text())
    ]


def rua(text: str) -> list[str] | None:
    try:
        return list(Record.parse(text).rua)
    except RecordSyntaxError:
        return None


def test_suite_records() -> None:
    cases = records()
    wrong = {case["txt"]: rua(case["txt"]) for _, case in cases if rua(case["txt"]) != case["rua"]}
    assert cases
    counted("reports-tlsrpt", len(cases) - len(DEVIATIONS), len(DEVIATIONS))
    assert {text: found for text, found in wrong.items() if text not in DEVIATIONS} == {}


def same(report: Report, want: dict[str, Any]) -> list[str]:
    """What of a report is not as its JSON says."""
    found = {
        "organization-name": (report.organization, want.get("organization-name") or ""),
        "report-id": (report.id, want.get("report-id") or ""),
        "contact-info": (report.contact, want.get("contact-info") or ""),
        "policies": (len(report.policies), len(want["policies"])),
    }
    for number, (result, policy) in enumerate(zip(report.policies, want["policies"], strict=True)):
        summary, details = policy["summary"], policy.get("failure-details") or []
        found[f"{number} type"] = (result.policy.type, policy["policy"]["policy-type"])
        found[f"{number} domain"] = (result.policy.domain, policy["policy"].get("policy-domain", ""))
        found[f"{number} good"] = (result.successful, int(summary["total-successful-session-count"]))
        found[f"{number} failed"] = (result.failed, int(summary["total-failure-session-count"]))
        kinds = [(failure.result, sessions) for failure, sessions in result.failures]
        found[f"{number} details"] = (kinds, [(one["result-type"], one["failed-session-count"]) for one in details])
    return [f"{name}: {ours!r}, want {theirs!r}" for name, (ours, theirs) in found.items() if ours != theirs]


def test_suite_reports() -> None:
    folder = suite("reports-tlsrpt")
    texts = sorted(folder.glob("*/*.json"))
    assert texts
    counted("reports-tlsrpt", len(texts) + len(list(folder.glob("*/*.eml"))))
    wrong: dict[Path, list[str]] = {}
    for path in texts:
        if differences := same(read(path.read_bytes()), json.loads(path.read_bytes())):
            wrong[path] = differences
    for path in sorted(folder.glob("*/*.eml")):
        received = read_message(path.read_bytes())
        beside = path.with_suffix(".json")
        if beside.exists() and (differences := same(received.report, json.loads(beside.read_bytes()))):
            wrong[path] = differences
    assert {path.name: found for path, found in wrong.items() if path.name not in DEVIATIONS} == {}
