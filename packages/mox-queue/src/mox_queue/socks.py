"""Calling through a SOCKS5 proxy (RFC 1928, RFC 1929), without I/O: a generator of steps.

    steps = negotiate("192.0.2.1", 25, credentials)
    step = next(steps)              write step.send, then read step.octets octets and send them back
    ... StopIteration               from here on, the connection is one with the host

The host is called by its address: whom it is right to call, DNS and its policies have said before."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

import mox_sasl

VERSION = 5
NO_LOGIN, PASSWORD, NONE_OF_THESE = 0x00, 0x02, 0xFF
LOGIN_VERSION = 1
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4
# RFC 1929 2: a length is one octet.
MAX_LOGIN = 255
# RFC 1928 6
_REPLIES = {
    1: "general failure",
    2: "its rules do not allow the connection",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "it does not know the command",
    8: "it does not know this kind of address",
}


class SocksError(Exception):
    """The proxy does not connect us, or does not speak SOCKS5."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is (an IP address and a port), and who we are there (a name and a password, or nobody)."""

    address: str
    port: int
    credentials: mox_sasl.Credentials | None = field(default=None)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Step:
    """Write `send`, then read exactly `octets`."""

    send: bytes
    octets: int


Steps: TypeAlias = Generator[Step, bytes, None]


def negotiate(address: str, port: int, credentials: mox_sasl.Credentials | None = None) -> Steps:
    """Asks the proxy for a connection to an IP address.  Raises SocksError; ValueError for no address, no port, and for
    a name or password that SOCKS cannot carry."""
    where = ip_address(address)
    login = b"" if credentials is None else _login(credentials)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no port")
    methods = bytes((NO_LOGIN, PASSWORD)) if login else bytes((NO_LOGIN,))
    # RFC 1928 3
    version, method = yield Step(bytes((VERSION, len(methods))) + methods, 2)
    if version != VERSION:
        raise SocksError("it does not speak SOCKS5")
    if method == PASSWORD and login:
        # RFC 1929 2
        _, status = yield Step(login, 2)
        if status:
            raise SocksError("it refuses the username or password")
    elif method != NO_LOGIN:
        raise SocksError("it wants another login than we have" if login else "it wants a login")
    # RFC 1928 4
    kind = IPV4 if where.version == 4 else IPV6
    request = bytes((VERSION, CONNECT, 0, kind)) + where.packed + port.to_bytes(2, "big")
    yield from _answer(request)


def _answer(request: bytes) -> Steps:
    """RFC 1928 6: a reply has the address that the proxy calls from, which may be of any kind; all of it is read, and
    no octet more: the next is the host's."""
    version, reply, _, kind = yield Step(request, 4)
    if version != VERSION:
        raise SocksError("it does not speak SOCKS5")
    if reply:
        raise SocksError(_REPLIES.get(reply, f"reply {reply}"))
    if kind == NAME:
        (length,) = yield Step(b"", 1)
    elif kind in (IPV4, IPV6):
        length = 4 if kind == IPV4 else 16
    else:
        raise SocksError(f"its reply has an address of kind {kind}")
    yield Step(b"", length + 2)


def _login(credentials: mox_sasl.Credentials) -> bytes:
    name, password = credentials.name.encode(), credentials.password.reveal().encode()
    if not 0 < len(name) <= MAX_LOGIN or not 0 < len(password) <= MAX_LOGIN:
        raise ValueError(f"SOCKS takes names and passwords of 1 to {MAX_LOGIN} octets")
    return bytes((LOGIN_VERSION, len(name))) + name + bytes((len(password),)) + password
