"""The session core, played: order, limits, line ends, TLS, AUTH.

RFC 5321 3.1, 3.8, 4.1.1.1, 4.1.1.2, 4.1.1.3, 4.1.1.4, 4.1.1.5, 4.1.1.7, 4.1.1.8, 4.1.1.9, 4.1.1.10, 4.1.1.11, 4.1.4,
4.2, 4.5.3.1.10, 4.5.3.2 and 7.3; RFC 1870 6; RFC 2920 3.1; RFC 3207 4 and 4.2; RFC 4954 4; RFC 6531 3.5 and 3.7.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.play import Stage, cut, play
from mox_smtp import (
    Aborted,
    AuthResponse,
    AuthStart,
    Challenge,
    Chunk,
    Connected,
    DataStart,
    Hello,
    Limits,
    MailFrom,
    MessageEnd,
    Quit,
    RcptTo,
    Refusal,
    Reply,
    ServerConfig,
    SmtpServer,
    StartTls,
    Violation,
)

CONFIG = ServerConfig("mx.example")
SUBMISSION = ServerConfig("mx.example", starttls=True, auth=("SCRAM-SHA-256", "PLAIN"), auth_needed=True)


def yes(event: Any) -> Any:
    """Takes everything; nobody's mailbox begins with "no"."""
    match event:
        case MessageEnd():
            return Reply(250, "taken", "2.0.0")
        case RcptTo(path) if str(path).startswith("no"):
            return Refusal(550, "no such address", "5.1.1", "test")
        case AuthStart("PLAIN", None):
            return Challenge(b"")
        case AuthStart(_, initial):
            return None if initial == b"\0user\0secret" else Refusal(535, "wrong", "5.7.8")
        case AuthResponse(data):
            return None if data == b"\0user\0secret" else Refusal(535, "wrong", "5.7.8")
    return None


def server(config: ServerConfig = CONFIG, *, tls: bool = False) -> SmtpServer:
    return SmtpServer(config, now=0.0, tls=tls)


def limited(**limits: Any) -> SmtpServer:
    return server(ServerConfig("mx.example", Limits(**limits)))


GREETED = """
    S: 220
    C: EHLO client.example
    S: 250
"""

DIALOGUES = {
    "a message": """
        S: 220 mx.example ESMTP
        C: EHLO client.example
        S: 250 mx.example
        C: MAIL FROM:<a@client.example> SIZE=100 BODY=8BITMIME
        S: 250 2.1.0
        C: RCPT TO:<b@mx.example>
        S: 250 2.1.5
        C: DATA
        S: 354
        C: Subject: x
        C:
        C: text
        C: .
        S: 250 2.0.0
        C: QUIT
        S: 221 2.0.0
        S: closed
    """,
    "verbs in any case, spaces at the end": """
        S: 220
        C: ehlo client.example
        S: 250
        C: Mail From:<a@client.example>
        S: 250
        C: rcpt to:<POSTMASTER>
        S: 250
        C: rset
        S: 250
        C: quit
        S: 221
    """,
    "a whole transaction in one piece": """
        S: 220
        C: EHLO client.example
        C: MAIL FROM:<>
        C: RCPT TO:<b@mx.example>
        C: RCPT TO:<no@mx.example>
        C: DATA
        S: 250
        S: 250 2.1.0
        S: 250 2.1.5
        S: 550 5.1.1
        S: 354
        C: text
        C: .
        C: QUIT
        S: 250 2.0.0
        S: 221
    """,
    "MAIL needs a greeting": "S: 220\nC: MAIL FROM:<a@b.example>\nS: 503 5.5.1",
    "RCPT needs MAIL": GREETED + "C: RCPT TO:<b@mx.example>\nS: 503 5.5.1",
    "DATA needs RCPT": GREETED + "C: MAIL FROM:<>\nS: 250\nC: DATA\nS: 503 5.5.1",
    "DATA needs one who was taken": GREETED
    + "C: MAIL FROM:<>\nC: RCPT TO:<no@mx.example>\nC: DATA\nS: 250\nS: 550\nS: 554 5.5.1",
    "no second MAIL": GREETED + "C: MAIL FROM:<>\nS: 250\nC: MAIL FROM:<>\nS: 503",
    "EHLO forgets": GREETED
    + "C: MAIL FROM:<>\nS: 250\nC: EHLO again.example\nS: 250\nC: RCPT TO:<b@mx.example>\nS: 503",
    "what says little": GREETED
    + "C: NOOP hello\nS: 250 2.0.0\nC: VRFY root\nS: 252 2.5.0\nC: EXPN all\nS: 502\nC: HELP\nS: 214",
    "unknown": GREETED + "C: WHATISTHIS\nS: 500 5.5.1",
    "a stranger to SMTP": "S: 220\nC: GET / HTTP/1.1\nS: 502\nS: closed",
    "HELO": "S: 220\nC: HELO client.example\nS: 250 mx.example",
    "EHLO without a name": "S: 220\nC: EHLO\nS: 501",
    "unknown parameter": GREETED + "C: MAIL FROM:<> FOO=bar\nS: 555 5.5.4",
    "twice": GREETED + "C: MAIL FROM:<> SIZE=1 SIZE=2\nS: 501",
    "too big as announced": GREETED + "C: MAIL FROM:<> SIZE=999999999999\nS: 552 5.3.4",
    "a size that is none": GREETED + "C: MAIL FROM:<> SIZE=1x\nS: 501",
    "SIZE of many digits": GREETED + "C: MAIL FROM:<> SIZE=" + "1" * 21 + "\nS: 501",
    "BODY": GREETED + "C: MAIL FROM:<> BODY=BINARYMIME\nS: 501",
    "international without SMTPUTF8": GREETED + "C: MAIL FROM:<jürgen@b.example>\nS: 553 5.6.7",
    "international": GREETED + "C: MAIL FROM:<jürgen@b.example> SMTPUTF8\nS: 250\nC: RCPT TO:<é@mx.example>\nS: 250",
    "an international recipient without SMTPUTF8": GREETED
    + "C: MAIL FROM:<>\nS: 250\nC: RCPT TO:<é@mx.example>\nS: 553",
    "not UTF-8": GREETED + "C> b'MAIL FROM:<\\xff@b.example>\\r\\n'\nS: 500 5.5.2",
    "space after the colon": GREETED + "C: MAIL FROM: <a@b.example>\nS: 250\nC: RCPT TO: b@mx.example\nS: 250",
    "junk after the path": GREETED + "C: MAIL FROM:<a@b.example>x\nS: 501",
    "no such word": GREETED + "C: MAIL LALA: <>\nS: 500 5.5.2",
    "no TLS here": GREETED + "C: STARTTLS\nS: 503",
    "no AUTH here": GREETED + "C: AUTH PLAIN AGEAYg==\nS: 503",
}


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES.keys())
def test_dialogue(dialogue: str) -> None:
    play(server(), yes, dialogue)


def test_events_of_a_message() -> None:
    events = play(server(), yes, DIALOGUES["a message"])
    assert [type(event) for event in events] == [
        Connected, Hello, MailFrom, RcptTo, DataStart, Chunk, MessageEnd, Quit,
    ]  # fmt: skip
    mail = events[2]
    assert (str(mail.path), mail.size, mail.smtputf8, mail.body_8bit) == ("a@client.example", 100, False, True)
    assert events[5].data == b"Subject: x\r\n\r\ntext\r\n"
    assert events[6].size == len(events[5].data)


def test_offers() -> None:
    session = server(SUBMISSION)
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\n")
    stage.reply()
    clear = stage.reply().split("\n")
    assert "250-STARTTLS" in clear
    assert not any("AUTH" in line for line in clear)
    stage = Stage(server(SUBMISSION, tls=True), yes)
    stage.hear(b"EHLO a.example\r\n")
    stage.reply()
    over_tls = stage.reply().split("\n")
    assert "250-STARTTLS" not in over_tls
    assert "250-AUTH SCRAM-SHA-256 PLAIN" in over_tls
    assert "250-LIMITS MAILMAX=1000 RCPTMAX=1000" in over_tls


AUTH = {
    "needs TLS": (False, "C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 503 5.7.10"),
    "MAIL needs AUTH": (True, "C: MAIL FROM:<>\nS: 530 5.7.0"),
    "at once": (True, "C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 235 2.7.0\nC: MAIL FROM:<>\nS: 250"),
    "on being asked": (True, "C: AUTH PLAIN\nS: 334\nC: AHVzZXIAc2VjcmV0\nS: 235"),
    "wrong, then right": (
        True,
        "C: AUTH PLAIN AHVzZXIAd3Jvbmc=\nS: 535 5.7.8\nC: AUTH plain AHVzZXIAc2VjcmV0\nS: 235 2.7.0",
    ),
    "not twice": (True, "C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 235\nC: AUTH PLAIN\nS: 503 5.5.1"),
    "no such mechanism": (True, "C: AUTH GSSAPI\nS: 534 5.7.9"),
    "given up": (True, "C: AUTH PLAIN\nS: 334\nC: *\nS: 501\nC: NOOP\nS: 250"),
    "not base64": (True, "C: AUTH PLAIN\nS: 334\nC: !\nS: 501 5.5.2\nC: NOOP\nS: 250"),
    "not base64 at once": (True, "C: AUTH PLAIN !\nS: 501 5.5.2"),
    "an empty response": (True, "C: AUTH PLAIN =\nS: 535"),
    "AUTH= at MAIL": (True, "C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 235\nC: MAIL FROM:<> AUTH=<>\nS: 250"),
    "too often": (True, "C: AUTH PLAIN =\nS: 535\nC: AUTH PLAIN =\nS: 535\nC: AUTH PLAIN =\nS: 535\nS: closed"),
    "nonsense too often": (
        True,
        "C: AUTH PLAIN\nS: 334\nC: !\nS: 501\nC: AUTH PLAIN\nS: 334\nC: !\nS: 501\n"
        "C: AUTH PLAIN\nS: 334\nC: !\nS: 421 4.7.0\nS: closed",
    ),
    "a line end in the response": (True, "C: AUTH PLAIN\nS: 334\nC> 'AHVz\\n'\nS: 500\nC: x\nC: NOOP\nS: 250"),
}


@pytest.mark.parametrize("tls, dialogue", AUTH.values(), ids=AUTH.keys())
def test_auth(tls: bool, dialogue: str) -> None:
    play(server(SUBMISSION, tls=tls), yes, GREETED + dialogue)


def test_a_password_is_not_in_the_repr_of_an_event() -> None:
    assert "secret" not in repr(AuthStart("PLAIN", b"\0user\0secret")) + repr(AuthResponse(b"secret"))
    assert "secret" not in repr(Challenge(b"secret"))


# -- TLS


def test_starttls_begins_anew() -> None:
    session = server(SUBMISSION)
    stage = Stage(session, yes)
    stage.hear(b"EHLO before.example\r\n")
    stage.hear(b"STARTTLS\r\n")
    assert session.wants_tls
    assert isinstance(stage.events[-1], StartTls)
    session.tls_started(1.0)
    assert (session.tls, session.hello, session.extended) == (True, "", False)
    stage.said = b""
    stage.hear(b"MAIL FROM:<>\r\n")
    assert stage.reply().startswith("503")
    stage.hear(b"STARTTLS\r\n")
    assert stage.reply().startswith("503")


INJECTED = [
    b"STARTTLS\r\nMAIL FROM:<injected@b.example>\r\n",
    b"STARTTLS\r\nx",
    b"STARTTLS\nMAIL FROM:<injected@b.example>\r\n",
    b"starttls\rMAIL FROM:<injected@b.example>\r\n",
    b"STARTTLS\0\r\nMAIL FROM:<injected@b.example>\r\n",
]


@pytest.mark.parametrize("injected", INJECTED)
def test_nothing_may_follow_starttls(injected: bytes) -> None:
    session = server(SUBMISSION)
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\n")
    stage.hear(injected)
    assert session.ended
    assert stage.said.endswith(b"451 4.7.0 nothing may follow STARTTLS before the handshake\r\n")
    assert not session.wants_tls
    assert not any(isinstance(event, MailFrom | StartTls) for event in stage.events)


def test_nothing_may_come_before_the_handshake() -> None:
    session = server(SUBMISSION)
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\nSTARTTLS\r\n")
    stage.hear(b"MAIL FROM:<injected@b.example>\r\n")
    assert session.ended
    assert not session.wants_tls


def test_starttls_refused_by_the_policy() -> None:
    session = server(SUBMISSION)
    stage = Stage(session, lambda event: Reply(454, "not now", "4.7.0") if isinstance(event, StartTls) else None)
    stage.hear(b"STARTTLS\r\n")
    assert stage.said.endswith(b"454 4.7.0 not now\r\n")
    assert not session.wants_tls


# -- line ends and lengths

BAD_LINES = {
    "bare LF": b"NOOP\n",
    "CR inside": b"NO\rOP\r\n",
    "two CR": b"NOOP\r\r\n",
    "NUL": b"NOOP\0\r\n",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_line_end_is_refused_and_a_few_are_the_end(line: bytes) -> None:
    session = server()
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\n")
    stage.reply(), stage.reply()
    for _ in range(3):
        stage.hear(line)
        assert stage.reply().startswith("500 5.5.2")
    assert session.ended


def test_what_follows_a_bare_lf_on_its_line_is_no_command() -> None:
    session = server()
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\nNOOP\nMAIL FROM:<a@b.example>\r\nNOOP\r\n")
    assert not any(isinstance(event, MailFrom) for event in stage.events)
    assert [stage.reply()[:3] for _ in range(4)] == ["220", "250", "500", "250"]
    assert not stage.said


def test_a_long_line_is_answered_once_and_dropped() -> None:
    session = server()
    stage = Stage(session, yes)
    stage.hear(b"EHLO a.example\r\n")
    for _ in range(10):
        stage.hear(b"x" * 10_000)
        assert len(session._buffer) - session._at <= 2048
    stage.hear(b"MAIL FROM:<a@b.example>\r")
    stage.hear(b"\nNOOP\r\n")
    assert [stage.reply()[:9] for _ in range(4)] == ["220 mx.ex", "250-mx.ex", "500 5.5.6", "250 2.0.0"]
    assert not any(isinstance(event, MailFrom) for event in stage.events)


@pytest.mark.parametrize("size", [1, 7, 4096, 262144])
def test_ten_megabytes_in_one_line(size: int) -> None:
    session = server()
    stage = Stage(session, yes)
    total = 0
    while not session.ended and total < 10 << 20:
        stage.hear(b"x" * size)
        total += size
        assert len(session._buffer) - session._at <= 2049
    assert session.ended
    assert stage.said.count(b"500 5.5.6") <= 2
    if size > 1:
        assert total < 2 << 20


def test_lines_of_just_the_limit() -> None:
    session = limited(line=20)
    stage = Stage(session, yes)
    stage.hear(b"NOOP " + b"x" * 13 + b"\r\n")
    assert stage.said.endswith(b"250 2.0.0 yes\r\n")
    stage.hear(b"NOOP " + b"x" * 14 + b"\r\n")
    assert stage.said.endswith(b"at most 20 octets\r\n")
    stage.hear(b"NOOP\r\n")
    assert stage.said.endswith(b"250 2.0.0 yes\r\n")


@settings(max_examples=60)
@given(st.binary(max_size=300), st.lists(st.integers(0, 1000), max_size=6))
def test_any_bytes_are_answered_and_nothing_is_taken(data: bytes, at: list[int]) -> None:
    stage = Stage(server(), yes)
    for piece in cut(data, at):
        stage.hear(piece)
    assert len(stage.session.outgoing()) == 0
    assert stage.said.startswith(b"220")


# -- limits


def test_ten_thousand_recipients() -> None:
    stage = Stage(server(), yes)
    stage.hear(b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\n")
    stage.hear(b"".join(b"RCPT TO:<u%d@mx.example>\r\n" % n for n in range(10_000)))
    assert stage.said.count(b"250 2.1.5") == 1000
    assert stage.said.count(b"452 4.5.3") == 9000
    assert not stage.session.ended
    stage.hear(b"DATA\r\nx\r\n.\r\n")
    assert stage.said.endswith(b"250 2.0.0 taken\r\n")


def test_too_many_errors() -> None:
    play(
        limited(bad_commands=3),
        yes,
        GREETED + "C: X\nS: 500\nC: Y\nS: 500\nC: Z\nS: 421 4.7.0\nS: closed",
    )


def test_too_much_chatter() -> None:
    play(limited(chatter=3), yes, GREETED + "C: NOOP\nS: 250\nC: RSET\nS: 250\nC: NOOP\nS: 421\nS: closed")


def test_enough_transactions() -> None:
    message = "C: MAIL FROM:<>\nC: RCPT TO:<b@mx.example>\nC: DATA\nS: 250\nS: 250\nS: 354\nC: .\nS: 250\n"
    play(limited(transactions=2), yes, GREETED + message * 2 + "C: MAIL FROM:<>\nS: 421\nS: closed")


def in_data(session: SmtpServer, policy: Callable[[Any], Any] = yes) -> Stage:
    stage = Stage(session, policy)
    stage.hear(b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert stage.said.endswith(b"end\r\n")
    stage.said = b""
    return stage


def test_a_message_too_big_is_refused_at_its_end() -> None:
    stage = in_data(limited(message=100))
    stage.hear(b"x" * 98 + b"\r\n")
    stage.hear(b"more\r\n")
    stage.hear(b"HELP\r\n")
    assert not stage.said
    stage.hear(b".\r\nNOOP\r\n")
    assert stage.said == b"552 5.3.4 a message has at most 100 octets\r\n250 2.0.0 yes\r\n"
    assert isinstance(stage.events[-1], Aborted)
    assert not any(isinstance(event, MessageEnd) for event in stage.events)


def test_a_message_of_just_the_limit() -> None:
    stage = in_data(limited(message=100))
    stage.hear(b"x" * 98 + b"\r\n.\r\n")
    assert stage.said.startswith(b"250")


def test_a_lost_message_is_not_read_forever() -> None:
    stage = in_data(limited(message=100, dead_data=1000))
    for _ in range(30):
        stage.hear(b"x" * 98 + b"\r\n")
    assert stage.session.ended
    assert stage.said.startswith(b"552")


def test_a_refused_chunk_is_told_at_the_end() -> None:
    def policy(event: Any) -> Any:
        return Refusal(452, "no room", "4.3.1", "disk") if isinstance(event, Chunk) else yes(event)

    stage = in_data(server(), policy)
    stage.hear(b"one\r\n")
    stage.hear(b"two\r\n.\r\n")
    assert stage.said == b"452 4.3.1 no room\r\n"
    assert sum(isinstance(event, Chunk) for event in stage.events) == 1
    stage.hear(b"MAIL FROM:<>\r\n")
    assert stage.said.endswith(b"250 2.1.0 sender ok\r\n")


def test_a_refused_last_chunk() -> None:
    def policy(event: Any) -> Any:
        return Refusal(452, "no room", "4.3.1", "disk") if isinstance(event, Chunk) else yes(event)

    stage = in_data(server(), policy)
    stage.hear(b"one\r\n.\r\n")
    assert stage.said == b"452 4.3.1 no room\r\n"


# -- refusals


def test_a_refused_connection() -> None:
    play(server(), lambda event: Refusal(554, "not you", "5.7.1", "listed"), "S: 554 5.7.1 not you\nS: closed")


def test_a_421_is_the_end() -> None:
    def policy(event: Any) -> Any:
        return Reply(421, "later", "4.3.2") if isinstance(event, MailFrom) else None

    play(server(), policy, GREETED + "C: MAIL FROM:<>\nS: 421\nS: closed")


def test_refused_at_data() -> None:
    def policy(event: Any) -> Any:
        return Reply(451, "not now", "4.3.0") if isinstance(event, DataStart) else None

    play(
        server(),
        policy,
        GREETED
        + "C: MAIL FROM:<>\nC: RCPT TO:<b@mx.example>\nC: DATA\nS: 250\nS: 250\nS: 451\nC: MAIL FROM:<>\nS: 250",
    )


def test_replies_are_ascii_without_smtputf8() -> None:
    def policy(event: Any) -> Any:
        return Refusal(550, "pas d'été", "5.7.1", "") if isinstance(event, MailFrom) else None

    play(server(), policy, GREETED + "C: MAIL FROM:<>\nS: 550 5.7.1 pas d'?t?")


def test_a_reply_cannot_end_early() -> None:
    def policy(event: Any) -> Any:
        return Refusal(550, "one\r\n250 two", "5.7.1", "") if isinstance(event, MailFrom) else None

    stage = Stage(server(), policy)
    stage.hear(b"EHLO a.example\r\nMAIL FROM:<>\r\n")
    assert stage.said.endswith(b"550-5.7.1 one?\r\n550 5.7.1 250 two\r\n")


@pytest.mark.parametrize("answer", [Challenge(b"x"), "250 ok", True])
def test_an_answer_that_is_none_is_our_mistake(answer: Any) -> None:
    session = server()
    assert isinstance(session.next_event(), Connected)
    with pytest.raises(TypeError):
        session.send(answer)
    session.send(None)  # the event is still there to be answered
    assert session.outgoing().startswith(b"220")


# -- time


def test_deadlines() -> None:
    session = limited(command_seconds=10, chunk_seconds=5, message_seconds=8, session_seconds=100)
    assert session.deadline(0.0) == 10
    stage = Stage(session, yes)
    stage.now = 4.0
    stage.hear(b"EHLO a.example\r\n")
    assert session.deadline(4.0) == 14
    stage.now = 9.0
    stage.hear(b"MAIL F")
    assert session.deadline(9.0) == 19
    stage.now = 12.0
    stage.hear(b"ROM:")  # a slow line gains no time
    assert session.deadline(12.0) == 19
    stage.hear(b"<>\r\n")
    stage.now = 13.0
    stage.hear(b"RCPT TO:<b@mx.example>\r\nDATA\r\n")
    assert session.deadline(13.0) == 18
    stage.now = 17.0
    stage.hear(b"x\r\n")
    assert session.deadline(17.0) == 21
    session.timed_out()
    assert session.ended
    assert session.outgoing().startswith(b"421 4.4.2")


def test_a_session_ends_some_time() -> None:
    stage = Stage(limited(command_seconds=10, session_seconds=15), yes)
    stage.now = 9.0
    stage.hear(b"NOOP\r\n")
    assert stage.session.deadline(9.0) == 15  # type: ignore[attr-defined]


def test_our_own_slowness_is_not_the_clients() -> None:
    session = limited(command_seconds=10)
    session.next_event()
    assert session.deadline(500.0) == 510
    session.send(None, 500.0)
    assert session.deadline(500.0) == 510


# -- draining


def test_drain_between_transactions() -> None:
    stage = Stage(server(), yes)
    stage.hear(b"EHLO a.example\r\n")
    stage.session.drain()  # type: ignore[attr-defined]
    assert stage.session.ended
    stage.pump()
    assert stage.said.endswith(b"421 4.3.2 mx.example closing down, try again later\r\n")


def test_drain_lets_a_transaction_finish() -> None:
    stage = in_data(server())
    stage.session.drain()  # type: ignore[attr-defined]
    assert not stage.session.ended
    stage.hear(b"text\r\n.\r\nMAIL FROM:<>\r\n")
    assert stage.said == b"250 2.0.0 taken\r\n421 4.3.2 mx.example closing down, try again later\r\n"
    assert stage.session.ended


# -- any cut

GOOD = (
    b"EHLO a.example\r\nMAIL FROM:<a@b.example> SIZE=10\r\nRCPT TO:<b@mx.example>\r\nRCPT TO:<no@mx.example>\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..dot\r\n...\r\n.. \r\n\r\n.\r\nRSET\r\nMAIL FROM:<> X\r\nBLAH\r\nBDAT 5\r\nlost\rMAIL FROM:<>\r\n"
    b"RCPT TO:<c@mx.example>\r\nBDAT 10\r\nSubject: y\r\nBDAT 0\r\nBDAT 8 LAST\r\n\r\n\r\nend.NOOP\n\r\nVRFY x\r\n"
)
BAD = b"MAIL FROM:<>\r\nRCPT TO:<c@mx.example>\r\nDATA\r\nbare\nlf\r\n.\r\nMAIL FROM:<forged@b.example>\r\n"
ENDS = {
    "QUIT": GOOD + b"QUIT\r\n",
    "a bare LF": GOOD + BAD,
    "a bare CR in BDAT": GOOD + b"MAIL FROM:<>\r\nRCPT TO:<c@mx.example>\r\nBDAT 4 LAST\r\nx\ryzQUIT\r\n",
}


def joined(events: list[Any]) -> list[Any]:
    """Events with neighbouring chunks put together: how many there are depends on the cut."""
    out: list[Any] = []
    for event in events:
        if isinstance(event, Chunk) and out and isinstance(out[-1], Chunk):
            out[-1] = Chunk(out[-1].data + event.data)
        elif not (isinstance(event, Chunk) and not event.data):
            out.append(event)
    return out


def without_lost(events: list[Any]) -> list[Any]:
    """How much of a message comes before its fault is found depends on the cut as well."""
    return [
        event
        for event, later in zip(events, [*events[1:], None], strict=True)
        if not (isinstance(event, Chunk) and isinstance(later, Aborted))
    ]


@pytest.mark.parametrize("said", ENDS.values(), ids=ENDS.keys())
@settings(max_examples=100)
@given(at=st.lists(st.integers(0, 2000), max_size=12))
def test_any_cut_gives_the_same_events(said: bytes, at: list[int]) -> None:
    whole, pieces = Stage(server(), yes), Stage(server(), yes)
    whole.hear(said)
    for piece in cut(said, at):
        pieces.hear(piece)
    assert without_lost(joined(pieces.events)) == without_lost(joined(whole.events))
    assert pieces.said == whole.said
    assert any(isinstance(event, Violation) for event in whole.events)
    assert [event.size for event in whole.events if isinstance(event, MessageEnd)] == [30, 18]


@pytest.mark.parametrize("said", ENDS.values(), ids=ENDS.keys())
def test_byte_by_byte(said: bytes) -> None:
    whole, pieces = Stage(server(), yes), Stage(server(), yes)
    whole.hear(said)
    for piece in cut(said, range(len(said))):
        pieces.hear(piece)
    assert without_lost(joined(pieces.events)) == without_lost(joined(whole.events))
    assert pieces.said == whole.said
    assert (b"221" in whole.said) == said.endswith(b"QUIT\r\n")


def test_a_bare_line_end_in_a_message_is_the_end_of_the_session() -> None:
    stage = in_data(server())
    stage.hear(b"bare\nlf\r\n.\r\nMAIL FROM:<forged@b.example>\r\n")
    assert stage.said.startswith(b"521 5.5.2 the message has a bare LF")
    assert stage.said.count(b"\r\n") == 1
    assert stage.session.ended
