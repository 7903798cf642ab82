"""The courier to the MX hosts of a domain (RFC 5321 5.1).

TLS is used wherever it is offered.  What it must prove, mox_queue.requirement says; without a policy it need prove
nothing, and when it fails the message goes in the clear, and the record says so (RFC 7435)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

from mox_dns import IpLiteral, Resolver, run
from mox_queue.call import Caller, Steps, everyone, outcome, refused, unreached
from mox_queue.courier import Batch
from mox_queue.outcome import Attempt, Result, classified
from mox_smtp.aio import ConnectError
from mox_smtp.client import Delivered, Timeouts, TlsFailed, Trouble
from mox_smtp.mx import Hosts, plan_addresses, plan_hosts
from mox_smtp.trust import CLEAR, OPPORTUNISTIC, Trust

# Hosts in one attempt, and addresses of one host.
MAX_HOSTS = 5
MAX_ADDRESSES = 6


class Direct:
    """mox_queue.Courier.  `clock` is monotonic."""

    def __init__(
        self,
        *,
        hostname: str,
        resolver: Resolver,
        clock: Callable[[], float],
        random: random.Random,
        port: int = 25,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
    ) -> None:
        self._resolver = resolver
        self._random = random
        self._port = port
        self._caller = Caller(hostname, clock, timeouts)

    def lane(self, domain: str) -> str:
        """One for each domain."""
        return domain

    def close(self) -> None:
        """Hangs up on everybody."""
        self._caller.close()

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        steps = Steps()
        kept = self._caller.idle.take(batch.domain, lambda open_: open_.proof is OPPORTUNISTIC)
        if kept is not None:
            delivered = await self._caller.send(batch.domain, kept, batch, steps)
            if delivered.trouble is None or delivered.uncertain:
                return outcome(kept.host, delivered, steps)
            # It had gone while it was idle: nothing was taken, so begin anew.
        hosts = await self._hosts(batch.domain)
        shown = ", ".join(hosts.names) or hosts.refusal
        steps.append(
            {"what": f"MX of {batch.domain}", "outcome": shown, "authentic": hosts.authentic, "rule": "RFC 5321 5.1"}
        )
        if not hosts.names:
            result = Result.LATER if hosts.temporary else Result.FAILED
            return everyone(batch, Attempt(result, hosts.refusal, hosts.status), steps)
        return await self._try(hosts, batch, steps)

    async def _try(self, hosts: Hosts, batch: Batch, steps: Steps) -> Mapping[str, Attempt]:
        """Host by host until one takes or refuses the message."""
        last = Attempt(Result.LATER, f"no host of {batch.domain} can be reached", "4.4.1", unreached=True)
        for host in hosts.names[:MAX_HOSTS]:
            found = await self._host(host, batch, steps)
            if isinstance(found, Delivered):
                if found.trouble is None or found.uncertain or not found.trouble.temporary:
                    return outcome(host, found, steps)
                last = classified(found.trouble.code, found.trouble.text, found.trouble.enhanced, host)
            else:
                last = found
        return everyone(batch, last, steps)

    async def _hosts(self, domain: str) -> Hosts:
        if domain.startswith("["):
            return Hosts(domain, (domain,))
        return (await run(plan_hosts(domain, self._random.shuffle), self._resolver)).value

    async def _host(self, host: str, batch: Batch, steps: Steps) -> Delivered | Attempt:
        """What the host said to each recipient, or why there was nobody to say it."""
        if host.startswith("["):
            ips: tuple[IPv4Address | IPv6Address, ...] = (IpLiteral.parse(host).address,)
        else:
            found = (await run(plan_addresses(host), self._resolver)).value
            ips = found.addresses[:MAX_ADDRESSES]
            if not ips:
                steps.append({"what": host, "outcome": found.refusal})
                return Attempt(Result.LATER, found.refusal, "4.4.3", host)
        first = await self._talk(host, ips, OPPORTUNISTIC, batch, steps)
        if not isinstance(first, TlsFailed):
            return first
        steps.append({"what": f"TLS with {host}", "outcome": "failed", "because": str(first), "rule": "RFC 7435"})
        again = await self._talk(host, ips, CLEAR, batch, steps)
        assert not isinstance(again, TlsFailed), "no TLS was tried"
        return again

    async def _talk(
        self, host: str, ips: tuple[IPv4Address | IPv6Address, ...], trust: Trust, batch: Batch, steps: Steps
    ) -> Delivered | Attempt | TlsFailed:
        try:
            open_ = await self._caller.open(ips, host, self._port, trust)
        except TlsFailed as error:
            return error
        except Trouble as trouble:
            return refused(host, trouble, steps)
        except ConnectError as error:
            return unreached(host, error, steps)
        return await self._caller.send(batch.domain, open_, batch, steps)
