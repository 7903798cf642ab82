"""The client core, played against a script, and against our own server core at any cut of the bytes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import mox_sasl
from kit.smtp_table import Script, run
from mox_message import Content
from mox_smtp import (
    CLEAR,
    ENCRYPTED,
    ClientConfig,
    Delivered,
    Envelope,
    Lost,
    Reply,
    SmtpClient,
    Timeouts,
    TlsFailed,
    Trouble,
)
from mox_smtp.client import Expect, Offers, Send, Transcript

CONFIG = ClientConfig("client.example")
ENVELOPE = Envelope("a@client.example", ("b@mx.example", "c@mx.example"))
MESSAGE = b"Subject: x\r\n\r\n.dot\r\n..\r\ntext\r\n"


EHLO = "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8"
PLAIN_EHLO = "250 mx.example"


def opened(*replies: str, config: ClientConfig = CONFIG) -> tuple[SmtpClient, Script]:
    """A client that has greeted a server, which has these replies left."""
    client, script = SmtpClient(config), Script(*replies)
    script.take(client.open())
    script.heard = b""
    return client, script


def delivered(
    *replies: str, envelope: Envelope = ENVELOPE, message: bytes = MESSAGE, config: ClientConfig = CONFIG
) -> tuple[Delivered, Script, SmtpClient]:
    client, script = opened("220 hi", *replies, config=config)
    result: Delivered = script.take(client.deliver(envelope, Content.of(message)))
    assert not script.replies, f"not asked for: {script.replies}"
    return result, script, client


def codes(result: Delivered) -> list[int]:
    return [reply.code for reply in result.replies.values()]


def test_a_pipelined_delivery() -> None:
    result, script, client = delivered(EHLO, "250 2.1.0 ok", "250 ok", "250 ok", "354 go", "250 2.0.0 taken")
    assert codes(result) == [250, 250]
    assert result.trouble is None
    assert script.lines[:4] == [
        f"MAIL FROM:<a@client.example> SIZE={len(MESSAGE)}", "RCPT TO:<b@mx.example>", "RCPT TO:<c@mx.example>", "DATA",
    ]  # fmt: skip
    assert script.heard.endswith(b"DATA\r\nSubject: x\r\n\r\n..dot\r\n...\r\ntext\r\n.\r\n")
    assert client.usable
    assert result.transcript[-2:] == (f"C: ({len(MESSAGE)} octets)", "S: 250 2.0.0 taken")


def test_without_pipelining_each_reply_is_waited_for() -> None:
    result, script, _ = delivered(PLAIN_EHLO, "250 ok", "550 5.1.1 no", "250 ok", "354 go", "250 taken")
    assert codes(result) == [550, 250]
    assert script.lines[0] == "MAIL FROM:<a@client.example>"


def test_a_refused_sender_is_everybodys_refusal() -> None:
    result, script, client = delivered(PLAIN_EHLO, "550 5.7.1 not you")
    assert codes(result) == [550, 550]
    assert script.lines == ["MAIL FROM:<a@client.example>"]
    assert client.usable
    result, script, client = delivered(EHLO, "550 5.7.1 not you", "503 no", "503 no", "503 no")
    assert [str(reply) for reply in result.replies.values()] == ["550 5.7.1 not you"] * 2
    assert client.usable


def test_all_recipients_refused() -> None:
    result, script, client = delivered(PLAIN_EHLO, "250 ok", "550 no", "451 later", "250 reset")
    assert codes(result) == [550, 451]
    assert script.lines[-1] == "RSET"
    assert client.usable


def test_a_server_that_wants_the_message_for_nobody_gets_an_empty_one() -> None:
    result, script, client = delivered(EHLO, "250 ok", "550 no", "551 no", "354 go", "554 nobody")
    assert codes(result) == [550, 551]
    assert script.heard.endswith(b"DATA\r\n.\r\n")
    assert client.usable


def test_data_refused() -> None:
    result, _, client = delivered(EHLO, "250 ok", "250 ok", "550 no", "451 4.3.0 later")
    assert codes(result) == [451, 550]
    assert client.usable


def test_a_good_reply_to_data_is_no_yes() -> None:
    result, _, _ = delivered(EHLO, "250 ok", "250 ok", "550 no", "250 what")
    assert codes(result) == [451, 550]


def test_the_message_refused() -> None:
    result, _, client = delivered(EHLO, "250 ok", "550 5.1.1 no", "250 ok", "354 go", "554 5.7.1 junk")
    assert [str(reply) for reply in result.replies.values()] == ["550 5.1.1 no", "554 5.7.1 junk"]
    assert client.usable


def test_421_ends_it_and_who_was_refused_stays_refused() -> None:
    result, _, client = delivered(EHLO, "250 ok", "550 5.1.1 no", "421 4.3.2 bye")
    assert codes(result) == [550, 421]
    assert result.trouble == Reply(421, "bye", "4.3.2")
    assert not client.usable


def test_lost_after_the_end_is_uncertain() -> None:
    client, script = opened("220 hi", EHLO, "250 ok", "250 ok", "250 ok", "354 go")
    script.replies.append(Lost("the host closed the connection"))
    result = script.take(client.deliver(ENVELOPE, Content.of(MESSAGE)))
    assert codes(result) == [451, 451]
    assert result.uncertain
    assert not client.usable


def test_a_reply_in_the_middle_of_the_message_stops_it() -> None:
    client, script = opened("220 hi", EHLO, "250 ok", "250 ok", "250 ok", "354 go")
    steps = client.deliver(ENVELOPE, Content.of(b"x" * 98 + b"\r\n" + MESSAGE))
    sent = b""

    def answer(step: Any) -> Any:
        nonlocal sent
        if isinstance(step, Expect):
            return script.replies.pop(0)
        assert isinstance(step, Send)
        sent += step.data
        return Reply(552, "too big", "5.3.4") if step.data.startswith(b"x") else None

    result = run(steps, answer)
    assert codes(result) == [552, 552]
    assert not sent.endswith(b"\r\n.\r\n")
    assert not client.usable


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\n.\n\r\n", b"a\r", b"\n.\r\n"])
def test_a_bare_line_end_is_never_sent(body: bytes) -> None:
    result, script, client = delivered(EHLO, message=body)
    assert codes(result) == [554, 554]
    assert result.local
    assert script.heard == b""
    assert client.usable


def test_a_bare_line_end_in_a_message_said_to_be_checked_is_not_made_whole() -> None:
    envelope = Envelope("a@client.example", ("b@mx.example",), checked=True)
    result, script, client = delivered(EHLO, "250 ok", "250 ok", "354 go", envelope=envelope, message=b"a\n.\nb\r\n")
    assert codes(result) == [554]
    assert b"a\n" not in script.heard
    assert not client.usable


LOCAL = {
    "too big": (Envelope("a@b.example", ("c@d.example",)), b"x" * 998 + b"\r\n" * 2, EHLO, "5.3.4"),
    "SMTPUTF8": (Envelope("a@b.example", ("é@d.example",), smtputf8=True), MESSAGE, PLAIN_EHLO, "5.6.7"),
    "not asked for": (Envelope("a@b.example", ("é@d.example",)), MESSAGE, EHLO, "5.6.7"),
    "a line end in an address": (Envelope("a@b.example", ("c@d.example>\r\nRCPT TO:<e",)), MESSAGE, EHLO, "5.1.3"),
    "a bracket in an address": (Envelope("a@b.example", ("c@d.example> SIZE=1",)), MESSAGE, EHLO, "5.1.3"),
}


@pytest.mark.parametrize("envelope, message, ehlo, enhanced", LOCAL.values(), ids=LOCAL.keys())
def test_what_cannot_be_sent_is_refused_by_us(envelope: Envelope, message: bytes, ehlo: str, enhanced: str) -> None:
    result, script, client = delivered(ehlo, envelope=envelope, message=message)
    (reply,) = result.replies.values()
    assert reply.enhanced == enhanced
    assert result.local
    assert script.heard == b""
    assert client.usable


def test_parameters_only_where_they_are_offered() -> None:
    envelope = Envelope("", ("é@d.example",), smtputf8=True, eightbit=True)
    _, script, _ = delivered(EHLO, "250 ok", "250 ok", "354 go", "250 ok", envelope=envelope)
    assert script.lines[0] == f"MAIL FROM:<> SIZE={len(MESSAGE)} BODY=8BITMIME SMTPUTF8"
    envelope = Envelope("", ("d@d.example",), eightbit=True)
    _, script, _ = delivered(PLAIN_EHLO, "250 ok", "250 ok", "354 go", "250 ok", envelope=envelope)
    assert script.lines[0] == "MAIL FROM:<>"
    result, _, _ = delivered(PLAIN_EHLO, envelope=envelope, config=ClientConfig("c.example", strict_8bit=True))
    assert codes(result) == [554]


def test_rcptmax_is_kept_to() -> None:
    ehlo = "250-mx.example\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1 MAILMAX=x"
    result, script, _ = delivered(ehlo, "250 ok", "250 ok", "354 go", "250 ok")
    assert codes(result) == [250, 452]
    assert "RCPT TO:<c@mx.example>" not in script.lines


def test_many_recipients_go_in_groups() -> None:
    envelope = Envelope("", tuple(f"u{n}@mx.example" for n in range(250)))
    sent: list[int] = []
    client, script = opened("220 hi", EHLO, *["250 ok"] * 251, "354 go", "250 ok")
    steps = client.deliver(envelope, Content.of(MESSAGE))

    def answer(step: Any) -> Any:
        if not isinstance(step, Send):
            return script.replies.pop(0)
        sent.append(step.data.count(b"RCPT TO"))
        return None

    assert codes(run(steps, answer)) == [250] * 250
    assert [count for count in sent if count] == [99, 100, 51]


def test_a_recipient_named_twice_is_asked_for_once() -> None:
    envelope = Envelope("", ("b@mx.example", "b@mx.example"))
    result, script, _ = delivered(EHLO, "250 ok", "250 ok", "354 go", "250 ok", envelope=envelope)
    assert codes(result) == [250]
    assert script.heard.count(b"RCPT") == 1


# -- opening


def test_helo_where_ehlo_is_not_known() -> None:
    client, script = SmtpClient(CONFIG), Script("220 hi", "502 what", "250 mx.example")
    script.take(client.open())
    assert script.lines == ["EHLO client.example", "HELO client.example"]
    assert not client.offers.extended


OPENING = {
    "554 greeting": (["554 5.7.1 go away"], 554),
    "421 greeting": (["421 busy"], 421),
    "a greeting that is none": (["354 what"], 354),
    "EHLO later": (["220 hi", "451 later"], 451),
    "HELO refused": (["220 hi", "550 no", "550 no"], 550),
    "421 at EHLO": (["220 hi", "421 bye"], 421),
}


@pytest.mark.parametrize("replies, code", OPENING.values(), ids=OPENING.keys())
def test_not_let_in(replies: list[str], code: int) -> None:
    client = SmtpClient(CONFIG)
    with pytest.raises(Trouble) as trouble:
        Script(*replies).take(client.open())
    assert trouble.value.reply.code == code
    assert not client.usable


def test_offers() -> None:
    offers = Offers.of(
        Reply(250, "mx\nsize 12\nAUTH=LOGIN\nAUTH PLAIN\n\nLIMITS MAILMAX=2 RCPTMAX=20\nSTARTTLS\nSIZE 9")
    )
    assert offers.size == 12
    assert offers.mechanisms == ("LOGIN",)
    assert offers.most_recipients == 20
    assert "STARTTLS" in offers
    strange = Offers.of(Reply(250, "mx\nSIZE -1\nLIMITS RCPTMAX=1e9"))
    assert (strange.size, strange.most_recipients) == (0, 0)


TLS_EHLO = "250-mx.example\r\n250-STARTTLS\r\n250 SIZE 1000"


def test_starttls_begins_anew() -> None:
    client, script = SmtpClient(CONFIG), Script("220 hi", TLS_EHLO, "220 go", PLAIN_EHLO)
    script.take(client.open())
    assert script.lines == ["EHLO client.example", "STARTTLS", "EHLO client.example"]
    assert client.tls is not None
    assert "SIZE" not in client.offers


def test_tls_refused_or_not_offered_goes_on_in_the_clear() -> None:
    client, script = SmtpClient(CONFIG), Script("220 hi", TLS_EHLO, "454 not now")
    script.take(client.open())
    assert client.tls is None
    assert "SIZE" in client.offers
    client, script = SmtpClient(ClientConfig("client.example", CLEAR)), Script("220 hi", TLS_EHLO)
    script.take(client.open())
    assert b"STARTTLS" not in script.heard


@pytest.mark.parametrize("config", [ClientConfig("c.example", ENCRYPTED), ClientConfig("c.example", require_tls=True)])
@pytest.mark.parametrize("replies", [[PLAIN_EHLO], [TLS_EHLO, "454 not now"]], ids=["not offered", "refused"])
def test_tls_required(config: ClientConfig, replies: list[str]) -> None:
    with pytest.raises(TlsFailed) as failed:
        Script("220 hi", *replies).take(SmtpClient(config).open())
    assert failed.value.failure == "starttls-not-supported"


def test_a_failed_handshake_is_the_end() -> None:
    client, script = SmtpClient(CONFIG), Script("220 hi", TLS_EHLO, "220 go")
    script.upgrade = TlsFailed("certificate has expired", "certificate-expired")
    with pytest.raises(TlsFailed) as failed:
        script.take(client.open())
    assert failed.value.failure == "certificate-expired"
    assert not client.usable


# -- AUTH

NONCE = "0123456789abcdefghijkl"


def with_login(password: str = "pencil") -> ClientConfig:
    credentials = mox_sasl.Credentials("user", mox_sasl.Secret(password))
    return ClientConfig("c.example", auth=credentials, nonce=NONCE, auth_in_clear=True)


def test_auth_plain_and_no_secret_in_the_transcript() -> None:
    client, script = SmtpClient(with_login()), Script("220 hi", "250-mx\r\n250 AUTH PLAIN", "235 welcome")
    script.take(client.open())
    assert script.lines[-1] == "AUTH PLAIN " + base64.b64encode(b"\0user\0pencil").decode()
    assert "C: AUTH PLAIN ***" in client.transcript.lines
    assert not any("cGVu" in line for line in client.transcript.lines)


def test_auth_login() -> None:
    client = SmtpClient(with_login())
    script = Script("220 hi", "250-mx\r\n250 AUTH LOGIN", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 welcome")
    script.take(client.open())
    assert script.lines[-3:] == ["AUTH LOGIN", "dXNlcg==", "cGVuY2ls"]


def test_a_token_that_does_not_fit_into_a_line_is_sent_when_asked_for() -> None:
    for size, lines in ((10, 1), (2000, 2)):
        credentials = mox_sasl.Credentials("user", token=mox_sasl.Secret("t" * size))
        client = SmtpClient(
            ClientConfig("c.example", auth=credentials, auth_in_clear=True, host="mx.example", port=587)
        )
        asks = ["334 "] * (lines - 1)
        script = Script("220 hi", "250-mx\r\n250 AUTH PLAIN OAUTHBEARER", *asks, "235 welcome")
        script.take(client.open())
        said = script.lines[-lines:]
        assert said[0].startswith("AUTH OAUTHBEARER")
        assert all(len(line) <= 510 for line in said[:1])
        message = base64.b64decode(said[-1].rpartition(" ")[2])
        assert message == b"n,a=user,\x01host=mx.example\x01port=587\x01auth=Bearer " + b"t" * size + b"\x01\x01"
        assert client.logged_in == "OAUTHBEARER"


def test_a_refused_token() -> None:
    credentials = mox_sasl.Credentials("user", token=mox_sasl.Secret("t"))
    client = SmtpClient(ClientConfig("c.example", auth=credentials, auth_in_clear=True))
    error = base64.b64encode(b'{"status":"invalid_token"}').decode()
    script = Script("220 hi", "250-mx\r\n250 AUTH XOAUTH2 OAUTHBEARER", f"334 {error}", "535 5.7.8 no")
    with pytest.raises(Trouble, match="535"):
        script.take(client.open())
    assert script.lines[-1] == base64.b64encode(b"\x01").decode()


AUTH_TROUBLE = {
    "wrong password": ["250-mx\r\n250 AUTH PLAIN", "535 5.7.8 no"],
    "nothing we know": ["250-mx\r\n250 AUTH GSSAPI"],
    "not offered": [PLAIN_EHLO],
    "a challenge that is not base64": ["250-mx\r\n250 AUTH SCRAM-SHA-256", "334 !", "501 ok"],
    "a challenge that makes no sense": ["250-mx\r\n250 AUTH SCRAM-SHA-256", "334 eA==", "501 ok"],
    "a yes that comes too early": ["250-mx\r\n250 AUTH SCRAM-SHA-256", "235 welcome"],
}


@pytest.mark.parametrize("replies", AUTH_TROUBLE.values(), ids=AUTH_TROUBLE.keys())
def test_auth_trouble(replies: list[str]) -> None:
    client = SmtpClient(with_login())
    with pytest.raises(Trouble) as trouble:
        Script("220 hi", *replies).take(client.open())
    assert trouble.value.reply.code == 535


def test_quit_never_fails() -> None:
    client, script = opened("220 hi", EHLO)
    script.replies.append(Lost("gone"))
    script.take(client.quit())
    assert script.lines == ["QUIT"]
    assert not client.usable


def test_the_transcript_is_bounded() -> None:
    transcript = Transcript()
    for number in range(1000):
        transcript.note("S", f"{number} " + "x" * 1000)
    assert len(transcript.lines) == 121
    assert transcript.lines[60] == "… 880 lines …"
    assert transcript.lines[-1].startswith("S: 999 ")
    assert max(map(len, transcript.lines)) <= 303


def test_timeouts_are_named() -> None:
    client = SmtpClient(ClientConfig("client.example", timeouts=Timeouts(greeting=1, data_end=7)))
    step = next(client.open())
    assert step == Expect("greeting", 1)
