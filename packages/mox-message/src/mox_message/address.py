"""Mailboxes of RFC 5321: what MAIL FROM and RCPT TO carry, ASCII and international (RFC 6531)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mox_dns import Domain, DomainSyntaxError, IpLiteral

# RFC 5321 4.5.3.1: octets, quotes and brackets counted.
MAX_LOCALPART = 64
MAX_PATH = 256
MAX_MAILBOX = MAX_PATH - len("<>")
# RFC 5321 4.1.3, IPv6-comp: no more than 6 groups beside "::".
MAX_COMPRESSED = 6
# Quirk long-localpart: senders that put the recipient or a signature into it.
MAX_LOCALPART_LAX = 128

# RFC 5321 4.1.2 with UTF-8 (RFC 6531 3.3), said by what is not in it, which compiles in a tenth of the time; U+0080 to
# U+009F are controls (RFC 6532 3.1 bars none, we do).
_NOT_ATEXT = r'\0-\x20"(),:;<>@\[\\\]\x7f-\x9f'
_DOT_STRING = re.compile(rf"[^.{_NOT_ATEXT}]++(?:\.[^.{_NOT_ATEXT}]++)*+\Z")
_DOTS = re.compile(rf"[^{_NOT_ATEXT}]+\Z")
_QUOTED = re.compile(r'"((?:[^\0-\x1f"\\\x7f-\x9f]|\\[ -~])*+)"')
_PAIR = re.compile(r"\\(.)")


class AddressSyntaxError(ValueError):
    """A text is not a mailbox or path: `.text`, `.at` (character offset), `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(why)

    def __str__(self) -> str:
        return f"{self.why} at character {self.at + 1}"


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox.  `localpart` is without quotes; `domain` is a name or an address literal."""

    localpart: str
    domain: Domain | IpLiteral

    @classmethod
    def parse(cls, text: str, *, strict: bool = True) -> Address:
        """Mailbox of RFC 5321 4.1.2 / RFC 6531 3.3.  Not `strict` takes localparts of up to 128 octets and with dots at
        their ends or in a row, which exist.  Raises AddressSyntaxError."""
        address = cls(*_mailbox(text, 0, strict))
        if strict and len(text) > MAX_MAILBOX // 4 and len(text.encode("utf-8", "surrogatepass")) > MAX_MAILBOX:
            raise AddressSyntaxError(text, MAX_MAILBOX, f"an address has at most {MAX_MAILBOX} octets")
        return address

    @property
    def ascii(self) -> bool:
        """Can it be sent without SMTPUTF8?  (The domain always can, in A-form.)"""
        return self.localpart.isascii()

    @property
    def unicode(self) -> str:
        """As people read it: the domain in U-form."""
        domain = self.domain.unicode if isinstance(self.domain, Domain) else self.domain
        return f"{quoted(self.localpart)}@{domain}"

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
    def parse(cls, text: str, *, null: bool = False, postmaster: bool = False, strict: bool = True) -> Path:
        """`<…>` with an optional source route, which is skipped (RFC 5321 4.1.1.3).  Raises AddressSyntaxError.

        `null` and `postmaster` say whether `<>` and `<Postmaster>` may stand here; `strict` as for Address."""
        if not (text.startswith("<") and text.endswith(">")):
            raise AddressSyntaxError(text, 0, "a path stands in angle brackets")
        if len(text) > MAX_PATH or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > MAX_PATH):
            raise AddressSyntaxError(text, len(text), f"a path has at most {MAX_PATH} octets")
        if text == "<>":
            if null:
                return cls(None)
            raise AddressSyntaxError(text, 1, "an empty path")
        if postmaster and text[1:-1].lower() == "postmaster":
            return cls(None, postmaster=True)
        at = 1
        if text[1] == "@":
            route, colon, _ = text[1:].partition(":")
            if not colon or not all(hop.startswith("@") and _is_domain(hop[1:]) for hop in route.split(",")):
                raise AddressSyntaxError(text, 1, "a source route is a list of @domain, then a colon")
            at = len(route) + 2
        return cls(Address(*_mailbox(text, at, strict, -1)))

    def __str__(self) -> str:
        """Without the angle brackets; "" for the null path."""
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
        literal = IpLiteral.parse(text)
        groups = [group for group in text[6:-1].split(":") if group] if "::" in text else []
        if len(groups) + ("." in groups[-1] if groups else 0) > MAX_COMPRESSED:
            raise DomainSyntaxError(text, text.index("::"), ":: stands for two groups at least")
        return literal
    if text.endswith("."):
        raise DomainSyntaxError(text, len(text) - 1, "a domain does not end with a dot")
    if "_" in text:
        # Host names have none (RFC 1123 2.1); names of services have, and nobody has a mailbox there.
        raise DomainSyntaxError(text, text.index("_"), "a host name has no underscore")
    return Domain.parse(text)


def _mailbox(text: str, start: int, strict: bool, stop: int | None = None) -> tuple[str, Domain | IpLiteral]:
    """The localpart without quotes and the domain of text[start:stop]; errors point into `text`."""
    inner = text[start:stop] if start or stop else text
    if inner.startswith('"'):
        match = _QUOTED.match(inner)
        if match is None:
            raise AddressSyntaxError(text, start, "a quoted localpart that does not end, or has a control character")
        raw, sign = match[0], match.end()
        localpart = _PAIR.sub(r"\1", match[1]) if "\\" in raw else match[1]
        if not inner.startswith("@", sign):
            raise AddressSyntaxError(text, start + sign, "@ is missing")
    else:
        sign = inner.find("@")
        if sign < 0:
            raise AddressSyntaxError(text, start + len(inner), "@ is missing")
        raw = localpart = inner[:sign]
        if not (_DOT_STRING if strict else _DOTS).match(raw):
            raise AddressSyntaxError(text, start, "a localpart with a character that needs quotes, or a dot too many")
    most = MAX_LOCALPART if strict else MAX_LOCALPART_LAX
    if not raw.isascii():
        _check_encodable(text, start, raw)
    if len(raw) > most or (not raw.isascii() and len(raw.encode()) > most):
        raise AddressSyntaxError(text, start + most, f"a localpart has at most {most} octets")
    try:
        return localpart, _domain(inner[sign + 1 :])
    except DomainSyntaxError as error:
        raise AddressSyntaxError(text, start + sign + 1 + error.at, error.why) from None


def _check_encodable(text: str, start: int, raw: str) -> None:
    """Octets that were not UTF-8 came as surrogates."""
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        raise AddressSyntaxError(text, start + error.start, "octets that are not UTF-8") from None


def quoted(localpart: str) -> str:
    """A localpart as it is written: quoted when it must be."""
    if _DOT_STRING.match(localpart):
        return localpart
    return '"' + localpart.replace("\\", "\\\\").replace('"', '\\"') + '"'
