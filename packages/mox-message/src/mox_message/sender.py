"""The one From address that DMARC may use, or why there is none (RFC 9989 4.1, RFC 7489 6.6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from mox_message.address import Address, AddressSyntaxError, quoted
from mox_message.fields import Fields
from mox_message.structured import addresses


@dataclass(frozen=True, slots=True)
class From:
    """`address` is None when there is no single usable one; `reason` then says why.  `all` are those that were there."""

    address: Address | None
    reason: str = ""
    all: tuple[Address, ...] = ()


def from_address(fields: Fields) -> From:
    """Reads the From field."""
    found = fields.all("from")
    if not found:
        return From(None, "no From field")
    if len(found) > 1:
        return From(None, f"{len(found)} From fields")
    listed = addresses(found[0].text)
    usable: list[Address] = []
    for mailbox in listed.mailboxes:
        try:
            usable.append(Address.parse(f"{quoted(mailbox.localpart)}@{mailbox.domain}"))
        except AddressSyntaxError:
            return From(None, "an address in From that cannot be understood", tuple(usable))
    if not usable:
        return From(None, "no address in From")
    if len(usable) > 1:
        return From(None, f"{len(usable)} addresses in From", tuple(usable))
    return From(usable[0], "", tuple(usable))
