"""What an account fulfils besides, so that more of IMAP can be offered (mox_imap.extensions)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mox_imap
import mox_store
from moxd.shared import Sharing

# As the store has them.
MAX_VALUE, MAX_ENTRIES = 64 * 1024, 1000
KEY_BITS = 256


class Extras(Sharing, ABC):
    """Identified, Annotated, Quoted, AccessUrls, and what Sharing is"""

    object_ids = True
    annotation_limits = (MAX_VALUE, MAX_ENTRIES)

    _account: mox_store.Account
    _random_bits: Callable[[int], int]
    others: Callable[[str], mox_imap.Account | None] = staticmethod(lambda name: None)

    @abstractmethod
    def _do(self, operation: Callable[[mox_store.Transaction], Any], account: mox_store.Account | None = None) -> Any:
        """Commits in this account, or in another."""

    def _own(self, name: str) -> mox_store.Mailbox:
        place, found = self._there(name)
        if place.owner:
            raise mox_imap.BackendError("NOPERM", "that is for the owner of the mailbox")
        return found

    # -- mox_imap.Annotated

    def annotations(self, mailbox: str) -> Mapping[str, bytes]:
        """Of a mailbox, or with "" of the account."""
        if not mailbox:
            return self._account.annotations()
        place, found = self._there(mailbox, "r")
        kept = place.account.annotations(found.id)
        # What is private is so to the owner (RFC 5464 3.3).
        return {name: value for name, value in kept.items() if _is_shared(name)} if place.owner else kept

    def annotate(self, mailbox: str, values: Mapping[str, bytes | None]) -> Any:
        """All of them or none."""

        account, id = self._account, 0
        if mailbox:
            place, found = self._there(mailbox)
            account, id = place.account, found.id
            if place.owner:
                self._there(mailbox, "w")
                if not all(map(_is_shared, values)):
                    raise mox_imap.BackendError("METADATA NOPRIVATE", "private notes are the owner's")

        def run(tx: mox_store.Transaction) -> None:
            box = tx.mailbox_by_id(id) if id else None
            for name, value in values.items():
                tx.annotate(box, name, value)

        return self._do(run, account)

    # -- mox_imap.Quoted

    def quotas(self, mailbox: str) -> Sequence[mox_imap.Quota]:
        """One root, of the whole account."""
        place, _ = self._there(mailbox)
        return [] if place.owner else [self._quota()]

    def quota(self, root: str) -> mox_imap.Quota | None:
        """The root "", and no other."""
        return None if root else self._quota()

    def deleted_size(self, mailbox: str) -> int:
        """Octets of the messages with \\Deleted."""
        place, box = self._there(mailbox, "r")
        if not box.deleted:
            return 0
        view = place.account.open_view(box.id)
        try:
            return sum(
                size for size, flags in zip(view.sizes, view.flags, strict=True) if flags & mox_store.Flag.DELETED
            )
        finally:
            place.account.close_view(view)

    def _quota(self) -> mox_imap.Quota:
        held = self._account.quota()
        resources = []
        if held.size_limit is not None:
            resources.append(("STORAGE", -(-held.size // 1024), held.size_limit // 1024))
        if held.message_limit is not None:
            resources.append(("MESSAGE", held.messages, held.message_limit))
        return mox_imap.Quota("", tuple(resources))

    # -- mox_imap.AccessUrls

    @property
    def user(self) -> str:
        """The account's name."""
        return self._account.name

    def url_key(self, mailbox: str) -> Any:
        """The key that a mailbox's URLs are signed with."""
        kind = _kind(self._own(mailbox))
        kept = self._account.credential(kind)
        if kept is not None:
            return mox_imap.Done(bytes.fromhex(kept))
        key = self._new_key()
        return _Gives(self._do(lambda tx: tx.set_credential(kind, key.hex())), key)

    def reset_url_keys(self, mailbox: str | None) -> Any:
        """New keys."""
        boxes = self._account.mailboxes() if mailbox is None else [self._own(mailbox)]

        def run(tx: mox_store.Transaction) -> None:
            for box in boxes:
                tx.set_credential(_kind(box), self._new_key().hex())

        return self._do(run)

    def _new_key(self) -> bytes:
        return self._random_bits(KEY_BITS).to_bytes(KEY_BITS // 8, "big")

    def url_owner(self, user: str) -> mox_imap.Account | None:
        """The account behind a login name."""
        return self.others(user)


def _is_shared(name: str) -> bool:
    return name.lower().startswith("/shared/")


def _kind(mailbox: mox_store.Mailbox) -> str:
    # The number is never used again, so what was signed for a mailbox that is gone stays void.
    return f"url key {mailbox.uidvalidity}"


class _Gives:
    """A Pending with a value of its own."""

    def __init__(self, pending: mox_imap.Pending[Any], value: bytes) -> None:
        self._pending, self._value = pending, value

    def done(self) -> bool:
        """mox_imap.Pending"""
        return self._pending.done()

    def result(self) -> bytes:
        """mox_imap.Pending"""
        self._pending.result()
        return self._value

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """mox_imap.Pending"""
        return self._pending.add_done_callback(lambda _: callback(self))
