"""A queue in real time whose courier calls real sockets: what becomes of one message, and what the record says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.queue_world import domain_of
from mox_dns import Zone
from mox_message import Content
from mox_queue import Attempt, Batch, Courier, Due, NewMessage, Notices, Queue, Recipient, Result, Rows, Schedule
from mox_queue.direct import Direct
from mox_queue.rows import PlainDatabase
from mox_smtp import Timeouts

TEXT = b"From: you@here.example\r\nMessage-ID: <1@here.example>\r\nSubject: hi\r\n\r\nhello\r\n.dots\r\n..\r\n"
ZONE = {"a.test MX": ["10 mx.a.test."], "mx.a.test A": ["127.0.0.1"]}
# A host that hangs is given up after so many seconds.
PATIENCE = 0.3
QUICK = Timeouts(
    connect=5, tls=PATIENCE, greeting=PATIENCE, command=PATIENCE, data_start=PATIENCE, data_block=PATIENCE,
    data_end=PATIENCE, quit=PATIENCE, transaction=5,
)  # fmt: skip


@dataclass
class Outcome:
    """The states of the recipients, all attempts as they are kept, and the notices that were sent."""

    states: dict[str, str]
    attempts: list[Mapping[str, Any]]
    notices: list[bytes]


class _Here:
    """The courier to the sender: keeps notices."""

    def __init__(self) -> None:
        self.took: list[bytes] = []

    def lane(self, domain: str) -> str:
        """One."""
        return "here"

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """Takes it."""
        self.took.append(batch.content.read())
        return dict.fromkeys(batch.recipients, Attempt(Result.DELIVERED, "250 2.0.0 here", "2.0.0", final=True))


def send(
    folder: Path,
    port: int,
    *to: str,
    content: bytes = TEXT,
    schedule: Schedule = Schedule(waits=(0.02,), give_up_after=20, warn_after=10, jitter=0.0),  # noqa: B008
    seconds: float = 10,
    timeouts: Timeouts = QUICK,
    **more: Any,
) -> Outcome:
    """One message to `to` (a@a.test) by way of the host at `port`, until all of it is settled."""
    ids = iter(range(1000, 2000))
    here = _Here()

    async def main() -> Outcome:
        rows = Rows(PlainDatabase(folder / "queue.db"), folder / "messages")
        rows.database.connection.execute("PRAGMA synchronous=OFF")
        direct = Direct(
            hostname="mx.here.example", resolver=Zone(ZONE), clock=time.monotonic, now=time.time,
            random=random.Random(1), port=port, timeouts=timeouts, dane=False,
        )  # fmt: skip

        def courier(due: Due) -> Courier:
            return here if due.domain == "here.example" else direct

        notices = Notices("mx.here.example", new_id=lambda: next(ids), domain_of=domain_of)
        queue = Queue(rows, courier, notices=notices, clock=time.time, drawn=lambda: 0.5, schedule=schedule)
        recipients = tuple(Recipient(one, domain_of(one)) for one in to or ("a@a.test",))
        settings = {"sender": "you@here.example", "account": "you", **more}
        await queue.add(
            NewMessage(1, recipients=recipients, content=Content.of(content), arrived=time.time(), **settings)
        )
        task = asyncio.get_running_loop().create_task(queue.run())
        try:
            async with asyncio.timeout(seconds):
                while _waits(rows):  # noqa: ASYNC110 what is on disk is looked at
                    await asyncio.sleep(0.01)
        finally:
            await queue.stop()
            await task
            direct.close()
        found = Outcome(dict(_states(rows)), rows.attempts(1), here.took)
        rows.database.close()
        return found

    return asyncio.run(main())


def _waits(rows: Rows) -> int:
    (count,) = rows.database.connection.execute("SELECT count(*) FROM recipient WHERE state='waiting'").fetchone()
    return int(count)


def _states(rows: Rows) -> list[tuple[str, str]]:
    return rows.database.connection.execute("SELECT address,state FROM recipient WHERE message=1").fetchall()
