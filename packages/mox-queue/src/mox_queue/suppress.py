"""Addresses we no longer write to: which failures lead there, and which addresses are the same.  Pure."""

from __future__ import annotations

import re

# A reply that says that the address or its domain does not exist or takes nothing (RFC 5321 4.2.3, RFC 7504).
_CODES = frozenset((521, 550, 551, 553, 556))
# RFC 3463: bad mailbox, bad system, bad syntax, moved; disabled; not authorised to write there.
_STATUSES = frozenset(("1.1", "1.2", "1.3", "1.6", "2.1", "7.1"))
_REPLY = re.compile(r"(\d{3})\b")
# Failures in a row without such a reply that have the same effect.
FAILURES = 3


def base_of(address: str) -> str:
    """The form of an address in which its tags and spellings are the same: lower case, no dots, cut at + and -."""
    localpart, at, domain = address.rpartition("@")
    cut = re.split(r"[+-]", localpart, maxsplit=1)[0] or localpart
    return f"{cut.replace('.', '').lower()}{at}{domain.lower()}"


def is_final(text: str, status: str) -> bool:
    """Does this permanent failure say that there is nobody to write to?  `text` begins with the reply code."""
    code = _REPLY.match(text)
    if code is None or not 500 <= int(code[1]) < 600:
        return False
    return int(code[1]) in _CODES or status.partition(".")[2] in _STATUSES
