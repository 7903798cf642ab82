from __future__ import annotations

import email
import email.policy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Content, arf, parse
from mox_message.arf import Feedback, FeedbackReport

NOW = 1_700_000_000.0
ORIGINAL = b"From: spam@s.example\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\nMessage-ID: <1@s.example>\r\n\r\nbuy\r\n"
FEEDBACK = Feedback(
    type="abuse",
    user_agent="Example/1",
    mail_from="spam@s.example",
    recipients=("a@a.example", "b@a.example"),
    arrival=NOW - 10,
    reporting_mta="mx.a.example",
    source_ip="192.0.2.1",
    incidents=3,
    authentication_results=("mx.a.example; spf=fail smtp.mailfrom=s.example",),
    domains=("s.example",),
    uris=("http://s.example/",),
    envelope_id="e",
)


def composed(feedback: Feedback, original: bytes = ORIGINAL, *, whole: bool = True) -> bytes:
    return arf.compose(
        feedback,
        original,
        sender="fbl@a.example",
        recipient="abuse@s.example",
        message_id="r@a.example",
        boundary="b",
        now=NOW,
        whole=whole,
    )


def read(data: bytes) -> FeedbackReport | None:
    content = Content.of(data)
    return arf.parse(parse(content), content)


def test_both_ways() -> None:
    data = composed(FEEDBACK)
    report = read(data)
    assert report is not None
    assert report.feedback == FEEDBACK
    assert report.defects == ()
    assert report.part is not None
    assert report.part.fields.text("message-id") == "<1@s.example>"
    assert report.original is report.part.fields
    assert report.part.data(Content.of(data)) == b"buy\r\n"
    only_header = read(composed(FEEDBACK, whole=False))
    assert only_header is not None
    assert only_header.part is None
    assert only_header.original is not None
    assert only_header.original.text("subject") == "Grüße"


def test_as_email_reads_it() -> None:
    theirs = email.message_from_bytes(composed(FEEDBACK), policy=email.policy.default)
    assert theirs.get_param("report-type") == "feedback-report"
    assert theirs["subject"] == "FW: Grüße"
    kinds = [part.get_content_type() for part in theirs.iter_parts()]
    assert kinds == ["text/plain", "message/feedback-report", "message/rfc822"]


# RFC 6591, appendix B, in short: fields of another RFC stay.
AUTH_FAILURE = b"""Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

x
--b
Content-Type: message/feedback-report

Feedback-Type: auth-failure
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <randomuser@example.net>
Original-Rcpt-To: <user@example.com>
Received-Date: Thu, 8 Mar 2005 14:00:00 -0000
Source-IP: [192.0.2.1]
Auth-Failure: bodyhash
DKIM-Domain: example.net
Delivery-Result: reject

--b
Content-Type: text/rfc822-headers

From: a@example.net

--b--
"""


def test_foreign() -> None:
    report = read(AUTH_FAILURE)
    assert report is not None
    found = report.feedback
    assert (found.type, found.mail_from, found.source_ip) == ("auth-failure", "randomuser@example.net", "192.0.2.1")
    assert found.arrival == 1110290400
    assert found.fields["auth-failure"] == ("bodyhash",)
    again = read(composed(found))
    assert again is not None
    assert again.feedback.fields["dkim-domain"] == ("example.net",)
    assert again.feedback == replace(found, fields=again.feedback.fields)


def test_what_is_none_and_what_is_odd() -> None:
    assert read(b"\r\nFeedback-Type: abuse\r\n") is None
    assert read(b"Content-Type: message/rfc822\n\n" + AUTH_FAILURE) is None
    odd = read(
        b"Content-Type: message/feedback-report\n\nFeedback-Type: ABUSE\nVersion: 1\nVersion: 2\nIncidents: many\n"
    )
    assert odd is not None
    assert odd.defects == ("no user-agent", "version more than once")
    assert (odd.feedback.type, odd.feedback.version, odd.feedback.incidents) == ("abuse", "1", 1)
    assert read(b"Content-Type: message/feedback-report\n\n") is not None


WORD = st.text("ab;@<>é\r\n \\+=\0", max_size=20)


@given(WORD, WORD, st.lists(WORD, max_size=3).map(tuple), st.dictionaries(st.just("x-y"), st.lists(WORD).map(tuple)))
@settings(deadline=None)
def test_whatever_it_holds_it_is_one_report(
    mail_from: str, agent: str, uris: tuple[str, ...], fields: dict[str, tuple[str, ...]]
) -> None:
    data = composed(Feedback("abuse", agent, mail_from=mail_from, uris=uris, fields=fields), b"\xff: \r\r\n\x00")
    report = read(data)
    assert report is not None
    assert report.feedback.type == "abuse"
    assert set(report.feedback.fields) <= {
        *("feedback-type", "user-agent", "version", "original-mail-from", "reported-uri", "x-y")
    }


@given(
    st.lists(
        st.sampled_from([b"Feedback-Type: x", b"\n", b" ", b"Incidents: 5", b":", b"\xff", b"Version:"]), max_size=30
    )
)
def test_any_octets(pieces: list[bytes]) -> None:
    assert read(b"Content-Type: message/feedback-report\n\n" + b"".join(pieces)) is not None
