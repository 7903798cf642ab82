"""The runner, in virtual time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kit.queue_world import DAY, LATER, NO, OK, START, World, always, clock, message
from kit.virtual_time import run_virtual
from mox_message import Content, dsn, parse
from mox_queue import Attempt, Batch, Desk, Filter, HoldRule, Limits, Result, Schedule
from mox_queue.rows import SMALL


def play(world: World, seconds: float, *messages: object) -> None:
    async def main() -> None:
        for one in messages:
            await world.queue.add(one)  # type: ignore[arg-type]
        await world.run(seconds)

    run_virtual(main())


def notices(world: World) -> list[tuple[float, bytes]]:
    return [(at, batch.content.read()) for at, batch in world.carrier.took if not batch.sender]


def test_a_message_is_delivered_and_told(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    play(world, 10, message(1, "a@x.example", "b@x.example", "c@y.example"))
    assert sorted(batch.recipients for _, batch in world.carrier.took) == [
        ("a@x.example", "b@x.example"),
        ("c@y.example",),
    ]
    assert {state for _, state in world.states()} == {"delivered"}
    assert Counter(str(event.kind) for event in world.events) == {"queued": 3, "relayed": 3}
    world.close()


def test_attempts_come_by_the_schedule_and_end_with_a_notice(tmp_path: Path) -> None:
    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        return dict.fromkeys(batch.recipients, OK if not batch.sender else LATER)

    schedule = Schedule(jitter=0.0)
    world = World(tmp_path, deliver, schedule=schedule)
    play(world, 6 * DAY, message(1, "a@x.example"))
    attempts = [at for at, batch in world.carrier.took if batch.sender]
    assert attempts == pytest.approx(list(schedule.plan()))
    (delayed_at, delayed), (failed_at, failed) = notices(world)
    assert delayed_at == pytest.approx(7.875 * 3600)
    assert b"Action: delayed" in delayed
    assert b"Will-Retry-Until" in delayed
    assert failed_at == pytest.approx(attempts[-1])
    assert b"Action: failed\r\nStatus: 5.3.0" in failed
    assert world.states()[0] == ("a@x.example", "failed")
    world.close()


def test_a_refusal_is_told_at_once_with_what_the_sender_asked_for(tmp_path: Path) -> None:
    """RFC 3461 4.2 to 4.4"""

    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        return dict.fromkeys(batch.recipients, OK if not batch.sender else NO)

    world = World(tmp_path, deliver)
    play(world, 10, message(1, "a@x.example", orcpt="rfc822;first+last@x.example", envid="Q+1", ret="FULL"))
    ((_, notice),) = notices(world)
    content = Content.of(notice)
    report = dsn.parse(parse(content), content)
    assert report is not None
    (status,) = report.recipients
    assert (status.final_recipient, status.action, status.status) == ("a@x.example", "failed", "5.1.1")
    assert status.original_recipient == "rfc822;first+last@x.example"
    assert report.envelope_id == "Q+1"
    assert b"\r\nhello\r\n" in notice, "RET=FULL sends all of it back"
    assert b"Return-Path" not in notice
    world.close()


@pytest.mark.parametrize(
    "notify, want", [("", 1), ("NEVER", 0), ("SUCCESS", 0), ("FAILURE", 1), ("DELAY", 0), ("SUCCESS,FAILURE", 1)]
)
def test_notify_decides_about_failures(tmp_path: Path, notify: str, want: int) -> None:
    world = World(tmp_path, always(NO))
    play(world, 10, message(1, "a@x.example", notify=notify))
    assert len(notices(world)) == want
    world.close()


def test_never_a_notice_about_a_notice(tmp_path: Path) -> None:
    """RFC 5321 6.1, RFC 3464 2"""
    world = World(tmp_path, always(NO))
    play(world, 10, message(1, "a@x.example", sender=""))
    assert len(world.carrier.took) == 1
    world.close()


def test_a_host_that_is_not_there_is_called_once_for_all(tmp_path: Path) -> None:
    gone = Attempt(Result.LATER, "no answer", "4.4.1", unreached=True)
    world = World(tmp_path, always(gone), limits=Limits(connections=1))
    play(world, 10, *(message(number, "a@x.example") for number in range(1, 9)))
    assert len(world.carrier.took) == 1
    assert {state for _, state in world.states()} == {"waiting"}
    world.close()


def test_connections_to_one_place_are_bounded_and_others_go_on(tmp_path: Path) -> None:
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        running[batch.domain] += 1
        most[batch.domain] = max(most[batch.domain], running[batch.domain])
        await asyncio.sleep(1000 if batch.domain == "slow.example" else 1)
        running[batch.domain] -= 1
        return dict.fromkeys(batch.recipients, OK)

    world = World(tmp_path, deliver, limits=Limits(connections=3))
    slow = [message(number, "a@slow.example") for number in range(1, 701)]
    play(world, 500, *slow, *(message(1000 + number, "a@fast.example") for number in range(20)))
    assert most == {"slow.example": 3, "fast.example": 3}
    assert sum(batch.domain == "fast.example" for _, batch in world.carrier.took) == 20
    world.close()


def test_an_interval_between_messages(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK), limits=Limits(connections=1, interval=60.0))
    play(world, 1000, *(message(number, "a@x.example") for number in range(1, 6)))
    assert world.carrier.times == pytest.approx([0, 60, 120, 180, 240], abs=1)
    world.close()


def test_a_courier_that_raises_loses_nothing(tmp_path: Path) -> None:
    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        raise RuntimeError("broken")

    world = World(tmp_path, deliver)
    play(world, 10, message(1, "a@x.example"))
    (row,) = Desk(world.rows.database).listed()
    assert (row.state, row.last, row.attempts) == ("waiting", "our own trouble: broken", 1)
    world.close()


def test_a_large_message_has_a_file_until_it_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK), limits=Limits(kept=3600.0))
    big = b"Subject: big\r\n\r\n" + b"x" * SMALL + b"\r\n"
    play(world, 60, message(1, "a@x.example", content=big))
    assert world.carrier.took[0][1].content.size == len(big)
    assert [path.name for path in (tmp_path / "messages").iterdir()] == ["1.eml"]
    play(world, 8000)
    world.close()
    later = World(tmp_path, always(OK), limits=Limits(kept=3600.0))

    async def tidy() -> None:
        await asyncio.sleep(20_000)
        await later.run(8000)

    run_virtual(tidy())
    assert list((tmp_path / "messages").iterdir()) == []
    assert later.states() == []
    later.close()


def test_future_release(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    play(world, 5000, message(1, "a@x.example", not_before=START + 3600))
    assert world.carrier.times == pytest.approx([3600], abs=1)
    world.close()


# -- what administrators do


def test_hold_rules_hold_until_release(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    desk = Desk(world.rows.database)
    desk.add_rule(HoldRule(recipient_domain="X.example"))

    async def main() -> None:
        await world.queue.add(message(1, "a@x.example", "b@y.example"))
        task = asyncio.get_running_loop().create_task(world.run(100))
        await asyncio.sleep(50)
        assert world.states() == [("a@x.example", "held"), ("b@y.example", "delivered")]
        assert desk.release(Filter(domain="x.example"), clock()) == 1
        world.queue.wake()
        await task

    run_virtual(main())
    assert world.states()[0] == ("a@x.example", "delivered")
    (rule,) = desk.rules()
    assert desk.remove_rule(rule.id)
    assert not desk.remove_rule(rule.id)
    world.close()


def test_fail_tells_the_sender_and_drop_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, always(LATER))
    desk = Desk(world.rows.database)

    async def main() -> None:
        await world.queue.add(message(1, "a@x.example"))
        await world.queue.add(message(2, "b@x.example"))
        task = asyncio.get_running_loop().create_task(world.run(100))
        await asyncio.sleep(10)
        assert desk.fail(Filter(messages=(1,)), clock()) == 1
        assert desk.drop(Filter(messages=(2,)), clock()) == 1
        world.queue.wake()
        await task

    run_virtual(main())
    assert world.states()[:2] == [("a@x.example", "failed"), ("b@x.example", "dropped")]
    assert [b"a@x.example" in text for _, text in notices(world)][:1] == [True]
    assert Counter(str(event.kind) for event in world.events)["canceled"] == 1
    world.close()


def test_what_is_held_while_it_is_under_way_is_not_sent_twice(tmp_path: Path) -> None:
    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        await asyncio.sleep(60)
        return dict.fromkeys(batch.recipients, OK)

    world = World(tmp_path, deliver)
    desk = Desk(world.rows.database)

    async def main() -> None:
        await world.queue.add(message(1, "a@x.example"))
        task = asyncio.get_running_loop().create_task(world.run(300))
        await asyncio.sleep(30)
        assert desk.hold(Filter()) == 1
        await asyncio.sleep(60)
        assert world.states() == [("a@x.example", "delivered")]
        assert desk.release(Filter(), clock()) == 0
        await task

    run_virtual(main())
    assert len(world.carrier.took) == 1
    world.close()


def test_the_way_and_the_time_can_be_set(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    desk = Desk(world.rows.database)

    async def main() -> None:
        await world.queue.add(message(1, "a@x.example"))
        assert desk.schedule(Filter(account="you"), START + 500) == 1
        assert desk.transport(Filter(ids=(1,)), "relay") == 1
        (due,) = world.rows.due(START + 1000)
        assert due.transport == "relay"
        await world.run(1000)

    run_virtual(main())
    assert world.carrier.times == pytest.approx([500], abs=1)
    world.close()


# -- suppression


def test_an_address_that_does_not_exist_is_not_written_to_again(tmp_path: Path) -> None:
    world = World(tmp_path, always(NO), suppress=True)
    desk = Desk(world.rows.database)

    async def main() -> None:
        await world.queue.add(message(1, "a.b+tag@x.example", notify="NEVER"))
        await world.run(10)
        await world.queue.add(message(2, "ab@x.example", notify="NEVER"))

    run_virtual(main())
    (found,) = desk.suppressions("you")
    assert (found.base, found.reason) == ("ab@x.example", "550 5.1.1 nobody")
    world.close()
    again = World(tmp_path, always(OK), suppress=True)
    run_virtual(again.run(10))
    assert again.carrier.took == []
    assert [str(event.kind) for event in again.events] == ["suppressed"]
    desk = Desk(again.rows.database)
    assert desk.unsuppress("you", "A.B@x.example")
    assert desk.suppressions() == []
    again.close()


def test_three_failures_in_a_row_of_any_kind_suppress(tmp_path: Path) -> None:
    spam = Attempt(Result.FAILED, "554 5.7.0 no", "5.7.0", "mx.example")
    world = World(tmp_path, always(spam), suppress=True)

    async def main() -> None:
        for number in range(1, 4):
            assert Desk(world.rows.database).suppressions() == []
            await world.queue.add(message(number, "a@x.example", notify="NEVER"))
            task = asyncio.get_running_loop().create_task(world.queue.run())
            await asyncio.sleep(5)
            world.queue._stopping = True
            world.queue.wake()
            await task
            world.queue._stopping = False

    run_virtual(main())
    assert len(Desk(world.rows.database).suppressions()) == 1
    world.close()


# -- five days, a thousand messages


def flaky(world_seed: int) -> object:
    import random

    drawn = random.Random(world_seed)

    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        await asyncio.sleep(drawn.uniform(0.1, 300))
        luck = drawn.random()
        if luck < 0.1:
            raise ConnectionError("fell over")
        return {
            one: OK if (roll := drawn.random()) < 0.3 or not batch.sender else NO if roll > 0.97 else LATER
            for one in batch.recipients
        }

    return deliver


def simulate(folder: Path) -> tuple[list[tuple[str, str]], list[float], Counter[str], World]:
    world = World(folder, flaky(3))  # type: ignore[arg-type]

    async def main() -> None:
        for number in range(1, 1001):
            to = [f"u{number % 50}@d{(number * k) % 97}.example" for k in range(1, 1 + number % 3 + 1)]
            await world.queue.add(message(number, *dict.fromkeys(to)))
        await world.run(5.2 * DAY)

    run_virtual(main())
    return world.states(), world.carrier.times, Counter(str(e.kind) for e in world.events), world


@pytest.mark.slow
def test_five_days_of_a_flaky_world_are_the_same_each_time(tmp_path: Path) -> None:
    states, times, events, world = simulate(tmp_path / "a")
    assert not [state for _, state in states if state not in ("delivered", "failed")], "everything has ended"
    delivered = Counter((batch.message, one) for _, batch in world.carrier.took for one in batch.recipients)
    assert events["queued"] == len(states)
    assert events["relayed"] + events["failed"] == len(states)
    assert all(count < 60 for count in delivered.values())
    world.close()
    again, times2, events2, other = simulate(tmp_path / "b")
    other.close()
    assert (states, times, events) == (again, times2, events2)


class Full:
    """A database whose commits fail for a while."""

    def __init__(self, database: Any, failing: set[int]) -> None:
        self._database = database
        self._failing = failing
        self._count = 0
        self.connection, self.write, self.close = database.connection, database.write, database.close

    def commit(self, operation: Any) -> Any:
        self._count += 1
        if self._count in self._failing:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(sqlite3.OperationalError("database or disk is full"))
            return future
        return self._database.commit(operation)


@pytest.mark.parametrize("failing", [{3}, {4}, {3, 4, 5, 6}, {4, 5, 6}], ids=str)
def test_a_full_disk_delays_and_doubles_nothing(tmp_path: Path, failing: set[int]) -> None:
    """Commits: 1 add, 2 recover, 3 claim, 4 settle."""
    world = World(tmp_path, always(OK))
    world.rows.database = Full(world.rows.database, failing)
    play(world, 1000, message(1, "a@x.example"))
    assert world.states() == [("a@x.example", "delivered")]
    assert len(world.carrier.took) == 1
    world.close()


def test_a_message_that_cannot_be_queued_is_not_acknowledged(tmp_path: Path) -> None:
    world = World(tmp_path, always(OK))
    world.rows.database = Full(world.rows.database, {1})
    with pytest.raises(sqlite3.OperationalError):
        play(world, 10, message(1, "a@x.example", content=b"x" * (SMALL + 1)))
    assert list((tmp_path / "messages").iterdir()) == [], "its file is gone as well"
    world.close()


def test_a_busy_smarthost_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """Thousands of domains go through one place that hangs; what is queued behind them for another goes at once."""

    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        if batch.domain.startswith("slow"):
            await asyncio.sleep(3600)
        return dict.fromkeys(batch.recipients, OK)

    world = World(tmp_path, deliver, lane=lambda domain: "smarthost" if domain.startswith("slow") else domain)
    through = [message(number, f"x@slow{number}.example") for number in range(1, 1201)]
    play(world, 30, *through, message(5000, "x@quick.example"))
    assert dict(world.states())["x@quick.example"] == "delivered"
    assert sum(batch.domain.startswith("slow") for _, batch in world.carrier.took) == Limits().connections
    world.close()
