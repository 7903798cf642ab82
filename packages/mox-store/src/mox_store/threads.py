"""Which messages belong together: by message-ids, decided once when a message comes in (RFC 8474 5.3, THREADID).

A message joins the oldest thread that knows its own id or one that it follows; so a parent that arrives after its
children finds them.  A thread never changes afterwards: clients keep it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from mox_store.group import Connection

# More references than this find nothing that the younger ones do not.
MOST = 30


def id_hash(message_id: str) -> int:
    """A message-id as a number of 63 bits."""
    return int.from_bytes(blake2b(message_id.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big") >> 1


def thread_of(db: Connection, message: int, message_id: str, references: Sequence[str]) -> int:
    """The thread of a new message; it is told of the message's ids."""
    hashes = {id_hash(one) for one in (*references[-MOST:], message_id) if one}
    if not hashes:
        return message
    marks = ",".join("?" * len(hashes))
    (known,) = db.execute(f"SELECT min(thread) FROM thread WHERE id IN ({marks})", tuple(hashes)).fetchone()  # noqa: S608
    thread = message if known is None else int(known)
    db.executemany("INSERT OR IGNORE INTO thread VALUES(?,?)", [(one, thread) for one in hashes])
    return thread
