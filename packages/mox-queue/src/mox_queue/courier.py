"""Who carries messages: couriers, behind a Protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mox_message import Content
from mox_queue.outcome import Attempt


@dataclass(frozen=True, slots=True)
class Batch:
    """A message and those of its recipients that go the same way."""

    message: int
    sender: str
    recipients: tuple[str, ...]
    domain: str
    content: Content
    smtputf8: bool
    eightbit: bool
    arrived: float
    attempt: int


class Courier(Protocol):
    """Delivers a batch."""

    def deliver(self, batch: Batch) -> Awaitable[Mapping[str, Attempt]]:
        """What became of each recipient.  May raise: then all are tried later."""
        ...
