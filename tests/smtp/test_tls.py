"""STARTTLS and TLS from the start, over real sockets, on both loops: however quick the client is, nothing is lost and
nothing is taken from before the handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="cryptography is not installed: no certificate for TLS")

import mox_sasl
from kit.certificates import make
from mox_message import Content
from mox_smtp import (
    ENCRYPTED,
    AuthResponse,
    AuthStart,
    ClientConfig,
    Envelope,
    MailFrom,
    MessageEnd,
    Reply,
    ServerConfig,
)
from mox_smtp.aio import Connection, connect, serve


def run_on_asyncio(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def run_on_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    try:
        import uvloop
    except ImportError:
        main.close()
        pytest.skip("uvloop is not installed")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


LOOPS = pytest.mark.parametrize("run", [run_on_asyncio, run_on_uvloop], ids=["asyncio", "uvloop"])
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Policy:
    """Keeps who sent; lets `user` in with `pencil` by SCRAM."""

    senders: list[str]
    verifier = mox_sasl.derive("SCRAM-SHA-256", "pencil", b"0123456789abcdef")

    def __init__(self, connection: Connection, senders: list[str], logged_in: list[str]) -> None:
        self.connection, self.senders, self.logged_in = connection, senders, logged_in
        self.exchange: mox_sasl.Mechanism | None = None

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        return self.verifier if name == "user" else None

    def nonce(self) -> str:
        return "zyxwvutsrqponmlkjihgfe"

    def secret(self) -> bytes:
        return b"secret"

    def answer(self, event: Any) -> Any:
        match event:
            case MailFrom(path):
                self.senders.append(str(path))
            case MessageEnd():
                return Reply(250, "taken", "2.0.0")
            case AuthStart(name, initial):
                binding = self.connection.session.binding
                self.exchange = mox_sasl.server(name, self, binding=binding, plus_offered=binding is not None)
                return self.outcome(self.exchange.start(initial))
            case AuthResponse(data):
                assert self.exchange is not None
                return self.outcome(self.exchange.step(data))
        return None

    def outcome(self, outcome: mox_sasl.Outcome) -> Any:
        if isinstance(outcome, mox_sasl.Challenge):
            return outcome
        if isinstance(outcome, mox_sasl.Success):
            assert self.exchange is not None
            self.logged_in.append(self.exchange.name)
            return None
        return Reply(535, "no", "5.7.8")

    def closed(self, why: str) -> None:
        pass


class World:
    """A server on the running loop."""

    def __init__(self, folder: Path, *, implicit: bool, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self.implicit = implicit
        self.context = make("mx.example", names=["mx.example"]).server_context(folder)
        self.context.maximum_version = highest
        self.senders: list[str] = []
        self.logged_in: list[str] = []
        self.port = 0

    async def __aenter__(self) -> World:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        auth = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
        config = ServerConfig("mx.example", starttls=not self.implicit, auth=auth)
        self.server = await serve(
            lambda connection: Policy(connection, self.senders, self.logged_in),
            sock, config, self.context, implicit_tls=self.implicit,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.drain(0.2)
        await asyncio.sleep(0.01)

    async def connect(self, **options: Any) -> Any:
        config = ClientConfig("client.example", **{"trust": ENCRYPTED, **options})
        return await connect(["127.0.0.1"], "mx.example", config, port=self.port, implicit_tls=self.implicit)


@LOOPS
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "TLS"])
def test_fifty_connections_one_after_the_other(run: Run, implicit: bool, tmp_path: Path) -> None:
    """A client on the same loop is as quick as can be."""

    async def talk() -> None:
        async with World(tmp_path, implicit=implicit) as world:
            for number in range(50):
                connection = await world.connect()
                assert connection.client.tls.version == "TLSv1.3"
                envelope = Envelope(f"a{number}@b.example", ("c@mx.example",))
                delivered = await connection.deliver(envelope, Content.of(b"x\r\n"))
                assert delivered.replies["c@mx.example"].code == 250
                await connection.quit()
            assert len(world.senders) == 50

    run(talk())


@LOOPS
def test_many_at_once(run: Run, tmp_path: Path) -> None:
    async def one(world: World) -> None:
        connection = await world.connect()
        await connection.deliver(Envelope("a@b.example", ("c@mx.example",)), Content.of(b"x" * 100_000 + b"\r\n"))
        await connection.quit()

    async def talk() -> None:
        async with World(tmp_path, implicit=False) as world:
            await asyncio.gather(*(one(world) for _ in range(20)))
            assert len(world.senders) == 20

    run(talk())


@LOOPS
@pytest.mark.parametrize("pause", [0, 0.05], ids=["in one piece", "in two"])
def test_nothing_is_taken_from_before_the_handshake(run: Run, pause: float, tmp_path: Path) -> None:
    async def talk() -> bytes:
        async with World(tmp_path, implicit=False) as world:
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            await reader.readline()
            writer.write(b"EHLO a\r\n")
            while not (await reader.readline()).startswith(b"250 "):
                pass
            writer.write(b"STARTTLS\r\n")
            if pause:
                await asyncio.sleep(pause)
            writer.write(b"EHLO a\r\nMAIL FROM:<injected@b.example>\r\n")
            said = b""
            try:
                async with asyncio.timeout(5):
                    said = await reader.read()
            except ConnectionResetError:
                pass
            writer.close()
            assert world.senders == []
            return said

    said = run(talk())
    # Noticed by us, or by TLS, to which it is no hello.
    assert b"451 4.7.0" in said or said.startswith(b"220 2.0.0")
    assert b"250 " not in said


@LOOPS
@pytest.mark.parametrize("version, mechanism", [
    (ssl.TLSVersion.TLSv1_3, "SCRAM-SHA-256"), (ssl.TLSVersion.TLSv1_2, "SCRAM-SHA-256-PLUS"),
])  # fmt: skip
def test_channel_binding_where_tls_has_one(run: Run, version: Any, mechanism: str, tmp_path: Path) -> None:
    """tls-unique below TLS 1.3; from then on the ssl module has none, so nothing is offered."""

    async def talk() -> None:
        async with World(tmp_path, implicit=False, highest=version) as world:
            credentials = mox_sasl.Credentials("user", mox_sasl.Secret("pencil"))
            connection = await world.connect(auth=credentials, nonce="0123456789abcdefghijkl")
            assert world.logged_in == [mechanism]
            assert connection.client.logged_in == mechanism
            assert ("SCRAM-SHA-256-PLUS" in connection.client.offers.mechanisms) == mechanism.endswith("-PLUS")
            await connection.quit()

    run(talk())


@LOOPS
def test_a_handshake_that_never_comes(run: Run, tmp_path: Path) -> None:
    async def talk() -> None:
        async with World(tmp_path, implicit=True) as world:
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(b"EHLO a\r\n")  # no TLS at all
            try:
                async with asyncio.timeout(5):
                    said = await reader.read()
            except ConnectionResetError:
                said = b""
            assert b"220" not in said
            writer.close()
            connection = await world.connect()
            await connection.quit()

    run(talk())
