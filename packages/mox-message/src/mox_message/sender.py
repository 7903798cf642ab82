"""The one From address that DMARC may use, or why there is none (RFC 9989 5.3.1, RFC 7489 6.6.1).

Strict on purpose: a From that other programs may read differently than we do is no ground for trust."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mox_message.address import Address, AddressSyntaxError, quoted
from mox_message.fields import Fields
from mox_message.structured import Group, addresses


class FromStatus(StrEnum):
    """How it stands with the From field."""

    ONE = "one"
    NO_FIELD = "no field"
    SEVERAL_FIELDS = "several fields"
    NO_ADDRESS = "no address"
    SEVERAL_ADDRESSES = "several addresses"
    GROUP = "group"
    UNPARSABLE = "unparsable"


@dataclass(frozen=True, slots=True)
class From:
    """`address` is None when there is no single usable one; `reason` and `status` then say why.

    `all` are those that could be understood, `name` is the decoded display name of the one."""

    address: Address | None
    reason: str = ""
    all: tuple[Address, ...] = ()
    status: FromStatus = FromStatus.ONE
    name: str = ""


def from_address(fields: Fields) -> From:
    """Reads the From field.  Never raises."""
    if fields.truncated:
        return From(None, "a header too long to be read whole", (), FromStatus.UNPARSABLE)
    count = fields.count("from")
    if count != 1:
        status = FromStatus.SEVERAL_FIELDS if count else FromStatus.NO_FIELD
        return From(None, f"{count} From fields" if count else "no From field", (), status)
    listed = addresses(fields.text("from") or "")
    usable: list[Address] = []
    for mailbox in listed.mailboxes:
        try:
            # Not strict: nobody reads another domain because of a dot too many before the @.
            usable.append(Address.parse(f"{quoted(mailbox.localpart)}@{mailbox.domain}", strict=False))
        except AddressSyntaxError as error:
            reason = f"an address in From cannot be understood: {error.why}"
            return From(None, reason, tuple(usable), FromStatus.UNPARSABLE)
    if listed.ambiguous:
        reason = f"From can be read in several ways: {listed.defects[0]}"
        return From(None, reason, tuple(usable), FromStatus.UNPARSABLE)
    if any(isinstance(entry, Group) for entry in listed.entries):
        return From(None, "a group in From", tuple(usable), FromStatus.GROUP)
    if not usable:
        return From(None, "no address in From", (), FromStatus.NO_ADDRESS)
    if len(usable) > 1:
        return From(None, f"{len(usable)} addresses in From", tuple(usable), FromStatus.SEVERAL_ADDRESSES)
    return From(usable[0], "", tuple(usable), FromStatus.ONE, listed.mailboxes[0].name)
