"""Sessions on asyncio: bytes in and out, STARTTLS, deadlines, back-pressure, waking for what is done or has changed."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from mox_imap.backend import Logins
from mox_imap.server import ImapConfig, ImapServer

log = logging.getLogger("mox.imap")

READ_SIZE = 256 * 1024
WRITE_HIGH = 256 * 1024
HANDSHAKE_SECONDS = 30.0


class Server:
    """A listening socket and its sessions."""

    def __init__(
        self, logins: Logins, config: ImapConfig, tls_context: ssl.SSLContext | None, implicit_tls: bool, most: int
    ) -> None:
        self.logins = logins
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
        """Takes no more connections, lets running commands finish, says BYE."""
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
    logins: Logins,
    sock: socket.socket,
    config: ImapConfig,
    *,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    most: int = 2000,
) -> Server:
    """Serves IMAP on a bound, listening socket.  `most`: connections at a time; more get BYE."""
    server = Server(logins, config, tls_context, implicit_tls, most)
    await server.listen(sock)
    return server


class _Session:
    """One connection; the two subclasses differ only in how bytes arrive."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: ImapServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._upgrading = False
        self._paused = False
        self._full = False
        self._scheduled = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        if self._session is not None:  # back from a TLS upgrade
            return
        server = self._server
        peer = transport.get_extra_info("peername")
        address = _address(peer[0]) if peer else None
        self._session = ImapServer(
            server.config, server.logins, now=self._loop.time(), tls=server.implicit_tls, peer=address, wake=self._wake
        )
        server.sessions.add(self)
        if len(server.sessions) > server.most or server.draining:
            self._session.bye("too many connections, try again later")
            self._flush()
            return
        self._timer = self._loop.call_at(self._session.deadline(), self._time)
        self._go_on()

    def _feed(self, data: bytes) -> None:
        assert self._session is not None
        if self._upgrading:
            return
        self._session.receive(data, self._loop.time())
        self._go_on()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._full = True
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if self._upgrading and error is None and self._transport is not None and not self._transport.is_closing():
            return
        self._server.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._session is not None:
            self._session.close()

    # -- running

    def _go_on(self) -> None:
        session = self._session
        assert session is not None
        self._scheduled = False
        while not session.ended and not self._full:
            try:
                session.run()
            except Exception:
                # One session's bug is not its neighbours' trouble.
                log.exception("session failed")
                session.bye("something went wrong here")
            self._flush()
            if session.waiting is not None:
                self._pause()
                session.waiting.add_done_callback(self._done)
                return
            if session.breathing:
                self._pause()
                self._schedule()
                return
            if not session.busy:
                break
        if session.ended:
            self._flush()
            return
        if self._server.draining and not session.busy:
            session.bye("closing down")
            self._flush()
            return
        if session.wants_tls and not self._upgrading:
            self._upgrading = True
            self._pause()
            self._task = self._loop.create_task(self._upgrade())
            return
        if not self._full:
            self._resume()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go_on)

    def _done(self, _: Any) -> None:
        session = self._session
        if session is None or session.ended:
            return
        session.resume()
        self._go_on()

    def _wake(self) -> None:
        """The mailbox has changed."""
        session = self._session
        if session is not None and not session.ended and not self._full and session.idle_tag:
            session.news()
            self._flush()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        if out := session.outgoing():
            transport.write(out)
        if session.ended:
            transport.close()

    async def _upgrade(self) -> None:
        transport, session = self._transport, self._session
        assert transport is not None
        assert session is not None
        context = self._server.tls_context
        assert context is not None, "STARTTLS was granted without a context"
        try:
            upgraded = await self._loop.start_tls(
                transport, cast(Any, self), context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (TimeoutError, OSError, ssl.SSLError) as error:
            log.info("TLS handshake failed", extra={"error": str(error)})
            self._task = None
            transport.abort()
            self.connection_lost(error)
            return
        self._task = None
        self._upgrading = False
        if upgraded is None:
            return
        self._transport = upgraded
        session.tls_started()
        self._paused = False
        self._go_on()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _time(self) -> None:
        session = self._session
        assert session is not None
        now, deadline = self._loop.time(), session.deadline()
        if now >= deadline and (session.waiting is not None or session.busy):
            deadline = now + 60.0
        if now >= deadline:
            session.on_timeout()
            self._flush()
            return
        self._timer = self._loop.call_at(deadline, self._time)

    def drain(self) -> None:
        """BYE at the next quiet moment."""
        if self._session is not None and self._session.waiting is None and not self._session.busy:
            self._go_on()

    def abort(self) -> None:
        """Ends at once."""
        if self._transport is not None:
            self._transport.abort()


class _Plain(_Session, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self._feed(data)


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
