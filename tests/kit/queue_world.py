"""A queue in virtual time, with a courier that does as it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from mox_message import Content
from mox_queue import Attempt, Batch, Event, Limits, NewMessage, Notices, Queue, Recipient, Result, Rows, Schedule
from mox_queue.rows import PlainDatabase

Deliver = Callable[[Batch], Awaitable[Mapping[str, Attempt]]]
OK = Attempt(Result.DELIVERED, "250 2.0.0 taken", "2.0.0", "mx.example")
LATER = Attempt(Result.LATER, "451 4.3.0 later", "4.3.0", "mx.example")
NO = Attempt(Result.FAILED, "550 5.1.1 nobody", "5.1.1", "mx.example")
START = 1_000_000.0
DAY = 86400.0
TEXT = b"From: you@here.example\r\nMessage-ID: <1@here.example>\r\nSubject: hi\r\n\r\nhello\r\n"


def domain_of(address: str) -> str:
    """What follows the @."""
    return address.rpartition("@")[2]


def clock() -> float:
    """Virtual seconds since 1970."""
    return START + asyncio.get_running_loop().time()


def message(number: int, *to: str, content: bytes = TEXT, notify: str = "", orcpt: str = "", **more: Any) -> NewMessage:
    """A message of account you, arrived at START unless said otherwise."""
    given = {"sender": "you@here.example", "account": "you", "arrived": START, **more}
    recipients = tuple(Recipient(one, domain_of(one), notify, orcpt) for one in to)
    return NewMessage(number, recipients=recipients, content=Content.of(content), **given)


class Carrier:
    """mox_queue.Courier: notes what it is given and when, and answers as `deliver` does."""

    def __init__(self, deliver: Deliver, lane: Callable[[str], str] = lambda domain: domain) -> None:
        self._deliver = deliver
        self._lane = lane
        self.took: list[tuple[float, Batch]] = []

    def lane(self, domain: str) -> str:
        """As told; a lane for each domain if nothing was."""
        return self._lane(domain)

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """As told."""
        self.took.append((clock() - START, batch))
        return await self._deliver(batch)

    @property
    def times(self) -> list[float]:
        """Seconds after START of every call."""
        return [at for at, _ in self.took]


def always(attempt: Attempt) -> Deliver:
    """The same for every recipient, at once."""

    async def deliver(batch: Batch) -> Mapping[str, Attempt]:
        return dict.fromkeys(batch.recipients, attempt)

    return deliver


class World:
    """A queue in a folder."""

    def __init__(
        self,
        folder: Path,
        deliver: Deliver,
        *,
        schedule: Schedule = Schedule(),  # noqa: B008
        limits: Limits = Limits(),  # noqa: B008
        suppress: bool = False,
        seed: int = 7,
        ids: int = 1_000_000,
        lane: Callable[[str], str] = lambda domain: domain,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.carrier = Carrier(deliver, lane)
        self.events: list[Event] = []
        self.rows = Rows(PlainDatabase(folder / "queue.db"), folder / "messages")
        # What is on disk is not what is looked at here; tests/faults does.
        self.rows.database.connection.execute("PRAGMA synchronous=OFF")
        self.random = random.Random(seed)
        self._ids = ids
        self.queue = Queue(
            self.rows, lambda due: self.carrier, notices=Notices("mx.here.example", new_id=self._new_id, domain_of=domain_of),
            clock=clock, drawn=self.random.random, schedule=schedule, limits=limits, listener=self.events.append,
            suppress=lambda account: suppress,
        )  # fmt: skip

    def _new_id(self) -> int:
        self._ids += 1
        return self._ids

    async def run(self, seconds: float) -> None:
        """The queue runs for so long, then stops."""
        task = asyncio.get_running_loop().create_task(self.queue.run())
        await asyncio.sleep(seconds)
        await self.queue.stop()
        await task

    def states(self) -> list[tuple[str, str]]:
        """(address, state) of every recipient."""
        return self.rows.database.connection.execute("SELECT address,state FROM recipient ORDER BY id").fetchall()

    def close(self) -> None:
        """Closes the database."""
        self.rows.database.close()
