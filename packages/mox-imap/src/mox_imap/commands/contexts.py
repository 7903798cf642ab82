"""Searches whose results are kept up to date: ADDTO and REMOVEFROM (RFC 5267 4.3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from mox_imap import writer
from mox_imap.backend import BackendError
from mox_imap.commands.filters import Filter, matching
from mox_imap.commands.sorting import Criterion, learn_now, ordered
from mox_imap.view import View

MAX_CONTEXTS = 10


class Live:
    """One search; `found` is what the client has been told, as uids in the order of the result."""

    def __init__(
        self,
        tag: str,
        view: View,
        filters: Sequence[Filter],
        order: tuple[Criterion, ...],
        found: list[int],
        *,
        uid: bool,
    ) -> None:
        self.tag = tag
        self._view = view
        self._filters = filters
        self._order = order
        self._found = found
        self._uid = uid

    def lost(self, gone: Collection[int]) -> bytes:
        """Messages are about to be told as expunged."""
        there = set(self._found)
        return self._take([uid for uid in gone if uid in there])

    def changed(self, touched: Iterable[int]) -> bytes:
        """These uids are new or have other flags."""
        view = self._view
        indexes = sorted({at for uid in touched if (at := view.index(uid)) >= 0})
        try:
            fits = {view.uids[at] for at in matching(view, self._filters, indexes)}
        except BackendError:  # gone meanwhile: that will be told
            return b""
        there = set(self._found)
        came = [view.uids[at] for at in indexes if view.uids[at] in fits - there]
        went = [view.uids[at] for at in indexes if view.uids[at] in there - fits]
        return self._take(went) + self._add(came)

    def _take(self, uids: Sequence[int]) -> bytes:
        if not uids:
            return b""
        if not self._order:
            gone = set(uids)
            self._found = [uid for uid in self._found if uid not in gone]
            return self._line(b"REMOVEFROM", [(0, sorted(uids))])
        changes: list[tuple[int, Sequence[int]]] = []
        for uid in uids:
            at = self._found.index(uid)
            del self._found[at]
            changes.append((at + 1, [uid]))
        return self._line(b"REMOVEFROM", changes)

    def _add(self, uids: Sequence[int]) -> bytes:
        if not uids:
            return b""
        if not self._order:
            self._found = sorted([*self._found, *uids])
            return self._line(b"ADDTO", [(0, uids)])
        view = self._view
        new = set(uids)
        after = [at for uid in [*self._found, *uids] if (at := view.index(uid)) >= 0]
        learn_now(view, [at for at in after if view.uids[at] in new])
        self._found = [view.uids[at] for at in ordered(view, sorted(after), self._order)]
        # Told from the front on, each position is right at its time.
        return self._line(b"ADDTO", [(at + 1, [uid]) for at, uid in enumerate(self._found) if uid in new])

    def _line(self, word: bytes, changes: Sequence[tuple[int, Sequence[int]]]) -> bytes:
        view = self._view
        told = []
        for position, uids in changes:
            numbers = uids if self._uid else [bisect_left(view.uids, uid) + 1 for uid in uids]
            told.append(b"%d %s" % (position, writer.sequence_set(numbers)))
        uid = b" UID" if self._uid else b""
        return b"* ESEARCH (TAG %s)%s %s (%s)\r\n" % (
            writer.string(self.tag.encode()),
            uid,
            word,
            b" ".join(told),
        )
