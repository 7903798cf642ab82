"""What comes back to the reverse-path of one message (VERP): which recipient it is about, and what it means.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mox_message.dsn import RecipientStatus, Report
from mox_queue.events import Kind
from mox_queue.suppress import base_of, is_final

_KINDS = {
    "failed": Kind.FAILED,
    "delayed": Kind.DELAYED,
    "delivered": Kind.DELIVERED,
    "relayed": Kind.RELAYED,
    "expanded": Kind.EXPANDED,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A recipient of a message that went out with a reverse-path of its own."""

    recipient: int
    message: int
    account: str
    sender: str
    address: str
    base: str
    attempts: int
    fromid: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a notice means for it.  `final`: nobody is there to write to any more."""

    kind: Kind
    text: str = ""
    final: bool = False


def meaning(report: Report | None, sent: Sent) -> Bounce:
    """All of `report` is foreign text: whoever has got the message knows its reverse-path, so a notice can do no more
    than speak of that message's recipient."""
    if report is None:
        return Bounce(Kind.UNRECOGNIZED, "no delivery status in it")
    status = _about(report, sent)
    if status is None:
        return Bounce(Kind.UNRECOGNIZED, "it names no recipient")
    text = " ".join((status.diagnostic or status.status or status.action).split())[:1000]
    failed = status.action == "failed"
    return Bounce(_KINDS[status.action], text, failed and is_final(text, status.status))


def _about(report: Report, sent: Sent) -> RecipientStatus | None:
    """The one about our recipient; a message has but one, so where a host rewrote its address, the first."""
    for status in report.recipients:
        original = status.original_recipient.partition(";")[2]
        if sent.base in (base_of(status.final_recipient), base_of(original)):
            return status
    return report.recipients[0] if report.recipients else None
