"""Clients' conversations without sockets: against a script, and against our own server at one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mox_sasl
from kit.play import Stage, cut
from mox_smtp import (
    AuthResponse,
    AuthStart,
    Challenge,
    Chunk,
    ClientConfig,
    MessageEnd,
    RcptTo,
    Refusal,
    Reply,
    ReplyReader,
    ServerConfig,
    SmtpClient,
    SmtpServer,
    Tls,
)
from mox_smtp.client import Expect, Send, Upgrade


def run(steps: Any, answer: Callable[[Any], Any]) -> Any:
    """Drives a conversation with an answer to each step; its result."""
    try:
        step = next(steps)
        while True:
            step = steps.send(answer(step))
    except StopIteration as stop:
        return stop.value


class Script:
    """A server that says its lines one after the other, whatever it hears; what it heard is kept."""

    def __init__(self, *replies: str) -> None:
        reader = ReplyReader()
        reader.feed("".join(f"{reply}\r\n" for reply in replies).encode())
        self.replies: list[Reply | Exception] = []
        while (reply := reader.next()) is not None:
            self.replies.append(reply)
        self.heard = b""
        self.upgrade: Tls | Exception = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")

    def take(self, steps: Any) -> Any:
        """Drives a conversation to its end."""
        answer: Any = None
        try:
            step = next(steps)
            while True:
                match step:
                    case Send(data):
                        self.heard += data
                        answer = None
                    case Expect(what):
                        assert self.replies, f"waits for the reply to {what}, and none will come"
                        answer = self.replies.pop(0)
                    case Upgrade():
                        answer = self.upgrade
                if isinstance(answer, Exception):
                    step = steps.throw(answer)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    @property
    def lines(self) -> list[str]:
        return self.heard.decode().split("\r\n")[:-1]


class Table:
    """Our client and our server at one table; bytes are handed over in pieces."""

    def __init__(
        self, config: ServerConfig, policy: Any, client: ClientConfig, pieces: list[int], *, tls: bool
    ) -> None:
        self.server = SmtpServer(config, now=0.0, tls=tls)
        self.stage = Stage(self.server, policy)
        self.client = SmtpClient(client)
        self.reader = ReplyReader()
        self.pieces = pieces
        self.from_client = b""

    def drive(self, steps: Any) -> Any:
        answer: Any = None
        try:
            step = next(steps)
            while True:
                match step:
                    case Send(data):
                        self.from_client += data
                        answer = None
                    case Expect():
                        answer = self._reply()
                    case Upgrade():
                        assert not self.stage.said
                        assert not self.reader.pending
                        self.server.tls_started(0.0)
                        answer = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
                step = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    def _reply(self) -> Reply:
        for piece in cut(self.from_client, self.pieces):
            self.stage.hear(piece)
        self.from_client = b""
        while (reply := self.reader.next()) is None:
            assert self.stage.said, "both sides wait for the other"
            size = self.pieces[0] % 40 + 1 if self.pieces else len(self.stage.said)
            piece, self.stage.said = self.stage.said[:size], self.stage.said[size:]
            self.reader.feed(piece)
        return reply


VERIFIER = mox_sasl.derive("SCRAM-SHA-256", "pencil", b"0123456789abcdef")


class Accounts:
    """mox_sasl.Verifier"""

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        return VERIFIER if name == "user" else None

    def nonce(self) -> str:
        return "zyxwvutsrqponmlkjihgfe"

    def secret(self) -> bytes:
        return b"secret"


class Mailbox:
    """A policy that keeps what it is sent."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.taken: list[bytes] = []
        self.exchange: mox_sasl.Mechanism | None = None
        self.binding: mox_sasl.ChannelBinding | None = None

    def __call__(self, event: Any) -> Any:
        match event:
            case Chunk(data):
                self.chunks.append(data)
            case MessageEnd():
                self.taken.append(b"".join(self.chunks))
                self.chunks.clear()
                return Reply(250, "taken", "2.0.0")
            case RcptTo(path) if str(path).startswith("no"):
                return Refusal(550, "no such address", "5.1.1", "test")
            case AuthStart(name, initial):
                self.exchange = mox_sasl.server(name, Accounts(), binding=self.binding)
                return self._outcome(self.exchange.start(initial))
            case AuthResponse(data):
                assert self.exchange is not None
                return self._outcome(self.exchange.step(data))
        return None

    def _outcome(self, outcome: mox_sasl.Outcome) -> Any:
        if isinstance(outcome, Challenge):
            return outcome
        return None if isinstance(outcome, mox_sasl.Success) else Refusal(535, "no", "5.7.8")
