"""What the account in memory fulfils besides mox_imap.Account: the Protocols of mox_imap.extensions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mox_imap.backend import Account, Appended, BackendError, Pending
from mox_imap.extensions import Quota
from mox_imap.memory.box import DELETED, Box, canonical

if TYPE_CHECKING:
    from mox_imap.memory.logins import MemoryBackend

MAX_VALUE, MAX_ENTRIES = 64 * 1024, 100


class _Watch:
    """mox_imap.extensions.Watch"""

    def __init__(self, watchers: list[Callable[[], None]], wake: Callable[[], None]) -> None:
        self._watchers, self._wake = watchers, wake
        watchers.append(wake)

    def close(self) -> None:
        if self._wake in self._watchers:
            self._watchers.remove(self._wake)


class Extras:
    """mox_imap.extensions: Watched, Identified, Replacing, Annotated, Quoted, AccessUrls, Switched"""

    object_ids = True
    annotation_limits = (MAX_VALUE, MAX_ENTRIES)
    hidden_capabilities: Sequence[str] = ()

    def __init__(self, backend: MemoryBackend, user: str) -> None:
        self._backend = backend
        self.user = user
        self.limits: dict[str, int] = {}  # STORAGE in units of 1024 octets, MESSAGE
        self._boxes: dict[str, Box] = {}
        self._watchers: list[Callable[[], None]] = []
        self._server_annotations: dict[str, bytes] = {}
        self._annotated = 0
        self._keys: dict[str, bytes] = {}
        self._key_number = 0

    def _box(self, name: str, code: str = "NONEXISTENT") -> Box:
        box = self._boxes.get(canonical(name))
        if box is None:
            raise BackendError(code, "no such mailbox")
        return box

    # -- Watched

    def watch(self, wake: Callable[[], None]) -> _Watch:
        """mox_imap.extensions.Watched"""
        return _Watch(self._watchers, wake)

    def tell_watchers(self) -> None:
        """Something in the account has changed."""
        for wake in list(self._watchers):
            wake()

    # -- Replacing

    def replace(
        self, source: str, uid: int, target: str, message: tuple[Any, Sequence[str], float | None]
    ) -> Pending[Appended]:
        """mox_imap.extensions.Replacing"""
        sink, flags, moment = message
        data = sink.whole()

        def run() -> Appended:
            box, there = self._box(source), self._box(target, "TRYCREATE")
            if box.index(uid) < 0:
                raise BackendError("EXPUNGEISSUED", "the message to be replaced is gone")
            self._room_for(len(data), 0)
            uid_now = self.deliver(target, data, flags, moment)  # type: ignore[attr-defined]
            self.remove(box, [uid])  # type: ignore[attr-defined]
            return Appended(there.uidvalidity, (uid_now,))

        return self._backend.do(run)

    # -- Annotated

    def annotations(self, mailbox: str) -> Mapping[str, bytes]:
        """mox_imap.extensions.Annotated"""
        return self._box(mailbox).annotations if mailbox else self._server_annotations

    def annotate(self, mailbox: str, values: Mapping[str, bytes | None]) -> Pending[None]:
        """mox_imap.extensions.Annotated"""

        def run() -> None:
            box = self._box(mailbox) if mailbox else None
            there = self._server_annotations if box is None else box.annotations
            after = {name: value for name, value in {**there, **values}.items() if value is not None}
            if len(after) > MAX_ENTRIES:
                raise BackendError("METADATA TOOMANY", f"at most {MAX_ENTRIES} entries")
            there.clear()
            there.update(after)
            self.tell_watchers()

        return self._backend.do(run)

    # -- Quoted

    def quotas(self, mailbox: str) -> Sequence[Quota]:
        """mox_imap.extensions.Quoted: one root, of the whole account"""
        return [self._quota()]

    def quota(self, root: str) -> Quota | None:
        """mox_imap.extensions.Quoted"""
        return None if root else self._quota()

    def set_quota(self, root: str, limits: Mapping[str, int]) -> Pending[Quota]:
        """mox_imap.extensions.Quoted"""

        def run() -> Quota:
            if root:
                raise BackendError("NONEXISTENT", "no such quota root")
            self.limits = dict(limits)
            return self._quota()

        return self._backend.do(run)

    def deleted_size(self, mailbox: str) -> int:
        """mox_imap.extensions.Quoted"""
        box = self._box(mailbox)
        return sum(size for size, bits in zip(box.sizes, box.flags, strict=True) if bits & DELETED)

    def _quota(self) -> Quota:
        octets, messages = self._used()
        used = {"STORAGE": -(-octets // 1024), "MESSAGE": messages}
        return Quota("", tuple((name, used[name], limit) for name, limit in self.limits.items()))

    def _used(self) -> tuple[int, int]:
        boxes = self._boxes.values()
        return sum(sum(box.sizes) for box in boxes), sum(len(box.uids) for box in boxes)

    def _room_for(self, octets: int, messages: int) -> None:
        used, there = self._used()
        if used + octets > self.limits.get("STORAGE", 1 << 60) * 1024 or there + messages > self.limits.get(
            "MESSAGE", 1 << 60
        ):
            raise BackendError("OVERQUOTA", "there is no room for this; delete something first")

    # -- AccessUrls

    def url_key(self, mailbox: str) -> Pending[bytes]:
        """mox_imap.extensions.AccessUrls"""

        def run() -> bytes:
            name = self._box(mailbox).name
            if name not in self._keys:
                self._key_number += 1
                seed = f"{self._backend.nonce()} {self.user} {name} {self._key_number}"
                self._keys[name] = hashlib.sha256(seed.encode()).digest()
            return self._keys[name]

        return self._backend.do(run)

    def reset_url_keys(self, mailbox: str | None) -> Pending[None]:
        """mox_imap.extensions.AccessUrls"""

        def run() -> None:
            if mailbox is None:
                self._keys.clear()
            else:
                self._keys.pop(self._box(mailbox).name, None)

        return self._backend.do(run)

    def url_owner(self, user: str) -> Account | None:
        """mox_imap.extensions.AccessUrls"""
        return self._backend.accounts.get(user)
