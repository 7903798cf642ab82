"""The server's driver over real sockets, on both loops: handlers that fail, are slow, or are left alone; draining; holding."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mox_smtp import Connected, DataStart, Limits, MailFrom, MessageEnd, Quit, RcptTo, Reply, ServerConfig
from mox_smtp.aio import Connection, Server, serve


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


class Handler:
    """Answers as the table of its world says, by the kind of event; an exception in it is raised."""

    def __init__(self, connection: Connection, world: World) -> None:
        self.connection, self.world = connection, world
        world.handlers.append(self)

    def answer(self, event: Any) -> Any:
        self.world.events.append(event)
        found = self.world.answers.get(type(event))
        if isinstance(found, Exception):
            raise found
        if callable(found):
            return found(self, event)
        if found is None and isinstance(event, MessageEnd):
            return Reply(250, "taken", "2.0.0")
        return found

    def closed(self, why: str) -> None:
        self.world.closed.append(why)


class World:
    def __init__(self, answers: dict[type, Any] | None = None, limits: Limits = Limits(), **options: Any) -> None:  # noqa: B008
        self.answers = answers or {}
        self.limits, self.options = limits, options
        self.handlers: list[Handler] = []
        self.events: list[Any] = []
        self.closed: list[str] = []
        self.clients: list[Client] = []

    async def __aenter__(self) -> World:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        make = self.options.pop("make", lambda connection: Handler(connection, self))
        self.server: Server = await serve(make, sock, ServerConfig("mx.example", self.limits), **self.options)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client.writer.transport.abort()
        await self.server.drain(0.2)
        await asyncio.sleep(0.02)

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hear(self) -> str:
        """The next whole reply; "" at the end."""
        lines = []
        async with asyncio.timeout(5):
            while line := (await self.reader.readline()).decode():
                lines.append(line.rstrip())
                if line[3:4] != "-":
                    break
        return "\n".join(lines)

    async def say(self, *lines: str) -> list[str]:
        """Says all lines in one piece; a reply to each."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        return [await self.hear() for _ in lines]

    async def begin(self) -> None:
        assert (await self.hear()).startswith("220")
        assert [
            reply[:3] for reply in await self.say("EHLO a", "MAIL FROM:<a@b.example>", "RCPT TO:<c@mx.example>")
        ] == ["250"] * 3


@LOOPS
@pytest.mark.parametrize(
    "kind, code", [(MailFrom, "451"), (RcptTo, "451"), (DataStart, "451"), (MessageEnd, "451"), (Quit, "221")]
)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_fails_costs_one_command(run: Run, kind: type, code: str, later: bool) -> None:
    async def fail() -> Reply:
        await asyncio.sleep(0)
        raise RuntimeError("handler")

    async def talk() -> None:
        async with World({kind: (lambda handler, event: fail()) if later else RuntimeError("handler")}) as world:
            client = await world.client()
            assert (await client.hear()).startswith("220")
            commands = {
                "EHLO a": "250",
                "MAIL FROM:<a@b.example>": "250",
                "RCPT TO:<c@mx.example>": "250",
                "DATA": "354",
            }
            kinds = {"MAIL FROM:<a@b.example>": MailFrom, "RCPT TO:<c@mx.example>": RcptTo, "DATA": DataStart}
            for line, want in commands.items():
                (reply,) = await client.say(line)
                if kinds.get(line) is kind:
                    assert reply.startswith(code)
                    break
                assert reply.startswith(want)
            else:
                (reply,) = await client.say("x\r\n.")
                assert reply.startswith(code if kind is MessageEnd else "250")
            (reply,) = await client.say("RSET")
            assert reply.startswith("250")
            (reply,) = await client.say("QUIT")
            assert reply.startswith("221")
            assert await client.hear() == ""

    run(talk())


@LOOPS
def test_no_handler_at_all(run: Run) -> None:
    def make(connection: Connection) -> Handler:
        raise RuntimeError("no handler")

    async def talk() -> None:
        async with World(make=make) as world:
            client = await world.client()
            assert (await client.hear()).startswith("421 4.3.0")
            assert await client.hear() == ""

    run(talk())


@LOOPS
def test_a_refused_connection_is_told_why(run: Run) -> None:
    async def talk() -> None:
        async with World({Connected: Reply(554, "not you", "5.7.1")}) as world:
            client = await world.client()
            client.writer.write(b"EHLO a\r\n")
            assert await client.hear() == "554 5.7.1 not you"
            assert await client.hear() == ""

    run(talk())


@LOOPS
@pytest.mark.parametrize("kind", [RcptTo, MessageEnd])
def test_a_client_that_goes_while_it_is_answered(run: Run, kind: type) -> None:
    """What is under way for a command is given up; what is under way for a message runs to its end."""

    async def talk() -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        async def slow() -> Reply:
            started.set()
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                world.events.append("cancelled")
                raise
            world.events.append("finished")
            ended.set()
            return Reply(250, "taken", "2.0.0")

        async with World({kind: lambda handler, event: slow()}) as world:
            client = await world.client()
            client.writer.write(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@mx.example>\r\nDATA\r\nx\r\n.\r\n")
            await started.wait()
            client.writer.transport.abort()
            await asyncio.sleep(0.4)
            assert ("finished" in world.events) == (kind is MessageEnd)
            assert ("cancelled" in world.events) == (kind is RcptTo)
            assert len(world.closed) == 1
            assert world.handlers[0].connection.gone

    run(talk())


@LOOPS
def test_draining(run: Run) -> None:
    async def talk() -> None:
        async with World() as world:
            idle, busy = await world.client(), await world.client()
            await idle.hear()
            await busy.begin()
            assert (await busy.say("DATA"))[0].startswith("354")
            draining = asyncio.create_task(world.server.drain(5))
            assert (await idle.hear()).startswith("421 4.3.2")
            assert await idle.hear() == ""
            idle.writer.close()
            with pytest.raises(OSError):
                await world.client()
            busy.writer.write(b"x\r\n.\r\n")
            assert (await busy.hear()) == "250 2.0.0 taken"
            assert (await busy.hear()).startswith("421 4.3.2")
            busy.writer.close()
            async with asyncio.timeout(4):
                await draining

    run(talk())


@LOOPS
def test_the_tarpit_holds_replies_back_and_keeps_their_order(run: Run) -> None:
    async def talk() -> None:
        async with World(limits=Limits(tarpit_seconds=0.1, tarpit_most=0.15)) as world:
            loop = asyncio.get_running_loop()
            client = await world.client()
            await client.hear()
            began = loop.time()
            replies = await client.say("EHLO a", "FOO", "BAR", "NOOP")
            assert [reply[:3] for reply in replies] == ["250", "500", "500", "250"]
            assert loop.time() - began >= 0.14
            assert (await client.say("QUIT"))[0].startswith("221")

    run(talk())


@LOOPS
def test_slow_mode(run: Run) -> None:
    def slow(handler: Handler, event: Any) -> None:
        handler.connection.slow(0.1)

    async def talk() -> None:
        async with World({Connected: slow}) as world:
            loop = asyncio.get_running_loop()
            client = await world.client()
            began = loop.time()
            await client.begin()
            assert loop.time() - began >= 0.39
            assert (await client.say("DATA"))[0].startswith("354")
            client.writer.write(b"x\r\n.\r\n")
            assert await client.hear() == "250 2.0.0 taken"
            assert (await client.say("QUIT"))[0].startswith("221")
            assert await client.hear() == ""

    run(talk())


@LOOPS
def test_a_client_that_goes_while_it_is_held(run: Run) -> None:
    async def talk() -> None:
        async with World(limits=Limits(tarpit_seconds=0.1)) as world:
            client = await world.client()
            await client.hear()
            client.writer.write(b"EHLO a\r\nFOO\r\n")
            await asyncio.sleep(0.05)
            client.writer.transport.abort()
            await asyncio.sleep(0.2)
            assert len(world.closed) == 1

    run(talk())


@LOOPS
def test_what_a_handler_may_know(run: Run) -> None:
    async def talk() -> None:
        async with World() as world:
            client = await world.client()
            await client.begin()
            (handler,) = world.handlers
            connection = handler.connection
            assert str(connection.peer) == "127.0.0.1"
            assert connection.local == f"127.0.0.1:{world.port}"
            assert (connection.tls, connection.session.hello, connection.session.extended) == ("", "a", True)
            connection.close()
            assert await client.hear() == ""

    run(talk())
