"""Behind a proxy: every port believes the PROXY header of whom it trusts, and demands it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from kit.server import Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import trusting, until
from mox_smtp import ProxyHeader

pytestmark = [pytest.mark.xdist_group("proxied"), pytest.mark.timeout(90)]
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    folder = tmp_path_factory.mktemp("proxied") / "moxd"
    with stub_dns({}) as dns:
        extra = "connections_per_minute = 0"
        ports = configure(folder, dns=dns, extra=extra, listener='proxy_from = ["127.0.0.0/8", "2001:db8::/32"]')
        with moxd(folder, ports) as running:
            yield running


def talk(server: Moxd, service: str, first: bytes, said: bytes) -> bytes:
    """What comes back until the end; the header and what follows it go out in one piece where TLS lets them."""
    with socket.create_connection((server.address, server.ports[service]), 20) as plain:
        if service not in ("submissions", "imaps"):
            plain.sendall(first + said)
            return read(plain)
        plain.sendall(first)
        with trusting(server).wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(said)
            return read(tls)


def read(sock: socket.socket) -> bytes:
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except (ConnectionError, ssl.SSLError):
        pass
    return data


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("service", SERVICES)
def test_it_is_whom_the_proxy_says(server: Moxd, service: str, version: int) -> None:
    client = ip_address(f"203.0.113.{10 * version + SERVICES.index(service)}")
    header = ProxyHeader(client, 4711, ip_address("198.51.100.1"), 25).to_bytes(version)
    if service.startswith("imap"):
        said = talk(server, service, header, b"a AUTHENTICATE PLAIN AHlvdQB3cm9uZw==\r\nb LOGOUT\r\n")
        assert said.startswith(b"* OK ")
    elif service == "smtp":
        said = talk(
            server, service, header, b"EHLO a.test\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<x@mox.test>\r\nFOO\r\nQUIT\r\n"
        )
        assert said.startswith(b"220 ")
    else:
        said = talk(server, service, header, b"EHLO a.test\r\nAUTH PLAIN AHlvdQB3cm9uZw==\r\nFOO\r\nQUIT\r\n")
        assert said.startswith(b"220 ")
    if service in ("imaps", "submissions", "smtp"):  # the others take no password in the clear
        until(lambda: str(client) in server.log)


@pytest.mark.parametrize("service", SERVICES)
def test_without_a_header_nobody_is_served(server: Moxd, service: str) -> None:
    if service in ("submissions", "imaps"):
        with (
            socket.create_connection((server.address, server.ports[service]), 20) as plain,
            pytest.raises((ConnectionError, ssl.SSLError)),
        ):
            trusting(server).wrap_socket(plain, server_hostname="localhost")
    else:
        assert talk(server, service, b"", b"a NOOP\r\n") == b""


def test_a_proxy_that_asks_for_itself(server: Moxd) -> None:
    """A health check: its own address counts."""
    assert talk(server, "imap", ProxyHeader().to_bytes(2), b"a LOGOUT\r\n").startswith(b"* OK ")
