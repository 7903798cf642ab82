"""The IMAP driver on a loop of its own, in a thread, for clients that block."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

from mox_imap import ImapConfig
from mox_imap.aio import Server, serve
from mox_imap.memory import MemoryBackend


class Running:
    """A server that runs; `call` does something on its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Server, port: int) -> None:
        self.loop = loop
        self.server = server
        self.port = port

    def call(self, work: Callable[[], Any]) -> Any:
        """Runs `work` on the loop, and waits."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)


@contextlib.contextmanager
def running(
    backend: MemoryBackend,
    config: ImapConfig,
    *,
    tls: ssl.SSLContext | None = None,
    implicit: bool = False,
    uvloop: bool = False,
    preamble: Any = None,
) -> Iterator[Running]:
    """A server on a free port of this machine."""
    if uvloop:
        import uvloop as module

        loop: asyncio.AbstractEventLoop = module.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        starting = serve(backend, sock, config, tls_context=tls, implicit_tls=implicit, preamble=preamble)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result(10)
        yield Running(loop, server, sock.getsockname()[1])
        asyncio.run_coroutine_threadsafe(server.drain(5), loop).result(10)
    finally:

        async def settle() -> None:
            await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(settle(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
