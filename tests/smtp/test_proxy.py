"""The PROXY header: read to its last octet and no further, believed where it is trusted and demanded there."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.play import cut
from mox_smtp import MessageEnd, ProxyHeader, ProxyReader, ProxySyntaxError, Reply, ServerConfig
from mox_smtp.aio import Connection, serve
from mox_smtp.proxy import SIGNATURE, crc32c

V4 = ProxyHeader(IPv4Address("192.0.2.1"), 56324, IPv4Address("198.51.100.1"), 25)
V6 = ProxyHeader(IPv6Address("2001:db8::1"), 1, IPv6Address("2001:db8::2"), 65535)


def read(data: bytes) -> tuple[ProxyHeader | None, bytes]:
    """As a driver reads: never more than is wanted."""
    reader, at = ProxyReader(), 0
    while at < len(data):
        piece = data[at : at + reader.wanted]
        at += len(piece)
        header = reader.feed(piece)
        if header is not None:
            return header, data[at:]
    return None, b""


GOOD = {
    b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n": V4,
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n": V6,
    b"PROXY UNKNOWN\r\n": ProxyHeader(),
    b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n": ProxyHeader(),
    SIGNATURE + b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x00\x19": V4,
    SIGNATURE + b"\x20\x00\x00\x00": ProxyHeader(),
    SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12): ProxyHeader(),
    SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216): ProxyHeader(),
    SIGNATURE + b"\x21\x11\x00\x15\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x00\x19\x02\x00\x06a.test": ProxyHeader(
        V4.source, V4.source_port, V4.destination, V4.destination_port, ((2, b"a.test"),)
    ),
}


@pytest.mark.parametrize("data, want", GOOD.items(), ids=range(len(GOOD)))
def test_good(data: bytes, want: ProxyHeader) -> None:
    assert read(data + b"EHLO x\r\n") == (want, b"EHLO x\r\n")
    for size in range(len(data)):
        assert read(data[:size])[0] is None


def test_authority() -> None:
    assert list(GOOD.values())[-1].authority == "a.test"
    assert V4.authority == ""


BAD = [
    b"EHLO a.example\r\n", b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", b"PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
    b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", b"PROXY UDP4 1 2 3 4\r\n",
    b"PROXY UNKNOWN " + b"x" * 200, b"PROXY " + b"x" * 120, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcd",
    SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11), SIGNATURE + b"\x21\x11\xff\xff",
    SIGNATURE + b"\x21\x11\x00\x0e" + bytes(14), SIGNATURE + b"\x21\x11\x00\x10" + bytes(12) + b"\x02\x00\x09x",
]  # fmt: skip


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_bad(data: bytes) -> None:
    with pytest.raises(ProxySyntaxError):
        read(data)


def test_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the algorithm
    body = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + struct.pack("!HH", 56324, 25) + b"\x03\x00\x04"
    head = SIGNATURE + b"\x21\x11" + struct.pack("!H", len(body) + 4)
    right = head + body + crc32c(head + body + bytes(4)).to_bytes(4, "big")
    header, rest = read(right)
    assert (header is not None and header.source, rest) == (V4.source, b"")
    with pytest.raises(ProxySyntaxError):
        read(right[:-1] + bytes([right[-1] ^ 1]))


ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
PORTS = st.integers(0, 65535)


@given(ADDRESSES, PORTS, PORTS, st.sampled_from([1, 2]), st.lists(st.integers(0, 200), max_size=5))
def test_written_and_read(pair: Any, one: int, two: int, version: int, at: list[int]) -> None:
    header = ProxyHeader(pair[0], one, pair[1], two)
    data = header.to_bytes(version)
    assert read(data + b"x") == (header, b"x")
    reader, found = ProxyReader(), []
    for piece in cut(data, at):
        found.append(reader.feed(piece))
    assert found[-1] == header
    assert not any(found[:-1])


@given(st.binary(max_size=120), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_any_bytes(data: bytes, start: bytes) -> None:
    try:
        read(start + data)
    except ProxySyntaxError:
        return


# -- over sockets


class Noting:
    def __init__(self, connection: Connection, seen: list[Connection]) -> None:
        seen.append(connection)

    def answer(self, event: Any) -> Any:
        return Reply(250, "taken", "2.0.0") if isinstance(event, MessageEnd) else None

    def closed(self, why: str) -> None:
        pass


async def talk(
    config: ServerConfig, said: bytes, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
) -> tuple[bytes, list[Connection]]:
    seen: list[Connection] = []
    sock = socket.create_server(("127.0.0.1", 0))
    server = await serve(lambda c: Noting(c, seen), sock, config, tls[0] if tls else None, implicit_tls=tls is not None)
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    try:
        writer.write(said)
        if tls:
            await writer.start_tls(tls[1])
            writer.write(b"EHLO a\r\nQUIT\r\n")
        async with asyncio.timeout(5):
            return await reader.read(), seen
    except ConnectionResetError:
        return b"", seen
    finally:
        writer.close()
        await server.drain(0.2)


TRUSTED = ServerConfig("mx.example", proxy_from=(IPv4Network("127.0.0.0/8"),))
ELSEWHERE = ServerConfig("mx.example", proxy_from=(IPv4Network("10.0.0.0/8"),))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("header", [V4, V6, ProxyHeader()], ids=["v4", "v6", "unknown"])
def test_a_trusted_proxy_is_believed(version: int, header: ProxyHeader) -> None:
    said, seen = asyncio.run(talk(TRUSTED, header.to_bytes(version) + b"EHLO a\r\nQUIT\r\n"))
    assert said.startswith(b"220 ")
    assert said.endswith(b"221 2.0.0 goodbye\r\n")
    assert seen[0].peer == (header.source or ip_address("127.0.0.1"))
    assert (seen[0].proxy is None) == (header.source is None)


def test_a_trusted_proxy_without_a_header_is_hung_up_on() -> None:
    assert asyncio.run(talk(TRUSTED, b"EHLO a\r\nQUIT\r\n")) == (b"", [])


def test_nobody_else_is_believed() -> None:
    said, seen = asyncio.run(talk(ELSEWHERE, V4.to_bytes(1) + b"EHLO a\r\nQUIT\r\n"))
    assert said.startswith(b"220 ")
    assert b"\r\n500 " in said
    assert seen[0].peer == ip_address("127.0.0.1")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("version", [1, 2])
def test_tls_follows_the_header(tls_pair: tuple[ssl.SSLContext, ssl.SSLContext], loop: str, version: int) -> None:
    factory = None
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        said, seen = runner.run(talk(TRUSTED, V4.to_bytes(version), tls_pair))
    assert b"221 2.0.0" in said
    assert seen[0].peer == V4.source
    assert seen[0].tls.startswith("TLS")


@pytest.fixture
def tls_pair(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pytest.importorskip("cryptography", reason="cryptography is not installed: no certificate for TLS")
    from kit.certificates import make

    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return make("mx.example", names=["mx.example"]).server_context(tmp_path), client


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("version", [1, 2])
def test_header_and_handshake_may_come_in_one_piece(
    tls_pair: tuple[ssl.SSLContext, ssl.SSLContext], loop: str, version: int
) -> None:
    """As a proxy sends them that has waited for both: what follows the header is not read before TLS is there."""
    factory = None
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop

    async def at_once() -> bytes:
        sock = socket.create_server(("127.0.0.1", 0))
        server = await serve(lambda c: Noting(c, []), sock, TRUSTED, tls_pair[0], implicit_tls=True)
        try:
            return await asyncio.to_thread(_one_piece, sock.getsockname()[1], V4.to_bytes(version), tls_pair[1])
        finally:
            await server.drain(0.2)

    with asyncio.Runner(loop_factory=factory) as runner:
        for _ in range(20):
            assert b"221 2.0.0" in runner.run(at_once())


def _one_piece(port: int, header: bytes, context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(header + outgoing.read())
        while True:
            incoming.write(sock.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        tls.write(b"EHLO a\r\nQUIT\r\n")
        sock.sendall(outgoing.read())  # the end of the handshake and the first commands, in one piece too
        said = b""
        while b"221 " not in said:
            try:
                said += tls.read(65536)
            except ssl.SSLWantReadError:
                more = sock.recv(65536)
                assert more, said
                incoming.write(more)
        return said
