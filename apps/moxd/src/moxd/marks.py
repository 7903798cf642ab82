"""What a mailbox says of the messages that are put into it: junk, wanted, or nothing."""

from __future__ import annotations

import re
from functools import lru_cache

import mox_store
from moxd.config.values import Junk

_compiled = lru_cache(maxsize=1000)(re.compile)


def mark_of(mailbox: mox_store.Mailbox, settings: Junk) -> mox_store.Mark | None:
    """JUNK, WANTED, NONE for a neutral mailbox, or None: it says nothing."""
    if not settings.marks:
        return None
    if mailbox.special == "\\Junk":
        return mox_store.Mark.JUNK
    name = mailbox.name.lower()
    patterns = {
        mox_store.Mark.JUNK: settings.junk,
        mox_store.Mark.NONE: settings.neutral,
        mox_store.Mark.WANTED: settings.wanted,
    }
    for mark, pattern in patterns.items():
        if pattern and _compiled(pattern).search(name):
            return mark
    without = [mark for mark, pattern in patterns.items() if not pattern]
    return without[0] if len(without) == 1 else None
