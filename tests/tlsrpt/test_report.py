"""The JSON of RFC 8460 4.4, both ways; and what reporters make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from mox_tlsrpt import Failure, Report, ReportSyntaxError
from mox_tlsrpt.report import MAX_FAILURES, MAX_POLICIES, MAX_TEXT
from mox_tlsrpt.testing.texts import bent_reports, reports

GOOD: dict[str, Any] = {
    "organization-name": "B",
    "date-range": {"start-datetime": "2026-11-25T00:00:00Z", "end-datetime": "2026-11-25T23:59:59Z"},
    "contact-info": "tls@b.example",
    "report-id": "1",
    "policies": [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": ["version: STSv1", "mode: enforce"],
                "policy-domain": "a.example",
                "mx-host": ["*.a.example"],
            },
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 3},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "sending-mta-ip": "2001:db8::1",
                    "receiving-mx-hostname": "mx.a.example",
                    "receiving-mx-helo": "helo.a.example",
                    "receiving-ip": "192.0.2.1",
                    "failed-session-count": 3,
                    "additional-information": "https://b.example/1",
                    "failure-reason-code": "10",
                }
            ],
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one member replaced, or left out for `...`; `path` as in `policies.0.policy.mx-host`."""
    copy = json.loads(json.dumps(GOOD))
    at = copy
    *way, last = path.split(".")
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return copy  # type: ignore[no-any-return]


def parsed(value: Any) -> Report:
    return Report.parse(json.dumps(value))


def test_every_member() -> None:
    report = parsed(GOOD)
    assert (report.organization, report.contact, report.id) == ("B", "tls@b.example", "1")
    assert report.end - report.start == 86399
    (result,) = report.policies
    assert (result.successful, result.failed) == (report.successful, report.failed) == (5, 3)
    assert (result.policy.type, result.policy.domain, result.policy.mx_hosts) == ("sts", "a.example", ("*.a.example",))
    assert result.failures == (
        (
            Failure("certificate-expired", "2001:db8::1", "mx.a.example", "helo.a.example", "192.0.2.1",
                    "https://b.example/1", "10"),
            3,
        ),
    )  # fmt: skip
    assert report.problems == ()
    assert report.to_dict() == GOOD


def test_told() -> None:
    assert parsed(GOOD).explain().splitlines() == [
        "B, 2026-11-25T00:00:00Z to 2026-11-25T23:59:59Z, report 1, contact tls@b.example",
        "  sts a.example: 5 good, 3 failed",
        "    3 certificate-expired from 2001:db8::1 to mx.a.example at 192.0.2.1 (10)",
    ]


P = "policies.0."
BENT: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "no contact": (changed("contact-info", None), "no contact-info", {"contact": ""}),
    "no organization": (changed("organization-name", ...), "no organization-name", {"organization": ""}),
    "no id": (changed("report-id", 7), "report-id is no text", {"id": ""}),
    "no policy domain": (changed(P + "policy.policy-domain", ...), "no policy-domain", {"failed": 3}),
    "no policy": (changed(P + "policy", ...), "an object is missing", {"failed": 3}),
    "hosts as a text": (changed(P + "policy.mx-host", "*.a.example"), "mx-host is no list", {}),
    "a policy as a text": (changed(P + "policy.policy-string", "a\nb"), "policy-string is no list", {}),
    "hosts by another name": (
        {**changed(P + "policy.mx-host", ...)}, "", {"failed": 3},
    ),
    "numbers as texts": (
        changed(P + "summary.total-failure-session-count", "3"), "total-failure-session-count is a text", {"failed": 3},
    ),
    "numbers below zero": (
        changed(P + "summary.total-failure-session-count", -3), "is no number of sessions", {"failed": 0},
    ),
    "enormous numbers": (
        changed(P + "summary.total-failure-session-count", 10**30), "is no number of sessions", {"failed": 0},
    ),
    "true": (changed(P + "summary.total-failure-session-count", True), "is no number of sessions", {"failed": 0}),
    "no summary": (changed(P + "summary", ...), "no total-successful-session-count", {"failed": 0}),
    "no details": (changed(P + "failure-details", ...), "", {"failed": 3}),
    "details null": (changed(P + "failure-details", None), "", {"failed": 3}),
    "details no list": (changed(P + "failure-details", GOOD["policies"][0]["failure-details"][0]), "is no list", {}),
    "details a text": (changed(P + "failure-details", "x"), "is no list", {"failed": 3}),
    "no sender": (changed(P + "failure-details.0.sending-mta-ip", ...), "", {"failed": 3}),
    "no result type": (changed(P + "failure-details.0.result-type", ...), "no result-type", {"failed": 3}),
    "the next midnight": (changed("date-range.end-datetime", "2026-11-26T00:00:00Z"), "", {}),
    "no zone": (changed("date-range.end-datetime", "2026-11-26T00:00:00"), "no zone", {}),
    "the wrong way": (changed("date-range.end-datetime", "2026-11-24T00:00:00Z"), "before it starts", {}),
    "half a pair": (changed("report-id", "\ud800"), "", {"id": "?"}),
    "a long text": (changed("report-id", "x" * 5000), "is longer than", {"id": "x" * MAX_TEXT}),
    "something in policies": ({**GOOD, "policies": [*GOOD["policies"], 5]}, "something else", {"failed": 3}),
    "more members": ({**GOOD, "x": {"y": []}}, "", {"failed": 3}),
}  # fmt: skip


@pytest.mark.parametrize("value, problem, kept", BENT.values(), ids=BENT)
def test_bent(value: dict[str, Any], problem: str, kept: dict[str, Any]) -> None:
    report = parsed(value)
    assert any(problem in one for one in report.problems) if problem else report.problems == ()
    for name, want in kept.items():
        assert getattr(report, name) == want
    assert (problem in report.explain()) or not problem


def test_another_name_for_hosts() -> None:
    value = changed(P + "policy.mx-host", ...)
    value["policies"][0]["policy"]["mx-host-pattern"] = ["*.a.example"]
    report = parsed(value)
    assert report.policies[0].policy.mx_hosts == ("*.a.example",)
    assert report.problems == ("mx-host-pattern stands for mx-host",)


DATES = {
    "2026-11-25T00:00:00Z": 1795564800,
    "2026-11-25t01:00:00.123+01:00": 1795564800,
    "2026-11-24T20:30:00-0330": 1795564800,
    "2026-11-24 23:59:60Z": 1795564799,
}


@pytest.mark.parametrize("text, want", DATES.items())
def test_dates(text: str, want: int) -> None:
    assert parsed(changed("date-range.start-datetime", text)).start == want


BAD = {
    "nothing": b"",
    "text": b"hello",
    "a list": b"[]",
    "a number": b"12",
    "no policies": json.dumps(changed("policies", ...)).encode(),
    "policies no list": json.dumps(changed("policies", {})).encode(),
    "no dates": json.dumps(changed("date-range", ...)).encode(),
    "a date that cannot be": json.dumps(changed("date-range.start-datetime", "2026-02-30T00:00:00Z")).encode(),
    "an hour that cannot be": json.dumps(changed("date-range.start-datetime", "2026-02-03T25:00:00Z")).encode(),
    "a zone that cannot be": json.dumps(changed("date-range.start-datetime", "2026-02-03T00:00:00+99:00")).encode(),
    "year 0": json.dumps(changed("date-range.start-datetime", "0000-01-01T00:00:00Z")).encode(),
    "not UTF-8": b'{"organization-name": "\xff"}',
    "NaN": b'{"policies": [NaN]}',
    "a maze": b"[" * 100_000,
    "a deep object": b'{"a":' * 100_000,
    "a long number": b'{"policies": ' + b"9" * 10_000 + b"}",
    "cut off": json.dumps(GOOD).encode()[:-1],
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad(data: bytes) -> None:
    with pytest.raises(ReportSyntaxError) as caught:
        Report.parse(data)
    assert caught.value.why


def test_bounds() -> None:
    detail = GOOD["policies"][0]["failure-details"][0]
    many = parsed(changed(P + "failure-details", [detail] * (MAX_FAILURES + 5)))
    assert len(many.policies[0].failures) == MAX_FAILURES
    assert "kinds of failure" in many.problems[0]
    policies = parsed(changed("policies", GOOD["policies"] * (MAX_POLICIES + 5)))
    assert len(policies.policies) == MAX_POLICIES
    noisy = parsed(changed("policies", [{"policy": {"policy-type": n}} for n in range(900)]))
    assert len(noisy.problems) <= 100


def test_a_terminal_is_not_obeyed() -> None:
    assert "\x1b" not in parsed(changed("organization-name", "\x1b[31m")).explain()


@given(reports())
def test_written_and_read_again(report: Report) -> None:
    again = Report.parse(report.json())
    assert again == report


@settings(max_examples=300, deadline=None)
@given(bent_reports())
def test_only_the_declared_error(value: Any) -> None:
    try:
        report = parsed(value)
    except ReportSyntaxError:
        return
    again = Report.parse(report.json())
    assert (again.successful, again.failed) == (report.successful, report.failed)
    assert report.explain()
