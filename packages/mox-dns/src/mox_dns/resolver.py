"""Who answers: the Resolver protocol, and resolvers that ask recursive name servers over UDP, and TCP where needed.

`UdpResolver` asks on asyncio, `BlockingUdpResolver` without a loop.  Both believe only what wire.py lets through, keep
answers as long as these allow, and trust the AD flag only if told so.  Resolvers of dnspython are taken as they are
(from_dnspython.py)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, Self, TypeAlias, cast

from mox_dns import wire
from mox_dns.cache import Cache, Key
from mox_dns.flight import Counts, Flight
from mox_dns.lookup import Answer, Question, Status
from mox_dns.servers import Server, SystemServers

TIMEOUT = 3.0
ATTEMPTS = 3
CACHE_SIZE = 10_000
# RFC 9520 3.2: a failure is to be remembered for a second at least, and for five minutes at most.
FAILURE_TTL = 5.0
# Random source ports in use at a time for each server, and how many queries one is used for.
PORTS = 8
MAX_USES = 5000
# Datagrams on one port that answer nothing we asked: more look like somebody guessing, and TCP cannot be guessed.
MAX_STRAYS = 32
# Questions open at once; beyond it they fail at once instead of filling memory.
MAX_OPEN = 4096
MAX_TCP = 32
# Datagrams read before others of the loop get their turn.
MAX_READS = 16
RESOLV_CONF = "/etc/resolv.conf"


class Resolver(Protocol):
    """Answers a question at once or later."""

    def ask(self, question: Question) -> Answer | Awaitable[Answer]:
        """The answer, or an awaitable of it; never raises for what DNS says."""
        ...


class BlockingResolver(Protocol):
    """Answers a question at once, blocking if it must."""

    def ask(self, question: Question) -> Answer:
        """The answer; never raises for what DNS says."""
        ...


class DnspythonAsync(Protocol):
    """What `dns.asyncresolver.Resolver` is to us."""

    def resolve(self, qname: Any, rdtype: Any = ..., /) -> Awaitable[Any]:
        """A dns.resolver.Answer."""
        ...


class DnspythonBlocking(Protocol):
    """What `dns.resolver.Resolver` is to us."""

    def resolve(self, qname: Any, rdtype: Any = ..., /) -> Any:
        """A dns.resolver.Answer."""
        ...


AnyResolver: TypeAlias = Resolver | DnspythonAsync
AnyBlockingResolver: TypeAlias = BlockingResolver | DnspythonBlocking


def adapted(resolver: AnyResolver) -> Resolver:
    """`resolver` as a Resolver; a `dns.asyncresolver.Resolver` gets a coat.  Raises TypeError for anything else."""
    if hasattr(resolver, "ask"):
        return cast("Resolver", resolver)
    if asyncio.iscoroutinefunction(getattr(resolver, "resolve", None)):
        return DnspythonResolver(resolver)
    raise TypeError(f"{type(resolver).__name__} neither has ask() nor is it a dns.asyncresolver.Resolver")


def adapted_blocking(resolver: AnyBlockingResolver) -> BlockingResolver:
    """`resolver` as a BlockingResolver; a `dns.resolver.Resolver` gets a coat.  Raises TypeError for anything else."""
    if hasattr(resolver, "ask"):
        return cast("BlockingResolver", resolver)
    if hasattr(resolver, "resolve") and not asyncio.iscoroutinefunction(resolver.resolve):
        return BlockingDnspythonResolver(resolver)
    raise TypeError(f"{type(resolver).__name__} neither has ask() nor is it a dns.resolver.Resolver")


class DnspythonResolver:
    """A `dns.asyncresolver.Resolver` as a Resolver.  `trust_ad`: believe the AD flag, if it is told to ask for it."""

    def __init__(self, resolver: Any, *, trust_ad: bool = False) -> None:
        self.resolver, self.trust_ad = resolver, trust_ad

    async def ask(self, question: Question) -> Answer:
        """The answer; never raises for what DNS says."""
        from mox_dns import from_dnspython as theirs

        try:
            name = theirs.name(question)
            found = await self.resolver.resolve(name, question.type, search=False, raise_on_no_answer=False)
            return theirs.answer(question, found, trust_ad=self.trust_ad)
        except theirs.ERRORS as error:
            return theirs.failure(question, error)


class BlockingDnspythonResolver:
    """A `dns.resolver.Resolver` as a BlockingResolver.  `trust_ad` as for DnspythonResolver."""

    def __init__(self, resolver: Any, *, trust_ad: bool = False) -> None:
        self.resolver, self.trust_ad = resolver, trust_ad

    def ask(self, question: Question) -> Answer:
        """The answer; never raises for what DNS says."""
        from mox_dns import from_dnspython as theirs

        try:
            name = theirs.name(question)
            found = self.resolver.resolve(name, question.type, search=False, raise_on_no_answer=False)
            return theirs.answer(question, found, trust_ad=self.trust_ad)
        except theirs.ERRORS as error:
            return theirs.failure(question, error)


class _Common:
    """Settings and memory of both UDP resolvers."""

    def __init__(
        self,
        servers: Sequence[str | Server],
        *,
        trust_ad: bool,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        cache_size: int = CACHE_SIZE,
        failure_ttl: float = FAILURE_TTL,
        mixed_case: bool = False,
    ) -> None:
        self.servers = tuple(s if isinstance(s, Server) else Server.parse(s) for s in servers)
        if not self.servers:
            raise ValueError("a resolver needs a server")
        self.trust_ad, self.timeout, self.failure_ttl, self.mixed_case = trust_ad, timeout, failure_ttl, mixed_case
        self.attempts = max(attempts, len(self.servers))
        self.cache = Cache(cache_size)
        self.counts = Counts()

    @classmethod
    def from_system(cls, path: str = RESOLV_CONF, *, trust_ad: bool | None = None, **settings: Any) -> Self:
        """As /etc/resolv.conf says.  `trust_ad` None: where it says `options trust-ad`, or names only this machine."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                system = SystemServers.parse(file.read(65536))
        except OSError:
            system = SystemServers.parse("")
        settings.setdefault("timeout", system.timeout or TIMEOUT)
        settings.setdefault("attempts", system.attempts or ATTEMPTS)
        return cls(system.servers, trust_ad=system.trust_ad if trust_ad is None else trust_ad, **settings)

    def _keep(self, key: Key, answer: Answer, now: float) -> None:
        ttl = self.failure_ttl if answer.failed else answer.ttl
        if ttl > 0:
            self.cache.put(key, answer, now + ttl)

    def _packed(self, flight: Flight) -> bytes:
        flight.sent = flight.asked.wire
        if self.mixed_case:
            flight.sent = wire.mixed_case(flight.sent, int.from_bytes(os.urandom(32), "big"))
        return wire.query(flight.id, flight.sent, edns=flight.edns, ask_ad=self.trust_ad)

    def _read(self, data: bytes, flight: Flight, *, tcp: bool = False) -> wire.Outcome:
        return wire.read(data, flight.id, flight.sent, flight.asked, trust_ad=self.trust_ad, tcp=tcp)


class _Port:
    """A connected datagram socket with a source port of its own, and the questions open on it."""

    __slots__ = ("open", "socket", "strays", "uses")

    def __init__(self, server: Server) -> None:
        self.socket = _connected(server)
        self.socket.setblocking(False)
        self.open: dict[int, Flight] = {}
        self.uses = self.strays = 0


def _connected(server: Server) -> socket.socket:
    # Connected, so that the kernel drops what others send; it chooses a random port.
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.connect((server.host, server.port))
    except OSError:
        made.close()
        raise
    return made


class UdpResolver(_Common):
    """Asks recursive servers from one asyncio loop.

    `servers`: addresses, with a port if it is not 53; the next is asked when one does not answer or fails.  `trust_ad`:
    believe the AD flag, sensible only where the path to the servers is safe (RFC 6698 A.3).  `timeout`: seconds for an
    attempt; `attempts` altogether, at least one for each server.  `cache_size`: answers kept, 0 for none.
    `failure_ttl`: seconds that a failure is remembered.  `mixed_case`: draw the case of letters, and demand it back."""

    def __init__(self, servers: Sequence[str | Server], *, trust_ad: bool, ports: int = PORTS, **settings: Any) -> None:
        super().__init__(servers, trust_ad=trust_ad, **settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ports: list[list[_Port | None]] = [[None] * ports for _ in self.servers]
        self._preferred = 0
        self._flights: dict[Key, Flight] = {}
        # In the order of their deadlines, because all wait equally long.
        self._waiting: dict[Flight, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tcp_slots = asyncio.Semaphore(MAX_TCP)

    def ask(self, question: Question) -> Answer | Awaitable[Answer]:
        """The answer at once if it is known, else a future of it.  Never raises for what DNS says."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        self.counts.asked += 1
        key = question.name.lower(), question.type
        known = self.cache.get(key, loop.time())
        if known is not None:
            self.counts.from_cache += 1
            return known
        # One future for each who asks: whoever is cancelled must not take the answer from the others.
        waiter: asyncio.Future[Answer] = loop.create_future()
        flight = self._flights.get(key)
        if flight is not None:
            self.counts.joined += 1
            flight.waiters.append(waiter)
            return waiter
        asked = wire.asked(question)
        if asked is None:
            return Answer(question, Status.MALFORMED, detail="no such name or type can be")
        if len(self._flights) >= MAX_OPEN:
            return Answer(question, Status.SERVFAIL, detail=f"more than {MAX_OPEN} questions are open")
        flight = self._flights[key] = Flight(question, key, asked, self._preferred)
        flight.waiters.append(waiter)
        self._send(flight)
        return waiter

    def close(self) -> None:
        """Closes the sockets; whoever still waits is told SERVFAIL."""
        for flight in list(self._flights.values()):
            self._finish(flight, Answer(flight.question, Status.SERVFAIL, detail="the resolver was closed"))
        for task in self._tasks:
            task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for ports in self._ports:
            for slot, port in enumerate(ports):
                if port is not None:
                    self._drop(port)
                    ports[slot] = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        # A second asyncio.run(): the sockets and waiters of the first loop died with it.
        if self._loop is not None and self._loop.is_closed():
            for ports in self._ports:
                for slot, port in enumerate(ports):
                    if port is not None:
                        port.socket.close()
                        ports[slot] = None
            self._flights, self._waiting, self._timer = {}, {}, None
            self._tasks = set()
            self._tcp_slots = asyncio.Semaphore(MAX_TCP)
        elif self._loop is not None:
            raise RuntimeError("a UdpResolver serves one loop; make another for the other loop")
        self._loop = loop

    def _send(self, flight: Flight) -> None:
        """Sends to the flight's server, or to the next ones until one takes it."""
        assert self._loop is not None
        while flight.attempt < self.attempts:
            flight.attempt += 1
            try:
                self._send_once(flight)
            except BlockingIOError:
                pass  # the kernel's buffer is full: as good as lost on the way
            except OSError as error:
                if self._unreachable(flight, error):
                    return
                continue
            self._waiting.pop(flight, None)
            self._waiting[flight] = None
            flight.deadline = self._loop.time() + self.timeout
            if self._timer is None:
                self._timer = self._loop.call_at(flight.deadline, self._expire)
            return
        self._finish(flight, flight.given_up())

    def _send_once(self, flight: Flight) -> None:
        drawn = os.urandom(3)
        port = self._port(flight.server, drawn[2])
        id = drawn[0] << 8 | drawn[1]
        while id in port.open:
            id = int.from_bytes(os.urandom(2), "big")
        flight.id, flight.port = id, port
        port.open[id] = flight
        port.uses += 1
        self.counts.sent += 1
        port.socket.send(self._packed(flight))

    def _unreachable(self, flight: Flight, error: OSError) -> bool:
        """Notes that the flight's server cannot be reached; True if that was the last one."""
        self._leave_port(flight)
        detail = f"{self.servers[flight.server]}: {error.strerror or error}"
        final = flight.learn(Answer(flight.question, Status.SERVFAIL, detail=detail), len(self.servers))
        if final is None:
            self._preferred = flight.server
            return False
        self._finish(flight, final)
        return True

    def _port(self, server: int, drawn: int) -> _Port:
        assert self._loop is not None
        ports = self._ports[server]
        slot = drawn % len(ports)
        port = ports[slot]
        if port is not None and port.uses >= MAX_USES:
            if not port.open:
                self._drop(port)
                port = None
            elif port.uses >= 2 * MAX_USES:
                self._to_tcp(port)
                port = None
        if port is None:
            port = ports[slot] = _Port(self.servers[server])
            self._loop.add_reader(port.socket, self._readable, port)
        return port

    def _drop(self, port: _Port) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(port.socket)
        port.socket.close()

    def _readable(self, port: _Port) -> None:
        for _ in range(MAX_READS):
            try:
                data = port.socket.recv(4096)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # Connection refused: nobody listens there, so nobody who asked there need wait.
                for flight in list(port.open.values()):
                    if not self._unreachable(flight, error):
                        self._send(flight)
                return
            self._received(port, data)
            if not port.open:
                return

    def _received(self, port: _Port, data: bytes) -> None:
        flight = port.open.get(data[0] << 8 | data[1]) if len(data) >= 12 else None
        outcome = wire.Trouble.STRAY if flight is None else self._read(data, flight)
        if flight is None or outcome is wire.Trouble.STRAY:
            self._stray(port)
            return
        del port.open[flight.id]
        flight.port = None
        if outcome is wire.Trouble.TRUNCATED:
            self._start_tcp(flight)
        else:
            self._settle(flight, outcome)

    def _stray(self, port: _Port) -> None:
        self.counts.strays += 1
        port.strays += 1
        if port.strays >= MAX_STRAYS:
            self._to_tcp(port)

    def _to_tcp(self, port: _Port) -> None:
        """Gives up a port; what is open there is asked by TCP."""
        for ports in self._ports:
            if port in ports:
                ports[ports.index(port)] = None
        self._drop(port)
        for flight in list(port.open.values()):
            self._leave_port(flight)
            self._start_tcp(flight)

    def _leave_port(self, flight: Flight) -> None:
        if flight.port is not None:
            flight.port.open.pop(flight.id, None)
            flight.port = None

    def _settle(self, flight: Flight, outcome: wire.Outcome) -> None:
        final = flight.learn(outcome, len(self.servers))
        if final is None:
            self._send(flight)
        else:
            self._finish(flight, final)

    def _finish(self, flight: Flight, answer: Answer) -> None:
        assert self._loop is not None
        self._leave_port(flight)
        self._waiting.pop(flight, None)
        if self._flights.pop(flight.key, None) is None:
            return
        self._keep(flight.key, answer, self._loop.time())
        for waiter in flight.waiters:
            if not waiter.done():
                waiter.set_result(answer)

    def _expire(self) -> None:
        """Sends again what has waited too long, and sets the timer for the next."""
        assert self._loop is not None
        self._timer = None
        # Timers may ring a clock tick early.
        now = self._loop.time() + 0.001
        late = []
        for flight in self._waiting:
            if flight.deadline > now:
                break
            late.append(flight)
        for flight in late:
            self.counts.timeouts += 1
            del self._waiting[flight]
            self._leave_port(flight)
            final = flight.move_on(len(self.servers))
            if self._preferred not in flight.failed:
                self._preferred = flight.server
            if final is None:
                self._send(flight)
            else:
                self._finish(flight, final)
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_at(next(iter(self._waiting)).deadline, self._expire)

    def _start_tcp(self, flight: Flight) -> None:
        assert self._loop is not None
        self._waiting.pop(flight, None)
        task = self._loop.create_task(self._ask_tcp(flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_tcp(self, flight: Flight) -> None:
        outcome: wire.Outcome
        try:
            async with asyncio.timeout(self.timeout), self._tcp_slots:
                self.counts.tcp += 1
                data = await self._exchange_tcp(flight)
            outcome = self._read(data, flight, tcp=True)
        except TimeoutError:
            outcome = Answer(flight.question, Status.SERVFAIL, detail="no answer over TCP")
        except (OSError, EOFError) as error:
            outcome = Answer(flight.question, Status.SERVFAIL, detail=f"TCP: {error}")
        if self._flights.get(flight.key) is flight:
            self._settle(flight, outcome)

    async def _exchange_tcp(self, flight: Flight) -> bytes:
        # RFC 1035 4.2.2: two octets of length before a message.
        server = self.servers[flight.server]
        flight.id = int.from_bytes(os.urandom(2), "big")
        packet = self._packed(flight)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        try:
            writer.write(struct.pack("!H", len(packet)) + packet)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()


class BlockingUdpResolver(_Common):
    """Asks recursive servers and waits; for scripts and for `check_sync`.  Settings as for UdpResolver.

    Threads may share it.  Each question has a socket, and so a random port, of its own."""

    def __init__(self, servers: Sequence[str | Server], *, trust_ad: bool, **settings: Any) -> None:
        super().__init__(servers, trust_ad=trust_ad, **settings)
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Answer:
        """The answer, from memory or from a server.  Never raises for what DNS says."""
        key = question.name.lower(), question.type
        with self._lock:
            self.counts.asked += 1
            known = self.cache.get(key, time.monotonic())
            if known is not None:
                self.counts.from_cache += 1
                return known
        asked = wire.asked(question)
        if asked is None:
            return Answer(question, Status.MALFORMED, detail="no such name or type can be")
        answer = self._fly(Flight(question, key, asked, 0))
        with self._lock:
            self._keep(key, answer, time.monotonic())
        return answer

    def _fly(self, flight: Flight) -> Answer:
        while flight.attempt < self.attempts:
            flight.attempt += 1
            flight.id = int.from_bytes(os.urandom(2), "big")
            final: Answer | None
            try:
                final = flight.learn(self._exchange(flight), len(self.servers))
            except TimeoutError:
                self.counts.timeouts += 1
                final = flight.move_on(len(self.servers))
            except (OSError, EOFError) as error:
                detail = f"{self.servers[flight.server]}: {error}"
                final = flight.learn(Answer(flight.question, Status.SERVFAIL, detail=detail), len(self.servers))
            if final is not None:
                return final
        return flight.given_up()

    def _exchange(self, flight: Flight) -> wire.Outcome:
        deadline = time.monotonic() + self.timeout
        self.counts.sent += 1
        with _connected(self.servers[flight.server]) as sock:
            sock.send(self._packed(flight))
            for _ in range(MAX_STRAYS):
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                outcome = self._read(sock.recv(4096), flight)
                if outcome is wire.Trouble.TRUNCATED:
                    break
                if outcome is not wire.Trouble.STRAY:
                    return outcome
                self.counts.strays += 1
        return self._exchange_tcp(flight)

    def _exchange_tcp(self, flight: Flight) -> wire.Outcome:
        self.counts.tcp += 1
        server = self.servers[flight.server]
        packet = self._packed(flight)
        deadline = time.monotonic() + self.timeout
        with socket.create_connection((server.host, server.port), self.timeout) as sock:
            sock.sendall(struct.pack("!H", len(packet)) + packet)
            (length,) = struct.unpack("!H", _exactly(sock, 2, deadline))
            return self._read(_exactly(sock, length, deadline), flight, tcp=True)


def _exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError("the server hung up")
        data += more
    return data
