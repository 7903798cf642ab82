"""The courier to the MX hosts of a domain (RFC 5321 5.1).

TLS is used wherever it is offered.  What it must prove, mox_queue.requirement says; without a policy it need prove
nothing, and when it fails the message goes in the clear, and the record says so (RFC 7435)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mox_dns import IpLiteral, Resolver, run
from mox_queue.courier import Batch
from mox_queue.idle import Idle, Open
from mox_queue.outcome import Attempt, Result, classified
from mox_smtp.aio import ConnectError, connect
from mox_smtp.client import ClientConfig, Delivered, Envelope, Timeouts, TlsFailed, Trouble
from mox_smtp.mx import Hosts, plan_addresses, plan_hosts
from mox_smtp.trust import CLEAR, OPPORTUNISTIC, Trust

# Hosts in one attempt, addresses of one host, and transactions of one message (hosts may take few recipients at once).
MAX_HOSTS = 5
MAX_ADDRESSES = 6
MAX_ROUNDS = 20
Steps = list[dict[str, Any]]


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
        self._hostname = hostname
        self._resolver = resolver
        self._clock = clock
        self._random = random
        self._port = port
        self._timeouts = timeouts
        self._idle = Idle(clock)

    def lane(self, domain: str) -> str:
        """mox_queue.Courier"""
        return domain

    def close(self) -> None:
        """Hangs up on everybody."""
        self._idle.close()

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        steps: Steps = []
        kept = self._idle.take(batch.domain, lambda open_: open_.proof is OPPORTUNISTIC)
        if kept is not None:
            delivered = await self._send(kept, batch, steps)
            if delivered.trouble is None or delivered.uncertain:
                return self._outcome(batch, kept.host, delivered, steps)
            # It had gone while it was idle: nothing was sent, so begin anew.
        hosts = await self._hosts(batch.domain)
        shown = ", ".join(hosts.names) or hosts.refusal
        steps.append(
            {"what": f"MX of {batch.domain}", "outcome": shown, "authentic": hosts.authentic, "rule": "RFC 5321 5.1"}
        )
        if not hosts.names:
            result = Result.LATER if hosts.temporary else Result.FAILED
            return self._all(batch, Attempt(result, hosts.refusal, hosts.status, "", tuple(steps)))
        return await self._try(hosts, batch, steps)

    async def _try(self, hosts: Hosts, batch: Batch, steps: Steps) -> dict[str, Attempt]:
        """Host by host until one takes or refuses the message."""
        last = Attempt(Result.LATER, f"no host of {batch.domain} can be reached", "4.4.1", unreached=True)
        for host in hosts.names[:MAX_HOSTS]:
            found = await self._host(host, batch, steps)
            if isinstance(found, Delivered):
                if found.trouble is None or found.uncertain or not found.trouble.temporary:
                    return self._outcome(batch, host, found, steps)
                last = classified(found.trouble.code, found.trouble.text, found.trouble.enhanced, host)
            else:
                last = found
        return self._all(
            batch,
            Attempt(last.result, last.text, last.status, last.remote, tuple(steps), unreached=last.unreached),
        )

    async def _hosts(self, domain: str) -> Hosts:
        if domain.startswith("["):
            return Hosts(domain, (domain,))
        return (await run(plan_hosts(domain, self._random.shuffle), self._resolver)).value

    def _all(self, batch: Batch, attempt: Attempt) -> dict[str, Attempt]:
        return dict.fromkeys(batch.recipients, attempt)

    def _outcome(self, batch: Batch, host: str, delivered: Delivered, steps: Steps) -> dict[str, Attempt]:
        handed_on = "DSN" in delivered.extensions
        return {
            recipient: classified(reply.code, reply.text, reply.enhanced, host, tuple(steps), handed_on=handed_on)
            for recipient, reply in delivered.replies.items()
        }

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
        try:
            return await self._talk(host, ips, OPPORTUNISTIC, batch, steps)
        except TlsFailed as error:
            steps.append({"what": f"TLS with {host}", "outcome": "failed", "because": str(error), "rule": "RFC 7435"})
        except Trouble as trouble:
            return _refused(host, trouble, steps)
        except ConnectError as error:
            return _unreached(host, error, steps)
        try:
            return await self._talk(host, ips, CLEAR, batch, steps)
        except Trouble as trouble:
            return _refused(host, trouble, steps)
        except ConnectError as error:
            return _unreached(host, error, steps)

    async def _talk(
        self, host: str, ips: tuple[IPv4Address | IPv6Address, ...], trust: Trust, batch: Batch, steps: Steps
    ) -> Delivered:
        config = ClientConfig(self._hostname, trust=trust, timeouts=self._timeouts)
        connection = await connect(ips, host, config, port=self._port)
        return await self._send(Open(connection, host, trust, self._clock()), batch, steps)

    async def _send(self, open_: Open, batch: Batch, steps: Steps) -> Delivered:
        """Hands the message over, in as many transactions as the host's limits make necessary."""
        told: dict[str, Any] = {}
        left = batch.recipients
        for _ in range(MAX_ROUNDS):
            envelope = Envelope(batch.sender, left, batch.smtputf8, batch.eightbit)
            delivered = await open_.connection.deliver(envelope, batch.content)
            told.update(delivered.replies)
            # RFC 5321 4.5.3.1.10: 452 is "too many at once", also 552 of old servers; the others have been taken.
            left = tuple(
                one for one, reply in delivered.replies.items() if reply.code == 452 and reply.enhanced == "4.5.3"
            )
            took = any(reply.good for reply in delivered.replies.values())
            if not left or not took or delivered.trouble is not None:
                break
        tls = str(delivered.tls_result) if delivered.tls_result is not None else "in the clear"
        said = "; ".join(dict.fromkeys(str(reply) for reply in told.values()))
        what = f"{open_.host} [{open_.connection.address}]"
        steps.append(
            {"what": what, "outcome": said, "because": tls, "rule": "RFC 5321 4", "transcript": delivered.transcript}
        )
        self._idle.give(batch.domain, open_)
        return Delivered(
            told, delivered.trouble, delivered.tls, delivered.extensions, delivered.tls_result, delivered.local,
            delivered.uncertain, delivered.transcript,
        )  # fmt: skip


def _refused(host: str, trouble: Trouble, steps: Steps) -> Attempt:
    """The host answered, but not to let us in."""
    steps.append({"what": host, "outcome": "did not let us in", "because": str(trouble)})
    return classified(trouble.reply.code, trouble.reply.text, trouble.reply.enhanced, host)


def _unreached(host: str, error: ConnectError, steps: Steps) -> Attempt:
    steps.append({"what": host, "outcome": "not reached", "because": str(error)})
    return Attempt(Result.LATER, str(error), "4.4.1", host, unreached=True)
