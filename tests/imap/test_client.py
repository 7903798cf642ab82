"""The client: its core, and its driver against a server of ours and Python's own reading of the same."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import mox_sasl
from kit.certificate import certificate
from kit.imap_rooms import Room, numbered
from mox_imap import ImapConfig
from mox_imap.aio import Client, ImapError, connect, serve
from mox_imap.aio.client import ImapDisconnected, expanded
from mox_imap.client import ImapClient, Literal, flag_list, numbers, string


@pytest.mark.parametrize(
    "text, want",
    [("abc", b"abc"), ("a b", b'"a b"'), ('a"\\', b'"a\\"\\\\"'), ("é", Literal("é".encode())), ("NIL", b'"NIL"'), ("", b'""'),
     ("a\r\nb", Literal(b"a\r\nb")), ("(", b'"("')],
)  # fmt: skip
def test_strings(text: str, want: bytes) -> None:
    assert string(text) == want
    assert type(string(text)) is type(want)


def test_sets() -> None:
    assert numbers([3, 1, 2, 7, 7]) == b"1:3,7"
    assert numbers("1:*") == b"1:*"
    with pytest.raises(ValueError):
        numbers("1 FLAGS\r\nx")
    assert expanded("1:3,9,6:5") == [1, 2, 3, 9, 6, 5]
    with pytest.raises(ValueError):
        expanded("1:4294967295")
    assert flag_list(["\\Seen", "x"]) == b"(\\Seen x)"


def test_literals_wait_unless_they_need_not() -> None:
    client = ImapClient()
    client.command(b"LOGIN", Literal(b"ann"), Literal(b"secret"))
    assert client.outgoing() == b"c1 LOGIN {3}\r\n"
    client.receive(b"+ go\r\n")
    assert client.next_response() is None
    assert client.outgoing() == b"ann {6}\r\n"
    client.receive(b"+ go\r\n* OK [CAPABILITY IMAP4rev1 LITERAL-] x\r\n")
    assert client.next_response() is not None
    assert client.outgoing() == b"secret\r\n"
    client.receive(b"c1 OK done\r\n")
    assert client.next_response() is not None
    client.command(b"APPEND", b"x", Literal(b"y" * 10), Literal(b"z" * 5000))
    assert client.outgoing() == b"c2 APPEND x {10+}\r\nyyyyyyyyyy {5000}\r\n"
    client.receive(b"c2 NO too much\r\n")
    assert client.next_response() is not None
    client.command(b"NOOP")  # what was refused does not go out any more
    assert client.outgoing() == b"c3 NOOP\r\n"


def talk(room: Room, work: Callable[[Client], Awaitable[None]], **config: object) -> None:
    async def run() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        server = await serve(room.backend, sock, room.config)
        async with asyncio.timeout(20), await connect("127.0.0.1", sock.getsockname()[1]) as client:
            await client.login("ann", "secret")
            await work(client)
        await server.drain(1.0)

    asyncio.run(run())


def test_a_day_with_a_mailbox() -> None:
    room = numbered(5)

    async def work(client: Client) -> None:
        selected = await client.select("Inbox")
        assert (selected.exists, selected.uidvalidity, selected.uidnext, selected.read_only) == (5, 1, 6, False)
        assert await client.append("Inbox", b"Subject: x\r\n\r\ny\0z", b"\r\n", flags=["\\Seen"], moment=86400.0) == (
            1,
            (6, 7),
        )
        [one] = await client.fetch([6], "UID", "FLAGS", "INTERNALDATE", "BINARY.PEEK[]")
        assert one.uid == 6
        assert one.flags == ("\\Seen", "\\Recent")
        assert one.items["INTERNALDATE"] == b" 2-Jan-1970 00:00:00 +0000"
        assert one.items["BINARY[]"] == b"Subject: x\r\n\r\ny\0z"
        assert await client.search("SEEN") == [6, 7]
        assert await client.search("RETURN", "(ALL)", "UNSEEN", uid=True) == [1, 2, 3, 4, 5]
        assert await client.search("SUBJECT", string("message 3")) == [3]
        assert [one.flags for one in await client.store("1:2", "+FLAGS", ["\\Deleted"])] == [("\\Deleted",)] * 2
        await client.create("Grün & Blau")
        assert [one.name for one in await client.mailboxes()] == ["Inbox", "Grün & Blau"]
        assert (await client.copy("3", "Grün & Blau")).code == ("COPYUID", 2, 3, 1)
        await client.move([4], "Grün & Blau", uid=True)
        assert await client.status("Grün & Blau", "MESSAGES", "UNSEEN") == {"MESSAGES": 2, "UNSEEN": 2}
        assert [one.number for one in await client.expunge() if one.name == "EXPUNGE"] == [2, 1]
        await client.rename("Grün & Blau", "Rot")
        assert await client.enable("IMAP4rev2") == {"IMAP4REV2"}
        await client.create("Schwärz")
        assert (await client.mailboxes("", "S%"))[0].name == "Schwärz"
        with pytest.raises(ImapError) as raised:
            await client.select("Nowhere")
        assert (raised.value.name, raised.value.code) == ("NO", ("NONEXISTENT",))
        await client.delete("Rot")

    talk(room, work)


def test_idle_and_what_nobody_asked_for() -> None:
    room = numbered(1)

    async def work(client: Client) -> None:
        await client.select("Inbox")
        async with client.idle() as events:
            room.account.deliver("Inbox", b"\r\n")
            async for event in events:
                assert (event.name, event.number) == ("EXISTS", 2)
                break
        heard = []
        client.heard = lambda one: heard.append((one.name, one.number))
        room.account.deliver("Inbox", b"\r\n")
        await client.run(b"NOOP")
        assert heard[0] == ("EXISTS", 3)

    talk(room, work)


def test_other_mailboxes_are_heard_of() -> None:
    room = numbered(1)
    room.account.create("Work", "")

    async def work(client: Client) -> None:
        await client.select("Inbox")
        await client.run(
            b"NOTIFY", b"SET (PERSONAL (MessageNew MessageExpunge)) (SELECTED (MessageNew MessageExpunge))"
        )
        room.account.deliver("Work", b"\r\n")
        one = await client._response()
        assert (one.name, one.data[0]) == ("STATUS", "Work")
        room.account.deliver("Inbox", b"\r\n")
        assert (await client._response()).number == 2

    talk(room, work)


def test_catching_up() -> None:
    room = numbered(3)

    async def work(client: Client) -> None:
        await client.enable("QRESYNC")
        before = await client.select("Inbox")
        await client.run(b"UNSELECT")
        other = room.selected()
        other.ask("x STORE 1 +FLAGS (\\Deleted)")
        other.ask("x EXPUNGE")
        other.ask("x STORE 1 +FLAGS (\\Seen)")
        after = await client.select("Inbox", qresync=(before.uidvalidity, before.highest_modseq))
        [gone] = [one for one in after.untagged if one.name == "VANISHED"]
        assert gone.data == (("EARLIER",), 1)
        assert [one.number for one in after.untagged if one.name == "FETCH"] == [1]

    talk(room, work)


def test_passwords_are_not_shown() -> None:
    """Without TLS a password only goes out when the caller says so, or never as itself."""

    async def run() -> None:
        async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n")
            assert await reader.read() == b""
            writer.close()

        server = await asyncio.start_server(lie, "127.0.0.1", 0)
        client = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(mox_sasl.ExchangeError):
            await client.login("ann", "secret")
        await client.close()
        server.close()

    asyncio.run(run())


def test_a_server_that_hangs_up() -> None:
    async def run() -> None:
        async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"* BYE not today\r\n")
            writer.close()

        server = await asyncio.start_server(end, "127.0.0.1", 0)
        with pytest.raises(ImapDisconnected, match="not today"):
            await connect("127.0.0.1", server.sockets[0].getsockname()[1])
        server.close()

    asyncio.run(run())


def test_starttls(tmp_path: Path) -> None:
    certificate(tmp_path)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client_context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    room = numbered(1)

    async def run() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        server = await serve(room.backend, sock, ImapConfig(starttls=True), tls_context=server_context)
        port = sock.getsockname()[1]
        async with await connect("localhost", port, tls=client_context, starttls=True) as client:
            await client.login("ann", "secret")
            assert (await client.select("Inbox")).exists == 1
        await server.drain(1.0)

    asyncio.run(run())
