"""OAUTHBEARER (RFC 7628) and XOAUTH2: the messages in which a bearer token crosses the wire.

Checking a token is asking whoever made it, so that is the caller's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mox_sasl.secret import Secret

MAX_MESSAGE = 16 * 1024  # tokens that carry claims are long
_KEY = re.compile(r"[A-Za-z]+\Z")
# b64token of RFC 6750 2.1.
_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)\Z", re.IGNORECASE)
# What a client says to an error, so that the exchange can end (RFC 7628 3.2.3).
ABORT = b"\x01"


class OAuthSyntaxError(ValueError):
    """A message breaks its grammar: `.why`.  The text holds a token and stays out of it."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class BearerMessage:
    """A client's message: whom it wants to be ("" leaves that to the token), the token, and where it thinks it is."""

    name: str
    token: Secret
    host: str = ""
    port: int = 0

    def to_oauthbearer(self) -> bytes:
        """RFC 7628 3.1: gs2-header, then key=value pairs between ^A."""
        name = f"a={self.name.replace('=', '=3D').replace(',', '=2C')}" if self.name else ""
        pairs = [f"host={self.host}"] * bool(self.host) + [f"port={self.port}"] * bool(self.port)
        pairs.append(f"auth=Bearer {self.token.reveal()}")
        return (f"n,{name},\x01" + "".join(f"{pair}\x01" for pair in pairs) + "\x01").encode()

    def to_xoauth2(self) -> bytes:
        """Google's and Microsoft's form, from before the RFC."""
        return f"user={self.name}\x01auth=Bearer {self.token.reveal()}\x01\x01".encode()


def read_oauthbearer(data: bytes) -> BearerMessage:
    """Raises OAuthSyntaxError."""
    header, separator, rest = _text(data).partition("\x01")
    words = header.split(",")
    if not separator or len(words) != 3 or words[0] not in ("n", "y") or words[2]:
        raise OAuthSyntaxError("n,a=name,^A comes first, without channel binding")
    name = words[1]
    if name and not name.startswith("a="):
        raise OAuthSyntaxError("a= is missing")
    if re.search(r"=(?!2C|3D)", name[2:]):
        raise OAuthSyntaxError("a name has = only as =2C or =3D")
    pairs = _pairs(rest)
    port = pairs.get("port", "")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise OAuthSyntaxError("port is a number")
    name = name[2:].replace("=2C", ",").replace("=3D", "=")
    return BearerMessage(name, _token(pairs), pairs.get("host", ""), int(port or 0))


def read_xoauth2(data: bytes) -> BearerMessage:
    """Raises OAuthSyntaxError."""
    pairs = _pairs(_text(data))
    if "user" not in pairs:
        raise OAuthSyntaxError("user= is missing")
    return BearerMessage(pairs["user"], _token(pairs))


def error_text(status: str, scope: str, configuration: str) -> bytes:
    """What a server says of a token that it does not take (RFC 7628 3.2.2)."""
    found = {"status": status, "scope": scope, "openid-configuration": configuration}
    return json.dumps({key: value for key, value in found.items() if value}).encode()


def read_error(data: bytes) -> str:
    """The status in a server's error, or ""."""
    try:
        found = json.loads(data[:MAX_MESSAGE])
    except (ValueError, RecursionError):
        return ""
    return str(found.get("status", ""))[:100] if isinstance(found, dict) else ""


def _text(data: bytes) -> str:
    if len(data) > MAX_MESSAGE:
        raise OAuthSyntaxError(f"a message has at most {MAX_MESSAGE} octets")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise OAuthSyntaxError("not UTF-8") from None


def _pairs(text: str) -> Mapping[str, str]:
    if not text.endswith("\x01\x01"):
        raise OAuthSyntaxError("^A ^A is the end")
    found: dict[str, str] = {}
    for pair in text[:-2].split("\x01"):
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.match(key) or key in found:
            raise OAuthSyntaxError("key=value stands between two ^A, each key once")
        found[key] = value
    return found


def _token(pairs: Mapping[str, str]) -> Secret:
    match = _BEARER.match(pairs.get("auth", ""))
    if match is None:
        raise OAuthSyntaxError("auth=Bearer and a token are needed")
    return Secret(match[1])
