"""SCRAM (RFC 5802, 7677): the password never crosses the wire, and what the server keeps does not log in elsewhere.

    ScramVerifier   what a server keeps of a password
    derive          password -> ScramVerifier; slow on purpose
    messages        the four texts of an exchange, as values

A mechanism's name with -PLUS is the same exchange, bound to the TLS connection (binding.py)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
PLUS = "-PLUS"
# RFC 7677 4: at least 4096.  A server that names a huge count would keep a client busy for hours.
MIN_ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000
MAX_MESSAGE = 4096
DEFAULT_ITERATIONS = 4096
SALT_SIZE = 16

_ITERATIONS = re.compile(r"[1-9][0-9]{0,9}\Z")
# printable: ASCII without space and comma (RFC 5802 7).
_PRINTABLE = re.compile(r"[!-+\--~]+\Z")
# value-safe-char: UTF-8 without NUL, "," and "="; in a saslname those two are =2C and =3D.
_SASLNAME = re.compile(r"(?:[^\0,=]|=2C|=3D)+\Z")


class ScramSyntaxError(ValueError):
    """A message of an exchange, or a stored verifier, breaks its grammar: `.text`, `.why`."""

    def __init__(self, text: str, why: str) -> None:
        self.text, self.why = text[:200], why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps of a password.  Who has it can pose as the server, not log in."""

    mechanism: str
    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def to_text(self) -> str:
        """`SCRAM-SHA-256$4096:salt$StoredKey:ServerKey` (RFC 5803), as other software keeps it too."""
        return (
            f"{self.mechanism}${self.iterations}:{_encode(self.salt)}"
            f"${_encode(self.stored_key)}:{_encode(self.server_key)}"
        )

    @classmethod
    def from_text(cls, text: str) -> ScramVerifier:
        """The inverse of to_text().  Raises ScramSyntaxError."""
        try:
            mechanism, parameters, keys = text.split("$")
            iterations, salt = parameters.split(":")
            stored_key, server_key = keys.split(":")
        except ValueError:
            # The text is a credential: it stays out of the error.
            raise ScramSyntaxError(
                "", "a verifier has the form MECHANISM$iterations:salt$StoredKey:ServerKey"
            ) from None
        if mechanism not in HASHES or not _ITERATIONS.match(iterations):
            raise ScramSyntaxError("", "a verifier names a SCRAM mechanism and an iteration count")
        made = cls(mechanism, int(iterations), _decode(salt), _decode(stored_key), _decode(server_key))
        size = hashlib.new(HASHES[mechanism]).digest_size
        if len(made.stored_key) != size or len(made.server_key) != size or not made.salt:
            raise ScramSyntaxError("", "a key of a verifier has the wrong length")
        return made


def derive(mechanism: str, password: str, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> ScramVerifier:
    """The verifier for `password`, which prepare_password() has seen.  Takes some 0.3 µs for each iteration."""
    salted = salted_password(mechanism, password, salt, iterations)
    return ScramVerifier(mechanism, iterations, salt, stored_key(mechanism, salted), server_key(mechanism, salted))


def salted_password(mechanism: str, password: str, salt: bytes, iterations: int) -> bytes:
    """SaltedPassword of RFC 5802 3."""
    return hashlib.pbkdf2_hmac(HASHES[mechanism], password.encode(), salt, iterations)


def client_key(mechanism: str, salted: bytes) -> bytes:
    """ClientKey of RFC 5802 3."""
    return hmac.digest(salted, b"Client Key", HASHES[mechanism])


def stored_key(mechanism: str, salted: bytes) -> bytes:
    """StoredKey of RFC 5802 3."""
    return hashlib.new(HASHES[mechanism], client_key(mechanism, salted)).digest()


def server_key(mechanism: str, salted: bytes) -> bytes:
    """ServerKey of RFC 5802 3."""
    return hmac.digest(salted, b"Server Key", HASHES[mechanism])


def signature(mechanism: str, key: bytes, auth_message: str) -> bytes:
    """ClientSignature with StoredKey, ServerSignature with ServerKey."""
    return hmac.digest(key, auth_message.encode(), HASHES[mechanism])


def proves(verifier: ScramVerifier, auth_message: str, proof: bytes) -> bool:
    """Does `proof` come from one who knows the password?"""
    expected = signature(verifier.mechanism, verifier.stored_key, auth_message)
    if len(proof) != len(expected):
        return False
    key = bytes(map(int.__xor__, proof, expected))
    return hmac.compare_digest(hashlib.new(HASHES[verifier.mechanism], key).digest(), verifier.stored_key)


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`n,,n=user,r=nonce`.  `binding` is "n", "y" or "p=NAME" (RFC 5802 6)."""

    name: str
    nonce: str
    authzid: str = ""
    binding: str = "n"
    extensions: str = ""  # as written, with the comma in front

    @classmethod
    def parse(cls, data: bytes) -> ClientFirst:
        """Raises ScramSyntaxError."""
        text = _text(data)
        binding, comma, rest = text.partition(",")
        authzid, comma2, bare = rest.partition(",")
        if not (comma and comma2) or not (binding in ("n", "y") or re.fullmatch(r"p=[A-Za-z0-9.-]+", binding)):
            raise ScramSyntaxError(text, "a first message begins with n,, or y,, or p=…,,")
        if authzid and not authzid.startswith("a="):
            raise ScramSyntaxError(text, "a= is missing")
        if bare.startswith("m="):
            raise ScramSyntaxError(text, "a mandatory extension that is not known")
        username, comma, rest = bare.partition(",")
        nonce, comma, extensions = rest.partition(",")
        if not username.startswith("n=") or not nonce.startswith("r=") or not _PRINTABLE.match(nonce[2:]):
            raise ScramSyntaxError(text, "n= and r= are needed")
        _check_extensions(extensions, comma)
        return cls(
            _unescape(username[2:]), nonce[2:], _unescape(authzid[2:]) if authzid else "", binding, comma + extensions
        )

    @property
    def gs2(self) -> str:
        """The header that the final message repeats, in base64."""
        return f"{self.binding},{'a=' + _escape(self.authzid) if self.authzid else ''},"

    @property
    def bare(self) -> str:
        """What the signatures cover."""
        return f"n={_escape(self.name)},r={self.nonce}{self.extensions}"

    def __str__(self) -> str:
        return self.gs2 + self.bare


@dataclass(frozen=True, slots=True)
class ServerFirst:
    """`r=nonce,s=salt,i=4096`."""

    nonce: str
    salt: bytes
    iterations: int
    extensions: str = ""

    @classmethod
    def parse(cls, data: bytes) -> ServerFirst:
        """Raises ScramSyntaxError."""
        text = _text(data)
        if text.startswith("m="):
            raise ScramSyntaxError(text, "a mandatory extension that is not known")
        match = re.fullmatch(r"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})(,.*)?", text)
        if match is None:
            raise ScramSyntaxError(text, "r=, s= and i= are needed")
        extensions = match[4] or ""
        _check_extensions(extensions[1:], extensions[:1])
        return cls(match[1], _decode(match[2]), int(match[3]), extensions)

    def __str__(self) -> str:
        return f"r={self.nonce},s={_encode(self.salt)},i={self.iterations}{self.extensions}"


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """`c=biws,r=nonce,p=proof`; `binding` is the header of the first message, and channel data if there were any."""

    binding: bytes
    nonce: str
    proof: bytes = field(repr=False)
    extensions: str = ""

    @classmethod
    def parse(cls, data: bytes) -> ClientFinal:
        """Raises ScramSyntaxError."""
        text = _text(data)
        without, comma, proof = text.rpartition(",p=")
        match = re.fullmatch(r"c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(,.*)?", without)
        if not comma or match is None:
            raise ScramSyntaxError(text, "c=, r= and p= are needed")
        extensions = match[3] or ""
        _check_extensions(extensions[1:], extensions[:1])
        return cls(_decode(match[1]), match[2], _decode(proof), extensions)

    @property
    def without_proof(self) -> str:
        """What the signatures cover."""
        return f"c={_encode(self.binding)},r={self.nonce}{self.extensions}"

    def __str__(self) -> str:
        return f"{self.without_proof},p={_encode(self.proof)}"


@dataclass(frozen=True, slots=True)
class ServerFinal:
    """`v=signature`, or `e=error`."""

    verifier: bytes = b""
    error: str = ""

    @classmethod
    def parse(cls, data: bytes) -> ServerFinal:
        """Raises ScramSyntaxError."""
        text = _text(data)
        value, _, _ = text.partition(",")
        if value.startswith("v="):
            return cls(_decode(value[2:]))
        if value.startswith("e=") and len(value) > 2:
            return cls(error=value[2:])
        raise ScramSyntaxError(text, "v= or e= is needed")

    def __str__(self) -> str:
        return f"e={self.error}" if self.error else f"v={_encode(self.verifier)}"


def auth_message(first: ClientFirst, answer: ServerFirst, final: ClientFinal) -> str:
    """AuthMessage of RFC 5802 3."""
    return f"{first.bare},{answer},{final.without_proof}"


def _text(data: bytes) -> str:
    if len(data) > MAX_MESSAGE:
        raise ScramSyntaxError("", f"a message has at most {MAX_MESSAGE} octets")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ScramSyntaxError("", "not UTF-8") from None


def _check_extensions(text: str, comma: str) -> None:
    for extension in text.split(",") if comma else ():
        if not re.fullmatch(r"[A-Za-z]=[^\0,]+", extension, re.DOTALL):
            raise ScramSyntaxError(text, "an extension has the form x=value")


def _unescape(name: str) -> str:
    if not _SASLNAME.match(name):
        raise ScramSyntaxError(name, "a name has = only as =2C or =3D")
    return name.replace("=2C", ",").replace("=3D", "=")


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ScramSyntaxError("", "not base64") from None
    # One spelling for each value: what is signed is the text.
    if not data or _encode(data) != text:
        raise ScramSyntaxError("", "not base64 in its one form")
    return data
