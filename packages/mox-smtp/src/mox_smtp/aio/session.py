"""One connection of a server on asyncio.

Sessions are called straight from the transport; a task exists only while an answer is waited for.  On uvloop a plain
Protocol is fastest; on the stdlib's loop a BufferedProtocol with one buffer for all connections, because a Protocol is
given 256 KB of fresh memory for each read there."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from mox_sasl import Challenge
from mox_smtp.aio.server import Connection, Handler, Server, TlsDetails
from mox_smtp.event import AuthResponse, AuthStart, Connected, Event, MessageEnd, Quit, StartTls
from mox_smtp.proxy import ProxyReader, ProxySyntaxError
from mox_smtp.reply import Refusal, Reply
from mox_smtp.server import Answer, SmtpServer
from mox_smtp.trust import binding_of

log = logging.getLogger("mox.smtp")

HANDSHAKE_SECONDS = 30.0
PROXY_SECONDS = 10.0
# After an end that the client did not ask for: how long what it still sends is read and dropped, so that the reset
# which follows a close with unread bytes does not take our last reply with it.
LINGER_SECONDS = 2.0
LINGER_OCTETS = 4 * 1024 * 1024
# What a client may leave unread before we stop reading from it.
WRITE_HIGH = 64 * 1024

INTERNAL_ERROR = Reply(451, "something went wrong here, try again later", "4.3.0")
_INTERNAL_ERRORS: dict[type, Reply] = {
    Connected: Reply(421, "something went wrong here, try again later", "4.3.0"),
    StartTls: Reply(454, "no TLS now, try again later", "4.7.0"),
    AuthStart: Reply(454, "no logins now, try again later", "4.7.0"),
    AuthResponse: Reply(454, "no logins now, try again later", "4.7.0"),
}
# Asking an ABC whether something can be awaited takes longer than all the rest of an answer.
_AT_ONCE = frozenset({type(None), Reply, Refusal, Challenge, tuple})


class Session:
    """One connection; the two subclasses differ only in how bytes arrive."""

    __slots__ = (
        "__weakref__", "_connection", "_dropped", "_early", "_full", "_handler", "_held", "_linger_timer", "_loop",
        "_over", "_paused", "_proxy", "_quit", "_server", "_session", "_since", "_task", "_transport", "_waiting_for",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._session = SmtpServer(server.config, now=now, tls=server.implicit_tls, epoch=server.epoch)
        self._handler: Handler | None = None
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting_for: Event | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._proxy: ProxyReader | None = None
        # What came through TLS before the loop has told us that TLS has begun: a client may send its first command in
        # the same breath as the end of its handshake.  What comes in the clear after STARTTLS never gets here.
        self._early: list[bytes] | None = None
        self._since = now
        self._dropped = 0  # octets that came after the end
        self._held = False  # a reply waits for its time
        self._paused = False  # reading
        self._full = False  # the client does not read what we write
        self._over = False  # said everything; what comes is dropped
        self._quit = False

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        server = self._server
        known = isinstance(peer, tuple)
        address = _address(peer[0]) if known else IPv4Address(0)  # a Unix socket, or gone already
        self._connection = Connection(address, peer[1] if known else 0, self._session)
        self._connection.transport = transport
        crowded = len(server.sessions) >= server.most
        server.begun(self)
        if crowded or server.draining:
            log.info("connection refused", extra={"peer": str(address), "sessions": len(server.sessions)})
            if server.implicit_tls:
                transport.abort()
            else:
                self._session.shut("too many connections, try again later", "4.7.0")
                self._flush()
        elif server.config.proxy_from and known and any(address in network for network in server.config.proxy_from):
            self._proxy = ProxyReader()
        else:
            self._open()

    def _open(self) -> None:
        assert self._transport is not None
        assert self._connection is not None
        if (tls := self._transport.get_extra_info("ssl_object")) is not None:
            self._transport.set_write_buffer_limits(high=WRITE_HIGH)
            self._connection.tls_details = _details(tls)
            self._begin()
        elif self._server.implicit_tls:
            self._pause()  # uvloop may read on before a task gets to run: the client's hello waits for start_tls
            self._task = self._loop.create_task(self._upgrade())
        else:
            self._begin()

    def _proxied(self, data: bytes) -> None:
        """The PROXY header; without a sound one there is no telling who this is."""
        assert self._proxy is not None
        assert self._connection is not None
        assert self._transport is not None
        try:
            header = self._proxy.feed(data)
        except ProxySyntaxError as error:
            log.info("no PROXY header", extra={"peer": str(self._connection.peer), "error": str(error)})
            self._over = True
            self._transport.abort()
            return
        if header is not None:
            self._proxy = None
            if header.source is not None:
                self._connection.proxy, self._connection.peer = self._connection.peer, _plain(header.source)
                self._connection.port = header.source_port
            self._open()

    def _begin(self) -> None:
        assert self._connection is not None
        try:
            self._handler = self._server.make_handler(self._connection)
        except Exception:
            log.exception("no handler", extra={"peer": str(self._connection.peer)})
            self._session.shut("something went wrong here, try again later", "4.3.0")
            self._flush()
            return
        self._pump()

    def _feed(self, data: bytes) -> None:
        if self._over:
            self._dropped += len(data)
            if self._dropped > LINGER_OCTETS and self._transport is not None:
                self._transport.abort()
            return
        if self._early is not None:
            self._early.append(data)
            return
        if self._proxy is not None:
            self._proxied(data)
            return
        self._session.receive(data, self._loop.time())
        if self._task is None and not self._full and not self._held:
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
        if self._task is None and not self._over and not self._held:
            self._resume()
            self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._server.forget(self)
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._connection is not None:
            self._connection.gone = True
        if self._task is None:
            if self._handler is not None:
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
            if type(event) is Quit:
                self._quit = True
            try:
                answer = handler.answer(event)
                if type(answer) in _AT_ONCE or not isinstance(answer, Awaitable):
                    session.send(cast(Answer, answer))
                    if session.hold:
                        break
                    continue
            except Exception:
                self._broke(event)
                continue
            self._flush()
            self._waiting_for = event
            self._task = self._loop.create_task(self._wait(answer, event))
            return
        self._flush()
        if session.wants_tls and not self._held:
            self._pause()
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
        if not self._over and not self._held:
            self._resume()
            self._pump()

    def _begin_upgrade(self) -> None:
        # Until the task runs, the client's hello must stay in the socket.
        assert self._transport is not None
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._upgrade())

    async def _upgrade(self) -> None:
        transport, context, connection = self._transport, self._server.tls_context, self._connection
        assert transport is not None
        assert context is not None
        assert connection is not None
        self._early = []
        try:
            upgraded = await self._loop.start_tls(
                transport,
                cast(Any, self),
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=LINGER_SECONDS,
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
        tls = upgraded.get_extra_info("ssl_object")
        connection.tls_details = _details(tls)
        self._session.binding = binding_of(tls)
        self._paused = False
        early, self._early = self._early, None
        if self._over:
            upgraded.abort()
            return
        if self._handler is None:
            self._begin()
        else:
            self._session.tls_started(self._loop.time())
        if early:
            self._feed(b"".join(early))
        elif not self._over:
            self._pump()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        assert transport is not None
        if session.hold:
            self._hold(session.hold, session.outgoing())
            return
        if out := session.outgoing():
            transport.write(out)
        if session.ended and not self._over:
            self._over = True
            if self._quit or transport.is_closing() or not transport.can_write_eof():
                transport.close()
            else:
                self._linger(transport)

    def _hold(self, seconds: float, out: bytes) -> None:
        """The tarpit and the slow mode: a reply waits, and nothing is read meanwhile."""
        self._held = True
        self._pause()
        self._loop.call_later(seconds, self._release, out)

    def _release(self, out: bytes) -> None:
        self._held = False
        if not self._over and self._transport is not None:
            self._transport.write(out)
            if self._task is None:
                self._resume()
                self._pump()

    def _linger(self, transport: asyncio.Transport) -> None:
        try:
            transport.write_eof()
        except OSError:  # the client is gone already, and the loop has not said so yet
            transport.abort()
            return
        self._resume()
        self._linger_timer = self._loop.call_later(LINGER_SECONDS, transport.abort)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._full and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def check(self, now: float) -> None:
        """Is it time to give up?"""
        if self._over or self._held or self._transport is None:
            return
        if self._proxy is not None:
            if now > self._since + PROXY_SECONDS:
                self._over = True
                self._transport.abort()
        elif self._handler is not None and now >= self._session.deadline(now):
            if self._full:
                self._transport.abort()  # it reads nothing, not even this
            elif self._task is None:
                self._session.timed_out()
                self._flush()

    def drain(self) -> None:
        """421 at the next quiet moment."""
        if self._proxy is not None:
            self.abort()
        self._session.drain()
        if self._handler is not None and self._task is None and not self._over and not self._held:
            self._flush()

    def abort(self) -> None:
        """Ends at once."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()


class Plain(Session, asyncio.Protocol):
    """For uvloop."""

    def data_received(self, data: bytes) -> None:
        self._feed(data)


class Buffered(Session, asyncio.BufferedProtocol):
    """For the stdlib's loop, and where the end of a PROXY header must be met exactly."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        buffer = self._server.buffer
        return buffer if self._proxy is None else buffer[: self._proxy.wanted]

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(bytes(self._server.buffer[:nbytes]))


@functools.lru_cache(maxsize=1024)
def _address(text: str) -> IPv4Address | IPv6Address:
    return _plain(ip_address(text.partition("%")[0]))


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _details(tls: Any) -> TlsDetails:
    cipher = tls.cipher()
    certificate = tls.getpeercert(binary_form=True) or b""
    return TlsDetails(tls.version() or "", cipher[0] if cipher else "", str(getattr(tls, "sni", "") or ""), certificate)
