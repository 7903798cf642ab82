"""The configured ways by which mail leaves: couriers made of transports, and routes in order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import mox_dns
import mox_queue
import mox_sasl
from mox_queue.direct import Direct
from mox_queue.submit import Security, Smarthost, Submit
from moxd.config import Config
from moxd.config.transports import Direct as DirectSettings
from moxd.config.transports import Fail, Families, Login, Route, Smtp, Socks, Submission, Submissions, Transport

DirectMaker = Callable[..., Direct]


class Missing:
    """The courier of a transport that an administrator chose for a message and that is not configured any more."""

    def __init__(self, name: str) -> None:
        text = f"there is no transport {name!r} in moxd.toml; choose another with `moxd queue transport`"
        self._attempt = mox_queue.Attempt(mox_queue.Result.LATER, text, "4.3.5")

    def lane(self, domain: str) -> str:
        """mox_queue.Courier"""
        return "missing"

    async def deliver(self, batch: mox_queue.Batch) -> Mapping[str, mox_queue.Attempt]:
        """mox_queue.Courier"""
        return dict.fromkeys(batch.recipients, self._attempt)


class Transports:
    """The couriers by name.  `direct(hostname=…, name=…, families=…, proxy=…)` makes one to MX hosts."""

    def __init__(self, config: Config, resolver: mox_dns.Resolver, direct: DirectMaker) -> None:
        self._couriers: dict[str, mox_queue.Courier] = {
            mox_queue.DIRECT: direct(hostname=config.static.hostname),
            "fail": mox_queue.Refusing(),
        }
        for name, transport in config.static.transports.items():
            self._couriers[name] = _courier(name, transport, config, resolver, direct)
        self._missing: dict[str, mox_queue.Courier] = {}

    def courier(self, name: str) -> mox_queue.Courier:
        """The one of that name; one that waits where there is none."""
        found = self._couriers.get(name)
        return found if found is not None else self._missing.setdefault(name, Missing(name))

    def refuses(self, name: str) -> bool:
        """Does nothing go this way?"""
        return isinstance(self._couriers.get(name), mox_queue.Refusing)

    def close(self) -> None:
        """Hangs up everywhere."""
        for courier in self._couriers.values():
            if isinstance(courier, Direct | Submit):
                courier.close()


def _courier(
    name: str, transport: Transport, config: Config, resolver: mox_dns.Resolver, direct: DirectMaker
) -> mox_queue.Courier:
    match transport:
        case Fail():
            return mox_queue.Refusing(f"550 5.7.1 {transport.text}")
        case Socks():
            host, _, port = transport.address.rpartition(":")
            proxy = mox_queue.Proxy(host.strip("[]"), int(port), _credentials(transport))
            hostname = transport.hostname or config.static.hostname
            return direct(hostname=hostname, name=name, families=_families(transport), proxy=proxy)
        case DirectSettings():
            return direct(hostname=config.static.hostname, name=name, families=_families(transport))
        case Submissions() | Submission() | Smtp():
            return Submit(
                Smarthost(
                    name, transport.host, transport.port, _security(transport), _credentials(transport),
                    _path(config, transport.ca),
                ),
                hostname=config.static.hostname, resolver=resolver, clock=time.monotonic,
                nonce=partial(secrets.token_urlsafe, 18),
            )  # fmt: skip


def _security(transport: Submissions | Submission | Smtp) -> Security:
    if isinstance(transport, Submissions):
        return Security.TLS
    return Security.NONE if isinstance(transport, Smtp) and transport.tls == "none" else Security.STARTTLS


def _families(transport: Families) -> tuple[int, ...]:
    return tuple(version for version, on in ((4, transport.ipv4), (6, transport.ipv6)) if on)


def _credentials(login: Login) -> mox_sasl.Credentials | None:
    return mox_sasl.Credentials(login.username, login.password) if login.password is not None else None


def _path(config: Config, ca: Path | None) -> str:
    return str(config.path(ca)) if ca is not None else ""


class Routes:
    """Which transport mail takes: the account's routes first, then those of the sender's domain, then all others."""

    def __init__(self, config: Config) -> None:
        domains = config.domains
        self._accounts = {
            name: tuple(
                mox_queue.Route(r.transport, (), r.sender_domains, r.recipient_domains, *_bounds(r))
                for r in account.routes
            )
            for name, account in domains.accounts.items()
        }
        self._domains = {
            name: tuple(
                mox_queue.Route(r.transport, r.accounts, (), r.recipient_domains, *_bounds(r)) for r in domain.routes
            )
            for name, domain in domains.domains.items()
        }
        self._all = tuple(
            mox_queue.Route(r.transport, r.accounts, r.sender_domains, r.recipient_domains, *_bounds(r))
            for r in config.static.routes
        )

    def choose(self, due: mox_queue.Due, sender_domain: str) -> str:
        """The name of the transport for the next attempt; what an administrator chose comes before all routes."""
        if due.transport:
            return due.transport
        own = (*self._accounts.get(due.account, ()), *self._domains.get(sender_domain, ()), *self._all)
        return mox_queue.choose(
            own, account=due.account, sender_domain=sender_domain, recipient_domain=due.domain,
            attempt=due.attempts + 1,
        )  # fmt: skip


def _bounds(route: Route) -> tuple[int, int]:
    return route.from_attempt or 0, route.to_attempt or 0
