"""Fuzz target: whatever a client says, at once and in pieces.

Run `python fuzz/smtp_session.py` where atheris is installed."""

from __future__ import annotations

import sys
from typing import Any

from mox_smtp import (
    AuthResponse,
    AuthStart,
    Challenge,
    Chunk,
    Limits,
    MailFrom,
    MessageEnd,
    RcptTo,
    Refusal,
    Reply,
    ServerConfig,
    SmtpServer,
)

LIMITS = Limits(line=200, auth_line=300, message=500, recipients=5, dead_data=2000, garbage=1000, chatter=20)
CONFIG = ServerConfig(
    "mx.example", LIMITS, starttls=True, auth=("PLAIN",), auth_in_clear=True, binarymime=True, dsn=True,
    requiretls=True, future_release=1000, deliver_by=0, mt_priority="",
)  # fmt: skip
LMTP = ServerConfig("mx.example", LIMITS, lmtp=True)
OPENINGS = (
    b"",
    b"EHLO a\r\n",
    b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@mx.example>\r\n",
    b"EHLO a\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\nRCPT TO:<b@mx.example>\r\n",
)


class Policy:
    """Takes nearly everything, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []  # sender, what became of it, the message
        self._sender, self._message = "", b""

    def __call__(self, event: Any) -> Any:
        match event:
            case MailFrom(path):
                self._sender, self._message = str(path), b""
            case RcptTo(path) if str(path).startswith("no"):
                return Refusal(550, "no such address", "5.1.1")
            case Chunk(data):
                self._message += data
            case MessageEnd(size):
                assert size == len(self._message) <= LIMITS.message
                self.seen.append((self._sender, "taken", self._message))
                return Reply(250, "taken", "2.0.0")
            case AuthStart(_, None):
                return Challenge(b"")
            case AuthStart() | AuthResponse():
                return Refusal(535, "no", "5.7.8")
        return None


def talk(config: ServerConfig, pieces: list[bytes]) -> tuple[bytes, list[tuple[str, str, bytes]], SmtpServer]:
    """All that is answered and taken; an exception is a finding."""
    session, policy, out = SmtpServer(config, now=0.0, epoch=1e9), Policy(), b""
    for piece in [b"", *pieces]:
        if piece:
            session.receive(piece, 1.0)
        while (event := session.next_event()) is not None:
            session.send(policy(event))
        out += session.outgoing()
        if session.wants_tls:
            break  # what follows is TLS' business
        assert session.ended or session.unread <= LIMITS.auth_line + 1
    return out, policy.seen, session


def fuzz(data: bytes) -> None:
    """The first octet picks an opening and where to cut; both ways the answers and the messages are the same."""
    if not data:
        return
    config = LMTP if data[0] & 4 else CONFIG
    said = OPENINGS[data[0] & 3] + data[1:]
    cut = (data[0] >> 3) * 3
    whole, taken, session = talk(config, [said])
    pieces, taken_in_pieces, _ = talk(config, [said[:cut], said[cut:]])
    if b"STARTTLS" not in said.upper():
        assert whole == pieces, (whole, pieces)
        assert taken == taken_in_pieces
    assert whole.endswith(b"\r\n")
    assert whole.replace(b"\r\n", b"").isascii() or b"SMTPUTF8" in said.upper()
    if not config.binarymime:
        assert not any(b"\0" in message or b"\n" in message.replace(b"\r\n", b"") for _, _, message in taken)
    session.deadline(2.0)


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
