"""Reports about single messages that failed: RFC 9991, which is RFC 6591 with DMARC's fields, in the mail of RFC 5965.

    read_failure     a mail -> FailureReport
    FailureReport    what failed, whose message it was, the header of that message

Everything in a report is foreign text, most of all the header of the message, which an attacker may have written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from ipaddress import ip_address
from pathlib import Path

from mox_dmarc.unpack import DEFAULT, Limits, Unusable
from mox_message import Content, Fields, Part, arf, date, decoded_subject, parse

MAX_FIELD = 4096  # characters of one field
MAX_WITHIN = 5  # mails within a mail that are looked at
MAX_VALUES = 50  # of one field
MAX_TEXT = 256 * 1024  # octets of a text for people

_TEXT_LINE = re.compile(r"[ \t]*([A-Za-z][A-Za-z ]{1,40}):[ \t]*(\S[^\r\n]{0,500})")
_COMMENT = re.compile(r"\([^()]*\)")
_WORD = re.compile(r"[A-Za-z0-9-]+")


class FailureReportSyntaxError(Unusable):
    """This mail is no failure report; the text says why."""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """One report.  Texts are "" and lists empty where the report does not say.

    `auth_failure` is what failed ("dmarc", "dkim", "spf", "signature", …); `unaligned` are the means that brought no
    aligned identifier (Identity-Alignment).  `original` is the header of the message that failed, as far as the report
    has it.  `arrival` is in seconds since 1970.  `problems` says what in the report was not as it should be."""

    auth_failure: tuple[str, ...]
    reported_domains: tuple[str, ...] = ()
    source_ip: str = ""
    source_port: int | None = None
    arrival: float | None = None
    unaligned: tuple[str, ...] = ()
    delivery_result: str = ""
    mail_from: str = ""
    rcpt_to: tuple[str, ...] = ()
    envelope_id: str = ""
    authentication_results: tuple[str, ...] = ()
    dkim_domain: str = ""
    dkim_identity: str = ""
    dkim_selector: str = ""
    dkim_canonicalized_header: str = ""
    dkim_canonicalized_body: str = ""
    spf_dns: tuple[str, ...] = ()
    incidents: int = 1
    user_agent: str = ""
    version: str = ""
    original: Fields | None = field(default=None, compare=False, repr=False)
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        names = [one.name for one in dataclass_fields(self) if one.name != "original"]
        plain: dict[str, object] = {name: getattr(self, name) for name in names}
        made = {name: list(one) if isinstance(one, tuple) else one for name, one in plain.items()}
        return {**made, **self._about()}

    def _about(self) -> dict[str, str]:
        """What tells people which message it was."""
        fields = self.original if self.original is not None else Fields.parse(b"")
        return {
            "subject": decoded_subject(fields)[:MAX_FIELD],
            "from": (fields.text("from") or "")[:MAX_FIELD],
            "message_id": (fields.text("message-id") or "")[:MAX_FIELD],
        }

    def explain(self) -> str:
        """Line by line: what failed, whose message it was, what was odd."""
        about = self._about()
        domains = ", ".join(self.reported_domains) or "an unnamed domain"
        failed = ", ".join(self.auth_failure) or "something"
        lines = [f"{failed} failed for {domains}, from {self.source_ip or 'an unknown address'}"]
        if self.unaligned:
            lines.append(f"  not aligned: {', '.join(self.unaligned)}")
        said = (
            ("what became of it", self.delivery_result),
            ("MAIL FROM", self.mail_from),
            ("DKIM", " ".join(filter(None, (self.dkim_domain, self.dkim_selector, self.dkim_identity)))),
            ("SPF record", "; ".join(self.spf_dns)),
            ("From", about["from"]),
            ("Subject", about["subject"]),
            ("incidents", str(self.incidents) if self.incidents != 1 else ""),
        )
        lines += [f"  {name}: {text[:200]}" for name, text in said if text]
        return "\n".join(lines + [f"  problem: {problem}" for problem in self.problems])


def read_failure(source: bytes | Content | Path, limits: Limits = DEFAULT) -> FailureReport:
    """The failure report in a mail, given as octets, a Content, or the path of a file.

    A mail without the machine-readable part is read by its text, as far as that is written the way some programs do.
    Raises FailureReportSyntaxError; OSError where a file cannot be read."""
    content = Content.file(source) if isinstance(source, Path) else source
    if isinstance(content, bytes):
        content = Content.of(content)
    if content.size > limits.message:
        raise FailureReportSyntaxError(f"a mail of {content.size} octets; at most {limits.message} are looked at")
    message = parse(content)
    for whole in (message, *_within(message)):
        found = arf.parse(whole, content)
        if found is not None:
            return _read(found)
    for part in message.walk():
        if part.media_type == "text/plain":
            written = _by_text(part.text(content, MAX_TEXT))
            if written is not None:
                return written
    raise FailureReportSyntaxError("no part of type message/feedback-report")


def _within(message: Part) -> list[Part]:
    """Mails that are attached to this one: a report that was forwarded."""
    return [part.message for part in message.walk() if part.message is not None][:MAX_WITHIN]


def _read(found: arf.FeedbackReport) -> FailureReport:
    """RFC 6591 3, RFC 9991 4; what RFC 5965 asks of every report, `mox_message.arf` has looked at."""
    feedback, fields = found.feedback, _Values(found.feedback.fields)
    problems = list(found.defects)
    failed = _words(fields.one("auth-failure"))
    if feedback.type != "auth-failure":
        why = f"a feedback report of type {feedback.type[:40]!r}, not auth-failure" if feedback.type else "no type"
        if not failed:
            raise FailureReportSyntaxError(why)
        problems.append(why)  # yet it says what failed
    if not failed:
        problems.append("no Auth-Failure")
    aligned_by = fields.one("identity-alignment")
    if "dmarc" in failed and not aligned_by:
        problems.append("no Identity-Alignment, which RFC 9991 4 requires")
    return FailureReport(
        failed,
        reported_domains=tuple(one.lower().rstrip(".") for one in fields.all("reported-domain")),
        source_ip=_address(fields.one("source-ip"), problems),
        source_port=_number(fields.one("source-port"), "Source-Port", 65_535, problems),
        arrival=feedback.arrival,
        unaligned=_alignment(aligned_by, problems),
        delivery_result=fields.one("delivery-result").lower(),
        mail_from=feedback.mail_from[:MAX_FIELD],
        rcpt_to=tuple(one.strip("<> ") for one in fields.all("original-rcpt-to")),
        envelope_id=fields.one("original-envelope-id"),
        authentication_results=fields.all("authentication-results"),
        dkim_domain=fields.one("dkim-domain").lower(),
        dkim_identity=fields.one("dkim-identity"),
        dkim_selector=fields.one("dkim-selector"),
        dkim_canonicalized_header=fields.one("dkim-canonicalized-header"),
        dkim_canonicalized_body=fields.one("dkim-canonicalized-body"),
        spf_dns=fields.all("spf-dns"),
        incidents=_number(fields.one("incidents"), "Incidents", 10**12, problems) or 1,
        user_agent=fields.one("user-agent"),
        version=fields.one("version"),
        original=found.original,
        problems=tuple(problems),
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """The fields of a report by lower-case name, in one line each and bounded."""

    fields: Mapping[str, tuple[str, ...]]

    def all(self, name: str) -> tuple[str, ...]:
        values = self.fields.get(name, ())[:MAX_VALUES]
        return tuple(text for value in values if (text := " ".join(value.split())[:MAX_FIELD]))

    def one(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def _words(text: str) -> tuple[str, ...]:
    """The words of a value in lower case, each once; comments are none (RFC 5322 3.2.2, nested three deep at most)."""
    for _ in range(3):
        text = _COMMENT.sub(" ", text)
    return tuple(dict.fromkeys(word.lower() for word in _WORD.findall(text)))


def _by_text(text: str) -> FailureReport | None:
    """What some programs write for people, without anything for machines."""
    above, _, below = text.partition("\n------")
    said = {name.strip().lower(): value.strip() for name, value in _TEXT_LINE.findall(above[:8192])}
    domain, address = said.get("sender domain"), said.get("sender ip address")
    if not domain or not address:
        return None
    problems = ["no part of type message/feedback-report; read from the text for people"]
    header = below.partition("\n")[2].lstrip("\r\n")
    means = (("spf", said.get("spf alignment")), ("dkim", said.get("dkim alignment")))
    return FailureReport(
        ("dmarc",),
        (domain.lower()[:MAX_FIELD],),
        source_ip=_address(address, problems),
        arrival=_moment(said.get("received date", "")),
        unaligned=tuple(name for name, word in means if word is not None and word.lower() == "no"),
        delivery_result=said.get("dmarc results", "").lower(),
        original=Fields.parse(header.encode("utf-8", "replace")) if header else None,
        problems=tuple(problems),
    )


def _address(text: str, problems: list[str]) -> str:
    if not text:
        return ""
    text = text.split()[0].strip("[]")
    bare = text[5:] if text.lower().startswith("ipv6:") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        problems.append(f"Source-IP is {text[:60]!r}, no address")
        return ""


def _number(text: str, name: str, most: int, problems: list[str]) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) <= most):
        problems.append(f"{name} is {text[:20]!r}, not a number up to {most}")
        return None
    return int(text)


def _moment(text: str) -> float | None:
    found = date(text)
    return None if found is None else found.timestamp()


def _alignment(text: str, problems: list[str]) -> tuple[str, ...]:
    """RFC 9991 4, Identity-Alignment: the means that failed to authenticate an aligned identity, or none."""
    words = _words(text)
    odd = [word for word in words if word not in ("dkim", "spf", "none")]
    if odd:
        problems.append(f"Identity-Alignment names {odd[0][:20]!r}")
    return tuple(word for word in words if word in ("dkim", "spf"))
