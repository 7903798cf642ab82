"""Verdicts become rows, rows become reports: counted, merged, due, bounded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dmarc import (
    Disposition,
    DkimAuth,
    Format,
    MemoryKeeper,
    Mode,
    Override,
    OverrideType,
    Pass,
    Period,
    Reporter,
    Row,
    SpfAuth,
    Verdict,
    check_sync,
    due,
    note,
    plan_destinations,
    read_aggregate,
    reports_of,
    row_of,
    to_xml,
)
from mox_dmarc.collect import DAY, HOUR, MAX_KEPT_SIGNATURES, _read, _written
from mox_dmarc.testing.reports import reports
from mox_dns import Domain, Zone, run_blocking

RECORD = "v=DMARC1; p=reject; rua=mailto:rua@example.com"
REPORTER = Reporter("Receiver", "dmarc@receiver.example", "mx.receiver.example", generator="moxd")
DAY_1 = 1_700_006_400  # a midnight
NOON = DAY_1 + 12 * HOUR


def verdict(
    record: str = RECORD, passed: str | None = "example.com", mode: Mode = Mode.RFC9989, author: str = "example.com"
) -> Verdict:
    zone = Zone({"_dmarc.example.com TXT": [record]})
    passes = [Pass("dkim", Domain(passed))] if passed else []
    return check_sync(author, passes, zone, mode=mode, sample=0.99)


# the record, what passed, what was done and why -> the disposition and the reasons of the row
ROWS = {
    "passed": (RECORD, "example.com", None, (), Disposition.PASS, []),
    "passed where nothing is asked": (RECORD.replace("reject", "none"), "example.com", None, (), Disposition.NONE, []),
    "failed": (RECORD, None, None, (), Disposition.REJECT, []),
    "failed in test mode": (RECORD + "; t=y", None, None, (), Disposition.QUARANTINE, ["policy_test_mode"]),
    "failed, but from a list": (
        RECORD, None, Disposition.NONE, (Override(OverrideType.MAILING_LIST, "x"),), Disposition.NONE, ["mailing_list"],
    ),
    "failed in test mode, but from a list": (
        RECORD + "; t=y", None, Disposition.NONE, (Override(OverrideType.MAILING_LIST),), Disposition.NONE, ["mailing_list"],
    ),
}  # fmt: skip


# RFC 9990 3.1.1.9
@pytest.mark.parametrize("record, passed, done, why, disposition, reasons", ROWS.values(), ids=ROWS)
def test_a_row(
    record: str, passed: str | None, done: Disposition | None, why: tuple[Override, ...],
    disposition: Disposition, reasons: list[str],
) -> None:  # fmt: skip
    row = row_of(verdict(record, passed), "192.0.2.1", disposition=done, overrides=why)
    assert row.disposition is disposition
    assert [str(one.type) for one in row.overrides] == reasons
    assert (row.dkim_aligned, row.spf_aligned, row.header_from) == (passed is not None, False, "example.com")


def test_a_row_not_in_the_sample() -> None:
    row = row_of(verdict(RECORD + "; pct=10", None, Mode.RFC7489), "192.0.2.1")
    assert (row.disposition, row.overrides) == (Disposition.QUARANTINE, (Override(OverrideType.SAMPLED_OUT),))


def test_few_signatures_are_kept_the_most_telling_ones() -> None:
    many = [DkimAuth(f"d{n}.example", "s", "fail") for n in range(500)] + [DkimAuth("example.com", "s", "pass")]
    row = row_of(verdict(), "192.0.2.1", dkim=many)
    assert len(row.dkim) == MAX_KEPT_SIGNATURES
    assert row.dkim[0].domain == "example.com"


@settings(max_examples=50, deadline=None)
@given(reports(), st.booleans())
def test_a_row_comes_back_from_its_json(report: object, optional: bool) -> None:
    for row in report.rows:  # type: ignore[attr-defined]
        plain = replace(row, count=1, extensions=())
        assert _read(_written(plain, optional)) == (plain, optional)


def some_row(**more: object) -> Row:
    return row_of(verdict(), "192.0.2.1", mail_from="example.com", spf=SpfAuth("example.com", "pass", "mfrom"), **more)  # type: ignore[arg-type]


def test_what_nobody_asked_for_is_not_kept() -> None:
    keeper = MemoryKeeper()
    for without in (verdict("v=DMARC1; p=reject"), verdict(author="example.net", passed=None)):
        assert not note(keeper, without, row_of(without, "192.0.2.1"), NOON)
    assert keeper.periods(2**40) == []


def test_the_same_is_counted_and_reported_once() -> None:
    keeper = MemoryKeeper()
    for _ in range(3):
        assert note(keeper, verdict(), some_row(), NOON)
    assert note(keeper, verdict(passed=None), row_of(verdict(passed=None), "192.0.2.9"), NOON)
    assert due(keeper, DAY_1 + DAY - 1) == []
    (period,) = due(keeper, DAY_1 + DAY + HOUR)
    assert period == Period("example.com", DAY_1, DAY_1 + DAY - 1)
    (ready,) = reports_of(keeper, period, REPORTER)
    report = ready.report
    assert [(row.source_ip, row.count, str(row.disposition)) for row in report.rows] == [
        ("192.0.2.1", 3, "pass"), ("192.0.2.9", 1, "reject"),
    ]  # fmt: skip
    assert (report.metadata.begin, report.metadata.end) == (DAY_1, DAY_1 + DAY - 1)
    assert (report.metadata.generator, report.format) == ("moxd", Format.RFC9990)
    assert str(report.policy.discovery_method) == "treewalk"
    assert read_aggregate(to_xml(report)).rows == report.rows
    keeper.forget(period.domain, period.begin)
    assert due(keeper, 2**40) == []


# RFC 9990 3.1.4
def test_a_report_made_again_is_the_same() -> None:
    keeper = MemoryKeeper()
    note(keeper, verdict(), some_row(), NOON)
    period = Period("example.com", DAY_1, DAY_1 + DAY - 1)
    once, again = (reports_of(keeper, period, REPORTER) for _ in range(2))
    assert once == again
    assert once[0].report.metadata.report_id.isalnum()
    note(keeper, verdict(), some_row(), NOON + DAY)
    other = reports_of(keeper, Period("example.com", DAY_1 + DAY, DAY_1 + 2 * DAY - 1), REPORTER)
    assert other[0].report.metadata.report_id != once[0].report.metadata.report_id


def test_subdomains_are_rows_of_their_policy_domain() -> None:
    """RFC 9990 3.1.2: one report per policy domain, a row for each From domain."""
    keeper = MemoryKeeper()
    for author in ("example.com", "foo.example.com"):
        found = verdict(author=author)
        note(keeper, found, row_of(found, "192.0.2.1"), NOON)
    (ready,) = reports_of(keeper, Period("example.com", DAY_1, DAY_1 + DAY - 1), REPORTER)
    assert {row.header_from for row in ready.report.rows} == {"example.com", "foo.example.com"}


def test_a_policy_that_changed_has_a_report_of_its_own() -> None:
    """RFC 9990 3.3."""
    keeper = MemoryKeeper()
    for record in (RECORD, RECORD.replace("reject", "none") + "; sp=odd"):
        note(keeper, verdict(record), row_of(verdict(record), "192.0.2.1"), NOON)
    made = reports_of(keeper, Period("example.com", DAY_1, DAY_1 + DAY - 1), REPORTER)
    assert len({one.report.metadata.report_id for one in made}) == 2
    assert any("sp= is 'odd'" in error for one in made for error in one.report.metadata.errors)


def test_by_the_old_rules() -> None:
    keeper = MemoryKeeper()
    found = verdict(mode=Mode.RFC7489)
    note(keeper, found, row_of(found, "192.0.2.1"), NOON)
    (ready,) = reports_of(keeper, Period("example.com", DAY_1, DAY_1 + DAY - 1), REPORTER)
    assert (ready.report.format, str(ready.report.policy.discovery_method)) == (Format.RFC7489, "psl")


def test_reports_about_reports_are_no_reason_to_report() -> None:
    keeper = MemoryKeeper()
    period = Period("example.com", DAY_1, DAY_1 + DAY - 1)
    note(keeper, verdict(), some_row(), NOON, optional=True)
    assert reports_of(keeper, period, REPORTER) == []
    note(keeper, verdict(), some_row(), NOON)
    (ready,) = reports_of(keeper, period, REPORTER)
    assert [row.count for row in ready.report.rows] == [2]


def test_domains_wait_their_own_part_of_an_hour() -> None:
    keeper = MemoryKeeper()
    for n in range(200):
        keeper.count(
            f"d{n}.example", DAY_1, json.dumps([f"d{n}.example", "rfc9989", RECORD]), _written(some_row(), False)
        )
    assert len(due(keeper, DAY_1 + DAY, spread=0)) == 200
    half = len(due(keeper, DAY_1 + DAY + HOUR // 2))
    assert 60 < half < 140
    assert len(due(keeper, DAY_1 + DAY + HOUR)) == 200


def test_shorter_periods() -> None:
    keeper = MemoryKeeper()
    note(keeper, verdict(), some_row(), NOON, period=HOUR)
    assert due(keeper, NOON + HOUR - 1, period=HOUR, spread=0) == []
    assert due(keeper, NOON + HOUR, period=HOUR, spread=0) == [Period("example.com", NOON, NOON + HOUR - 1)]


def test_memory_has_an_end() -> None:
    keeper = MemoryKeeper(max_rows=2, max_total=3)
    counted = [note(keeper, verdict(), row_of(verdict(), f"192.0.2.{n}"), NOON) for n in range(4)]
    assert counted == [True, True, False, False]
    assert note(keeper, verdict(), row_of(verdict(), "192.0.2.0"), NOON)  # what is known is counted on
    counted = [note(keeper, verdict(), row_of(verdict(), f"192.0.2.{n}"), NOON + DAY) for n in range(2)]
    assert counted == [True, False]
    keeper.forget("example.com", DAY_1)
    assert note(keeper, verdict(), row_of(verdict(), "192.0.2.7"), NOON + DAY)
    keeper.forget("example.com", 7)  # nothing of it is known


def test_where_to_send_it() -> None:
    keeper = MemoryKeeper()
    note(keeper, verdict(), some_row(), NOON)
    (ready,) = reports_of(keeper, Period("example.com", DAY_1, DAY_1 + DAY - 1), REPORTER)
    (found,) = run_blocking(plan_destinations(ready.discovery), Zone({})).value
    assert [str(uri) for uri in found.send_to] == ["mailto:rua@example.com"]
