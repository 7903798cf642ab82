"""Delivery status notifications (RFC 3464, 6522; international: RFC 6533), both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from mox_message.compose import date_text, fold, message_ids_field, multipart, part, text_part, unstructured
from mox_message.content import Content
from mox_message.fields import Fields
from mox_message.part import Part
from mox_message.report import (
    MAX_ORIGINAL,
    MAX_REPORT,
    field_blocks,
    headers,
    one_line,
    original_fields,
    own_parts,
    seconds,
    whole_message,
)
from mox_message.structured import message_ids

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
MAX_RECIPIENTS = 1000
MAX_STATUSES = 100
# Characters of a diagnostic that is written.
MAX_DIAGNOSTIC = 900


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient.  `status` is an enhanced code; `diagnostic` is the remote's reply or our reason.

    `original_recipient` is as ORCPT gave it, with its type: `rfc822;a@b.example`."""

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
    """A notification to be written.  Times are seconds since 1970."""

    reporting_mta: str
    recipient: str  # who gets it: the reverse-path of the message
    text: str  # for people
    statuses: tuple[RecipientStatus, ...]
    arrival: float
    envelope_id: str = ""
    smtputf8: bool = False
    sender: str = ""  # From; postmaster of the reporting MTA if it is empty
    subject: str = ""


_SUBJECTS = {
    "failed": "Your message could not be delivered",
    "delayed": "Your message is delayed",
    "delivered": "Your message was delivered",
    "relayed": "Your message was passed on",
    "expanded": "Your message was passed to a list",
}
# Of several, the subject tells the worst.
_WORST: tuple[Action, ...] = ("failed", "delayed", "expanded", "relayed", "delivered")


def compose(
    notice: Notice, original: bytes, *, message_id: str, boundary: str, now: float, whole: bool = False
) -> bytes:
    """The whole notification, with CRLF line ends.  It goes out with the null reverse-path.

    `original` is the header of the message that it is about, or all of it when `whole`; `message_id` (without brackets)
    and `boundary` are unique texts from the caller.  ASCII only unless `notice.smtputf8`, but for a `whole` original,
    which is never changed."""
    kind = "global-delivery-status" if notice.smtputf8 else "delivery-status"
    machine = _message_fields(notice) + b"".join([b"\r\n" + _status_fields(notice, one) for one in notice.statuses])
    parts = [
        text_part(notice.text),
        part(f"message/{kind}", machine, "7bit" if machine.isascii() else "8bit"),
        whole_message(original, notice.smtputf8) if whole else headers(original, notice.smtputf8),
    ]
    return _top(notice, original, message_id, now) + multipart("report", parts, boundary, f"report-type={kind};")


def _top(notice: Notice, original: bytes, message_id: str, now: float) -> bytes:
    actions = [one.action for one in notice.statuses]
    worst = next((action for action in _WORST if action in actions), "failed")
    top = [
        fold("From", notice.sender or f"Mail delivery <postmaster@{notice.reporting_mta}>"),
        fold("To", f"<{notice.recipient}>"),
        unstructured("Subject", notice.subject or _SUBJECTS[worst]),
        fold("Date", date_text(now)),
        fold("Message-ID", f"<{message_id}>"),
    ]
    about = message_ids(Fields.parse(original[:MAX_ORIGINAL]).text("message-id") or "")
    if about and (about[0].isascii() or notice.smtputf8) and about[0].isprintable():
        top += [message_ids_field("In-Reply-To", about[:1]), message_ids_field("References", about[:1])]
    # RFC 3834 5.2: no vacation notices to this.
    return b"".join([*top, b"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"])


def _message_fields(notice: Notice) -> bytes:
    lines = [
        fold("Reporting-MTA", f"dns;{one_line(notice.reporting_mta, notice.smtputf8)}"),
        fold("Arrival-Date", date_text(notice.arrival)),
    ]
    if notice.envelope_id:
        lines.insert(0, fold("Original-Envelope-Id", one_line(notice.envelope_id, notice.smtputf8)))
    return b"".join(lines)


def _status_fields(notice: Notice, status: RecipientStatus) -> bytes:
    lines = [fold("Final-Recipient", _typed_address(status.final_recipient, notice.smtputf8))]
    if status.original_recipient:
        kind, _, address = status.original_recipient.partition(";")
        address = _escaped(address, notice.smtputf8) if kind.lower() == "utf-8" else one_line(address, notice.smtputf8)
        lines.insert(0, fold("Original-Recipient", f"{one_line(kind, False)};{address}"))
    lines += [fold("Action", status.action), fold("Status", one_line(status.status, False))]
    if status.remote_mta:
        lines.append(fold("Remote-MTA", f"dns;{one_line(status.remote_mta, notice.smtputf8)}"))
    if status.diagnostic:
        lines.append(fold("Diagnostic-Code", f"smtp;{one_line(status.diagnostic, notice.smtputf8)[:MAX_DIAGNOSTIC]}"))
    if status.last_attempt is not None:
        lines.append(fold("Last-Attempt-Date", date_text(status.last_attempt)))
    if status.will_retry_until is not None:
        lines.append(fold("Will-Retry-Until", date_text(status.will_retry_until)))
    return b"".join(lines)


def _typed_address(address: str, smtputf8: bool) -> str:
    """RFC 3464 2.3.2; RFC 6533 3 for what is not ASCII."""
    return f"rfc822;{address}" if address.isascii() else f"utf-8;{_escaped(address, smtputf8)}"


def _escaped(address: str, smtputf8: bool) -> str:
    """RFC 6533 3: utf-8-addr-unitext, or utf-8-addr-xtext where only ASCII can be sent."""
    plain = [c.isprintable() and c not in "+=\\ " and (smtputf8 or c.isascii()) for c in address]
    return "".join([c if good else f"\\x{{{ord(c):X}}}" for c, good in zip(address, plain, strict=True)])


_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


def _unescaped(address: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else match[0]

    return _ESCAPE.sub(character, address)


@dataclass(frozen=True, slots=True)
class Report:
    """A notification that was read.  All of it is foreign text.

    `fields` are those about the message and `recipient_fields` those about each recipient, by name in lower case, for
    what has no attribute here.  `original` is the header of the message that it is about, if it is there."""

    recipients: tuple[RecipientStatus, ...]
    reporting_mta: str = ""
    envelope_id: str = ""
    arrival: float | None = None
    original: Fields | None = None
    fields: dict[str, str] = field(default_factory=dict)
    recipient_fields: tuple[dict[str, str], ...] = ()


_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_CLASSES: dict[str, Action] = {"2": "delivered", "4": "delayed", "5": "failed"}


def parse(message: Part, content: Content) -> Report | None:
    """What a notification says; None when `message` is none (it has no delivery status in it).  Never raises."""
    candidates = own_parts(message)
    statuses = [one for one in candidates if one.media_type in _STATUS_TYPES]
    if not statuses:
        return None
    about: dict[str, str] = {}
    listed: list[dict[str, str]] = []
    # RFC 3464 2 has one such part; reports about several recipients have been seen with several.
    for status in statuses[:MAX_STATUSES]:
        blocks = [_values(fields) for fields in field_blocks(status.data(content, MAX_REPORT), MAX_RECIPIENTS + 1)]
        if blocks and not _recipient_block(blocks[0]):
            about = blocks[0] | about
        listed += [block for block in blocks if _recipient_block(block)][: MAX_RECIPIENTS - len(listed)]
    return Report(
        recipients=tuple(map(_recipient, listed)),
        reporting_mta=_untyped(about.get("reporting-mta", "")),
        envelope_id=about.get("original-envelope-id", ""),
        arrival=seconds(about.get("arrival-date")),
        original=original_fields(candidates[1:], content),
        fields=about,
        recipient_fields=tuple(listed),
    )


def _recipient_block(block: dict[str, str]) -> bool:
    return "final-recipient" in block or "original-recipient" in block


def _values(fields: Fields) -> dict[str, str]:
    values: dict[str, str] = {}
    for one in fields:
        values.setdefault(one.name, one.text)
    return values


def _untyped(value: str) -> str:
    """`dns; mx.example` without the type; addresses of type utf-8 decoded."""
    kind, semicolon, rest = value.partition(";")
    if not semicolon:
        return value.strip()
    return _unescaped(rest.strip()) if kind.strip().lower() == "utf-8" else rest.strip()


def _recipient(block: dict[str, str]) -> RecipientStatus:
    status = block.get("status", "").partition("(")[0].strip()
    action = (block.get("action", "").lower().split() or [""])[0]
    if action not in get_args(Action):  # RFC 3464 2.3.3 knows no other; the status tells as much
        action = _CLASSES.get(status[:1], "failed")
    return RecipientStatus(
        final_recipient=_untyped(block.get("final-recipient", "")).strip("<>"),
        action=cast(Action, action),
        status=status,
        original_recipient=block.get("original-recipient", ""),
        remote_mta=_untyped(block.get("remote-mta", "")),
        diagnostic=_untyped(block.get("diagnostic-code", "")),
        last_attempt=seconds(block.get("last-attempt-date")),
        will_retry_until=seconds(block.get("will-retry-until")),
    )
