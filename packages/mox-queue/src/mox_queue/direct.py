"""The courier to the MX hosts of a domain (RFC 5321 5.1).

TLS is used wherever it is offered.  What it must prove, mox_queue.requirement says; without a policy it need prove
nothing, and when it fails the message goes in the clear, and the record says so (RFC 7435)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mox_dns import IpLiteral, Resolver, addresses, run
from mox_message import Content
from mox_queue.courier import Batch
from mox_queue.outcome import Attempt, Result, classified
from mox_smtp.aio import ConnectError, TlsFailed, deliver
from mox_smtp.client import ClientConfig, Delivered, Envelope, Timeouts
from mox_smtp.mx import Hosts, plan_hosts

# Addresses of one host that are tried, and hosts in one attempt.
MAX_ADDRESSES = 6
MAX_HOSTS = 5


class Direct:
    """mox_queue.Courier"""

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
        self._hostname = hostname
        self._resolver = resolver
        self._clock = clock
        self._random = random
        self._port = port
        self._timeouts = timeouts

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        steps: list[dict[str, Any]] = []
        hosts = await self._hosts(batch.domain)
        shown = ", ".join(hosts.names) or hosts.refusal
        steps.append(
            {"what": f"MX of {batch.domain}", "outcome": shown, "authentic": hosts.authentic, "rule": "RFC 5321 5.1"}
        )
        if not hosts.names:
            result = Result.LATER if hosts.temporary else Result.FAILED
            return self._all(batch, Attempt(result, hosts.refusal, hosts.status, "", tuple(steps)))
        last: Attempt | None = None
        for host in hosts.names[:MAX_HOSTS]:
            found = await self._host(host, batch, steps)
            if isinstance(found, Attempt):
                last = found
                continue
            return {
                recipient: classified(reply.code, reply.text, reply.enhanced, host, tuple(steps))
                for recipient, reply in found.replies.items()
            }
        assert last is not None
        return self._all(batch, Attempt(last.result, last.text, last.status, last.remote, tuple(steps)))

    async def _hosts(self, domain: str) -> Hosts:
        if domain.startswith("["):
            return Hosts(domain, (domain,))
        return (await run(plan_hosts(domain, self._random.shuffle), self._resolver)).value

    def _all(self, batch: Batch, attempt: Attempt) -> dict[str, Attempt]:
        return dict.fromkeys(batch.recipients, attempt)

    async def _addresses(self, host: str) -> list[IPv4Address | IPv6Address]:
        if host.startswith("["):
            return [IpLiteral.parse(host).address]
        found = (await run(addresses(host), self._resolver)).value
        return list(found.all)[:MAX_ADDRESSES]

    async def _host(self, host: str, batch: Batch, steps: list[dict[str, Any]]) -> Delivered | Attempt:
        """What the host said to each recipient, or why there was nobody to say it."""
        ips = await self._addresses(host)
        if not ips:
            steps.append({"what": host, "outcome": "no address"})
            return Attempt(Result.LATER, f"{host} has no address", "4.4.3", host)
        last = Attempt(Result.LATER, f"{host} cannot be reached", "4.4.1", host)
        for ip in ips:
            found = await self._address(host, ip, batch, steps)
            if isinstance(found, Delivered):
                if found.trouble is None or not found.trouble.temporary:
                    return found
                last = classified(found.trouble.code, found.trouble.text, found.trouble.enhanced, host)
            else:
                last = found
        return last

    async def _address(
        self, host: str, ip: IPv4Address | IPv6Address, batch: Batch, steps: list[dict[str, Any]]
    ) -> Delivered | Attempt:
        content: Content = batch.content
        envelope = Envelope(batch.sender, batch.recipients, batch.smtputf8, batch.eightbit)
        config = ClientConfig(self._hostname, timeouts=self._timeouts)
        try:
            return await self._talk(host, ip, config, envelope, content, steps)
        except TlsFailed as error:
            steps.append({"what": f"TLS with {host}", "outcome": "failed", "because": str(error), "rule": "RFC 7435"})
            plain = ClientConfig(self._hostname, starttls=False, timeouts=self._timeouts)
            try:
                return await self._talk(host, ip, plain, envelope, content, steps)
            except (ConnectError, TlsFailed) as again:
                return Attempt(Result.LATER, str(again), "4.4.1", host)
        except ConnectError as error:
            steps.append({"what": f"{host} [{ip}]", "outcome": "not reached", "because": str(error)})
            return Attempt(Result.LATER, str(error), "4.4.1", host)

    async def _talk(
        self,
        host: str,
        ip: IPv4Address | IPv6Address,
        config: ClientConfig,
        envelope: Envelope,
        content: Content,
        steps: list[dict[str, Any]],
    ) -> Delivered:
        delivered = await deliver(str(ip), self._port, host, config, envelope, content)
        tls = "over TLS, unverified" if delivered.tls else "in the clear"
        told = "; ".join(dict.fromkeys(str(reply) for reply in delivered.replies.values()))
        steps.append({"what": f"{host} [{ip}]", "outcome": told, "because": tls, "rule": "RFC 5321 4"})
        return delivered
