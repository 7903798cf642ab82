"""Aggregate reports from hostile octets: only the declared error, bounded values, and what was read can be written.

python fuzz/dmarc_report.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import gzip

from mox_dmarc import AggregateReport, Format, Limits, Unusable, read_aggregate, to_xml

LIMITS = Limits(xml=1 << 20, packed=1 << 20, message=1 << 20)
START = b"<feedback><report_metadata><date_range><begin>1</begin><end>2</end></date_range></report_metadata>"
POLICY = b"<policy_published><domain>a.example</domain><p>none</p></policy_published>"


def check(report: AggregateReport) -> None:
    """What holds for any report that was read."""
    assert report.explain()
    assert len(report.metadata.org_name) <= LIMITS.text
    assert all(row.count >= 0 for row in report.rows)
    assert report.passed <= report.messages
    if not report.rows or report.policy.p is None:
        return
    for format in Format:
        again = read_aggregate(to_xml(report, format))
        assert [row.count for row in again.rows] == [row.count for row in report.rows]
        assert again.policy.domain == report.policy.domain


def fuzz(data: bytes) -> None:
    """One input."""
    for source in (data, START + POLICY + data + b"</feedback>", START + data, gzip.compress(data, 1)):
        try:
            report = read_aggregate(source, LIMITS)
        except Unusable:
            continue
        check(report)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
