"""Accounts by name, and their passwords."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

import mox_sasl
from mox_imap.backend import Pending
from mox_imap.memory.account import MemoryAccount
from mox_imap.memory.held import Held

T = TypeVar("T")

SALT = b"mox-imap in memory"
ITERATIONS = 4096


class MemoryBackend:
    """Logins by name and password, in the clear: not for real use.  `nonce` gives SCRAM its randomness, `clock` seconds
    since 1970."""

    def __init__(
        self, *, clock: Callable[[], float] = lambda: 0.0, nonce: Callable[[], str] = lambda: "n" * 24
    ) -> None:
        self.clock = clock
        self.accounts: dict[str, MemoryAccount] = {}
        self._passwords: dict[str, str] = {}
        self._nonce = nonce
        self._held: list[Held[Any]] | None = None

    def add(self, name: str, password: str) -> MemoryAccount:
        """A new account; it begins with an Inbox."""
        account = self.accounts[name] = MemoryAccount(self, name)
        self._passwords[name] = password
        return account

    def hold(self) -> None:
        """From now on writes wait for `settle`."""
        self._held = []

    def settle(self) -> None:
        """Does the writes that wait, in order."""
        held, self._held = self._held or [], []
        for one in held:
            one.run()

    def do(self, operation: Callable[[], T]) -> Pending[T]:
        """Runs a write, now or at `settle`."""
        done = Held(operation)
        if self._held is None:
            done.run()
        else:
            self._held.append(done)
        return done

    # -- mox_imap.Logins

    def allowed(self, peer: IPv4Address | IPv6Address | None) -> bool:
        """mox_imap.Logins: everybody may try."""
        return True

    def password(
        self, name: str, password: str, peer: IPv4Address | IPv6Address | None
    ) -> Pending[MemoryAccount | None]:
        """mox_imap.Logins"""
        return self.do(lambda: self.accounts[name] if self._passwords.get(name) == password else None)

    def authenticated(
        self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None
    ) -> Pending[MemoryAccount | None]:
        """mox_imap.Logins"""
        return self.do(lambda: self.accounts.get(name))

    def failed(self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None) -> None:
        """mox_imap.Logins: nothing is counted."""

    def verifier(self) -> mox_sasl.Verifier:
        """mox_imap.Logins"""
        return self

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        """mox_sasl.Verifier"""
        password = self._passwords.get(name)
        return mox_sasl.derive("SCRAM-SHA-256", password, SALT, ITERATIONS) if password is not None else None

    def nonce(self) -> str:
        """mox_sasl.Verifier"""
        return self._nonce()

    def secret(self) -> bytes:
        """mox_sasl.Verifier"""
        return SALT
