"""Several clients at once, each checking all that it hears, over real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kit.imap_stress import stress
from mox_imap import ImapConfig
from mox_imap.aio import serve
from mox_imap.memory import MemoryBackend


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_sees_the_same(seed: int) -> None:
    async def run() -> int:
        backend = MemoryBackend(clock=lambda: 1_700_000_000.0)
        backend.add("ann", "secret")
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        server = await serve(backend, sock, ImapConfig(plaintext_login=True, modseqs=True))
        counts = await stress("127.0.0.1", port, "ann", "secret", clients=6, seconds=1.5, seed=seed)
        await server.drain(1.0)
        return counts["QRESYNC"]

    assert asyncio.run(run()) == 2
