"""SCRAM (RFC 5802, 7677), both sides.  The password never crosses the wire, and what is stored does not give it back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mox_sasl.outcome import Challenge, Failure, Outcome, Success
from mox_sasl.prep import prepare_password

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
# What a client accepts: fewer are weak, more are an attack on its battery.
MIN_ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000
MAX_MESSAGE = 4096
DEFAULT_ITERATIONS = 4096


class ScramSyntaxError(ValueError):
    """A message that is none of SCRAM's."""


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps of a password (RFC 5802 3)."""

    mechanism: str
    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramVerifier({self.mechanism}, ***)"

    def to_text(self) -> str:
        """`SCRAM-SHA-256$iterations:salt$stored:server` (RFC 5803 in spirit)."""
        salt, stored, server = (base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{self.mechanism}${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def from_text(cls, text: str) -> ScramVerifier:
        """The inverse.  Raises ScramSyntaxError."""
        try:
            mechanism, middle, keys = text.split("$")
            iterations, salt = middle.split(":")
            stored, server = keys.split(":")
            parts = [base64.b64decode(part, validate=True) for part in (salt, stored, server)]
            return cls(mechanism, int(iterations), parts[0], parts[1], parts[2])
        except (ValueError, binascii.Error):
            raise ScramSyntaxError("not a SCRAM verifier") from None


class Verifier(Protocol):
    """What a SCRAM server asks its application."""

    def scram(self, name: str) -> ScramVerifier | None:
        """The SCRAM-SHA-256 verifier of a login name, or None."""
        ...

    def nonce(self) -> str:
        """A fresh random text of printable ASCII without commas, 18 characters or more."""
        ...

    def secret(self) -> bytes:
        """The same secret at each call: makes up salts for names that do not exist, always the same for a name."""
        ...


def derive(mechanism: str, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramVerifier:
    """What to keep of `password` (prepared by prepare_password).  A few milliseconds."""
    name = HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    return ScramVerifier(mechanism, iterations, salt, hashlib.new(name, client_key).digest(), hmac.digest(salted, b"Server Key", name))


def _attributes(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or len(key) != 1 or key in pairs:
            raise ScramSyntaxError("not attribute=value")
        pairs[key] = value
    return pairs


def _decoded(data: bytes) -> str:
    if len(data) > MAX_MESSAGE:
        raise ScramSyntaxError("message too long")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ScramSyntaxError("not UTF-8") from None


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


class ScramServer:
    """The server's side.  A name that does not exist gets a salt of its own and fails at the end, like a wrong password."""

    def __init__(self, mechanism: str, verifier: Verifier) -> None:
        self._mechanism = mechanism
        self._hash = HASHES[mechanism]
        self._verifier = verifier
        self._name = ""
        self._known: ScramVerifier | None = None
        self._used: ScramVerifier | None = None
        self._gs2 = ""
        self._first = ""
        self._nonce = ""
        self._done = False

    def start(self, initial: bytes | None) -> Outcome:
        """client-first-message, or None when it comes later."""
        return Challenge(b"") if initial is None else self.step(initial)

    def step(self, data: bytes) -> Outcome:
        """The client's next message."""
        try:
            if self._done:
                return Success(self._name) if not data else Failure(self._name, "text after the end")
            return self._final(_decoded(data)) if self._first else self._begin(_decoded(data))
        except (ScramSyntaxError, binascii.Error, ValueError) as error:
            return Failure(self._name, str(error))

    def _begin(self, text: str) -> Outcome:
        flag, comma, rest = text.partition(",")
        authzid, comma2, bare = rest.partition(",")
        if not comma or not comma2 or flag[:1] not in ("n", "y", "p"):
            raise ScramSyntaxError("not a client-first-message")
        if flag.startswith("p"):
            # "y" (the client could, and thinks we cannot) is true here: -PLUS is not offered.
            raise ScramSyntaxError("channel binding is not offered")
        attributes = _attributes(bare)
        self._name = attributes.get("n", "").replace("=2C", ",").replace("=3D", "=")
        if not self._name or not attributes.get("r") or "m" in attributes:
            raise ScramSyntaxError("name or nonce is missing")
        if authzid and authzid.removeprefix("a=") != attributes["n"]:
            raise ScramSyntaxError("wants to act as another")
        self._gs2 = f"{flag},{authzid},"
        self._known = self._verifier.scram(self._name)
        self._used = self._known if self._known is not None else self._made_up()
        self._nonce = attributes["r"] + self._verifier.nonce()
        salt = base64.b64encode(self._used.salt).decode()
        server_first = f"r={self._nonce},s={salt},i={self._used.iterations}"
        self._first = f"{bare},{server_first}"
        return Challenge(server_first.encode())

    def _made_up(self) -> ScramVerifier:
        salt = hmac.digest(self._verifier.secret(), self._name.encode("utf-8", "surrogatepass"), "sha256")[:16]
        nothing = bytes(hashlib.new(self._hash).digest_size)
        return ScramVerifier(self._mechanism, DEFAULT_ITERATIONS, salt, nothing, nothing)

    def _final(self, text: str) -> Outcome:
        without_proof, _, proof_text = text.rpartition(",p=")
        attributes = _attributes(without_proof)
        used = self._used
        assert used is not None
        if base64.b64decode(attributes.get("c", ""), validate=True).decode("utf-8", "replace") != self._gs2:
            raise ScramSyntaxError("the channel binding data differ")
        if not hmac.compare_digest(attributes.get("r", "").encode(), self._nonce.encode()):
            raise ScramSyntaxError("the nonce differs")
        message = f"{self._first},{without_proof}".encode()
        signature = hmac.digest(used.stored_key, message, self._hash)
        proof = base64.b64decode(proof_text, validate=True)
        if len(proof) != len(signature):
            raise ScramSyntaxError("a proof of the wrong length")
        right = hmac.compare_digest(hashlib.new(self._hash, _xor(proof, signature)).digest(), used.stored_key)
        if not right or self._known is None:
            return Failure(self._name, "no such name" if self._known is None else "wrong password")
        self._done = True
        return Challenge(b"v=" + base64.b64encode(hmac.digest(used.server_key, message, self._hash)))


class ScramClient:
    """The client's side."""

    def __init__(self, mechanism: str, name: str, password: str, nonce: Callable[[], str]) -> None:
        self._hash = HASHES[mechanism]
        self._password = prepare_password(password)
        self._bare = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce()}"
        self._expected = b""
        self._asked = False

    def start(self) -> bytes:
        """client-first-message"""
        return f"n,,{self._bare}".encode()

    def step(self, data: bytes) -> bytes:
        """The answer to a challenge.  Raises ScramSyntaxError when the server cannot be believed."""
        text = _decoded(data)
        if self._asked:
            if not text.startswith("v=") or not hmac.compare_digest(base64.b64decode(text[2:]), self._expected):
                raise ScramSyntaxError("the server has not proven itself")
            return b""
        attributes = _attributes(text)
        nonce, salt = attributes.get("r", ""), base64.b64decode(attributes.get("s", ""))
        own = self._bare.rpartition(",r=")[2]
        count = attributes.get("i", "")
        if not nonce.startswith(own) or nonce == own or not count.isdigit() or not MIN_ITERATIONS <= int(count) <= MAX_ITERATIONS:
            raise ScramSyntaxError("nonce or iterations cannot be accepted")
        without_proof = f"c=biws,r={nonce}"
        message = f"{self._bare},{text},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(self._hash, self._password.encode(), salt, int(count))
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        signature = hmac.digest(hashlib.new(self._hash, client_key).digest(), message, self._hash)
        self._expected = hmac.digest(hmac.digest(salted, b"Server Key", self._hash), message, self._hash)
        self._asked = True
        return f"{without_proof},p={base64.b64encode(_xor(client_key, signature)).decode()}".encode()
