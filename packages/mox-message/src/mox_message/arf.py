"""Feedback reports (ARF, RFC 5965; not-spam: RFC 6430; auth-failure: RFC 6591), both ways."""

from __future__ import annotations

from dataclasses import dataclass, field

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

# Values of one name that are kept.
MAX_VALUES = 1000
MAX_NAME = 76
_TYPE = "message/feedback-report"
_LISTS = {"original-rcpt-to", "authentication-results", "reported-domain", "reported-uri"}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a report says about one message, or about several that are alike.  What was read is foreign text.

    `type` is abuse, fraud, virus, not-spam, auth-failure or other, in lower case.  `fields` are all as they were
    written, by name in lower case, those of other RFCs among them."""

    type: str
    user_agent: str = ""
    version: str = "1"
    mail_from: str = ""  # Original-Mail-From, without angle brackets
    recipients: tuple[str, ...] = ()  # Original-Rcpt-To
    arrival: float | None = None  # seconds since 1970
    reporting_mta: str = ""
    source_ip: str = ""
    incidents: int = 1
    authentication_results: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()  # Reported-Domain
    uris: tuple[str, ...] = ()  # Reported-URI
    envelope_id: str = ""
    fields: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """A report that was read.  `original` is the header of the message, `part` the message itself if all of it came.

    `defects` say what RFC 5965 asks for and is not there."""

    feedback: Feedback
    original: Fields | None = None
    part: Part | None = None
    defects: tuple[str, ...] = ()


def compose(
    feedback: Feedback,
    original: bytes,
    *,
    sender: str,
    recipient: str,
    message_id: str,
    boundary: str,
    now: float,
    text: str = "",
    subject: str = "",
    whole: bool = True,
) -> bytes:
    """The whole report, with CRLF line ends.

    `original` is the message, or only its header unless `whole`.  `sender` and `recipient` are addresses; `message_id`
    (without brackets) and `boundary` unique texts from the caller; `now` is in seconds since 1970."""
    parts = [
        text_part(text or _text(feedback)),
        part(_TYPE, _fields(feedback), "7bit"),
        whole_message(original, False) if whole else headers(original, False),
    ]
    top = [
        fold("From", f"<{sender}>"),
        fold("To", f"<{recipient}>"),
        unstructured("Subject", subject or _subject(original)),
        fold("Date", date_text(now)),
        fold("Message-ID", f"<{message_id}>"),
        *_thread(original),
        b"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
    ]
    return b"".join(top) + multipart("report", parts, boundary, "report-type=feedback-report;")


def _subject(original: bytes) -> str:
    """RFC 5965 2 (h): that of the message, marked as forwarded."""
    return f"FW: {Fields.parse(original[:MAX_ORIGINAL]).text('subject') or ''}".strip()


def _thread(original: bytes) -> list[bytes]:
    about = message_ids(Fields.parse(original[:MAX_ORIGINAL]).text("message-id") or "")[:1]
    return [message_ids_field("References", about)] if about and about[0].isascii() and about[0].isprintable() else []


def _text(feedback: Feedback) -> str:
    source = f" from {one_line(feedback.source_ip, False)}" if feedback.source_ip else ""
    when = f" on {date_text(feedback.arrival)}" if feedback.arrival is not None else ""
    return f"This is a report of type {one_line(feedback.type, False)} about a message received{source}{when}.\n"


def _fields(feedback: Feedback) -> bytes:
    """RFC 5965 3.1 to 3.3, and what else `feedback.fields` has."""
    pairs: list[tuple[str, str]] = [
        ("Feedback-Type", feedback.type),
        ("User-Agent", feedback.user_agent or "mox-message"),
        ("Version", feedback.version),
        ("Original-Envelope-Id", feedback.envelope_id),
        ("Original-Mail-From", f"<{feedback.mail_from}>" if feedback.mail_from else ""),
        ("Arrival-Date", date_text(feedback.arrival) if feedback.arrival is not None else ""),
        ("Reporting-MTA", f"dns; {feedback.reporting_mta}" if feedback.reporting_mta else ""),
        ("Source-IP", feedback.source_ip),
        ("Incidents", str(feedback.incidents) if feedback.incidents != 1 else ""),
    ]
    pairs += [("Original-Rcpt-To", f"<{one}>") for one in feedback.recipients]
    pairs += [("Authentication-Results", one) for one in feedback.authentication_results]
    pairs += [("Reported-Domain", one) for one in feedback.domains]
    pairs += [("Reported-URI", one) for one in feedback.uris]
    known = {name.lower() for name, _ in pairs} | _LISTS
    more = [(name, values) for name, values in feedback.fields.items() if name not in known and len(name) <= MAX_NAME]
    pairs += [(name.title(), one) for name, values in more for one in values]
    return b"".join([fold(name, one_line(value, False)) for name, value in pairs if value])


def parse(message: Part, content: Content) -> FeedbackReport | None:
    """What a report says; None when `message` is none (it has no feedback in it).  Never raises for what it holds."""
    candidates = own_parts(message)
    at = next((index for index, one in enumerate(candidates) if one.media_type == _TYPE), None)
    if at is None:
        return None
    blocks = field_blocks(candidates[at].data(content, MAX_REPORT), 1)
    values: dict[str, tuple[str, ...]] = {}
    for one in blocks[0] if blocks else ():
        if len(before := values.get(one.name, ())) < MAX_VALUES:
            values[one.name] = (*before, one.text)
    beside = candidates[at + 1 :]
    whole = next((one.message for one in beside if one.message is not None), None)
    return FeedbackReport(_feedback(values), original_fields(beside, content), whole, _missing(values))


def _missing(values: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    wanted = ("feedback-type", "user-agent", "version")
    defects = [f"no {name}" for name in wanted if name not in values]
    once = (
        *wanted,
        "original-envelope-id",
        "original-mail-from",
        "arrival-date",
        "reporting-mta",
        "source-ip",
        "incidents",
    )
    return tuple(defects + [f"{name} more than once" for name in once if len(values.get(name, ())) > 1])


def _feedback(values: dict[str, tuple[str, ...]]) -> Feedback:
    def first(name: str) -> str:
        return values.get(name, ("",))[0]

    count = first("incidents")
    return Feedback(
        type=first("feedback-type").lower(),
        user_agent=first("user-agent"),
        version=first("version"),
        mail_from=first("original-mail-from").strip("<> "),
        recipients=tuple(one.strip("<> ") for one in values.get("original-rcpt-to", ())),
        # Received-Date is what drafts of RFC 5965 called it.
        arrival=seconds(first("arrival-date") or first("received-date")),
        reporting_mta=first("reporting-mta").rpartition(";")[2].strip(),
        source_ip=first("source-ip").strip("[] "),
        incidents=int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 1,
        authentication_results=values.get("authentication-results", ()),
        domains=values.get("reported-domain", ()),
        uris=values.get("reported-uri", ()),
        envelope_id=first("original-envelope-id"),
        fields=values,
    )
