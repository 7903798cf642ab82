"""The aggregate report as a value."""

from __future__ import annotations

import json

from mox_dmarc import (
    AggregateReport,
    Disposition,
    DkimAuth,
    Metadata,
    Override,
    OverrideType,
    PolicyPublished,
    Record,
    Request,
    Row,
    Strictness,
)
from mox_dmarc.aggregate import MAX_SIGNATURES, by_preference

META = Metadata("Receiver", "dmarc@receiver.example", "id1", 1_700_006_400, 1_700_092_799, errors=("sp= is odd",))
GOOD = Row("192.0.2.1", 7, Disposition.PASS, True, False, "example.com")
BAD = Row(
    "2001:db8::1", 3, Disposition.NONE, False, False, "example.com", "", "",
    (Override(OverrideType.MAILING_LIST, "a list"),),
)  # fmt: skip


def report(*rows: Row) -> AggregateReport:
    policy = PolicyPublished("example.com", Request.REJECT, testing=True)
    return AggregateReport(META, policy, rows, problems=("<fo> is odd",))


def test_counts() -> None:
    assert (report(GOOD, BAD).messages, report(GOOD, BAD).passed) == (10, 7)
    assert (report().messages, report().passed) == (0, 0)


def test_explained_most_messages_first() -> None:
    lines = report(BAD, GOOD).explain().splitlines()
    assert lines == [
        "Receiver about example.com: 7 of 10 messages passed",
        "  report id1, from 2023-11-15 00:00:00 to 2023-11-15 23:59:59",
        "  policy p=reject, in test mode",
        "  7 from 192.0.2.1 as example.com: pass by DKIM, pass",
        "  3 from 2001:db8::1 as example.com: fail, none, mailing_list (a list)",
        "  the reporter says: sp= is odd",
        "  problem: <fo> is odd",
    ]


def test_a_time_that_no_calendar_has() -> None:
    odd = AggregateReport(
        Metadata("a", "b", "c", 10**12, 10**12), PolicyPublished("example.com", Request.NONE), (GOOD,)
    )
    assert "from 1000000000000 to" in odd.explain()


def test_plain_values_are_json() -> None:
    plain = json.loads(json.dumps(report(GOOD, BAD).to_dict()))
    assert plain["rows"][1]["overrides"] == [{"type": "mailing_list", "comment": "a list"}]
    assert plain["policy"]["p"] == "reject"
    assert plain["policy"]["adkim"] is None
    assert plain["messages"] == 10


def test_the_policy_of_a_record_has_its_defaults() -> None:
    record = Record.parse("v=DMARC1; p=quarantine; sp=none; adkim=s; fo=1:d; t=y")
    policy = PolicyPublished.of(record, "example.com")
    assert (policy.p, policy.sp, policy.np) == (Request.QUARANTINE, Request.NONE, Request.NONE)
    assert (policy.adkim, policy.aspf, policy.testing, policy.fo) == (
        Strictness.STRICT,
        Strictness.RELAXED,
        True,
        "1:d",
    )


def test_the_most_telling_signatures_come_first() -> None:
    """RFC 9990 3.1.3."""
    failed = DkimAuth("example.com", "a", "fail")
    other = DkimAuth("example.net", "b", "pass")
    relaxed = DkimAuth("mail.example.com", "c", "pass")
    strict = DkimAuth("example.com", "d", "pass")
    found = by_preference([failed, other, relaxed, strict], "example.com", ["mail.example.com", "example.com"])
    assert found == (strict, relaxed, other, failed)
    assert len(by_preference([failed] * 500, "example.com", [])) == MAX_SIGNATURES
