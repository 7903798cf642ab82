"""The server's half on asyncio.

Sessions are called straight from the transport; a task exists only while an answer is waited for.  On uvloop a plain
Protocol is fastest; on the stdlib's loop a BufferedProtocol with one buffer for all connections, because a Protocol is
given 256 KB of fresh memory for each read there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol, cast

from mox_smtp.config import ServerConfig
from mox_smtp.event import AuthResponse, AuthStart, Connected, Event, MessageEnd, Quit, StartTls
from mox_smtp.reply import Reply
from mox_smtp.server import Answer, SmtpServer

log = logging.getLogger("mox.smtp")

READ_SIZE = 256 * 1024
BACKLOG = 1024
HANDSHAKE_SECONDS = 30.0
# After an end that the client did not ask for: how long what it still sends is read and dropped, so that the reset
# which follows a close with unread bytes does not take our last reply with it.
LINGER_SECONDS = 2.0
# What a client may leave unread before we stop reading from it.
WRITE_HIGH = 64 * 1024
# The stdlib zero-fills this much for each TLS connection (256 KB by default).
TLS_BUFFER = 16 * 1024

INTERNAL_ERROR = Reply(451, "something went wrong here, try again later", "4.3.0")
_INTERNAL_ERRORS: dict[type, Reply] = {
    Connected: Reply(421, "something went wrong here, try again later", "4.3.0"),
    StartTls: Reply(454, "no TLS now, try again later", "4.7.0"),
    AuthStart: Reply(454, "no logins now, try again later", "4.7.0"),
    AuthResponse: Reply(454, "no logins now, try again later", "4.7.0"),
}


class Handler(Protocol):
    """The policy of one connection."""

    def answer(self, event: Event) -> Answer | Awaitable[Answer]:
        """What to say to `event`; None is a yes.  An exception becomes 451 and a log line.

        The next event comes when this one is answered.  When the client has gone meanwhile, an awaitable is cancelled;
        not that of a MessageEnd, which runs to its end."""
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
    """What a handler may know of its connection."""

    def __init__(self, peer: IPv4Address | IPv6Address, port: int, local: str, session: SmtpServer) -> None:
        self.peer = peer
        self.port = port
        self.local = local
        self.session = session
        self.tls_details: TlsDetails | None = None
        self.gone = False  # the client has hung up; an answer would reach nobody
        self.transport: asyncio.Transport | None = None

    @property
    def tls(self) -> str:
        """`TLSv1.3 TLS_AES_256_GCM_SHA384`, or "" in the clear."""
        return str(self.tls_details) if self.tls_details is not None else ""

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
        self.sessions: set[_Session] = set()
        self._listening: asyncio.AbstractServer | None = None
        self._empty: asyncio.Event | None = None

    async def listen(self, sock: socket.socket) -> None:
        """Takes connections from a bound, listening socket."""
        loop = asyncio.get_running_loop()
        uvloop = type(loop).__module__.startswith("uvloop")
        if not uvloop:
            sslproto.SSLProtocol.max_size = TLS_BUFFER
        make: type[_Session] = _Plain if uvloop else _Buffered
        self._listening = await loop.create_server(lambda: cast(Any, make(self, loop)), sock=sock, backlog=BACKLOG)

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

    def forget(self, session: _Session) -> None:
        """A session is over."""
        self.sessions.discard(session)
        if self._empty is not None and not self.sessions:
            self._empty.set()


async def serve(
    make_handler: Callable[[Connection], Handler],
    sock: socket.socket,
    config: ServerConfig,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    *,
    most: int = 2000,
) -> Server:
    """Serves SMTP on a bound, listening socket.  `most`: connections at a time; more are told 421."""
    server = Server(make_handler, config, tls_context, implicit_tls=implicit_tls, most=most)
    await server.listen(sock)
    return server


class _Session:
    """One connection; the two subclasses differ only in how bytes arrive."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._session = SmtpServer(server.config, now=loop.time(), tls=server.implicit_tls)
        self._handler: Handler | None = None
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting_for: Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False  # reading
        self._full = False  # the client does not read what we write
        self._over = False  # said everything; what comes is dropped
        self._quit = False

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        server = self._server
        address = _address(peer)
        port = peer[1] if isinstance(peer, tuple) else 0
        self._connection = Connection(address, port, _text(local), self._session)
        self._connection.transport = self._transport
        crowded = len(server.sessions) >= server.most
        server.sessions.add(self)
        if crowded or server.draining:
            log.info("connection refused", extra={"peer": str(address), "sessions": len(server.sessions)})
            if server.implicit_tls:
                self._transport.abort()
            else:
                self._session.shut("too many connections, try again later", "4.7.0")
                self._flush()
            return
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        if server.implicit_tls:
            self._task = self._loop.create_task(self._upgrade())
        else:
            self._begin()

    def _begin(self) -> None:
        assert self._connection is not None
        try:
            self._handler = self._server.make_handler(self._connection)
        except Exception:
            log.exception("no handler", extra={"peer": str(self._connection.peer)})
            self._session.shut("something went wrong here, try again later", "4.3.0")
            self._flush()
            return
        self._timer = self._loop.call_at(self._session.deadline(self._loop.time()), self._tick)
        self._pump()

    def _feed(self, data: bytes) -> None:
        if self._over:
            return
        self._session.receive(data, self._loop.time())
        if self._task is None and not self._full:
            self._pump()
        else:
            self._pause()

    def eof_received(self) -> bool:
        return False  # the transport closes itself; half a connection is of no use to SMTP

    def pause_writing(self) -> None:
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        if self._task is None and not self._over:
            self._resume()
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._server.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.gone = True
        if self._task is None:
            self._closed(str(error or "closed"))
        elif not isinstance(self._waiting_for, MessageEnd):
            self._task.cancel()

    def _closed(self, why: str) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.closed(why)
            except Exception:
                log.exception("handler failed", extra={"event": "closed"})

    # -- the session's side

    def _pump(self) -> None:
        session, handler = self._session, self._handler
        while handler is not None and not self._full and (event := session.next_event()) is not None:
            if isinstance(event, Quit):
                self._quit = True
            try:
                answer = handler.answer(event)
                if answer is None or isinstance(answer, Reply) or not isinstance(answer, Awaitable):
                    session.send(answer)
                    continue
            except Exception:
                self._broke(event)
                continue
            self._flush()
            self._waiting_for = event
            self._task = self._loop.create_task(self._wait(answer, event))
            return
        self._flush()
        if session.wants_tls:
            self._task = self._loop.create_task(self._upgrade())

    def _broke(self, event: Event) -> None:
        """A handler that fails costs its client this one command, nobody else anything."""
        log.exception("handler failed", extra={"event": type(event).__name__})
        self._session.send(_INTERNAL_ERRORS.get(type(event), INTERNAL_ERROR) if not isinstance(event, Quit) else None)

    async def _wait(self, answer: Awaitable[Answer], event: Event) -> None:
        try:
            reply = await answer
            self._session.send(reply, self._loop.time())
        except Exception:
            self._broke(event)
        finally:
            self._task = self._waiting_for = None
            if self._over:
                self._closed("the client hung up")
        if not self._over:
            self._resume()
            self._pump()

    async def _upgrade(self) -> None:
        transport, context, connection = self._transport, self._server.tls_context, self._connection
        assert transport is not None
        assert context is not None
        assert connection is not None
        try:
            upgraded = await self._loop.start_tls(
                transport, cast(Any, self), context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
            if upgraded is None:  # the loop's word for: closed meanwhile
                raise ConnectionResetError("closed during the handshake")
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.info("TLS handshake failed", extra={"peer": str(connection.peer), "error": str(error)})
            self._task = None
            transport.abort()
            if not self._over:
                self.connection_lost(error)
            return
        finally:
            self._task = None
        self._transport = connection.transport = upgraded
        upgraded.set_write_buffer_limits(high=WRITE_HIGH)
        connection.tls_details = _details(upgraded.get_extra_info("ssl_object"))
        self._paused = False
        if self._over:
            upgraded.abort()
        elif self._handler is None:
            self._begin()
        else:
            self._session.tls_started(self._loop.time())
            self._pump()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        assert transport is not None
        if out := session.outgoing():
            transport.write(out)
        if session.ended and not self._over:
            self._over = True
            if self._quit or transport.is_closing() or not transport.can_write_eof():
                transport.close()
            else:
                self._linger(transport)

    def _linger(self, transport: asyncio.Transport) -> None:
        transport.write_eof()
        self._resume()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER_SECONDS, transport.abort)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._full and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _tick(self) -> None:
        now = self._loop.time()
        deadline = self._session.deadline(now)
        if now < deadline:
            self._timer = self._loop.call_at(deadline, self._tick)
        elif self._full and self._transport is not None:
            self._transport.abort()  # it reads nothing, not even this
        else:
            self._session.timed_out()
            self._flush()

    def drain(self) -> None:
        """421 at the next quiet moment."""
        self._session.drain()
        if self._handler is not None and self._task is None and not self._over:
            self._flush()

    def abort(self) -> None:
        """Ends at once."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()


class _Plain(_Session, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self._feed(data)


# What is read is taken out at once, so one buffer is enough for every connection of a process.
_shared = bytearray(READ_SIZE)
_shared_view = memoryview(_shared)


class _Buffered(_Session, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> memoryview:
        return _shared_view

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(bytes(_shared_view[:nbytes]))


def _address(peer: Any) -> IPv4Address | IPv6Address:
    if not isinstance(peer, tuple):  # a Unix socket, or gone already
        return IPv4Address(0)
    address = ip_address(peer[0].partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _text(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")


def _details(tls: Any) -> TlsDetails:
    cipher = tls.cipher()
    certificate = tls.getpeercert(binary_form=True) or b""
    return TlsDetails(tls.version() or "", cipher[0] if cipher else "", str(getattr(tls, "sni", "") or ""), certificate)
