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
    EXPANDED = "expanded"  # it went to a list, which tells no more (RFC 3464 2.3.3)
    RELAYED = "relayed"  # a host took it that tells the sender nothing (RFC 3461 5.2.2)
    DELAYED = "delayed"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"
    UNRECOGNIZED = "unrecognized"  # something came back that says nothing of the recipient that we understand


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
