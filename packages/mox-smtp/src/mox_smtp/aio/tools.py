"""What the command line does on the network: looks at a server, sends a message, takes messages into a folder."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import mox_sasl
from mox_dns import Resolver, run
from mox_message import Content
from mox_smtp.aio.client import ConnectError, connect
from mox_smtp.aio.server import Connection, serve
from mox_smtp.client import ClientConfig
from mox_smtp.config import Limits, ServerConfig
from mox_smtp.envelope import Delivered, Envelope
from mox_smtp.event import (
    Aborted,
    AuthResponse,
    AuthStart,
    Chunk,
    DataStart,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    RcptTo,
)
from mox_smtp.mx import HostAddresses, Hosts, plan_addresses, plan_hosts
from mox_smtp.reply import Refusal, Reply
from mox_smtp.server import Answer
from mox_smtp.step import TlsFailed, Trouble
from mox_smtp.trust import CLEAR, NOT_SUPPORTED, OPPORTUNISTIC, Pkix, Tls


@dataclass(frozen=True, slots=True)
class Probe:
    """What one address of a host said.  `verified`: why its certificate proves its name, or `problem` says why not."""

    host: str
    address: str
    extensions: Mapping[str, str]
    tls: Tls | None
    verified: bool
    problem: str
    transcript: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """It let us in."""
        return bool(self.extensions) or not self.problem

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "host": self.host, "address": self.address, "extensions": dict(self.extensions),
            "tls": str(self.tls) if self.tls is not None else None, "verified": self.verified, "problem": self.problem,
            "transcript": list(self.transcript),
        }  # fmt: skip

    def explain(self) -> str:
        """A summary, then the conversation."""
        offers = ", ".join(f"{key} {value}".strip() for key, value in self.extensions.items()) or "none"
        tls = str(self.tls) if self.tls is not None else "none"
        lines = [f"{self.host} [{self.address}]", f"  TLS: {tls}", f"  extensions: {offers}"]
        if self.problem:
            lines.append(f"  problem: {self.problem}")
        return "\n".join([*lines, *(f"    {line}" for line in self.transcript)])


async def probe(host: str, address: str, config: ClientConfig, *, port: int = 25, implicit_tls: bool = False) -> Probe:
    """Greets a server, asks what it can, begins TLS and says goodbye.  First it must prove its name; if it cannot, that
    is the problem, and the rest is looked at without."""
    problem = ""
    for trust in (Pkix((host,)), OPPORTUNISTIC, CLEAR):
        trying = replace(config, trust=trust)
        try:
            connection = await connect([address], host, trying, port=port, implicit_tls=implicit_tls)
        except TlsFailed as error:
            problem = problem or str(error.because)
            if implicit_tls and trust is OPPORTUNISTIC:
                return Probe(host, address, {}, error.tls, False, problem, error.transcript)
            if error.failure == NOT_SUPPORTED:
                problem = "the host does not offer STARTTLS"
            continue
        except (ConnectError, Trouble) as error:
            said = error.transcript if isinstance(error, Trouble) else ()
            return Probe(host, address, {}, None, False, str(error), said)
        await connection.quit()
        client = connection.client
        verified = isinstance(trust, Pkix)
        return Probe(host, address, client.offers.keywords, client.tls, verified, problem, client.transcript.lines)
    return Probe(host, address, {}, None, False, problem, ())


async def find(
    domain: str, resolver: Resolver, families: tuple[int, ...] = (6, 4)
) -> tuple[Hosts, tuple[HostAddresses, ...]]:
    """The hosts of a domain, and the addresses of each."""
    hosts = (await run(plan_hosts(domain, random.shuffle), resolver)).value
    found = await asyncio.gather(*(run(plan_addresses(name, families), resolver) for name in hosts.names))
    return hosts, tuple(one.value for one in found)


async def send(
    hosts: list[tuple[str, list[str]]], config: ClientConfig, envelope: Envelope, content: Content, *, port: int = 25,
    implicit_tls: bool = False,
) -> tuple[Delivered | None, str]:  # fmt: skip
    """Tries hosts, each (name, addresses), in order until one answers; with None: why nobody did."""
    why = "no host"
    for name, addresses in hosts:
        config = replace(config, nonce=secrets.token_urlsafe(24), host=name, port=port)
        try:
            connection = await connect(addresses, name, config, port=port, implicit_tls=implicit_tls)
        except (ConnectError, Trouble) as error:
            why = f"{name}: {error}"
            continue
        async with connection:
            delivered = await connection.deliver(envelope, content)
            await connection.quit()
        return delivered, ""
    return None, why


@dataclass(frozen=True)
class SinkOptions:
    """What the sink does beside taking everything: `refuse` are the localparts that it does not know."""

    folder: Path | None = None
    refuse: frozenset[str] = frozenset()
    lmtp: bool = False
    certificate: Path | None = None
    key: Path | None = None
    implicit_tls: bool = False
    user: str = ""
    password: str = ""
    proxy_from: tuple[IPv4Network | IPv6Network, ...] = ()
    size: int = 100 * 1024 * 1024


class Sink:
    """Takes messages; with a folder each becomes a file N.eml, beside its envelope in N.json."""

    def __init__(self, options: SinkOptions, tell: Callable[[dict[str, Any]], None]) -> None:
        self.options = options
        self.count = 0
        self.tell = tell
        self.secret = secrets.token_bytes(32)
        if options.folder is not None:
            options.folder.mkdir(parents=True, exist_ok=True)
            numbers = [int(path.stem) for path in options.folder.glob("*.eml") if path.stem.isdigit()]
            self.count = max(numbers, default=0)

    def config(self, hostname: str) -> ServerConfig:
        """What it offers."""
        options = self.options
        auth = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN") if options.user else ()
        tls = options.certificate is not None
        return ServerConfig(
            hostname, Limits(message=options.size), starttls=tls and not options.implicit_tls, auth=auth,
            auth_needed=bool(auth), auth_in_clear=not tls, lmtp=options.lmtp, binarymime=True, dsn=True, requiretls=tls,
            future_release=30 * 86400, deliver_by=0, mt_priority="",
            proxy_from=options.proxy_from, greeting="ESMTP sink",
        )  # fmt: skip

    # -- mox_sasl.Verifier

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        """The one user's."""
        if name != self.options.user:
            return None
        return mox_sasl.derive("SCRAM-SHA-256", mox_sasl.prepare_password(self.options.password), self.secret[:16])

    def nonce(self) -> str:
        """Fresh randomness."""
        return secrets.token_urlsafe(18)

    def salt_secret(self) -> bytes:
        """For the salts of names that do not exist."""
        return self.secret


class _Verifier:
    """mox_sasl.Verifier"""

    def __init__(self, sink: Sink) -> None:
        self.scram, self.nonce, self.secret = sink.scram, sink.nonce, sink.salt_secret


class _Taker:
    """The sink's handler of one connection."""

    def __init__(self, sink: Sink, connection: Connection) -> None:
        self._sink = sink
        self._connection = connection
        self._exchange: mox_sasl.Mechanism | None = None
        self._mail: MailFrom | None = None
        self._recipients: list[RcptTo] = []
        self._file: Any = None
        self._number = 0

    def answer(self, event: Event) -> Answer:
        """mox_smtp.aio.Handler"""
        match event:
            case AuthStart(name, initial):
                plus = self._connection.session.binding is not None
                binding = self._connection.session.binding
                self._exchange = mox_sasl.server(name, _Verifier(self._sink), binding=binding, plus_offered=plus)
                return self._outcome(self._exchange.start(initial))
            case AuthResponse(data):
                assert self._exchange is not None
                return self._outcome(self._exchange.step(data))
            case MailFrom():
                self._mail, self._recipients = event, []
            case RcptTo(path):
                if path.address is not None and path.address.localpart.lower() in self._sink.options.refuse:
                    return Refusal(550, "no such address here", "5.1.1")
                self._recipients.append(event)
            case DataStart():
                self._start()
            case Chunk(data):
                if self._file is not None:
                    self._file.write(data)
            case MessageEnd(size):
                return self._end(size)
            case Aborted() | Hello():
                self.closed("")
        return None

    def _outcome(self, outcome: mox_sasl.Outcome) -> Answer:
        options = self._sink.options
        match outcome:
            case mox_sasl.Challenge():
                return outcome
            case mox_sasl.CheckPassword(name, password) if name == options.user:
                if password == mox_sasl.Secret(options.password):
                    return None
            case mox_sasl.Success():
                return None
        return Refusal(535, "wrong name or password", "5.7.8")

    def _start(self) -> None:
        sink = self._sink
        sink.count += 1
        self._number = sink.count
        if sink.options.folder is not None:
            self._file = (sink.options.folder / f"{self._number}.part").open("wb")

    def _end(self, size: int) -> Reply:
        assert self._mail is not None
        facts: dict[str, Any] = {
            "number": self._number, "peer": str(self._connection.peer), "hello": self._connection.session.hello,
            "tls": self._connection.tls, "authenticated": self._connection.session.authenticated,
            "from": f"{self._mail.path}", "parameters": str(self._mail.parameters).strip(), "size": size,
            "bdat": self._connection.session.chunk_left is not None,
            "to": [{"path": str(one.path), "parameters": str(one.parameters).strip()} for one in self._recipients],
        }  # fmt: skip
        if self._file is not None and self._sink.options.folder is not None:
            self._file.close()
            self._file = None
            folder = self._sink.options.folder
            (folder / f"{self._number}.json").write_text(json.dumps(facts, indent=1))
            (folder / f"{self._number}.part").rename(folder / f"{self._number}.eml")
        self._sink.tell(facts)
        return Reply(250, f"taken as {self._number}", "2.0.0")

    def closed(self, why: str) -> None:
        """mox_smtp.aio.Handler"""
        if self._file is not None:
            self._file.close()
            self._file = None


async def serve_sink(
    host: str,
    port: int,
    options: SinkOptions,
    tell: Callable[[dict[str, Any]], None],
    ready: Callable[[str, int], None],
) -> None:
    """Serves until SIGINT or SIGTERM.  Raises OSError when it cannot listen or read its certificate."""
    context: ssl.SSLContext | None = None
    if options.certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    sink = Sink(options, tell)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=1024)
    config = sink.config("localhost")
    server = await serve(lambda connection: _Taker(sink, connection), sock, config, context, options.implicit_tls)
    ready(*sock.getsockname()[:2])
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.drain(5)
