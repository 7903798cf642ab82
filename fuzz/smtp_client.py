"""Fuzz target: whatever a server says to our client.

Run `python fuzz/smtp_client.py` where atheris is installed."""

from __future__ import annotations

import sys
from typing import Any

import mox_sasl
from mox_message import Content
from mox_smtp import ClientConfig, Delivered, Envelope, Lost, ReplyReader, ReplySyntaxError, SmtpClient, Tls, Trouble
from mox_smtp.step import Send, Upgrade

CREDENTIALS = mox_sasl.Credentials("user", mox_sasl.Secret("pencil"))
ENVELOPE = Envelope("a@b.example", ("b@mx.example", "c@mx.example"))
MESSAGE = Content.of(b"Subject: x\r\n\r\n.dot\r\n")


def drive(steps: Any, reader: ReplyReader) -> Any:
    """Answers each step from what the server says; it ends where nothing is left."""
    answer: Any = None
    try:
        step = next(steps)
        while True:
            if isinstance(step, Send):
                answer = None
            elif isinstance(step, Upgrade):
                answer = Tls("TLSv1.3", "X")
            else:
                try:
                    answer = reader.next()
                except ReplySyntaxError as error:
                    answer = Lost(str(error))
                if answer is None:
                    answer = Lost("nothing more")
            step = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
    except StopIteration as stop:
        return stop.value


def fuzz(data: bytes) -> None:
    """Each recipient is told something, whatever comes; a good word only where a good reply came."""
    if not data:
        return
    lmtp, login = bool(data[0] & 1), bool(data[0] & 2)
    config = ClientConfig(
        "client.example",
        lmtp=lmtp,
        auth=CREDENTIALS if login else None,
        nonce="n" * 20,
        auth_in_clear=bool(data[0] & 4),
    )
    client, reader = SmtpClient(config), ReplyReader()
    reader.feed(data[1:])
    try:
        drive(client.open(), reader)
    except Trouble:
        return
    for _ in range(2):
        if not client.usable:
            break
        result = drive(client.deliver(ENVELOPE, MESSAGE), reader)
        assert isinstance(result, Delivered)
        assert set(result.replies) == set(ENVELOPE.recipients)
        assert not any(reply.code // 100 == 3 for reply in result.replies.values())
        assert len(result.transcript) <= 121
    if client.usable:
        drive(client.quit(), reader)
    assert "pencil" not in "\n".join(client.transcript.lines)


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
