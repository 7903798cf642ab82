"""Reports as they come: JSON, gzip, or in a message.  RFC 8460 5; nothing that is sent may fill memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from mox_message import Content, Part, parse
from mox_tlsrpt.report import Report, ReportSyntaxError

_GZIP = b"\x1f\x8b"
_CHUNK = 65536
_TYPES = {"application/tlsrpt+gzip", "application/tlsrpt+json"}
# What some call it; looked at where nothing has the right type.
_OTHERS = {
    "application/gzip", "application/x-gzip", "application/json", "application/octet-stream", "application/tlsrpt",
}  # fmt: skip
_NAMES = (".json.gz", ".json", ".gz")


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets.  Real reports have a few thousand; JSON takes about twenty times its length in memory at the worst."""

    compressed: int = 2 * 1024 * 1024
    json: int = 4 * 1024 * 1024


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Received:
    """A report out of a message.  `domain` and `submitter`: what its header says (RFC 8460 5.3), foreign as all."""

    report: Report
    domain: str = ""
    submitter: str = ""
    filename: str = ""


def gunzip(data: bytes, max_size: int) -> bytes:
    """Undoes gzip.  Raises ReportSyntaxError where it is broken, or longer than `max_size`."""
    decompress = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = decompress.decompress(data, max_size + 1)
    except zlib.error as error:
        raise ReportSyntaxError(f"broken gzip: {error}") from None
    if len(plain) > max_size:
        raise ReportSyntaxError(f"longer than {max_size} octets when unpacked")
    if not decompress.eof:
        raise ReportSyntaxError("gzip that breaks off")
    return plain


def read(data: bytes, limits: Limits = LIMITS) -> Report:
    """A report out of JSON, gzip or a message: what begins like neither of the first is taken for the last.

    Raises ReportSyntaxError."""
    if data.startswith(_GZIP) or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _report(data, limits)
    return read_message(data, limits).report


def read_message(message: bytes | Content, limits: Limits = LIMITS) -> Received:
    """The report in a message.  Raises ReportSyntaxError where there is none, or a broken one.

    Whether to believe it is another question: RFC 8460 3 and 5.3 want a DKIM signature of the submitter."""
    content = Content.of(message) if isinstance(message, bytes) else message
    whole = parse(content)
    part = next(_candidates(whole), None)
    if part is None:
        raise ReportSyntaxError("no part of the message is a TLS report")
    report = _report(part.data(content, max(limits.compressed, limits.json) + 1), limits)
    header = whole.fields
    domain, submitter = (header.text(f"tls-report-{name}") or "" for name in ("domain", "submitter"))
    return Received(report, domain.strip().lower()[:255], submitter.strip().lower()[:255], part.filename)


def _candidates(whole: Part) -> Iterator[Part]:
    parts = [part for part in whole.walk() if part.type != "multipart"]
    yield from (part for part in parts if part.media_type in _TYPES)
    yield from (part for part in parts if part.media_type in _OTHERS and part.filename.lower().endswith(_NAMES))


def _report(data: bytes, limits: Limits) -> Report:
    if len(data) > (limits.compressed if data.startswith(_GZIP) else limits.json):
        raise ReportSyntaxError("longer than a report may be")
    # What it is called matters less than what it is: both mistakes are made.
    plain = gunzip(data, limits.json) if data.startswith(_GZIP) else data
    return Report.parse(plain.removeprefix(b"\xef\xbb\xbf"))
