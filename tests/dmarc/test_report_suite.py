"""Reports as real reporters send them: parsedmarc's samples and mail-auth's, read in place.

mail-auth's own reading stands beside its samples; ours must say the same.  What deviates stands in a table."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kit.suites import SUITES, deviates, suite
from mox_dmarc import (
    AggregateReport,
    FailureReportSyntaxError,
    Unusable,
    iter_rows,
    read_aggregate,
    read_failure,
    to_xml,
)

HOME = SUITES / "reports-dmarc"
SAMPLES = (".xml", ".eml", ".gz", ".zip")

# file -> why it is no report; all others must be read
UNREADABLE = {
    "empty.xml": "it has no octets",
    "invalid_xml.xml": "not well-formed: XML 1.0 1.2, a processor must not go on after a fatal error",
}
# Malformed in ways that are mended: the rest of the report is there, and the problem is told.
MENDED = {
    "invalid_utf_8.xml": "octets that do not fit the charset",
    "report_with_upper_cased_pass.xml": "is written",
}
# failure reports that are none: RFC 5965 2, three parts, the second of type message/feedback-report
NO_FAILURE_REPORT: dict[str, str] = {}


# Reasons of RFC 7489 that RFC 9990 dropped.
DROPPED = ("forwarded", "sampled_out")


def files(folder: str) -> list[Any]:
    found = [path for path in sorted((HOME / folder).rglob("*")) if path.suffix in SAMPLES]
    return [pytest.param(path, id=path.name) for path in found] or [pytest.param(Path("absent"), id="absent")]


@pytest.mark.parametrize("path", [*files("parsedmarc/aggregate"), *files("parsedmarc/aggregate_invalid"),
                                  *files("parsedmarc/extract_report"), *files("mail-auth")])  # fmt: skip
def test_aggregate(path: Path) -> None:
    suite("reports-dmarc")
    if path.name in UNREADABLE:
        with suppress(Unusable):  # nothing else may come out of it
            read_aggregate(path)
        return
    report = read_aggregate(path)
    assert report.rows
    assert report.metadata.end >= report.metadata.begin
    assert list(iter_rows(path)) == list(report.rows)
    if path.name in MENDED:
        assert any(MENDED[path.name] in problem for problem in report.problems)
    if report.policy.p is not None:
        assert read_aggregate(to_xml(report)).messages == report.messages


def test_empty() -> None:
    suite("reports-dmarc")
    for path in (HOME / "parsedmarc").glob("empty*"):
        with pytest.raises(Unusable):
            read_aggregate(path)


def test_one_report_in_three_wrappings() -> None:
    suite("reports-dmarc")
    paths = sorted((HOME / "parsedmarc" / "extract_report").glob("nice-input*"))
    if not paths:
        pytest.skip("extract_report/nice-input* is not in this part of the suite")
    first, *others = [read_aggregate(path) for path in paths]
    assert all(one == first for one in others)


def snake(word: str | None) -> str | None:
    """mail-auth's names of values in the words of the RFC; None where it says that nothing was said."""
    if word in (None, "Unspecified"):
        return None
    words = {"Relaxed": "r", "Strict": "s", "MailFrom": "mfrom", "Helo": "helo"}
    return words.get(word or "") or re.sub(r"(?<!^)(?=[A-Z])", "_", word or "").lower()


def told(pair: dict[str, Any] | None, *names: str) -> list[Any]:
    return [(pair or {}).get(name) for name in names]


def mail_auth() -> list[Any]:
    found = sorted((HOME / "mail-auth").glob("*.json"))
    return [pytest.param(path, id=path.stem) for path in found] or [pytest.param(Path("absent"), id="absent")]


@pytest.mark.parametrize("path", mail_auth())
def test_as_mail_auth_reads_it(path: Path) -> None:
    suite("reports-dmarc")
    want = json.loads(path.read_text())
    report = read_aggregate(next(one for one in path.parent.glob(f"{path.stem}.*") if one.suffix != ".json"))
    meta = want["report_metadata"]
    ours = report.metadata
    assert [ours.org_name, ours.email, ours.report_id] == told(meta, "org_name", "email", "report_id")
    assert [ours.begin, ours.end] == told(meta["date_range"], "begin", "end")
    assert (ours.extra_contact_info or None) == meta["extra_contact_info"]
    assert list(ours.errors) == meta["error"]
    check_policy(report, want["policy_published"])
    assert [(one.name, one.definition) for one in report.extensions] == [
        (one["name"], one["definition"]) for one in want["extensions"]
    ]
    assert len(report.rows) == len(want["record"])
    for row, record in zip(report.rows, want["record"], strict=True):
        check_row(row.to_dict(), record)
    if any(str(one.type) in DROPPED for row in report.rows for one in row.overrides):
        deviates("reports-dmarc")


def check_policy(report: AggregateReport, want: dict[str, Any]) -> None:
    policy = report.policy
    assert policy.domain == want["domain"]
    assert [policy.p, policy.sp] == [snake(want["p"]), snake(want["sp"])]
    assert [policy.adkim, policy.aspf] == [snake(want["adkim"]), snake(want["aspf"])]
    assert bool(policy.testing) == want["testing"]
    assert (policy.fo or None) == want["fo"]


def reason(word: str | None) -> str | None:
    """Deviation: mail-auth reads what RFC 9990 dropped as "other"; RFC 7489 appendix C lists both, so here they stay."""
    return "other" if word in DROPPED else word


def check_row(row: dict[str, Any], want: dict[str, Any]) -> None:
    seen, names, results = want["row"], want["identifiers"], want["auth_results"]
    assert [row["source_ip"], row["count"]] == told(seen, "source_ip", "count")
    evaluated = seen["policy_evaluated"]
    assert row["disposition"] == (snake(evaluated["disposition"]) or "none")
    assert [row["dkim_aligned"], row["spf_aligned"]] == [evaluated[means] == "Pass" for means in ("dkim", "spf")]
    assert [(reason(one["type"]), one["comment"] or None) for one in row["overrides"]] == [
        (reason(snake(one["type_"])), one["comment"]) for one in evaluated["reason"]
    ]
    assert row["header_from"] == names["header_from"]
    assert (row["envelope_from"] or "") == (names["envelope_from"] or "")
    assert [(one["domain"], one["selector"], one["result"], one["human_result"] or None) for one in row["dkim"]] == [
        (one["domain"], one["selector"], snake(one["result"]) or "none", one["human_result"]) for one in results["dkim"]
    ]
    assert [(one["domain"], one["scope"] or None, one["result"]) for one in row["spf"]] == [
        (one["domain"], snake(one["scope"]), snake(one["result"]) or "none") for one in results["spf"]
    ]
    assert [(one["name"], one["definition"]) for one in row["extensions"]] == [
        (one["name"], one["definition"]) for one in want["extensions"]
    ]


@pytest.mark.parametrize("path", files("parsedmarc/failure"))
def test_failure(path: Path) -> None:
    suite("reports-dmarc")
    if path.name in NO_FAILURE_REPORT:
        with pytest.raises(FailureReportSyntaxError):
            read_failure(path)
        return
    report = read_failure(path)
    assert report.reported_domains
    assert report.to_dict()
