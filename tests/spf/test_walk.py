"""Audits: everything that is wrong with a record and all it leads to, past mistakes and limits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings

from mox_dns import DomainSyntaxError, Zone
from mox_spf import Audit, AuditStatus, Limits, Severity, Status, audit, audit_sync, check_sync
from mox_spf.testing.worlds import World, worlds

A = "a.example TXT"


def audited(records: dict[str, Any], **settings: Any) -> Audit:
    return audit_sync("a.example", Zone(records), **settings)


# What a world has -> (rule, severity, the term, character) of its only finding.
CASES: dict[str, tuple[dict[str, Any], tuple[str, str, str, int | None] | None]] = {
    "nothing": ({A: ["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"]}, None),
    "no record, RFC 7208 4.5": ({}, ("no-record", "error", "", None)),
    "two records, RFC 7208 4.5": ({A: ["v=spf1 -all", "v=spf1 ~all"]}, ("several-records", "error", "", None)),
    "no answer, RFC 7208 4.4": ({A: "TIMEOUT"}, ("dns", "warning", "", None)),
    "a mistake, RFC 7208 4.6": ({A: ["v=spf1 mx:%{z}.example -all"]}, ("syntax", "error", "mx:%{z}.example", 12)),
    "everybody, RFC 7208 5.1": ({A: ["v=spf1 +all"]}, ("pass-all", "error", "+all", 7)),
    "neutral": ({A: ["v=spf1 ?all"]}, ("neutral-all", "warning", "?all", 7)),
    "no ending, RFC 7208 4.7": ({A: ["v=spf1 ip4:192.0.2.0/24"]}, ("no-ending", "warning", "", None)),
    "behind all": ({A: ["v=spf1 -all ip4:192.0.2.1"]}, ("unreachable", "note", "ip4:192.0.2.1", 12)),
    "redirect beside all, RFC 7208 6.1": (
        {A: ["v=spf1 -all redirect=b.example"]},
        ("unreachable", "note", "redirect=b.example", 12),
    ),
    "a term twice": ({A: ["v=spf1 ip4:192.0.2.1 ip4:192.0.2.1/32 -all"]}, ("twice", "note", "ip4:192.0.2.1/32", 21)),
    "an unknown modifier, RFC 7208 6": ({A: ["v=spf1 Moo=x -all"]}, ("unknown-modifier", "note", "Moo=x", 7)),
    "a long record, RFC 7208 3.4": (
        {A: ["v=spf1 " + " ".join(f"ip4:198.51.100.{n}" for n in range(30)) + " -all"]},
        ("long", "note", "", None),
    ),
    "a wide network": ({A: ["v=spf1 ip4:192.0.0.0/3 -all"]}, ("wide", "warning", "ip4:192.0.0.0/3", 7)),
    "a network within": ({A: ["v=spf1 ip4:10.1.0.0/16 -all"]}, ("not-global", "note", "ip4:10.1.0.0/16", 7)),
    "ptr, RFC 7208 5.5": ({A: ["v=spf1 ptr -all"]}, ("ptr", "warning", "ptr", 7)),
    "exists for everybody": ({A: ["v=spf1 exists:b.example -all"]}, ("constant-exists", "note", "exists:b.example", 7)),
    "a macro in a": ({A: ["v=spf1 a:%{l}.example -all"]}, ("macro", "note", "a:%{l}.example", 7)),
    "a macro in include": ({A: ["v=spf1 include:%{d2} -all"]}, ("macro", "note", "include:%{d2}", 7)),
    "an include of nothing, RFC 7208 5.2": (
        {A: ["v=spf1 include:b.example -all"]},
        ("no-record", "error", "include:b.example", 7),
    ),
    "a redirect to nothing": ({A: ["v=spf1 redirect=b.example"]}, ("no-record", "error", "redirect=b.example", 7)),
    "an include of no name": (
        {A: [f"v=spf1 include:{'x' * 64}.example -all"]},
        ("no-name", "error", f"include:{'x' * 64}.example", 7),
    ),
    "an a of no name": ({A: [f"v=spf1 a:{'x' * 64}.example -all"]}, ("no-name", "warning", f"a:{'x' * 64}.example", 7)),
    "an include that fails": (
        {A: ["v=spf1 include:b.example -all"], "b.example": "SERVFAIL"},
        ("dns", "warning", "include:b.example", 7),
    ),
    "an a that finds nothing": ({A: ["v=spf1 a:b.example -all"]}, ("finds-nothing", "warning", "a:b.example", 7)),
    "an mx of nobody": ({A: ["v=spf1 mx -all"], "a.example MX": ["0 ."]}, ("finds-nothing", "warning", "mx", 7)),
    "an a that fails": ({A: ["v=spf1 a:b.example -all"], "b.example": "TIMEOUT"}, ("dns", "warning", "a:b.example", 7)),
    "an explanation that is not there, RFC 7208 6.2": (
        {A: ["v=spf1 -all exp=e.example"]},
        ("explanation", "warning", "exp=e.example", 12),
    ),
    "an explanation with a mistake": (
        {A: ["v=spf1 -all exp=e.example"], "e.example TXT": ["not %{d"]},
        ("explanation", "warning", "", 4),
    ),
    "an explanation that fails": (
        {A: ["v=spf1 -all exp=e.example"], "e.example": "TIMEOUT"},
        ("dns", "warning", "exp=e.example", 12),
    ),
}


@pytest.mark.parametrize("records, wanted", CASES.values(), ids=CASES)
def test_findings(records: dict[str, Any], wanted: tuple[str, str, str, int | None] | None) -> None:
    found = audited(records)
    shown = [(one.rule, str(one.severity), one.term, one.at) for one in found.findings]
    assert shown == ([wanted] if wanted else []), found.explain()
    assert found.temporary == (bool(wanted) and wanted is not None and wanted[0] == "dns")
    json.dumps(found.to_dict())


def test_what_may_have_been_meant() -> None:
    found = audited({A: ["v=spf1; -all", " v=spf1 -all", "spf1 -all", "hello"]})
    assert [one.rule for one in found.findings] == ["no-version"] * 3 + ["no-record"]


def test_past_the_limits() -> None:
    """RFC 7208 4.6.4: the term that is one too many is named, and what comes behind is looked at all the same."""
    many = " ".join(f"a:n{n}.example" for n in range(8))
    records: dict[str, Any] = {A: [f"v=spf1 include:b.example include:c.example {many} oops -all"]}
    records |= {f"n{n}.example A": ["192.0.2.1"] for n in range(8)}
    records |= {
        "b.example TXT": ["v=spf1 a:n0.example -all"],
        "c.example TXT": ["v=spf1 a:n1.example a:n2.example -all"],
    }
    found = audited(records)
    assert found.status is AuditStatus.ERRORS
    assert found.lookups == 13
    (limit,) = [one for one in found.findings if one.rule == "lookups"]
    assert limit.term == "a:n5.example"
    assert limit.pointed().splitlines()[1].index("^") == limit.pointed().splitlines()[0].index("a:n5")
    assert "syntax" in {one.rule for one in found.findings}
    assert [(visit.depth, visit.domain, visit.lookups) for visit in found.visits] == [
        (0, "a.example", 13),
        (1, "b.example", 1),
        (1, "c.example", 2),
    ]
    assert audited(records, limits=Limits(lookups=13)).findings[0].rule == "syntax"


def test_void_lookups_and_hosts() -> None:
    found = audited({A: ["v=spf1 a:x.example a:y.example a:z.example -all"]})
    assert found.void == 3
    assert [one.term for one in found.findings if one.rule == "void"] == ["a:z.example"]
    records: dict[str, Any] = {A: ["v=spf1 mx -all"], "a.example MX": [f"{n} n{n}.example" for n in range(11)]}
    records |= {f"n{n}.example A": ["192.0.2.1"] for n in range(11)}
    assert [one.rule for one in audited(records).findings] == ["mx-hosts"]


def test_rounds() -> None:
    found = audited({A: ["v=spf1 include:b.example -all"], "b.example TXT": ["v=spf1 include:a.example -all"]})
    assert [(one.rule, one.domain) for one in found.findings if one.severity is Severity.ERROR] == [
        ("loop", "b.example"),
        ("lookups", "b.example"),
    ]


def test_a_record_is_read_once_and_counted_each_time() -> None:
    """A tree of 2^40 leaves is no more work than its 40 records."""
    records = {
        f"n{n}.example TXT": [f"v=spf1 include:n{n + 1}.example include:n{n + 1}.example -all"] for n in range(40)
    }
    zone = Zone(records | {"n40.example TXT": ["v=spf1 a:h.example -all"], "h.example A": ["192.0.2.1"]})
    found = audit_sync("n0.example", zone)
    assert found.lookups == 2**41 - 2 + 2**40
    assert len(zone.asked) == 43
    long = {f"n{n}.example TXT": [f"v=spf1 include:n{n + 1}.example -all"] for n in range(300)}
    assert "too-many" in {one.rule for one in audit_sync("n0.example", Zone(long)).findings}


def test_networks() -> None:
    records = {
        A: ["v=spf1 ip4:192.0.2.0/24 -ip4:198.51.100.1 a/28 mx//64 -all"],
        "a.example A": ["203.0.113.9"],
        "a.example MX": ["1 m.example"],
        "m.example AAAA": ["2001:db8::1"],
    }
    assert audited(records).networks == ("192.0.2.0/24", "203.0.113.9/28", "2001:db8::1/64")


def test_told_for_people_and_scripts() -> None:
    found = audited({A: ["v=spf1 include:b.example ?all"], "b.example TXT": ["v=spf1 ip4:192.0.2.1 -all"]})
    assert found.explain().splitlines() == [
        "a.example: warnings, 1 lookups, 0 void",
        "  a.example (1 lookups, 0 void)",
        "    v=spf1 include:b.example ?all",
        "    b.example (0 lookups, 0 void)",
        "      v=spf1 ip4:192.0.2.1 -all",
        "  warning: a.example, ?all: whoever is not named is neutral (RFC 7208 8.2)",
        "      v=spf1 include:b.example ?all",
        "                               ^",
    ]
    assert found.reason == "warning: a.example, ?all: whoever is not named is neutral (RFC 7208 8.2)"
    assert found.sound
    assert found.records["b.example"] == "v=spf1 ip4:192.0.2.1 -all"
    assert [str(step.question) for step in found.trace] == ["a.example TXT", "b.example TXT"]
    assert audited({A: ["v=spf1 -all"]}).reason == "1 records, 0 lookups"
    assert audited({A: "TIMEOUT"}).status is AuditStatus.TEMPERROR


def test_three_spellings_and_misuse() -> None:
    zone = Zone({A: ["v=spf1 -all"]})
    assert asyncio.run(audit("a.example", zone)) == audit_sync("a.example", zone)
    with pytest.raises(DomainSyntaxError):
        audit_sync("a..example", zone)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_an_audit_sees_what_a_check_trips_over(world: World) -> None:
    """Where a check ends in a permerror, an audit of that domain has an error, unless macros hid the way there."""
    records = world.records
    domain = (world.mail_from or world.helo).rpartition("@")[2]
    found = audit_sync(domain, Zone(records))
    result = check_sync(world.ip, world.mail_from, world.helo, Zone(records), now=0)
    hidden = {"macro", "dns", "constant-exists", "ptr"} & {one.rule for one in found.findings}
    if result.status is Status.PERMERROR and not hidden and "void" not in result.reason:
        assert not found.sound, (result.explain(), found.explain())
    assert result.lookups <= 11
    found.explain()
