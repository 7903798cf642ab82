"""An aggregate report as XML, as a file, and as the mail that carries it.  RFC 9990 3.5, RFC 9990 A.

    to_xml          AggregateReport -> XML of either format, valid by its schema
    file_name       what the attachment must be called
    report_message  the mail: a line for people, the report gzipped

Both formats have places where the other's words do not fit; those are written as the nearest word with a comment."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from mox_dmarc.aggregate import (
    MAX_SIGNATURES,
    AggregateReport,
    Disposition,
    DkimAuth,
    Extension,
    Format,
    Override,
    OverrideType,
    PolicyPublished,
    Row,
    SpfAuth,
)
from mox_dmarc.aggregate_tree import NAMESPACE
from mox_dmarc.record import Request
from mox_message import Mailbox, date_text, fold
from mox_message.compose import address_list, attachment, message, multipart, text_part

# XML 1.0 2.2 allows no control characters but these three, and no half of a surrogate pair.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+\Z")  # RFC 3986, for a namespace
_ID = re.compile(r"[A-Za-z0-9]+\Z")
# RFC 9990 3.5.1, ridfmt: dot-atom-text of RFC 5322 3.2.3, one @ allowed.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_REPORT_ID = re.compile(rf"{_ATOM}(?:\.{_ATOM})*(?:@{_ATOM}(?:\.{_ATOM})*)?")


def to_xml(report: AggregateReport, format: Format | None = None) -> bytes:
    """The report as XML in UTF-8; in the format it says it has, or in another.

    Raises ValueError where the schema has no place for it: a report without rows, a policy without p=."""
    form = format or report.format
    if not report.rows:
        raise ValueError("a report needs at least one row")
    if report.policy.p is None:
        raise ValueError("the policy has no p=")
    new = form is Format.RFC9990
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<feedback xmlns="{NAMESPACE}">' if new else "<feedback>"]
    lines += _indented(_feedback(report, new), 1)
    return "\n".join([*lines, "</feedback>", ""]).encode()


def _feedback(report: AggregateReport, new: bool) -> Iterator[str]:
    yield _tag("version", "1.0")
    yield from _block("report_metadata", _metadata(report, new))
    yield from _block("policy_published", _policy_new(report.policy) if new else _policy_old(report.policy))
    extensions = [one for one in report.extensions if new and _writable(one)]
    if extensions:
        yield from _block("extension", map(_extension, extensions))
    for row in report.rows:
        yield from _block("record", _record(row, new))


def _metadata(report: AggregateReport, new: bool) -> Iterator[str]:
    meta = report.metadata
    yield _tag("org_name", meta.org_name)
    yield _tag("email", meta.email)
    if meta.extra_contact_info:
        yield _tag("extra_contact_info", meta.extra_contact_info)
    yield _tag("report_id", meta.report_id)
    yield from _block("date_range", (_tag("begin", str(meta.begin)), _tag("end", str(meta.end))))
    if new and meta.errors:
        yield _tag("error", "; ".join(meta.errors))  # RFC 9990: at most one
    if not new:
        yield from (_tag("error", error) for error in meta.errors)
    if new and meta.generator:
        yield _tag("generator", meta.generator)


def _policy_new(policy: PolicyPublished) -> Iterator[str]:
    yield _tag("domain", policy.domain)
    words = (("p", policy.p), ("sp", policy.sp), ("np", policy.np), ("adkim", policy.adkim), ("aspf", policy.aspf))
    yield from (_tag(name, word) for name, word in words if word is not None)
    if policy.discovery_method is not None:
        yield _tag("discovery_method", policy.discovery_method)
    if policy.fo:
        yield _tag("fo", policy.fo)
    if policy.testing is not None:
        yield _tag("testing", "y" if policy.testing else "n")


def _policy_old(policy: PolicyPublished) -> Iterator[str]:
    """RFC 7489 appendix C: all of domain, p, sp, pct and fo."""
    yield _tag("domain", policy.domain)
    yield from (_tag(name, word) for name, word in (("adkim", policy.adkim), ("aspf", policy.aspf)) if word is not None)
    asked = policy.p or Request.NONE
    yield _tag("p", asked)
    yield _tag("sp", policy.sp or asked)
    yield _tag("pct", str(100 if policy.pct is None else policy.pct))
    yield _tag("fo", policy.fo or "0")


def _record(row: Row, new: bool) -> Iterator[str]:
    yield from _block("row", _row(row, new))
    yield from _block("identifiers", _identifiers(row, new))
    yield from _block("auth_results", _auth_results(row, new))
    if new:
        yield from (_extension(one) for one in row.extensions if _writable(one))


def _row(row: Row, new: bool) -> Iterator[str]:
    yield _tag("source_ip", row.source_ip)
    yield _tag("count", str(row.count))
    disposition = row.disposition
    if not new and disposition is Disposition.PASS:
        disposition = Disposition.NONE
    evaluated = [_tag("disposition", disposition)]
    evaluated += [_tag(name, "pass" if good else "fail") for name, good in _aligned(row)]
    for one in row.overrides:
        kind, comment = _override(one, new)
        evaluated += _block("reason", (_tag("type", kind), *([_tag("comment", comment)] if comment else [])))
    yield from _block("policy_evaluated", evaluated)


def _aligned(row: Row) -> tuple[tuple[str, bool], ...]:
    return ("dkim", row.dkim_aligned), ("spf", row.spf_aligned)


def _override(one: Override, new: bool) -> tuple[OverrideType, str]:
    """The words of one format in those of the other."""
    known = (OverrideType.FORWARDED, OverrideType.SAMPLED_OUT) if new else (OverrideType.POLICY_TEST_MODE,)
    if one.type not in known:
        return one.type, one.comment
    return OverrideType.OTHER, f"{one.type}: {one.comment}" if one.comment else str(one.type)


def _identifiers(row: Row, new: bool) -> Iterator[str]:
    if row.envelope_to:
        yield _tag("envelope_to", row.envelope_to)
    if row.envelope_from is not None or not new:
        yield _tag("envelope_from", row.envelope_from or "")
    yield _tag("header_from", row.header_from)


def _auth_results(row: Row, new: bool) -> Iterator[str]:
    for one in row.dkim[:MAX_SIGNATURES]:
        yield from _block("dkim", _dkim(one))
    # RFC 9990 3.1.1.13: the MAIL FROM domain only, and once.  RFC 7489 wants at least one.
    given = [one for one in row.spf if one.scope != "helo"][:1] if new else row.spf
    if not given and not new:
        given = (SpfAuth(row.envelope_from or row.header_from, "none", "mfrom"),)
    for result in given:
        yield from _block("spf", _spf(result, new))


def _dkim(one: DkimAuth) -> Iterator[str]:
    yield _tag("domain", one.domain)
    yield _tag("selector", one.selector)
    yield _tag("result", one.result)
    if one.human_result:
        yield _tag("human_result", one.human_result)


def _spf(one: SpfAuth, new: bool) -> Iterator[str]:
    yield _tag("domain", one.domain)
    if one.scope or not new:
        yield _tag("scope", one.scope or "mfrom")
    result = "neutral" if one.result == "policy" and not new else one.result
    yield _tag("result", result)
    if one.human_result and new:
        yield _tag("human_result", one.human_result)


def _writable(one: Extension) -> bool:
    return bool(_NAME.match(one.name) and _URI.match(one.definition))


def _extension(one: Extension) -> str:
    name = one.name
    return f'<x:{name} xmlns:x="{_text(one.definition, quoted=True)}">{_text(one.text)}</x:{name}>'


def _tag(name: str, text: str) -> str:
    return f"<{name}>{_text(text)}</{name}>"


def _block(name: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"<{name}>"
    yield from _indented(lines, 1)
    yield f"</{name}>"


def _indented(lines: Iterable[str], by: int) -> Iterator[str]:
    space = "  " * by
    return (space + line for line in lines)


def _text(text: str, *, quoted: bool = False) -> str:
    return escape(_ILLEGAL.sub("�", str(text)), {'"': "&quot;", "\n": "&#10;"} if quoted else {"\r": "&#13;"})


def file_name(report: AggregateReport, receiver: str, *, packed: bool = True) -> str:
    """The name of the attachment, RFC 9990 3.5.2: receiver, policy domain, begin, end.

    The report's id follows where it is letters and digits only, as one that is written in several places must be the
    same in all (3.1.4)."""
    meta = report.metadata
    parts = [receiver, report.policy.domain, str(meta.begin), str(meta.end)]
    if _ID.match(meta.report_id):
        parts.append(meta.report_id)
    return "!".join(parts) + (".xml.gz" if packed else ".xml")


def pack(xml: bytes) -> bytes:
    """The XML gzipped; the same octets give the same octets, so that a report that is sent again is the same."""
    return gzip.compress(xml, 9, mtime=0)


def report_message(
    report: AggregateReport,
    *,
    sender: Mailbox,
    to: Iterable[Mailbox],
    receiver: str,
    message_id: str,
    now: float,
    format: Format | None = None,
) -> bytes:
    """The mail that carries the report (RFC 9990 3.5.2), unsigned: its domain must pass DMARC, so sign it.

    `receiver` is the domain that reports, `message_id` is without brackets, `now` in seconds since 1970.
    Raises ValueError for a report id that the subject has no place for."""
    meta, domain = report.metadata, report.policy.domain
    if not _REPORT_ID.fullmatch(meta.report_id):
        raise ValueError(f"{meta.report_id!r} is no report id: letters, digits, dots and hyphens, perhaps one @")
    text = (
        f"DMARC aggregate report of {meta.org_name} about {domain},\r\n"
        f"from {date_text(meta.begin)} to {date_text(meta.end)}:\r\n"
        f"{report.messages} messages, {report.passed} of them passed.\r\n"
    )
    file = attachment(pack(to_xml(report, format)), file_name(report, receiver), "application/gzip")
    fields = [
        address_list("From", [sender]),
        address_list("To", to),
        fold("Subject", f"Report Domain: {domain} Submitter: {receiver} Report-ID: <{meta.report_id}>"),
        fold("Date", date_text(now)),
        fold("Message-ID", f"<{message_id}>"),
        fold("Auto-Submitted", "auto-generated"),
    ]
    return message(fields, multipart("mixed", [text_part(text), file], f"dmarc-{meta.begin}-{meta.end}"))
