"""What senders are told of their messages: delivery status notifications (RFC 3464), as messages to be queued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from mox_message import Content, Fields
from mox_message.dsn import Action, Notice, RecipientStatus, compose
from mox_queue.message import Due, NewMessage, Recipient
from mox_queue.outcome import Attempt, Settled
from mox_queue.schedule import Schedule

Row: TypeAlias = tuple[Due, Attempt, Settled]
ACTIONS: tuple[Action, ...] = ("failed", "delayed", "relayed", "delivered")
MAX_HEADER = 64 * 1024
# RET=FULL is honoured up to here; of larger messages the header goes back (RFC 3461 4.3 leaves that to us).
MAX_WHOLE = 1024 * 1024


class Notices:
    """Makes notices.  `new_id()` gives message ids, `domain_of(address)` the domain a notice goes to, `prefix_for(id,
    bytes)` what goes in front, such as a signature."""

    def __init__(
        self,
        hostname: str,
        *,
        new_id: Callable[[], int],
        domain_of: Callable[[str], str],
        prefix_for: Callable[[int, bytes], bytes] = lambda number, message: b"",
    ) -> None:
        self._hostname = hostname
        self._new_id = new_id
        self._domain_of = domain_of
        self._prefix_for = prefix_for

    def make(self, settled: Sequence[Row], content: Content, schedule: Schedule, now: float) -> list[NewMessage]:
        """A notice for each kind of news about one message.  Raises OSError when `content` cannot be read."""
        if not settled[0][0].sender:  # RFC 5321 6.1: never a notice about a notice
            return []
        made = []
        for action in ACTIONS:
            chosen = [row for row in settled if row[2].notice == action]
            if chosen:
                made.append(self._make(action, chosen, content, schedule, now))
        return made

    def _make(
        self, action: Action, chosen: Sequence[Row], content: Content, schedule: Schedule, now: float
    ) -> NewMessage:
        number, first = self._new_id(), chosen[0][0]
        whole = action == "failed" and first.ret == "FULL" and content.size <= MAX_WHOLE
        original = content.read() if whole else header_of(content)
        text = self._text(action, chosen, schedule)
        statuses = tuple(self._status(action, *row, schedule, now) for row in chosen)
        notice = Notice(
            self._hostname, first.sender, text, statuses, first.arrived, envelope_id=first.envid,
            smtputf8=first.smtputf8,
        )  # fmt: skip
        data = compose(
            notice, original, message_id=f"{number:x}.notice@{self._hostname}", boundary=f"notice-{number:x}", now=now,
            whole=whole,
        )  # fmt: skip
        # RFC 3464 2: the null reverse-path, so that nothing comes back; RFC 3461 6.2: NOTIFY=NEVER.
        to = Recipient(first.sender, self._domain_of(first.sender), notify="NEVER")
        return NewMessage(
            number, "", (to,), Content.of(data), now, prefix=self._prefix_for(number, data), smtputf8=first.smtputf8,
            eightbit=not data.isascii(),
        )  # fmt: skip

    def _status(
        self, action: Action, due: Due, attempt: Attempt, settled: Settled, schedule: Schedule, now: float
    ) -> RecipientStatus:
        return RecipientStatus(
            final_recipient=due.address,
            action=action,
            status=enhanced(attempt.status, action),
            original_recipient=due.orcpt,
            remote_mta=attempt.remote,
            diagnostic=attempt.text,
            last_attempt=now,
            will_retry_until=due.arrived + schedule.give_up_after if action == "delayed" else None,
        )

    def _text(self, action: Action, chosen: Sequence[Row], schedule: Schedule) -> str:
        listed = "\n".join(f"  {due.address}\n    {attempt.text}" for due, attempt, _ in chosen)
        if action == "failed":
            return f"Your message was not delivered to:\n\n{listed}\n\nIt is not tried any more."
        if action == "delivered":
            return f"Your message was delivered to:\n\n{listed}\n"
        if action == "relayed":
            return (
                f"Your message was passed on for:\n\n{listed}\n\n"
                "The server there does not tell whether it is delivered, so this is the last that you hear from us."
            )
        hours = schedule.give_up_after / 3600
        return (
            f"Your message has not been delivered yet to:\n\n{listed}\n\nYou need not do anything: it is tried again, "
            f"for {hours:g} hours since you sent it.  If that does not help, you will hear."
        )


def header_of(content: Content) -> bytes:
    """The header of a message, as far as it is bounded."""
    start = content.read(0, MAX_HEADER)
    return start[: Fields.parse(start).end]


def enhanced(status: str, action: Action) -> str:
    """An enhanced code whose class fits the action: 2 for success, 4 for a delay, 5 for a failure (RFC 3464 2.3.4)."""
    first = {"failed": "5", "delayed": "4"}.get(action, "2")
    _, _, rest = status.partition(".")
    return f"{first}.{rest or '0.0'}"
