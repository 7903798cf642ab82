"""A mailbox of mox_store as mox_imap.IndexedMailbox: values of one side as values of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import mox_imap
import mox_message
import mox_store
from moxd import shared
from moxd.imap_pending import Listed, Mapped

T = TypeVar("T")
DELETED = int(mox_store.Flag.DELETED)
# So many messages are changed in one transaction: 5,000 take some 40 ms of the loop.
SLICE = 5000


class Carrier(Protocol):
    """Who knows where other people's mailboxes are."""

    @property
    def user(self) -> str: ...
    def carry(self, source: OwnMailbox, uids: Sequence[int], target: str, *, move: bool) -> Any: ...


class OwnMailbox:
    """mox_imap.IndexedMailbox, Notified"""

    def __init__(
        self, backend: Carrier, account: mox_store.Account, mailbox: mox_store.Mailbox, wake: Callable[[], None]
    ) -> None:
        self._backend = backend
        self._account = account
        self._id = mailbox.id
        self._mailbox = mailbox
        self._view = account.open_view(mailbox.id)
        self._watch = account.watch(wake)
        self._names: dict[int, list[str]] = {}
        self.name = mailbox.name
        self.uidvalidity = mailbox.uidvalidity

    def _fresh(self) -> mox_store.Mailbox:
        view = self._view
        if view.row is not None and view.row[0] == view.modseq:
            found: mox_store.Mailbox | None = view.row[1]
        elif (found := self._account.mailbox_by_id(self._id)) is not None:
            view.row = (view.modseq, found)
        if found is not None:
            if found.keywords != self._mailbox.keywords:
                self._names.clear()
            self._mailbox = found
        return self._mailbox

    def uidnext(self) -> int:
        return self._fresh().uidnext

    def keywords(self) -> Sequence[str]:
        return self._fresh().keywords

    def entries(self) -> Iterable[tuple[int, int, int]]:
        view = self._view
        return zip(view.uids, view.messages, view.flags, strict=True)

    def columns(self) -> mox_imap.Columns:
        return self._view

    def look(self) -> None:
        """mox_imap.Followed"""
        self._account.look()

    def notified(self, last: int) -> int:
        """mox_imap.Notified"""
        return self._account.notified(self._id, last)

    def not_notified(self) -> int:
        """mox_imap.Notified"""
        return self._account.not_notified(self._id)

    def highest_modseq(self) -> int:
        # Not what the view has not heard of: a client that leaves now would never be told.
        return max(1, min(self._fresh().modseq, self._view.modseq))

    def expunged_since(self, modseq: int) -> Sequence[int]:
        return self._account.expunged_since(self._id, modseq)

    def _sliced(
        self, uids: Sequence[int], operation: Callable[[mox_store.Transaction, Sequence[int]], T]
    ) -> asyncio.Future[list[T]] | Listed:
        """Many go in several transactions, between which others get theirs.  What RFC 9051 wants done wholly or not at
        all (COPY) must not come here."""

        async def run() -> list[T]:
            done = []
            for start in range(0, max(1, len(uids)), SLICE):
                some = uids[start : start + SLICE]
                done.append(await self._account.commit(lambda tx, some=some: operation(tx, some)))  # type: ignore[misc]
            return done

        if len(uids) > SLICE:
            return asyncio.get_running_loop().create_task(run())
        return Listed(self._account.commit(lambda tx: operation(tx, uids)))

    def store_unchanged(self, uids: Sequence[int], action: Any, flags: Sequence[str], unchanged_since: int) -> Any:
        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_store.Flagged:
            return tx.flag(tx.mailbox_by_id(self._id), some, action, flags, unchanged_since)

        return Mapped(
            self._sliced(uids, run),
            lambda done: mox_imap.Conditional(
                [(uid, bits) for one in done for uid, bits, _ in one.changed],
                [uid for one in done for uid in one.modified],
            ),
        )

    def bits(self, uid: int) -> int | None:
        at = self._view.index(uid)
        return self._view.flags[at] if at >= 0 else None

    def flag_names(self, bits: int) -> Sequence[str]:
        names = self._names.get(bits)
        if names is None:
            mailbox = self._mailbox if bits >> (5 + len(self._mailbox.keywords)) == 0 else self._fresh()
            names = self._names[bits] = mailbox.names(bits)
        return names

    def flag_bits(self, names: Sequence[str]) -> int:
        return self._fresh().bits(tuple(names))

    def rows(self, uids: Sequence[int]) -> Iterator[mox_imap.Row]:
        return map(imap_row, self._account.rows(self._id, uids))

    def cells(self, uids: Sequence[int], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        """mox_imap.Celled"""
        return self._account.cells(self._id, uids, names)

    def gone_row(self, message: int) -> mox_imap.Row | None:
        return next(map(imap_row, self._account.message_rows([message])), None)

    def content(self, message: int) -> mox_message.Content:
        try:
            return self._account.content(message)
        except mox_store.StoreError as error:
            raise mox_imap.BackendError("EXPUNGEISSUED", str(error)) from error

    def store(self, uids: Sequence[int], action: Any, flags: Sequence[str]) -> Any:
        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_store.Flagged:
            return tx.flag(tx.mailbox_by_id(self._id), some, action, flags)

        return Mapped(
            self._sliced(uids, run), lambda done: [(uid, bits) for one in done for uid, bits, _ in one.changed]
        )

    def copy(self, uids: Sequence[int], target: str) -> Any:
        return self._carry(uids, target, move=False)

    def move(self, uids: Sequence[int], target: str) -> Any:
        return self._carry(uids, target, move=True)

    def _carry(self, uids: Sequence[int], target: str, *, move: bool) -> Any:
        if target.startswith(shared.PREFIX):
            return self._backend.carry(self, uids, target, move=move)

        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_imap.Copied:
            source, there = tx.mailbox_by_id(self._id), target_box(tx, target)
            pairs = tx.move(source, some, there) if move else tx.copy(source, some, there)
            return mox_imap.Copied(there.uidvalidity, tuple(pairs))

        if not move:  # RFC 9051 6.4.7: all or none
            return Mapped(self._account.commit(lambda tx: run(tx, uids)))
        # RFC 6851 3.3: each message is moved wholly, not all of them.
        return Mapped(
            self._sliced(uids, run),
            lambda done: mox_imap.Copied(done[0].uidvalidity, tuple(pair for one in done for pair in one.pairs)),
        )

    def expunge(self, uids: Sequence[int] | None) -> Any:
        if uids is None:
            marked = [uid for uid, bits in zip(self._view.uids, self._view.flags, strict=True) if bits & DELETED]
            if len(marked) <= SLICE:
                return Mapped(self._account.commit(lambda tx: tx.expunge(tx.mailbox_by_id(self._id), None)))
            uids = marked
        return Mapped(
            self._sliced(uids, lambda tx, some: tx.expunge(tx.mailbox_by_id(self._id), some)),
            lambda done: [uid for one in done for uid in one],
        )

    def take_away(self, uids: Sequence[int]) -> Any:
        """Removes messages that have gone elsewhere."""
        return self._account.commit(lambda tx: tx.expunge(tx.mailbox_by_id(self._id), uids, only_deleted=False))

    @property
    def account(self) -> mox_store.Account:
        """Where it is."""
        return self._account

    @property
    def id(self) -> int:
        """Of the mailbox in its account."""
        return self._id

    def changes(self) -> mox_imap.Changes:
        found, resync = self._watch.take()
        out = mox_imap.Changes(resync=resync)
        for change in found:
            if change.mailbox != self._id:
                continue
            if change.kind is mox_store.Kind.ADDED:
                for uid in change.uids:
                    at = self._view.index(uid)
                    if at >= 0:
                        out.added.append((uid, self._view.messages[at]))
            elif change.kind is mox_store.Kind.FLAGS:
                out.flags.extend(change.uids)
            elif change.kind is mox_store.Kind.EXPUNGED:
                out.expunged.extend(change.uids)
        return out

    def close(self) -> None:
        self._watch.close()
        self._account.close_view(self._view)


def target_box(tx: mox_store.Transaction, name: str) -> mox_store.Mailbox:
    """Where messages are to go.  Raises MailboxError("TRYCREATE")."""
    try:
        return tx.mailbox(name)
    except mox_store.MailboxError as error:
        raise mox_store.MailboxError("TRYCREATE", str(error)) from error


def imap_row(row: mox_store.Row) -> mox_imap.Row:
    """A row of the store as IMAP has it; object ids are numbers of the account (RFC 8474)."""
    uid, message, size, received, saved, envelope, structure, header, preview, sent, subject, thread, _ = row
    return mox_imap.Row(
        uid, message, size, received, saved, envelope, structure, header, sent, f"M{message}", f"T{thread}", preview,
        subject.casefold() or None,
    )  # fmt: skip
