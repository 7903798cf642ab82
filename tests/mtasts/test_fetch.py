"""Policies from a real HTTPS host on loopback, awaited and blocking: what waits, what gives up, what is kept."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from kit.certificates import Made, make
from kit.policy_host import PolicyHost, Talk, breaks_off, policy_host, response, says
from mox_dns import Zone
from mox_mtasts import (
    Entry,
    Failure,
    Fetch,
    Fetched,
    Limits,
    MemoryCache,
    SharedFetcher,
    Source,
    Status,
    check,
    check_sync,
    default_context,
    due,
    fetch,
    fetch_sync,
    refresh,
    refresh_sync,
)

HOST = "mta-sts.a.example"
TEXT = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 604800\n"
NOW = 1_000_000_000.0
WANTED = Fetch(HOST, (ip_address("127.0.0.1"),))


@pytest.fixture(scope="module")
def root() -> Made:
    return make("Test Root", ca=True)


@pytest.fixture(scope="module")
def trust(root: Made, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    file = tmp_path_factory.mktemp("roots") / "root.pem"
    file.write_text(root.pem)
    return default_context(str(file))


@contextmanager
def serving(talk: Talk | None, root: Made, folder: Path, name: str = HOST) -> Iterator[PolicyHost]:
    with policy_host(make("leaf", root, names=[name]).server_context(folder), talk) as host:
        yield host


def both(wanted: Fetch, limits: Limits, context: ssl.SSLContext, port: int) -> Fetched:
    """Awaited and blocking, which must be the same."""
    blocking = fetch_sync(wanted, limits, context=context, port=port)
    assert asyncio.run(fetch(wanted, limits, context=context, port=port)) == blocking
    return blocking


def test_a_policy(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    with serving(says(response(TEXT)), root, tmp_path) as host:
        found = both(WANTED, Limits(), trust, host.port)
        assert (found.body, found.address) == (TEXT.encode(), "127.0.0.1")
        assert host.names == [HOST, HOST]
        assert host.requests[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.a.example\r\n")


def test_a_certificate_for_another_name(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    with serving(says(response(TEXT)), root, tmp_path, "www.a.example") as host:
        found = both(WANTED, Limits(), trust, host.port)
        assert found.failure is Failure.CERTIFICATE
        assert host.requests == []


def test_the_systems_roots_do_not_know_the_test(root: Made, tmp_path: Path) -> None:
    with serving(says(response(TEXT)), root, tmp_path) as host:
        assert fetch_sync(WANTED, port=host.port).failure is Failure.CERTIFICATE
        assert asyncio.run(fetch(WANTED, port=host.port)).failure is Failure.CERTIFICATE


def test_a_redirect_is_not_followed(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    with serving(says(response("", "302 Found", None, f"Location: https://{HOST}/x")), root, tmp_path) as host:
        found = both(WANTED, Limits(), trust, host.port)
        assert found.failure is Failure.REDIRECT
        assert len(host.requests) == 2


def test_a_broken_connection(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    with serving(breaks_off(response(TEXT, length=False)), root, tmp_path) as host:
        assert both(WANTED, Limits(), trust, host.port).failure is Failure.HTTP


def test_a_host_that_never_stops(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    def flood(connection: ssl.SSLSocket, _request: bytes) -> None:
        connection.sendall(response("", length=False))
        for _ in range(100_000):
            connection.sendall(b"x" * 10_000)

    with serving(flood, root, tmp_path) as host:
        found = both(WANTED, Limits(), trust, host.port)
        assert (found.failure, found.reason) == (Failure.SIZE, "the policy is longer than 65536 octets")


def drip(connection: ssl.SSLSocket, _request: bytes) -> None:
    connection.sendall(response("", length=False))
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("talk", [None, drip], ids=["says nothing", "a drop at a time"])
def test_the_deadline_is_for_all_of_it(
    talk: Talk | None, root: Made, trust: ssl.SSLContext, tmp_path: Path
) -> None:  # fmt: skip
    with serving(talk, root, tmp_path) as host:
        found = both(WANTED, Limits(timeout=0.3), trust, host.port)
        assert (found.failure, found.reason) == (Failure.TIMEOUT, f"{HOST} took longer than 0.3 s")


def test_the_next_address_is_tried(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    # Nothing listens at 127.9.9.9; whoever takes the connection has the last word.
    wanted = Fetch(HOST, (ip_address("127.9.9.9"), ip_address("127.0.0.1")))
    with serving(says(response(TEXT)), root, tmp_path) as host:
        assert both(wanted, Limits(), trust, host.port).ok
        last = both(wanted, Limits(addresses=1), trust, host.port)
        assert (last.failure, last.address) == (Failure.CONNECT, "127.9.9.9")
        assert host.requests


def test_nobody_takes_the_connection(trust: ssl.SSLContext) -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    try:
        port = full.getsockname()[1]
        queued = [socket.socket() for _ in range(8)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        found = both(WANTED, Limits(connect=0.2), trust, port)
        assert found.failure is Failure.CONNECT
        assert "no answer in time" in found.reason
        for one in queued:
            one.close()
    finally:
        full.close()
    assert both(Fetch(HOST, ()), Limits(), trust, 1).failure is Failure.CONNECT


ZONE = {"_mta-sts.a.example TXT": ["v=STSv1; id=1"], "mta-sts.a.example A": ["127.0.0.1"]}


def test_check_from_dns_to_the_cache(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    cache = MemoryCache()
    with serving(says(response(TEXT)), root, tmp_path) as host:
        blocking = partial(fetch_sync, context=trust, port=host.port)
        awaited = partial(fetch, context=trust, port=host.port)
        first = check_sync("A.example", Zone(ZONE), cache=cache, now=NOW, fetcher=blocking)
        assert (first.status, first.source) == (Status.VALID, Source.FETCHED)
        second = asyncio.run(check("a.example", Zone(ZONE), cache=cache, now=NOW + 10, fetcher=awaited))
        assert (second.policy, second.source) == (first.policy, Source.CACHE)
        assert len(host.requests) == 1
        later = NOW + 13 * 3600
        assert due(cache.entries(), later) == ("a.example",)
        third = asyncio.run(refresh("a.example", Zone(ZONE), cache=cache, now=later, fetcher=awaited))
        assert third.source is Source.FETCHED
        assert due(cache.entries(), later) == ()
        fourth = refresh_sync("a.example", Zone(ZONE), cache=cache, now=later + 1, fetcher=blocking)
        assert fourth.source is Source.FETCHED
        assert len(host.requests) == 3
    entry = cache.get("a.example")
    assert entry is not None
    assert (entry.used, entry.expires) == (NOW, later + 1 + 604800)
    # The host is gone, and so is the record: the policy stays.
    gone = check_sync("a.example", Zone({}), cache=cache, now=later + 2, fetcher=blocking)
    assert (gone.policy, gone.source) == (first.policy, Source.CACHE)
    over = check_sync("a.example", Zone({}), cache=cache, now=entry.expires, fetcher=blocking)
    assert (over.status, len(cache)) == (Status.NONE, 0)


def test_a_cache_is_written_only_when_something_changes() -> None:
    class Counting(MemoryCache):
        writes = 0

        def put(self, entry: Entry) -> None:
            self.writes += 1
            super().put(entry)

        def remove(self, domain: str) -> None:
            self.writes += 1
            super().remove(domain)

    def table(wanted: Fetch, limits: Limits) -> Fetched:
        return Fetched(TEXT.encode())

    cache = Counting()
    check_sync("b.example", Zone({}), cache=cache, now=NOW, fetcher=table)
    assert cache.writes == 0
    for second in (0, 10, 3599, 3600, 3700):
        check_sync("a.example", Zone(ZONE), cache=cache, now=NOW + second, fetcher=table)
    assert cache.writes == 2


def test_without_cache_and_clock(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    with serving(says(response(TEXT)), root, tmp_path) as host:
        blocking = partial(fetch_sync, context=trust, port=host.port)
        result = check_sync("a.example", Zone(ZONE), fetcher=blocking)
        assert result.entry is not None
        assert abs(result.entry.fetched - time.time()) < 60


def test_a_failure_is_not_repeated_at_once(root: Made, trust: ssl.SSLContext, tmp_path: Path) -> None:
    cache = MemoryCache()
    with serving(says(response("", "404 Not Found")), root, tmp_path) as host:
        blocking = partial(fetch_sync, context=trust, port=host.port)
        for second in (0, 10, 299, 301):
            result = check_sync("a.example", Zone(ZONE), cache=cache, now=NOW + second, fetcher=blocking)
            assert (result.status, result.failure) == (Status.ERROR, "sts-policy-fetch-error")
        assert len(host.requests) == 2


def test_many_at_once_ask_the_host_once() -> None:
    calls: list[str] = []

    async def slow(wanted: Fetch, limits: Limits) -> Fetched:
        calls.append(wanted.host)
        await asyncio.sleep(0.05)
        return Fetched(TEXT.encode())

    async def many() -> None:
        shared, cache = SharedFetcher(slow), MemoryCache()
        checks = [
            asyncio.ensure_future(check("a.example", Zone(ZONE), cache=cache, now=NOW, fetcher=shared))
            for _ in range(20)
        ]
        await asyncio.sleep(0.01)
        checks[0].cancel()
        others = await asyncio.gather(*checks[1:])
        assert {result.source for result in others} == {Source.FETCHED}
        assert calls == [HOST]
        await shared(WANTED, Limits())
        assert calls == [HOST, HOST]

    asyncio.run(many())


def test_own_fetcher() -> None:
    async def table(wanted: Fetch, limits: Limits) -> Fetched:
        assert (wanted.host, limits.body) == (HOST, 65536)
        return Fetched(TEXT.encode())

    cache = MemoryCache()
    cache.put(Entry("b.example"))
    result = asyncio.run(check("a.example", Zone(ZONE), cache=cache, now=NOW, fetcher=table))
    assert result.policy is not None
    assert cache.get("a.example") == result.entry
