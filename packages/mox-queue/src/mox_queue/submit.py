"""The courier to a smarthost: all mail goes to one host, which we log in to (RFC 6409).

The host must prove its name (RFC 8314 4.4), unless its transport says that it is asked in the clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

import mox_sasl
from mox_dns import Resolver, run
from mox_queue.call import Caller, Steps, everyone, outcome, refused, unreached
from mox_queue.courier import Batch
from mox_queue.outcome import Attempt, Result
from mox_smtp import CLEAR, Pkix, Trust
from mox_smtp.aio import ConnectError
from mox_smtp.client import Delivered, Timeouts, TlsFailed, Trouble
from mox_smtp.mx import plan_addresses


class Security(StrEnum):
    """How the connection is protected."""

    TLS = "tls"  # from the first byte (port 465)
    STARTTLS = "starttls"  # port 587
    NONE = "none"  # in the clear: a host on this machine or behind a tunnel


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Where to hand mail to, and as whom.  `roots`: a PEM file of CAs instead of the system's."""

    name: str
    host: str
    port: int
    security: Security = Security.TLS
    credentials: mox_sasl.Credentials | None = None
    roots: str = ""

    @property
    def trust(self) -> Trust:
        """What the host must prove."""
        return CLEAR if self.security is Security.NONE else Pkix((self.host,), self.roots)


class Submit:
    """mox_queue.Courier.  `clock` is monotonic; `nonce()` gives fresh random text for SCRAM."""

    def __init__(
        self,
        smarthost: Smarthost,
        *,
        hostname: str,
        resolver: Resolver,
        clock: Callable[[], float],
        nonce: Callable[[], str],
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
    ) -> None:
        self._smarthost = smarthost
        self._resolver = resolver
        self._nonce = nonce
        self._caller = Caller(hostname, clock, timeouts)

    def lane(self, domain: str) -> str:
        """One for all domains."""
        return f"smarthost {self._smarthost.name}"

    def close(self) -> None:
        """Hangs up."""
        self._caller.close()

    async def deliver(self, batch: Batch) -> Mapping[str, Attempt]:
        """mox_queue.Courier"""
        smarthost, lane, steps = self._smarthost, self.lane(batch.domain), Steps()
        open_ = self._caller.idle.take(lane, lambda kept: True)
        if open_ is not None:
            delivered = await self._caller.send(lane, open_, batch, steps)
            if delivered.trouble is None or delivered.uncertain:
                return outcome(smarthost.host, delivered, steps)
        found = await self._call(batch, lane, steps)
        if isinstance(found, Delivered):
            return outcome(smarthost.host, found, steps)
        return everyone(batch, found, steps)

    async def _call(self, batch: Batch, lane: str, steps: Steps) -> Delivered | Attempt:
        smarthost = self._smarthost
        ips = await self._addresses(steps)
        if not ips:
            return Attempt(Result.LATER, f"no address for {smarthost.host}", "4.4.3", smarthost.host, unreached=True)
        try:
            open_ = await self._caller.open(
                ips, smarthost.host, smarthost.port, smarthost.trust,
                implicit_tls=smarthost.security is Security.TLS, auth=smarthost.credentials, nonce=self._nonce(),
            )  # fmt: skip
        except ConnectError as error:
            return unreached(smarthost.host, error, steps)
        except TlsFailed as error:
            steps.append({"what": f"TLS with {smarthost.host}", "outcome": "failed", "because": str(error)})
            return Attempt(Result.LATER, str(error), "4.7.5", smarthost.host, unreached=True)
        except Trouble as trouble:
            # What it says of us (a password that changed) is no verdict on the message: somebody may mend it.
            attempt = refused(smarthost.host, trouble, steps)
            return Attempt(Result.LATER, attempt.text, attempt.status, attempt.remote, unreached=True)
        return await self._caller.send(lane, open_, batch, steps)

    async def _addresses(self, steps: Steps) -> tuple[IPv4Address | IPv6Address, ...]:
        try:
            return (ip_address(self._smarthost.host.strip("[]")),)
        except ValueError:
            found = (await run(plan_addresses(self._smarthost.host), self._resolver)).value
        if not found.addresses:
            steps.append({"what": self._smarthost.host, "outcome": found.refusal})
        return found.addresses
