"""How a report travels, and that it can be read at the other end: RFC 8460 5.1 to 5.4, RFC 8689 3."""

from __future__ import annotations

import email
import email.policy
import gzip
import json

import pytest

from mox_message import Content, parse
from mox_tlsrpt import (
    Failure,
    Limits,
    Policy,
    PolicyResult,
    Report,
    ReportSyntaxError,
    compose,
    filename,
    gunzip,
    post,
    read,
    read_message,
)

RESULT = PolicyResult(Policy.none("a.example"), 5, 1, ((Failure("starttls-not-supported", mx_host="mx.a.example"), 1),))
REPORT = Report("B GmbH", 1795564800, 1795651199, "tls@b.example", "2026-11-25_a.example", (RESULT,))


def composed(**changes: object) -> bytes:
    given = {
        "domain": "a.example",
        "submitter": "b.example",
        "sender": "tls@b.example",
        "recipients": ["reports@a.example"],
        "message_id": "1@b.example",
        "boundary": "xyz",
        "now": 1795660000.0,
        **changes,
    }
    return compose(REPORT, **given)  # type: ignore[arg-type]


def test_as_the_standard_library_reads_it() -> None:
    message = email.message_from_bytes(composed(), policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "tlsrpt"
    assert message["TLS-Report-Domain"] == "a.example"
    assert message["TLS-Report-Submitter"] == "b.example"
    assert message["Subject"] == "Report Domain: a.example Submitter: b.example Report-ID: <2026-11-25_a.example>"
    assert message["TLS-Required"] == "No"
    assert message["MIME-Version"] == "1.0"
    assert not message.defects
    text, attached = message.iter_parts()
    assert "5 sessions went well, 1 failed" in text.get_content()
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    assert attached.get_filename() == "b.example!a.example!1795564800!1795651199!20261125aexample.json.gz"
    assert json.loads(gzip.decompress(attached.get_content())) == REPORT.to_dict()


def test_there_and_back() -> None:
    received = read_message(composed(text="Hello"))
    assert received.report == REPORT
    assert (received.domain, received.submitter) == ("a.example", "b.example")
    assert received.filename == filename(REPORT, domain="a.example", submitter="b.example")
    assert read_message(Content.of(composed())).report == REPORT
    assert max(len(line) for line in composed().split(b"\r\n")) <= 998
    assert parse(Content.of(composed())).defects == []


def test_fields_cannot_be_smuggled_in() -> None:
    odd = Report("B", 0, 1, "", "1\r\nBcc: x@c.example\r\n\r\nx", (RESULT,))
    made = compose(
        odd, domain="a.example", submitter="b.example", sender="tls@b.example", recipients=["r@a.example"],
        message_id="1@b.example", boundary="x", now=0.0,
    )  # fmt: skip
    message = email.message_from_bytes(made, policy=email.policy.default)
    assert message["Bcc"] is None
    assert read_message(made).report.id == odd.id
    assert "/" not in filename(odd, domain="../../a", submitter="b\r\n")


def test_post() -> None:
    made = post(REPORT, "https://a.example/tls")
    assert (made.url, dict(made.headers)) == ("https://a.example/tls", {"Content-Type": "application/tlsrpt+gzip"})
    assert read(made.body) == REPORT
    assert post(REPORT, "https://a.example/tls") == made


def test_read_anything() -> None:
    text = REPORT.json().encode()
    assert read(text) == read(gzip.compress(text)) == read(composed()) == read(b"\xef\xbb\xbf " + text) == REPORT


WRAPPED = (
    b"From: x@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/%s; boundary=x\r\n\r\n--x\r\n"
    b"Content-Type: text/plain\r\n\r\n{}\r\n--x\r\nContent-Type: %s\r\n"
    b"Content-Disposition: attachment; filename=%s\r\n\r\n%s\r\n--x--\r\n"
)
FORMS = {
    "plain JSON": (b"report", b"application/tlsrpt+json", b"r.json"),
    "type in capitals": (b"report", b"Application/TLSRPT+JSON", b"x"),
    "gzip that is none": (b"report", b"application/tlsrpt+gzip", b"r.json.gz"),
    "any gzip": (b"mixed", b"application/gzip", b"r.json.gz"),
    "octets": (b"mixed", b"application/octet-stream", b"r.json"),
}


@pytest.mark.parametrize("kind, media_type, name", FORMS.values(), ids=FORMS)
def test_forms_that_reporters_send(kind: bytes, media_type: bytes, name: bytes) -> None:
    message = WRAPPED % (kind, media_type, name, REPORT.json().encode().replace(b"\n", b"\r\n"))
    assert read_message(message).report == REPORT


def test_the_whole_message_may_be_the_report() -> None:
    head = b"From: x@b.example\r\nContent-Type: application/tlsrpt+json\r\n\r\n"
    assert read_message(head + REPORT.json().encode()).report == REPORT


def test_messages_without_a_report() -> None:
    for message in (b"", b"From: x\r\n\r\nhello", WRAPPED % (b"mixed", b"application/pdf", b"r.json", b"{}")):
        with pytest.raises(ReportSyntaxError, match="no part"):
            read_message(message)


def test_gunzip_is_bounded() -> None:
    assert gunzip(gzip.compress(b"x" * 100), 100) == b"x" * 100
    bomb = gzip.compress(b" " * 100_000_000, 9)
    for data, why in (
        (gzip.compress(b"x" * 101), "longer than 100"),
        (bomb, "longer than 100"),
        (gzip.compress(b"x")[:-1], "breaks off"),
        (b"\x1f\x8b", "breaks off"),
        (b"\x1f\x8bnothing that is gzip", "broken gzip"),
        (gzip.compress(b"x")[:-8] + b"\0" * 8, "broken gzip"),
    ):
        with pytest.raises(ReportSyntaxError, match=why):
            gunzip(data, 100)
    with pytest.raises(ReportSyntaxError, match="longer"):
        read(bomb)


def test_plain_json_may_be_longer_than_gzip() -> None:
    many = tuple((Failure("x", mx_host=f"mx{number}.a.example"), 1) for number in range(100))
    long = Report("B", 0, 1, "", "1", (PolicyResult(Policy.none("a.example"), 0, 100, many),))
    message = WRAPPED % (b"report", b"application/tlsrpt+json", b"r.json", long.json().encode())
    assert read_message(message, Limits(compressed=1000, json=100_000)).report == long


def test_limits() -> None:
    tight = Limits(compressed=100, json=200)
    for data in (REPORT.json().encode(), gzip.compress(REPORT.json().encode()), composed()):
        with pytest.raises(ReportSyntaxError, match="longer"):
            read(data, tight)
