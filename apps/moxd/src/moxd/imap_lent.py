"""Another person's mailbox, in which the user may do what they were allowed (RFC 4314 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mox_imap
import mox_message
import mox_store
from moxd import shared
from moxd.imap_mailbox import Carrier, OwnMailbox
from moxd.imap_pending import Mapped
from moxd.shared import Place


class LentMailbox(OwnMailbox):
    """mox_imap.IndexedMailbox, Righted"""

    def __init__(self, backend: Carrier, place: Place, mailbox: mox_store.Mailbox, wake: Callable[[], None]) -> None:
        super().__init__(backend, place.account, mailbox, wake)
        self.name = place.full_name
        self._place = place
        self._mark = shared.mark(place.owner)
        self._told_gone = False

    def my_rights(self) -> str:
        """mox_imap.Righted"""
        return shared.held(self._account.rights(self._id), self._backend.user)

    def _needs(self, rights: str) -> None:
        held = self.my_rights()
        for one in rights:
            if one not in held:
                raise shared.refused(one)

    # What may not be read any more is not read, also by a session that has not been told yet.

    def rows(self, uids: Sequence[int]) -> Iterator[mox_imap.Row]:
        self._needs("r")
        return map(self._marked, super().rows(uids))

    def cells(self, uids: Sequence[int], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        self._needs("r")
        return super().cells(uids, names)

    def content(self, message: int) -> mox_message.Content:
        self._needs("r")
        return super().content(message)

    def gone_row(self, message: int) -> mox_imap.Row | None:
        self._needs("r")
        row = super().gone_row(message)
        return self._marked(row) if row is not None else None

    def _marked(self, row: mox_imap.Row) -> mox_imap.Row:
        return row._replace(email_id=row.email_id + self._mark, thread_id=row.thread_id + self._mark)

    def store(self, uids: Sequence[int], action: Any, flags: Sequence[str]) -> Any:
        return Mapped(
            self._sliced(uids, self._flagging(action, flags)),
            lambda done: [(uid, bits) for some in done for one in some for uid, bits, _ in one.changed],
        )

    def store_unchanged(self, uids: Sequence[int], action: Any, flags: Sequence[str], unchanged_since: int) -> Any:
        def turned(done: list[list[mox_store.Flagged]]) -> mox_imap.Conditional:
            modified = {uid for some in done for one in some for uid in one.modified}
            changed = [(uid, bits) for some in done for one in some for uid, bits, _ in one.changed]
            return mox_imap.Conditional(changed, sorted(modified))

        return Mapped(self._sliced(uids, self._flagging(action, flags, unchanged_since)), turned)

    def _flagging(
        self, action: Any, flags: Sequence[str], unchanged_since: int | None = None
    ) -> Callable[[mox_store.Transaction, Sequence[int]], list[mox_store.Flagged]]:
        """RFC 4314 4: those flags are changed that the user may change; nothing is refused while there is one.

        Raises BackendError."""
        rights = self.my_rights()
        allowed = [flag for flag in flags if shared.may_set(rights, flag)]
        if not allowed and (flags or not set(rights) & set("swt")):
            raise shared.refused("w")
        if action != "replace" or set("swt") <= set(rights):

            def once(tx: mox_store.Transaction, some: Sequence[int]) -> list[mox_store.Flagged]:
                return [tx.flag(tx.mailbox_by_id(self._id), some, action, allowed, unchanged_since)]

            return once

        def run(tx: mox_store.Transaction, some: Sequence[int]) -> list[mox_store.Flagged]:
            box = tx.mailbox_by_id(self._id)
            known = [*shared.SYSTEM, *box.keywords]
            others = [
                flag
                for flag in known
                if shared.may_set(rights, flag) and flag.lower() not in {one.lower() for one in allowed}
            ]
            first = tx.flag(box, some, "remove", others, unchanged_since)
            left = frozenset(first.modified)
            return [first, tx.flag(box, [uid for uid in some if uid not in left], "add", allowed)]

        return run

    def _carry(self, uids: Sequence[int], target: str, *, move: bool) -> Any:
        self._needs("rte" if move else "r")
        return self._backend.carry(self, uids, target, move=move)

    def expunge(self, uids: Sequence[int] | None) -> Any:
        self._needs("e")
        return super().expunge(uids)

    def changes(self) -> mox_imap.Changes:
        if self._told_gone:
            return mox_imap.Changes()
        if "r" not in self.my_rights():
            # To who was reading, a mailbox that may not be read any more is an empty one.
            self._told_gone = True
            self._watch.take()
            return mox_imap.Changes(expunged=list(self._view.uids))
        return super().changes()
