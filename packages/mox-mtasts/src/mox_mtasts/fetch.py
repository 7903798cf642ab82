"""Where this package waits: the fetch over TCP, and the plan of check.py driven.  Each twice: awaited, and blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mox_dns import Answer, Domain, IpAddress, Question, ask_all, run, run_blocking, value_blocking
from mox_mtasts.cache import Cache, Entry
from mox_mtasts.check import Fetch, Plan, Result, plan_check
from mox_mtasts.fetched import LIMITS, Failure, Fetched, Limits

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl

    from mox_dns import AnyBlockingResolver, AnyResolver
    from mox_mtasts.exchange import Exchange

PORT = 443
_READ = 65536


class Fetcher(Protocol):
    """Fetches a policy in another way than `fetch`: through a proxy, or out of a test's table."""

    def __call__(self, wanted: Fetch, limits: Limits, /) -> Awaitable[Fetched]:
        """Raises nothing: a failure is a Fetched."""
        ...


class SyncFetcher(Protocol):
    """As Fetcher, blocking."""

    def __call__(self, wanted: Fetch, limits: Limits, /) -> Fetched:
        """Raises nothing: a failure is a Fetched."""
        ...


async def fetch(
    wanted: Fetch, limits: Limits = LIMITS, *, context: ssl.SSLContext | None = None, port: int = PORT
) -> Fetched:
    """The text of a policy, or why there is none.  `context`: as default_context() makes it.

    Addresses are tried in turn until one takes the connection; what it says then is the answer."""
    # Imports that cost more than the rest of the package wait until somebody fetches.
    import asyncio

    from mox_mtasts.exchange import default_context

    trusted = context or default_context()
    last = Fetched(None, Failure.CONNECT, f"{wanted.host} has no address that could be tried")
    try:
        async with asyncio.timeout(limits.timeout):
            for address in wanted.addresses[: limits.addresses]:
                last = await _from_address(wanted.host, address, port, trusted, limits)
                if last.failure is not Failure.CONNECT:
                    break
    except TimeoutError:
        return _too_long(wanted, limits)
    return last


async def _from_address(
    host: str, address: IpAddress, port: int, context: ssl.SSLContext, limits: Limits
) -> Fetched:  # fmt: skip
    import asyncio

    from mox_mtasts.exchange import Exchange

    try:
        async with asyncio.timeout(limits.connect):
            reader, writer = await asyncio.open_connection(str(address), port)
    except (OSError, TimeoutError) as error:
        return _not_connected(host, address, error)
    exchange = Exchange(host, context, limits)
    try:
        while exchange.result is None:
            writer.write(exchange.outgoing())
            await writer.drain()
            exchange.receive(await reader.read(_READ))
    except OSError as error:
        exchange.give_up(Failure.HTTP, f"the connection broke: {error.strerror or error}")
    finally:
        writer.transport.abort()
    assert exchange.result is not None
    return replace(exchange.result, address=str(address))


class SharedFetcher:
    """A Fetcher for many messages at once: while a host is asked, others who want the same wait for its answer.

    Give it `functools.partial(fetch, context=default_context())`, so that the roots are loaded once."""

    def __init__(self, fetcher: Fetcher = fetch) -> None:
        self._fetcher = fetcher
        self._running: dict[str, asyncio.Future[Fetched]] = {}

    async def __call__(self, wanted: Fetch, limits: Limits, /) -> Fetched:
        """Fetcher"""
        import asyncio

        running = self._running.get(wanted.host)
        if running is None:
            running = self._running[wanted.host] = asyncio.ensure_future(self._fetcher(wanted, limits))
            running.add_done_callback(lambda _: self._running.pop(wanted.host, None))
        # Whoever gives up waiting does not take the answer from the others.
        return await asyncio.shield(running)


def fetch_sync(
    wanted: Fetch, limits: Limits = LIMITS, *, context: ssl.SSLContext | None = None, port: int = PORT
) -> Fetched:
    """As `fetch`, blocking."""
    import socket

    from mox_mtasts.exchange import Exchange, default_context

    trusted = context or default_context()
    deadline = time.monotonic() + limits.timeout
    last = Fetched(None, Failure.CONNECT, f"{wanted.host} has no address that could be tried")
    for address in wanted.addresses[: limits.addresses]:
        if time.monotonic() >= deadline:
            return _too_long(wanted, limits)
        try:
            left = min(limits.connect, deadline - time.monotonic())
            connection = socket.create_connection((str(address), port), timeout=max(0.001, left))
        except OSError as error:
            last = _not_connected(wanted.host, address, error)
            continue
        with connection:
            found = _over(connection, Exchange(wanted.host, trusted, limits), deadline)
        return replace(found, address=str(address)) if found is not None else _too_long(wanted, limits)
    return last


def _over(connection: socket.socket, exchange: Exchange, deadline: float) -> Fetched | None:
    """The exchange over a connection; None where the time was over first."""
    try:
        while exchange.result is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            connection.settimeout(left)
            connection.sendall(exchange.outgoing())
            exchange.receive(connection.recv(_READ))
    except TimeoutError:
        return None
    except OSError as error:
        return exchange.give_up(Failure.HTTP, f"the connection broke: {error.strerror or error}")
    return exchange.result


def _too_long(wanted: Fetch, limits: Limits) -> Fetched:
    return Fetched(None, Failure.TIMEOUT, f"{wanted.host} took longer than {limits.timeout:g} s")


def _not_connected(host: str, address: IpAddress, error: BaseException) -> Fetched:
    # asyncio puts words of its own where the system's are.
    number = error.errno if isinstance(error, OSError) else None
    why = "no answer in time" if isinstance(error, TimeoutError) else os.strerror(number) if number else str(error)
    return Fetched(None, Failure.CONNECT, f"no connection to {host} at {address}: {why}", str(address))


async def check(
    domain: Domain | str,
    resolver: AnyResolver | None = None,
    *,
    cache: Cache | None = None,
    now: float | None = None,
    limits: Limits = LIMITS,
    fetcher: Fetcher = fetch,
) -> Result:
    """The policy for mail to `domain`, out of `cache` or fetched; what is new goes into `cache`.

    `resolver` as for `mox_dns.run`; None: as /etc/resolv.conf says.  `now`: seconds since 1970, the clock's without.
    Raises DomainSyntaxError for a text that is no domain, and nothing for what DNS or the policy host say."""
    return await _checked(domain, resolver, cache, now, limits, fetcher, refresh=False)


async def refresh(
    domain: Domain | str,
    resolver: AnyResolver | None = None,
    *,
    cache: Cache,
    now: float | None = None,
    limits: Limits = LIMITS,
    fetcher: Fetcher = fetch,
) -> Result:
    """As `check`, for a domain out of `due()`: fetched even if the id is the same, and not counted as a use."""
    return await _checked(domain, resolver, cache, now, limits, fetcher, refresh=True)


def check_sync(
    domain: Domain | str,
    resolver: AnyBlockingResolver | None = None,
    *,
    cache: Cache | None = None,
    now: float | None = None,
    limits: Limits = LIMITS,
    fetcher: SyncFetcher = fetch_sync,
) -> Result:
    """As `check`, blocking; `resolver` as for `mox_dns.run_blocking`."""
    return _checked_sync(domain, resolver, cache, now, limits, fetcher, refresh=False)


def refresh_sync(
    domain: Domain | str,
    resolver: AnyBlockingResolver | None = None,
    *,
    cache: Cache,
    now: float | None = None,
    limits: Limits = LIMITS,
    fetcher: SyncFetcher = fetch_sync,
) -> Result:
    """As `refresh`, blocking."""
    return _checked_sync(domain, resolver, cache, now, limits, fetcher, refresh=True)


def _cached(domain: Domain | str, cache: Cache | None) -> Entry | None:
    name = Domain.parse(domain) if isinstance(domain, str) else domain
    return cache.get(name.ascii) if cache is not None else None


def _plan(domain: Domain | str, entry: Entry | None, now: float | None, limits: Limits, refresh: bool) -> Plan:
    return plan_check(domain, entry, now=time.time() if now is None else now, limits=limits, refresh=refresh)


async def _checked(
    domain: Domain | str,
    resolver: AnyResolver | None,
    cache: Cache | None,
    now: float | None,
    limits: Limits,
    fetcher: Fetcher,
    *,
    refresh: bool,
) -> Result:
    if resolver is None:
        from mox_dns import UdpResolver

        with UdpResolver.from_system() as own:
            return await _checked(domain, own, cache, now, limits, fetcher, refresh=refresh)
    entry = _cached(domain, cache)
    plan = _plan(domain, entry, now, limits, refresh)
    try:
        wanted = next(plan)
        while True:
            sent: tuple[Answer, ...] | Fetched
            if isinstance(wanted, Fetch):
                sent = await fetcher(wanted, limits)
            else:
                sent = (await run(ask_all(*wanted), resolver)).value
            wanted = plan.send(sent)
    except StopIteration as stop:
        return _kept(stop.value, cache, entry)


def _checked_sync(
    domain: Domain | str,
    resolver: AnyBlockingResolver | None,
    cache: Cache | None,
    now: float | None,
    limits: Limits,
    fetcher: SyncFetcher,
    *,
    refresh: bool,
) -> Result:
    entry = _cached(domain, cache)
    plan = _plan(domain, entry, now, limits, refresh)
    try:
        wanted = next(plan)
        while True:
            wanted = plan.send(fetcher(wanted, limits) if isinstance(wanted, Fetch) else _asked(wanted, resolver))
    except StopIteration as stop:
        return _kept(stop.value, cache, entry)


def _asked(questions: tuple[Question, ...], resolver: AnyBlockingResolver | None) -> tuple[Answer, ...]:
    lookup = ask_all(*questions)
    return value_blocking(lookup) if resolver is None else run_blocking(lookup, resolver).value


def _kept(result: Result, cache: Cache | None, before: Entry | None) -> Result:
    """Writes what has changed, and nothing else: a cache may be on disk."""
    if cache is not None and result.entry != before:
        if result.entry is not None:
            cache.put(result.entry)
        else:
            cache.remove(result.domain)
    return result
