"""Sessions are counted, and make a report: RFC 8460 1.1, 4.1, 4.2, 4.3, 4.5 and 5.5."""

from __future__ import annotations

import json

import pytest

from mox_tlsrpt import (
    Count,
    Failure,
    MemoryCounts,
    Policy,
    PolicyType,
    Report,
    ResultType,
    day_of,
    report_for,
    send_time,
)
from mox_tlsrpt.collect import MAX_KINDS, TRIED

DAY = 20_000
STS = Policy.sts("a.example", "version: STSv1\r\nmode: enforce\r\nmx: *.a.example\r\nmax_age: 1\r\n", ["*.a.example"])
TLSA = Policy.tlsa("mx.a.example", ["3 1 1 00"])
EXPIRED = Failure(ResultType.EXPIRED, "192.0.2.1", "mx.a.example", receiving_ip="198.51.100.1")


def counted(counts: MemoryCounts, *sessions: tuple[Policy, Failure | None], domain: str = "a.example") -> None:
    for policy, failure in sessions:
        counts.add(Count(DAY, domain, policy, failure))


def made(counts: MemoryCounts, domain: str = "a.example") -> Report:
    report = report_for(
        counts.rows(DAY, domain), day=DAY, organization="b.example", contact="tls@b.example", report_id="1"
    )
    assert report is not None
    return report


def test_a_report() -> None:
    counts = MemoryCounts()
    counted(counts, (STS, None), (STS, EXPIRED), (STS, None), (STS, EXPIRED), (TLSA, None), (STS, Failure("other")))
    counted(counts, (Policy.none("c.example"), None), domain="c.example")
    counts.add(Count(DAY + 1, "a.example", STS, None))
    report = made(counts)
    assert (report.successful, report.failed) == (3, 3)
    sts, tlsa = report.policies
    assert (sts.policy, sts.successful, sts.failed) == (STS, 2, 3)
    assert dict(sts.failures) == {EXPIRED: 2, Failure("other"): 1}
    assert (tlsa.policy, tlsa.successful, tlsa.failures) == (TLSA, 1, ())
    assert report.to_dict()["date-range"] == {
        "start-datetime": "2024-10-04T00:00:00Z",
        "end-datetime": "2024-10-04T23:59:59Z",
    }
    assert Report.parse(report.json()) == report


def test_days_and_domains() -> None:
    counts = MemoryCounts()
    counted(counts, (STS, None))
    counted(counts, (STS, None), domain="b.example")
    assert counts.domains(DAY) == ("a.example", "b.example")
    assert counts.domains(DAY + 1) == ()
    counts.remove(DAY, "a.example")
    counts.remove(DAY, "a.example")
    assert counts.domains(DAY) == ("b.example",)
    assert report_for(counts.rows(DAY, "a.example"), day=DAY, organization="", contact="", report_id="") is None


def test_policies() -> None:
    assert (STS.type, len(STS.strings), STS.mx_hosts) == (PolicyType.STS, 4, ("*.a.example",))
    assert TLSA.strings == ("3 1 1 00",)
    assert Policy.none("a.example").type == "no-policy-found"


def test_memory_is_bounded_and_the_sums_stay_right() -> None:
    counts = MemoryCounts(max_rows=10)
    for number in range(1000):
        counted(counts, (STS, Failure(ResultType.EXPIRED, f"192.0.2.{number % 256}", f"mx{number}.a.example")))
    assert made(counts).failed == 1000
    assert len(list(counts.rows(DAY, "a.example"))) == 11
    counted(counts, (STS, None), domain="late.example")
    assert counts.dropped == 1
    counts.remove(DAY, "a.example")
    counted(counts, (STS, None), domain="late.example")
    assert counts.domains(DAY) == ("late.example",)


def test_a_report_is_bounded() -> None:
    rows = [Count(DAY, "a.example", STS, Failure("x", mx_host=f"mx{number}")) for number in range(5000)]
    report = report_for(rows, day=DAY, organization="", contact="", report_id="")
    assert report is not None
    assert report.failed == 5000
    assert len(report.policies[0].failures) == MAX_KINDS + 1


def test_kept_as_plain_values() -> None:
    for count in (Count(DAY, "a.example", STS, EXPIRED, 7), Count(DAY, "a.example", TLSA, None)):
        assert Count.from_dict(json.loads(json.dumps(count.to_dict()))) == count
    good = Count(DAY, "a.example", STS, None).to_dict()
    for odd in ({}, {**good, "policy": {}}, {**good, "more": 1}, {**good, "failure": {"x": 1}}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            Count.from_dict(odd)


def test_times() -> None:
    assert day_of(DAY * 86400) == day_of(DAY * 86400 + 86399.9) == DAY
    assert send_time(DAY, 0) == (DAY + 1) * 86400
    assert TRIED == 86400
    assert send_time(DAY, 1) == (DAY + 1) * 86400 + 4 * 3600
