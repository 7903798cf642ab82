"""Reverse-paths of one's own for each message, so that what comes back can be told apart (VERP).  Pure."""

from __future__ import annotations

import re

_FROMID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
# RFC 5321 4.5.3.1.1
MAX_LOCALPART = 64


def with_fromid(address: str, fromid: str, separator: str = "+") -> str:
    """`you@example.org` with its id: `you+id@example.org`.  Raises ValueError when that is no address any more."""
    localpart, at, domain = address.rpartition("@")
    tagged = f"{localpart}{separator}{fromid}"
    if not at or not localpart or not _FROMID.match(fromid):
        raise ValueError(f"{fromid!r} cannot be the id of a message of {address!r}")
    if len(tagged.encode()) > MAX_LOCALPART:
        raise ValueError(f"{tagged!r} is longer than the {MAX_LOCALPART} octets of a localpart")
    return f"{tagged}@{domain}"


def fromid_of(address: str, separator: str = "+") -> tuple[str, str]:
    """(the address without it, the id), the id "" where there is none."""
    localpart, _, domain = address.rpartition("@")
    plain, found, fromid = localpart.rpartition(separator)
    if not found or not plain or not _FROMID.match(fromid):
        return address, ""
    return f"{plain}@{domain}", fromid
