"""Fuzz target: whatever a client answers a server's mechanism, and whatever a server asks a client's.

Run `python fuzz/sasl_exchange.py` where atheris is installed."""

from __future__ import annotations

import sys
from typing import Any

import mox_sasl
from mox_sasl import Challenge, ChannelBinding, CheckPassword, CheckToken, ExchangeError, Failure, Secret

BINDING = ChannelBinding("tls-exporter", b"x" * 32, "TLSv1.3")
CREDENTIALS = mox_sasl.Credentials("ann", Secret("a long password that nobody guesses"), token=Secret("token"))
VERIFIER = mox_sasl.derive("SCRAM-SHA-256", "a long password that nobody guesses", b"salt")


class Accounts:
    """mox_sasl.Verifier"""

    def scram(self, name: str) -> Any:
        return VERIFIER if name == "ann" else None

    def nonce(self) -> str:
        return "n" * 18

    def secret(self) -> bytes:
        return b"s" * 32


def fuzz(data: bytes) -> None:
    """The first octet picks a mechanism; what follows is cut at 0xFF into answers."""
    if not data:
        return
    name = mox_sasl.MECHANISMS[data[0] % len(mox_sasl.MECHANISMS)]
    answers = data[1:].split(b"\xff")[:6]
    server = mox_sasl.server(name, Accounts(), binding=BINDING, passwords=lambda name: None)
    outcome: Any = server.start(answers[0] if data[0] & 128 else None)
    for answer in answers[data[0] >> 7 :]:
        if isinstance(outcome, CheckToken):
            outcome = server.refused()
        if not isinstance(outcome, Challenge):
            break
        outcome = server.step(answer)
    assert isinstance(outcome, Challenge | CheckPassword | CheckToken | Failure)
    client = mox_sasl.client(name, CREDENTIALS, "m" * 18, binding=BINDING)
    try:
        client.start()
        for answer in answers:
            client.step(answer)
    except ExchangeError:
        return
    assert not (name.startswith("SCRAM") and client.finished)


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
