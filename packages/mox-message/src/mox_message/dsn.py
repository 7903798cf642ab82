"""Delivery status notifications (RFC 3464, 6522, 6533), both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mox_message.compose import date_text, fold, multipart, unstructured
from mox_message.content import Content
from mox_message.fields import Fields
from mox_message.part import Part

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient.  `status` is an enhanced code; `diagnostic` is the remote's reply or our reason."""

    final_recipient: str
    action: Action
    status: str
    original_recipient: str = ""
    remote_mta: str = ""
    diagnostic: str = ""
    last_attempt: float | None = None
    will_retry_until: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification to be written."""

    reporting_mta: str
    recipient: str  # who gets it: the reverse-path of the message
    text: str  # for people
    statuses: tuple[RecipientStatus, ...]
    arrival: float
    envelope_id: str = ""
    smtputf8: bool = False


_SUBJECTS = {
    "failed": "Your message could not be delivered",
    "delayed": "Your message is delayed",
    "delivered": "Your message was delivered",
    "relayed": "Your message was passed on",
    "expanded": "Your message was passed to a list",
}


def _address_type(address: str, smtputf8: bool) -> str:
    """RFC 3464 2.3.1, RFC 6533 3."""
    if address.isascii():
        return f"rfc822;{address}"
    if smtputf8:
        return f"utf-8;{address}"
    escaped = "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in address)
    return f"utf-8;{escaped}"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:900]


def _status_fields(notice: Notice, status: RecipientStatus) -> bytes:
    lines = [fold("Final-Recipient", _address_type(status.final_recipient, notice.smtputf8))]
    if status.original_recipient:
        lines.insert(0, fold("Original-Recipient", status.original_recipient))
    lines += [fold("Action", status.action), fold("Status", status.status)]
    if status.remote_mta:
        lines.append(fold("Remote-MTA", f"dns;{status.remote_mta}"))
    if status.diagnostic:
        text = _one_line(status.diagnostic)
        lines.append(
            fold("Diagnostic-Code", "smtp;" + (text if notice.smtputf8 else text.encode("ascii", "replace").decode()))
        )
    if status.last_attempt is not None:
        lines.append(fold("Last-Attempt-Date", date_text(status.last_attempt)))
    if status.will_retry_until is not None:
        lines.append(fold("Will-Retry-Until", date_text(status.will_retry_until)))
    return b"".join(lines)


def compose(notice: Notice, original_header: bytes, *, message_id: str, boundary: str, now: float) -> bytes:
    """The whole notification.  `original_header` is the header of the message that it is about, with its line ends;
    `message_id` and `boundary` are unique texts from the caller."""
    worst = notice.statuses[0].action if notice.statuses else "failed"
    text = notice.text.replace("\r\n", "\n").replace("\n", "\r\n")
    human = (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + text.encode("utf-8", "replace")
        + b"\r\n"
    )
    kind = "global-delivery-status" if notice.smtputf8 else "delivery-status"
    report = [fold("Reporting-MTA", f"dns;{notice.reporting_mta}"), fold("Arrival-Date", date_text(notice.arrival))]
    if notice.envelope_id:
        report.insert(0, fold("Original-Envelope-Id", notice.envelope_id))
    machine = f"Content-Type: message/{kind}\r\n\r\n".encode() + b"".join(report)
    for status in notice.statuses:
        machine += b"\r\n" + _status_fields(notice, status)
    international = notice.smtputf8 or not original_header.isascii()
    headers_type = b"message/global-headers" if international else b"text/rfc822-headers"
    original = b"Content-Type: " + headers_type + b"\r\n\r\n" + original_header[:MAX_TEXT]
    top = b"".join(
        [
            fold("From", f"Mail delivery <postmaster@{notice.reporting_mta}>"),
            fold("To", f"<{notice.recipient}>"),
            unstructured("Subject", _SUBJECTS[worst]),
            fold("Date", date_text(now)),
            fold("Message-ID", f"<{message_id}>"),
            # RFC 3834 5.2: no vacation notices to this.
            b"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
        ]
    )
    return top + multipart("report", [human, machine, original], boundary, f" report-type={kind};")


@dataclass(frozen=True, slots=True)
class Report:
    """A notification that was read: fields of the message, and of each recipient, by name in lower case."""

    message: dict[str, str]
    recipients: tuple[dict[str, str], ...]


def read(part: Part, content: Content) -> Report | None:
    """The status of a message/delivery-status in `part`; None when it has none.  Never raises."""
    for candidate in part.walk():
        if candidate.media_type in ("message/delivery-status", "message/global-delivery-status"):
            data = b"".join(candidate.decoded(content))[:MAX_TEXT].replace(b"\r\n", b"\n")
            blocks = [block for block in data.split(b"\n\n") if block.strip()]
            tables = [{f.name: f.text for f in Fields.parse(block + b"\n\n")} for block in blocks]
            return Report(tables[0], tuple(tables[1:])) if tables else None
    return None
