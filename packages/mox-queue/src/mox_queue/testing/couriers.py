"""A courier that calls nobody: it answers as a table says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, repeat

from mox_queue.courier import Batch
from mox_queue.outcome import Attempt, Result

DELIVERED = Attempt(Result.DELIVERED, "250 2.0.0 taken", "2.0.0", "mx.example")
LATER = Attempt(Result.LATER, "451 4.3.0 not now", "4.3.0", "mx.example")
FAILED = Attempt(Result.FAILED, "550 5.1.1 nobody", "5.1.1", "mx.example")


class Scripted:
    """mox_queue.Courier.  `script`: what becomes of an address, attempt by attempt; when its list has ended, and for
    addresses that are not in it, `otherwise`.  `took` has every batch."""

    def __init__(self, script: Mapping[str, Iterable[Attempt]] | None = None, otherwise: Attempt = DELIVERED) -> None:
        self._script = {address: chain(steps, repeat(otherwise)) for address, steps in (script or {}).items()}
        self._otherwise = otherwise
        self.took: list[Batch] = []

    def lane(self, domain: str) -> str:
        """One for each domain."""
        return domain

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """As the table says."""
        self.took.append(batch)
        return {one: next(self._script[one]) if one in self._script else self._otherwise for one in batch.recipients}

    def times(self, address: str) -> int:
        """How often an address was tried."""
        return sum(batch.recipients.count(address) for batch in self.took)
