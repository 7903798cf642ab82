from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Content, dsn, parse
from mox_message.dsn import Notice, RecipientStatus

NOW = 1_700_000_000.0
ORIGINAL = b"From: ann@a.example\r\nSubject: hello\r\n you\r\nMessage-ID: <1@a.example>\r\n\r\nthe body\r\n"
STATUS = RecipientStatus(
    final_recipient="bob@b.example",
    action="failed",
    status="5.1.1",
    original_recipient="rfc822;bobby@b.example",
    remote_mta="mx.b.example",
    diagnostic="550 5.1.1 no such user",
    last_attempt=NOW - 60,
    will_retry_until=None,
)
NOTICE = Notice("mx.a.example", "ann@a.example", "It did not work.\n", (STATUS,), NOW - 120, envelope_id="e1")


def composed(notice: Notice, original: bytes = ORIGINAL, *, whole: bool = False) -> bytes:
    return dsn.compose(notice, original, message_id="n@mx.a.example", boundary="b", now=NOW, whole=whole)


def read(data: bytes) -> dsn.Report | None:
    content = Content.of(data)
    return dsn.parse(parse(content), content)


def test_both_ways() -> None:
    report = read(composed(NOTICE))
    assert report is not None
    assert report.recipients == (STATUS,)
    assert (report.reporting_mta, report.envelope_id, report.arrival) == ("mx.a.example", "e1", NOW - 120)
    assert report.original is not None
    assert report.original.text("subject") == "hello you"
    assert report.fields["arrival-date"]
    assert report.recipient_fields[0]["remote-mta"] == "dns;mx.b.example"


def test_as_email_reads_it() -> None:
    theirs = email.message_from_bytes(composed(NOTICE), policy=email.policy.default)
    assert theirs.get_content_type() == "multipart/report"
    assert theirs.get_param("report-type") == "delivery-status"
    assert theirs["auto-submitted"] == "auto-replied"
    assert theirs["to"] == "ann@a.example"
    assert theirs["references"] == "<1@a.example>"
    assert theirs["subject"] == "Your message could not be delivered"
    kinds = [part.get_content_type() for part in theirs.iter_parts()]
    assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    blocks = list(theirs.iter_parts())[1].get_payload()
    assert next(block.keys() for block in blocks) == ["Original-Envelope-Id", "Reporting-MTA", "Arrival-Date"]


@pytest.mark.parametrize("action, word", [("delayed", "delayed"), ("delivered", "delivered"), ("relayed", "passed on")])
def test_the_subject_tells_the_worst(action: dsn.Action, word: str) -> None:
    notice = replace(NOTICE, statuses=(replace(STATUS, action="delivered"), replace(STATUS, action=action)))
    assert word.encode() in composed(notice).split(b"\r\n\r\n")[0]


def test_whole_original() -> None:
    data = composed(NOTICE, whole=True)
    message = parse(Content.of(data))
    assert message.children[2].message is not None
    assert b"".join(message.children[2].raw(Content.of(data))) == ORIGINAL


def test_international() -> None:
    status = replace(STATUS, final_recipient="zoë@b.example", original_recipient="", diagnostic="550 kein Zoë")
    for smtputf8, kind in ((True, "global-delivery-status"), (False, "delivery-status")):
        data = composed(replace(NOTICE, statuses=(status,), smtputf8=smtputf8), "Subject: ä\r\n\r\n".encode())
        assert smtputf8 or data.isascii()
        message = parse(Content.of(data))
        assert message.children[1].media_type == f"message/{kind}"
        assert message.children[2].media_type == "message/global-headers"
        report = read(data)
        assert report is not None
        assert report.recipients[0].final_recipient == "zoë@b.example"
        assert report.original is not None
        assert report.original.text("subject") == "ä"
    assert b"utf-8;zo\\x{EB}@b.example" in data


def test_original_of_no_known_charset() -> None:
    data = composed(NOTICE, b"Subject: \xe4\xff\r\n\r\n")
    assert data.isascii()
    assert parse(Content.of(data)).children[2].media_type == "text/rfc822-headers"


POSTFIX = b"""Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org
X-Postfix-Queue-ID: 1
Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000 (UTC)

Final-Recipient: rfc822; a@b.example
Original-Recipient: rfc822;a@b.example
Action: Failed (sorry)
Status: 5.1.1 (no)
Remote-MTA: dns; mx.b.example
Diagnostic-Code: smtp; 550 5.1.1
    no such user



Final-Recipient: LOCAL; <c>
Status: 4.2.2

--b
Content-Type: message/rfc822

Subject: x

--b--
"""


def test_foreign() -> None:
    report = read(POSTFIX)
    assert report is not None
    first, second = report.recipients
    assert (first.final_recipient, first.action, first.status) == ("a@b.example", "failed", "5.1.1")
    assert first.diagnostic == "550 5.1.1    no such user"
    assert (second.final_recipient, second.action, second.status) == ("c", "delayed", "4.2.2")
    assert report.fields["x-postfix-queue-id"] == "1"
    assert report.original is not None
    assert report.original.text("subject") == "x"


def test_several_status_parts_are_one_report() -> None:
    part = b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; %b\n\nFinal-Recipient: rfc822; %b@x\nStatus: 5.0.0\n\n"
    data = (
        b"Content-Type: multipart/report; boundary=b\n\n" + part % (b"one", b"a") + part % (b"two", b"b") + b"--b--\n"
    )
    report = read(data)
    assert report is not None
    assert [one.final_recipient for one in report.recipients] == ["a@x", "b@x"]
    assert report.reporting_mta == "one"


def test_what_is_none() -> None:
    assert read(b"Subject: x\r\n\r\nFinal-Recipient: rfc822;a@b\r\n") is None
    passed_on = b"Content-Type: message/rfc822\n\n" + POSTFIX
    assert read(passed_on) is None
    empty = read(b"Content-Type: message/delivery-status\r\n\r\n")
    assert empty is not None
    assert empty.recipients == ()


WORD = st.text("ab;@<>é\r\n \\+=\0", max_size=20)
STATUSES = st.builds(RecipientStatus, WORD, st.sampled_from(["failed", "delayed"]), WORD, WORD, WORD, WORD, st.none())


@given(st.lists(STATUSES, min_size=1, max_size=3).map(tuple), st.booleans(), WORD)
@settings(deadline=None)
def test_whatever_it_holds_it_is_one_report(
    statuses: tuple[RecipientStatus, ...], utf8: bool, envelope_id: str
) -> None:
    data = composed(Notice("mx.example", "a@b.example", "x", statuses, 0, envelope_id, utf8), b"\xff: \r\r\n\x00")
    assert utf8 or data.isascii()
    report = read(data)
    assert report is not None
    assert len(report.recipients) == len(statuses)


@given(
    st.lists(
        st.sampled_from([b"Final-Recipient: x", b"\n", b"\r\n", b" ", b"Status: 5", b":", b"\xff", b"Action:"]),
        max_size=30,
    )
)
def test_any_octets(pieces: list[bytes]) -> None:
    assert read(b"Content-Type: message/delivery-status\n\n" + b"".join(pieces)) is not None
