"""An account of mox_store as mox_imap.Account, and who may log in to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import mox_imap
import mox_message
import mox_sasl
import mox_store
from moxd import deliver, shared
from moxd.decision import RANDOM_BITS, Decision, Step, new_id
from moxd.imap_extras import Extras
from moxd.imap_lent import LentMailbox
from moxd.imap_mailbox import OwnMailbox, target_box
from moxd.imap_pending import Mapped
from moxd.login import Logins
from moxd.shared import Others, Place
from moxd.spool import Spool

_NOWHERE = IPv4Address(0)
# What one COPY may carry from one person's account to another's: it is held until all of it is written.
MAX_CARRIED = 256 << 20


class _Watch:
    """mox_imap.Watch: that something changed is told, what it was is not kept."""

    def __init__(self, accounts: Sequence[mox_store.Account], wake: Callable[[], None]) -> None:
        self._wake = wake
        self._watches = [account.watch(self._woken) for account in accounts]

    def _woken(self) -> None:
        for watch in self._watches:
            watch.take()  # or it would not wake again
        self._wake()

    def close(self) -> None:
        """mox_imap.Watch"""
        for watch in self._watches:
            watch.close()


def _lent(owner: str, mailbox: mox_store.Mailbox, rights: str, subscribed: bool) -> mox_imap.MailboxInfo:
    """Another person's mailbox, to be listed: what it is to them it is not to this user."""
    info = replace(
        _info(mailbox), name=shared.shown(owner, mailbox.name), special_use="", subscribed=subscribed,
        mailbox_id=f"F{mailbox.uidvalidity}{shared.mark(owner)}",
    )  # fmt: skip
    return info if "r" in rights else replace(info, uidnext=1, messages=0, unseen=0, deleted=0, size=0)


def _info(mailbox: mox_store.Mailbox) -> mox_imap.MailboxInfo:
    return mox_imap.MailboxInfo(
        mailbox.name, mailbox.uidvalidity, mailbox.uidnext, mailbox.total, mailbox.unseen, mailbox.deleted,
        mailbox.size, mailbox.special, mailbox.subscribed, mailbox.modseq,
        f"F{mailbox.uidvalidity}",
    )  # fmt: skip


class _Sink:
    """mox_imap.Sink"""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)

    def write(self, data: bytes) -> None:
        try:
            self.spool.write(data)
        except OSError as error:
            raise mox_imap.BackendError("OVERQUOTA", f"no room for the message: {error.strerror}") from error

    def abort(self) -> None:
        self.spool.close()


class AccountBackend(Extras):
    """mox_imap.Account, Watched, Replacing, Switched, Shared, Neighbours"""

    def __init__(
        self,
        account: mox_store.Account,
        spool: Path,
        clock: Callable[[], float],
        bits: Callable[[int], int],
        hidden: Sequence[str] = (),
        others: Others = shared.NOBODY,
    ) -> None:
        self.hidden_capabilities = hidden
        self._others = others
        self._account = account
        self._spool = spool
        self._clock = clock
        self._random_bits = bits

    def mailboxes(self) -> Sequence[mox_imap.MailboxInfo]:
        found = [_info(mailbox) for mailbox in self._account.mailboxes()]
        if lent := self._lent():
            own, subscribed = {info.name for info in found}, frozenset(self._account.subscriptions())
            infos = [
                _lent(owner, mailbox, rights, shared.shown(owner, mailbox.name) in subscribed)
                for owner, mailbox, rights in lent
            ]
            found += [info for info in infos if info.name not in own]
        return found

    def mailbox(self, name: str) -> mox_imap.MailboxInfo | None:
        found = self._account.mailbox(name)
        if found is not None or not name.startswith(shared.PREFIX):
            return _info(found) if found is not None else None
        try:
            place, there = self._there(name)
        except mox_imap.BackendError:
            return None
        return _lent(place.owner, there, self._held(place, there), place.full_name in self._account.subscriptions())

    def recent(self, name: str) -> int:
        """mox_imap.extensions.Recents"""
        place, there = self._there(name, "r")
        return place.account.recent(there.id)

    def subscriptions(self) -> Sequence[str]:
        return self._account.subscriptions()

    def open(self, name: str, wake: Callable[[], None]) -> mox_imap.Mailbox:
        found = self._account.mailbox(name)
        if found is not None:
            return OwnMailbox(self, self._account, found, wake)
        place, found = self._there(name, "r")
        return LentMailbox(self, place, found, wake) if place.owner else OwnMailbox(self, place.account, found, wake)

    def create(self, name: str, special_use: str) -> Any:
        if name == shared.NAMESPACE:
            raise mox_imap.BackendError("CANNOT", "what others share is shown there")
        place = self._place(name)
        if place.owner:
            self._room_to_create(place)
            if special_use:
                raise mox_imap.BackendError("USEATTR", "a mailbox of somebody else's has no special use for you")
        return self._do(lambda tx: tx.create(place.name, special_use), place.account)

    def delete(self, name: str) -> Any:
        place, _ = self._there(name, "x")
        return self._do(lambda tx: tx.delete(place.name), place.account)

    def rename(self, old: str, new: str) -> Any:
        source, _ = self._there(old, "x")
        target = self._place(new)
        if source.account is not target.account or new == shared.NAMESPACE:
            raise mox_imap.BackendError("CANNOT", "a mailbox stays with its owner; make one and move what is in it")
        if source.owner:
            self._room_to_create(target)
            if source.name == "Inbox":
                raise mox_imap.BackendError("CANNOT", "the Inbox is its owner's to rename")
        return self._do(lambda tx: tx.rename(source.name, target.name), source.account)

    def subscribe(self, name: str, wanted: bool) -> Any:
        if wanted and name.startswith(shared.PREFIX):
            place, _ = self._there(name, "l")
            name = place.full_name
        return self._do(lambda tx: tx.subscribe(name, wanted))

    def _do(self, operation: Callable[[mox_store.Transaction], Any], account: mox_store.Account | None = None) -> Any:
        return Mapped((account or self._account).commit(operation), lambda _: None)

    # -- from one account to another

    def carry(self, source: OwnMailbox, uids: Sequence[int], target: str, *, move: bool) -> Any:
        """COPY and MOVE where source or target are somebody else's."""
        place, there = self._destination(target)
        rights = self._held(place, there)
        run = self._carried_within if source.account is place.account else self._carried_across
        task = asyncio.get_running_loop().create_task(run(source, uids, place, there, rights, move))
        return Mapped(task)

    def _destination(self, name: str) -> tuple[Place, mox_store.Mailbox]:
        """Where messages may be put.  Raises BackendError, with TRYCREATE when that could help (RFC 4314 4)."""
        try:
            return self._there(name, "i")
        except mox_imap.BackendError as error:
            place = self._place(name)
            if error.code != "NONEXISTENT" or place.account.mailbox(place.name) is not None:
                raise
            if place.owner:
                self._room_to_create(place)
            raise mox_imap.BackendError("TRYCREATE", error.text) from error

    async def _carried_within(
        self, source: OwnMailbox, uids: Sequence[int], place: Place, there: mox_store.Mailbox, rights: str, move: bool
    ) -> mox_imap.Copied:
        def run(tx: mox_store.Transaction) -> mox_imap.Copied:
            box, into = tx.mailbox_by_id(source.id), tx.mailbox_by_id(there.id)
            pairs = tx.move(box, uids, into) if move else tx.copy(box, uids, into)
            into = tx.mailbox_by_id(there.id)
            withheld = [one for one in (*shared.SYSTEM, *into.keywords) if not shared.may_set(rights, one)]
            if withheld:
                tx.flag(into, [uid for _, uid in pairs], "remove", withheld)
            return mox_imap.Copied(there.uidvalidity, tuple(pairs))

        return await place.account.commit(run)

    async def _carried_across(
        self, source: OwnMailbox, uids: Sequence[int], place: Place, there: mox_store.Mailbox, rights: str, move: bool
    ) -> mox_imap.Copied:
        """All are added in one transaction; a move takes them away after that, so that none is lost in between."""
        made: list[tuple[int, mox_store.NewMessage]] = []
        carried = 0
        for row in list(source.rows(uids)):
            carried += row.size
            if carried > MAX_CARRIED:
                raise mox_imap.BackendError("LIMIT", f"at most {MAX_CARRIED >> 20} MB at once to another account")
            flags = source.flag_names(source.bits(row.uid) or 0)
            kept = [flag for flag in flags if shared.may_set(rights, flag)]
            content = source.content(row.message)
            step = Step("append", "accept", "copied from another account by who may")
            made.append((row.uid, await self._new(place.account, content, kept, row.received, step)))
            await asyncio.sleep(0)

        def run(tx: mox_store.Transaction) -> list[mox_store.Added]:
            into = tx.mailbox_by_id(there.id)
            return [tx.add(into, message) for _, message in made]

        added = await place.account.commit(run)
        if move:
            await source.take_away([uid for uid, _ in made])
        return mox_imap.Copied(
            there.uidvalidity, tuple((uid, one.uid) for (uid, _), one in zip(made, added, strict=True))
        )

    def sink(self) -> mox_imap.Sink:
        return _Sink(self._spool)

    def watch(self, wake: Callable[[], None]) -> _Watch:
        """mox_imap.Watched"""
        lent = (self._others.open(owner) for owner in self._account.sharers())
        return _Watch([self._account, *(account for account in lent if account is not None)], wake)

    def replace(self, source: str, uid: int, target: str, message: tuple[Any, Sequence[str], float | None]) -> Any:
        """mox_imap.Replacing"""
        place, _ = self._there(source)
        if place.account is not self._place(target).account:
            raise mox_imap.BackendError("CANNOT", "a message is not replaced by one in somebody else's account")
        if place.owner:
            self._there(source, "te")
        return Mapped(asyncio.get_running_loop().create_task(self._append(target, [message], (place.name, uid))))

    def append(self, name: str, messages: Sequence[tuple[Any, Sequence[str], float | None]]) -> Any:
        task = asyncio.get_running_loop().create_task(self._append(name, messages))
        return Mapped(task)

    async def _append(
        self,
        name: str,
        messages: Sequence[tuple[_Sink, Sequence[str], float | None]],
        replaced: tuple[str, int] | None = None,
    ) -> mox_imap.Appended:
        try:
            place, rights = self._place(name), shared.ALL
            if place.owner:
                place, there = self._destination(name)
                rights = self._held(place, there)
            step = Step("append", "accept", "the account's own client asked for it")
            made = [
                await self._new(
                    place.account, sink.spool.content(), [flag for flag in flags if shared.may_set(rights, flag)],
                    moment, step,
                )
                for sink, flags, moment in messages
            ]  # fmt: skip

            def run(tx: mox_store.Transaction) -> list[mox_store.Added]:
                mailbox = target_box(tx, place.name)
                added = [tx.add(mailbox, message) for message in made]
                if replaced is not None:
                    source, uid = replaced
                    if not tx.expunge(tx.mailbox(source), [uid], only_deleted=False):
                        raise mox_store.MailboxError("EXPUNGEISSUED", "the message to be replaced is gone")
                return added

            added = await place.account.commit(run)
            return mox_imap.Appended(added[0].uidvalidity, tuple(one.uid for one in added))
        finally:
            for sink, _, _ in messages:
                sink.abort()

    async def _new(
        self,
        account: mox_store.Account,
        content: mox_message.Content,
        flags: Sequence[str],
        moment: float | None,
        step: Step,
    ) -> mox_store.NewMessage:
        now = self._clock()
        if content.size < 4 << 20:
            part = mox_message.parse(content)
        else:
            part = await asyncio.to_thread(mox_message.parse, content)
        number = new_id(now, self._random_bits(RANDOM_BITS))
        decision = Decision(
            number,
            now,
            "append",
            "put there by a mail client",
            {"size": content.size, "by": self._account.name},
            [step],
        )
        staged = await account.stage(content) if content.size > mox_store.BLOB_LIMIT else None
        return mox_store.NewMessage(
            content=content,
            traits=deliver.traits_of(content, part),
            received=now if moment is None else moment,
            flags=tuple(flags),
            staged=staged,
            decision=(number, decision.to_json()),
        )

    def close(self) -> None:
        """mox_imap.Account; the store stays open."""


class ImapLogins:
    """mox_imap.Logins"""

    def __init__(
        self,
        logins: Logins,
        open_account: Callable[[str], AccountBackend],
        verifier: mox_sasl.Verifier,
        account_of: Callable[[bytes], str | None] = lambda der: None,
    ) -> None:
        self._account_of = account_of
        self._logins = logins
        self._open = open_account
        self._verifier = verifier

    def allowed(self, peer: IPv4Address | IPv6Address | None) -> bool:
        return self._logins.allowed(peer or _NOWHERE)

    def verifier(self) -> mox_sasl.Verifier:
        return self._verifier

    def password(self, name: str, password: str, peer: IPv4Address | IPv6Address | None) -> Any:
        return Mapped(asyncio.get_running_loop().create_task(self._check(name, password, peer or _NOWHERE)))

    async def _check(self, name: str, password: str, peer: IPv4Address | IPv6Address) -> AccountBackend | None:
        account = await self._logins.check(name, password, "imap")
        return self._outcome(account, name, "password", peer)

    def _outcome(
        self, account: str | None, name: str, mechanism: str, peer: IPv4Address | IPv6Address
    ) -> AccountBackend | None:
        if account is None:
            self._logins.failed(peer, name, mechanism, "imap")
            return None
        self._logins.succeeded(peer, account, mechanism, "imap")
        return self._opened(account)

    def _opened(self, account: str) -> AccountBackend:
        backend = self._open(account)
        backend.others = self._named
        return backend

    def _named(self, name: str) -> AccountBackend | None:
        account = self._logins.directory.login(name)
        return self._open(account) if account is not None else None

    def authenticated(self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None) -> Any:
        account = self._logins.directory.login(name)
        return mox_imap.Done(self._outcome(account, name, mechanism, peer or _NOWHERE))

    def by_certificate(self, der: bytes, peer: IPv4Address | IPv6Address | None) -> AccountBackend | None:
        """mox_imap.Keyed"""
        account = self._account_of(der)
        return self._outcome(account, account, "TLS key", peer or _NOWHERE) if account is not None else None

    def failed(self, name: str, mechanism: str, peer: IPv4Address | IPv6Address | None) -> None:
        self._logins.failed(peer or _NOWHERE, name, mechanism, "imap")
