"""The TXT record at `_smtp._tls.<domain>`, both ways.  RFC 8460 3; as a grammar in testing/record.lark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from mox_dns import Domain, Scanner
from mox_dns import RecordSyntaxError as AnyRecordSyntaxError
from mox_message import Address, AddressSyntaxError

VERSION = "v=TLSRPTv1"
PREFIX = "_smtp._tls"
# Of one record; more are not written to.
MAX_DESTINATIONS = 10

_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}(?==)")
# RFC 3986, without the comma, the exclamation mark and the semicolon, which RFC 8460 3 wants encoded.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@$&'()*+=-]|%[0-9A-Fa-f]{2})+")
_VALUE = re.compile(r"[!-:<>-~]+")
_OURS = re.compile(rb"v=TLSRPTv1[ \t]*(?:;|\Z)")


class RecordSyntaxError(AnyRecordSyntaxError):
    """This is no TLSRPT record: `.text`, `.at` (character offset), `.why`."""


@dataclass(frozen=True, slots=True)
class Mailto:
    """Send the report as a message to `address`."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class Https:
    """POST the report to `url`."""

    url: str

    def __str__(self) -> str:
        return self.url


Destination: TypeAlias = Mailto | Https


@dataclass(frozen=True, slots=True)
class Record:
    """Where a domain wants its reports.  `rua`: the URIs as written; `extensions` mean nothing."""

    rua: tuple[str, ...]
    extensions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for uri in self.rua:
            if not _URI.fullmatch(uri):
                raise RecordSyntaxError(
                    uri, 0, "no URI; write commas, exclamation marks and semicolons as %2C, %21, %3B"
                )
        if not self.rua:
            raise RecordSyntaxError("", 0, "no rua")

    @classmethod
    def parse(cls, text: str | bytes) -> Record:
        """Reads the text of one TXT record.  Raises RecordSyntaxError."""
        return _Reader(text.decode("latin-1") if isinstance(text, bytes) else text).record()

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """The URIs that mean something: mailto with one address, https.  Others are passed over (RFC 8460 3)."""
        found = [one for one in map(_destination, self.rua) if one is not None]
        return tuple(dict.fromkeys(found))[:MAX_DESTINATIONS]

    def __str__(self) -> str:
        more = "".join(f" {name}={value};" for name, value in self.extensions)
        return f"{VERSION}; rua={','.join(self.rua)};{more}"


def ours(records: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of a name's TXT records that count (RFC 8460 3: others are discarded).

    Deviation RFC 8460 3: as in RFC 8461, the prose wants "v=TLSRPTv1;" and the grammar allows white space before the
    semicolon; the grammar is followed."""
    return tuple(text for text in records if _OURS.match(text))


def _destination(uri: str) -> Destination | None:
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "https":
        return Https(uri) if _has_host(uri) else None
    if scheme.lower() != "mailto":
        return None
    try:
        # RFC 6068 2: header fields behind "?" are not asked for here.
        return Mailto(str(Address.parse(unquote(rest.partition("?")[0], errors="strict"))))
    except (AddressSyntaxError, UnicodeDecodeError):
        return None


def _has_host(url: str) -> bool:
    """An authority that can be connected to, and that names nobody."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.port == 0:
            return False
        if not (parts.hostname or "").replace(".", "").isdigit() and "[" not in parts.netloc:
            Domain.parse(parts.hostname or "")
    except ValueError:
        return False
    return bool(parts.hostname)


class _Reader(Scanner):
    """Methods are named after the rules of RFC 8460 3."""

    __slots__ = ()

    Error = RecordSyntaxError

    def record(self) -> Record:
        if not self.text.startswith(VERSION):
            self.fail(f"expected {VERSION!r}")
        self.at = len(VERSION)
        rua: tuple[str, ...] = ()
        extensions: list[tuple[str, str]] = []
        while not self.ended:
            self.need(_DELIMITER, "a semicolon")
            if self.ended:
                break
            name = self.need(_NAME, "the name of a field and '='")[0]
            self.at += 1
            if name != "rua":
                extensions.append((name, self.need(_VALUE, "a value")[0]))
            else:
                # As for RFC 8461, of a field that comes twice the first counts.
                found = self.uris()
                rua = rua or found
        if not rua:
            self.fail("no rua")
        return Record(rua, tuple(extensions))

    def uris(self) -> tuple[str, ...]:
        found = [self.need(_URI, "a URI")[0]]
        while self.take(_COMMA):
            found.append(self.need(_URI, "a URI")[0])
        return tuple(found)
