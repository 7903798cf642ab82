"""Greeting, capabilities, logins, STARTTLS, ENABLE, ID, LOGOUT."""

from __future__ import annotations

import base64

import pytest

from kit.imap_rooms import Room, numbered
from kit.play_imap import Client, play
from mox_imap import ImapConfig, ImapServer
from mox_imap.memory import MemoryBackend
from mox_sasl import Credentials, Secret, client


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_the_greeting_has_the_capabilities() -> None:
    room = Room()
    greeting = Client(ImapServer(room.config, room.backend, now=0.0)).said
    assert len(greeting) == 1
    assert greeting[0].startswith("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL+ ")
    assert "AUTH=SCRAM-SHA-256" in greeting[0]
    assert "LOGINDISABLED" not in greeting[0]


@pytest.mark.parametrize(
    "tls, starttls, has, has_not",
    [
        (False, True, {"STARTTLS", "LOGINDISABLED"}, {"AUTH=PLAIN"}),
        (True, True, {"AUTH=PLAIN", "AUTH=SCRAM-SHA-256"}, {"STARTTLS", "LOGINDISABLED"}),
        (False, False, {"LOGINDISABLED"}, {"STARTTLS", "AUTH=PLAIN"}),
    ],
)
def test_capabilities_before_login(tls: bool, starttls: bool, has: set[str], has_not: set[str]) -> None:
    room = Room(plaintext_login=False, starttls=starttls)
    words = set(room.session(tls=tls).ask("a CAPABILITY")[0].split())
    assert has <= words
    assert not has_not & words


def test_what_is_announced_depends_on_the_backend() -> None:
    assert "CONDSTORE" in Room(modseqs=True).session().ask("a CAPABILITY")[0]
    assert "CONDSTORE" not in Room(modseqs=False).session().ask("a CAPABILITY")[0]


def test_login() -> None:
    room = play({"": Room().session()}, """
        C: a SELECT Inbox
        S: a BAD SELECT cannot be said now
        C: b LOGIN ann wrong
        S: b NO [AUTHENTICATIONFAILED]
        C: c LOGIN nobody secret
        S: c NO [AUTHENTICATIONFAILED]
        C: d LOGIN "ann" {6+}
        C: secret
        S: d OK [CAPABILITY IMAP4rev2
        C: e LOGIN ann secret
        S: e BAD LOGIN cannot be said now
        C: f SELECT inbox
        S: f OK
    """)[""]  # fmt: skip
    assert room.session.state.name == "SELECTED"  # type: ignore[attr-defined]


def test_no_login_in_the_clear() -> None:
    play({"": Room(plaintext_login=False).session()}, """
        C: a LOGIN ann secret
        S: a NO [PRIVACYREQUIRED]
        C: b AUTHENTICATE PLAIN
        S: b NO [PRIVACYREQUIRED]
    """)  # fmt: skip


def test_too_many_failed_logins_end_the_session() -> None:
    script = "".join(f"C: a{n} LOGIN ann no\nS: a{n} NO\n" for n in range(4))
    play({"": Room().session()}, script + "C: b LOGIN ann no\nS: * BYE\nS: closed")


@pytest.mark.parametrize(
    "said, answer",
    [
        ("\0ann\0secret", "OK"),
        ("ann\0ann\0secret", "OK"),
        ("bob\0ann\0secret", "NO"),  # nobody acts for another
        ("\0ann\0wrong", "NO"),
        ("ann secret", "NO"),
        ("", "NO"),
    ],
)
def test_plain(said: str, answer: str) -> None:
    room = Room()
    initial = room.session()
    assert initial.ask(f"a AUTHENTICATE PLAIN {b64(said.encode()) or '='}")[-1].startswith(f"a {answer}")
    asked = room.session()
    assert asked.ask("a AUTHENTICATE PLAIN") == ["+ "]
    assert asked.ask(b64(said.encode()))[-1].startswith(f"a {answer}")


def test_scram() -> None:
    room = Room()
    for password, answer in (("secret", "a OK"), ("wrong", "a NO")):
        session = room.session()
        mechanism = client("SCRAM-SHA-256", Credentials("ann", Secret(password)), nonce="c" * 24)
        first = mechanism.start()
        assert first is not None
        said = session.ask(f"a AUTHENTICATE SCRAM-SHA-256 {b64(first)}")[-1]
        while said.startswith("+ "):
            said = session.ask(b64(mechanism.step(base64.b64decode(said[2:]))))[-1]
        assert said.startswith(answer)


def test_authenticate_can_be_given_up() -> None:
    play({"": Room().session()}, """
        C: a AUTHENTICATE PLAIN
        S: +
        C: *
        S: a BAD
        C: b AUTHENTICATE PLAIN
        S: +
        C: not base64
        S: b BAD
        C: c AUTHENTICATE NTLM
        S: c NO [CANNOT]
        C: d AUTHENTICATE PLAIN not!base64
        S: d BAD
        C: e LOGIN ann secret
        S: e OK
    """)  # fmt: skip


def test_starttls() -> None:
    room = Room(plaintext_login=False, starttls=True)
    client = room.session()
    assert client.ask("a STARTTLS") == ["a OK go ahead"]
    session = client.session
    assert isinstance(session, ImapServer)
    assert session.wants_tls
    session.tls_started()
    assert "AUTH=PLAIN" in client.ask("b CAPABILITY")[0]
    assert client.ask("c STARTTLS")[0].startswith("c BAD")
    assert client.ask("d LOGIN ann secret")[0].startswith("d OK")


@pytest.mark.parametrize("cut", [0, 11])
def test_nothing_slips_in_before_the_handshake(cut: int) -> None:
    client = Room(plaintext_login=False, starttls=True).session()
    data = b"a STARTTLS\r\nb LOGIN ann secret\r\n"
    if cut:
        client.hear(data[: cut + 1])
        client.hear(data[cut + 1 :])
    else:
        client.hear(data)
    assert any(line.startswith("* BYE") for line in client.said)
    assert client.session.ended
    assert not any("b " in line[:2] for line in client.said)


def test_id_enable_namespace() -> None:
    play({"": Room().logged_in()}, """
        C: a ID NIL
        S: * ID ("name" "moxd")
        S: a OK
        C: b ID ("name" "client" "version" NIL)
        S: b OK
        C: c ENABLE UTF8=ACCEPT X-NO
        S= * ENABLED UTF8=ACCEPT
        S: c OK
        C: d ENABLE IMAP4rev2
        S= * ENABLED IMAP4rev2
        S: d OK
        C: e ENABLE IMAP4rev2
        S= * ENABLED
        S: e OK
        C: f ENABLE
        S: f BAD
        C: g NAMESPACE
        S= * NAMESPACE (("" "/")) NIL NIL
        S: g OK
        C: h NOOP now
        S: h BAD
        C: i NONSENSE
        S: i BAD no such command
        C: j LOGOUT
        S: * BYE
        S: j OK
        S: closed
    """)  # fmt: skip


def test_lines_that_are_no_commands() -> None:
    play({"": Room().session()}, r"""
        C:
        S: * BAD
        C: (((
        S: * BAD
        C: a
        S: a BAD
        C> b"b NOOP\n"
        S: b OK
        C> b"c \xff\xfe\r\n"
        S: c BAD
        C> b"d NOOP\x00\r\n"
        S: d BAD
    """)  # fmt: skip


def test_many_errors_before_login_end_the_session() -> None:
    client = Room(bad_commands=3).session()
    client.hear(b"x\r\n" * 3)
    assert client.said[-1] == "* BYE too many errors"
    assert client.session.ended


def test_idle_timeouts() -> None:
    room = numbered(0)
    new = room.session().session
    assert isinstance(new, ImapServer)
    assert new.deadline() == room.config.login_seconds
    client = room.logged_in()
    session = client.session
    assert isinstance(session, ImapServer)
    assert session.deadline() >= 1800  # RFC 9051 5.4
    session.on_timeout()
    client.look()
    assert client.said[0].startswith("* BYE")


def test_a_login_may_take_its_time() -> None:
    room = Room()
    room.backend.hold()
    client = room.session()
    client.hear(b"a LOGIN ann secret\r\nb NOOP\r\n")
    assert client.said == []
    assert client.session.waiting is not None
    room.backend.settle()
    client.pump()
    assert [line[:4] for line in client.said] == ["a OK", "b OK"]


def test_a_backend_that_gives_up_is_answered() -> None:
    class Broken(MemoryBackend):
        def password(self, name, password, peer):  # type: ignore[no-untyped-def]
            return Cancelled()

    client = Client(ImapServer(ImapConfig(plaintext_login=True), Broken(), now=0.0))
    client.said.clear()
    assert client.ask("a LOGIN ann secret") == ["a NO [UNAVAILABLE] it was given up"]


class Cancelled:
    """A Pending that was cancelled, as asyncio does it."""

    def done(self) -> bool:
        return True

    def result(self) -> object:
        raise KeyboardInterrupt  # a BaseException, like CancelledError

    def add_done_callback(self, callback, /):  # type: ignore[no-untyped-def]
        callback(self)
