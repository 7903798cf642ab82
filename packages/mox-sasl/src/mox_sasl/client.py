"""The client's half of each mechanism, without I/O.

initial = mechanism.start()             # None: this mechanism waits for the server's first challenge
answer = mechanism.step(challenge)      # again for each challenge
mechanism.finished                      # at the server's yes: else that comes too early, and is forged"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from mox_sasl import cram, oauth
from mox_sasl.binding import ChannelBinding
from mox_sasl.prep import prepare_name, prepare_password
from mox_sasl.scram import (
    HASHES,
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    PLUS,
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

# Best first.  CRAM-MD5 stands behind what the server can check without keeping the password, over TLS.
PREFERENCE = (
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5",
)  # fmt: skip
FOR_TOKENS = ("OAUTHBEARER", "XOAUTH2")
# These show what logs in to whoever listens.
REVEALING = frozenset({"PLAIN", "LOGIN", *FOR_TOKENS})


class ExchangeError(Exception):
    """The server's challenge is not what the mechanism allows, or the server cannot prove that it knows us."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are, by a password or by a bearer `token`.  `authzid`: whom we want to act for; "" is ourselves."""

    name: str
    password: Secret = Secret("")  # noqa: RUF009 immutable
    authzid: str = ""
    token: Secret = Secret("")  # noqa: RUF009


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


class CramMd5(ClientMechanism):
    """RFC 2195."""

    name = "CRAM-MD5"

    def start(self) -> bytes | None:
        return None

    def step(self, challenge: bytes) -> bytes:
        if self.finished or not challenge:
            raise ExchangeError("CRAM-MD5 has one challenge")
        self.finished = True
        return cram.response(self.credentials.name, _prepared(self.credentials), challenge)


class Bearer(ClientMechanism):
    """OAUTHBEARER (RFC 7628) or XOAUTH2.  `error`: what the server said of the token, where it did."""

    def __init__(self, mechanism: str, credentials: Credentials, host: str, port: int) -> None:
        super().__init__(credentials)
        self.name = mechanism
        self.error = ""
        self._message = oauth.BearerMessage(credentials.name, credentials.token, host, port)

    def start(self) -> bytes | None:
        self.finished = True
        if self.name == "OAUTHBEARER":
            return self._message.to_oauthbearer()
        return self._message.to_xoauth2()

    def step(self, challenge: bytes) -> bytes:
        if self.finished and not challenge:
            return self.start() or b""  # the server did not take the initial response with the command
        self.error = oauth.read_error(challenge) or "the token was not taken"
        self.finished = False
        return oauth.ABORT if self.name == "OAUTHBEARER" else b""


class Scram(ClientMechanism):
    """RFC 5802.  `nonce`: fresh random printable ASCII without comma.  `binding`: of the connection, if it has one; a
    mechanism with -PLUS uses it, and one without says that the server did not offer to."""

    def __init__(self, mechanism: str, credentials: Credentials, nonce: str, binding: ChannelBinding | None) -> None:
        super().__init__(credentials)
        assert len(nonce) >= 18, "SCRAM needs a nonce"
        self.name = mechanism
        self._hash = mechanism.removesuffix(PLUS)
        self._data = b""
        flag = "n" if binding is None else "y"
        if mechanism.endswith(PLUS):
            assert binding is not None, f"{mechanism} needs a channel binding"
            flag, self._data = f"p={binding.kind}", binding.data
        name = prepare_name(credentials.name)
        self._first = ClientFirst(name, nonce, credentials.authzid, flag)
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
        key = self._hash
        salted = salted_password(key, _prepared(self.credentials), answer.salt, answer.iterations)
        final = ClientFinal(first.gs2.encode() + self._data, answer.nonce, b"\0")
        message = auth_message(first, answer, final)
        proof = signature(key, stored_key(key, salted), message)
        self._expected = signature(key, server_key(key, salted), message)
        proof = bytes(map(int.__xor__, client_key(key, salted), proof))
        return str(ClientFinal(final.binding, final.nonce, proof)).encode()

    def _check(self, final: ServerFinal, expected: bytes) -> bytes:
        if final.error:
            raise ExchangeError(f"{self.name}: the server says {final.error}")
        if not hmac.compare_digest(final.verifier, expected):
            raise ExchangeError(f"{self.name}: the server does not know the password")
        self.finished = True
        return b""


def _prepared(credentials: Credentials) -> str:
    return prepare_password(credentials.password.reveal(), fallback=True)


def client(
    name: str,
    credentials: Credentials,
    nonce: str = "",
    *,
    binding: ChannelBinding | None = None,
    host: str = "",
    port: int = 0,
) -> ClientMechanism:
    """A fresh exchange of mechanism `name`.  Raises KeyError for one that is not known.

    `binding`: of a TLS connection that has one, whether or not `name` ends with -PLUS.  `host` and `port`: the
    server's, which OAUTHBEARER tells so that a token cannot be used elsewhere."""
    if name.removesuffix(PLUS) in HASHES:
        return Scram(name, credentials, nonce, binding)
    if name in FOR_TOKENS:
        return Bearer(name, credentials, host, port)
    return {"PLAIN": Plain, "LOGIN": Login, "EXTERNAL": External, "CRAM-MD5": CramMd5}[name](credentials)


def choose(
    offered: Iterable[str],
    credentials: Credentials | None = None,
    *,
    binding: ChannelBinding | None = None,
    encrypted: bool = True,
) -> str | None:
    """The best mechanism among those offered, or None.

    With a token in `credentials` those for tokens, else those for passwords; -PLUS only with a `binding`; on a
    connection that is not `encrypted` none that shows the secret to who listens."""
    names = {name.upper() for name in offered}
    known = FOR_TOKENS if credentials is not None and credentials.token else PREFERENCE
    return next(
        (
            name
            for name in known
            if name in names
            and (binding is not None or not name.endswith(PLUS))
            and (encrypted or name not in REVEALING)
        ),
        None,
    )
