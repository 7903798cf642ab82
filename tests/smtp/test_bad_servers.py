"""Our client against servers that hang, close, lie and talk too much, at every point of a conversation, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from mox_message import Content
from mox_smtp import CLEAR, ClientConfig, Delivered, Envelope, Timeouts, Trouble
from mox_smtp.aio import ConnectError, connect

QUICK = Timeouts(
    connect=2, greeting=0.3, command=0.3, data_start=0.3, data_block=0.3, data_end=0.3, quit=0.1, transaction=5
)
ENVELOPE = Envelope("a@b.example", ("b@mx.example", "c@mx.example"))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def meet(talk: Talk, size: int = 100, *, messages: int = 1) -> tuple[list[Delivered], Exception | None]:
    """Our client and a server that behaves as `talk` does."""

    async def run() -> tuple[list[Delivered], Exception | None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = ClientConfig("client.example", trust=CLEAR, timeouts=QUICK)
        found: list[Delivered] = []
        try:
            connection = await connect(["127.0.0.1"], "mx.example", config, port=port)
            async with connection:
                for _ in range(messages):
                    found.append(await connection.deliver(ENVELOPE, Content.of(b"x" * 78 + b"\r\n" * (size - 78))))
                await connection.quit()
        except (Trouble, ConnectError) as error:
            return found, error
        finally:
            server.close()
            await asyncio.sleep(0.01)
        return found, None

    return asyncio.run(run())


# What an honest server says, with PIPELINING: to nothing, to EHLO, to MAIL and RCPT and RCPT and DATA, to the message.
SAYS = [
    b"220 mx.example\r\n",
    b"250-mx.example\r\n250 PIPELINING\r\n",
    b"250 a\r\n",
    b"250 b\r\n",
    b"250 c\r\n",
    b"354 d\r\n",
    b"250 taken\r\n",
]


def step_by_step(at: int, then: bytes | None) -> Talk:
    """Honest up to the reply number `at`; that one is `then`, or with None nothing ever."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(SAYS):
            if number == 1:
                await reader.readuntil(b"EHLO client.example\r\n")
            if number == 2:
                await reader.readuntil(b"DATA\r\n")
            if number == 6:
                await reader.readuntil(b"\r\n.\r\n")
            if number == at:
                if then is None:
                    await asyncio.sleep(2)
                    return
                writer.write(then)
                await writer.drain()
                if not then.startswith(b"2"):
                    await reader.read(1000)
                return
            writer.write(reply)
        await reader.read(1000)

    return talk


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize(
    "then, code", [(b"", 451), (b"421 later\r\n", 421), (b"hello\r\n", 451), (b"250-x\r\n251 y\r\n", 451)]
)
def test_closes_or_talks_nonsense_at_any_point(at: int, then: bytes, code: int) -> None:
    found, error = meet(step_by_step(at, then))
    if at < 2:
        assert isinstance(error, Trouble)
        assert error.reply.code == code
        assert not found
    else:
        (delivered,) = found
        assert set(delivered.replies) == set(ENVELOPE.recipients)
        assert {reply.code for reply in delivered.replies.values()} == {code}
        assert delivered.trouble is not None
        # Only after the end of the message is there a doubt.
        assert delivered.uncertain == (at == 6)


@pytest.mark.parametrize("at", range(7))
def test_hangs_at_any_point(at: int) -> None:
    began = time.monotonic()
    found, error = meet(step_by_step(at, None))
    assert time.monotonic() - began < 4
    if at < 2:
        assert isinstance(error, Trouble)
    else:
        assert {reply.code for reply in found[0].replies.values()} == {451}
        assert found[0].uncertain == (at == 6)


@pytest.mark.parametrize("at", [0, 1, 3, 6])
@pytest.mark.parametrize("flood", [b"2" * (10 << 20), b"250-" + b"x" * 1000 + b"\r\n"], ids=["a line", "lines"])
def test_a_reply_without_end(at: int, flood: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(SAYS):
            if number in (1, 2, 6):
                await reader.readuntil({1: b"\r\n", 2: b"DATA\r\n", 6: b"\r\n.\r\n"}[number])
            if number == at:
                for _ in range(10_000 if len(flood) < 10_000 else 1):
                    writer.write(flood)
                    await writer.drain()
                return
            writer.write(reply)

    found, error = meet(talk)
    if at < 2:
        assert isinstance(error, Trouble)
    else:
        assert {reply.code for reply in found[0].replies.values()} == {451}


def test_replies_that_nobody_asked_for() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.example\r\n")
        await reader.readuntil(b"\r\n")
        for _ in range(100_000):
            writer.write(b"250 ok\r\n")
            await writer.drain()

    found, error = meet(talk)
    # It says yes to all that we say, and to much that we do not: the first early one stops the message.
    assert error is not None or all(not reply.good for reply in found[0].replies.values())


def test_a_refusal_in_the_middle_of_a_long_message() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(SAYS[:6]):
            if number in (1, 2):
                await reader.readuntil({1: b"\r\n", 2: b"DATA\r\n"}[number])
            writer.write(reply)
        await reader.readexactly(1000)
        writer.write(b"552 5.3.4 too big\r\n")
        await writer.drain()
        while await reader.read(65536):
            pass

    found, _ = meet(talk, 5_000_000)
    assert [str(reply) for reply in found[0].replies.values()] == ["552 5.3.4 too big"] * 2
    assert not found[0].uncertain


def test_who_reads_nothing() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(SAYS[:6]):
            if number in (1, 2):
                await reader.readuntil({1: b"\r\n", 2: b"DATA\r\n"}[number])
            writer.write(reply)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(2)

    found, _ = meet(talk, 8_000_000)
    assert {reply.code for reply in found[0].replies.values()} == {451}
    assert not found[0].uncertain


def test_nobody_answers() -> None:
    async def run() -> None:
        config = ClientConfig("client.example", timeouts=QUICK)
        with pytest.raises(ConnectError) as error:
            await connect(["127.0.0.1", "::1"], "mx.example", config, port=1)
        assert [address for address, _ in error.value.attempts] == ["127.0.0.1", "::1"]
        with pytest.raises(ConnectError):
            await connect([], "mx.example", config)

    asyncio.run(run())
