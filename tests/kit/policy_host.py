"""A policy host as in the world: HTTPS on a loopback port, in a thread, with whatever certificate and bytes are asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# What a host does with a connection after the handshake; None: nothing, not even the handshake.
Talk = Callable[[ssl.SSLSocket, bytes], None]


def response(
    body: bytes | str = b"",
    status: str = "200 OK",
    content_type: str | None = "text/plain",
    *more: str,
    length: bool = True,
) -> bytes:
    """An HTTP response."""
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", *more]
    if content_type is not None:
        head.append(f"Content-Type: {content_type}")
    if length:
        head.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*head, "", ""]).encode() + data


def says(*pieces: bytes) -> Talk:
    """Sends these, and closes TLS as one should."""

    def talk(connection: ssl.SSLSocket, request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)
        connection.unwrap()

    return talk


def breaks_off(*pieces: bytes) -> Talk:
    """Sends these, and ends the connection without closing TLS."""

    def talk(connection: ssl.SSLSocket, request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return talk


@dataclass
class PolicyHost:
    """Port and what was asked."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@contextmanager
def policy_host(context: ssl.SSLContext, talk: Talk | None) -> Iterator[PolicyHost]:
    """Serves until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    host = PolicyHost(listening.getsockname()[1])
    opened: list[socket.socket] = []

    def remember(_socket: object, name: str | None, _context: object) -> None:
        host.names.append(name or "")

    context.sni_callback = remember

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            opened.append(plain)
            plain.settimeout(10)
            if talk is not None:
                threading.Thread(target=converse, args=(plain, talk), daemon=True).start()

    def converse(plain: socket.socket, talk: Talk) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    got = connection.recv(4096)
                    if not got:
                        return
                    request += got
                host.requests.append(request)
                talk(connection, request)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        # Closing alone does not wake accept().
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
        for one in opened:
            one.close()
