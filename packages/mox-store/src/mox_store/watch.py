"""Who wants to hear of changes: bounded, and "read everything again" for whoever is too slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mox_store.changes import Change

# A listener that has this many changes waiting looks at the whole mailbox again instead.
MOST = 1000


class Watch:
    """A listener's queue.  `wake` is called on the loop when the queue stops being empty."""

    def __init__(self, wake: Callable[[], None], leave: Callable[[Watch], None]) -> None:
        self._wake = wake
        self._leave = leave
        self._waiting: list[Change] = []
        self._resync = False

    def _add(self, changes: Sequence[Change]) -> bool:
        """Adds changes; does that begin the queue?"""
        was_empty = not self._waiting and not self._resync
        if self._resync or len(self._waiting) + len(changes) > MOST:
            self._waiting.clear()
            self._resync = True
        else:
            self._waiting.extend(changes)
        return was_empty

    @staticmethod
    def tell(watches: Sequence[Watch], changes: Sequence[Change]) -> None:
        """Adds changes to every queue, then wakes; an account alone calls this, after the sync.  Whoever wakes may look
        for more changes, which must not come to anybody before these."""
        for watch in [watch for watch in watches if watch._add(changes)]:
            watch._wake()

    def take(self) -> tuple[list[Change], bool]:
        """(what happened since the last call, must everything be read again)."""
        changes, resync = self._waiting, self._resync
        self._waiting, self._resync = [], False
        return changes, resync

    def close(self) -> None:
        """Hears no more."""
        self._leave(self)
