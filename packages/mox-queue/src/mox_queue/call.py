"""Calls a host and hands messages over: what the couriers to MX hosts and to smarthosts share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

import mox_sasl
from mox_queue.courier import Batch
from mox_queue.idle import Idle, Open
from mox_queue.message import Recipient, TlsWish
from mox_queue.outcome import Attempt, Result, classified
from mox_queue.socks import Proxy, SocksError, negotiate
from mox_smtp import MailOptions, Notify, OriginalRecipient, RcptOptions, Reply, Ret, Trust
from mox_smtp.aio import ConnectError, connect
from mox_smtp.client import ClientConfig, Delivered, Envelope, Timeouts, Trouble

# Transactions of one message: hosts may take few recipients at once.
MAX_ROUNDS = 20
Steps: TypeAlias = list[dict[str, Any]]


async def dial(proxy: Proxy, address: str, port: int) -> socket.socket:
    """A connection to `address` through the proxy.  Raises OSError."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in proxy.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, (proxy.address, proxy.port))
        except OSError as error:
            raise ConnectionError(f"the proxy {proxy} cannot be reached: {error.strerror or error}") from None
        steps, read = negotiate(address, port, proxy.credentials), b""
        try:
            step = next(steps)
            while True:
                await loop.sock_sendall(sock, step.send)
                while len(read) < step.octets:
                    more = await loop.sock_recv(sock, step.octets - len(read))
                    if not more:
                        raise SocksError("the proxy closed the connection")
                    read += more
                step, read = steps.send(read), b""
        except StopIteration:
            return sock
    except SocksError as error:
        sock.close()
        raise ConnectionError(f"proxy {proxy}: {error}") from None
    except BaseException:
        sock.close()
        raise


class Caller:
    """Opens connections and keeps them a moment for the next message.  `clock` is monotonic; `proxy` is called
    through."""

    def __init__(
        self, hostname: str, clock: Callable[[], float], timeouts: Timeouts, proxy: Proxy | None = None
    ) -> None:
        self._dial = partial(dial, proxy) if proxy is not None else None
        self._hostname = hostname
        self._clock = clock
        self._timeouts = timeouts
        self.idle = Idle(clock)

    async def open(
        self,
        ips: Sequence[IPv4Address | IPv6Address],
        host: str,
        port: int,
        trust: Trust,
        *,
        implicit_tls: bool = False,
        auth: mox_sasl.Credentials | None = None,
        nonce: str = "",
    ) -> Open:
        """A new connection.  Raises ConnectError, Trouble (TlsFailed among them)."""
        config = ClientConfig(self._hostname, trust=trust, timeouts=self._timeouts, auth=auth, nonce=nonce)
        connection = await connect(ips, host, config, port=port, implicit_tls=implicit_tls, dial=self._dial)
        return Open(connection, host, trust, self._clock())

    async def send(self, lane: str, open_: Open, batch: Batch, steps: Steps) -> Delivered:
        """Hands the message over, in as many transactions as the host's limits make necessary."""
        told: dict[str, Reply] = {}
        left = batch.recipients
        for _ in range(MAX_ROUNDS):
            delivered = await open_.connection.deliver(_envelope(batch, left), batch.content)
            told.update(delivered.replies)
            # RFC 5321 4.5.3.1.10: 452 is "too many at once"; the others of this round have been taken.
            left = tuple(one for one, reply in delivered.replies.items() if _too_many(reply))
            took = any(reply.good for reply in delivered.replies.values())
            if not left or not took or delivered.trouble is not None:
                break
        steps.append(_told(open_, told, delivered))
        self.idle.give(lane, open_)
        return replace(delivered, replies=told)

    def close(self) -> None:
        """Hangs up on everybody."""
        self.idle.close()


def _envelope(batch: Batch, recipients: tuple[str, ...]) -> Envelope:
    options = MailOptions(
        ret=Ret(batch.ret) if batch.ret else None,
        envid=batch.envid or None,
        require_tls=batch.tls is TlsWish.REQUIRE,
    )
    asked = {one.address: _rcpt_options(one) for one in batch.to if one.notify or one.orcpt}
    return Envelope(
        batch.sender, recipients, batch.smtputf8, batch.eightbit, options=options, rcpt_options=asked
    )  # fmt: skip


def _rcpt_options(recipient: Recipient) -> RcptOptions:
    kind, _, address = recipient.orcpt.partition(";")
    original = OriginalRecipient(kind, address) if address else None
    words = recipient.notify.split(",") if recipient.notify else ()
    return RcptOptions(frozenset(map(Notify, words)), original)


def _too_many(reply: Reply) -> bool:
    return reply.code == 452 and reply.enhanced in ("", "4.5.3")


def _told(open_: Open, told: dict[str, Reply], delivered: Delivered) -> dict[str, Any]:
    tls = str(delivered.tls_result) if delivered.tls_result is not None else "in the clear"
    return {
        "what": f"{open_.host} [{open_.connection.address}]",
        "outcome": "; ".join(dict.fromkeys(str(reply) for reply in told.values())),
        "because": tls,
        "rule": "RFC 5321 4",
        "transcript": delivered.transcript,
    }


def outcome(host: str, delivered: Delivered, steps: Steps) -> dict[str, Attempt]:
    """What became of each recipient."""
    if delivered.uncertain:
        steps.append(
            {
                "what": host,
                "outcome": "uncertain",
                "because": "all of it was sent, and no final reply came: the host may have it, and will get it again",
                "rule": "RFC 1047",
            }
        )
    return {
        recipient: classified(reply.code, reply.text, reply.enhanced, host, tuple(steps), handed_on=delivered.dsn)
        for recipient, reply in delivered.replies.items()
    }


def refused(host: str, trouble: Trouble, steps: Steps) -> Attempt:
    """The host answered, but not to let us in."""
    steps.append({"what": host, "outcome": "did not let us in", "because": str(trouble)})
    return classified(trouble.reply.code, trouble.reply.text, trouble.reply.enhanced, host)


def unreached(host: str, error: ConnectError, steps: Steps) -> Attempt:
    """Nobody answered."""
    steps.append({"what": host, "outcome": "not reached", "because": str(error)})
    return Attempt(Result.LATER, str(error), "4.4.1", host, unreached=True)


def everyone(batch: Batch, attempt: Attempt, steps: Steps) -> dict[str, Attempt]:
    """The same for all recipients, with the steps that led there."""
    whole = Attempt(
        attempt.result, attempt.text, attempt.status, attempt.remote, tuple(steps), unreached=attempt.unreached
    )
    return dict.fromkeys(batch.recipients, whole)
