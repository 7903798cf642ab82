"""Mailboxes of RFC 5321: what MAIL FROM and RCPT TO carry, ASCII and international (RFC 6531)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mox_dns import Domain, DomainSyntaxError, IpLiteral

# RFC 5321 4.5.3.1: octets.
MAX_LOCALPART = 64
MAX_PATH = 256
MAX_DOMAIN = 255

_DOT_STRING = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+)*\Z"
)
# qtextSMTP and quoted-pairSMTP (RFC 5321 4.1.2), with UTF-8 (RFC 6531 3.3).
_QUOTED = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')


class AddressSyntaxError(ValueError):
    """A text is not a mailbox or path: `.text`, `.at` (character offset), `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox.  `localpart` is without quotes; `domain` is a name or an address literal."""

    localpart: str
    domain: Domain | IpLiteral

    @classmethod
    def parse(cls, text: str) -> Address:
        """Mailbox of RFC 5321 4.1.2 / RFC 6531 3.3.  Raises AddressSyntaxError."""
        return cls(*_mailbox(text))

    @property
    def ascii(self) -> bool:
        """Can it be sent without SMTPUTF8?"""
        return self.localpart.isascii()

    def __str__(self) -> str:
        return f"{quoted(self.localpart)}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Path:
    """A reverse- or forward-path: an address, `<>` (null), or `<Postmaster>` (address None, `postmaster` set)."""

    address: Address | None
    postmaster: bool = False

    @property
    def null(self) -> bool:
        """`<>`: notices are sent with it, and nothing is ever sent back to it (RFC 5321 4.5.5)."""
        return self.address is None and not self.postmaster

    @classmethod
    def parse(cls, text: str, *, null: bool = False, postmaster: bool = False) -> Path:
        """`<…>` with an optional source route, which is skipped (RFC 5321 4.1.1.3).  Raises AddressSyntaxError."""
        if not (text.startswith("<") and text.endswith(">")):
            raise AddressSyntaxError(text, 0, "a path stands in angle brackets")
        if len(text.encode("utf-8", "surrogatepass")) > MAX_PATH:
            raise AddressSyntaxError(text, MAX_PATH, f"a path has at most {MAX_PATH} octets")
        inner = text[1:-1]
        if not inner:
            if null:
                return cls(None)
            raise AddressSyntaxError(text, 1, "an empty path")
        if postmaster and inner.lower() == "postmaster":
            return cls(None, postmaster=True)
        if inner.startswith("@"):
            route, colon, inner = inner.partition(":")
            if not colon or not all(part.startswith("@") and _is_domain(part[1:]) for part in route.split(",")):
                raise AddressSyntaxError(text, 1, "a source route is a list of @domain, then a colon")
        return cls(Address.parse(inner))

    def __str__(self) -> str:
        if self.address is not None:
            return str(self.address)
        return "postmaster" if self.postmaster else ""


def _is_domain(text: str) -> bool:
    try:
        _domain(text)
    except DomainSyntaxError:
        return False
    return True


def _domain(text: str) -> Domain | IpLiteral:
    if text.startswith("["):
        return IpLiteral.parse(text)
    if text.endswith("."):
        raise DomainSyntaxError(text, len(text) - 1, "a domain does not end with a dot")
    if "_" in text:
        # Host names have none (RFC 1123 2.1); names of services have, and nobody has a mailbox there.
        raise DomainSyntaxError(text, text.index("_"), "a host name has no underscore")
    return Domain.parse(text)


def _mailbox(text: str) -> tuple[str, Domain | IpLiteral]:
    if text.startswith('"'):
        match = _QUOTED.match(text)
        if match is None:
            raise AddressSyntaxError(text, 0, "a quoted localpart does not end, or has a control character")
        raw, rest_at = match[0], match.end()
        localpart = re.sub(r"\\(.)", r"\1", raw[1:-1])
        if not text.startswith("@", rest_at):
            raise AddressSyntaxError(text, rest_at, "@ is missing")
    else:
        rest_at = text.find("@")
        if rest_at < 0:
            raise AddressSyntaxError(text, len(text), "@ is missing")
        raw = localpart = text[:rest_at]
        if not _DOT_STRING.match(raw) or any(
            0xD800 <= ord(c) < 0xE000 or 0x80 <= ord(c) < 0xA0 for c in raw if ord(c) > 127
        ):
            raise AddressSyntaxError(text, 0, "the localpart has a character that needs quotes, or a dot too many")
    if len(raw.encode("utf-8", "surrogatepass")) > MAX_LOCALPART:
        raise AddressSyntaxError(text, MAX_LOCALPART, f"a localpart has at most {MAX_LOCALPART} octets")
    try:
        return localpart, _domain(text[rest_at + 1 :])
    except DomainSyntaxError as error:
        raise AddressSyntaxError(text, rest_at + 1, error.why) from None


def quoted(localpart: str) -> str:
    """A localpart as it is written: quoted when it must be."""
    if _DOT_STRING.match(localpart):
        return localpart
    return '"' + localpart.replace("\\", "\\\\").replace('"', '\\"') + '"'
