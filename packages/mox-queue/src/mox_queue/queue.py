"""The runner: takes what is due, calls couriers, settles what they say, tells senders.

A recipient is never lost, and never delivered twice because of us: an attempt is on disk before it begins, its outcome
in the same transaction as the notice about it.  The one case left is a remote that accepted while we died before the
commit; SMTP cannot tell that apart (RFC 1047)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from mox_message import Content, Fields
from mox_message.dsn import Action, Notice, RecipientStatus, compose
from mox_queue.courier import Batch, Courier
from mox_queue.outcome import Attempt, Result, Settled, settle
from mox_queue.rows import SMALL, Due, NewMessage, Rows
from mox_queue.schedule import Schedule

log = logging.getLogger("mox.queue")

# Destination domains at work at a time, and recipients of a message in one transaction.
DOMAINS = 20
RECIPIENTS = 100
# If we die in an attempt, its recipients wait this long before they are tried again.
INTERRUPTED_SECONDS = 450.0
KEPT_SECONDS = 14 * 86400.0
TIDY_SECONDS = 3600.0
LONGEST_SLEEP = 300.0
MAX_HEADER = 64 * 1024


class Queue:
    """One queue; exactly one process may run() it, any may add().

    `courier(domain)` chooses who delivers to a domain.  `new_id()` gives message ids, `clock` seconds since 1970,
    `drawn` random numbers from 0 to 1, `domain_of(address)` the domain a notice goes to."""

    def __init__(
        self,
        rows: Rows,
        courier: Callable[[str], Courier],
        *,
        hostname: str,
        clock: Callable[[], float],
        drawn: Callable[[], float],
        new_id: Callable[[], int],
        domain_of: Callable[[str], str],
        schedule: Schedule = Schedule(),  # noqa: B008 frozen
        told: Callable[[], None] = lambda: None,
        prefix_for: Callable[[int, bytes], bytes] = lambda number, message: b"",
    ) -> None:
        self.rows = rows
        self.schedule = schedule
        self._courier = courier
        self._hostname = hostname
        self._clock = clock
        self._drawn = drawn
        self._new_id = new_id
        self._domain_of = domain_of
        self._told = told
        self._prefix_for = prefix_for
        self._wake = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    # -- adding

    async def add(self, message: NewMessage) -> None:
        """Queues a message; returns when it is on disk.  Raises what the database raises, OSError for large ones."""
        if message.content.size > SMALL:
            await asyncio.to_thread(self.rows.place, message.id, message.content)
        try:
            await self.rows.add(message)
        except BaseException:
            if message.content.size > SMALL:
                self.rows.drop_file(message.id)
            raise
        self._told()
        self.wake()

    def wake(self) -> None:
        """Something may be due (also when another process has added it)."""
        self._wake.set()

    # -- running

    async def run(self) -> None:
        """Delivers until stop()."""
        await self.rows.recover()
        self.rows.sweep()
        tidied = self._clock()
        while not self._stopping:
            self._wake.clear()
            now = self._clock()
            self._start_due(now)
            if now - tidied > TIDY_SECONDS:
                tidied = now
                for message in await self.rows.forget(now - KEPT_SECONDS):
                    self.rows.drop_file(message)
            await self._sleep(now)

    async def _sleep(self, now: float) -> None:
        following = self.rows.next_time()
        wait = LONGEST_SLEEP if following is None else min(max(following - now, 0.0), LONGEST_SLEEP)
        if following is not None and following <= now:
            wait = LONGEST_SLEEP  # due, but its domain is busy or all slots are taken: whoever ends wakes us
        try:
            await asyncio.wait_for(self._wake.wait(), wait)
        except TimeoutError:
            pass

    async def stop(self, seconds: float = 10.0) -> None:
        """No new attempts; those under way may end within `seconds`, then they are cut off (and tried again later)."""
        self._stopping = True
        self._wake.set()
        if self._busy:
            await asyncio.wait(list(self._busy.values()), timeout=seconds)
        for task in list(self._busy.values()):
            task.cancel()

    def _start_due(self, now: float) -> None:
        due = [one for one in self.rows.due(now) if one.domain not in self._busy]
        for domain, group in groupby(
            sorted(due, key=lambda one: (one.domain, one.message)), key=lambda one: one.domain
        ):
            if len(self._busy) >= DOMAINS or self._stopping:
                return
            task = asyncio.get_running_loop().create_task(self._domain(domain, list(group)))
            self._busy[domain] = task
            task.add_done_callback(partial(self._domain_done, domain))

    def _domain_done(self, domain: str, task: asyncio.Task[None]) -> None:
        self._busy.pop(domain, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("deliveries failed", exc_info=task.exception(), extra={"domain": domain})
        self._wake.set()

    async def _domain(self, domain: str, due: list[Due]) -> None:
        """Everything that is due for a domain, message by message."""
        for _, group in groupby(due, key=lambda one: one.message):
            listed = list(group)
            for start in range(0, len(listed), RECIPIENTS):
                if self._stopping:
                    return
                await self._attempt(domain, listed[start : start + RECIPIENTS])

    async def _attempt(self, domain: str, due: Sequence[Due]) -> None:
        first = due[0]
        content = self.rows.content(first.message)
        if content is None:
            return
        now = self._clock()
        await self.rows.begin(due, now, now + INTERRUPTED_SECONDS)
        batch = Batch(
            first.message, first.sender, tuple(one.address for one in due), domain, content, first.smtputf8,
            first.eightbit, first.arrived, first.attempts + 1,
        )  # fmt: skip
        try:
            outcomes = await self._courier(domain).deliver(batch)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("courier failed", extra={"domain": domain})
            outcomes = {one.address: Attempt(Result.LATER, f"our own trouble: {error}", "4.3.0") for one in due}
        await self._settle(due, outcomes, content)

    async def _settle(self, due: Sequence[Due], outcomes: Mapping[str, Attempt], content: Content) -> None:
        now = self._clock()
        missing = Attempt(Result.LATER, "the courier said nothing", "4.3.0")
        settled: list[tuple[Due, Attempt, Settled]] = []
        for one in due:
            attempt = outcomes.get(one.address, missing)
            after = settle(
                attempt, attempts=one.attempts + 1, arrived=one.arrived, now=now, warned=one.warned,
                schedule=self.schedule, drawn=self._drawn(),
            )  # fmt: skip
            settled.append((one, attempt, after))
            log.info(
                "attempt",
                extra={
                    "recipient": one.address,
                    "state": after.state,
                    "reply": attempt.text[:200],
                    "number": one.attempts + 1,
                },
            )
        notices = self._notices(settled, content, now)
        await self.rows.settle(settled, now, notices)
        if notices:
            self._told()
            self.wake()

    # -- notices

    def _notices(
        self, settled: Sequence[tuple[Due, Attempt, Settled]], content: Content, now: float
    ) -> list[NewMessage]:
        sender = settled[0][0].sender
        if not sender:  # RFC 5321 6.1: never a notice about a notice
            return []
        notices = []
        actions: tuple[Action, ...] = ("failed", "delayed")
        for action in actions:
            chosen = [row for row in settled if row[2].notice == action]
            if chosen:
                notices.append(self._notice(sender, action, chosen, content, now))
        return notices

    def _notice(
        self, sender: str, action: Action, chosen: Sequence[tuple[Due, Attempt, Settled]], content: Content, now: float
    ) -> NewMessage:
        number = self._new_id()
        first = chosen[0][0]
        header = content.read(0, MAX_HEADER)
        end = Fields.parse(header).end
        statuses = tuple(
            RecipientStatus(
                final_recipient=due.address,
                action=action,
                status=_status(attempt.status, action),
                remote_mta=attempt.remote,
                diagnostic=attempt.text,
                last_attempt=now,
                will_retry_until=first.arrived + self.schedule.give_up_after if action == "delayed" else None,
            )
            for due, attempt, _ in chosen
        )
        notice = Notice(
            self._hostname, sender, self._text(action, chosen), statuses, first.arrived, smtputf8=first.smtputf8
        )
        boundary = f"notice-{number:x}"
        data = compose(
            notice, header[:end], message_id=f"{number:x}.notice@{self._hostname}", boundary=boundary, now=now
        )
        # RFC 3464 2: the null reverse-path, so that nothing comes back.
        return NewMessage(
            number, "", ((sender, self._domain_of(sender)),), Content.of(data), now,
            prefix=self._prefix_for(number, data), smtputf8=first.smtputf8, eightbit=not data.isascii(),
        )  # fmt: skip

    def _text(self, action: Action, chosen: Sequence[tuple[Due, Attempt, Settled]]) -> str:
        listed = "\n".join(f"  {due.address}\n    {attempt.text}" for due, attempt, _ in chosen)
        if action == "failed":
            return f"Your message was not delivered to:\n\n{listed}\n\nIt is not tried any more."
        hours = self.schedule.give_up_after / 3600
        return (
            f"Your message has not been delivered yet to:\n\n{listed}\n\nYou need not do anything: it is tried again, "
            f"for {hours:g} hours since you sent it.  If that does not help, you will hear."
        )


def _status(status: str, action: Action) -> str:
    """An enhanced code that fits the action: a delay is 4, a failure 5 (RFC 3464 2.3.4)."""
    digits = status.partition(".")[2] or "0.0"
    return f"{'4' if action == 'delayed' else '5'}.{digits}"
