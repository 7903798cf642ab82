"""Delivery status notifications (RFC 3464, 6522; international: RFC 6533), both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from mox_message import transfer
from mox_message.compose import date_text, fold, message_ids_field, multipart, part, text_part, unstructured
from mox_message.content import Content
from mox_message.fields import Fields
from mox_message.part import Part
from mox_message.structured import date, message_ids

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
# Octets of what is read of a report, and of the original's header that is sent back.
MAX_REPORT = 256 * 1024
MAX_ORIGINAL = 64 * 1024
MAX_RECIPIENTS = 1000
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
        _message(original, notice.smtputf8) if whole else _headers(original, notice.smtputf8),
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
    lines = [fold("Reporting-MTA", f"dns;{notice.reporting_mta}"), fold("Arrival-Date", date_text(notice.arrival))]
    if notice.envelope_id:
        lines.insert(0, fold("Original-Envelope-Id", _told(notice.envelope_id, notice.smtputf8)))
    return b"".join(lines)


def _status_fields(notice: Notice, status: RecipientStatus) -> bytes:
    lines = [fold("Final-Recipient", _typed_address(status.final_recipient, notice.smtputf8))]
    if status.original_recipient:
        kind, _, address = status.original_recipient.partition(";")
        address = _escaped(address, notice.smtputf8) if kind.lower() == "utf-8" else _told(address, notice.smtputf8)
        lines.insert(0, fold("Original-Recipient", f"{kind};{address}"))
    lines += [fold("Action", status.action), fold("Status", status.status)]
    if status.remote_mta:
        lines.append(fold("Remote-MTA", f"dns;{status.remote_mta}"))
    if status.diagnostic:
        lines.append(fold("Diagnostic-Code", f"smtp;{_told(status.diagnostic, notice.smtputf8)[:MAX_DIAGNOSTIC]}"))
    if status.last_attempt is not None:
        lines.append(fold("Last-Attempt-Date", date_text(status.last_attempt)))
    if status.will_retry_until is not None:
        lines.append(fold("Will-Retry-Until", date_text(status.will_retry_until)))
    return b"".join(lines)


def _told(text: str, smtputf8: bool) -> str:
    """Foreign text in one line."""
    line = " ".join("".join([c if c.isprintable() else " " for c in text]).split())
    return line if smtputf8 else line.encode("ascii", "replace").decode()


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


def _headers(original: bytes, smtputf8: bool) -> bytes:
    fields = Fields.parse(original[:MAX_ORIGINAL])
    block = b"".join([one.raw.replace(b"\r\n", b"\n").replace(b"\r", b" ").replace(b"\n", b"\r\n") for one in fields])
    encoding = transfer.chosen(block)
    if encoding == "7bit":
        return part("text/rfc822-headers", block, encoding)
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:  # of no known charset: sent as octets that nobody has to show
        return part("text/rfc822-headers", block, encoding)
    return part("message/global-headers", block, "8bit" if smtputf8 else encoding)


def _message(original: bytes, smtputf8: bool) -> bytes:
    """RFC 2046 5.2.1: a message within is never encoded."""
    international = smtputf8 and not original[: Fields.parse(original[:MAX_ORIGINAL]).end].isascii()
    return part(
        "message/global" if international else "message/rfc822", original, "7bit" if original.isascii() else "8bit"
    )


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
_HEADER_TYPES = ("text/rfc822-headers", "message/global-headers")
_CLASSES: dict[str, Action] = {"2": "delivered", "4": "delayed", "5": "failed"}


def parse(message: Part, content: Content) -> Report | None:
    """What a notification says; None when `message` is none (it has no delivery status in it).  Never raises."""
    candidates = list(message.walk())
    status = next((one for one in candidates if one.media_type in _STATUS_TYPES), None)
    if status is None:
        return None
    blocks = _blocks(status.data(content, MAX_REPORT))
    about = blocks[0] if blocks and "final-recipient" not in blocks[0] else {}
    listed = tuple(block for block in blocks if "final-recipient" in block or "original-recipient" in block)
    return Report(
        recipients=tuple(_recipient(block) for block in listed),
        reporting_mta=_untyped(about.get("reporting-mta", "")),
        envelope_id=about.get("original-envelope-id", ""),
        arrival=_time(about.get("arrival-date")),
        original=_original(candidates, content),
        fields=about,
        recipient_fields=listed,
    )


def _blocks(data: bytes) -> list[dict[str, str]]:
    """The fields between empty lines."""
    found: list[dict[str, str]] = []
    at = 0
    while at < len(data) and len(found) <= MAX_RECIPIENTS:
        fields = Fields.parse(data, at)
        at = max(fields.end, at + 1)
        block: dict[str, str] = {}
        for one in fields:
            block.setdefault(one.name, one.text)
        if block:
            found.append(block)
    return found


def _untyped(value: str) -> str:
    """`dns; mx.example` without the type; addresses of type utf-8 decoded."""
    kind, semicolon, rest = value.partition(";")
    if not semicolon:
        return value.strip()
    return _unescaped(rest.strip()) if kind.strip().lower() == "utf-8" else rest.strip()


def _time(value: str | None) -> float | None:
    moment = date(value) if value else None
    try:
        return moment.timestamp() if moment is not None else None
    except (OverflowError, ValueError, OSError):
        return None


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
        last_attempt=_time(block.get("last-attempt-date")),
        will_retry_until=_time(block.get("will-retry-until")),
    )


def _original(parts: list[Part], content: Content) -> Fields | None:
    for one in parts[1:]:
        if one.message is not None:
            return one.message.fields
        if one.media_type in _HEADER_TYPES:
            return Fields.parse(one.data(content, MAX_ORIGINAL))
    return None
