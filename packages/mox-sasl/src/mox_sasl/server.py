"""The server's half of each mechanism, without I/O: the client's bytes in, an Outcome out.

    outcome = mechanism.start(initial)      # None when the client sent no initial response
    while isinstance(outcome, Challenge):
        outcome = mechanism.step(what the client answered)

A mechanism is used for one exchange and then thrown away.  None of them tells whether a name exists."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from mox_sasl import cram, oauth
from mox_sasl.binding import ChannelBinding
from mox_sasl.outcome import Challenge, CheckPassword, CheckToken, Failure, Outcome, Success
from mox_sasl.prep import prepare_name
from mox_sasl.scram import (
    DEFAULT_ITERATIONS,
    HASHES,
    PLUS,
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
    """What SCRAM and CRAM-MD5 ask their application."""

    def scram(self, name: str) -> ScramVerifier | tuple[ScramVerifier, ...] | None:
        """What is kept for a login name: one verifier, or one for each mechanism; None where there is no such name.
        One of another mechanism is as good as none."""
        ...

    def nonce(self) -> str:
        """A fresh random text of printable ASCII without commas, 18 characters or more."""
        ...

    def secret(self) -> bytes:
        """The same secret at each call, also after a restart: unknown names get their salt from it."""
        ...


Passwords = Callable[[str], "Secret | None"]


class Mechanism:
    """One exchange.  Subclasses say what comes first and what each answer leads to."""

    name = ""

    def start(self, initial: bytes | None) -> Outcome:
        """The client's initial response; None when it sent none (RFC 4422 3.3)."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, response: bytes) -> Outcome:
        """The client's answer to the last Challenge."""
        raise NotImplementedError

    def refused(self, status: str = "invalid_token", scope: str = "", configuration: str = "") -> Challenge:
        """After CheckToken: the token was not taken."""
        raise TypeError(f"{self.name} has no tokens")


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
    return CheckPassword(prepare_name(name), Secret(password), prepare_name(authzid))


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


class CramMd5(Mechanism):
    """RFC 2195; `passwords` gives the password of a name, or None."""

    name = "CRAM-MD5"

    def __init__(self, verifier: Verifier, passwords: Passwords, hostname: str) -> None:
        self._passwords = passwords
        self._said = cram.challenge(verifier.nonce(), hostname)
        self._substitute = hmac.digest(verifier.secret(), self._said, "sha256").hex()

    def start(self, initial: bytes | None) -> Outcome:
        """The server speaks first."""
        if initial:
            return Failure("", "CRAM-MD5: an initial response where there is none", malformed=True)
        return Challenge(self._said)

    def step(self, response: bytes) -> Outcome:
        read = cram.read_response(response)
        if read is None or len(read[0]) > MAX_NAME or "\0" in read[0]:
            return Failure("", "CRAM-MD5: not a name and 32 hexadecimal digits", malformed=True)
        name = prepare_name(read[0])
        if not cram.proves(self._passwords(name), self._substitute, self._said, read[1]):
            return Failure(name, "CRAM-MD5: a wrong password, or no such name")
        return Success(name)


class Bearer(Mechanism):
    """OAUTHBEARER (RFC 7628) or XOAUTH2."""

    def __init__(self, mechanism: str) -> None:
        self.name = mechanism
        self._claimed: str | None = None
        self._told = False

    def step(self, response: bytes) -> Outcome:
        if self._told:
            # Whatever the client says to the error, it has lost (RFC 7628 3.2.3).
            return Failure(self._claimed or "", f"{self.name}: the token was not taken")
        if self._claimed is not None:
            return Failure(self._claimed, f"{self.name} has one message", malformed=True)
        try:
            read = (oauth.read_oauthbearer if self.name == "OAUTHBEARER" else oauth.read_xoauth2)(response)
        except oauth.OAuthSyntaxError as error:
            return Failure("", f"{self.name}: {error.why}", malformed=True)
        if len(read.name) > MAX_NAME or "\0" in read.name:
            return Failure("", f"{self.name}: not a name", malformed=True)
        self._claimed = prepare_name(read.name)
        return CheckToken(self._claimed, read.token, read.host, read.port)

    def refused(self, status: str = "invalid_token", scope: str = "", configuration: str = "") -> Challenge:
        """The token was not taken: what the client is told before the failure (RFC 7628 3.2.2)."""
        self._told = True
        return Challenge(oauth.error_text(status, scope, configuration))


class Scram(Mechanism):
    """RFC 5802 and RFC 7677; `mechanism` is a key of HASHES, with -PLUS where the channel is bound.

    `plus_offered`: the client could have taken -PLUS, so one that says it was not offered was deceived."""

    def __init__(
        self,
        mechanism: str,
        verifier: Verifier,
        *,
        binding: ChannelBinding | None = None,
        plus_offered: bool = False,
        iterations: int = DEFAULT_ITERATIONS,
    ) -> None:
        self.name = mechanism
        self._hash = mechanism.removesuffix(PLUS)
        self._binding = binding if mechanism.endswith(PLUS) else None
        self._plus_offered = plus_offered
        self._iterations = iterations
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
                if response:
                    return Failure(name, f"{self.name}: text after the end", malformed=True)
                return Success(prepare_name(name), self._first.authzid if self._first else "")
            if self._first is None:
                return self._begin(ClientFirst.parse(response))
            return self._end(self._first, ClientFinal.parse(response))
        except ScramSyntaxError as error:
            return Failure(name, f"{self.name}: {error.why}", malformed=True)

    def _unbound(self, first: ClientFirst) -> str:
        """Why what the client says of channel binding does not do (RFC 5802 6); "" where it does."""
        if self._binding is None:
            if first.binding.startswith("p="):
                return "channel binding without -PLUS"
            # "y": the client could bind and believes we cannot.  If we can, somebody took our offer away.
            return "the offer of -PLUS did not reach the client" if first.binding == "y" and self._plus_offered else ""
        return "" if first.binding == f"p={self._binding.kind}" else f"no binding to {self._binding.kind}"

    def _begin(self, first: ClientFirst) -> Outcome:
        if len(first.name) > MAX_NAME or len(first.authzid) > MAX_NAME:
            return Failure("", f"{self.name}: a name that is too long", malformed=True)
        if why := self._unbound(first):
            return Failure(first.name, f"{self.name}: {why}")
        name = prepare_name(first.name)
        fake = self._fake(name)  # made for those who exist too: it takes time
        stored = self._stored(self._given.scram(name))
        self._known = stored is not None
        self._verifier = stored if stored is not None else fake
        self._first = first
        self._answer = ServerFirst(first.nonce + self._given.nonce(), self._verifier.salt, self._verifier.iterations)
        return Challenge(str(self._answer).encode())

    def _stored(self, found: ScramVerifier | tuple[ScramVerifier, ...] | None) -> ScramVerifier | None:
        every = found if isinstance(found, tuple) else (found,)
        return next((one for one in every if one is not None and one.mechanism == self._hash), None)

    def _fake(self, name: str) -> ScramVerifier:
        """The same for a name each time, so that asking twice tells no more than asking once."""
        seed = hmac.digest(self._given.secret(), f"{self._hash}\0{name}".encode("utf-8", "surrogatepass"), "sha512")
        key = hmac.digest(self._given.secret(), seed, HASHES[self._hash])
        salt = hashlib.shake_256(seed).digest(SALT_SIZE)
        return ScramVerifier(self._hash, self._iterations, salt, key, key)

    def _end(self, first: ClientFirst, final: ClientFinal) -> Outcome:
        assert self._answer is not None
        assert self._verifier is not None
        bound = first.gs2.encode() + (self._binding.data if self._binding is not None else b"")
        if not hmac.compare_digest(final.binding, bound) or final.nonce != self._answer.nonce:
            return Failure(first.name, f"{self.name}: the final message does not fit the first")
        message = auth_message(first, self._answer, final)
        if not proves(self._verifier, message, final.proof) or not self._known:
            return Failure(first.name, f"{self.name}: {'a wrong password' if self._known else 'no such name'}")
        self._proven = True
        # SMTP and IMAP carry no data with a success: the client answers this with nothing, then we say yes.
        return Challenge(str(ServerFinal(signature(self._hash, self._verifier.server_key, message))).encode())


# All, best first.  What can be offered depends on the connection (see binding.offer) and on what is kept of passwords.
MECHANISMS = (
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5",
    "PLAIN", "LOGIN", "EXTERNAL",
)  # fmt: skip


class _ForItself(Mechanism):
    """Lets nobody act for another; a client that names itself twice names itself."""

    def __init__(self, inner: Mechanism) -> None:
        self.name = inner.name
        self._inner = inner

    def start(self, initial: bytes | None) -> Outcome:
        return self._checked(self._inner.start(initial))

    def step(self, response: bytes) -> Outcome:
        return self._checked(self._inner.step(response))

    def refused(self, status: str = "invalid_token", scope: str = "", configuration: str = "") -> Challenge:
        return self._inner.refused(status, scope, configuration)

    def _checked(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, CheckPassword | Success) and outcome.authzid:
            if outcome.authzid != outcome.name:
                return Failure(outcome.name, f"{self.name}: wants to act for {outcome.authzid!r}")
            return replace(outcome, authzid="")
        return outcome


def server(
    name: str,
    verifier: Verifier,
    *,
    external: str = "",
    for_others: bool = False,
    binding: ChannelBinding | None = None,
    plus_offered: bool = False,
    passwords: Passwords | None = None,
    hostname: str = "localhost",
    iterations: int = DEFAULT_ITERATIONS,
) -> Mechanism:
    """A fresh exchange of mechanism `name` (capitals, one of MECHANISMS).  Raises KeyError for another, and for one
    that lacks what it needs here: -PLUS without `binding`, CRAM-MD5 without `passwords`.

    `external`: whom the layer below has proven (a TLS client certificate), or "" for nobody.  `for_others`: outcomes
    may have an authzid that differs from the name, and the caller judges it; else that is a Failure.  `plus_offered`:
    the list that the client saw had a -PLUS.  `passwords`: name -> the password itself.  `iterations`: what verifiers
    here usually have, for names that nobody has."""
    mechanism: Mechanism
    if name.removesuffix(PLUS) in HASHES:
        if name.endswith(PLUS) and binding is None:
            raise KeyError(f"{name} needs a channel binding")
        mechanism = Scram(name, verifier, binding=binding, plus_offered=plus_offered, iterations=iterations)
    elif name == "CRAM-MD5":
        if passwords is None:
            raise KeyError("CRAM-MD5 needs passwords")
        mechanism = CramMd5(verifier, passwords, hostname)
    elif name == "EXTERNAL":
        mechanism = External(external)
    elif name in ("OAUTHBEARER", "XOAUTH2"):
        mechanism = Bearer(name)
    else:
        mechanism = {"PLAIN": Plain, "LOGIN": Login}[name]()
    return mechanism if for_others else _ForItself(mechanism)
