"""Reports about single messages that failed: RFC 9991, which is RFC 6591 with DMARC's fields, in the mail of RFC 5965.

    read_failure     a mail -> FailureReport
    FailureReport    what failed, whose message it was, the header of that message

Everything in a report is foreign text, most of all the header of the message, which an attacker may have written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from mox_dmarc.unpack import DEFAULT, Limits, Unusable
from mox_message import Content, Fields, Part, date, decoded_subject, parse

MAX_FIELD = 4096  # characters of one field
MAX_REPORT = 256 * 1024  # octets of the machine-readable part
MAX_HEADER = 256 * 1024  # octets of the original header

_TEXT_LINE = re.compile(r"[ \t]*([A-Za-z][A-Za-z ]{1,40}):[ \t]*(\S[^\r\n]{0,500})")
_WORD = re.compile(r"[A-Za-z0-9-]+")


class FailureReportSyntaxError(Unusable):
    """This mail is no failure report; the text says why."""


@dataclass(frozen=True, slots=True)
class FailureReport:
    """One report.  Texts are "" and lists empty where the report does not say.

    `auth_failure` is what failed ("dmarc", "dkim", "spf", "signature", …); `unaligned` are the means that brought no
    aligned identifier (Identity-Alignment).  `header` is the original header, or empty.  `arrival` is in seconds since
    1970.  `problems` says what in the report was not as it should be."""

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
    header: bytes = b""
    problems: tuple[str, ...] = ()

    @property
    def original(self) -> Fields:
        """The header of the message that failed."""
        return Fields.parse(self.header)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        plain: dict[str, object] = {name: getattr(self, name) for name in self.__slots__ if name != "header"}
        made = {name: list(one) if isinstance(one, tuple) else one for name, one in plain.items()}
        fields = self.original
        return {
            **made,
            "subject": decoded_subject(fields)[:MAX_FIELD],
            "from": (fields.text("from") or "")[:MAX_FIELD],
            "message_id": (fields.text("message-id") or "")[:MAX_FIELD],
        }

    def explain(self) -> str:
        """Line by line: what failed, whose message it was, what was odd."""
        about = ", ".join(self.reported_domains) or "an unnamed domain"
        failed = ", ".join(self.auth_failure) or "something"
        lines = [f"{failed} failed for {about}, from {self.source_ip or 'an unknown address'}"]
        if self.unaligned:
            lines.append(f"  not aligned: {', '.join(self.unaligned)}")
        said = (
            ("what became of it", self.delivery_result),
            ("MAIL FROM", self.mail_from),
            ("DKIM", " ".join(filter(None, (self.dkim_domain, self.dkim_selector, self.dkim_identity)))),
            ("SPF record", "; ".join(self.spf_dns)),
            ("From", self.original.text("from") or ""),
            ("Subject", decoded_subject(self.original)),
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
    parts = list(parse(content).walk())
    for part in parts:
        if part.media_type == "message/feedback-report":
            fields = Fields.parse(part.data(content, MAX_REPORT).lstrip(b"\r\n") + b"\r\n")
            return _read(fields, _original(parts, content))
    for part in parts:
        if part.media_type == "text/plain":
            found = _by_text(part.text(content, MAX_REPORT), _original(parts, content))
            if found is not None:
                return found
    raise FailureReportSyntaxError("no part of type message/feedback-report")


def _read(fields: Fields, original: bytes) -> FailureReport:
    """RFC 5965 3, RFC 6591 3, RFC 9991 3."""
    kind = _one(fields, "feedback-type").lower()
    if kind != "auth-failure":
        raise FailureReportSyntaxError(
            f"a feedback report of type {kind[:40]!r}, not auth-failure" if kind else "no Feedback-Type"
        )
    problems: list[str] = [f"no {name}" for name in ("User-Agent", "Version", "Auth-Failure") if not _one(fields, name)]
    failed = tuple(dict.fromkeys(word.lower() for word in _WORD.findall(_one(fields, "auth-failure"))))
    if "dmarc" in failed and not fields.all("identity-alignment"):
        problems.append("no Identity-Alignment, which RFC 9991 3 requires")
    return FailureReport(
        failed,
        reported_domains=tuple(one.lower().rstrip(".") for one in _all(fields, "reported-domain")),
        source_ip=_address(_one(fields, "source-ip"), problems),
        source_port=_number(_one(fields, "source-port"), "Source-Port", 65_535, problems),
        arrival=_moment(_one(fields, "arrival-date") or _one(fields, "received-date"), problems),
        unaligned=_alignment(_one(fields, "identity-alignment"), problems),
        delivery_result=_one(fields, "delivery-result").lower(),
        mail_from=_path(_one(fields, "original-mail-from")),
        rcpt_to=tuple(map(_path, _all(fields, "original-rcpt-to"))),
        envelope_id=_one(fields, "original-envelope-id"),
        authentication_results=tuple(_all(fields, "authentication-results")),
        dkim_domain=_one(fields, "dkim-domain").lower(),
        dkim_identity=_one(fields, "dkim-identity"),
        dkim_selector=_one(fields, "dkim-selector"),
        dkim_canonicalized_header=_one(fields, "dkim-canonicalized-header"),
        dkim_canonicalized_body=_one(fields, "dkim-canonicalized-body"),
        spf_dns=tuple(_all(fields, "spf-dns")),
        incidents=_number(_one(fields, "incidents"), "Incidents", 10**12, problems) or 1,
        user_agent=_one(fields, "user-agent"),
        version=_one(fields, "version"),
        header=original,
        problems=tuple(problems),
    )


def _original(parts: list[Part], content: Content) -> bytes:
    """The header of the message that failed: RFC 6591 3.1, message/rfc822 or text/rfc822-headers."""
    for part in parts:
        if part.message is not None:
            inner = part.message
            return content.read(inner.header_start, min(inner.body_start, inner.header_start + MAX_HEADER))
        if part.media_type in ("text/rfc822-headers", "message/rfc822-headers", "text/rfc822"):
            return part.data(content, MAX_HEADER)
    return b""


def _by_text(text: str, original: bytes) -> FailureReport | None:
    """What some programs write for people, without anything for machines."""
    above, _, below = text.partition("\n------")
    said = {name.strip().lower(): value.strip() for name, value in _TEXT_LINE.findall(above[:8192])}
    domain, address = said.get("sender domain"), said.get("sender ip address")
    if not domain or not address:
        return None
    problems = ["no part of type message/feedback-report; read from the text for people"]
    header = original or below.partition("\n")[2].lstrip("\r\n").replace("\r\n", "\n").replace("\n", "\r\n").encode()
    means = (("spf", said.get("spf alignment")), ("dkim", said.get("dkim alignment")))
    return FailureReport(
        ("dmarc",),
        (domain.lower()[:MAX_FIELD],),
        source_ip=_address(address, problems),
        arrival=_moment(said.get("received date", ""), problems),
        unaligned=tuple(name for name, word in means if word is not None and word.lower() == "no"),
        delivery_result=said.get("dmarc results", "").lower(),
        header=header[:MAX_HEADER],
        problems=tuple(problems),
    )


def _all(fields: Fields, name: str) -> Iterator[str]:
    for field in fields.all(name.lower())[:50]:
        text = " ".join(field.text.split())[:MAX_FIELD]
        if text:
            yield text


def _one(fields: Fields, name: str) -> str:
    return next(_all(fields, name), "")


def _path(text: str) -> str:
    return text.removeprefix("<").removesuffix(">")


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


def _moment(text: str, problems: list[str]) -> float | None:
    if not text:
        return None
    found = date(text)
    if found is None:
        problems.append(f"a date is {text[:60]!r}, which cannot be read")
        return None
    return found.timestamp()


def _alignment(text: str, problems: list[str]) -> tuple[str, ...]:
    """RFC 9991 3, Identity-Alignment: the means that failed to authenticate an aligned identity, or none."""
    words = tuple(dict.fromkeys(word.lower() for word in _WORD.findall(text)))
    odd = [word for word in words if word not in ("dkim", "spf", "none")]
    if odd:
        problems.append(f"Identity-Alignment names {odd[0][:20]!r}")
    return tuple(word for word in words if word in ("dkim", "spf"))
