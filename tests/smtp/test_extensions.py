"""What is beyond RFC 5321: CHUNKING, BINARYMIME, DSN, REQUIRETLS, FUTURERELEASE, DELIVERBY, MT-PRIORITY, LIMITS, LMTP.

RFC 3030 2 and 3; RFC 3461 4, 4.1, 4.3, 5.4 and RFC 6533 3; RFC 8689; RFC 4865 4.2; RFC 2852 4; RFC 6710; RFC 9422;
RFC 2033 4.1 and 4.2."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kit.play import Stage, play
from mox_smtp import (
    Aborted,
    Body,
    Chunk,
    DataStart,
    DeliverBy,
    Limits,
    MailFrom,
    MessageEnd,
    Notify,
    OriginalRecipient,
    Quirk,
    RcptTo,
    Refusal,
    Reply,
    Ret,
    ServerConfig,
    SmtpServer,
)

PLAIN = ServerConfig("mx.example", chunking=False, smtputf8=False)
ALL = ServerConfig(
    "mx.example", Limits(message=1000, recipients=3, transactions=5), starttls=True, binarymime=True, dsn=True,
    requiretls=True, future_release=86400, deliver_by=60, mt_priority="MIXER",
)  # fmt: skip
EPOCH = 1_795_000_000.0


def yes(event: Any) -> Any:
    match event:
        case MessageEnd():
            return Reply(250, "taken", "2.0.0")
        case RcptTo(path) if str(path).startswith("no"):
            return Refusal(550, "no such address", "5.1.1")
    return None


def server(config: ServerConfig = ALL, *, tls: bool = True) -> SmtpServer:
    return SmtpServer(config, now=0.0, tls=tls, epoch=EPOCH)


def offered(config: ServerConfig, *, tls: bool = False) -> list[str]:
    stage = Stage(server(config, tls=tls), yes)
    stage.hear(b"LHLO a.example\r\n" if config.lmtp else b"EHLO a.example\r\n")
    stage.reply()
    return [line[4:] for line in stage.reply().split("\n")[1:]]


def test_what_is_not_switched_on_is_not_offered() -> None:
    assert offered(PLAIN) == [
        "PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES", "LIMITS MAILMAX=1000 RCPTMAX=1000", "HELP",
    ]  # fmt: skip


def test_all_offers() -> None:
    assert offered(ALL, tls=True) == [
        "PIPELINING", "SIZE 1000", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN",
        "REQUIRETLS", "FUTURERELEASE 86400 2026-11-19T11:06:40Z", "DELIVERBY 60", "MT-PRIORITY MIXER",
        "LIMITS MAILMAX=5 RCPTMAX=3", "HELP",
    ]  # fmt: skip
    clear = offered(ALL)
    assert "STARTTLS" in clear
    assert "REQUIRETLS" not in clear


GREETED = "S: 220\nC: EHLO client.example\nS: 250\n"
TO = GREETED + "C: MAIL FROM:<a@b.example>\nC: RCPT TO:<b@mx.example>\nS: 250\nS: 250\n"
BDAT = {
    "one chunk": TO + "C> 'BDAT 5 LAST\\r\\nhello'\nS: 250 2.0.0 taken",
    "three chunks": TO + "C> 'BDAT 3\\r\\nhelBDAT 0\\r\\nBDAT 2 LAST\\r\\nlo'\nS: 250 2.0.0 3\nS: 250 2.0.0 3\nS: 250 2.0.0 taken",
    "an empty last one": TO + "C> 'BDAT 5\\r\\nhelloBDAT 0 LAST\\r\\n'\nS: 250\nS: 250 2.0.0 taken",
    "an end mark is none": TO + "C> 'BDAT 9 LAST\\r\\nx\\r\\n.\\r\\ny\\r\\n'\nC: NOOP\nS: 250 2.0.0 taken\nS: 250 2.0.0 yes",
    "a message after another": TO
    + "C> 'BDAT 1 LAST\\r\\nx'\nS: 250\nC: MAIL FROM:<>\nC: RCPT TO:<b@mx.example>\nC: DATA\nC: y\nC: .\nS: 250\nS: 250\nS: 354\nS: 250",
    "no DATA after it": TO + "C> 'BDAT 1\\r\\nx'\nS: 250\nC: DATA\nS: 503\nC> 'BDAT 0 LAST\\r\\n'\nS: 250 2.0.0 taken",
    "no RCPT after it": TO + "C> 'BDAT 1\\r\\nx'\nS: 250\nC: RCPT TO:<c@mx.example>\nS: 503",
    "no MAIL after it": TO + "C> 'BDAT 1\\r\\nx'\nS: 250\nC: MAIL FROM:<>\nS: 503",
    "RSET in between": TO + "C> 'BDAT 1\\r\\nx'\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<>\nS: 250\nC> 'BDAT 1 LAST\\r\\nx'\nS: 503",
    "without MAIL": GREETED + "C> 'BDAT 6 LAST\\r\\nNOOP\\r\\n'\nS: 503 5.5.1\nC: NOOP\nS: 250",
    "before EHLO": "S: 220\nC> 'BDAT 6 LAST\\r\\nNOOP\\r\\n'\nS: 503 5.5.1\nC: EHLO a\nS: 250",
    "nobody taken": GREETED
    + "C: MAIL FROM:<>\nC: RCPT TO:<no@mx.example>\nC> 'BDAT 6 LAST\\r\\nQUIT\\r\\n'\nS: 250\nS: 550\nS: 554 5.5.1\nC: RCPT TO:<b@mx.example>\nS: 250",
    "no number": TO + "C: BDAT x\nS: 501\nS: closed",
    "a negative number": TO + "C: BDAT -1 LAST\nS: 501\nS: closed",
    "too big": TO + "C> 'BDAT 1001\\r\\n' + 'x' * 1001 + 'BDAT 1 LAST\\r\\nx'\nS: 552 5.3.4\nS: 552 5.3.4\nC: NOOP\nS: 250",
    "too big together": TO
    + "C> 'BDAT 999\\r\\n' + 'x' * 999 + 'BDAT 2\\r\\nxyBDAT 1 LAST\\r\\nx'\nS: 250\nS: 552 5.3.4\nS: 552 5.3.4\nC: NOOP\nS: 250",
    "a bare LF": TO + "C> 'BDAT 3 LAST\\r\\nx\\ny'\nS: 554 5.6.0\nC: NOOP\nS: 250",
    "CRLF between two chunks": TO + "C> 'BDAT 2\\r\\nx\\rBDAT 2 LAST\\r\\n\\ny'\nS: 250\nS: 250 2.0.0 taken",
    "a CR between two chunks": TO + "C> 'BDAT 2\\r\\nx\\rBDAT 1 LAST\\r\\ny'\nS: 250\nS: 554 5.6.0",
    "a CR at the end": TO + "C> 'BDAT 2 LAST\\r\\nx\\r'\nS: 554 5.6.0",
    "binary": GREETED
    + "C: MAIL FROM:<> BODY=BINARYMIME\nC: RCPT TO:<b@mx.example>\nC> b'BDAT 5 LAST\\r\\n\\0\\n\\r\\xff.'\nS: 250\nS: 250\nS: 250 2.0.0 taken",
    "binary and DATA": GREETED + "C: MAIL FROM:<> BODY=BINARYMIME\nC: RCPT TO:<b@mx.example>\nC: DATA\nS: 250\nS: 250\nS: 503",
}  # fmt: skip


@pytest.mark.parametrize("dialogue", BDAT.values(), ids=BDAT.keys())
def test_bdat(dialogue: str) -> None:
    play(server(), yes, dialogue.replace("' + 'x' * 1001 + '", "x" * 1001).replace("' + 'x' * 999 + '", "x" * 999))


def test_a_handler_sees_no_difference_between_data_and_bdat() -> None:
    events = play(server(), yes, BDAT["three chunks"])[2:]
    assert events == [
        MailFrom(events[0].path), RcptTo(events[1].path), DataStart(), Chunk(b"hel"), Chunk(b"lo"), MessageEnd(5),
    ]  # fmt: skip


def test_bdat_where_it_is_not_offered_is_the_end() -> None:
    play(server(PLAIN), yes, TO + "C> 'BDAT 6 LAST\\r\\nRSET\\r\\n'\nS: 500\nS: closed")


def test_a_refused_start_and_a_refused_chunk_of_bdat() -> None:
    def start(event: Any) -> Any:
        return Reply(451, "not now", "4.3.0") if isinstance(event, DataStart) else yes(event)

    play(server(), start, TO + "C> 'BDAT 1\\r\\nxBDAT 1 LAST\\r\\ny'\nS: 451\nS: 451\nC: MAIL FROM:<>\nS: 250")

    def chunk(event: Any) -> Any:
        return Reply(452, "no room", "4.3.1") if isinstance(event, Chunk) else yes(event)

    events = play(server(), chunk, TO + "C> 'BDAT 1\\r\\nxBDAT 1 LAST\\r\\ny'\nS: 452\nS: 452\nC: MAIL FROM:<>\nS: 250")
    assert sum(isinstance(event, Chunk) for event in events) == 1
    assert not any(isinstance(event, MessageEnd) for event in events)


def test_bdat_of_a_size_that_nobody_can_mean() -> None:
    session = server(ServerConfig("mx.example", Limits(message=1000, dead_data=5000)))
    stage = Stage(session, yes)
    stage.hear(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nBDAT 9999999999999999999\r\n")
    for _ in range(20):
        stage.hear(b"x" * 500)
    assert session.ended
    assert b"552" in stage.said
    assert any(isinstance(event, Aborted) for event in stage.events)


def test_a_message_in_more_chunks_than_anybody_needs() -> None:
    config = ServerConfig("mx.example", Limits(chunks=2))
    play(
        server(config),
        yes,
        TO + "C> 'BDAT 1\\r\\nxBDAT 1\\r\\ny'\nS: 250\nS: 250\nC> 'BDAT 1\\r\\nz'\nS: 421 4.7.0\nS: closed",
    )


# -- parameters


def options(line: str, config: ServerConfig = ALL, *, tls: bool = True) -> tuple[str, Any]:
    """The reply to a MAIL or RCPT with these parameters, and the event's options."""
    stage = Stage(server(config, tls=tls), yes)
    stage.hear(b"EHLO a.example\r\n")
    if line.startswith("RCPT"):
        stage.hear(b"MAIL FROM:<a@b.example>\r\n")
    stage.said = b""
    stage.hear(line.encode() + b"\r\n")
    event = stage.events[-1]
    return stage.reply(), event.options if isinstance(event, MailFrom | RcptTo) else None


TAKEN: dict[str, tuple[str, Any]] = {
    "SIZE=1000": ("size", 1000),
    "BODY=8bitmime": ("body", Body.EIGHT_BIT),
    "BODY=BINARYMIME": ("body", Body.BINARY),
    "SMTPUTF8": ("smtputf8", True),
    "RET=hdrs": ("ret", Ret.HDRS),
    "ENVID=QQ314159+2B+3D": ("envid", "QQ314159+="),
    "REQUIRETLS": ("require_tls", True),
    "HOLDFOR=86400": ("hold_for", 86400),
    "HOLDUNTIL=2026-11-19T11:00:00Z": ("hold_until", datetime(2026, 11, 19, 11, tzinfo=UTC)),
    "HOLDUNTIL=2026-11-19T13:00:00+02:00": ("hold_until", datetime(2026, 11, 19, 11, tzinfo=UTC)),
    "BY=120;R": ("by", DeliverBy(120, give_back=True)),
    "BY=-3;nt": ("by", DeliverBy(-3, give_back=False, trace=True)),
    "MT-PRIORITY=-4": ("priority", -4),
    "MT-PRIORITY=0": ("priority", 0),
}


@pytest.mark.parametrize("parameter, want", TAKEN.items(), ids=TAKEN.keys())
def test_parameters_of_mail(parameter: str, want: tuple[str, Any]) -> None:
    reply, found = options(f"MAIL FROM:<a@b.example> {parameter}")
    assert reply.startswith("250 2.1.0"), reply
    assert getattr(found, want[0]) == want[1]
    again, found_again = options(f"MAIL FROM:<a@b.example>{found}")
    assert (again[:3], found_again) == ("250", found)
    unknown, _ = options(f"MAIL FROM:<a@b.example> {parameter}", PLAIN)
    basic = parameter.startswith(("SIZE", "BODY=8"))
    assert unknown[:3] == ("250" if basic else "501" if parameter.startswith("BODY") else "555"), unknown


def test_who_submitted_it_first_by_the_clients_word() -> None:
    """RFC 4954 5: a mailbox in xtext, or <> for nobody known."""
    config = ServerConfig("mx.example", auth=("PLAIN",))
    for text, want in (("<>", ""), ("ann+2Bx@b.example", "ann+x@b.example"), ("e+3Dmc2@b.example", "e=mc2@b.example")):
        reply, found = options(f"MAIL FROM:<a@b.example> AUTH={text}", config)
        assert reply.startswith("250")
        assert found.auth == want
        assert str(found) == f" AUTH={text}"
    assert options("MAIL FROM:<a@b.example> AUTH=+ZZ", config)[0].startswith("501")


REFUSED = {
    "SIZE=1001": "552", "SIZE": "501", "SIZE=x": "501", "BODY": "501", "BODY=9BIT": "501", "SMTPUTF8=yes": "501",
    "RET=SOME": "501", "RET": "501", "ENVID=": "501", "ENVID=+4": "501", "ENVID=+FF": "501", "ENVID=+00": "501",
    "ENVID=" + "x" * 101: "501", "REQUIRETLS=1": "501", "HOLDFOR=86401": "501", "HOLDFOR=0": "501", "HOLDFOR=x": "501",
    "HOLDFOR=1 HOLDUNTIL=2026-11-19T11:00:00Z": "501", "HOLDUNTIL=2026-12-19T11:00:00Z": "501", "HOLDUNTIL=now": "501",
    "HOLDUNTIL=2026-11-19T11:00:00": "501", "HOLDUNTIL=2026-13-19T11:00:00Z": "501", "BY=0;R": "501", "BY=-1;R": "501",
    "BY=59;R": "555", "BY=60": "501", "BY=1234567890;N": "501", "BY=60;X": "501", "MT-PRIORITY=10": "501",
    "MT-PRIORITY=-0": "501", "MT-PRIORITY=+1": "501", "MT-PRIORITY": "501", "AUTH=<>": "555", "WHAT=x": "555",
    "SIZE=٣": "501", "HOLDFOR=٣": "501",
}  # fmt: skip


@pytest.mark.parametrize("parameter, code", REFUSED.items(), ids=REFUSED.keys())
def test_refused_parameters_of_mail(parameter: str, code: str) -> None:
    assert options(f"MAIL FROM:<a@b.example> {parameter}")[0][:3] == code


def test_requiretls_needs_tls() -> None:
    assert options("MAIL FROM:<> REQUIRETLS", tls=False)[0].startswith("555")


RCPT: dict[str, tuple[str, str, Any]] = {
    "NOTIFY=NEVER": ("250", "notify", {Notify.NEVER}),
    "NOTIFY=success,DELAY": ("250", "notify", {Notify.SUCCESS, Notify.DELAY}),
    "ORCPT=rfc822;Bob+40b.example": ("250", "original", OriginalRecipient("rfc822", "Bob@b.example")),
    "ORCPT=rfc822;a@b.example NOTIFY=FAILURE": ("250", "notify", {Notify.FAILURE}),
    "ORCPT=utf-8;j\\x{FC}rgen@b.example": ("250", "original", OriginalRecipient("utf-8", "jürgen@b.example")),
    "NOTIFY=NEVER,DELAY": ("501", "", None),
    "NOTIFY=": ("501", "", None),
    "NOTIFY=SOMETIMES": ("501", "", None),
    "ORCPT=a@b.example": ("501", "", None),
    "ORCPT=rfc822;": ("501", "", None),
    "ORCPT=rfc822;a+4": ("501", "", None),
    "ORCPT=utf-8;\\x{D800}": ("501", "", None),
    "ORCPT=utf-8;\\x{FFFFFF}": ("501", "", None),
    "ORCPT=rfc822;" + "x" * 500: ("501", "", None),
    "SIZE=1": ("555", "", None),
}


@pytest.mark.parametrize("parameter, want", RCPT.items(), ids=RCPT.keys())
def test_parameters_of_rcpt(parameter: str, want: tuple[str, str, Any]) -> None:
    reply, found = options(f"RCPT TO:<b@mx.example> {parameter}")
    assert reply[:3] == want[0], reply
    if want[0] == "250":
        assert getattr(found, want[1]) == want[2]
        assert options(f"RCPT TO:<b@mx.example>{found}")[1] == found
        assert options(f"RCPT TO:<b@mx.example> {parameter}", PLAIN)[0].startswith("555")


# -- limits and manners


def test_a_recipient_too_many() -> None:
    play(
        server(), yes, GREETED + "C: MAIL FROM:<>\nS: 250\n" + "C: RCPT TO:<b@mx.example>\nS: 250\n" * 3 + "C: RCPT TO:<b@mx.example>\nS: 452 4.5.3"
    )  # fmt: skip


def test_the_hunt_for_addresses_ends() -> None:
    config = ServerConfig("mx.example", Limits(refused_recipients=2))
    play(
        server(config), yes,
        GREETED + "C: MAIL FROM:<>\nS: 250\n" + "C: RCPT TO:<no@mx.example>\nS: 550\n" * 3 + "S: 421 4.7.0\nS: closed",
    )  # fmt: skip


def test_tarpit_and_slow_mode() -> None:
    session = server(ServerConfig("mx.example", Limits(tarpit_seconds=2, tarpit_most=5)))
    stage = Stage(session, yes)
    held = []
    for line in (b"EHLO a\r\n", b"FOO\r\n", b"BAR\r\n", b"BAZ\r\n", b"NOOP\r\n"):
        session.receive(line, 0.0)
        while (event := session.next_event()) is not None:
            session.send(stage.policy(event))
        held.append(session.hold)
        session.outgoing()
    assert held == [0, 2, 4, 5, 0]
    session.slow_seconds = 1.5
    stage.hear(b"")
    session.receive(b"NOOP\r\n", 0.0)
    session.next_event()
    assert session.hold == 1.5


QUIRKS = {
    Quirk.SPACE_AFTER_COLON: b"MAIL FROM: <a@b.example>\r\n",
    Quirk.BARE_PATH: b"MAIL FROM:a@b.example\r\n",
    Quirk.BARE_LF: b"MAIL FROM:<a@b.example>\n",
}


@pytest.mark.parametrize("quirk, line", QUIRKS.items())
def test_quirks_are_taken_where_they_are_allowed(quirk: Quirk, line: bytes) -> None:
    for quirks, code in ((frozenset({quirk}), b"250"), (frozenset[Quirk](), b"50")):
        stage = Stage(server(ServerConfig("mx.example", quirks=quirks)), yes)
        stage.hear(b"EHLO a\r\n")
        stage.said = b""
        stage.hear(line)
        assert stage.said.startswith(code)


def test_a_bare_lf_never_ends_a_message() -> None:
    stage = Stage(server(ServerConfig("mx.example", quirks=frozenset(Quirk))), yes)
    stage.hear(b"EHLO a\nMAIL FROM:<>\nRCPT TO:<b@mx.example>\nDATA\nx\n.\nMAIL FROM:<>\n\r\n.\r\n")
    assert b"521" in stage.said
    assert sum(isinstance(event, MailFrom) for event in stage.events) == 1


# -- LMTP

LMTP = ServerConfig("mx.example", lmtp=True)
TWO = "S: 220\nC: LHLO a\nC: MAIL FROM:<>\nC: RCPT TO:<b@mx.example>\nC: RCPT TO:<no@mx.example>\nC: RCPT TO:<c@mx.example>\nS: 250\nS: 250\nS: 250\nS: 550\nS: 250\n"


def test_lmtp_has_a_reply_for_each_recipient() -> None:
    def policy(event: Any) -> Any:
        if isinstance(event, MessageEnd):
            return (Reply(250, "b has it", "2.0.0"), Reply(452, "c is full", "4.2.2"))
        return yes(event)

    play(server(LMTP), policy, TWO + "C: DATA\nC: x\nC: .\nS: 354\nS: 250 2.0.0 b\nS: 452 4.2.2 c\nC: NOOP\nS: 250")
    play(server(LMTP), policy, TWO + "C> 'BDAT 1 LAST\\r\\nx'\nS: 250 2.0.0 b\nS: 452 4.2.2 c")


def test_one_reply_is_for_all_of_them() -> None:
    play(server(LMTP), yes, TWO + "C: DATA\nC: x\nC: .\nS: 354\nS: 250 2.0.0 taken\nS: 250 2.0.0 taken")
    play(server(LMTP), yes, TWO + "C> 'DATA\\r\\nx\\ny\\r\\n.\\r\\n'\nS: 354\nS: 521\nS: 521\nS: closed")


def test_lmtp_greets_with_lhlo_only_and_smtp_without() -> None:
    play(server(LMTP), yes, "S: 220 mx.example LMTP\nC: EHLO a\nS: 500\nC: HELO a\nS: 500\nC: LHLO a\nS: 250")
    play(server(), yes, "S: 220\nC: LHLO a\nS: 500\nC: EHLO a\nS: 250")


def test_a_tuple_is_for_lmtp() -> None:
    stage = Stage(server(), yes)
    stage.hear(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n")
    stage.session.receive(b".\r\n", 0.0)
    stage.session.next_event()
    with pytest.raises(TypeError):
        stage.session.send((Reply(250, "x"),))
