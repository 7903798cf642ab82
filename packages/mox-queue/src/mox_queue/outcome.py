"""What an attempt leads to: delivered, later, failed; and what the sender is told.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mox_message.dsn import Action
from mox_queue.schedule import Schedule


class Result(StrEnum):
    """What became of a recipient in one attempt."""

    DELIVERED = "delivered"
    LATER = "later"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a courier says of one recipient.  `text` is the remote's reply or our reason; `status` an enhanced code.

    `handed_on`: the host took over what the sender asked of notices (RFC 3461 5.2.1).  `final`: it is in its mailbox.
    `unreached`: nobody answered, so that the next message need not be tried at once."""

    result: Result
    text: str
    status: str = ""
    remote: str = ""
    steps: tuple[Mapping[str, Any], ...] = field(default=())
    handed_on: bool = False
    final: bool = False
    unreached: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to be written: the state after an attempt, and what the sender is told (None for nothing)."""

    state: str  # waiting, delivered, failed
    next: float | None
    notice: Action | None


def wanted(notify: str, word: str) -> bool:
    """Does NOTIFY ask for this?  Without it, failures and delays are told (RFC 3461 4.1, 5.2)."""
    return word in notify.split(",") if notify else word != "SUCCESS"


def settle(
    attempt: Attempt, *, attempts: int, arrived: float, now: float, warned: bool, schedule: Schedule, drawn: float,
    notify: str = "",
) -> Settled:  # fmt: skip
    """The next state of a recipient.  `attempts` counts this one."""
    if attempt.result is Result.DELIVERED:
        return Settled("delivered", None, _success(attempt, notify))
    following = None if attempt.result is Result.FAILED else schedule.next(attempts, arrived, now, drawn)
    if following is None:
        return Settled("failed", None, "failed" if wanted(notify, "FAILURE") else None)
    tell = schedule.warns(arrived, now) and not warned and wanted(notify, "DELAY")
    return Settled("waiting", following, "delayed" if tell else None)


def _success(attempt: Attempt, notify: str) -> Action | None:
    if attempt.handed_on or not wanted(notify, "SUCCESS"):
        return None
    # RFC 3461 5.2.3: what is in its mailbox is delivered; 5.2.2: of what is not, nobody will hear more.
    return "delivered" if attempt.final else "relayed"


def classified(
    code: int,
    text: str,
    enhanced: str,
    remote: str,
    steps: tuple[Mapping[str, Any], ...] = (),
    *,
    handed_on: bool = False,
) -> Attempt:
    """A remote's final reply to a recipient as an attempt (RFC 5321 4.2.1: the first digit decides)."""
    result = Result.DELIVERED if 200 <= code < 300 else Result.FAILED if code >= 500 else Result.LATER
    shown = " ".join(filter(None, (str(code), enhanced, text)))
    return Attempt(result, shown, enhanced or f"{code // 100}.0.0", remote, steps, handed_on=handed_on)
