"""The server's half on asyncio: a listening socket, its sessions, and what a handler is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Protocol, cast

from mox_smtp.config import ServerConfig
from mox_smtp.event import Event
from mox_smtp.server import Answer, SmtpServer

if TYPE_CHECKING:
    from mox_smtp.aio.session import Session

log = logging.getLogger("mox.smtp")

BACKLOG = 1024
READ_SIZE = 256 * 1024
# The stdlib zero-fills this much for each TLS connection (256 KB by default).
TLS_BUFFER = 16 * 1024
# How often sessions are looked at for their deadlines: one timer for all, because one for each costs more than a
# command does.
SWEEP_SECONDS = 1.0


class Handler(Protocol):
    """The policy of one connection."""

    def answer(self, event: Event) -> Answer | Awaitable[Answer]:
        """What to say to `event`; None is a yes.  An exception becomes 451 and a log line.

        The next event comes when this one is answered, and while an awaitable is waited for, nothing more is read from
        the client.  When the client has gone meanwhile, an awaitable is cancelled; not that of a MessageEnd, which runs
        to its end."""
        ...

    def closed(self, why: str) -> None:
        """The connection is gone and no answer is under way; nothing follows."""
        ...


@dataclass(frozen=True, slots=True)
class TlsDetails:
    """What a handshake led to.  `server_name`: what a context's sni_callback left on the SSL object as `sni`."""

    version: str
    cipher: str
    server_name: str = ""
    certificate: bytes = b""  # the client's, DER

    def __str__(self) -> str:
        return f"{self.version} {self.cipher}"


class Connection:
    """What a handler may know of its connection.  `peer` and `port` are the client's, by a trusted proxy's word where
    there is one; `proxy` is that proxy's address."""

    __slots__ = ("gone", "peer", "port", "proxy", "session", "tls_details", "transport")

    def __init__(self, peer: IPv4Address | IPv6Address, port: int, session: SmtpServer) -> None:
        self.peer = peer
        self.port = port
        self.proxy: IPv4Address | IPv6Address | None = None
        self.session = session
        self.tls_details: TlsDetails | None = None
        self.gone = False  # the client has hung up; an answer would reach nobody
        self.transport: asyncio.Transport | None = None

    @property
    def local(self) -> str:
        """Our own address and port, or the path of a Unix socket."""
        name = self.transport.get_extra_info("sockname") if self.transport is not None else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")

    @property
    def tls(self) -> str:
        """`TLSv1.3 TLS_AES_256_GCM_SHA384`, or "" in the clear."""
        return str(self.tls_details) if self.tls_details is not None else ""

    def slow(self, seconds: float) -> None:
        """From now on every reply waits so long; for who is most likely not worth a quick answer."""
        self.session.slow_seconds = seconds

    def close(self) -> None:
        """Hangs up after what is written."""
        if self.transport is not None:
            self.transport.close()


class Server:
    """A listening socket and its sessions."""

    def __init__(
        self,
        make_handler: Callable[[Connection], Handler],
        config: ServerConfig,
        tls_context: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        most: int,
    ) -> None:
        assert tls_context is not None or not (implicit_tls or config.starttls), "TLS needs a context"
        self.make_handler = make_handler
        self.config = config
        self.tls_context = tls_context  # may be replaced; new handshakes use the new one
        self.implicit_tls = implicit_tls
        self.most = most
        self.draining = False
        self.sessions: set[Session] = set()
        self.epoch = 0.0
        # What is read is taken out at once, so one buffer is enough for all connections of a loop.
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._make: type[Session]
        self._sweeper: asyncio.TimerHandle | None = None
        self._listening: asyncio.AbstractServer | None = None
        self._empty: asyncio.Event | None = None
        limits = config.limits
        shortest = min(
            limits.command_seconds, limits.chunk_seconds, limits.message_seconds, limits.session_seconds, 4.0
        )
        self._sweep_seconds = max(0.01, min(SWEEP_SECONDS, shortest / 4))

    def begin(self) -> None:
        """Makes ready for connections: those of `listen`, and those that `session` is for."""
        from mox_smtp.aio.session import Buffered, Plain

        loop = self._loop = asyncio.get_running_loop()
        self.epoch = time.time() - loop.time()
        uvloop = type(loop).__module__.startswith("uvloop")
        if not uvloop:
            sslproto.SSLProtocol.max_size = TLS_BUFFER
        # A PROXY header is read to its last octet and no further, for which the buffer must be ours.
        self._make = Plain if uvloop and not self.config.proxy_from else Buffered

    def session(self) -> asyncio.BaseProtocol:
        """A session for a connection that somebody else took, such as one whose client chose SMTP by ALPN: its
        `connection_made` is to be called, with a TLS transport where TLS is implicit."""
        assert self._loop is not None
        return cast(asyncio.BaseProtocol, self._make(self, self._loop))

    async def listen(self, sock: socket.socket) -> None:
        """Takes connections from a bound, listening socket."""
        from mox_smtp.aio.session import HANDSHAKE_SECONDS, LINGER_SECONDS

        self.begin()
        loop = asyncio.get_running_loop()
        # Implicit TLS is the loop's business from the first octet: uvloop reads a client's hello before a task of ours
        # could run.  Behind a proxy the header comes first, in the clear.
        context = self.tls_context if self.implicit_tls and not self.config.proxy_from else None
        self._listening = await loop.create_server(
            lambda: cast(Any, self.session()),
            sock=sock,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
            ssl_shutdown_timeout=LINGER_SECONDS if context is not None else None,
        )

    def begun(self, session: Session) -> None:
        """A session begins."""
        self.sessions.add(session)
        if self._sweeper is None and self._loop is not None:
            self._sweeper = self._loop.call_later(self._sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        for session in list(self.sessions):
            session.check(now)
        self._sweeper = self._loop.call_later(self._sweep_seconds, self._sweep) if self.sessions else None

    async def drain(self, grace: float) -> None:
        """Takes no more connections, says 421 to idle sessions, lets transactions finish for up to `grace` seconds."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for session in list(self.sessions):
            session.drain()
        if self.sessions:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace)
        self.close()

    def close(self) -> None:
        """Ends everything at once."""
        if self._listening is not None:
            self._listening.close()
        for session in list(self.sessions):
            session.abort()

    def forget(self, session: Session) -> None:
        """A session is over."""
        self.sessions.discard(session)
        if not self.sessions:
            if self._sweeper is not None and self.draining:
                self._sweeper.cancel()
                self._sweeper = None
            if self._empty is not None:
                self._empty.set()


async def serve(
    make_handler: Callable[[Connection], Handler],
    sock: socket.socket | None,
    config: ServerConfig,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    *,
    most: int = 2000,
) -> Server:
    """Serves SMTP on a bound, listening socket; with None only what is handed to `Server.session`.  `most`: connections
    at a time; more are told 421."""
    server = Server(make_handler, config, tls_context, implicit_tls=implicit_tls, most=most)
    if sock is not None:
        await server.listen(sock)
    else:
        server.begin()
    return server
