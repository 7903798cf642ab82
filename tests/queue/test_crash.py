"""The process dies before or after the n-th commit, for every n: no recipient is lost, none is told twice, and none is
delivered twice but where the host had taken the message and nobody could write that down any more (RFC 1047)."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kit.queue_world import DAY, NO, OK, World, message
from kit.virtual_time import run_virtual
from mox_queue import Attempt, Batch
from mox_queue.rows import Connection


class Died(BaseException):
    """The end of the process."""


class Mortal:
    """A database that dies at its n-th commit: before it, or right after it."""

    def __init__(self, database: Any, at: int, after: bool) -> None:
        self._database = database
        self._left = at
        self._after = after
        self.dead = False
        self.connection = database.connection
        self.write = database.write
        self.close = database.close

    def commit(self, operation: Callable[[Connection], Any]) -> Future[Any]:
        self._left -= 1
        if self.dead or (self._left < 0 and not self._after):
            self.dead = True
            raise Died
        future: Future[Any] = self._database.commit(operation)
        if self._left < 0:
            self.dead = True
            raise Died
        return future


async def deliver(batch: Batch) -> Mapping[str, Attempt]:
    await asyncio.sleep(1)
    return {one: NO if one.startswith("no") else OK for one in batch.recipients}


def life(folder: Path, messages: int, at: int, after: bool) -> tuple[World, list[int], bool]:
    """Runs until death, or to the end; (the world, ids that were acknowledged, did it die?)"""
    world = World(folder, deliver)
    mortal = Mortal(world.rows.database, at, after)
    world.rows.database = mortal
    taken: list[int] = []

    async def main() -> None:
        for number in range(1, messages + 1):
            await world.queue.add(message(number, f"a{number}@x.example", f"no{number}@y.example"))
            taken.append(number)
        run = asyncio.get_running_loop().create_task(world.queue.run())
        await asyncio.wait([run], timeout=3600)
        run.cancel()

    def quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop, context

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(quiet)
        await main()

    try:
        run_virtual(whole())
    except Died:
        pass
    return world, taken, mortal.dead


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_every_commit(tmp_path: Path, after: bool) -> None:
    messages = 3
    for at in range(200):
        folder = tmp_path / str(at)
        world, taken, died = life(folder, messages, at, after)
        world.close()
        later = World(folder, deliver, ids=2_000_000)
        run_virtual(later.run(2 * DAY))
        check(world, later, taken)
        later.close()
        if not died:
            break
    else:
        pytest.fail("it never got through")
    assert at > 5, "there were commits to die at"


def check(world: World, later: World, taken: list[int]) -> None:
    """Everything acknowledged has ended, once."""
    states = dict(later.states())
    calls: Counter[str] = Counter()
    for _, batch in (*world.carrier.took, *later.carrier.took):
        calls.update(batch.recipients)
    for number in taken:
        assert states[f"a{number}@x.example"] == "delivered"
        assert states[f"no{number}@y.example"] == "failed"
    assert not [state for state in states.values() if state not in ("delivered", "failed")]
    # One commit at most was cut off, so at most the attempts that it would have settled are repeated.
    assert all(count <= 2 for address, count in calls.items() if address != "you@here.example"), calls
    rows = later.rows.database.connection.execute(
        "SELECT m.id FROM message m JOIN recipient r ON r.message=m.id WHERE m.sender=''"
    ).fetchall()
    assert len(rows) == sum(state == "failed" for state in states.values()), "one notice for each failure"
