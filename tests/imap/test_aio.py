"""The driver over real sockets: TLS, back-pressure, IDLE, limits, drain; on asyncio and on uvloop."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from kit.certificate import certificate
from kit.imap_rooms import CLOCK, message
from kit.imap_server import Running, running
from mox_imap import ImapConfig, aio
from mox_imap.memory import MemoryBackend

LOOPS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="uvloop is for Linux here")),
]


@pytest.fixture
def backend() -> MemoryBackend:
    found = MemoryBackend(clock=lambda: CLOCK)
    found.add("ann", "secret").deliver("Inbox", message())
    return found


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def uvloop(request: pytest.FixtureRequest) -> bool:
    if request.param:
        pytest.importorskip("uvloop")
    return bool(request.param)


@pytest.fixture
def server(backend: MemoryBackend, uvloop: bool) -> Iterator[Running]:
    with running(backend, ImapConfig(plaintext_login=True, modseqs=True), uvloop=uvloop) as found:
        yield found


class Talk:
    """A client that says what it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(10)
        self.file = sock.makefile("rb")

    def line(self) -> str:
        return self.file.readline().decode().rstrip("\r\n")

    def ask(self, text: str) -> list[str]:
        """Sends a command and reads up to its tagged answer."""
        self.sock.sendall(text.encode() + b"\r\n")
        said = [self.line()]
        while said[-1] and not said[-1].startswith((text.split(" ")[0] + " ", "+ ")):
            said.append(self.line())
        return said

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@pytest.fixture
def talk(server: Running) -> Iterator[Talk]:
    found = connect(server)
    yield found
    found.close()


def connect(server: Running) -> Talk:
    found = Talk(socket.create_connection(("127.0.0.1", server.port)))
    assert found.line().startswith("* OK [CAPABILITY")
    return found


def test_a_session(talk: Talk) -> None:
    assert talk.ask("a LOGIN ann secret")[-1].startswith("a OK")
    assert "* 1 EXISTS" in talk.ask("b SELECT Inbox")
    assert talk.ask("c FETCH 1 (UID FLAGS)")[0] == "* 1 FETCH (UID 1 FLAGS (\\Recent))"
    assert talk.ask("d LOGOUT")[-1].startswith("d OK")
    assert talk.line() == ""


def test_octet_by_octet(talk: Talk) -> None:
    for octet in b"a LOGIN ann {6+}\r\nsecret\r\n":
        talk.sock.sendall(bytes([octet]))
    assert talk.line().startswith("a OK")


def test_idle_hears_at_once(server: Running, backend: MemoryBackend, talk: Talk) -> None:
    talk.ask("a LOGIN ann secret")
    talk.ask("b SELECT Inbox")
    assert talk.ask("c IDLE") == ["+ idling"]
    start = time.monotonic()
    server.call(lambda: backend.accounts["ann"].deliver("Inbox", message()))
    assert talk.line() == "* 2 EXISTS"
    assert talk.line() == "* 2 RECENT"
    assert time.monotonic() - start < 1
    talk.sock.sendall(b"DONE\r\n")
    assert talk.line() == "c OK IDLE done"


def test_writes_that_wait(server: Running, backend: MemoryBackend, talk: Talk) -> None:
    talk.ask("a LOGIN ann secret")
    talk.ask("b SELECT Inbox")
    server.call(backend.hold)
    talk.sock.sendall(b"c STORE 1 +FLAGS (\\Seen)\r\n")
    time.sleep(0.05)
    talk.sock.sendall(b"d NOOP\r\ne NOOP\r\n")  # arrives while the write waits
    time.sleep(0.05)
    server.call(backend.settle)
    assert [talk.line() for _ in range(4)] == [
        "* 1 FETCH (FLAGS (\\Seen \\Recent))",
        "c OK STORE done",
        "d OK NOOP done",
        "e OK NOOP done",
    ]


def test_a_client_that_does_not_read(server: Running, backend: MemoryBackend) -> None:
    server.call(lambda: backend.accounts["ann"].deliver("Inbox", b"Subject: big\r\n\r\n" + b"x" * 20_000_000))
    slow, other = connect(server), connect(server)
    for one in (slow, other):
        one.ask("a LOGIN ann secret")
        one.ask("b SELECT Inbox")
    slow.sock.sendall(b"c FETCH 2 BODY.PEEK[]\r\n")
    time.sleep(0.3)
    [session] = [one for one in server.server.sessions if one._full]
    assert session._transport is not None
    assert session._transport.get_write_buffer_size() < 4 * aio.server.WRITE_HIGH
    assert other.ask("c NOOP") == ["c OK NOOP done"]
    total = 0
    while total < 20_000_000:
        total += len(slow.file.read1(1 << 20))
    slow.close()
    other.close()


def test_a_client_that_goes_away(server: Running, backend: MemoryBackend) -> None:
    for said in (b"", b"a LOG", b"a LOGIN ann secret\r\nb SELECT Inbox\r\nc IDLE\r\n", b"a APPEND x {100000}\r\n"):
        one = connect(server)
        one.sock.sendall(said)
        one.close()
    deadline = time.monotonic() + 5
    while server.server.sessions and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not server.server.sessions
    assert not backend.accounts["ann"]._boxes["Inbox"].open


def test_the_last_word_arrives(server: Running) -> None:
    one = connect(server)
    one.sock.sendall(b"x" * 2_000_000)  # more than is read before the end
    said = one.file.read()
    assert b"* BYE" in said
    one.close()


def test_too_many(backend: MemoryBackend) -> None:
    with running(backend, ImapConfig(plaintext_login=True)) as server:
        server.server.most = 1
        first = connect(server)
        second = Talk(socket.create_connection(("127.0.0.1", server.port)))
        assert second.line().startswith("* BYE too many connections")
        assert second.line() == ""
        first.close()
        second.close()


def test_drain(backend: MemoryBackend) -> None:
    with running(backend, ImapConfig(plaintext_login=True)) as server:
        idle, quiet = connect(server), connect(server)
        idle.ask("a LOGIN ann secret")
        idle.ask("b IDLE")
    assert idle.line() == "* BYE closing down"
    assert quiet.line() == "* BYE closing down"
    idle.close()
    quiet.close()


def test_silence_ends(backend: MemoryBackend) -> None:
    with running(backend, ImapConfig(plaintext_login=True, login_seconds=0.2)) as server:
        one = connect(server)
        assert one.line().startswith("* BYE autologout")
        one.close()


def test_a_bug_ends_one_session_only(server: Running, backend: MemoryBackend, talk: Talk) -> None:
    def broken() -> list[object]:
        raise RuntimeError("a bug")

    talk.ask("a LOGIN ann secret")
    account = backend.accounts["ann"]
    account.subscriptions = broken  # type: ignore[method-assign,assignment]
    other = connect(server)
    other.ask("a LOGIN ann secret")
    assert other.ask('b LIST "" *') == ["* BYE [SERVERBUG] something went wrong here", ""]
    other.close()
    assert talk.ask("b NOOP") == ["b OK NOOP done"]


# -- TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    return server, client


def test_implicit_tls(backend: MemoryBackend, uvloop: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    with running(backend, ImapConfig(), tls=ours, implicit=True, uvloop=uvloop) as server:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        one = Talk(theirs.wrap_socket(raw, server_hostname="localhost"))
        assert "AUTH=PLAIN" in one.line()
        assert one.ask("a LOGIN ann secret")[-1].startswith("a OK")
        assert one.ask("b LOGOUT")[-1].startswith("b OK")
        one.close()


def test_starttls(backend: MemoryBackend, uvloop: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    with running(backend, ImapConfig(starttls=True), tls=ours, uvloop=uvloop) as server:
        plain = Talk(socket.create_connection(("127.0.0.1", server.port)))
        assert "LOGINDISABLED" in plain.line()
        assert plain.ask("a STARTTLS")[-1] == "a OK go ahead"
        one = Talk(theirs.wrap_socket(plain.sock, server_hostname="localhost"))
        assert one.ask("b LOGIN ann secret")[-1].startswith("b OK")
        assert "* 1 EXISTS" in one.ask("c SELECT Inbox")
        plain.file.close()
        one.close()


def test_nothing_slips_in_before_tls(
    backend: MemoryBackend, uvloop: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with running(backend, ImapConfig(starttls=True), tls=contexts[0], uvloop=uvloop) as server:
        plain = connect(server)
        plain.sock.sendall(b"a STARTTLS\r\nb NOOP\r\n")
        assert b"BYE" in plain.file.read()
        plain.close()


def test_a_failed_handshake(
    backend: MemoryBackend, uvloop: bool, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with running(backend, ImapConfig(starttls=True), tls=contexts[0], uvloop=uvloop) as server:
        plain = connect(server)
        assert plain.ask("a STARTTLS")[-1] == "a OK go ahead"
        plain.sock.sendall(b"this is no handshake\r\n" * 10)
        plain.file.read()
        plain.close()
        again = connect(server)
        assert again.ask("a NOOP") == ["a OK NOOP done"]
        again.close()


class Preface:
    """mox_imap.aio.Preamble: one line that names an address."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def wanted(self) -> int:
        return 1

    def feed(self, data: bytes) -> aio.Origin | None:
        self.data += data
        return aio.Origin(ip_address(self.data.strip().decode())) if data == b"\n" else None


def test_a_preamble_says_who_it_is(backend: MemoryBackend, uvloop: bool) -> None:
    """It is read to its last octet and no further, and the session is told the address."""
    seen = []

    class Logins(MemoryBackend):
        def allowed(self, peer: Any) -> bool:
            seen.append(peer)
            return True

    logins = Logins()
    config = ImapConfig(plaintext_login=True)
    with running(logins, config, uvloop=uvloop, preamble=lambda peer: Preface()) as server:
        talk = Talk(socket.create_connection(("127.0.0.1", server.port)))
        talk.sock.sendall(b"203.0.113.7\r\na LOGIN nobody wrong\r\n")
        assert talk.line().startswith("* OK")
        assert talk.line().startswith("a NO")
        assert seen[0] == ip_address("203.0.113.7")
        talk.close()
        talk = Talk(socket.create_connection(("127.0.0.1", server.port)))
        talk.sock.sendall(b"a NOOP\r\n")  # no address
        with contextlib.suppress(ConnectionResetError):
            assert talk.line() == ""
        talk.close()
