"""Which records hold: RFC 7672 2.1.2, 2.2 and 2.2.1 to 2.2.3, every state of DNSSEC from tables.

Result types: RFC 8460 4.3.2.1."""

from __future__ import annotations

import asyncio

import pytest

from mox_dane import Found, Status, lookup, lookup_sync, plan_lookup, reference_names
from mox_dns import Answer, DomainSyntaxError, Question, Zone, run_blocking
from mox_dns import Status as Dns

GOOD = "3 1 1 " + "ab" * 32
OTHER = "3 1 1 " + "cd" * 32
HOST = "mx.a.example"


class World:
    """A zone; names that begin with `?` in `records` are not under DNSSEC, nor what an alias leads to from there."""

    def __init__(self, records: dict[str, object], insecure: tuple[str, ...] = ()) -> None:
        self.zone = Zone(records, authentic=True)  # type: ignore[arg-type]
        self.insecure = insecure
        self.asked: list[str] = []

    def ask(self, question: Question) -> Answer:
        self.asked.append(str(question))
        answer = self.zone.ask(question)
        way = [question.name, answer.canonical or question.name] if question.type != "CNAME" else [question.name]
        secure = answer.authentic and not any(name.endswith(self.insecure) for name in way if self.insecure)
        return Answer(question, answer.status, answer.records, secure, answer.ttl, answer.canonical, answer.detail)


PLAIN: dict[str, object] = {f"{HOST} A": ["192.0.2.1"], f"_25._tcp.{HOST} TLSA": [GOOD]}
ALIAS: dict[str, object] = {
    f"{HOST} CNAME": ["mx.b.example"],
    "mx.b.example A": ["192.0.2.2"],
    f"_25._tcp.{HOST} TLSA": [GOOD],
    "_25._tcp.mx.b.example TLSA": [OTHER],
}


def without(records: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in records.items() if key not in keys}


# What is in DNS, what is not under DNSSEC -> the outcome, the TLSA base domain, the result type of RFC 8460
CASES: dict[str, tuple[dict[str, object], tuple[str, ...], Status, str, str]] = {
    "secure": (PLAIN, (), Status.DANE, HOST, ""),
    "IPv6 alone": ({f"{HOST} AAAA": ["2001:db8::1"], f"_25._tcp.{HOST} TLSA": [GOOD]}, (), Status.DANE, HOST, ""),
    "insecure addresses": (PLAIN, (HOST,), Status.INSECURE, "", ""),
    "secure addresses, insecure TLSA": (PLAIN, (f"_25._tcp.{HOST}",), Status.NONE, "", ""),
    "no TLSA": (without(PLAIN, f"_25._tcp.{HOST} TLSA"), (), Status.NONE, "", ""),
    "TLSA name without TLSA": (
        {f"{HOST} A": ["192.0.2.1"], f"_25._tcp.{HOST} TXT": ["x"]}, (), Status.NONE, "", "",
    ),
    "TLSA of another port": (
        {f"{HOST} A": ["192.0.2.1"], f"_465._tcp.{HOST} TLSA": [GOOD]}, (), Status.NONE, "", "",
    ),
    "TLSA not answered": ({**PLAIN, f"_25._tcp.{HOST} TLSA": "TIMEOUT"}, (), Status.TEMPERROR, "", ""),
    "TLSA servers fail": ({**PLAIN, f"_25._tcp.{HOST} TLSA": "SERVFAIL"}, (), Status.TEMPERROR, "", ""),
    "TLSA forged": ({**PLAIN, f"_25._tcp.{HOST} TLSA": "BOGUS"}, (), Status.TEMPERROR, "", "dnssec-invalid"),
    "addresses not answered": ({HOST: "TIMEOUT"}, (), Status.TEMPERROR, "", ""),
    "addresses forged": ({HOST: "BOGUS"}, (), Status.TEMPERROR, "", "dnssec-invalid"),
    "one family not answered": ({**PLAIN, f"{HOST} AAAA": "SERVFAIL"}, (), Status.DANE, HOST, ""),
    "no address": ({f"_25._tcp.{HOST} TLSA": [GOOD]}, (), Status.NOHOST, "", ""),
    "no such host": ({}, (), Status.NOHOST, "", ""),
    "unusable records only": (
        {**PLAIN, f"_25._tcp.{HOST} TLSA": ["1 1 1 " + "ab" * 32, "3 1 1 00"]}, (), Status.UNUSABLE, HOST,
        "tlsa-invalid",
    ),
    "usable beside unusable": (
        {**PLAIN, f"_25._tcp.{HOST} TLSA": ["0 0 1 " + "ab" * 32, GOOD]}, (), Status.DANE, HOST, "",
    ),
    "TLSA by an alias": (
        {**without(PLAIN, f"_25._tcp.{HOST} TLSA"), f"_25._tcp.{HOST} CNAME": ["_dane.a.example"],
         "_dane.a.example TLSA": [GOOD]}, (), Status.DANE, HOST, "",
    ),
    "TLSA by an alias out of DNSSEC": (
        {**without(PLAIN, f"_25._tcp.{HOST} TLSA"), f"_25._tcp.{HOST} CNAME": ["_dane.b.example"],
         "_dane.b.example TLSA": [GOOD]}, ("b.example",), Status.NONE, "", "",
    ),
    "alias, secure: where it leads comes first": (ALIAS, (), Status.DANE, "mx.b.example", ""),
    "alias, secure: then the alias": (
        without(ALIAS, "_25._tcp.mx.b.example TLSA"), (), Status.DANE, HOST, "",
    ),
    "alias, secure: an unusable set is one": (
        {**ALIAS, "_25._tcp.mx.b.example TLSA": ["3 1 1 00"]}, (), Status.UNUSABLE, "mx.b.example", "tlsa-invalid",
    ),
    "alias, secure: nothing at either": (
        without(ALIAS, "_25._tcp.mx.b.example TLSA", f"_25._tcp.{HOST} TLSA"), (), Status.NONE, "", "",
    ),
    "alias, secure: the first does not answer": (
        {**ALIAS, "_25._tcp.mx.b.example TLSA": "SERVFAIL"}, (), Status.TEMPERROR, "", "",
    ),
    "alias that leads out of DNSSEC": (ALIAS, ("b.example",), Status.DANE, HOST, ""),
    "alias that leads out, no records": (
        without(ALIAS, f"_25._tcp.{HOST} TLSA"), ("b.example",), Status.NONE, "", "",
    ),
    "alias not under DNSSEC": (ALIAS, ("example",), Status.INSECURE, "", ""),
    "alias not under DNSSEC, target is": (ALIAS, (HOST,), Status.INSECURE, "", ""),
}  # fmt: skip


@pytest.mark.parametrize("records, insecure, status, base, failure", CASES.values(), ids=CASES)
def test_lookup(
    records: dict[str, object], insecure: tuple[str, ...], status: Status, base: str, failure: str
) -> None:  # fmt: skip
    found = lookup_sync(HOST, World(records, insecure))
    assert (found.status, found.base, found.failure) == (status, base, failure), found.explain()
    assert bool(found.records) == (status in (Status.DANE, Status.UNUSABLE))
    assert bool(found.usable) == (status is Status.DANE)
    assert found.trace
    assert found.reason in found.explain()
    assert found.to_dict()["status"] == status.value
    assert asyncio.run(lookup(HOST, World(records, insecure))) == found


def test_insecure_hosts_are_not_asked_for_tlsa() -> None:
    world = World(PLAIN, (HOST,))
    lookup_sync(HOST, world)
    assert world.asked == [f"{HOST} A", f"{HOST} AAAA"]


def test_an_alias_out_of_dnssec_that_fails() -> None:
    class Failing(World):
        def ask(self, question: Question) -> Answer:
            answer = super().ask(question)
            return Answer(question, Dns.BOGUS) if question.type == "CNAME" else answer

    found = lookup_sync(HOST, Failing(ALIAS, ("b.example",)))
    assert (found.status, found.failure) == (Status.TEMPERROR, "dnssec-invalid")


def test_insecure_mx_asks_nothing() -> None:
    plan = plan_lookup(HOST, mx_authentic=False)
    with pytest.raises(StopIteration) as stop:
        next(plan)
    found: Found = stop.value.value
    assert (found.status, found.reason) == (Status.INSECURE, "the MX records are not under DNSSEC")


def test_other_ports() -> None:
    zone = Zone({f"{HOST} A": ["192.0.2.1"], f"_465._tcp.{HOST} TLSA": [GOOD]}, authentic=True)
    assert lookup_sync(HOST, zone, port=465).status is Status.DANE


@pytest.mark.parametrize("length, asked", [(244, True), (245, False)])
def test_a_name_too_long_for_records(length: int, asked: bool) -> None:
    name = ".".join(["a" * 63] * 3 + ["b" * (length - 192)])
    zone = Zone({f"{name} A": ["192.0.2.1"]}, authentic=True)
    assert lookup_sync(name, zone).status is Status.NONE
    assert (zone.asked[-1].type == "TLSA") is asked


def test_the_plan_alone() -> None:
    plan = plan_lookup(HOST)
    zone = Zone(PLAIN, authentic=True)  # type: ignore[arg-type]
    assert run_blocking(plan, zone).value.status is Status.DANE


def test_no_domain() -> None:
    with pytest.raises(DomainSyntaxError):
        plan_lookup("mx..example")


def test_many_records_are_cut() -> None:
    many = [f"3 1 1 {number:064x}" for number in range(500)]
    found = lookup_sync(HOST, Zone({**PLAIN, f"_25._tcp.{HOST} TLSA": many}, authentic=True))  # type: ignore[dict-item]
    assert len(found.records) == 100


def test_reference_names() -> None:
    """RFC 7672 3.2.2."""
    found = lookup_sync(HOST, World(ALIAS))
    assert reference_names(found, "A.example.", "c.example") == ("mx.b.example", "a.example", "c.example")
    assert reference_names(found, "mx.b.example") == ("mx.b.example",)


def test_what_is_told() -> None:
    shown = lookup_sync(HOST, World(ALIAS, ("b.example",))).explain()
    assert f"{HOST} A, AAAA -> insecure, alias of mx.b.example (RFC 7672 2.2.2)" in shown
    assert f"DNS {HOST} CNAME -> mx.b.example (secure)" in shown
    assert f"{GOOD}: counts" in shown
    weak = lookup_sync(HOST, Zone({**PLAIN, f"_25._tcp.{HOST} TLSA": [GOOD, "1 1 1 00"]}, authentic=True))  # type: ignore[dict-item]
    assert [one["counts"] for one in weak.to_dict()["records"]] == [True, False]
