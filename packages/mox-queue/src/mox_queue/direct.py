"""The courier to the MX hosts of a domain (RFC 5321 5.1).

TLS is used wherever it is offered.  What it must prove, mox_queue.requirement says; without a policy it need prove
nothing, and when it fails the message goes in the clear, and the record says so (RFC 7435)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

import mox_dane
import mox_mtasts
import mox_tlsrpt
from mox_dns import IpLiteral, Resolver, run
from mox_queue.call import Caller, Steps, everyone, outcome, refused, unreached
from mox_queue.courier import Batch
from mox_queue.message import TlsWish
from mox_queue.outcome import Attempt, Result, classified
from mox_queue.requirement import Requirement, Skip, require
from mox_queue.socks import Proxy
from mox_smtp import CLEAR, Trust
from mox_smtp.aio import ConnectError
from mox_smtp.client import Delivered, Timeouts, TlsFailed, Trouble
from mox_smtp.mx import Hosts, plan_addresses, plan_hosts

# Hosts in one attempt, and addresses of one host.
MAX_HOSTS = 5
MAX_ADDRESSES = 6

Ips = tuple[IPv4Address | IPv6Address, ...]
StsLookup = Callable[[str], Awaitable[mox_mtasts.Result]]


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a message of a domain may go: its hosts, and the policy of the domain."""

    hosts: Hosts
    sts: mox_mtasts.Result | None


class Direct:
    """mox_queue.Courier.  `clock` is monotonic, `now` gives seconds since 1970.

    `sts(domain)` looks up an MTA-STS policy (None: none is asked for), `dane` says whether TLSA records are looked up,
    `count` is given every session for TLS reports, `roots` is a PEM file in place of the system's CAs.  `name` tells
    its connections from those of another; `families` are the versions of IP that are used; `proxy` is called
    through."""

    def __init__(
        self,
        *,
        hostname: str,
        resolver: Resolver,
        clock: Callable[[], float],
        now: Callable[[], float],
        random: random.Random,
        port: int = 25,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
        sts: StsLookup | None = None,
        dane: bool = True,
        count: Callable[[mox_tlsrpt.Count], None] = lambda count: None,
        roots: str = "",
        name: str = "",
        families: Collection[int] = (4, 6),
        proxy: Proxy | None = None,
    ) -> None:
        self._name = name
        self._families = frozenset(families)
        self._resolver = resolver
        self._now = now
        self._random = random
        self._port = port
        self._sts = sts
        self._dane = dane
        self._count = count
        self._roots = roots
        self._caller = Caller(hostname, clock, timeouts, proxy)

    def lane(self, domain: str) -> str:
        """One for each domain."""
        return f"{self._name} {domain}" if self._name else domain

    def close(self) -> None:
        """Hangs up on everybody."""
        self._caller.close()

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        steps = Steps()
        kept = self._caller.idle.take(self.lane(batch.domain), lambda open_: open_.proof == batch.tls)
        if kept is not None:
            # What the host had to prove was decided a moment ago, and it has proven it.
            delivered = await self._caller.send(self.lane(batch.domain), kept, batch, steps)
            if delivered.trouble is None or delivered.uncertain:
                return outcome(kept.host, delivered, steps)
            # It had gone while it was idle: nothing was taken, so begin anew.
        way = await self._way(batch, steps)
        if not way.hosts.names:
            result = Result.LATER if way.hosts.temporary else Result.FAILED
            return everyone(batch, Attempt(result, way.hosts.refusal, way.hosts.status), steps)
        return await self._try(way, batch, steps)

    async def _way(self, batch: Batch, steps: Steps) -> _Way:
        domain = batch.domain
        if domain.startswith("["):
            return _Way(Hosts(domain, (domain,)), None)
        hosts = (await run(plan_hosts(domain, self._random.shuffle), self._resolver)).value
        shown = ", ".join(hosts.names) or hosts.refusal
        steps.append(
            {"what": f"MX of {domain}", "outcome": shown, "authentic": hosts.authentic, "rule": "RFC 5321 5.1"}
        )
        sts = None
        if self._sts is not None and hosts.names and batch.tls is not TlsWish.OPTIONAL:
            sts = await self._sts(domain)
            steps.append(
                {
                    "what": f"MTA-STS of {domain}",
                    "outcome": str(sts.status),
                    "because": sts.reason,
                    "rule": "RFC 8461 3",
                }
            )
        return _Way(hosts, sts)

    async def _try(self, way: _Way, batch: Batch, steps: Steps) -> Mapping[str, Attempt]:
        """Host by host until one takes or refuses the message."""
        last = Attempt(Result.LATER, f"no host of {batch.domain} can be reached", "4.4.1", unreached=True)
        for host in way.hosts.names[:MAX_HOSTS]:
            found = await self._host(host, way, batch, steps)
            if isinstance(found, Delivered):
                if found.trouble is None or found.uncertain or not found.trouble.temporary:
                    return outcome(host, found, steps)
                last = classified(found.trouble.code, found.trouble.text, found.trouble.enhanced, host)
            else:
                last = found
        return everyone(batch, last, steps)

    async def _host(self, host: str, way: _Way, batch: Batch, steps: Steps) -> Delivered | Attempt:
        """What the host said to each recipient, or why there was nobody to say it."""
        required = await self._required(host, way, batch)
        steps += [dict(step) for step in required.steps]
        if isinstance(required, Skip):
            steps.append({"what": host, "outcome": "not to this host", "because": required.reason})
            if required.failure:
                self._note(batch.domain, host, required, required.failure)
            result = Result.LATER if required.temporary else Result.FAILED
            return Attempt(result, required.reason, required.status, host)
        ips = await self._addresses(host, steps)
        if not ips:
            return Attempt(Result.LATER, f"no address for {host} that may be called", "4.4.3", host)
        return await self._under(required, ips, batch, steps)

    async def _required(self, host: str, way: _Way, batch: Batch) -> Requirement | Skip:
        hosts, dane = way.hosts, None
        if self._dane and not host.startswith("[") and batch.tls is not TlsWish.OPTIONAL:
            plan = mox_dane.plan_lookup(host, port=self._port, mx_authentic=hosts.authentic)
            dane = (await run(plan, self._resolver)).value
        return require(
            host, domain=batch.domain, dane=dane, sts=way.sts, wish=batch.tls, mx_authentic=hosts.authentic,
            expanded=hosts.canonical, now=self._now(), attempt=batch.attempt, roots=self._roots,
        )  # fmt: skip

    async def _addresses(self, host: str, steps: Steps) -> Ips:
        found: Ips
        if host.startswith("["):
            found = (IpLiteral.parse(host).address,)
        else:
            asked = (await run(plan_addresses(host), self._resolver)).value
            found = asked.addresses
            if not found:
                steps.append({"what": host, "outcome": asked.refusal, "rule": "RFC 5321 5.1"})
        usable = tuple(ip for ip in found if ip.version in self._families)
        if len(usable) < len(found):
            off = " and ".join(f"IPv{version}" for version in (4, 6) if version not in self._families)
            shown = ", ".join(map(str, usable)) or "no address is left"
            steps.append({"what": f"addresses of {host}", "outcome": shown, "because": f"{off} is switched off"})
        return usable[:MAX_ADDRESSES]

    async def _under(self, required: Requirement, ips: Ips, batch: Batch, steps: Steps) -> Delivered | Attempt:
        """Asks the host for what it must prove, in order, until TLS does not fail."""
        if required.failure:
            self._note(batch.domain, required.host, required, required.failure)
        failed: TlsFailed | None = None
        for trust in required.trusts:
            found = await self._talk(required, ips, trust, batch, steps)
            if not isinstance(found, TlsFailed):
                if isinstance(found, Delivered) and trust is not CLEAR and failed is None and not required.failure:
                    self._succeeded(batch.domain, required, found)
                return found
            what = f"TLS with {required.host}"
            steps.append({"what": what, "outcome": "failed", "because": found.because, "failure": found.failure})
            if failed is None and not required.failure:
                self._note(batch.domain, required.host, required, found.failure, found.because)
            failed = found
        assert failed is not None, "a requirement has at least one trust"
        return Attempt(Result.LATER, f"{required.host}: {failed.because}", "4.7.5", required.host)

    async def _talk(
        self, required: Requirement, ips: Ips, trust: Trust, batch: Batch, steps: Steps
    ) -> Delivered | Attempt | TlsFailed:
        try:
            open_ = await self._caller.open(ips, required.name, self._port, trust)
        except TlsFailed as error:
            return error
        except Trouble as trouble:
            return refused(required.host, trouble, steps)
        except ConnectError as error:
            return unreached(required.host, error, steps)
        # Kept for messages that wish the same; what it was asked for is then as good as decided anew.
        open_ = replace(open_, host=required.host, proof=batch.tls)
        return await self._caller.send(self.lane(batch.domain), open_, batch, steps)

    # -- what TLS reports are made of

    def _succeeded(self, domain: str, required: Requirement, delivered: Delivered) -> None:
        if delivered.tls:
            self._add(domain, required.policy, None)
        elif "STARTTLS" not in delivered.extensions:
            self._note(domain, required.host, required, "starttls-not-supported")

    def _note(self, domain: str, host: str, about: Requirement | Skip, result: str, because: str = "") -> None:
        self._add(domain, about.policy, mox_tlsrpt.Failure(result, mx_host=host, reason_code=because[:200]))

    def _add(self, domain: str, policy: mox_tlsrpt.Policy, failure: mox_tlsrpt.Failure | None) -> None:
        self._count(mox_tlsrpt.Count(mox_tlsrpt.day_of(self._now()), domain, policy, failure))
