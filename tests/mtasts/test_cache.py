"""What is kept, used, renewed and forgotten: RFC 8461 3.3, 5.1, 10.2."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mox_mtasts import Entry, MemoryCache, Mode, Policy, due, forgotten
from mox_mtasts.cache import REFRESH, RETRY, UNUSED

POLICY = Policy(Mode.ENFORCE, ("mx.a.example",), 604800)
NOW = 1_000_000_000.0
ENTRY = Entry("a.example", used=NOW).renewed("1", POLICY, NOW)


def test_valid_until_max_age() -> None:
    assert ENTRY.valid(NOW + 604799)
    assert not ENTRY.valid(NOW + 604800)
    assert not Entry("a.example").valid(NOW)


def test_a_failure_keeps_the_policy() -> None:
    failed = ENTRY.failed("2", "sts-policy-fetch-error", "HTTP status 404", NOW + 5)
    assert failed.valid(NOW + 5)
    assert (failed.id, failed.tried, failed.retry) == ("1", "2", NOW + 5 + RETRY)
    assert failed.renewed("2", POLICY, NOW + 600).tried == ""
    assert failed.to_dict()["why"] == "HTTP status 404"


def test_used_to_the_hour() -> None:
    assert ENTRY.seen(NOW + 3599) is ENTRY
    assert ENTRY.seen(NOW + 3600).used == NOW + 3600
    assert ENTRY.seen(NOW - 1).used == NOW - 1  # the clock was wrong


def test_kept_as_plain_values() -> None:
    extended = Policy.parse("version: STSv1\nmode: testing\nmx: *.a.example\nmax_age: 60\nx: y z\n")
    for entry in (ENTRY, ENTRY.renewed("2", extended, NOW), ENTRY.failed("2", "x", "y", NOW), Entry("a.example")):
        assert Entry.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    for odd in ({}, {"policy": None}, {**ENTRY.to_dict(), "policy": {}}, {**ENTRY.to_dict(), "more": 1}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            Entry.from_dict(odd)


def test_due() -> None:
    fresh = replace(ENTRY, domain="fresh.example", fetched=NOW + 1)
    later = replace(ENTRY, domain="later.example", expires=NOW + 700_000)
    over = replace(ENTRY, domain="over.example", expires=NOW + 1)
    unused = replace(ENTRY, domain="unused.example", used=NOW - UNUSED)
    tried = replace(ENTRY, domain="tried.example", retry=NOW + REFRESH + 1)
    assert due([fresh, later, over, unused, tried, ENTRY], NOW + REFRESH) == ("a.example", "later.example")


def test_forgotten() -> None:
    over = replace(ENTRY, domain="over.example", expires=NOW)
    unused = replace(ENTRY, domain="unused.example", used=NOW - UNUSED)
    waiting = Entry("waiting.example", tried="1", retry=NOW + 10)
    assert forgotten([ENTRY, over, unused, waiting], NOW) == ("over.example", "unused.example")
    assert forgotten([waiting], NOW + 10) == ("waiting.example",)


def test_memory() -> None:
    cache = MemoryCache(max_entries=2)
    first, second, third = (replace(ENTRY, domain=f"{name}.example") for name in "abc")
    cache.put(first)
    cache.put(second)
    cache.put(first)
    cache.put(third)
    assert cache.get("b.example") is None
    assert [entry.domain for entry in cache.entries()] == ["a.example", "c.example"]
    cache.remove("a.example")
    cache.remove("a.example")
    assert len(cache) == 1
