"""A backend in memory: for examples, for tests, and as the model of what a backend must do.

    backend = MemoryBackend()
    account = backend.add("ann", "secret")
    account.deliver("Inbox", b"From: …")

Writes happen at once, unless `backend.hold()` was called: then they wait for `backend.settle()`, as they would wait for
a disk.

    logins.py    accounts by name, and their passwords
    account.py   an account
    extras.py    what it fulfils besides: annotations, quotas, rights, keys of URLs, notices, replacing
    box.py       one mailbox
    mailbox.py   a mailbox that a session has open
    held.py      writes that wait"""

from mox_imap.memory.account import MemoryAccount
from mox_imap.memory.logins import MemoryBackend

__all__ = ["MemoryAccount", "MemoryBackend"]
