"""The chain as the peer sent it, over a real handshake, on this Python."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from pathlib import Path

from kit.certificates import make
from mox_dane import Outcome, peer_chain, verify
from mox_dane import make as make_record

ROOT = make("Root", ca=True)
INTER = make("Intermediate", ROOT, ca=True)
LEAF = make("leaf", INTER, names=["mx.a.example"], send_root=True)


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_over_a_socket(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    server = LEAF.server_context(tmp_path)

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client_context().wrap_socket(ours, server_hostname="mx.a.example") as connection:
        chain = peer_chain(connection)
        connection.sendall(b"x")
        thread.join()
    assert chain == (LEAF.der, INTER.der)
    verdict = verify(chain, [make_record(LEAF.pem.encode())], now=time.time())
    assert (verdict.status, verdict.means) == (Outcome.PASS, "dane-ee")


def test_over_asyncio(tmp_path: Path) -> None:
    async def once() -> tuple[bytes, ...]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=LEAF.server_context(tmp_path)) as server:
            port = server.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
            chain = peer_chain(writer.get_extra_info("ssl_object"))
            writer.close()
            await writer.wait_closed()
            return chain

    assert asyncio.run(once()) == (LEAF.der, INTER.der)


def test_before_the_handshake() -> None:
    before = client_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    assert peer_chain(before) == ()
    with client_context().wrap_socket(socket.socket()) as connection:
        assert peer_chain(connection) == ()
