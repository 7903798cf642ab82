"""Both halves at one table: whatever is offered and wherever the bytes are cut, what goes in at one end comes out at the
other, once, octet for octet.

RFC 5321 3.3; RFC 6152 (8BITMIME as it is needed); RFC 8689 4.2; RFC 2033 4.2; RFC 3461 6.2."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mox_sasl
from kit.smtp_table import Mailbox, Table
from mox_message import Content
from mox_smtp import (
    Body,
    ClientConfig,
    DeliverBy,
    Delivered,
    Envelope,
    Limits,
    MailFrom,
    MailOptions,
    MessageEnd,
    Needs,
    Notify,
    OriginalRecipient,
    RcptOptions,
    RcptTo,
    Refusal,
    Reply,
    Ret,
    ServerConfig,
    SmtpServer,
    Trouble,
)
from mox_smtp.client import Expect, Lost, Offers, Send

ENVELOPE = Envelope("a@client.example", ("b@mx.example", "c@mx.example"))
NONCE = "0123456789abcdefghijkl"


def codes(result: Delivered) -> list[int]:
    return [reply.code for reply in result.replies.values()]


def without(offers: Offers, *names: str) -> Offers:
    """A server that offers less."""
    return Offers(True, {key: value for key, value in offers.keywords.items() if key not in names})


LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b".x", b"text", b"x" * 998, b"\xff\xfe", b"x" * 70000]), max_size=12
)
CUTS = st.lists(st.integers(0, 5000), max_size=8)
HIDDEN = st.sets(st.sampled_from(["PIPELINING", "CHUNKING", "SIZE", "8BITMIME", "DSN", "LIMITS"]))


@settings(max_examples=150, deadline=None)
@given(LINES, CUTS, HIDDEN, st.booleans(), st.booleans())
def test_client_and_server_understand_each_other(
    lines: list[bytes], pieces: list[int], hidden: set[str], lmtp: bool, open_end: bool
) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    if open_end:
        message += b"no line end"
    mailbox = Mailbox()
    config = ServerConfig("mx.example", starttls=True, lmtp=lmtp, dsn=True)
    table = Table(config, mailbox, ClientConfig("client.example", lmtp=lmtp), pieces, tls=False)
    table.drive(table.client.open())
    assert table.server.tls
    table.client.offers = without(table.client.offers, *hidden)
    envelope = Envelope("a@b.example", ("b@mx.example", "no@mx.example", "c@mx.example"))
    for _ in range(2):
        result = table.drive(table.client.deliver(envelope, Content.of(message)))
        assert codes(result) == [250, 550, 250]
        assert not result.uncertain
    # With DATA a last line without its end cannot be said (RFC 5321 4.1.1.4), with BDAT it can.
    whole = message if "CHUNKING" not in hidden or not open_end else message + b"\r\n"
    assert mailbox.taken == [whole, whole]
    table.drive(table.client.quit())
    assert table.server.ended


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), CUTS)
def test_any_octets_go_through_as_binarymime(message: bytes, pieces: list[int]) -> None:
    mailbox = Mailbox()
    table = Table(ServerConfig("mx.example", binarymime=True), mailbox, ClientConfig("c.example"), pieces, tls=False)
    table.drive(table.client.open())
    content = Content.of(message)
    envelope = Envelope.of("a@b.example", ("b@mx.example",), content)
    assert codes(table.drive(table.client.deliver(envelope, content))) == [250]
    assert mailbox.taken == [message]
    table.client.offers = without(table.client.offers, "BINARYMIME")
    result = table.drive(table.client.deliver(envelope, content))
    assert codes(result) == ([554] if envelope.binary else [250])


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 60), st.booleans(), st.booleans(), st.sampled_from([421, 451, 550, 0]), CUTS)
def test_trouble_at_any_step(at: int, chunking: bool, lmtp: bool, code: int, pieces: list[int]) -> None:
    """The n-th answer of the server is a refusal, or the connection breaks there: every recipient is told something,
    a good reply only where the message was taken, and a doubt is said to be one."""
    mailbox = Mailbox()
    count = 0

    def policy(event: Any) -> Any:
        nonlocal count
        count += 1
        if count == at and code and not isinstance(event, SmtpServer):
            if isinstance(event, MessageEnd):
                mailbox.chunks.clear()
            return Reply(code, "trouble", f"{code // 100}.0.0")
        return mailbox(event)

    config = ServerConfig("mx.example", chunking=chunking, lmtp=lmtp)
    table = Table(config, policy, ClientConfig("client.example", lmtp=lmtp), pieces, tls=False)

    def drive(steps: Any) -> Any:
        """As the table does it, but the connection may break at a step."""
        answer: Any = None
        steps_taken = 0
        try:
            step = next(steps)
            while True:
                steps_taken += 1
                if not code and steps_taken == at:
                    step = steps.throw(Lost("cut"))
                    continue
                if isinstance(step, Send):
                    table.from_client += step.data
                    answer = None
                elif table.server.ended and not table.stage.said and not table.from_client:
                    step = steps.throw(Lost("closed"))
                    continue
                else:
                    assert isinstance(step, Expect)
                    answer = table._reply()
                step = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    try:
        drive(table.client.open())
    except Trouble:
        assert not mailbox.taken
        return
    result: Delivered = drive(table.client.deliver(ENVELOPE, Content.of(b"x\r\n")))
    assert set(result.replies) == set(ENVELOPE.recipients)
    good = [reply.good for reply in result.replies.values()]
    assert not any(good) or mailbox.taken == [b"x\r\n"]
    assert result.uncertain or any(good) or not mailbox.taken
    assert result.trouble is None or not table.client.usable


def test_too_big_between_the_halves() -> None:
    for chunking in (True, False):
        config = ServerConfig("mx.example", Limits(message=100), chunking=chunking)
        table = Table(config, Mailbox(), ClientConfig("client.example"), [], tls=False)
        table.drive(table.client.open())
        result = table.drive(table.client.deliver(ENVELOPE, Content.of(b"x" * 200 + b"\r\n")))
        assert result.local
        table.client.offers = without(table.client.offers, "SIZE")
        result = table.drive(table.client.deliver(ENVELOPE, Content.of(b"x" * 200 + b"\r\n")))
        assert codes(result) == [552, 552]
        assert table.client.usable


def with_login(password: str) -> ClientConfig:
    return ClientConfig(
        "c.example", auth=mox_sasl.Credentials("user", mox_sasl.Secret(password)), nonce=NONCE, already_tls=True
    )


@pytest.mark.parametrize("password, welcome", [("pencil", True), ("wrong", False)])
@pytest.mark.parametrize("plus", [False, True])
def test_scram_between_the_halves(password: str, welcome: bool, plus: bool) -> None:
    from mox_smtp import Tls

    binding = mox_sasl.ChannelBinding("tls-unique", b"x" * 12, "TLSv1.2")
    config = ServerConfig("mx.example", auth=("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"), auth_needed=True)
    mailbox = Mailbox()
    table = Table(config, mailbox, with_login(password), [], tls=True)
    if plus:
        mailbox.binding = binding
        table.server.binding = binding
        table.client.begun(Tls("TLSv1.2", "X", binding=binding))
    if welcome:
        table.drive(table.client.open())
        assert table.client.logged_in == ("SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256")
    else:
        with pytest.raises(Trouble):
            table.drive(table.client.open())
    assert table.server.authenticated is welcome


# -- what is asked for beside the address

ASKED = MailOptions(ret=Ret.HDRS, envid="id=1", priority=3, by=DeliverBy(3600, give_back=False))
WISHES = {
    "b@mx.example": RcptOptions(frozenset({Notify.SUCCESS, Notify.DELAY}), OriginalRecipient("rfc822", "B@old.example"))
}


def meet(config: ServerConfig, client: ClientConfig = ClientConfig("c.example")) -> tuple[Table, list[Any]]:  # noqa: B008 frozen
    seen: list[Any] = []
    mailbox = Mailbox()

    def policy(event: Any) -> Any:
        seen.append(event)
        if isinstance(event, MessageEnd) and config.lmtp:
            return (Reply(250, "b has it", "2.0.0"), Refusal(452, "c is full", "4.2.2"))
        return mailbox(event)

    table = Table(config, policy, client, [], tls=False)
    table.drive(table.client.open())
    return table, seen


def test_wishes_are_passed_on_where_they_are_offered() -> None:
    envelope = Envelope("a@b.example", ENVELOPE.recipients, options=ASKED, rcpt_options=WISHES)
    table, seen = meet(ServerConfig("mx.example", dsn=True, mt_priority="", deliver_by=0))
    result = table.drive(table.client.deliver(envelope, Content.of(b"x\r\n")))
    mail = next(event.options for event in seen if isinstance(event, MailFrom))
    assert (mail.ret, mail.envid, mail.priority, mail.by) == (Ret.HDRS, "id=1", 3, DeliverBy(3600, give_back=False))
    assert [event.options for event in seen if isinstance(event, RcptTo)] == [WISHES["b@mx.example"], RcptOptions()]
    assert result.dsn
    table, seen = meet(ServerConfig("mx.example"))
    result = table.drive(table.client.deliver(envelope, Content.of(b"x\r\n")))
    assert codes(result) == [250, 250]
    assert next(event.options for event in seen if isinstance(event, MailFrom)) == MailOptions(size=3)
    assert not result.dsn


DENIED = {
    "REQUIRETLS in the clear": (MailOptions(require_tls=True), "5.7.10"),
    "HOLDFOR": (MailOptions(hold_for=60), "5.3.3"),
    "BY with R": (MailOptions(by=DeliverBy(60, give_back=True)), "5.3.3"),
}


@pytest.mark.parametrize("options, enhanced", DENIED.values(), ids=DENIED.keys())
def test_what_cannot_be_had_is_not_sent(options: MailOptions, enhanced: str) -> None:
    table, seen = meet(ServerConfig("mx.example"))
    result = table.drive(table.client.deliver(Envelope("", ("b@mx.example",), options=options), Content.of(b"x\r\n")))
    assert result.local
    assert [reply.enhanced for reply in result.replies.values()] == [enhanced]
    assert not any(isinstance(event, MailFrom) for event in seen)


def test_requiretls_needs_proof_and_the_offer() -> None:
    from mox_smtp import Proof, Tls

    envelope = Envelope("", ("b@mx.example",), options=MailOptions(require_tls=True))
    for proof, offered, want in ((Proof("pkix"), True, 250), (Proof("pkix"), False, 550), (Proof(), True, 550)):
        client = ClientConfig("c.example", already_tls=True)
        table = Table(ServerConfig("mx.example", requiretls=offered), Mailbox(), client, [], tls=True)
        table.client.begun(Tls("TLSv1.3", "X", proof))
        table.drive(table.client.open())
        assert codes(table.drive(table.client.deliver(envelope, Content.of(b"x\r\n")))) == [want]


def test_lmtp_tells_each_recipient_apart() -> None:
    table, _ = meet(ServerConfig("mx.example", lmtp=True), ClientConfig("c.example", lmtp=True))
    result = table.drive(table.client.deliver(ENVELOPE, Content.of(b"x\r\n")))
    assert codes(result) == [250, 452]
    assert "replies" in result.to_dict()
    assert "c@mx.example: 452 4.2.2 c is full" in result.explain()


def test_mailmax_is_kept_to() -> None:
    table, _ = meet(ServerConfig("mx.example", Limits(transactions=2)))
    table.drive(table.client.deliver(ENVELOPE, Content.of(b"x\r\n")))
    assert table.client.usable
    table.drive(table.client.deliver(ENVELOPE, Content.of(b"x\r\n")))
    assert not table.client.usable


def test_no_password_in_the_clear() -> None:
    config = ServerConfig("mx.example", auth=("PLAIN",), auth_in_clear=True)
    client = ClientConfig("c.example", auth=mox_sasl.Credentials("user", mox_sasl.Secret("pencil")), nonce=NONCE)
    table = Table(config, Mailbox(), client, [], tls=False)
    with pytest.raises(Trouble, match="without TLS"):
        table.drive(table.client.open())


# -- what a message needs

NEEDS = {
    "nothing": (b"Subject: x\r\n\r\nbody\r\n", (), Needs()),
    "an eight-bit body": (b"Subject: x\r\n\r\nb\xc3\xb6dy\r\n", (), Needs(eightbit=True)),
    "a header field": (b"Subject: \xc3\xa9\r\n\r\nbody\r\n", (), Needs(True, True)),
    "a part's header field": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; name=\xc3\xa9\r\n\r\n\r\n--x--\r\n",
        (), Needs(True, True),
    ),
    "an address": (b"Subject: x\r\n\r\n", ("\u00e9@b.example",), Needs(smtputf8=True)),
    "a bare LF": (b"Subject: x\r\n\r\na\nb\r\n", (), Needs(fault="bare LF")),
    "a bare CR at the end": (b"\r\na\r", (), Needs(fault="bare CR")),
    "a NUL": (b"\r\na\0\r\n", (), Needs(fault="NUL")),
    "an empty message": (b"", (), Needs()),
}  # fmt: skip


@pytest.mark.parametrize("message, addresses, want", NEEDS.values(), ids=NEEDS.keys())
def test_needs(message: bytes, addresses: tuple[str, ...], want: Needs) -> None:
    assert Needs.of(Content.of(message), addresses) == want
    envelope = Envelope.of("", addresses or ("b@mx.example",), Content.of(message))
    assert (envelope.smtputf8, envelope.eightbit, envelope.binary) == (want.smtputf8, want.eightbit, bool(want.fault))
    assert Body.SEVEN_BIT.value == "7BIT"
