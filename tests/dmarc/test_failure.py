"""Reports about single messages: RFC 9991's own example, what others write, what attackers would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dmarc import FailureReportSyntaxError, Limits, Unusable, read_failure
from mox_dmarc.testing.texts import texts
from mox_message import Content

FEEDBACK = b"""Feedback-Type: auth-failure
Version: 1
User-Agent: DMARC-Filter/1.2.3
Auth-Failure: dmarc
Authentication-Results: gen.example;
  dmarc=fail header.from=consumer.example
Identity-Alignment: dkim (as signed), spf
Delivery-Result: Delivered
DKIM-Domain: consumer.example
DKIM-Identity: @consumer.example
DKIM-Selector: epsilon
SPF-DNS: txt : consumer.example : "v=spf1 -all"
Original-Envelope-Id: 65E1A3F0A0
Original-Mail-From: <author=gen.example@forwarder.example>
Original-Rcpt-To: <bob@gen.example>
Source-IP: 192.0.2.2
Source-Port: 12345
Arrival-Date: Tue, 19 Jul 2022 07:57:50 +0200
Reported-Domain: Consumer.example
Incidents: 3
"""
ORIGINAL = (
    b"From: ann@consumer.example\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <1@consumer.example>\r\n\r\nbody\r\n"
)


def mail(feedback: bytes = FEEDBACK, original: tuple[str, bytes] | None = ("message/rfc822", ORIGINAL)) -> bytes:
    parts = [
        b"From: a@gen.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report;"
        b" boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nfor people\r\n--b\r\n"
        b"Content-Type: message/feedback-report\r\n\r\n" + feedback.replace(b"\n", b"\r\n") + b"\r\n"
    ]
    if original is not None:
        parts.append(b"--b\r\nContent-Type: " + original[0].encode() + b"\r\n\r\n" + original[1] + b"\r\n")
    return b"".join([*parts, b"--b--\r\n"])


# RFC 9991 4, RFC 6591 3
def test_every_field() -> None:
    report = read_failure(mail())
    assert report.problems == ()
    assert report.auth_failure == ("dmarc",)
    assert report.unaligned == ("dkim", "spf")
    assert report.reported_domains == ("consumer.example",)
    assert (report.source_ip, report.source_port, report.incidents) == ("192.0.2.2", 12345, 3)
    assert report.arrival == 1658210270
    assert report.delivery_result == "delivered"
    assert report.mail_from == "author=gen.example@forwarder.example"
    assert report.rcpt_to == ("bob@gen.example",)
    assert (report.envelope_id, report.user_agent, report.version) == ("65E1A3F0A0", "DMARC-Filter/1.2.3", "1")
    assert report.authentication_results == ("gen.example; dmarc=fail header.from=consumer.example",)
    assert (report.dkim_domain, report.dkim_identity) == ("consumer.example", "@consumer.example")
    assert report.dkim_selector == "epsilon"
    assert report.spf_dns == ('txt : consumer.example : "v=spf1 -all"',)
    plain = json.loads(json.dumps(report.to_dict()))
    assert (plain["subject"], plain["message_id"]) == ("café", "<1@consumer.example>")
    assert plain["unaligned"] == ["dkim", "spf"]
    assert report.explain().splitlines()[:2] == [
        "dmarc failed for consumer.example, from 192.0.2.2",
        "  not aligned: dkim, spf",
    ]


@pytest.mark.parametrize("kind", ["text/rfc822-headers", "message/rfc822", "message/global-headers"])
def test_the_original_header(kind: str) -> None:
    report = read_failure(mail(original=(kind, ORIGINAL)))
    assert report.original is not None
    assert report.original.text("from") == "ann@consumer.example"


def test_a_report_that_was_forwarded() -> None:
    outer = b"From: x@y.example\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + mail()
    assert read_failure(outer) == read_failure(mail())


def test_without_the_original() -> None:
    report = read_failure(mail(original=None))
    assert report.original is None
    assert report.to_dict()["subject"] == ""
    assert report.explain()


# a change to the fields -> what is told, and what is read instead
ODD = {
    "no address": ((b"192.0.2.2", b"nowhere"), "no address", lambda r: r.source_ip, ""),
    "an address in brackets": ((b"192.0.2.2", b"[IPv6:2001:DB8::1]"), "", lambda r: r.source_ip, "2001:db8::1"),
    "a port that is none": ((b"12345", b"99999"), "Source-Port", lambda r: r.source_port, None),
    "incidents without end": ((b"Incidents: 3", b"Incidents: " + b"9" * 400), "Incidents", lambda r: r.incidents, 1),
    "no alignment": ((b"Identity-Alignment", b"X"), "RFC 9991 4 requires", lambda r: r.unaligned, ()),
    "nothing aligned is missing": ((b"dkim (as signed), spf", b"none"), "", lambda r: r.unaligned, ()),
    "an unknown means": ((b"dkim (as signed), spf", b"arc"), "'arc'", lambda r: r.unaligned, ()),
    "another type": ((b"auth-failure", b"abuse"), "of type 'abuse'", lambda r: r.auth_failure, ("dmarc",)),
    "another failure": ((b"Auth-Failure: dmarc", b"Auth-Failure: BodyHash"), "", lambda r: r.auth_failure, ("bodyhash",)),
    "no failure": ((b"Auth-Failure: dmarc\n", b""), "no Auth-Failure", lambda r: r.auth_failure, ()),
    "no version": ((b"Version: 1\n", b""), "no version", lambda r: r.version, ""),
    "a date that is none": ((b"Tue, 19 Jul 2022 07:57:50 +0200", b"soon"), "", lambda r: r.arrival, None),
}  # fmt: skip


@pytest.mark.parametrize("change, told, what, want", ODD.values(), ids=ODD)
def test_what_is_odd_is_told(change: tuple[bytes, bytes], told: str, what: object, want: object) -> None:
    assert change[0] in FEEDBACK
    report = read_failure(mail(FEEDBACK.replace(*change)))
    assert what(report) == want  # type: ignore[operator]
    assert any(told in problem for problem in report.problems) if told else not report.problems, report.problems


def test_alignment_comments_are_no_words() -> None:
    assert read_failure(mail(FEEDBACK.replace(b"dkim (as signed), spf", b"spf (not dkim)"))).unaligned == ("spf",)


@settings(max_examples=50, deadline=None)
@given(texts("alignment"))
def test_alignment_by_the_grammar(text: str) -> None:
    report = read_failure(mail(FEEDBACK.replace(b"dkim (as signed), spf", text.encode())))
    assert set(report.unaligned) == {word for word in ("dkim", "spf") if word in text.lower()}
    assert report.problems == ()


NOT = {
    "a mail": b"From: a@b.example\r\n\r\nhello\r\n",
    "nothing": b"",
    "a complaint": mail(FEEDBACK.replace(b"auth-failure", b"abuse").replace(b"Auth-Failure: dmarc\n", b"")),
    "neither type nor failure": mail(FEEDBACK.replace(b"Feedback-Type", b"X").replace(b"Auth-Failure", b"Y")),
}


@pytest.mark.parametrize("data", NOT.values(), ids=NOT)
def test_no_failure_report(data: bytes) -> None:
    with pytest.raises(FailureReportSyntaxError):
        read_failure(data)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(mail())
    assert read_failure(path) == read_failure(mail())
    assert read_failure(Content.of(mail())) == read_failure(mail())
    with pytest.raises(Unusable, match="at most 100"):
        read_failure(path, Limits(message=100))


def test_by_the_text_for_people() -> None:
    text = (
        b"Content-Type: text/plain\r\n\r\nA message failed.\r\n\r\n  Sender Domain: Example.com\r\n"
        b"  Sender IP Address: 203.0.113.68\r\n  Received date: Mon, 07 Apr 2025 23:16:09 +0200\r\n"
        b"  SPF Alignment: no\r\n  DKIM Alignment: yes\r\n  DMARC Results: None, Accept\r\n\r\n"
        b"------ This is a copy of the headers\r\n\r\nFrom: x@example.com\r\nSubject: y\r\n"
    )
    report = read_failure(text)
    assert report.reported_domains == ("example.com",)
    assert (report.source_ip, report.unaligned, report.arrival) == ("203.0.113.68", ("spf",), 1744060569)
    assert report.original is not None
    assert report.original.text("subject") == "y"
    assert "read from the text" in report.problems[0]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 40), st.binary(max_size=12))
def test_only_declared_errors(at: int, cut: int, more: bytes) -> None:
    data = mail()
    try:
        report = read_failure(data[:at] + more + data[at + cut :])
    except FailureReportSyntaxError:
        return
    assert report.explain()
    json.dumps(report.to_dict())
