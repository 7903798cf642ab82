"""Domain names and address literals, parsed once and valid ever after."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

IpAddress = IPv4Address | IPv6Address

# RFC 1035 2.3.4, in presentation form without the final dot.
MAX_NAME = 253
MAX_LABEL = 63

# Lower-case letters, digits, hyphen; and the underscore of service names, which mail has many of.
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_PLAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


def plain_address(ip: IpAddress) -> IpAddress:
    """As DNS knows it: IPv4 where IPv6 only carries it, and without the zone that a link-local address has here
    (RFC 4007 11)."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip.scope_id is not None:
            return IPv6Address(int(ip))
    return ip


class DomainSyntaxError(ValueError):
    """A text is not a domain name: `.text`, `.at` (character offset), `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(f"{text[:100]!r} is not a domain name: {why}")


def _to_ascii(text: str) -> str:
    import idna  # here and below: most names need none of its tables

    # Before the tables are asked: their work grows with the text, and no name of this length can be valid.
    if len(text) > MAX_NAME:
        raise DomainSyntaxError(text, MAX_NAME, f"longer than {MAX_NAME} characters")
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
        # Label by label, so that a label in ASCII may have the underscore that IDNA does not know.
        return ".".join(
            [label if label.isascii() else idna.alabel(label).decode("ascii") for label in mapped.split(".")]
        )
    except (idna.IDNAError, UnicodeError) as error:
        raise DomainSyntaxError(text, 0, str(error)) from None


@dataclass(frozen=True, slots=True, order=True)
class Domain:
    """A domain name in A-form: ASCII, lower case, no final dot (RFC 5890 2.3.2.1)."""

    ascii: str

    @classmethod
    def parse(cls, text: str) -> Domain:
        """`text` in U- or A-form; a final dot is allowed.  Raises DomainSyntaxError.

        As a lookup has it: RFC 5891 5, mapped by UTS 46 (non-transitional).  Hyphens third and fourth may stand in an
        ASCII label, because hosts have them, and not in a U-label (RFC 5891 4.2.3.1)."""
        name = text.lower() if text.isascii() else _to_ascii(text)
        name = name.removesuffix(".")
        if not name:
            raise DomainSyntaxError(text, 0, "empty")
        if len(name) > MAX_NAME:
            raise DomainSyntaxError(text, min(MAX_NAME, len(text)), f"longer than {MAX_NAME} characters")
        for number, label in enumerate(name.split(".")):
            if not _PLAIN.match(label):
                raise DomainSyntaxError(text, _place(text, number), _why(label))
            if label.startswith("xn--"):
                _check_a_label(text, number, label)
        if "xn--" in name:
            _check_bidi(text, name)
        return cls(name)

    @property
    def unicode(self) -> str:
        """The U-form; labels that do not decode stay as they are."""
        if "xn--" not in self.ascii:
            return self.ascii
        return ".".join(_u_label(label) for label in self.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, leftmost first."""
        return tuple(self.ascii.split("."))

    def parent(self) -> Domain | None:
        """The name without its leftmost label; None for a top-level name."""
        _, dot, rest = self.ascii.partition(".")
        return Domain(rest) if dot else None

    def under(self, prefix: str) -> str:
        """The name to ask for `prefix` (such as `_dmarc`) below this domain."""
        return f"{prefix}.{self.ascii}"

    def within(self, other: Domain) -> bool:
        """Is this `other` or below it?"""
        return self.ascii == other.ascii or self.ascii.endswith("." + other.ascii)

    def __str__(self) -> str:
        return self.ascii


def _place(text: str, number: int) -> int:
    """Where a label begins in the text as it was written, with any of the dots of UTS 46."""
    dots = [found.start() for found in _DOTS.finditer(text)]
    return 0 if not number else dots[min(number, len(dots)) - 1] + 1 if dots else 0


def _why(label: str) -> str:
    if not label:
        return "an empty label"
    if len(label) > MAX_LABEL:
        return f"a label longer than {MAX_LABEL} characters"
    if label.startswith("-") or label.endswith("-"):
        return "a label begins or ends with a hyphen"
    return "a character that no host name has"


def _check_a_label(text: str, number: int, label: str) -> None:
    import idna

    try:
        idna.ulabel(label)
    except (idna.IDNAError, UnicodeError) as error:
        raise DomainSyntaxError(text, _place(text, number), str(error)) from None


def _check_bidi(text: str, name: str) -> None:
    """RFC 5893 2: once a label is written from right to left, the rule holds for all of them."""
    from unicodedata import bidirectional

    import idna

    labels = [_u_label(label) for label in name.split(".")]
    if not any(bidirectional(char) in ("R", "AL", "AN") for label in labels for char in label):
        return
    try:
        for label in labels:
            if not label.startswith("_"):  # a service's name, of which the rule knows nothing
                idna.check_bidi(label, check_ltr=True)
    except idna.IDNAError as error:
        raise DomainSyntaxError(text, 0, str(error)) from None


def _u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    import idna

    try:
        return idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        return label


@dataclass(frozen=True, slots=True)
class IpLiteral:
    """An address literal of RFC 5321 4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`."""

    address: IpAddress

    @classmethod
    def parse(cls, text: str) -> IpLiteral:
        """Raises DomainSyntaxError."""
        if len(text) > 64 or not (text.startswith("[") and text.endswith("]")):
            raise DomainSyntaxError(text, 0, "an address literal stands in brackets")
        inner = text[1:-1]
        try:
            if inner[:5].lower() == "ipv6:":
                if "%" in inner:
                    raise DomainSyntaxError(text, 6, "an address literal has no zone")
                return cls(IPv6Address(inner[5:]))
            return cls(IPv4Address(inner))
        except AddressValueError as error:
            raise DomainSyntaxError(text, 1, str(error)) from None

    def __str__(self) -> str:
        return f"[IPv6:{self.address}]" if self.address.version == 6 else f"[{self.address}]"
