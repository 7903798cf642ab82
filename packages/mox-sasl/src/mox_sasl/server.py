"""The server's half of each mechanism, without I/O: the client's bytes in, an Outcome out.

    outcome = mechanism.start(initial)      # None when the client sent no initial response
    while isinstance(outcome, Challenge):
        outcome = mechanism.step(what the client answered)

A mechanism is used for one exchange and then thrown away.  None of them tells whether a name exists."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Protocol

from mox_sasl.outcome import Challenge, CheckPassword, Failure, Outcome, Success
from mox_sasl.scram import (
    DEFAULT_ITERATIONS,
    HASHES,
    SALT_SIZE,
    ClientFinal,
    ClientFirst,
    ScramSyntaxError,
    ScramVerifier,
    ServerFinal,
    ServerFirst,
    auth_message,
    proves,
    signature,
)
from mox_sasl.secret import Secret

# Octets of a name; RFC 4616 2 asks for 255 at least.
MAX_NAME = 1024


class Verifier(Protocol):
    """What SCRAM asks its application."""

    def scram(self, name: str) -> ScramVerifier | None:
        """The verifier that is kept for a login name, or None.  One of another mechanism is as good as none."""
        ...

    def nonce(self) -> str:
        """A fresh random text of printable ASCII without commas, 18 characters or more."""
        ...

    def secret(self) -> bytes:
        """The same secret at each call, also after a restart: unknown names get their salt from it."""
        ...


class Mechanism:
    """One exchange.  Subclasses say what comes first and what each answer leads to."""

    name = ""

    def start(self, initial: bytes | None) -> Outcome:
        """The client's initial response; None when it sent none (RFC 4422 3.3)."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Outcome:
        """The client's answer to the last Challenge."""
        raise NotImplementedError


class Plain(Mechanism):
    """RFC 4616: authzid NUL authcid NUL password."""

    name = "PLAIN"

    def step(self, response: bytes) -> Outcome:
        try:
            authzid, name, password = response.decode("utf-8").split("\0")
        except ValueError:  # UnicodeDecodeError is one
            return Failure("", "PLAIN: not authzid NUL name NUL password in UTF-8", malformed=True)
        return _password_claim("PLAIN", name, password, authzid)


class Login(Mechanism):
    """draft-murchison-sasl-login: two questions; for old clients that know nothing else."""

    name = "LOGIN"

    def __init__(self) -> None:
        self._name: str | None = None

    def start(self, initial: bytes | None) -> Outcome:
        """Some clients send the name at once."""
        return Challenge(b"Username:") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Outcome:
        try:
            text = response.decode("utf-8")
        except UnicodeDecodeError:
            return Failure("", "LOGIN: not UTF-8", malformed=True)
        if self._name is None:
            self._name = text
            return Challenge(b"Password:")
        return _password_claim("LOGIN", self._name, text, "")


def _password_claim(mechanism: str, name: str, password: str, authzid: str) -> Outcome:
    if not name or not password or len(name) > MAX_NAME or len(authzid) > MAX_NAME or "\0" in name + password:
        return Failure(name[:MAX_NAME], f"{mechanism}: a name and a password are needed", malformed=True)
    return CheckPassword(name, Secret(password), authzid)


class External(Mechanism):
    """RFC 4422 appendix A: who the client is, the layer below has proven."""

    name = "EXTERNAL"

    def __init__(self, name: str) -> None:
        self._proven = name

    def step(self, response: bytes) -> Outcome:
        try:
            authzid = response.decode("utf-8")
        except UnicodeDecodeError:
            return Failure("", "EXTERNAL: not UTF-8", malformed=True)
        if len(authzid) > MAX_NAME or "\0" in authzid:
            return Failure("", "EXTERNAL: not a name", malformed=True)
        if not self._proven:
            return Failure(authzid, "EXTERNAL: the layer below has proven nobody")
        return Success(self._proven, authzid)


class Scram(Mechanism):
    """RFC 5802 and RFC 7677; `mechanism` is a key of HASHES."""

    def __init__(self, mechanism: str, verifier: Verifier) -> None:
        self.name = mechanism
        self._given = verifier
        self._first: ClientFirst | None = None
        self._answer: ServerFirst | None = None
        self._verifier: ScramVerifier | None = None
        self._known = False
        self._proven = False

    def step(self, response: bytes) -> Outcome:
        name = self._first.name if self._first is not None else ""
        try:
            if self._proven:
                return Success(name, self._first.authzid if self._first else "")
            if self._first is None:
                return self._begin(ClientFirst.parse(response))
            return self._end(self._first, ClientFinal.parse(response))
        except ScramSyntaxError as error:
            return Failure(name, f"{self.name}: {error.why}", malformed=True)

    def _begin(self, first: ClientFirst) -> Outcome:
        if len(first.name) > MAX_NAME or len(first.authzid) > MAX_NAME:
            return Failure("", f"{self.name}: a name that is too long", malformed=True)
        if first.binding.startswith("p="):
            # RFC 5802 6: we offer no -PLUS mechanism, so a client that binds to a channel saw another offer.
            return Failure(first.name, f"{self.name}: channel binding is not offered")
        # "y": the client could bind and believes we cannot.  It is right, so nobody took our offer away.
        stored = self._given.scram(first.name)
        self._known = stored is not None and stored.mechanism == self.name
        self._verifier = stored if stored is not None and self._known else self._fake(first.name)
        self._first = first
        self._answer = ServerFirst(first.nonce + self._given.nonce(), self._verifier.salt, self._verifier.iterations)
        return Challenge(str(self._answer).encode())

    def _fake(self, name: str) -> ScramVerifier:
        """The same for a name each time, so that asking twice tells no more than asking once."""
        seed = hmac.digest(self._given.secret(), f"{self.name}\0{name}".encode(), "sha512")
        key = hmac.digest(self._given.secret(), seed, HASHES[self.name])
        salt = hashlib.shake_256(seed).digest(SALT_SIZE)
        return ScramVerifier(self.name, DEFAULT_ITERATIONS, salt, key, key)

    def _end(self, first: ClientFirst, final: ClientFinal) -> Outcome:
        assert self._answer is not None
        assert self._verifier is not None
        if final.binding != first.gs2.encode() or final.nonce != self._answer.nonce:
            return Failure(first.name, f"{self.name}: the final message does not fit the first")
        message = auth_message(first, self._answer, final)
        if not proves(self._verifier, message, final.proof) or not self._known:
            return Failure(first.name, f"{self.name}: {'a wrong password' if self._known else 'no such name'}")
        self._proven = True
        # SMTP and IMAP carry no data with a success: the client answers this with nothing, then we say yes.
        return Challenge(str(ServerFinal(signature(self.name, self._verifier.server_key, message))).encode())


MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "EXTERNAL")


class _ForItself(Mechanism):
    """Lets nobody act for another; a client that names itself twice names itself."""

    def __init__(self, inner: Mechanism) -> None:
        self.name = inner.name
        self._inner = inner

    def start(self, initial: bytes | None) -> Outcome:
        return self._checked(self._inner.start(initial))

    def step(self, response: bytes) -> Outcome:
        return self._checked(self._inner.step(response))

    def _checked(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, CheckPassword | Success) and outcome.authzid:
            if outcome.authzid != outcome.name:
                return Failure(outcome.name, f"{self.name}: wants to act for {outcome.authzid!r}")
            return replace(outcome, authzid="")
        return outcome


def server(name: str, verifier: Verifier, *, external: str = "", for_others: bool = False) -> Mechanism:
    """A fresh exchange of mechanism `name` (capitals, one of MECHANISMS).  Raises KeyError for another.

    `external`: whom the layer below has proven (a TLS client certificate), or "" for nobody.  `for_others`: outcomes
    may have an authzid that differs from the name, and the caller judges it; else that is a Failure."""
    mechanism: Mechanism
    if name in HASHES:
        mechanism = Scram(name, verifier)
    elif name == "EXTERNAL":
        mechanism = External(external)
    else:
        mechanism = {"PLAIN": Plain, "LOGIN": Login}[name]()
    return mechanism if for_others else _ForItself(mechanism)
