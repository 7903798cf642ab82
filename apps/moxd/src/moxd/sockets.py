"""Binding: done once, before privileges are dropped, for every worker.

With several workers each has its own socket on the same port (SO_REUSEPORT), so that the kernel spreads connections
and no worker wakes for another's."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from moxd.config import Listener
from moxd.config.values import WEB_SERVICES

BACKLOG = 1024


class BindError(Exception):
    """A port cannot be had; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A service of a listener and its socket."""

    listener: str
    service: str
    socket: socket.socket

    @property
    def address(self) -> str:
        """`127.0.0.1:25` or `[::1]:25`."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _advice(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {address} is in use by another program; "
            "stop that one (`ss -ltnp` names it) or configure another port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"no permission for port {port} of {address}; "
            "start as root (moxd drops to the configured user) or use a port above 1023"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {address}; correct `addresses` of the listener"
    return f"port {port} of {address} cannot be opened: {error.strerror}"


def _bind(address: str, port: int, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise BindError(_advice(error, address, port)) from None
    return sock


def _refuse_taken(address: str, port: int) -> None:
    """With SO_REUSEPORT a second moxd of the same user would be let in and steal half of the connections."""
    _bind(address, port, shared=False).close()


def bind_all(listeners: Mapping[str, Listener], workers: int) -> list[list[Bound]]:
    """For each worker its sockets of all listeners; with several workers, and if there is a web, one set more for the
    process that serves it.  Raises BindError; nothing stays bound then."""
    sets: list[list[Bound]] = [[] for _ in range(workers)]
    web: list[Bound] = []
    try:
        for name, listener in listeners.items():
            for address in listener.addresses:
                for service, port in listener.ports().items():
                    if workers > 1 and service in WEB_SERVICES:
                        web.append(Bound(name, service, _bind(address, port, shared=False)))
                        continue
                    if workers > 1:
                        _refuse_taken(address, port)
                    for bound in sets:
                        bound.append(Bound(name, service, _bind(address, port, workers > 1)))
    except BindError:
        close_all([*sets, web])
        raise
    return [*sets, web] if web else sets


def close_all(sets: list[list[Bound]]) -> None:
    """Closes every socket."""
    for bounds in sets:
        for bound in bounds:
            bound.socket.close()
