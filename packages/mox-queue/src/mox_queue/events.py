"""What happens to queued mail, told after it is on disk: for webhooks, logs, counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened to a recipient."""

    QUEUED = "queued"
    DELIVERED = "delivered"  # a host took it that says more itself, or our own mailbox
    RELAYED = "relayed"  # a host took it that tells the sender nothing (RFC 3461 5.2.2)
    DELAYED = "delayed"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one recipient.  `at` is seconds since 1970; `text` the remote's reply or our
    reason."""

    kind: Kind
    at: float
    message: int
    account: str
    sender: str
    recipient: str
    attempts: int
    text: str = ""
    fromid: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)


Listener = Callable[[Event], None]
