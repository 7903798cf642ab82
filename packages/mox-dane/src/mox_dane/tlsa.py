"""TLSA records: what their numbers mean, which of them count for SMTP, their text.  RFC 6698 2, 7671, 7672 3.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from hashlib import sha256, sha512

from mox_dane.der import DerError, is_certificate, is_key, subject_public_key_info
from mox_dns import RecordSyntaxError, Scanner, Tlsa

# Octets of a record's data, as text or not; a certificate has one or two thousand.
MAX_DATA = 65535


class TlsaSyntaxError(RecordSyntaxError):
    """This is no TLSA record: `.text`, `.at` (character offset), `.why`."""


class Usage(IntEnum):
    """What a record vouches for (RFC 6698 2.1.1, names of RFC 7218)."""

    PKIX_TA = 0
    PKIX_EE = 1
    DANE_TA = 2
    DANE_EE = 3


class Selector(IntEnum):
    """Which part of the certificate (RFC 6698 2.1.2)."""

    CERT = 0
    SPKI = 1


class Matching(IntEnum):
    """How it is given (RFC 6698 2.1.3)."""

    FULL = 0
    SHA2_256 = 1
    SHA2_512 = 2


_DIGESTS = {Matching.SHA2_256: sha256, Matching.SHA2_512: sha512}
_SIZES = {Matching.SHA2_256: 32, Matching.SHA2_512: 64}


def why_unusable(record: Tlsa) -> str:
    """Why a record does not count for SMTP; "" where it does.

    Unusable records are not wrong: beside others they are passed over, and alone they still ask for TLS
    (RFC 7672 2.2)."""
    if record.usage in (Usage.PKIX_TA, Usage.PKIX_EE):
        return "PKIX-TA and PKIX-EE do not count for SMTP (RFC 7672 3.1.3)"
    if record.usage not in (Usage.DANE_TA, Usage.DANE_EE):
        return f"certificate usage {record.usage} is unknown"
    if record.selector not in (Selector.CERT, Selector.SPKI):
        return f"selector {record.selector} is unknown"
    if record.matching == Matching.FULL:
        good = is_certificate(record.data) if record.selector == Selector.CERT else is_key(record.data)
        return "" if good else "the data are no certificate or key"
    size = _SIZES.get(Matching(record.matching)) if record.matching in set(Matching) else None
    if size is None:
        return f"matching type {record.matching} is unknown"
    return "" if len(record.data) == size else f"{len(record.data)} octets are no digest of {size}"


def selected(records: Iterable[Tlsa]) -> tuple[Tlsa, ...]:
    """Those records that a chain is held against: usable, and of digests the strongest for each usage and selector.

    RFC 7671 9, digest agility: a weaker digest beside a stronger one of the same kind is passed over; records that
    hold the whole certificate or key always count."""
    usable = [record for record in dict.fromkeys(records) if not why_unusable(record)]
    strongest: dict[tuple[int, int], int] = {}
    for record in usable:
        kind = record.usage, record.selector
        strongest[kind] = max(strongest.get(kind, 0), record.matching)
    return tuple(
        record for record in usable if record.matching in (Matching.FULL, strongest[record.usage, record.selector])
    )


def digest(part: bytes, matching: int) -> bytes:
    """A certificate or key as a record of this matching type gives it (RFC 6698 2.1.3)."""
    function = _DIGESTS.get(Matching(matching))
    return part if function is None else function(part).digest()


def association(certificate: bytes, selector: int, matching: int) -> bytes | None:
    """What a record of this kind says of a certificate (DER); None where it has no key that can be found."""
    if selector == Selector.CERT:
        return digest(certificate, matching)
    try:
        return digest(subject_public_key_info(certificate), matching)
    except DerError:
        return None


def tlsa_name(host: str, port: int = 25, protocol: str = "tcp") -> str:
    """Where the records of a host are: `_25._tcp.mx.example.org` (RFC 6698 3)."""
    return f"_{port}._{protocol}.{host}"


def zone_line(record: Tlsa, host: str, port: int = 25, protocol: str = "tcp") -> str:
    """A record as a zone file has it."""
    return f"{tlsa_name(host, port, protocol)}. IN TLSA {record}"


def parse_tlsa(text: str) -> Tlsa:
    """Reads `3 1 1 8cb0…`, as in a zone file; names of RFC 7218 and white space in the data are taken.

    Raises TlsaSyntaxError."""
    return _Reader(text).record()


_SPACE = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"[0-9]{1,3}(?![^ \t])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?![^ \t])")
_DATA = re.compile(r"[0-9A-Fa-f \t]*")
_NAMES: Sequence[dict[str, int]] = (
    {"pkix-ta": 0, "pkix-ee": 1, "dane-ta": 2, "dane-ee": 3, "privcert": 255},
    {"cert": 0, "spki": 1, "privsel": 255},
    {"full": 0, "sha2-256": 1, "sha2-512": 2, "privmatch": 255},
)


class _Reader(Scanner):
    """RFC 6698 2.2."""

    __slots__ = ()

    Error = TlsaSyntaxError

    def record(self) -> Tlsa:
        self.take(_SPACE)
        usage, selector, matching = (self.number(names) for names in _NAMES)
        start = self.at
        found = self.take(_DATA)
        self.finish()
        digits = re.sub(r"[ \t]", "", found[0] if found else "")
        if not digits or len(digits) % 2:
            self.fail("the data are an even number of hexadecimal digits, and two at least", start)
        if len(digits) > 2 * MAX_DATA:
            self.fail(f"more than {MAX_DATA} octets of data", start)
        return Tlsa(usage, selector, matching, bytes.fromhex(digits))

    def number(self, names: dict[str, int]) -> int:
        start = self.at
        if word := self.take(_WORD):
            value = names.get(word[0].lower(), -1)
            if value < 0:
                self.fail(f"no such name; {', '.join(names)} are known", start)
        else:
            value = int(self.need(_NUMBER, "a number or a name")[0])
            if value > 255:
                self.fail("a number is 0 to 255", start)
        self.need(_SPACE, "white space")
        return value
