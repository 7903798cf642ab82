"""Who carries messages: couriers, behind a Protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mox_message import Content
from mox_queue.message import Recipient, TlsWish
from mox_queue.outcome import Attempt, Result


@dataclass(frozen=True, slots=True)
class Batch:
    """A message and those of its recipients that go the same way, to one domain."""

    message: int
    sender: str
    to: tuple[Recipient, ...]
    domain: str
    content: Content
    smtputf8: bool
    eightbit: bool
    arrived: float
    attempt: int
    account: str = ""
    tls: TlsWish = TlsWish.DEFAULT
    ret: str = ""
    envid: str = ""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Their addresses."""
        return tuple(one.address for one in self.to)


class Courier(Protocol):
    """Delivers a batch."""

    def lane(self, domain: str) -> str:
        """What deliveries share when they go to the same place: a domain, or the name of a smarthost."""
        ...

    def deliver(self, batch: Batch) -> Awaitable[Mapping[str, Attempt]]:
        """What became of each recipient.  May raise: then all are tried later."""
        ...


class Refusing:
    """The courier that carries nothing: fails at once, with this reply (a route to "fail")."""

    def __init__(self, text: str = "550 5.7.1 mail to there is not sent from here", status: str = "5.7.1") -> None:
        self._attempt = Attempt(Result.FAILED, text, status)

    def lane(self, domain: str) -> str:
        """mox_queue.Courier"""
        return "fail"

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        return dict.fromkeys(batch.recipients, self._attempt)
