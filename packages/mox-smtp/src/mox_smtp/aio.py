"""The server's half on asyncio: bytes to sessions and back, STARTTLS, deadlines, back-pressure.

Sessions are called straight from the transport; a task exists only while an answer is waited for.  On uvloop a plain
Protocol is fastest, on the stdlib's loop a BufferedProtocol with one buffer for all connections, because a Protocol
gets 256 KB of fresh memory for every read there."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol, cast

from mox_smtp.reply import Challenge, Refusal, Reply
from mox_smtp.server import Chunk, Event, MessageEnd, ServerConfig, SmtpServer

log = logging.getLogger("mox.smtp")

READ_SIZE = 256 * 1024
HANDSHAKE_SECONDS = 30.0
# What a client may leave unread before we stop reading from it.
WRITE_HIGH = 64 * 1024
INTERNAL_ERROR = Reply(451, "something went wrong here, try again later", "4.3.0")

Answer = Reply | Challenge | None


class Handler(Protocol):
    """The policy of one connection."""

    def answer(self, event: Event) -> Answer | Awaitable[Answer]:
        """What to say to `event`; None is a yes.  An exception becomes 451 and a log line."""
        ...

    def closed(self, why: str) -> None:
        """The connection is gone; nothing follows."""
        ...


class Connection:
    """What a handler may know of its connection."""

    def __init__(self, peer: IPv4Address | IPv6Address, port: int, local: str, session: SmtpServer) -> None:
        self.peer = peer
        self.port = port
        self.local = local
        self.session = session
        self.transport: asyncio.Transport | None = None

    @property
    def tls(self) -> str:
        """"TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in the clear."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        return f"{tls.version()} {tls.cipher()[0]}" if tls is not None else ""


class Server:
    """A listening socket and its sessions."""

    def __init__(
        self,
        make_handler: Callable[[Connection], Handler],
        config: ServerConfig,
        tls_context: ssl.SSLContext | None,
        implicit_tls: bool,
        most: int,
    ) -> None:
        self.make_handler = make_handler
        self.config = config
        self.tls_context = tls_context
        self.implicit_tls = implicit_tls
        self.most = most
        self.draining = False
        self.sessions: set[_Session] = set()
        self._listening: asyncio.AbstractServer | None = None

    async def listen(self, sock: socket.socket) -> None:
        """Takes connections from a bound, listening socket."""
        loop = asyncio.get_running_loop()
        context = self.tls_context if self.implicit_tls else None
        self._listening = await loop.create_server(
            self._make, sock=sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None
        )

    def _make(self) -> asyncio.BaseProtocol:
        if type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
            return _Plain(self)
        return _Buffered(self)

    async def drain(self, seconds: float) -> None:
        """Takes no more connections, says 421 to idle sessions, lets the others finish what they are at."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for session in list(self.sessions):
            session.drain()
        end = asyncio.get_running_loop().time() + seconds
        while self.sessions and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        self.close()

    def close(self) -> None:
        """Ends everything at once."""
        if self._listening is not None:
            self._listening.close()
        for session in list(self.sessions):
            session.abort()


async def serve(
    make_handler: Callable[[Connection], Handler],
    sock: socket.socket,
    config: ServerConfig,
    *,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    most: int = 2000,
) -> Server:
    """Serves SMTP on a bound, listening socket.  `most`: connections at a time; more get 421."""
    server = Server(make_handler, config, tls_context, implicit_tls, most)
    await server.listen(sock)
    return server


class _Session:
    """One connection; the two subclasses differ only in how bytes arrive."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: SmtpServer | None = None
        self._handler: Handler | None = None
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False
        self._upgrading = False
        self._paused = False
        self._full = False

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        if self._connection is not None:  # back from a TLS upgrade
            return
        peer = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 not an address to bind
        local = transport.get_extra_info("sockname") or ("", 0)
        config, now = self._server.config, self._loop.time()
        self._session = SmtpServer(config, now=now, tls=self._server.implicit_tls)
        self._connection = Connection(_address(peer[0]), peer[1], f"{local[0]}:{local[1]}", self._session)
        self._connection.transport = self._transport
        self._server.sessions.add(self)
        if len(self._server.sessions) > self._server.most or self._server.draining:
            self._session.shut("too many connections, try again later")
            self._flush()
            return
        self._handler = self._server.make_handler(self._connection)
        self._timer = self._loop.call_at(self._session.deadline(), self._time)
        self._pump()

    def _feed(self, data: bytes) -> None:
        assert self._session is not None
        if self._upgrading:
            return
        self._session.receive(data, self._loop.time())
        if self._task is None:
            self._pump()

    def eof_received(self) -> bool:
        return False  # the transport closes itself; a half-closed SMTP client has no use

    def pause_writing(self) -> None:
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        if self._task is None:
            self._resume()
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        if self._upgrading and error is None and self._transport is not None and not self._transport.is_closing():
            return
        self._server.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._handler is not None:
            handler, self._handler = self._handler, None
            handler.closed(str(error) if error else "closed")

    # -- the session's side

    def _pump(self) -> None:
        session, handler = self._session, self._handler
        assert session is not None
        while handler is not None and not self._full and (event := session.next_event()) is not None:
            answer = self._ask(handler, event)
            if answer is None or isinstance(answer, Reply | Challenge):
                session.send(answer)
                continue
            self._pause()
            self._flush()
            self._task = self._loop.create_task(self._wait(answer, event))
            return
        if self._server.draining and session.idle:
            session.shut("closing down, try again later")
        self._flush()
        if session.wants_tls and not self._upgrading:
            self._upgrading = True
            self._pause()
            self._task = self._loop.create_task(self._upgrade())

    def _ask(self, handler: Handler, event: Event) -> Answer | Awaitable[Answer]:
        if self._failed and isinstance(event, Chunk | MessageEnd):
            return INTERNAL_ERROR if isinstance(event, MessageEnd) else None
        try:
            return handler.answer(event)
        except Exception:
            return self._broke(event)

    def _broke(self, event: Event) -> Answer:
        log.exception("handler failed", extra={"event": type(event).__name__})
        self._failed = isinstance(event, Chunk)
        return None if isinstance(event, Chunk) else INTERNAL_ERROR

    async def _wait(self, answer: Awaitable[Answer], event: Event) -> None:
        session = self._session
        assert session is not None
        try:
            reply = await answer
        except asyncio.CancelledError:
            raise
        except Exception:
            reply = self._broke(event)
        self._task = None
        if self._handler is None:
            return
        session.send(reply)
        self._resume()
        self._pump()

    async def _upgrade(self) -> None:
        transport, session, connection = self._transport, self._session, self._connection
        assert transport is not None
        assert session is not None
        assert connection is not None
        context = self._server.tls_context
        assert context is not None, "STARTTLS was granted without a context"
        try:
            upgraded = await self._loop.start_tls(
                transport, cast(Any, self), context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError, asyncio.TimeoutError) as error:
            log.info("TLS handshake failed", extra={"peer": str(connection.peer), "error": str(error)})
            self._task = None
            transport.abort()
            self.connection_lost(error)
            return
        self._task = None
        self._upgrading = False
        if upgraded is None:
            return
        self._transport = connection.transport = cast(asyncio.Transport, upgraded)
        session.tls_started()
        self._paused = False
        self._pump()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        if out := session.outgoing():
            transport.write(out)
        if session.ended:
            transport.close()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._full and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _time(self) -> None:
        session = self._session
        assert session is not None
        now, deadline = self._loop.time(), session.deadline()
        if self._task is not None and now >= deadline:
            # We are the slow side: the client waits for us, not we for it.
            deadline = now + 60.0
        if now >= deadline:
            session.on_timeout()
            self._flush()
            return
        self._timer = self._loop.call_at(deadline, self._time)

    def drain(self) -> None:
        """421 at the next quiet moment."""
        if self._session is not None and self._task is None and self._session.idle:
            self._pump()

    def abort(self) -> None:
        """Ends at once."""
        if self._transport is not None:
            self._transport.abort()


class _Plain(_Session, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self._feed(data)


# Used synchronously, so one is enough for every connection of the process.
_shared = bytearray(READ_SIZE)
_shared_view = memoryview(_shared)


class _Buffered(_Session, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> memoryview:
        return _shared_view

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(bytes(_shared_view[:nbytes]))


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


__all__ = ["Answer", "Connection", "Handler", "Refusal", "Server", "serve"]
