"""Mailboxes as values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mox_store.message import FIRST_KEYWORD_BIT, FLAG_NAMES, MAX_KEYWORDS, SYSTEM_FLAGS

# What every account begins with: name -> special use (RFC 6154).
INITIAL = {
    "Inbox": "",
    "Sent": "\\Sent",
    "Archive": "\\Archive",
    "Trash": "\\Trash",
    "Drafts": "\\Drafts",
    "Junk": "\\Junk",
}


# RFC 6154 2, in lower case -> as it is written.
SPECIAL_USES = {
    use.lower(): use
    for use in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")
}
MAX_NAME = 1000


class MailboxError(Exception):
    """A mailbox operation cannot be done: `.code` is an IMAP response code (RFC 9051 7.1), the message says why."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox with its counters."""

    id: int
    name: str
    uidvalidity: int
    uidnext: int
    modseq: int
    special: str
    subscribed: bool
    keywords: tuple[str, ...]
    total: int
    unseen: int
    deleted: int
    size: int
    createseq: int = 0
    owner: str = ""

    @property
    def objectid(self) -> str:
        """MAILBOXID (RFC 8474 4): survives a rename, never given again."""
        return f"F{self.id}"

    def bits(self, flags: tuple[str, ...] | list[str]) -> int:
        """The bits of flag names; keywords must be known (`Transaction.learn`)."""
        bits, known = 0, _folded(self.keywords)
        for name in flags:
            folded = name.lower()
            if folded in SYSTEM_FLAGS:
                bits |= SYSTEM_FLAGS[folded]
            elif folded in known:
                bits |= 1 << (FIRST_KEYWORD_BIT + known[folded])
        return bits

    def names(self, bits: int) -> list[str]:
        """Flag names of bits: system flags as the RFC spells them, keywords as who used them first."""
        found = [name for flag, name in FLAG_NAMES.items() if bits & flag]
        rest = bits >> FIRST_KEYWORD_BIT
        index = 0
        while rest:
            if rest & 1 and index < len(self.keywords):
                found.append(self.keywords[index])
            rest >>= 1
            index += 1
        return found

    def unknown(self, flags: tuple[str, ...] | list[str]) -> list[str]:
        """The keywords among `flags` that this mailbox has not seen yet, in whatever case."""
        known, found = _folded(self.keywords), dict[str, str]()
        for name in flags:
            if (folded := name.lower()) not in SYSTEM_FLAGS and folded not in known:
                found.setdefault(folded, name)
        return list(found.values())

    @property
    def room_for_keywords(self) -> int:
        """How many more keywords can be kept."""
        return MAX_KEYWORDS - len(self.keywords)


@lru_cache(maxsize=1000)
def _folded(keywords: tuple[str, ...]) -> dict[str, int]:
    """Where keywords stand.  Case makes no difference between two, but is kept: some clients look for their own words
    as they have written them."""
    return {word.lower(): at for at, word in enumerate(keywords)}


def canonical(name: str) -> str:
    """RFC 9051 5.1: INBOX is the same in any case, alone and as the first part of a name."""
    first, slash, rest = name.partition("/")
    return "Inbox" + slash + rest if first.lower() == "inbox" else name


def check_name(name: str) -> None:
    """May a mailbox be called so?  Raises MailboxError("CANNOT") with the reason."""
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise MailboxError("CANNOT", f"a mailbox name has 1 to {MAX_NAME} bytes")
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 or c in "\u2028\u2029" for c in name):
        raise MailboxError("CANNOT", "a mailbox name has no control characters")
    if name.startswith("#") or any(part in ("", ".", "..") for part in name.split("/")):
        raise MailboxError("CANNOT", "mailbox names have non-empty parts, none of them . or .., and no # in front")
    if any(c in "*%" for c in name):
        raise MailboxError("CANNOT", "* and % are wildcards")
