"""RFC 9989 4.4 and 4.10.2: strict and relaxed alignment, and the questions it takes."""

from __future__ import annotations

from typing import Any

import pytest

from mox_dmarc import Alignment, Mode, Pass, plan_discover
from mox_dmarc.align import plan_align
from mox_dns import Domain, Lookup, Step, Zone, run_blocking

P = "v=DMARC1; p=reject"


def two_labels(domain: Domain) -> Domain | None:
    return Domain(".".join(domain.labels[-2:])) if len(domain.labels) >= 2 else None


def align(
    author: str, passed: list[str], records: dict[str, Any], mode: Mode = Mode.RFC9989
) -> tuple[tuple[Alignment, ...], list[str]]:
    """What becomes of passes "dkim:example.org", and what had to be asked after the record was found."""
    zone = Zone({f"_dmarc.{name} TXT": value for name, value in records.items()})
    found = run_blocking(plan_discover(Domain.parse(author), mode, organization=two_labels), zone).value
    zone.asked.clear()
    trace: list[Step] = []
    passes = [Pass(text.partition(":")[0], Domain.parse(text.partition(":")[2])) for text in passed]
    plan: Lookup[tuple[Alignment, ...]] = plan_align(found, passes, trace)
    outcome = run_blocking(plan, zone).value
    assert [step.question for step in trace] == zone.asked
    return outcome, [question.name.removeprefix("_dmarc.") for question in zone.asked]


# author, pass, zone, aligned, questions beyond those of the discovery
CASES = {
    "the same domain": ("example.com", "dkim:example.com", {"example.com": P}, True, []),
    "case does not matter": ("example.com", "dkim:EXAMPLE.com", {"example.com": P}, True, []),
    "strict, another": ("example.com", "dkim:a.example.com", {"example.com": P + "; adkim=s"}, False, []),
    "strict counts for its means only": (
        "example.com",
        "spf:a.example.com",
        {"example.com": P + "; adkim=s"},
        True,
        ["com", "a.example.com"],
    ),
    "strict SPF": ("example.com", "spf:a.example.com", {"example.com": P + "; aspf=s"}, False, []),
    "nothing in common": ("example.com", "dkim:example.net", {"example.com": P}, False, []),
    "only the top level in common": ("example.com", "dkim:example2.com", {"example.com": P}, False, ["com"]),
    "below the author": (
        "example.com",
        "dkim:a.b.example.com",
        {"example.com": P},
        True,
        ["com", "a.b.example.com", "b.example.com"],
    ),
    "above the author": ("a.example.com", "dkim:example.com", {"example.com": P}, True, []),
    "beside the author": ("a.example.com", "dkim:b.example.com", {"example.com": P}, True, ["b.example.com"]),
    "above the author, without a record of its own": (
        "a.example.com",
        "dkim:example.com",
        {"a.example.com": P},
        False,
        ["example.com", "com"],
    ),
    "the pass has its own organization by psd=n": (
        "example.com",
        "dkim:a.example.com",
        {"example.com": P, "a.example.com": "v=DMARC1; p=none; psd=n"},
        False,
        ["com", "a.example.com"],
    ),
    "siblings under a public suffix": (
        "a.bank",
        "dkim:b.bank",
        {"a.bank": P, "bank": "v=DMARC1; p=none; psd=y"},
        False,
        ["bank", "b.bank"],
    ),
    "one family under a public suffix": (
        "x.a.bank",
        "dkim:y.a.bank",
        {"x.a.bank": P, "bank": "v=DMARC1; p=none; psd=y"},
        True,
        ["a.bank", "bank", "y.a.bank"],
    ),
    "a top level with a record and no psd": (
        "a.corp",
        "dkim:b.corp",
        {"a.corp": P, "corp": P},
        True,
        ["corp", "b.corp"],
    ),
}


@pytest.mark.parametrize("author, passed, records, aligned, questions", CASES.values(), ids=CASES)
def test_alignment(author: str, passed: str, records: dict[str, Any], aligned: bool, questions: list[str]) -> None:
    (outcome,), asked = align(author, [passed], records)
    assert outcome.aligned is aligned, outcome.reason
    assert asked == questions
    assert outcome.to_dict()["reason"] == outcome.reason


def test_no_answer_leaves_it_open() -> None:
    (outcome,), _ = align("example.com", ["dkim:a.example.com"], {"example.com": P, "a.example.com": "TIMEOUT"})
    assert outcome.aligned is None
    assert outcome.failed


# RFC 9989 4.10.2
def test_each_means_walks_until_it_is_aligned() -> None:
    passed = ["dkim:a.example.com", "dkim:example.com", "spf:b.example.com"]
    outcome, asked = align("example.com", passed, {"example.com": P})
    assert [one.aligned for one in outcome] == [None, True, True]  # the first is not looked at: dkim is aligned
    assert asked == ["com", "b.example.com"]


# RFC 7489 3.1
def test_suffix_list_asks_nothing() -> None:
    outcome, asked = align(
        "a.example.com", ["dkim:b.example.com", "spf:other.com", "spf:com"], {"example.com": P}, Mode.RFC7489
    )
    assert [one.aligned for one in outcome] == [True, False, False]
    assert asked == []
