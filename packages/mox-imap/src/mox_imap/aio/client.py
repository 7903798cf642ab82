"""A client on asyncio: for tools and tests.

async with await connect("mail.example", 993, tls=ssl.create_default_context()) as client:
    await client.login("ann", password)
    await client.select("Inbox")
    for one in await client.fetch("1:*", "FLAGS", "ENVELOPE"):
        print(one.number, one.flags)"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import mox_sasl
from mox_imap import writer
from mox_imap.client import Argument, Fetched, ImapClient, Literal, Response, flag_list, numbers, string
from mox_imap.responses import Value

READ_SIZE = 256 * 1024
SECONDS = 60.0


class ImapError(Exception):
    """A command failed: `.name` is NO or BAD, `.code` its response code as a tuple."""

    def __init__(self, response: Response) -> None:
        self.name, self.code = response.name, response.code
        super().__init__(response.text)


class ImapDisconnected(ConnectionError):
    """The server has hung up; the text is what it said last."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox of LIST."""

    name: str
    attributes: tuple[str, ...]
    delimiter: str


@dataclass(frozen=True, slots=True)
class Selected:
    """An open mailbox."""

    name: str
    exists: int
    uidvalidity: int
    uidnext: int
    highest_modseq: int
    read_only: bool
    untagged: tuple[Response, ...] = ()


async def connect(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: bool = False,
    server_hostname: str | None = None,
    seconds: float = SECONDS,
) -> Client:
    """Connects and reads the greeting.  TLS at once, or by STARTTLS; without a context, in the clear.

    Raises OSError, TimeoutError, ImapError, ImapDisconnected."""
    now = tls if tls is not None and not starttls else None
    async with asyncio.timeout(seconds):
        reader, write = await asyncio.open_connection(
            host, port, ssl=now, server_hostname=(server_hostname or host) if now is not None else None
        )
        client = Client(reader, write, seconds=seconds)
        try:
            await client._greeted()
            if tls is not None and starttls:
                await client.run(b"STARTTLS")
                await write.start_tls(tls, server_hostname=server_hostname or host)
                client.core.capabilities = frozenset()  # RFC 9051 6.2.1: what was said before does not count
        except BaseException:
            write.close()
            raise
    return client


class Client:
    """A connection.  One command at a time; `heard` is called with every untagged response that nobody asked for."""

    def __init__(self, reader: asyncio.StreamReader, write: asyncio.StreamWriter, *, seconds: float = SECONDS) -> None:
        self.core = ImapClient()
        self.greeting: Response | None = None
        self.selected: Selected | None = None
        self.heard: Callable[[Response], None] = lambda _: None
        self._read = reader
        self._write = write
        self._seconds = seconds

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, TimeoutError, ImapError):
            if error is None:
                await self.logout()
        await self.close()

    async def close(self) -> None:
        """Hangs up."""
        self._write.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self._write.wait_closed()

    # -- talking

    async def _response(self) -> Response:
        """The next response.  Raises ImapDisconnected, TimeoutError."""
        while True:
            found = self.core.next_response()
            if out := self.core.outgoing():
                self._write.write(out)
                await self._write.drain()
            if found is not None:
                return found
            async with asyncio.timeout(self._seconds):
                data = await self._read.read(READ_SIZE)
            if not data:
                raise ImapDisconnected("the server has hung up")
            self.core.receive(data)

    async def _greeted(self) -> None:
        self.greeting = await self._response()
        if self.greeting.name not in ("OK", "PREAUTH"):
            raise ImapDisconnected(self.greeting.text)

    async def run(self, name: bytes, *arguments: Argument | Sequence[Argument]) -> list[Response]:
        """A command; all that was said before its OK, and the OK.  Raises ImapError, ImapDisconnected."""
        tag = self.core.command(name, *arguments)
        self._write.write(self.core.outgoing())
        await self._write.drain()
        return await self._until(tag)

    async def _until(self, tag: str) -> list[Response]:
        found: list[Response] = []
        while True:
            one = await self._response()
            found.append(one)
            if one.tag == tag:
                if not one.ok:
                    raise ImapError(one)
                return found
            if one.name == "BYE" and tag != self._leaving:
                raise ImapDisconnected(one.text)
            self.heard(one)

    _leaving = ""

    async def capabilities(self) -> frozenset[str]:
        """What the server can do; asked when it has not said."""
        if not self.core.capabilities:
            await self.run(b"CAPABILITY")
        return self.core.capabilities

    # -- logging in and out

    async def login(self, user: str, password: str, *, in_the_clear: bool = False) -> None:
        """By the best way that both sides have; in the clear only with `in_the_clear`.

        Raises ImapError, mox_sasl.ExchangeError when the server cannot prove that it knows us."""
        before = await self.capabilities()
        offered = [word.removeprefix("AUTH=") for word in before if word.startswith("AUTH=")]
        encrypted = self._write.get_extra_info("ssl_object") is not None or in_the_clear
        credentials = mox_sasl.Credentials(user, mox_sasl.Secret(password))
        name = mox_sasl.choose(offered, credentials, encrypted=encrypted)
        if name is not None:
            await self._authenticate(name, mox_sasl.client(name, credentials, secrets.token_urlsafe(18)))
        elif not encrypted:
            raise mox_sasl.ExchangeError("without TLS a password would be shown to whoever listens")
        else:
            await self.run(b"LOGIN", string(user), string(password))
        if self.core.capabilities is before:
            self.core.capabilities = frozenset()
            await self.capabilities()

    async def _authenticate(self, name: str, mechanism: mox_sasl.ClientMechanism) -> None:
        initial = mechanism.start()
        words = [name.encode()]
        if initial is not None and "SASL-IR" in self.core.capabilities:
            words.append(base64.b64encode(initial) or b"=")
            initial = None
        tag = self.core.command(b"AUTHENTICATE", *words)
        self._write.write(self.core.outgoing())
        while True:
            one = await self._response()
            if one.tag == tag:
                if not one.ok:
                    raise ImapError(one)
                if not mechanism.finished:
                    raise mox_sasl.ExchangeError("the server says yes too early")
                return
            if one.tag == "+":
                answer = mechanism.step(base64.b64decode(one.text)) if initial is None else initial
                initial = None
                self.core.line(base64.b64encode(answer))

    async def logout(self) -> None:
        """Says goodbye."""
        tag = self._leaving = self.core.command(b"LOGOUT")
        self._write.write(self.core.outgoing())
        await self._until(tag)

    async def enable(self, *names: str) -> frozenset[str]:
        """ENABLE; those that are in effect."""
        said = await self.run(b"ENABLE", *(name.encode() for name in names))
        return frozenset(str(word).upper() for one in said if one.name == "ENABLED" for word in one.data)

    # -- mailboxes

    async def mailboxes(self, reference: str = "", pattern: str = "*") -> list[Listed]:
        """LIST"""
        said = await self.run(b"LIST", self.core.mailbox(reference) or b'""', string(pattern) if pattern else b'""')
        found = []
        for one in said:
            if one.name == "LIST" and len(one.data) >= 3 and isinstance(one.data[0], tuple):
                delimiter = one.data[1].decode() if isinstance(one.data[1], bytes) else ""
                attributes = tuple(str(word) for word in one.data[0])
                found.append(Listed(self.core.mailbox_name(one.data[2]), attributes, delimiter))
        return found

    async def status(self, name: str, *items: str) -> dict[str, Value]:
        """STATUS; the values by item, upper case."""
        said = await self.run(b"STATUS", self.core.mailbox(name), b"(" + b" ".join(i.encode() for i in items) + b")")
        for one in said:
            if one.name == "STATUS" and len(one.data) > 1 and isinstance(pairs := one.data[1], tuple):
                return {str(pairs[at]).upper(): pairs[at + 1] for at in range(0, len(pairs) - 1, 2)}
        return {}

    async def create(self, name: str) -> None:
        """CREATE"""
        await self.run(b"CREATE", self.core.mailbox(name))

    async def delete(self, name: str) -> None:
        """DELETE"""
        await self.run(b"DELETE", self.core.mailbox(name))

    async def rename(self, old: str, new: str) -> None:
        """RENAME"""
        await self.run(b"RENAME", self.core.mailbox(old), self.core.mailbox(new))

    async def select(self, name: str, *, read_only: bool = False, qresync: tuple[int, int] | None = None) -> Selected:
        """SELECT or EXAMINE.  `qresync`: (uidvalidity, modseq) of the last time, when QRESYNC is enabled: what happened
        since is among the `untagged`."""
        more = [b"(QRESYNC (%d %d))" % qresync] if qresync is not None else []
        said = await self.run(b"EXAMINE" if read_only else b"SELECT", self.core.mailbox(name), *more)
        codes = {one.code[0]: one.code[1] for one in said if len(one.code) > 1}

        def code(word: str) -> int:
            value = codes.get(word, 0)
            return value if isinstance(value, int) else 0

        exists = next((one.number or 0 for one in said if one.name == "EXISTS"), 0)
        only = said[-1].code[:1] == ("READ-ONLY",)
        self.selected = Selected(
            name, exists, code("UIDVALIDITY"), code("UIDNEXT"), code("HIGHESTMODSEQ"), only, tuple(said[:-1])
        )
        return self.selected

    # -- messages

    async def fetch(self, of: str | Iterable[int], *items: str, uid: bool = False) -> list[Fetched]:
        """FETCH: those messages that were asked for, with what was said of them."""
        word = b"(" + b" ".join(item.encode() for item in items) + b")"
        said = await self.run(b"UID FETCH" if uid else b"FETCH", numbers(of), word)
        return [Fetched.of(one) for one in said if one.name in ("FETCH", "UIDFETCH")]

    async def search(self, *criteria: str | bytes, uid: bool = False) -> list[int]:
        """SEARCH: numbers, or uids.  Criteria are words of the grammar; texts in them are `client.string`."""
        words = [one.encode() if isinstance(one, str) else one for one in criteria]
        said = await self.run(b"UID SEARCH" if uid else b"SEARCH", *words)
        return [number for one in said for number in _found(one)]

    async def store(
        self, of: str | Iterable[int], action: str, flags: Iterable[str], *, uid: bool = False
    ) -> list[Fetched]:
        """STORE; `action` is FLAGS, +FLAGS or -FLAGS, with .SILENT if need be."""
        said = await self.run(b"UID STORE" if uid else b"STORE", numbers(of), action.encode(), flag_list(flags))
        return [Fetched.of(one) for one in said if one.name in ("FETCH", "UIDFETCH")]

    async def copy(self, of: str | Iterable[int], target: str, *, uid: bool = False) -> Response:
        """COPY; its OK, with COPYUID."""
        return (await self.run(b"UID COPY" if uid else b"COPY", numbers(of), self.core.mailbox(target)))[-1]

    async def move(self, of: str | Iterable[int], target: str, *, uid: bool = False) -> list[Response]:
        """MOVE; all that was said, COPYUID among it."""
        return await self.run(b"UID MOVE" if uid else b"MOVE", numbers(of), self.core.mailbox(target))

    async def expunge(self, uids: str | Iterable[int] | None = None) -> list[Response]:
        """EXPUNGE, or UID EXPUNGE."""
        return await (self.run(b"EXPUNGE") if uids is None else self.run(b"UID EXPUNGE", numbers(uids)))

    async def append(
        self, name: str, *messages: bytes, flags: Iterable[str] = (), moment: float | None = None
    ) -> tuple[int, tuple[int, ...]]:
        """APPEND, of several where the server has MULTIAPPEND; (uidvalidity, uids), or (0, ()) when it does not say."""
        words: list[Argument | Sequence[Argument]] = []
        for message in messages:
            words.append(flag_list(flags))
            if moment is not None:
                words.append(writer.internal_date(moment))
            words.append(Literal(message))
        code = (await self.run(b"APPEND", self.core.mailbox(name), *words))[-1].code
        if len(code) < 3 or code[0] != "APPENDUID" or not isinstance(code[1], int):
            return 0, ()
        return code[1], tuple(expanded(str(code[2])))

    @contextlib.asynccontextmanager
    async def idle(self) -> AsyncIterator[AsyncIterator[Response]]:
        """IDLE: what happens, as it happens, until the block is left.

        async with client.idle() as events:
            async for event in events: …"""
        tag = self.core.command(b"IDLE")
        self._write.write(self.core.outgoing())
        early: list[Response] = []
        while (one := await self._response()).tag != "+":
            if one.tag == tag:
                raise ImapError(one)
            early.append(one)

        async def events() -> AsyncIterator[Response]:
            for one in early:
                yield one
            while True:
                yield await self._response()

        try:
            yield events()
        finally:
            self.core.line(b"DONE")
            self._write.write(self.core.outgoing())
            await self._until(tag)


def _found(one: Response) -> Iterable[int]:
    if one.name in ("SEARCH", "SORT"):
        return [number for number in one.data if isinstance(number, int)]
    if one.name == "ESEARCH":
        words: Any = list(one.data)
        return expanded(str(words[words.index("ALL") + 1])) if "ALL" in words[:-1] else ()
    return ()


def expanded(text: str, most: int = 10_000_000) -> list[int]:
    """The numbers of a set, in its order.  Raises ValueError when there are too many."""
    found: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition(":")
        low, high = int(first), int(last or first)
        if len(found) + abs(high - low) >= most:
            raise ValueError("too many numbers")
        found += range(low, high + 1) if low <= high else range(low, high - 1, -1)
    return found
