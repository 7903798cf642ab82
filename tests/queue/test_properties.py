"""What holds whatever happens: routes, schedules, and the fate of every recipient of a queue in virtual time."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kit.queue_world import DAY, START, clock, domain_of, message
from kit.virtual_time import run_virtual
from mox_queue import Attempt, Kind, Notices, Queue, Result, Route, Rows, Schedule, choose
from mox_queue.rows import PlainDatabase
from mox_queue.testing.couriers import LATER, Scripted
from mox_queue.testing.values import ACCOUNTS, DOMAINS, fates, routes, schedules


@given(
    st.lists(routes(), max_size=6),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(DOMAINS),
    st.sampled_from(DOMAINS),
    st.integers(1, 6),
)
def test_the_first_that_matches(listed: list[Route], account: str, sender: str, recipient: str, attempt: int) -> None:
    name = choose(listed, account=account, sender_domain=sender, recipient_domain=recipient, attempt=attempt)
    matching = [one.transport for one in listed if one.matches(account, sender, recipient, attempt)]
    assert name == (matching or ["direct"])[0]


@given(schedules(), st.integers(1, 60), st.floats(0, 40 * DAY), st.floats(0, 1))
def test_never_later_than_the_end_and_never_at_once(
    schedule: Schedule, attempts: int, age: float, drawn: float
) -> None:
    following = schedule.next(attempts, 0.0, age, drawn)
    if following is None:
        assert age + schedule.wait(attempts, drawn) > schedule.give_up_after
    else:
        assert age < following <= schedule.give_up_after


@given(schedules(), st.floats(0, 40 * DAY))
def test_simulations_agree_with_the_plan(schedule: Schedule, down: float) -> None:
    number, delivered, warned = schedule.simulate(down)
    plan = list(schedule.plan())
    assert number == (len([at for at in plan if at < down]) + 1 if delivered is not None else len(plan))
    assert (delivered is None) == (down > plan[-1])
    assert not warned or down > schedule.warn_after


def ends(fate: tuple[Attempt, ...], schedule: Schedule) -> tuple[str, int]:
    """(state, attempts) at the end, by the values alone."""
    at, number = 0.0, 0
    for number in count(1):
        result = (fate[number - 1] if number <= len(fate) else LATER).result
        if result is not Result.LATER:
            return ("delivered" if result is Result.DELIVERED else "failed"), number
        following = schedule.next(number, 0.0, at, 0.5)
        if following is None:
            return "failed", number
        at = following
    raise AssertionError


@settings(max_examples=25, deadline=None)
@given(
    schedules().filter(lambda one: one.give_up_after < 4 * DAY and min(one.waits) > 600),
    st.lists(fates(), min_size=1, max_size=6),
)
def test_every_recipient_comes_to_its_end_once(schedule: Schedule, drawn: list[tuple[Attempt, ...]]) -> None:
    """Delivered or failed as its host decides, after as many attempts as the schedule says; told once of a failure."""
    to = {f"r{number}@d{number % 2}.example": fate for number, fate in enumerate(drawn)}
    courier, here, events = Scripted(to, otherwise=LATER), Scripted(), []
    with tempfile.TemporaryDirectory() as folder:
        rows = Rows(PlainDatabase(Path(folder) / "queue.db"), Path(folder) / "messages")
        rows.database.connection.execute("PRAGMA synchronous=OFF")
        ids = count(1000)
        queue = Queue(
            rows, lambda due: here if due.domain == "here.example" else courier,
            notices=Notices("mx.here.example", new_id=lambda: next(ids), domain_of=domain_of), clock=clock,
            drawn=lambda: 0.5, schedule=schedule, listener=events.append,
        )  # fmt: skip

        async def life() -> None:
            await queue.add(message(1, *to, arrived=START))
            task = asyncio.get_running_loop().create_task(queue.run())
            await asyncio.sleep(5 * DAY)
            await queue.stop()
            await task

        run_virtual(life())
        states = dict(
            rows.database.connection.execute("SELECT address,state FROM recipient WHERE message=1").fetchall()
        )
        rows.database.close()
    for address, fate in to.items():
        state, attempts = ends(fate, schedule)
        assert states[address] == state, address
        assert courier.times(address) == attempts, address
        final = [
            event.kind
            for event in events
            if event.recipient == address and event.kind not in (Kind.QUEUED, Kind.DELAYED)
        ]
        assert final == [Kind.RELAYED if state == "delivered" else Kind.FAILED]
    told = b"".join(batch.content.read() for batch in here.took)
    for address in to:
        assert told.count(f"Final-Recipient: rfc822;{address}\r\nAction: failed".encode()) == (
            states[address] == "failed"
        )
