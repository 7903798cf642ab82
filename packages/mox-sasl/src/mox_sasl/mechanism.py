"""Mechanisms by name."""

from __future__ import annotations

from typing import Protocol

from mox_sasl.outcome import Outcome
from mox_sasl.plain import Login, Plain
from mox_sasl.scram import ScramServer, Verifier


class ServerMechanism(Protocol):
    """One exchange."""

    def start(self, initial: bytes | None) -> Outcome: ...
    def step(self, data: bytes) -> Outcome: ...


# What needs nothing but a name and a password, strongest first.
MECHANISMS = ("SCRAM-SHA-256", "PLAIN", "LOGIN")


def server(name: str, verifier: Verifier) -> ServerMechanism:
    """A fresh exchange of the mechanism `name` (capitals).  Raises KeyError for what MECHANISMS has not."""
    if name == "PLAIN":
        return Plain()
    if name == "LOGIN":
        return Login()
    if name == "SCRAM-SHA-256":
        return ScramServer(name, verifier)
    raise KeyError(name)
