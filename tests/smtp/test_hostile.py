"""Bad clients against a real server: a clear reply or a clean close, bounded memory, and honest ones are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import smtplib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mox_smtp import Chunk, DataStart, Limits, MailFrom, MessageEnd, RcptTo, Refusal, Reply, ServerConfig
from mox_smtp.aio import Connection, Server, serve


class Taker:
    """Counts what it takes; every message is thrown away piece by piece."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.size = 0

    def answer(self, event: Any) -> Any:
        match event:
            case DataStart():
                self.size = 0
            case Chunk(data):
                self.size += len(data)
                self.world.largest_chunk = max(self.world.largest_chunk, len(data))
                if self.world.chunk_seconds:
                    return asyncio.sleep(self.world.chunk_seconds)
            case RcptTo(path) | MailFrom(path) if str(path).startswith("no"):
                return Refusal(550, "no such address", "5.1.1")
            case MessageEnd(size):
                self.world.taken.append(size)
                return Reply(250, "taken", "2.0.0")
        return None

    def closed(self, why: str) -> None:
        self.world.closed += 1


class World:
    """A server on its own thread, on the stdlib's loop."""

    def __init__(self, config: ServerConfig, most: int) -> None:
        self.config = config
        self.most = most
        self.taken: list[int] = []
        self.closed = 0
        self.largest_chunk = 0
        self.chunk_seconds = 0.0
        self.loop = asyncio.new_event_loop()
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.sock.getsockname()[1]
        self.server: Server | None = None
        self.connections: list[Connection] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(serve(self._handler, self.sock, self.config, most=self.most))
        self._ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(self.server.drain(0.1))
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()

    def _handler(self, connection: Connection) -> Taker:
        self.connections.append(connection)
        return Taker(self)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        assert client.recv(100).startswith(b"220 ")
        return client


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    options = dict(getattr(request, "param", {}))
    most = options.pop("most", 2000)
    made = World(ServerConfig("mx.example", Limits(**options)), most)
    yield made
    made.stop()


def until_closed(client: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            said += piece
    return said


def send_all(client: socket.socket, pieces: Callable[[], Iterator[bytes]]) -> int:
    """How many octets the server let us send."""
    sent = 0
    try:
        for piece in pieces():
            client.sendall(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def honest(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        assert client.sendmail("a@b.example", ["c@mx.example"], b"Subject: x\r\n\r\nhello\r\n") == {}


OPENING = b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@mx.example>\r\n"
ENDLESS = {
    "a line": (b"", b"x" * 65536, b"500"),
    "spaces": (b"EHLO", b" " * 65536, b"500"),
    "NULs": (b"EHLO a.example\r\n", b"\0\r\n" * 20000, b"500"),
    "line feeds": (b"EHLO a.example\r\n", b"\n" * 65536, b"500"),
    "carriage returns": (b"EHLO a.example\r\n", b"\r" * 65536, b"500"),
    "NOOP": (b"EHLO a.example\r\n", b"NOOP\r\n" * 10000, b"421"),
    "RSET": (b"EHLO a.example\r\n", b"RSET\r\n" * 10000, b"421"),
    "EHLO": (b"", b"EHLO a.example\r\n" * 4000, b"421"),
    "nonsense": (b"EHLO a.example\r\n", b"FOO\r\n" * 10000, b"421"),
    "empty BDAT": (OPENING, b"BDAT 0\r\n" * 8000, b"421"),
    "a refused sender": (b"EHLO a.example\r\n", b"MAIL FROM:<no@b.example>\r\n" * 3000, b"421"),
    "refused recipients": (OPENING, b"RCPT TO:<no@b.example>\r\n" * 3000, b"421"),
    "BDAT of nobody": (b"EHLO a.example\r\n", b"BDAT 3\r\nxyz" * 6000, b"421"),
    "a message": (OPENING + b"DATA\r\n", (b"x" * 76 + b"\r\n") * 800, b"552"),
    "one line of a message": (OPENING + b"DATA\r\n", b"x" * 65536, b"552"),
    "a chunk": (OPENING + b"BDAT 9999999999999999999\r\n", b"x" * 65536, b"552"),
    "a message that has a bare LF": (OPENING + b"DATA\r\nx\ny\r\n", b"x" * 65536, b"521"),
}
SMALL = {"message": 1 << 20, "dead_data": 1 << 20, "garbage": 1 << 20}


@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["small"])
@pytest.mark.parametrize("opening, again, code", ENDLESS.values(), ids=ENDLESS.keys())
def test_endless(world: World, opening: bytes, again: bytes, code: bytes) -> None:
    with world.connect() as client:
        client.sendall(opening)

        def pieces() -> Iterator[bytes]:
            for _ in range(1600):  # 100 MB
                yield again

        sent = send_all(client, pieces)
        assert sent < 90 << 20, "the server reads for ever"
        said = until_closed(client)
        # Where we sent far too much, the connection was reset, and what was said last may be lost with it.
        assert b"\n" + code in said or sent > 4 << 20, said[-200:]
    honest(world.port)
    assert world.taken == [len(b"Subject: x\r\n\r\nhello\r\n")]
    assert world.largest_chunk <= 256 * 1024 + 8  # what was read at once, and the end of the line before


def test_the_last_word_of_the_server_arrives(world: World) -> None:
    """It is not lost by the reset that follows a close with unread octets."""
    for _ in range(20):
        with world.connect() as client:
            client.sendall(OPENING + b"DATA\r\nx\ny\r\n.\r\n" + b"MAIL FROM:<>\r\n" * 1000)
            assert b"\r\n521 5.5.2" in until_closed(client)


def test_ten_thousand_recipients(world: World) -> None:
    with world.connect() as client:
        client.sendall(b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\n")
        said = b""
        for start in range(0, 10_000, 100):
            client.sendall(b"".join(b"RCPT TO:<u%d@mx.example>\r\n" % n for n in range(start, start + 100)))
            while said.count(b"\n2") + said.count(b"\n4") < start + 100:
                said += client.recv(65536)
        assert said.count(b"\n250 2.1.5") == 1000
        assert said.count(b"\n452 4.5.3") == 9000
    honest(world.port)


def test_a_megabyte_of_commands_at_once_is_answered_in_order(world: World) -> None:
    one = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@mx.example>\r\nDATA\r\n" + b"x" * 1000 + b"\r\n.\r\n"
    with world.connect() as client:
        threading.Thread(target=client.sendall, args=(b"EHLO a\r\n" + one * 900 + b"QUIT\r\n",)).start()
        said = until_closed(client)
    assert said.count(b"taken") == 900
    assert said.endswith(b"221 2.0.0 goodbye\r\n")
    assert len(world.taken) == 900


@pytest.mark.parametrize("world", [{"refused_recipients": 1 << 30}], indirect=True)
def test_who_reads_nothing_is_not_read_from(world: World) -> None:
    """Back-pressure: a client that sends commands and reads no reply fills its own buffers, not ours."""
    with world.connect() as client:
        client.settimeout(0.5)
        client.sendall(b"EHLO a.example\r\nMAIL FROM:<a@b.example>\r\n")
        sent = 0
        line = b"RCPT TO:<no@mx.example>\r\n" * 1000
        with contextlib.suppress(TimeoutError):
            while sent < 100 << 20:
                sent += client.send(line)
        assert sent < 100 << 20
        (connection,) = world.connections
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() < 1 << 20
        honest(world.port)


@pytest.mark.parametrize("world", [{"message": 64 << 20}], indirect=True)
def test_a_slow_handler_slows_the_client_not_the_memory(world: World) -> None:
    world.chunk_seconds = 0.02
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with world.connect() as client:
        client.sendall(OPENING + b"DATA\r\n")
        line = b"x" * 998 + b"\r\n"
        for _ in range(16):
            client.sendall(line * 1024)
        client.sendall(b".\r\nQUIT\r\n")
        assert b"taken" in until_closed(client)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 12 * 1024, f"{grown} KB more for a message of 16 MB"
    assert world.taken == [16 * 1024 * 1000]


@pytest.mark.parametrize("world", [{"command_seconds": 0.3, "chunk_seconds": 0.3}], indirect=True)
@pytest.mark.parametrize("said", [b"", b"EHLO a.exam", OPENING + b"DATA\r\nhalf", OPENING + b"BDAT 100\r\nhalf"])
def test_who_says_nothing_is_told_so(world: World, said: bytes) -> None:
    with world.connect() as client:
        client.sendall(said)
        assert b"421 4.4.2 mx.example waited too long\r\n" in until_closed(client)
    honest(world.port)


@pytest.mark.parametrize("world", [{"command_seconds": 1.0, "session_seconds": 1.5}], indirect=True)
def test_a_letter_at_a_time_gains_no_time(world: World) -> None:
    with world.connect() as client:
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < began + 8:
                client.sendall(b"N")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("world", [{"most": 3}], indirect=True)
def test_more_connections_than_there_is_room_for(world: World) -> None:
    clients = [world.connect() for _ in range(3)]
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as one_more:
        assert until_closed(one_more).startswith(b"421 4.7.0")
    for client in clients:
        client.close()
    for _ in range(100):
        if world.closed >= 3:
            break
        time.sleep(0.02)
    honest(world.port)


@pytest.mark.slow
def test_idle_and_slow_clients_do_not_slow_an_honest_one(world: World) -> None:
    """1,000 idle and 200 who send a letter now and then: an honest client is served among them, and what it costs is
    told (pytest -rP).  On a quiet machine that is less than twice what it costs without them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"needs 4096 open files, this system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    def cost() -> float:
        began = time.process_time()
        with smtplib.SMTP("127.0.0.1", world.port, timeout=30) as client:
            for _ in range(200):
                client.sendmail("a@b.example", ["c@mx.example"], b"Subject: x\r\n\r\nhello\r\n")
        return time.process_time() - began

    cost()
    alone = min(cost() for _ in range(2))
    crowd = [world.connect() for _ in range(1200)]
    stop = threading.Event()

    def loris() -> None:
        while not stop.wait(0.5):
            for client in crowd[:200]:
                client.send(b"X")

    thread = threading.Thread(target=loris)
    thread.start()
    try:
        crowded = min(cost() for _ in range(2))
    finally:
        stop.set()
        thread.join()
        for client in crowd:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    print(f"with the crowd {crowded / alone:.2f} times what it costs without")
    assert len(world.taken) == 1000
