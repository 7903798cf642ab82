"""The client's half of each mechanism, without I/O.

initial = mechanism.start()             # None: this mechanism waits for the server's first challenge
answer = mechanism.step(challenge)      # again for each challenge
mechanism.finished                      # at the server's yes: else that comes too early, and is forged"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from mox_sasl.prep import prepare_password
from mox_sasl.scram import (
    HASHES,
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    ClientFinal,
    ClientFirst,
    ScramSyntaxError,
    ServerFinal,
    ServerFirst,
    auth_message,
    client_key,
    salted_password,
    server_key,
    signature,
    stored_key,
)
from mox_sasl.secret import Secret

# Best first; what shows the password to the server comes last.
PREFERENCE = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN")


class ExchangeError(Exception):
    """The server's challenge is not what the mechanism allows, or the server cannot prove that it knows us."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are.  `authzid`: whom we want to act for; "" is ourselves."""

    name: str
    password: Secret
    authzid: str = ""


class ClientMechanism:
    """One exchange."""

    name = ""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.finished = False

    def start(self) -> bytes | None:
        """The initial response, or None when the server speaks first."""
        return self.step(b"")

    def step(self, challenge: bytes) -> bytes:
        """The answer to `challenge`.  Raises ExchangeError."""
        raise NotImplementedError


class Plain(ClientMechanism):
    """RFC 4616."""

    name = "PLAIN"

    def step(self, challenge: bytes) -> bytes:
        if self.finished or challenge:
            raise ExchangeError("PLAIN has one message, and no challenge")
        self.finished = True
        mine = self.credentials
        return "\0".join((mine.authzid, mine.name, mine.password.reveal())).encode()


class Login(ClientMechanism):
    """The name, then the password, whatever the server's questions say."""

    name = "LOGIN"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self._asked = 0

    def start(self) -> bytes | None:
        return None

    def step(self, challenge: bytes) -> bytes:
        self._asked += 1
        if self._asked > 2:
            raise ExchangeError("LOGIN has two questions")
        self.finished = self._asked == 2
        return (self.credentials.password.reveal() if self.finished else self.credentials.name).encode()


class External(ClientMechanism):
    """RFC 4422 appendix A."""

    name = "EXTERNAL"

    def step(self, challenge: bytes) -> bytes:
        if self.finished or challenge:
            raise ExchangeError("EXTERNAL has one message, and no challenge")
        self.finished = True
        return self.credentials.authzid.encode()


class Scram(ClientMechanism):
    """RFC 5802.  `nonce`: fresh random printable ASCII without comma."""

    def __init__(self, mechanism: str, credentials: Credentials, nonce: str) -> None:
        super().__init__(credentials)
        assert len(nonce) >= 18, "SCRAM needs a nonce"
        self.name = mechanism
        self._first = ClientFirst(credentials.name, nonce, credentials.authzid)
        self._expected: bytes | None = None

    def start(self) -> bytes | None:
        return str(self._first).encode()

    def step(self, challenge: bytes) -> bytes:
        try:
            if self.finished:
                raise ExchangeError(f"{self.name} is over")
            if self._expected is None:
                return self._prove(ServerFirst.parse(challenge))
            return self._check(ServerFinal.parse(challenge), self._expected)
        except ScramSyntaxError as error:
            raise ExchangeError(f"{self.name}: {error.why}") from None

    def _prove(self, answer: ServerFirst) -> bytes:
        first = self._first
        if not answer.nonce.startswith(first.nonce) or len(answer.nonce) == len(first.nonce):
            raise ExchangeError(f"{self.name}: the server's nonce does not extend ours")
        if not MIN_ITERATIONS <= answer.iterations <= MAX_ITERATIONS:
            # Few iterations: the proof would be worth guessing at.  Many: it would never be done.
            raise ExchangeError(f"{self.name}: {answer.iterations} iterations are refused")
        password = prepare_password(self.credentials.password.reveal(), fallback=True)
        salted = salted_password(self.name, password, answer.salt, answer.iterations)
        final = ClientFinal(first.gs2.encode(), answer.nonce, b"\0")
        message = auth_message(first, answer, final)
        proof = signature(self.name, stored_key(self.name, salted), message)
        self._expected = signature(self.name, server_key(self.name, salted), message)
        proof = bytes(map(int.__xor__, client_key(self.name, salted), proof))
        return str(ClientFinal(final.binding, final.nonce, proof)).encode()

    def _check(self, final: ServerFinal, expected: bytes) -> bytes:
        if final.error:
            raise ExchangeError(f"{self.name}: the server says {final.error}")
        if not hmac.compare_digest(final.verifier, expected):
            raise ExchangeError(f"{self.name}: the server does not know the password")
        self.finished = True
        return b""


def client(name: str, credentials: Credentials, nonce: str = "") -> ClientMechanism:
    """A fresh exchange of mechanism `name`.  Raises KeyError for one that is not known."""
    if name in HASHES:
        return Scram(name, credentials, nonce)
    return {"PLAIN": Plain, "LOGIN": Login, "EXTERNAL": External}[name](credentials)


def choose(offered: Iterable[str]) -> str | None:
    """The best mechanism for a password among those offered, or None."""
    names = {name.upper() for name in offered}
    return next((name for name in PREFERENCE if name in names), None)
