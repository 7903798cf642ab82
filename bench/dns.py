"""CPU of the client per uncached TXT lookup: our UdpResolver beside dns.asyncresolver, asking one responder in one run.

    python bench/dns.py [lookups]

The responder is another process on loopback, so its own time is not counted.  Also shown: blocking lookups, answers
from memory, and three questions side by side, as SPF, DKIM and DMARC ask them."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

# This file's own name hides dnspython from a script in the same folder.
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != Path(__file__).resolve().parent]

import dns.asyncresolver  # noqa: E402
import dns.resolver  # noqa: E402

from mox_dns import BlockingUdpResolver, Question, UdpResolver, ask_all, run, run_blocking, txt  # noqa: E402

TEXT = b"v=spf1 ip4:192.0.2.0/24 include:_spf.example.net mx -all"


def respond(sock: socket.socket) -> None:
    """Answers every question with one TXT record."""
    record = (
        b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x01\x2c" + (len(TEXT) + 1).to_bytes(2, "big") + bytes([len(TEXT)]) + TEXT
    )
    while True:
        query, peer = sock.recvfrom(4096)
        end = query.index(b"\0", 12) + 5
        sock.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + record, peer)


def cpu(work: Callable[[], Any], count: int) -> float:
    """Microseconds of CPU for each of `count`."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / count * 1e6


def looped(work: Coroutine[Any, Any, None], count: int) -> float:
    """The same for a coroutine, without the loop's own start."""

    async def measure() -> float:
        start = time.process_time()
        await work
        return (time.process_time() - start) / count * 1e6

    return asyncio.run(measure())


async def ours(port: int, count: int, prefix: str, *, again: bool = False) -> None:
    with UdpResolver([f"127.0.0.1:{port}"], trust_ad=False) as resolver:
        for n in range(count):
            await run(txt(f"{prefix}{0 if again else n}.example"), resolver)


async def ours_side_by_side(port: int, count: int) -> None:
    with UdpResolver([f"127.0.0.1:{port}"], trust_ad=False) as resolver:
        for n in range(0, count, 3):
            await run(ask_all(*[Question(f"s{n + k}.example", "TXT") for k in range(3)]), resolver)


async def theirs(port: int, count: int) -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    for n in range(count):
        await resolver.resolve(f"t{n}.example", "TXT")


def ours_blocking(port: int, count: int) -> None:
    resolver = BlockingUdpResolver([f"127.0.0.1:{port}"], trust_ad=False)
    for n in range(count):
        run_blocking(txt(f"b{n}.example"), resolver)


def theirs_blocking(port: int, count: int) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    for n in range(count):
        resolver.resolve(f"u{n}.example", "TXT")


def show(what: str, mine: float, name: str, peer: float) -> None:
    print(f"{what + ':':<31} mox_dns {mine:6.1f}   {name:<17} {peer:6.1f}   ratio {peer / mine:5.1f}")


def main(count: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    responder = multiprocessing.get_context("fork").Process(target=respond, args=(sock,), daemon=True)
    responder.start()
    try:
        asyncio.run(ours(port, 50, "warm"))
        asyncio.run(theirs(port, 20))
        mine = min(looped(ours(port, count, f"m{k}x"), count) for k in range(3))
        peer = looped(theirs(port, count // 3), count // 3)
        mine_blocking = cpu(lambda: ours_blocking(port, count), count)
        peer_blocking = cpu(lambda: theirs_blocking(port, count // 3), count // 3)
        kept = looped(ours(port, count, "kept", again=True), count)
        together = looped(ours_side_by_side(port, count), count)
    finally:
        responder.terminate()
    show("uncached lookup, us CPU", mine, "dns.asyncresolver", peer)
    show("the same, blocking", mine_blocking, "dns.resolver", peer_blocking)
    print(f"of three side by side, each:    mox_dns {together:6.1f}")
    print(f"from memory:                    mox_dns {kept:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
