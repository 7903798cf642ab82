"""A mail host that does as it is told at any point of the conversation: real sockets, a thread for each connection."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

# The points at which a host may do something else, in the order in which they come.
STAGES = ("greeting", "EHLO", "STARTTLS", "handshake", "EHLO in TLS", "MAIL", "RCPT", "DATA", "text", "end", "QUIT")
OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class Act(Enum):
    """What a host may do in place of its reply."""

    HANG = "hang"  # says nothing until the other side goes away
    CLOSE = "close"
    RESET = "reset"
    TAKE_AND_CLOSE = "take and close"  # at "end": it has the message, and does not say so
    FLOOD = "flood"  # a reply line of 10 MB


Script = Callable[[str, int], "Act | bytes | None"]


@dataclass
class ScriptHost:
    """Its port, the commands it has heard (with the number of their connection), the messages it has taken."""

    port: int
    heard: list[tuple[int, str]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    connections: int = 0


class _Ended(Exception):
    """The conversation is over."""


class _Talk:
    """One connection."""

    def __init__(
        self, host: ScriptHost, sock: socket.socket, number: int, script: Script, context: ssl.SSLContext | None,
        offers: Sequence[str], offers_in_tls: Sequence[str],
    ) -> None:  # fmt: skip
        self._host, self._sock, self._number, self._script = host, sock, number, script
        self._context, self._offers, self._offers_in_tls = context, offers, offers_in_tls
        self._pending = b""
        self._tls = False
        self._mail = False
        self._recipients = 0  # those taken of this transaction

    def run(self) -> None:
        with contextlib.suppress(_Ended, OSError):
            self._say("greeting", b"220 mx.test ready")
            while True:
                self._command(self._line().decode("utf-8", "replace"))
        with contextlib.suppress(OSError):
            self._sock.close()

    def _command(self, line: str) -> None:
        self._host.heard.append((self._number, line))
        verb = line[:4].upper()
        if verb == "EHLO":
            offers = self._offers_in_tls if self._tls else (*self._offers, *(["STARTTLS"] if self._context else []))
            lines = ["mx.test", *offers]
            text = "\r\n".join(f"250{'-' if one is not lines[-1] else ' '}{one}" for one in lines)
            self._say("EHLO in TLS" if self._tls else "EHLO", text.encode())
        elif verb == "STAR":
            self._say("STARTTLS", b"220 go")
            self._act("handshake")
            assert self._context is not None
            self._sock = self._context.wrap_socket(self._sock, server_side=True)
            self._tls = True
        elif verb == "DATA" and not self._recipients:
            self._sock.sendall(b"503 5.5.1 for whom\r\n")
        elif verb == "DATA":
            if self._say("DATA", b"354 go").startswith(b"354"):
                self._message()
            self._mail, self._recipients = False, 0
        elif verb == "QUIT":
            self._say("QUIT", b"221 2.0.0 bye")
            raise _Ended
        elif verb == "MAIL":
            self._mail, self._recipients = self._say(verb, b"250 2.1.0 fine").startswith(b"250"), 0
        elif verb == "RCPT":
            self._recipients += self._say(verb, b"250 2.1.5 fine").startswith(b"250") and self._mail
        else:
            self._say(verb, b"250 2.0.0 fine" if verb in ("RSET", "NOOP") else b"500 5.5.1 what")

    def _message(self) -> None:
        self._act("text")
        lines = []
        while (line := self._line()) != b".":
            lines.append(line.removeprefix(b".") + b"\r\n")
        text = b"".join(lines)
        planned = self._script("end", self._number)
        if planned is None or planned is Act.TAKE_AND_CLOSE:
            self._host.taken.append(text)
        self._say("end", b"250 2.0.0 taken", planned)

    def _say(self, stage: str, reply: bytes, planned: Act | bytes | None = None) -> bytes:
        planned = self._script(stage, self._number) if planned is None else planned
        if isinstance(planned, Act):
            self._do(planned)
            return b""
        said = reply if planned is None else planned
        self._sock.sendall(said + b"\r\n")
        return said

    def _act(self, stage: str) -> None:
        planned = self._script(stage, self._number)
        if isinstance(planned, Act):
            self._do(planned)
        elif planned is not None:
            self._sock.sendall(planned + b"\r\n")

    def _do(self, act: Act) -> None:
        if act is Act.HANG:
            while self._sock.recv(65536):
                pass
        elif act is Act.FLOOD:
            self._sock.sendall(b"250-" + b"x" * (10 << 20) + b"\r\n250 fine\r\n")
        elif act is Act.RESET:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raise _Ended

    def _line(self) -> bytes:
        while b"\r\n" not in self._pending:
            more = self._sock.recv(65536)
            if not more:
                raise _Ended
            self._pending += more
        line, _, self._pending = self._pending.partition(b"\r\n")
        return line


def well(stage: str, connection: int) -> None:
    """The script of a host that is well."""
    return


@contextmanager
def script_host(
    script: Script = well,
    *,
    context: ssl.SSLContext | None = None,
    offers: Sequence[str] = OFFERS,
    offers_in_tls: Sequence[str] = OFFERS,
    address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[ScriptHost]:
    """Serves until the block ends.  `script(stage, connection)` says what it does in place of its reply (bytes: this
    reply instead); connections are counted from 1.  With a `context` it offers STARTTLS."""
    listening = socket.create_server((address, port), backlog=100)
    host = ScriptHost(listening.getsockname()[1])
    ended, end = socket.socketpair()
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            ready, _, _ = select.select([listening, ended], [], [])
            if ended in ready:
                return
            sock, _ = listening.accept()
            host.connections += 1
            opened.append(sock)
            talk = _Talk(host, sock, host.connections, script, context, offers, offers_in_tls)
            threads.append(threading.Thread(target=talk.run, name="script host", daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, name="script host", daemon=True)
    accepting.start()
    try:
        yield host
    finally:
        end.send(b"x")
        accepting.join(5)
        for sock in opened:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for one in (listening, ended, end, *opened):
            one.close()
