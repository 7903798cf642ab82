"""What an attempt leads to: delivered, later, failed.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mox_queue.schedule import Schedule


class Result(StrEnum):
    """What became of a recipient in one attempt."""

    DELIVERED = "delivered"
    LATER = "later"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a courier says of one recipient.  `text` is the remote's reply or our reason; `status` an enhanced code."""

    result: Result
    text: str
    status: str = ""
    remote: str = ""
    steps: tuple[Mapping[str, Any], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to be written: the state after an attempt, and what the sender is told ("" for nothing)."""

    state: str  # waiting, delivered, failed
    next: float | None
    notice: str  # "", "failed", "delayed"


def settle(
    attempt: Attempt, *, attempts: int, arrived: float, now: float, warned: bool, schedule: Schedule, drawn: float
) -> Settled:
    """The next state of a recipient.  `attempts` counts this one."""
    if attempt.result is Result.DELIVERED:
        return Settled("delivered", None, "")
    if attempt.result is Result.FAILED:
        return Settled("failed", None, "failed")
    following = schedule.next(attempts, arrived, now, drawn)
    if following is None:
        return Settled("failed", None, "failed")
    return Settled("waiting", following, "delayed" if schedule.warns(arrived, now) and not warned else "")


def classified(code: int, text: str, enhanced: str, remote: str, steps: tuple[Mapping[str, Any], ...] = ()) -> Attempt:
    """A remote's final reply to a recipient as an attempt (RFC 5321 4.2.1: the first digit decides)."""
    result = Result.DELIVERED if 200 <= code < 300 else Result.FAILED if code >= 500 else Result.LATER
    shown = " ".join(filter(None, (str(code), enhanced, text)))
    return Attempt(result, shown, enhanced or f"{code // 100}.0.0", remote, steps)
