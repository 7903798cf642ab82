"""RFC 9989 4.10, RFC 7489 6.6.3: which record governs a domain, and what had to be asked."""

from __future__ import annotations

from typing import Any

import pytest

from mox_dmarc import Discovery, Mode, Presence, Record, plan_discover
from mox_dmarc.discover import Place, organizational, walk_names
from mox_dns import Domain, Zone, run_blocking


def discover(author: str, records: dict[str, Any], mode: Mode = Mode.RFC9989) -> tuple[Discovery, list[str]]:
    zone = Zone({f"_dmarc.{name} TXT" if " " not in name else name: value for name, value in records.items()})
    found = run_blocking(plan_discover(Domain.parse(author), mode, organization=two_labels), zone).value
    return found, [question.name for question in zone.asked]


def two_labels(domain: Domain) -> Domain | None:
    """A suffix list in which every top-level domain is a suffix, and `co.uk`."""
    count = 3 if domain.ascii.endswith(".co.uk") else 2
    return Domain(".".join(domain.labels[-count:])) if len(domain.labels) >= count else None


WALKS = {
    "example.com": ["example.com", "com"],
    "com": ["com"],
    "a.b.c.d.e.f.g.h": [
        "a.b.c.d.e.f.g.h",
        "b.c.d.e.f.g.h",
        "c.d.e.f.g.h",
        "d.e.f.g.h",
        "e.f.g.h",
        "f.g.h",
        "g.h",
        "h",
    ],
    # the example of RFC 9989 4.10
    "a.b.c.d.e.f.g.h.i.j.mail.example.com": [
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    ],
}


@pytest.mark.parametrize("start, names", WALKS.items())
def test_the_walk_asks_at_most_eight_names(start: str, names: list[str]) -> None:
    assert list(walk_names(start)) == names


def places(*pairs: tuple[str, str | None]) -> list[Place]:
    return [Place(name, Record.parse(f"v=DMARC1; {text}") if text is not None else None) for name, text in pairs]


# start, what the walk met, Organizational Domain
ORGANIZATIONS = {
    "no record: the start": (
        "a.example.com",
        [("a.example.com", None), ("example.com", None), ("com", None)],
        "a.example.com",
    ),
    "the highest record": (
        "a.example.com",
        [("a.example.com", "p=none"), ("example.com", "p=none"), ("com", None)],
        "example.com",
    ),
    "psd=n": ("a.example.com", [("a.example.com", "psd=n")], "a.example.com"),
    "below psd=y": ("a.example.com", [("a.example.com", None), ("example.com", None), ("com", "psd=y")], "example.com"),
    "below psd=y, though a record stands lower": (
        "a.b.example.com",
        [("a.b.example.com", "p=none"), ("b.example.com", None), ("example.com", None), ("com", "psd=y")],
        "example.com",
    ),
    "psd=y where the walk begins": ("com", [("com", "psd=y")], "com"),
    "psd=y just above the start": ("example.com", [("example.com", None), ("com", "psd=y")], "example.com"),
    "a long name, shortened": (
        "a.b.c.d.e.f.g.h.i",
        [("a.b.c.d.e.f.g.h.i", None), ("c.d.e.f.g.h.i", "psd=y")],
        "b.c.d.e.f.g.h.i",
    ),
}


# RFC 9989 4.10.2
@pytest.mark.parametrize("start, met, want", ORGANIZATIONS.values(), ids=ORGANIZATIONS)
def test_organizational_domain_4_10_2(start: str, met: list[tuple[str, str | None]], want: str) -> None:
    assert organizational(start, places(*met)) == want


P = "v=DMARC1; p=reject"
Want = tuple[str, str | None, str]

# author, zone, (status, policy domain, request), questions
CASES = {
    "the author's own record: one question": ("example.com", {"example.com": P}, ("found", "example.com", "reject"), 1),
    "the organization's": ("a.example.com", {"example.com": P}, ("found", "example.com", "reject"), 3),
    "the author's, though it is not the highest": (
        "a.example.com",
        {"a.example.com": "v=DMARC1; p=none", "example.com": P},
        ("found", "a.example.com", "none"),
        1,
    ),
    "not the nearest but the organization's, 4.10.1": (
        "x.a.example.com",
        {"a.example.com": "v=DMARC1; p=none", "example.com": P},
        ("found", "example.com", "reject"),
        4,
    ),
    "a psd=n on the way is the organization": (
        "x.a.example.com",
        {"a.example.com": "v=DMARC1; p=none; psd=n", "example.com": P},
        ("found", "a.example.com", "none"),
        4,
    ),
    "the suffix's, for an organization without": (
        "example.bank",
        {"bank": "v=DMARC1; p=reject; psd=y"},
        ("found", "bank", "reject"),
        2,
    ),
    "not the suffix's, where the organization has one": (
        "a.example.bank",
        {"bank": "v=DMARC1; p=reject; psd=y", "example.bank": "v=DMARC1; p=none"},
        ("found", "example.bank", "none"),
        3,
    ),
    "none": ("example.com", {}, ("none", None, "none"), 2),
    "two records are none, 4.10": ("example.com", {"example.com": [P, P]}, ("none", None, "none"), 2),
    "two records do not hide the organization's": (
        "a.example.com",
        {"a.example.com": [P, P], "example.com": P},
        ("found", "example.com", "reject"),
        3,
    ),
    "other texts do not count": ("example.com", {"example.com": ["hello", P]}, ("found", "example.com", "reject"), 1),
    "no answer": ("example.com", {"example.com": "SERVFAIL"}, ("temperror", None, "none"), 1),
    "no answer above": ("a.example.com", {"example.com": P, "com": "TIMEOUT"}, ("temperror", None, "none"), 3),
    "no answer above a psd=n does not matter": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=reject; psd=n", "com": "TIMEOUT"},
        ("found", "example.com", "reject"),
        3,
    ),
    "sp": ("a.example.com", {"example.com": "v=DMARC1; p=reject; sp=none"}, ("found", "example.com", "none"), 3),
    "sp is not for the domain itself": (
        "example.com",
        {"example.com": "v=DMARC1; p=reject; sp=none"},
        ("found", "example.com", "reject"),
        1,
    ),
    "np, the author does not exist": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=none; np=reject"},
        ("found", "example.com", "reject"),
        4,
    ),
    "np, the author exists": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=none; np=reject", "a.example.com A": "192.0.2.1"},
        ("found", "example.com", "none"),
        4,
    ),
    "np, something below the author exists": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=none; np=reject", "x.a.example.com A": "192.0.2.1"},
        ("found", "example.com", "none"),
        4,
    ),
    "np, the author's _dmarc exists, so it does as well": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=none; np=reject", "a.example.com": "other"},
        ("found", "example.com", "none"),
        3,
    ),
    "np that makes no difference is not asked for": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=reject; np=reject"},
        ("found", "example.com", "reject"),
        3,
    ),
    "np, and DNS does not say": (
        "a.example.com",
        {"example.com": "v=DMARC1; p=none; np=reject", "a.example.com TXT": "TIMEOUT"},
        ("temperror", "example.com", "none"),
        4,
    ),
}


@pytest.mark.parametrize("author, records, want, questions", CASES.values(), ids=CASES)
def test_discovery(author: str, records: dict[str, Any], want: Want, questions: int) -> None:
    found, asked = discover(author, records)
    assert (found.status, found.domain and str(found.domain), found.request) == want, found.explain()
    assert len(asked) == questions, asked
    assert found.to_dict()["status"] == found.status
    assert str(found.author) in found.explain()


def test_one_round_of_questions_for_the_whole_walk() -> None:
    plan = plan_discover(Domain.parse("a.b.c.example.com"))
    (first,) = next(plan)
    assert first.name == "_dmarc.a.b.c.example.com"
    zone = Zone({})
    asked = plan.send((zone.ask(first),))
    assert [one.name for one in asked] == [
        f"_dmarc.{x}" for x in ("b.c.example.com", "c.example.com", "example.com", "com")
    ]


OLD_CASES = {
    "own": ("a.example.co.uk", {"a.example.co.uk": P}, ("found", "a.example.co.uk", "reject"), 1),
    "organization's": (
        "a.b.example.co.uk",
        {"example.co.uk": P, "b.example.co.uk": P},
        ("found", "example.co.uk", "reject"),
        2,
    ),
    "not the suffix's": ("example.co.uk", {"co.uk": P}, ("none", None, "none"), 1),
    "two records end the search, 6.6.3": (
        "a.example.com",
        {"a.example.com": [P, P], "example.com": P},
        ("none", None, "none"),
        1,
    ),
    "no np": ("a.example.com", {"example.com": "v=DMARC1; p=none; np=reject"}, ("found", "example.com", "none"), 2),
    "no answer": ("a.example.com", {"a.example.com": "TIMEOUT"}, ("temperror", None, "none"), 1),
    "a suffix itself": ("com", {"com": P}, ("found", "com", "reject"), 1),
}


@pytest.mark.parametrize("author, records, want, questions", OLD_CASES.values(), ids=OLD_CASES)
def test_discovery_by_suffix_list(
    author: str, records: dict[str, Any], want: tuple[str, str | None, str], questions: int
) -> None:
    found, asked = discover(author, records, Mode.RFC7489)
    assert (found.status, found.domain and str(found.domain), found.request) == want, found.explain()
    assert len(asked) == questions, asked


def test_status_words() -> None:
    assert [str(one) for one in Presence] == ["found", "none", "temperror"]


def test_the_packaged_suffix_list_is_the_default() -> None:
    zone = Zone({"_dmarc.example.co.uk TXT": [P], "_dmarc.co.uk TXT": [P]})
    found = run_blocking(plan_discover(Domain.parse("a.example.co.uk"), Mode.RFC7489), zone).value
    assert found.domain == Domain("example.co.uk")
