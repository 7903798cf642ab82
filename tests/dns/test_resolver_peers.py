"""Our resolvers, and dnspython's behind our protocol, against a real unbound in front of a real knot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.resolver
import pytest

from mox_dns import (
    Answer,
    BlockingUdpResolver,
    DnspythonResolver,
    Mx,
    Question,
    Status,
    Tlsa,
    UdpResolver,
    addresses,
    ask,
    run,
    run_blocking,
    run_together,
    txt,
)
from mox_dns.resolver import BlockingDnspythonResolver

pytestmark = pytest.mark.peers

Asker = Callable[[str, str], Answer]


def dnspython(server: str, kind: Any) -> Any:
    host, _, port = server.partition(":")
    resolver = kind(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = [host], int(port), 3.0
    resolver.use_edns(0, 0, 1232)
    resolver.flags = dns.flags.RD | dns.flags.AD
    return resolver


def ask_ours(server: str) -> Asker:
    async def once(name: str, type: str) -> Answer:
        with UdpResolver([server], trust_ad=True) as resolver:
            return (await run(ask(name, type), resolver)).value

    return lambda name, type: asyncio.run(once(name, type))


def ask_ours_mixed(server: str) -> Asker:
    async def once(name: str, type: str) -> Answer:
        with UdpResolver([server], trust_ad=True, mixed_case=True) as resolver:
            return (await run(ask(name, type), resolver)).value

    return lambda name, type: asyncio.run(once(name, type))


def ask_ours_blocking(server: str) -> Asker:
    resolver = BlockingUdpResolver([server], trust_ad=True)
    return lambda name, type: run_blocking(ask(name, type), resolver).value


def ask_dnspython(server: str) -> Asker:
    resolver = BlockingDnspythonResolver(dnspython(server, dns.resolver.Resolver), trust_ad=True)
    return lambda name, type: run_blocking(ask(name, type), resolver).value


def ask_dnspython_async(server: str) -> Asker:
    resolver = DnspythonResolver(dnspython(server, dns.asyncresolver.Resolver), trust_ad=True)

    async def once(name: str, type: str) -> Answer:
        return (await run(ask(name, type), resolver)).value

    return lambda name, type: asyncio.run(once(name, type))


ASKERS = {
    "ours": ask_ours,
    "ours, mixed case": ask_ours_mixed,
    "ours, blocking": ask_ours_blocking,
    "dnspython": ask_dnspython,
    "dnspython, async": ask_dnspython_async,
}


@pytest.fixture(params=list(ASKERS.values()), ids=list(ASKERS))
def asker(request: pytest.FixtureRequest, unbound: str) -> Asker:
    made: Asker = request.param(unbound)
    return made


TLSA = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)
CASES: dict[str, tuple[str, str, Status, tuple[Any, ...], str]] = {
    "strings are joined": ("signed.test", "TXT", Status.OK, (b"v=spf1 -all",), "signed.test"),
    "octets are octets": ("binary.plain.test", "TXT", Status.OK, (b'\x00\xff;"',), "binary.plain.test"),
    "hosts in lower case": ("signed.test", "MX", Status.OK, (Mx(10, "mx.signed.test"),), "signed.test"),
    "A": ("mx.plain.test", "A", Status.OK, (IPv4Address("192.0.2.1"),), "mx.plain.test"),
    "AAAA": ("mx.plain.test", "AAAA", Status.OK, (IPv6Address("2001:db8::1"),), "mx.plain.test"),
    "TLSA": ("_25._tcp.mx.signed.test", "TLSA", Status.OK, (Tlsa(3, 1, 1, TLSA),), "_25._tcp.mx.signed.test"),
    "PTR": ("1.2.0.192.in-addr.arpa", "PTR", Status.OK, ("mx.plain.test",), "1.2.0.192.in-addr.arpa"),
    "NS": ("plain.test", "NS", Status.OK, ("ns.plain.test",), "plain.test"),
    "an uncommon type is text": ("plain.test", "CAA", Status.OK, ('0 issue "ca.test"',), "plain.test"),
    "behind aliases": ("alias.signed.test", "A", Status.OK, (IPv4Address("192.0.2.1"),), "mx.signed.test"),
    "the alias itself": ("alias.signed.test", "CNAME", Status.OK, ("alias2.signed.test",), "alias.signed.test"),
    "no such type": ("mx.plain.test", "TXT", Status.NODATA, (), "mx.plain.test"),
    "no such type behind aliases": ("alias.plain.test", "TXT", Status.NODATA, (), "mx.plain.test"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answers(case: tuple[str, str, Status, tuple[Any, ...], str], asker: Asker) -> None:
    name, type, status, records, canonical = case
    answer = asker(name, type)
    assert (answer.status, answer.records) == (status, records), answer
    assert answer.canonical == canonical
    assert answer.authentic is ("signed" in name)
    # unbound counts down from when it asked first.
    assert (200 if records else 37) <= answer.ttl <= (300 if records else 77)


FAILURES = {
    "no such name": ("nowhere.signed.test", "A", Status.NXDOMAIN),
    "an alias to nowhere": ("lost.signed.test", "A", Status.NXDOMAIN),
    "forged, says DNSSEC": ("forged.test", "TXT", Status.BOGUS),
    "its servers are dead": ("x.dead.test", "TXT", Status.SERVFAIL),
    "an empty label": ("a..plain.test", "A", Status.MALFORMED),
    "a label too long": ("a" * 64 + ".plain.test", "A", Status.MALFORMED),
    "a name too long": ("a." * 124 + "plain.test", "A", Status.MALFORMED),
    "not ASCII": ("bücher.test", "A", Status.MALFORMED),
    "not a record type": ("plain.test", "ANY", Status.MALFORMED),
    "no type at all": ("plain.test", "NONSENSE", Status.MALFORMED),
}


@pytest.mark.parametrize("name, type, status", FAILURES.values(), ids=FAILURES.keys())
def test_failures(name: str, type: str, status: Status, asker: Asker) -> None:
    answer = asker(name, type)
    assert answer.status is status, answer
    assert answer.records == ()


def test_truncated_answers_are_asked_for_again_by_tcp(asker: Asker) -> None:
    answer = asker("big.plain.test", "TXT")
    assert answer.status is Status.OK
    assert len(answer.records[0]) == 30 * 203


def test_a_dot_within_a_label_does_not_make_two(asker: Asker) -> None:
    assert "\\" in asker("odd.plain.test", "MX").records[0].host


def test_ad_is_believed_only_when_told(unbound: str) -> None:
    answer = BlockingUdpResolver([unbound], trust_ad=False).ask(Question("signed.test", "TXT"))
    assert answer.found
    assert not answer.authentic
    plain = dnspython(unbound, dns.resolver.Resolver)
    assert not run_blocking(txt("signed.test"), plain).value.authentic


def test_dnspython_resolvers_as_they_are(unbound: str) -> None:
    blocking, waiting = dnspython(unbound, dns.resolver.Resolver), dnspython(unbound, dns.asyncresolver.Resolver)
    assert run_blocking(txt("plain.test"), blocking).value.records == (b"v=spf1 -all",)

    async def both() -> None:
        assert (await run(txt("plain.test"), waiting)).value.records == (b"v=spf1 -all",)
        assert (await run(addresses("mx.plain.test"), waiting)).value.all == (
            IPv6Address("2001:db8::1"),
            IPv4Address("192.0.2.1"),
        )
        one, other = await run_together([txt("plain.test"), txt("signed.test")], waiting)
        assert one.value.records == other.value.records

    asyncio.run(both())


def test_knot_itself_is_an_answer_too(knot: tuple[int, Path]) -> None:
    """An authoritative server may be asked; one that refers to others has said nothing."""
    resolver = BlockingUdpResolver([f"127.0.0.1:{knot[0]}"], trust_ad=False)
    assert resolver.ask(Question("plain.test", "TXT")).found
    assert resolver.ask(Question("elsewhere.example", "TXT")).status is Status.SERVFAIL


def test_the_next_server_is_asked_when_one_is_not_there(unbound: str) -> None:
    async def check() -> None:
        with UdpResolver(["127.0.0.1:9", unbound], trust_ad=False, timeout=1) as resolver:
            assert (await run(txt("plain.test"), resolver)).value.found
            sent = resolver.counts.sent
            assert (await run(txt("signed.test"), resolver)).value.found
            assert resolver.counts.sent == sent + 1, "the dead server is not asked first again"

    asyncio.run(check())
