"""The runner: takes what is due, calls couriers, settles what they say, tells senders.

A recipient is never lost, and never delivered twice because of us: an attempt is on disk before it begins, its outcome
in the same transaction as the notice about it.  The one case left is a remote that accepted while we died before the
commit; SMTP cannot tell that apart (RFC 1047)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from mox_message import Content
from mox_message.dsn import Report
from mox_queue.allowance import Allowance, OverLimit
from mox_queue.bounces import Bounce, meaning
from mox_queue.courier import Batch, Courier
from mox_queue.events import Event, Kind, Listener
from mox_queue.message import Due, NewMessage, Recipient
from mox_queue.notices import Notices, Row
from mox_queue.outcome import Attempt, Result, Settled, settle
from mox_queue.rows import SMALL, Rows
from mox_queue.schedule import Schedule
from mox_queue.suppress import is_final

log = logging.getLogger("mox.queue")

# Rows looked at in one go, and messages that a delivery takes before others get their turn.
LOOK = 500
CHUNK = 10
# Domains of a busy place that are passed over to find mail for others; more would cost more to skip than to wait for.
PASSED_OVER = 2000
# Recipients of a message in one transaction.
RECIPIENTS = 100
# If we die in an attempt, its recipients wait this long before they are tried again: a crash that repeats must not
# call a host again and again.
INTERRUPTED_SECONDS = 30.0
TIDY_SECONDS = 3600.0
# When an outcome cannot be written down (a full disk), it is tried again after so long.
UNSETTLED_SECONDS = 10.0
LONGEST_SLEEP = 300.0
CANCELED = "550 5.7.0 given up by the administrator"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at a time.  `connections` to one place (a domain, a smarthost); `interval` seconds between two messages
    to it over one connection; `deliveries` altogether; `kept` seconds for which finished messages can still be looked
    at."""

    connections: int = 10
    interval: float = 0.0
    deliveries: int = 100
    kept: float = 14 * 86400.0


@dataclass(slots=True)
class _Lane:
    """Deliveries that are under way to one place."""

    running: int = 0
    domains: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Work:
    """Messages for one connection, each with its recipients of one domain."""

    lane: str
    courier: Courier
    jobs: tuple[tuple[Due, ...], ...]


class Queue:
    """One queue; exactly one process may run() it, any may add().

    `courier(due)` chooses who delivers.  `clock` gives seconds since 1970, `drawn` random numbers from 0 to 1, `told`
    is called after a message was queued, `listener` hears every event after it is on disk, `suppress(account)` says
    whether addresses that fail for good are not written to any more."""

    def __init__(
        self,
        rows: Rows,
        courier: Callable[[Due], Courier],
        *,
        notices: Notices,
        clock: Callable[[], float],
        drawn: Callable[[], float],
        schedule: Schedule = Schedule(),  # noqa: B008 frozen
        limits: Limits = Limits(),
        told: Callable[[], None] = lambda: None,
        listener: Listener = lambda event: None,
        suppress: Callable[[str], bool] = lambda account: False,
    ) -> None:
        self.rows = rows
        self.schedule = schedule
        self.limits = limits
        self._courier = courier
        self._notices = notices
        self._clock = clock
        self._drawn = drawn
        self._told = told
        self._listener = listener
        self._suppress = suppress
        self._wake = asyncio.Event()
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # -- adding

    async def add(self, *messages: NewMessage, allowance: Allowance | None = None) -> None:
        """Queues messages of one account with one content, all or none; returns when they are on disk.

        Raises OverLimit when they are more than the allowance, what the database raises, OSError for large ones."""
        large = [message for message in messages if message.content.size > SMALL]
        try:
            if large:
                await asyncio.to_thread(self._place, large)
            if (too_much := await self.rows.add(*messages, allowance=allowance)) is not None:
                raise OverLimit(too_much)
        except Exception:
            for message in large:
                self.rows.drop_file(message.id)
            raise
        self._added(messages)

    def _place(self, messages: Sequence[NewMessage]) -> None:
        first, *others = messages
        self.rows.place(first.id, first.content)
        for other in others:
            assert other.content is first.content, "messages that are added together have one content"
            self.rows.place_again(other.id, first.id)

    def _added(self, messages: Sequence[NewMessage]) -> None:
        for message in messages:
            for one in message.recipients:
                self._listener(
                    Event(Kind.QUEUED, message.arrived, message.id, message.account, message.sender, one.address, 0,
                          fromid=message.fromid)
                )  # fmt: skip
        if messages:
            self._told()
            self.wake()

    async def bounced(self, account: str, fromid: str, report: Report | None) -> Bounce | None:
        """A notice has come to the reverse-path of one message; what it meant, or None when that id is unknown."""
        sent = self.rows.sent_as(account, fromid)
        if sent is None:
            return None
        now, bounce = self._clock(), meaning(report, sent)
        suppress = self._suppress(account) and (bounce.final or self.rows.failed_before(account, sent.base))
        await self.rows.bounced(sent, bounce, now, suppress=suppress)
        self._listener(
            Event(
                bounce.kind, now, sent.message, sent.account, sent.sender, sent.address, sent.attempts, bounce.text,
                sent.fromid,
            )
        )  # fmt: skip
        return bounce

    def wake(self) -> None:
        """Something may be due (also when another process has added or changed it)."""
        self._wake.set()

    # -- running

    async def run(self) -> None:
        """Delivers until stop()."""
        await self.rows.recover(self._clock())
        await asyncio.to_thread(self.rows.sweep_files, self.rows.large(), self._clock())
        tidied = self._clock()
        while not self._stopping:
            self._wake.clear()
            now = self._clock()
            try:
                while await self._start(now):
                    pass
                if now - tidied > TIDY_SECONDS:
                    tidied = now
                    await self._tidy(now)
            except Exception:
                # A full disk, a lock that is not given: what waits still waits, so look again in a moment.
                log.exception("the queue cannot be read or written now")
                await asyncio.sleep(UNSETTLED_SECONDS)
                continue
            await self._sleep(now)

    async def _tidy(self, now: float) -> None:
        while forgotten := await self.rows.forget(now - self.limits.kept):
            for message in forgotten:
                self.rows.drop_file(message)

    async def _sleep(self, now: float) -> None:
        # What is due already waits for a connection; whoever ends wakes us.
        following = self.rows.next_time(now)
        wait = LONGEST_SLEEP if following is None else min(following - now, LONGEST_SLEEP)
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def stop(self, seconds: float = 10.0) -> None:
        """No new attempts; those under way may end within `seconds`, then they are cut off (and tried again later)."""
        self._stopping = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self, now: float) -> bool:
        """Starts deliveries of what is due; was there any?"""
        room = self.limits.deliveries - len(self._tasks)
        if room <= 0 or self._stopping:
            return False
        full = {d for lane in self._lanes.values() if lane.running >= self.limits.connections for d in lane.domains}
        looked_at = self.rows.due(now, LOOK, full)
        works = self._works(looked_at, room)
        if not works:
            return self._pass_over(looked_at)
        claimed = [due for work in works for job in work.jobs for due in job]
        ours = await self.rows.claim(claimed, now, now + INTERRUPTED_SECONDS)
        for work in works:
            jobs = [tuple(due for due in job if due.recipient in ours) for job in work.jobs]
            self._begin(_Work(work.lane, work.courier, tuple(job for job in jobs if job)))
        return True

    def _pass_over(self, due: Sequence[Due]) -> bool:
        """All that was looked at waits for places that are busy; behind it there may be mail for others.  Is there more
        to pass over than was known?"""
        found = False
        for courier, listed in self._together(due):
            lane, domain = self._lanes.get(courier.lane(listed[0].domain)), listed[0].domain
            busy = lane is not None and lane.running >= self.limits.connections
            if lane is not None and busy and domain not in lane.domains and len(lane.domains) < PASSED_OVER:
                lane.domains.add(domain)
                found = True
        return found

    def _works(self, due: Sequence[Due], room: int) -> list[_Work]:
        """As many deliveries as there is room for, the oldest messages first in each."""
        lanes: dict[str, tuple[Courier, list[tuple[Due, ...]]]] = {}
        for courier, listed in self._together(due):
            jobs = lanes.setdefault(courier.lane(listed[0].domain), (courier, []))[1]
            jobs += [tuple(listed[start : start + RECIPIENTS]) for start in range(0, len(listed), RECIPIENTS)]
        works: list[_Work] = []
        for name, (courier, jobs) in lanes.items():
            running = self._lanes[name].running if name in self._lanes else 0
            free = min(self.limits.connections - running, room - len(works), len(jobs))
            if free <= 0:
                continue
            each = min(CHUNK, -(-len(jobs) // free))
            works += [
                _Work(name, courier, tuple(jobs[start : start + each]))
                for start in range(0, min(len(jobs), free * each), each)
            ]
        return works

    def _together(self, due: Sequence[Due]) -> Iterator[tuple[Courier, list[Due]]]:
        """What may share a transaction: one message, one place to go to.  Routes may tell recipients apart."""
        for _, group in groupby(sorted(due, key=_by_message), key=_by_message):
            found: dict[str, tuple[Courier, list[Due]]] = {}
            for one in group:
                courier = self._courier(one)
                found.setdefault(courier.lane(one.domain), (courier, []))[1].append(one)
            yield from found.values()

    def _begin(self, work: _Work) -> None:
        if not work.jobs:
            return
        lane = self._lanes.setdefault(work.lane, _Lane())
        lane.running += 1
        lane.domains.update(job[0].domain for job in work.jobs)
        task = asyncio.get_running_loop().create_task(self._work(work))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, work.lane))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        lane = self._lanes[name]
        lane.running -= 1
        if not lane.running:
            del self._lanes[name]
        if not task.cancelled() and task.exception() is not None:
            log.error("deliveries failed", exc_info=task.exception(), extra={"lane": name})
        self._wake.set()

    async def _work(self, work: _Work) -> None:
        """Message by message; when nobody answers there, the rest is not tried now.

        An outcome is handed to the disk at once, but the next message does not wait for it: what a crash can leave
        undecided is as short a time either way."""
        jobs = list(work.jobs)
        settling: list[asyncio.Task[None]] = []
        try:
            while jobs:
                if self._stopping:
                    await self.rows.unclaim([due for job in jobs for due in job], self._clock())
                    return
                job, started = jobs.pop(0), self._clock()
                outcomes = await self._attempt(work.courier, job)
                settling.append(self._settling(job, outcomes, started))
                unreached = next((one for one in outcomes.values() if one.unreached), None)
                if unreached is not None:
                    for other in jobs:
                        same = dict.fromkeys((due.address for due in other), unreached)
                        settling.append(self._settling(other, same, started))
                    return
                if jobs and self.limits.interval:
                    await asyncio.sleep(self.limits.interval)
        finally:
            await asyncio.gather(*settling)

    def _settling(self, due: Sequence[Due], outcomes: Mapping[str, Attempt], started: float) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._settle(due, outcomes, started))

    async def _attempt(self, courier: Courier, due: Sequence[Due]) -> Mapping[str, Attempt]:
        """Tries one message for recipients of one domain; what became of each."""
        outcomes: dict[str, Attempt] = {}
        for one in due:
            if (known := self._known(one)) is not None:
                outcomes[one.address] = known
        remaining = [one for one in due if one.address not in outcomes]
        if remaining:
            outcomes.update(await self._deliver(courier, remaining))
        return outcomes

    def _known(self, due: Due) -> Attempt | None:
        """What needs no attempt."""
        if due.asked == "fail":
            return Attempt(Result.FAILED, CANCELED, "5.7.0")
        found = self.rows.suppression(due.account, due.base) if due.account else None
        if found is not None:
            return Attempt(Result.FAILED, f"550 5.1.1 not tried, this address is suppressed: {found[1]}", "5.1.1")
        return None

    async def _deliver(self, courier: Courier, due: Sequence[Due]) -> Mapping[str, Attempt]:
        first = due[0]
        try:
            content = self.rows.content(first.message)
            assert content is not None, "a message stays as long as its recipients"
            batch = Batch(
                first.message, first.sender, tuple(_recipient(one) for one in due), first.domain, content,
                first.smtputf8, first.eightbit, first.arrived, first.attempts + 1, first.account, first.tls, first.ret,
                first.envid,
            )  # fmt: skip
            return await courier.deliver(batch)
        except Exception as error:
            log.exception("courier failed", extra={"domain": first.domain})
            return {one.address: Attempt(Result.LATER, f"our own trouble: {error}", "4.3.0") for one in due}

    async def _settle(self, due: Sequence[Due], outcomes: Mapping[str, Attempt], started: float) -> None:
        """Writes down what happened; when the disk does not take it, again and again, since nobody else knows it."""
        while True:
            now = self._clock()
            settled = [self._settled(one, outcomes, now) for one in due]
            notices = self._make_notices(settled, now)
            try:
                await self.rows.settle(settled, started, now, notices, self._suppressions(settled))
                break
            except Exception:
                log.exception("what became of deliveries cannot be written down yet", extra={"queued": due[0].message})
                await asyncio.sleep(UNSETTLED_SECONDS)
        for row in settled:
            self._tell(*row, now)
        self._added(notices)

    def _settled(self, due: Due, outcomes: Mapping[str, Attempt], now: float) -> Row:
        attempt = outcomes.get(due.address, Attempt(Result.LATER, "the courier said nothing", "4.3.0"))
        after = settle(
            attempt, attempts=due.attempts + 1, arrived=due.arrived, now=now, warned=due.warned,
            schedule=self.schedule, drawn=self._drawn(), notify=due.notify,
        )  # fmt: skip
        return due, attempt, after

    def _make_notices(self, settled: Sequence[Row], now: float) -> list[NewMessage]:
        if not any(after.notice for _, _, after in settled):
            return []
        try:
            content = self.rows.content(settled[0][0].message)
        except OSError as error:
            log.error("the message of a notice cannot be read", extra={"error": str(error)})
            content = None
        return self._notices.make(settled, content or Content.of(b""), self.schedule, now)

    def _suppressions(self, settled: Sequence[Row]) -> dict[int, str]:
        found = {}
        for due, attempt, after in settled:
            if after.state != "failed" or not due.account or due.asked or not self._suppress(due.account):
                continue
            if is_final(attempt.text, attempt.status):
                found[due.recipient] = attempt.text
            elif self.rows.failed_before(due.account, due.base):
                found[due.recipient] = f"several messages in a row failed, the last with: {attempt.text}"
        return found

    def _tell(self, due: Due, attempt: Attempt, after: Settled, now: float) -> None:
        kind = Kind.DELAYED
        if after.state == "delivered":
            kind = Kind.DELIVERED if attempt.final or attempt.handed_on else Kind.RELAYED
        elif after.state == "failed":
            suppressed = "is suppressed" in attempt.text and not attempt.remote
            kind = Kind.CANCELED if due.asked else Kind.SUPPRESSED if suppressed else Kind.FAILED
        self._listener(
            Event(
                kind, now, due.message, due.account, due.sender, due.address, due.attempts + 1, attempt.text, due.fromid
            )
        )
        log.info(
            "attempt",
            extra={
                "recipient": due.address, "state": after.state, "reply": attempt.text[:200], "number": due.attempts + 1,
            },
        )  # fmt: skip


def _by_message(due: Due) -> tuple[int, str, str, str]:
    """One message, one domain, one way."""
    return due.message, due.domain, due.transport, due.asked


def _recipient(due: Due) -> Recipient:
    return Recipient(due.address, due.domain, due.notify, due.orcpt)
