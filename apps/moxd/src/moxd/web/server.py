"""HTTP on our own loop, by uvicorn's protocol; and what else comes to port 443 when its client says so by ALPN."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

log = logging.getLogger("moxd.web")

BACKLOG = 1024
HTTP = "http/1.1"
MAX_HEAD = 16 * 1024  # octets of a request line and its header
# A request's head, and the time between two requests of a connection.
IDLE_SECONDS = 10.0
REQUEST_SECONDS = 60.0
HANDSHAKE_SECONDS = 30.0
SHUTDOWN_SECONDS = 2.0
SWEEP_SECONDS = 1.0
MAX_CONNECTIONS = 1000


class Sessions(Protocol):
    """Another protocol's server, that makes sessions for connections it did not take itself."""

    def session(self) -> asyncio.BaseProtocol:
        """A protocol whose `connection_made` is to be called."""

    async def drain(self, seconds: float) -> None:
        """Ends, politely."""


class _Http(H11Protocol):
    """uvicorn's, with the time of the last thing that happened."""

    since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.since = self.loop.time()
        super().connection_made(transport)

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()


class WebServer:
    """Listening sockets for HTTP, with TLS or without."""

    def __init__(self, app: ASGIApp) -> None:
        self._loop = asyncio.get_running_loop()
        # No lifespan, no logging of its own, no trust in what a proxy says: the application needs none of it.
        self._config = Config(
            app, loop="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, ws="none", h11_max_incomplete_event_size=MAX_HEAD,
            timeout_keep_alive=int(IDLE_SECONDS),
        )  # fmt: skip
        self._config.load()
        self._state = ServerState()
        self._listening: list[asyncio.AbstractServer] = []
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def http(self) -> asyncio.Protocol:
        """A connection."""
        return cast(asyncio.Protocol, _Http(self._config, self._state, {}, self._loop))

    async def listen(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None = None,
        others: Mapping[str, Sessions] | None = None,
    ) -> None:
        """Takes connections from a bound, listening socket; with a context by TLS, and then `others` by ALPN name."""
        if context is None:
            make: Callable[[], asyncio.BaseProtocol] = self._plain
        else:
            by_name = {name: server.session for name, server in (others or {}).items()}
            make = lambda: _Chooser(self.http, by_name)  # noqa: E731
        self._listening.append(
            await self._loop.create_server(
                cast(Any, make), sock=sock, backlog=BACKLOG, ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if context is not None else None,
            )
        )  # fmt: skip

    def _plain(self) -> asyncio.Protocol:
        return self.http()

    def _sweep(self) -> None:
        """Hangs up on who does not get on with it, and on the oldest when there are too many."""
        now = self._loop.time()
        connections = cast("set[_Http]", self._state.connections)
        for one in list(connections):
            busy = one.cycle is not None and not one.cycle.response_complete
            if now > one.since + (REQUEST_SECONDS if busy else IDLE_SECONDS):
                one.transport.abort()
        if len(connections) > MAX_CONNECTIONS:
            for one in sorted(connections, key=lambda one: one.since)[: len(connections) - MAX_CONNECTIONS]:
                one.transport.abort()
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    async def drain(self, seconds: float) -> None:
        """Takes no more connections, lets requests finish for so long."""
        for listening in self._listening:
            listening.close()
        connections = cast("set[_Http]", self._state.connections)
        for one in list(connections):
            one.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while connections:  # noqa: ASYNC110  uvicorn has no event for it
                    await asyncio.sleep(0.05)
        self._sweeper.cancel()
        for one in list(connections):
            one.transport.abort()


class _Chooser(asyncio.Protocol):
    """After the handshake: whom did the client want?"""

    def __init__(
        self, http: Callable[[], asyncio.Protocol], others: Mapping[str, Callable[[], asyncio.BaseProtocol]]
    ) -> None:
        self._http = http
        self._others = others

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        chosen = (tls.selected_alpn_protocol() if tls is not None else None) or HTTP
        protocol = self._others.get(chosen, self._http)()
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)
