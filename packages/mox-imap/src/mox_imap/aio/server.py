"""The server on asyncio: bytes to sessions and back, TLS, deadlines, back-pressure, waking for what is done or new.

Sessions are called straight from the transport; there is no task for a command.  On uvloop a plain Protocol is fastest;
on the stdlib's loop a BufferedProtocol with one buffer for all connections, because a Protocol is given 256 KB of fresh
memory for each read there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol, cast

from mox_imap.backend import Keyed, Logins, Pending
from mox_imap.fulfils import fulfils
from mox_imap.server import ImapConfig, ImapServer

log = logging.getLogger("mox.imap")

READ_SIZE = 256 * 1024
BACKLOG = 1024
HANDSHAKE_SECONDS = 30.0
PREAMBLE_SECONDS = 10.0
# What a client may leave unread before its commands stop.
WRITE_HIGH = 256 * 1024
# A client that reads nothing for so long is hung up on.
WRITE_SECONDS = 300.0
# After an end that the client did not ask for: how long what it still sends is read and dropped, so that the reset
# which follows a close with unread bytes does not take our BYE with it.
LINGER_SECONDS = 2.0
# The stdlib zero-fills this much for each TLS connection (256 KB by default).
TLS_BUFFER = 16 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Who really connects; None: who it seems."""

    address: IPv4Address | IPv6Address | None


class Preamble(Protocol):
    """What stands in front of IMAP, and of TLS, on a connection: the PROXY header of a proxy that is trusted."""

    @property
    def wanted(self) -> int:
        """How many octets to read at most next: never beyond the preamble."""

    def feed(self, data: bytes) -> Origin | None:
        """None: more is needed.  Raises ValueError when it is no preamble; the connection ends."""


class Server:
    """A listening socket and its sessions."""

    def __init__(
        self,
        logins: Logins,
        config: ImapConfig,
        tls_context: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        most: int,
        preamble: Callable[[IPv4Address | IPv6Address], Preamble | None] | None = None,
    ) -> None:
        assert tls_context is not None or not (implicit_tls or config.starttls), "TLS needs a context"
        self.logins = logins
        self.config = config
        self.tls_context = tls_context
        self.implicit_tls = implicit_tls
        self.most = most
        self.preamble = preamble
        self.draining = False
        self.sessions: set[_Session] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._make: type[_Session]
        self._listening: asyncio.AbstractServer | None = None
        self._empty: asyncio.Event | None = None

    def begin(self) -> None:
        """Makes ready for connections: those of `listen`, and those that `session` is for."""
        loop = self._loop = asyncio.get_running_loop()
        uvloop = type(loop).__module__.startswith("uvloop")
        if not uvloop:
            sslproto.SSLProtocol.max_size = TLS_BUFFER
        # A preamble is read to its last octet and no further, for which the buffer must be ours.
        self._make = _Plain if uvloop and self.preamble is None else _Buffered

    def session(self) -> asyncio.BaseProtocol:
        """A session for a connection that somebody else took, such as one whose client chose IMAP by ALPN: its
        `connection_made` is to be called, with a TLS transport where TLS is implicit."""
        assert self._loop is not None
        return cast(asyncio.BaseProtocol, self._make(self, self._loop))

    async def listen(self, sock: socket.socket) -> None:
        """Takes connections from a bound, listening socket."""
        self.begin()
        loop = asyncio.get_running_loop()
        # Not start_tls for implicit TLS: uvloop may read a client's hello before a task gets to run.  Behind a preamble
        # it has to be.
        context = self.tls_context if self.implicit_tls and self.preamble is None else None
        self._listening = await loop.create_server(
            lambda: cast(Any, self.session()),
            sock=sock,
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
            ssl_shutdown_timeout=LINGER_SECONDS if context is not None else None,
        )

    async def drain(self, seconds: float) -> None:
        """Takes no more connections, lets running commands finish for so long, says BYE."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for session in list(self.sessions):
            session.drain()
        if self.sessions:
            self._empty = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
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
    logins: Logins,
    sock: socket.socket | None,
    config: ImapConfig,
    *,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    most: int = 2000,
    preamble: Callable[[IPv4Address | IPv6Address], Preamble | None] | None = None,
) -> Server:
    """Serves IMAP on a bound, listening socket; with None only what is handed to `Server.session`.  `most`: connections
    at a time; more get BYE.  `preamble`: what is demanded first of a connection from that address, if anything."""
    server = Server(logins, config, tls_context, implicit_tls=implicit_tls, most=most, preamble=preamble)
    if sock is not None:
        await server.listen(sock)
    else:
        server.begin()
    return server


def run(logins: Logins, sock: socket.socket, config: ImapConfig, *, tls_context: ssl.SSLContext | None = None) -> None:
    """Serves on a bound socket until it is interrupted; with its own loop."""

    async def forever() -> None:
        server = await serve(logins, sock, config, tls_context=tls_context)
        try:
            await asyncio.Event().wait()
        finally:
            await server.drain(1.0)

    asyncio.run(forever())


class _Session:
    """One connection; the two subclasses differ only in how bytes arrive."""

    __slots__ = (
        "_awaited", "_early", "_full", "_loop", "_over", "_paused", "_peer", "_preamble", "_scheduled", "_server",
        "_session", "_stuck_since", "_task", "_timer", "_transport",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._session: ImapServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None  # a TLS handshake
        self._awaited: Pending[Any] | None = None
        self._early: bytes | None = None  # what came during a TLS handshake
        self._preamble: Preamble | None = None
        self._peer: IPv4Address | IPv6Address | None = None
        self._scheduled = False
        self._paused = False  # reading
        self._full = False  # the client does not read what we write
        self._stuck_since = 0.0
        self._over = False  # said everything; what comes is dropped

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        server = self._server
        server.sessions.add(self)
        self._peer = _address(transport.get_extra_info("peername"))
        if server.preamble is not None and self._peer is not None:
            self._preamble = server.preamble(self._peer)
        if self._preamble is not None:
            self._timer = self._loop.call_later(PREAMBLE_SECONDS, self._transport.abort)
        else:
            self._open()

    def _preface(self, data: bytes) -> None:
        assert self._preamble is not None
        assert self._transport is not None
        try:
            origin = self._preamble.feed(data)
        except ValueError as error:
            log.info("no preamble", extra={"peer": str(self._peer), "error": str(error)})
            self._over = True
            self._transport.abort()
            return
        if origin is not None:
            self._preamble = None
            self._peer = origin.address or self._peer
            if self._timer is not None:
                self._timer.cancel()
            self._open()

    def _open(self) -> None:
        assert self._transport is not None
        if self._server.implicit_tls and self._transport.get_extra_info("ssl_object") is None:
            self._pause()  # the client's hello waits for start_tls
            self._task = self._loop.create_task(self._upgrade())
        else:
            self._begin()

    def _begin(self) -> None:
        server = self._server
        assert self._transport is not None
        account = None
        tls = self._transport.get_extra_info("ssl_object")
        if tls is not None and fulfils(server.logins, Keyed) and (shown := tls.getpeercert(binary_form=True)):
            account = server.logins.by_certificate(shown, self._peer)
        self._session = ImapServer(
            server.config,
            server.logins,
            now=self._loop.time(),
            tls=server.implicit_tls,
            peer=self._peer,
            wake=self._wake,
            clock=time.time,
            account=account,
        )
        if len(server.sessions) > server.most or server.draining:
            self._session.outgoing()  # instead of the greeting
            self._session.bye("too many connections, try again later")
        self._timer = self._loop.call_at(self._session.deadline(), self._tick)
        self._go_on()

    def _feed(self, data: bytes) -> None:
        session = self._session
        if self._over:
            return
        if self._preamble is not None:
            self._preface(data)
            return
        if self._early is not None:
            self._early += data
            return
        if session is None:
            return
        session.receive(data, self._loop.time())
        if self._awaited is None and not self._scheduled and not self._full:
            self._go_on()
        elif session.ended:
            self._flush()
        else:
            self._pause()

    def eof_received(self) -> bool:
        return False  # the transport closes itself; half a connection is of no use to IMAP

    def pause_writing(self) -> None:
        self._full = True
        self._stuck_since = self._loop.time()
        self._pause()

    def resume_writing(self) -> None:
        self._full = False
        if not self._over and self._awaited is None and self._session is not None and self._task is None:
            self._schedule()

    def connection_lost(self, error: Exception | None) -> None:
        self._over = True
        self._server.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._session is not None:
            self._session.close()

    # -- the session's side

    def _go_on(self) -> None:
        self._scheduled = False
        session = self._session
        if session is None or self._over or self._full or self._awaited is not None:
            return
        try:
            session.run(self._loop.time())
            if session.listening:
                session.news()
        except Exception:
            # One session's bug is not its neighbours' trouble.
            log.exception("session failed")
            session.bye("[SERVERBUG] something went wrong here")
        self._flush()
        if self._over:
            return
        if session.waiting is not None:
            self._pause()
            self._awaited = session.waiting
            session.waiting.add_done_callback(self._done)
        elif session.busy or session.breathing:
            self._pause()
            if not self._full:
                self._schedule()
        elif self._server.draining:
            session.bye("closing down")
            self._flush()
        elif session.wants_tls:
            self._pause()
            self._task = self._loop.create_task(self._upgrade())
        elif not self._full:
            self._resume()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go_on)

    def _done(self, pending: Any) -> None:
        session = self._session
        if session is None or pending is not self._awaited:
            return
        self._awaited = None
        if not self._over:
            session.resume()
            self._go_on()

    def _wake(self) -> None:
        """The mailbox has changed."""
        session = self._session
        if session is not None and session.listening and not self._over and not self._full:
            session.news()
            self._flush()
            if session.busy and not self._over and not self._full:
                self._schedule()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        if out := session.outgoing():
            transport.write(out)
        if session.ended and not self._over:
            self._over = True
            if session.logged_out or transport.is_closing() or not transport.can_write_eof():
                transport.close()
            else:
                self._linger(transport)

    def _linger(self, transport: asyncio.Transport) -> None:
        try:
            transport.write_eof()
        except OSError:  # the client is gone already, and the loop has not said so yet
            transport.abort()
            return
        self._resume()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER_SECONDS, transport.abort)

    async def _upgrade(self) -> None:
        transport, context = self._transport, self._server.tls_context
        assert transport is not None
        assert context is not None
        # From here on all that comes is decrypted; a client's first command may come with the end of its handshake,
        # before this task goes on.
        self._early = b""
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
            log.info("TLS handshake failed", extra={"error": str(error)})
            self._task = None
            transport.abort()
            if not self._over:
                self.connection_lost(error)
            return
        finally:
            self._task = None
        self._transport = upgraded
        upgraded.set_write_buffer_limits(high=WRITE_HIGH)
        self._paused = False
        if self._over:
            upgraded.abort()
            return
        early, self._early = self._early, None
        if self._session is None:
            self._begin()
        else:
            self._session.tls_started()
        if early:
            self._feed(early)
        elif not self._over:
            self._go_on()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _tick(self) -> None:
        session, transport = self._session, self._transport
        assert session is not None
        assert transport is not None
        now = self._loop.time()
        deadline = session.deadline()
        if self._full:
            deadline = self._stuck_since + WRITE_SECONDS
            if now >= deadline:
                transport.abort()  # it reads nothing, not even a BYE
                return
        elif self._awaited is not None or session.busy:
            deadline = max(deadline, now + 60.0)
        if now < deadline:
            self._timer = self._loop.call_at(deadline, self._tick)
            return
        session.on_timeout()
        self._flush()

    def drain(self) -> None:
        """BYE at the next quiet moment."""
        if self._session is not None and self._task is None:
            self._go_on()

    def abort(self) -> None:
        """Ends at once."""
        if self._transport is not None:
            self._transport.abort()


class _Plain(_Session, asyncio.Protocol):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._feed(data)


_shared = bytearray(READ_SIZE)
_shared_view = memoryview(_shared)


class _Buffered(_Session, asyncio.BufferedProtocol):
    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _shared_view if self._preamble is None else _shared_view[: self._preamble.wanted]

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(bytes(_shared_view[:nbytes]))


def _address(peer: Any) -> IPv4Address | IPv6Address | None:
    if not isinstance(peer, tuple):  # a Unix socket
        return None
    address = ip_address(str(peer[0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
