"""Fuzz target: what a SOCKS proxy says, and notices that come back to a reverse-path of a message's own.

Run `python fuzz/queue_replies.py` where atheris is installed."""

from __future__ import annotations

import sys

import mox_sasl
from mox_message import Content, dsn, parse
from mox_queue import Kind, Sent, base_of, fromid_of, meaning
from mox_queue.socks import SocksError, negotiate

LOGIN = mox_sasl.Credentials("me", mox_sasl.Secret("secret"))
SENT = Sent(1, 1, "you", "you+id@here.example", "a.b+c@x.example", "ab@x.example", 1, "id")
MAX_TEXT = 1000


def proxy(data: bytes, login: bool) -> None:
    """It connects us, or it does not; it is never asked for more than an answer can have."""
    steps = negotiate("192.0.2.1", 25, LOGIN if login else None)
    try:
        step = next(steps)
        while len(data) >= step.octets:
            assert step.octets <= 257
            answer, data = data[: step.octets], data[step.octets :]
            step = steps.send(answer)
    except (SocksError, StopIteration):
        return


def notice(data: bytes) -> None:
    """It means something about the one recipient, in one line."""
    content = Content.of(data)
    bounce = meaning(dsn.parse(parse(content), content), SENT)
    assert isinstance(bounce.kind, Kind)
    assert len(bounce.text) <= MAX_TEXT
    assert "\n" not in bounce.text
    assert not bounce.final or bounce.kind is Kind.FAILED


def fuzz(data: bytes) -> None:
    """The first octet says which."""
    if not data:
        return
    if data[0] & 1:
        notice(data[1:])
    else:
        proxy(data[1:], bool(data[0] & 2))
    text = data[1:].decode("utf-8", "replace")
    assert base_of(base_of(text)) == base_of(text)
    plain, found = fromid_of(text)
    assert (plain == text) == (not found)


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
