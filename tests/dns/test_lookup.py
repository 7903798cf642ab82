"""Lookups and who drives them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from mox_dns import (
    Addresses,
    Answer,
    Lookup,
    Mx,
    Question,
    Status,
    Tlsa,
    Zone,
    addresses,
    ask_all,
    mx,
    ptr,
    run,
    run_blocking,
    run_together,
    tlsa,
    txt,
    value,
    value_blocking,
)

ZONE = {
    "a.example TXT": ["one", "two"],
    "a.example MX": ["10 MX.a.example."],
    "a.example A": ["192.0.2.1"],
    "a.example AAAA": ["2001:db8::1"],
    "v4.example A": ["192.0.2.4"],
    "1.2.0.192.in-addr.arpa PTR": ["a.example."],
    "_25._tcp.a.example TLSA": ["3 1 1 00ff"],
    "slow.example": "TIMEOUT",
}


def test_the_questions_of_mail() -> None:
    """TLSA: RFC 6698 2.1."""
    zone = Zone(ZONE)

    def asked(lookup: Lookup[Answer]) -> tuple[Any, ...]:
        return run_blocking(lookup, zone).value.records

    assert asked(txt("a.example")) == (b"one", b"two")
    assert asked(mx("a.example")) == (Mx(10, "mx.a.example"),)
    assert asked(ptr(ip_address("192.0.2.1"))) == ("a.example",)
    assert asked(tlsa("_25._tcp.a.example")) == (Tlsa(3, 1, 1, b"\0\xff"),)
    assert [str(record) for record in (Mx(10, "a.example"), Tlsa(3, 1, 1, b"\0"))] == ["10 a.example", "3 1 1 00"]


def test_addresses() -> None:
    zone = Zone(ZONE)
    both = run_blocking(addresses("a.example"), zone).value
    assert both.all == (IPv6Address("2001:db8::1"), IPv4Address("192.0.2.1"))
    assert both.found
    assert not both.failed
    one = run_blocking(addresses("v4.example"), zone).value
    assert one.all == (IPv4Address("192.0.2.4"),)
    assert run_blocking(addresses("slow.example"), zone).value.failed
    question = Question("x.example", "A")
    mixed = Addresses(Answer(question, Status.OK, (IPv4Address("192.0.2.1"),), True), Answer(question, Status.TIMEOUT))
    assert mixed.found
    assert not mixed.failed, "an address is known, so mail can go"
    assert not mixed.authentic


STATUSES = {
    Status.OK: (True, False, False),
    Status.NODATA: (False, True, False),
    Status.NXDOMAIN: (False, True, False),
    Status.SERVFAIL: (False, False, True),
    Status.TIMEOUT: (False, False, True),
    Status.BOGUS: (False, False, True),
    Status.MALFORMED: (False, False, True),
}


@pytest.mark.parametrize("status", Status)
def test_an_answer_is_found_absent_or_failed(status: Status) -> None:
    answer = Answer(Question("a.example", "A"), status, ("x",) if status is Status.OK else ())
    assert (answer.found, answer.absent, answer.failed) == STATUSES[status]


def test_the_trace_has_every_question_in_order() -> None:
    def lookup() -> Lookup[str]:
        one = yield from txt("a.example")
        yield from ask_all(Question("a.example", "A"), Question("none.example", "MX"))
        return str(len(one.records))

    traced = run_blocking(lookup(), Zone(ZONE, authentic=True))
    assert traced.value == "2"
    assert [str(step) for step in traced.steps] == [
        "a.example TXT -> b'one', b'two' (authentic)",
        "a.example A -> 192.0.2.1 (authentic)",
        "none.example MX -> nxdomain (authentic)",
    ]


def test_all_ways_to_drive_agree() -> None:
    zone = Zone(ZONE)
    blocking = run_blocking(addresses("a.example"), zone)
    assert asyncio.run(run(addresses("a.example"), zone)) == blocking
    assert asyncio.run(run_together([addresses("a.example")], zone)) == [blocking]
    assert asyncio.run(value(addresses("a.example"), zone)) == blocking.value
    assert value_blocking(addresses("a.example"), zone) == blocking.value


class Later:
    """Answers when it is told to, in any order."""

    def __init__(self) -> None:
        self.waiting: dict[Question, asyncio.Future[Answer]] = {}
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Awaitable[Answer]:
        self.asked.append(question)
        self.waiting[question] = asyncio.get_running_loop().create_future()
        return self.waiting[question]

    async def tell(self, name: str) -> None:
        (question,) = [question for question in self.waiting if question.name == name]
        self.waiting.pop(question).set_result(Answer(question, Status.OK, (name,)))
        for _ in range(3):
            await asyncio.sleep(0)


def chain(*names: str) -> Lookup[str]:
    """Asks for one name after the other."""
    told = []
    for name in names:
        answer = yield from txt(name)
        told.append(answer.records[0])
    return " ".join(told)


def test_lookups_side_by_side_do_not_wait_for_each_other() -> None:
    async def check() -> None:
        later = Later()
        task = asyncio.create_task(run_together([chain("a1", "a2"), chain("b1", "b2", "b3")], later))
        await asyncio.sleep(0)
        assert [question.name for question in later.asked] == ["a1", "b1"], "all begin"
        await later.tell("b1")
        await later.tell("b2")
        assert [question.name for question in later.asked][2:] == ["b2", "b3"], "b goes on while a waits"
        await later.tell("a1")
        await later.tell("b3")
        await later.tell("a2")
        assert [traced.value for traced in await task] == ["a1 a2", "b1 b2 b3"]
        assert [traced.steps[0].question.name for traced in task.result()] == ["a1", "b1"]

    asyncio.run(check())


def test_nothing_to_wait_for() -> None:
    def nothing() -> Lookup[str]:
        return "x"
        yield ()

    async def check() -> None:
        assert await run_together([], Zone()) == []
        assert [traced.value for traced in await run_together([nothing(), nothing()], Zone())] == ["x", "x"]
        assert (await run(nothing(), Zone())).value == "x"

    asyncio.run(check())


def test_an_exception_out_of_a_lookup_is_heard() -> None:
    def broken() -> Lookup[str]:
        yield from txt("a1")
        raise ZeroDivisionError("ours")

    async def check() -> None:
        later = Later()
        task = asyncio.create_task(run_together([chain("b1", "b2"), broken()], later))
        await asyncio.sleep(0)
        await later.tell("a1")
        with pytest.raises(ZeroDivisionError, match="ours"):
            await task
        assert all(future.cancelled() for future in later.waiting.values()), "nobody asks any more"

    asyncio.run(check())


def test_cancelled_lookups_are_closed() -> None:
    closed = []

    def watched() -> Lookup[None]:
        try:
            yield from txt("a1")
        finally:
            closed.append(True)

    async def check() -> None:
        later = Later()
        task = asyncio.create_task(run_together([watched(), watched()], later))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(check())
    assert closed == [True, True]


def test_coroutines_are_asked_side_by_side() -> None:
    """As dnspython's are: nothing happens before somebody runs them."""
    running = most = 0

    class Coroutines:
        async def ask(self, question: Question) -> Answer:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return Answer(question, Status.NODATA)

    async def check() -> None:
        await run(addresses("a.example"), Coroutines())
        assert most == 2
        await run_together([addresses("a.example"), addresses("b.example")], Coroutines())
        assert most == 4

    asyncio.run(check())


def test_without_a_resolver_the_system_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mox_dns.resolver._connected", _refused)
    assert value_blocking(txt("a.example")).status is Status.SERVFAIL
    assert asyncio.run(value(txt("a.example"))).status is Status.SERVFAIL


def _refused(_: object) -> object:
    raise ConnectionRefusedError(111, "refused")
