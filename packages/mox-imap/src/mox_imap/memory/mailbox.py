"""A mailbox that a session has open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mox_imap.backend import Changes, Conditional, Copied, FlagAction, Pending, Row
from mox_imap.memory.box import Box
from mox_message import Content

if TYPE_CHECKING:
    from mox_imap.memory.account import MemoryAccount


class OpenMailbox:
    """mox_imap.IndexedMailbox, Notified"""

    def __init__(self, account: MemoryAccount, box: Box, wake: Callable[[], None]) -> None:
        self._account = account
        self._do = account._backend.do
        self._box = box
        self.wake = wake
        self.news = Changes()
        box.open.append(self)

    @property
    def name(self) -> str:
        return self._box.name

    @property
    def uidvalidity(self) -> int:
        return self._box.uidvalidity

    def uidnext(self) -> int:
        return self._box.uidnext

    def keywords(self) -> Sequence[str]:
        return self._box.keywords

    def entries(self) -> Iterable[tuple[int, int, int]]:
        return zip(self._box.uids, self._box.messages, self._box.flags, strict=True)

    def columns(self) -> Box:
        return self._box

    def highest_modseq(self) -> int:
        return self._box.modseq

    def notified(self, last: int) -> int:
        before, self._box.notified = self._box.notified, max(self._box.notified, last)
        return before + 1

    def not_notified(self) -> int:
        return self._box.notified + 1

    def bits(self, uid: int) -> int | None:
        at = self._box.index(uid)
        return self._box.flags[at] if at >= 0 else None

    def flag_names(self, bits: int) -> Sequence[str]:
        return self._box.names(bits)

    def flag_bits(self, names: Sequence[str]) -> int:
        return self._box.bits(names)

    def rows(self, uids: Sequence[int]) -> Iterator[Row]:
        box = self._box
        known = box.rows
        for uid in uids:
            row = known.get(uid)
            if row is None:
                at = box.index(uid)
                if at < 0:
                    continue
                row = known[uid] = self._row(box.messages[at], uid, box.saved[uid])
            yield row

    def _row(self, number: int, uid: int, saved: float) -> Row:
        message = self._account.message(number)
        return Row(
            uid, number, message.content.size, message.received, saved, message.envelope, message.bodystructure,
            message.header, message.sent, message.email_id, message.thread_id, message.preview, message.subject,
        )  # fmt: skip

    def gone_row(self, message: int) -> Row | None:
        return self._row(message, 0, self._account.message(message).received)

    def content(self, message: int) -> Content:
        return self._account.message(message).content

    def store(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str]
    ) -> Pending[Sequence[tuple[int, int]]]:
        return self._do(lambda: self._account.flag(self._box, self._box.indexes(uids), action, flags))

    def store_unchanged(
        self, uids: Sequence[int], action: FlagAction, flags: Sequence[str], unchanged_since: int
    ) -> Pending[Conditional]:
        def run() -> Conditional:
            box = self._box
            indexes = box.indexes(uids)
            fresh = [at for at in indexes if box.modseqs[at] <= unchanged_since]
            modified = [box.uids[at] for at in indexes if box.modseqs[at] > unchanged_since]
            return Conditional(self._account.flag(box, fresh, action, flags), modified)

        return self._do(run)

    def copy(self, uids: Sequence[int], target: str) -> Pending[Copied]:
        return self._do(lambda: self._account.carry(self._box, uids, target, move=False))

    def move(self, uids: Sequence[int], target: str) -> Pending[Copied]:
        return self._do(lambda: self._account.carry(self._box, uids, target, move=True))

    def expunge(self, uids: Sequence[int] | None) -> Pending[Sequence[int]]:
        return self._do(lambda: self._account.expunge(self._box, uids))

    def expunged_since(self, modseq: int) -> Sequence[int]:
        return sorted(uid for when, uid in self._box.gone if when > modseq)

    def changes(self) -> Changes:
        news, self.news = self.news, Changes()
        return news

    def close(self) -> None:
        if self in self._box.open:
            self._box.open.remove(self)
