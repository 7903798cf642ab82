"""For tests of whoever uses the store: strategies of hypothesis (extra `testing`), and a disk that syncs nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import strategies as st

from mox_message import Content
from mox_store.disk import Disk
from mox_store.message import NewMessage, Traits

SYSTEM_FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")
KEYWORDS = ("$Forwarded", "$Junk", "$NotJunk", "work", "Later")


class QuickDisk(Disk):
    """Syncs nothing: for tests that do not turn the power off."""

    def connect(self, path: Path) -> sqlite3.Connection:
        """Disk"""
        db = super().connect(path)
        db.execute("PRAGMA synchronous=OFF")
        return db

    def sync(self, descriptor: int) -> None:
        """Disk"""

    def sync_folder(self, folder: Path) -> None:
        """Disk"""


def flags() -> st.SearchStrategy[tuple[str, ...]]:
    """Some flags and keywords."""
    return st.lists(st.sampled_from(SYSTEM_FLAGS + KEYWORDS), max_size=3, unique=True).map(tuple)


def mailbox_names() -> st.SearchStrategy[str]:
    """Few names, so that they meet; some nested, some strange, some that may not be."""
    parts = st.sampled_from(("A", "B", "Inbox", "inbox", "Ünïcode", "a*b", "[x]", ".."))
    return st.lists(parts, min_size=1, max_size=3).map("/".join)


@st.composite
def new_messages(draw: st.DrawFn) -> NewMessage:
    """Small messages whose ids and references meet each other."""
    ids = st.sampled_from(("<a@x>", "<b@x>", "<c@x>", "<d@x>", ""))
    subject = draw(st.text(max_size=10))
    return NewMessage(
        content=Content.of(draw(st.binary(max_size=50))),
        traits=Traits(
            envelope=b"(envelope)",
            bodystructure=b"(structure)",
            header=b"Subject: x\r\n",
            subject=subject,
            preview=subject[:5],
            sent=draw(st.none() | st.floats(0, 2e9)),
            message_id=draw(ids),
            references=tuple(one for one in draw(st.lists(ids, max_size=2)) if one),
        ),
        received=draw(st.floats(0, 2e9)),
        prefix=draw(st.binary(max_size=10)),
        flags=draw(flags()),
        origin=(("from", draw(st.sampled_from(("kim@x", "lee@y")))),),
    )
