"""How a report travels: as a message (RFC 8460 5.3) or by HTTPS (5.4).  Nothing is sent from here."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mox_message import date_text, fold
from mox_message.compose import message, multipart, part, text_part, unstructured
from mox_tlsrpt.report import Report

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")
_UNIQUE = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Post:
    """A request to make: POST `body` to `url`.  A status 2xx means that it has arrived."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def packed(report: Report) -> bytes:
    """The JSON, gzipped (RFC 8460 5.2); the same octets for the same report."""
    return gzip.compress(report.json().encode(), mtime=0)


def filename(report: Report, *, domain: str, submitter: str) -> str:
    """RFC 8460 5.1: `submitter!domain!begin!end!unique.json.gz`."""
    unique = _UNIQUE.sub("", report.id)[:40]
    names = (_UNSAFE.sub("", submitter), _UNSAFE.sub("", domain), f"{report.start:.0f}", f"{report.end:.0f}", unique)
    return "!".join(filter(None, names)) + ".json.gz"


def compose(
    report: Report,
    *,
    domain: str,
    submitter: str,
    sender: str,
    recipients: Sequence[str],
    message_id: str,
    boundary: str,
    now: float,
    text: str = "",
) -> bytes:
    """The message that brings a report, with CRLF line ends; it still needs the DKIM signature of `submitter`.

    `domain`: whom it is about; `sender`: an address of `submitter`; `message_id` (without brackets) and `boundary` are
    unique texts from the caller; `now`: seconds since 1970.  It asks that TLS failures be overlooked on its own way
    (RFC 8460 3, RFC 8689 3), and its session is not to be counted."""
    told = text or (
        f"This is a report of {submitter} about TLS in mail to {domain}: {report.successful} sessions went well, "
        f"{report.failed} failed.\nThe attached file has the details, in the form of RFC 8460.\n"
    )
    name = filename(report, domain=domain, submitter=submitter)
    attached = part(
        "application/tlsrpt+gzip",
        packed(report),
        "base64",
        fold("Content-Disposition", f'attachment; filename="{name}"'),
    )
    fields = [
        fold("From", f"<{sender}>"),
        fold("To", ", ".join(f"<{one}>" for one in recipients)),
        unstructured("Subject", f"Report Domain: {domain} Submitter: {submitter} Report-ID: <{report.id}>"),
        fold("Date", date_text(now)),
        fold("Message-ID", f"<{message_id}>"),
        fold("TLS-Report-Domain", domain),
        fold("TLS-Report-Submitter", submitter),
        fold("TLS-Required", "No"),
        fold("Auto-Submitted", "auto-generated"),
    ]
    body = multipart("report", [text_part(told), attached], boundary, 'report-type="tlsrpt";')
    return message(fields, body)


def post(report: Report, url: str) -> Post:
    """The request that brings a report to a https destination (RFC 8460 5.4)."""
    return Post(url, (("Content-Type", "application/tlsrpt+gzip"),), packed(report))
