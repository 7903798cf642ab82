"""The client's half on asyncio: reaches a host, takes the steps of its conversations, says what TLS has proven."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar, cast

from mox_message import Content
from mox_smtp.client import ClientConfig, SmtpClient
from mox_smtp.envelope import Delivered, Envelope
from mox_smtp.reply import Reply, ReplyReader, ReplySyntaxError
from mox_smtp.step import Expect, Lost, Send, Step, Steps, TlsFailed, Trouble
from mox_smtp.trust import VALIDATION, Pkix, Tls, Trust, binding_of, failure_type, judge

T = TypeVar("T")
Dial = Callable[[str, int], Awaitable[socket.socket]]

# Replies that nobody has asked for yet; a server that sends more has to wait, or to stop.
MAX_UNREAD = 1000


class ConnectError(Exception):
    """No address could be reached: `.attempts` says what became of each."""

    def __init__(self, text: str, attempts: Sequence[tuple[str, str]] = ()) -> None:
        self.attempts = tuple(attempts)
        super().__init__(text)


class ClientConnection:
    """An open connection: deliver() as often as `usable` says, then quit().  A context manager that hangs up."""

    def __init__(self, wire: _Wire, client: SmtpClient, address: str) -> None:
        self._wire = wire
        self.client = client
        self.address = address

    @property
    def usable(self) -> bool:
        """For a further message."""
        return self.client.usable and self._wire.lost is None

    async def deliver(self, envelope: Envelope, content: Content) -> Delivered:
        """One message.  What goes wrong on the way is in the result.  Raises OSError when `content` cannot be read."""
        try:
            return await self._wire.drive(
                self.client.deliver(envelope, content), self.client.config.timeouts.transaction
            )
        finally:
            if not self.client.usable:
                self._wire.abort()

    async def quit(self) -> None:
        """Says goodbye and closes."""
        if self.usable:
            await self._wire.drive(self.client.quit(), self.client.config.timeouts.quit)
        self.close()

    def close(self) -> None:
        """Closes without a word."""
        self._wire.abort()

    async def __aenter__(self) -> ClientConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def connect(
    addresses: Sequence[str | IPv4Address | IPv6Address],
    name: str,
    config: ClientConfig,
    *,
    port: int = 25,
    implicit_tls: bool = False,
    local_address: str | None = None,
    dial: Dial | None = None,
) -> ClientConnection:
    """Connects to the first of `addresses` that answers, and goes through greeting, EHLO, TLS and AUTH.

    `name`: the host's (A-form), for SNI.  `dial(address, port)` makes the connection, through a proxy for instance: it
    gives a connected socket that does not block, or raises OSError.  Raises ConnectError when no address can be
    reached; Trouble when the host does not let us in: TlsFailed, Lost, or the host's reply."""
    attempts: list[tuple[str, str]] = []
    for address in map(str, addresses):
        try:
            wire = await _reach(address, port, config.timeouts.connect, local_address, dial)
        except (OSError, TimeoutError) as error:
            attempts.append((address, _told(error)))
            continue
        client = SmtpClient(config)
        try:
            if implicit_tls:
                client.begun(await wire.upgrade(name, config.trust, config.timeouts.tls))
            await wire.drive(client.open(), config.timeouts.transaction, name, client)
        except BaseException as error:
            wire.abort()
            if isinstance(error, Trouble):
                error.transcript = client.transcript.lines
            raise
        return ClientConnection(wire, client, address)
    what = "; ".join(f"[{address}] port {port}: {why}" for address, why in attempts) or "no address"
    raise ConnectError(f"{name} {what}", attempts)


async def deliver(
    address: str,
    port: int,
    name: str,
    config: ClientConfig,
    envelope: Envelope,
    content: Content,
    *,
    implicit_tls: bool = False,
) -> Delivered:
    """One message over a connection of its own.

    Raises ConnectError where nobody was reached, TlsFailed; OSError when `content` cannot be read."""
    try:
        connection = await connect([address], name, config, port=port, implicit_tls=implicit_tls)
    except TlsFailed:
        raise
    except Lost as lost:
        raise ConnectError(f"{name} [{address}] port {port}: {lost.reply.text}", [(address, lost.reply.text)]) from None
    except Trouble as trouble:
        replies = dict.fromkeys(envelope.recipients, trouble.reply)
        return Delivered(replies, trouble.reply, transcript=trouble.transcript)
    async with connection:
        delivered = await connection.deliver(envelope, content)
        await connection.quit()
    return delivered


async def _reach(address: str, port: int, seconds: float, local_address: str | None, dial: Dial | None) -> _Wire:
    loop = asyncio.get_running_loop()
    local = (local_address, 0) if local_address is not None else None
    async with asyncio.timeout(seconds):
        if dial is not None:
            _, wire = await loop.create_connection(lambda: _Wire(loop), sock=await dial(address, port))
        else:
            _, wire = await loop.create_connection(lambda: _Wire(loop), address, port, local_addr=local)
    return wire


def _told(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and "call failed" in str(error.strerror):
        return os.strerror(error.errno)  # asyncio says only at which call it failed
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Wire(asyncio.Protocol):
    """A client's transport, and the replies that came over it.  No stream: after TLS has begun nothing may be left of
    what came before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lost: Exception | None = None
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._full = False
        self._paused = False

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.lost is not None:
            return
        try:
            self._reader.feed(data)
            while (reply := self._reader.next()) is not None:
                self._replies.append(reply)
        except ReplySyntaxError as error:
            self._end(error)
            self.abort()
        if len(self._replies) > MAX_UNREAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._end(ConnectionError("the host closed the connection"))
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("the host closed the connection"))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _end(self, error: Exception) -> None:
        self.lost = self.lost or error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- the conversation's side

    async def drive(self, steps: Steps[T], seconds: float, name: str = "", client: SmtpClient | None = None) -> T:
        """Takes the steps of a conversation.  Raises what the conversation raises."""
        answer: Any = None
        end = self._loop.time() + seconds
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._take(step, end, name, client)
                except (OSError, TimeoutError, ReplySyntaxError) as error:
                    step = steps.throw(Lost(_told(error)))
                except TlsFailed as failed:
                    step = steps.throw(failed)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _take(self, step: Step, end: float, name: str, client: SmtpClient | None) -> Any:
        if isinstance(step, Send):
            return await self._write(step.data, min(step.seconds, end - self._loop.time()))
        if isinstance(step, Expect):
            return await self._reply(min(step.seconds, end - self._loop.time()))
        assert client is not None, "only an opening conversation upgrades"
        return await self.upgrade(name, client.trust, client.config.timeouts.tls)

    async def _write(self, data: bytes, seconds: float) -> Reply | None:
        assert self._transport is not None
        if self._replies:
            return self._replies.popleft()
        if self.lost is not None:
            raise self.lost
        self._transport.write(data)
        if self._full:
            async with asyncio.timeout(seconds):
                while self._full and self.lost is None and not self._replies:
                    await self._wait()
        return None

    async def _reply(self, seconds: float) -> Reply:
        if not self._replies:
            async with asyncio.timeout(seconds):
                while not self._replies:
                    # What had come before the end still counts.
                    if self.lost is not None:
                        raise self.lost
                    await self._wait()
        if self._paused and self._transport is not None and len(self._replies) < MAX_UNREAD // 2:
            self._paused = False
            self._transport.resume_reading()
        return self._replies.popleft()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def upgrade(self, name: str, trust: Trust, seconds: float) -> Tls:
        """Begins TLS.  Raises TlsFailed; the connection is of no use then."""
        assert self._transport is not None
        if self._replies or self._reader.pending:
            # What came in the clear must not be read as if TLS had protected it.
            raise TlsFailed("the host sent text between STARTTLS and the handshake")
        context = pkix_context(trust.roots) if isinstance(trust, Pkix) else unverified_context()
        try:
            upgraded = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=None if name.startswith("[") or not name else name,
                ssl_handshake_timeout=seconds,
            )
        except ssl.SSLError as error:
            code = getattr(error, "verify_code", None)
            why = getattr(error, "verify_message", None) or error.reason or str(error)
            raise TlsFailed(f"TLS handshake: {why}", failure_type(code)) from None
        except (OSError, TimeoutError) as error:
            raise TlsFailed(f"TLS handshake: {_told(error)}", VALIDATION) from None
        if upgraded is None:
            raise TlsFailed("the host closed the connection during the handshake")
        self._transport = upgraded
        sslobject = upgraded.get_extra_info("ssl_object")
        chain = peer_chain(sslobject)
        cipher = sslobject.cipher()
        proof = judge(trust, chain, sslobject.getpeercert() or {})
        tls = Tls(sslobject.version() or "", cipher[0] if cipher else "", proof, chain, binding_of(sslobject))
        if not proof.ok:
            raise TlsFailed(proof.because, proof.failure, tls)
        return tls


@functools.cache
def unverified_context() -> ssl.SSLContext:
    """TLS with whoever answers; it keeps out listeners, not impostors (RFC 7435), or leaves the proof to a check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.cache
def pkix_context(roots: str = "") -> ssl.SSLContext:
    """A chain to the system's roots, or to those of a PEM file.  Names are compared after the handshake, since more
    than one may do.  Loading the system's roots takes some 30 ms, once.  Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if roots:
        context.load_verify_locations(roots)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def peer_chain(sslobject: Any) -> tuple[bytes, ...]:
    """The certificates that the peer sent, DER, leaf first.  Only public from Python 3.13 on."""
    if hasattr(sslobject, "get_unverified_chain"):
        return tuple(sslobject.get_unverified_chain() or ())
    chain = sslobject._sslobj.get_unverified_chain() or ()
    return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain)
