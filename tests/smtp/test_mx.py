"""Which hosts take mail for a domain: MX records of every kind, null MX, CNAMEs, no records, DNS that fails.

RFC 5321 5 and 5.1; RFC 7505 3; canonical names for RFC 7672 2.2.1."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mox_dns import Zone, run_blocking
from mox_smtp import HostAddresses, Hosts, plan_addresses, plan_hosts
from mox_smtp.mx import MAX_HOSTS


def hosts(records: dict[str, Any], domain: str = "a.example", *, seed: int = 1) -> Hosts:
    return run_blocking(plan_hosts(domain, random.Random(seed).shuffle), Zone(records)).value


ORDER = {
    "one": ({"a.example MX": ["10 mx.a.example."]}, ("mx.a.example",)),
    "by preference": ({"a.example MX": ["20 b.example.", "10 c.example.", "5 d.example."]}, ("d.example", "c.example", "b.example")),
    "twice": ({"a.example MX": ["10 b.example.", "20 b.example.", "30 c.example."]}, ("b.example", "c.example")),
    "a null one among others": ({"a.example MX": ["0 .", "10 b.example."]}, ("b.example",)),
    "an address": ({"a.example MX": ["10 192.0.2.1.", "20 b.example."]}, ("b.example",)),
    "implicit": ({"a.example A": ["192.0.2.1"]}, ("a.example",)),
    "implicit, IPv6": ({"a.example AAAA": ["2001:db8::1"]}, ("a.example",)),
}  # fmt: skip


@pytest.mark.parametrize("records, want", ORDER.values(), ids=ORDER.keys())
def test_order(records: dict[str, Any], want: tuple[str, ...]) -> None:
    found = hosts(records)
    assert found.names == want
    assert not found.refusal
    assert found.implicit == (want == ("a.example",))


def test_equal_preferences_are_mixed_by_the_given_randomness() -> None:
    records: dict[str, Any] = {"a.example MX": [f"10 h{n}.example." for n in range(6)] + ["1 first.example."]}
    orders = {hosts(records, seed=seed).names for seed in range(30)}
    assert len(orders) > 10
    assert {order[0] for order in orders} == {"first.example"}
    assert {tuple(sorted(order)) for order in orders} == {
        tuple(sorted([*(f"h{n}.example" for n in range(6)), "first.example"]))
    }
    assert hosts(records, seed=7) == hosts(records, seed=7)


def test_a_bound() -> None:
    assert len(hosts({"a.example MX": [f"{n} h{n}.example." for n in range(100)]}).names) == MAX_HOSTS


REFUSED = {
    "null MX": ({"a.example MX": ["0 ."]}, "5.1.10", False),
    "no such domain": ({}, "5.1.2", False),
    "nothing but a text": ({"a.example TXT": ["x"]}, "5.1.2", False),
    "no host name": ({"a.example MX": ["10 192.0.2.1."]}, "5.1.2", False),
    "MX fails": ({"a.example MX": "SERVFAIL"}, "4.4.3", True),
    "addresses fail": ({"a.example TXT": ["x"], "a.example A": "TIMEOUT", "a.example AAAA": "TIMEOUT"}, "4.4.3", True),
}


@pytest.mark.parametrize("records, status, temporary", REFUSED.values(), ids=REFUSED.keys())
def test_nobody_to_send_to(records: dict[str, Any], status: str, temporary: bool) -> None:
    found = hosts(records)
    assert (found.names, found.status, found.temporary) == ((), status, temporary)
    assert found.refusal


def test_a_chain_of_aliases() -> None:
    records: dict[str, Any] = {
        "a.example CNAME": ["b.example."], "b.example CNAME": ["c.example."], "c.example MX": ["10 mx.c.example."],
    }  # fmt: skip
    found = hosts(records)
    assert (found.names, found.canonical) == (("mx.c.example",), "c.example")


def test_a_circle_of_aliases() -> None:
    found = hosts({"a.example CNAME": ["b.example."], "b.example CNAME": ["a.example."]})
    assert not found.names
    assert found.refusal


# -- addresses

V4, V6 = ["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2", "2001:db8::3"]


def addresses(records: dict[str, Any], **options: Any) -> HostAddresses:
    return run_blocking(plan_addresses("h.example", **options), Zone(records)).value


def test_families_take_turns() -> None:
    records: dict[str, Any] = {"h.example A": [*V4], "h.example AAAA": [*V6]}
    assert list(map(str, addresses(records).addresses)) == [V6[0], V4[0], V6[1], V4[1], V6[2]]
    assert list(map(str, addresses(records, families=(4, 6)).addresses)) == [V4[0], V6[0], V4[1], V6[1], V6[2]]
    assert list(map(str, addresses(records, families=(4,)).addresses)) == V4
    assert list(map(str, addresses(records, families=(6,)).addresses)) == V6


def test_a_family_that_is_not_there() -> None:
    records: dict[str, Any] = {"h.example AAAA": [*V6]}
    found = addresses(records, families=(4,))
    assert found.addresses == ()
    assert "IPv4" in found.refusal
    assert not found.temporary


def test_no_address() -> None:
    found = addresses({})
    assert (found.addresses, found.temporary) == ((), False)
    found = addresses({"h.example A": "TIMEOUT", "h.example AAAA": "TIMEOUT"})
    assert found.temporary
