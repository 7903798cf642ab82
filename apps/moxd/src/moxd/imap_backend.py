"""mox_store as mox_imap.backend: values of one side as values of the other, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeVar

import mox_imap
import mox_message
import mox_sasl
import mox_store
from moxd import deliver
from moxd.decision import RANDOM_BITS, Decision, Step, new_id
from moxd.imap_extras import Extras
from moxd.login import Logins
from moxd.spool import Spool

T = TypeVar("T")
_NOWHERE = IPv4Address(0)
DELETED = int(mox_store.Flag.DELETED)
# So many messages are changed in one transaction: 5,000 take some 40 ms of the loop.
SLICE = 5000


def _told(error: BaseException) -> BaseException:
    if isinstance(error, mox_store.MailboxError):
        return mox_imap.BackendError(error.code, str(error))
    if isinstance(error, mox_store.StoreError):
        return mox_imap.BackendError("SERVERBUG", "could not be written to disk now")
    return error


class _Mapped:
    """A future whose result and errors are put into IMAP's words."""

    def __init__(self, future: asyncio.Future[Any] | _Listed, turn: Callable[[Any], Any] = lambda value: value) -> None:
        self._future = future
        self._turn = turn

    def done(self) -> bool:
        """mox_imap.Pending"""
        return self._future.done()

    def result(self) -> Any:
        """mox_imap.Pending"""
        try:
            return self._turn(self._future.result())
        except Exception as error:
            raise _told(error) from error

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """mox_imap.Pending: it is this that is done, for whoever asks which one it was."""
        self._future.add_done_callback(lambda _: callback(self))
        return None


class _Listed:
    """A future of one as a future of a list, without a task."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        self.done = future.done
        self.add_done_callback = future.add_done_callback

    def result(self) -> list[Any]:
        return [self._future.result()]


class _Watch:
    """mox_imap.Watch: that something changed is told, what it was is not kept."""

    def __init__(self, account: mox_store.Account, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._watch = account.watch(self._woken)

    def _woken(self) -> None:
        self._watch.take()  # or it would not wake again
        self._wake()

    def close(self) -> None:
        """mox_imap.Watch"""
        self._watch.close()


class _Mailbox:
    """mox_imap.IndexedMailbox"""

    def __init__(self, account: mox_store.Account, mailbox: mox_store.Mailbox, wake: Callable[[], None]) -> None:
        self._account = account
        self._id = mailbox.id
        self._mailbox = mailbox
        self._view = account.open_view(mailbox.id)
        self._watch = account.watch(wake)
        self._names: dict[int, list[str]] = {}
        self.name = mailbox.name
        self.uidvalidity = mailbox.uidvalidity

    def _fresh(self) -> mox_store.Mailbox:
        found = self._account.mailbox_by_id(self._id)
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

    def highest_modseq(self) -> int:
        # Not what the view has not heard of: a client that leaves now would never be told.
        return max(1, min(self._fresh().modseq, self._view.modseq))

    def expunged_since(self, modseq: int) -> Sequence[int]:
        return self._account.expunged_since(self._id, modseq)

    def _sliced(
        self, uids: Sequence[int], operation: Callable[[mox_store.Transaction, Sequence[int]], T]
    ) -> asyncio.Future[list[T]] | _Listed:
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
        return _Listed(self._account.commit(lambda tx: operation(tx, uids)))

    def store_unchanged(self, uids: Sequence[int], action: Any, flags: Sequence[str], unchanged_since: int) -> Any:
        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_store.Flagged:
            return tx.flag(tx.mailbox_by_id(self._id), some, action, flags, unchanged_since)

        return _Mapped(
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
        return map(_row, self._account.rows(self._id, uids))

    def cells(self, uids: Sequence[int], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
        """mox_imap.Celled"""
        return self._account.cells(self._id, uids, names)

    def gone_row(self, message: int) -> mox_imap.Row | None:
        return next(map(_row, self._account.message_rows([message])), None)

    def content(self, message: int) -> mox_message.Content:
        try:
            return self._account.content(message)
        except mox_store.StoreError as error:
            raise mox_imap.BackendError("EXPUNGEISSUED", str(error)) from error

    def store(self, uids: Sequence[int], action: Any, flags: Sequence[str]) -> Any:
        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_store.Flagged:
            return tx.flag(tx.mailbox_by_id(self._id), some, action, flags)

        return _Mapped(
            self._sliced(uids, run), lambda done: [(uid, bits) for one in done for uid, bits, _ in one.changed]
        )

    def copy(self, uids: Sequence[int], target: str) -> Any:
        return self._carry(uids, target, move=False)

    def move(self, uids: Sequence[int], target: str) -> Any:
        return self._carry(uids, target, move=True)

    def _carry(self, uids: Sequence[int], target: str, *, move: bool) -> Any:
        def run(tx: mox_store.Transaction, some: Sequence[int]) -> mox_imap.Copied:
            source, there = tx.mailbox_by_id(self._id), _target(tx, target)
            pairs = tx.move(source, some, there) if move else tx.copy(source, some, there)
            return mox_imap.Copied(there.uidvalidity, tuple(pairs))

        if not move:  # RFC 9051 6.4.7: all or none
            return _Mapped(self._account.commit(lambda tx: run(tx, uids)))
        # RFC 6851 3.3: each message is moved wholly, not all of them.
        return _Mapped(
            self._sliced(uids, run),
            lambda done: mox_imap.Copied(done[0].uidvalidity, tuple(pair for one in done for pair in one.pairs)),
        )

    def expunge(self, uids: Sequence[int] | None) -> Any:
        if uids is None:
            marked = [uid for uid, bits in zip(self._view.uids, self._view.flags, strict=True) if bits & DELETED]
            if len(marked) <= SLICE:
                return _Mapped(self._account.commit(lambda tx: tx.expunge(tx.mailbox_by_id(self._id), None)))
            uids = marked
        return _Mapped(
            self._sliced(uids, lambda tx, some: tx.expunge(tx.mailbox_by_id(self._id), some)),
            lambda done: [uid for one in done for uid in one],
        )

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


def _target(tx: mox_store.Transaction, name: str) -> mox_store.Mailbox:
    try:
        return tx.mailbox(name)
    except mox_store.MailboxError as error:
        raise mox_store.MailboxError("TRYCREATE", str(error)) from error


def _row(row: mox_store.Row) -> mox_imap.Row:
    uid, message, size, received, saved, envelope, structure, header, preview, sent, subject, thread, _ = row
    return mox_imap.Row(
        uid, message, size, received, saved, envelope, structure, header, sent, f"M{message}", f"T{thread}", preview,
        subject.casefold() or None,
    )  # fmt: skip


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
    """mox_imap.Account, Watched, Replacing, Switched"""

    def __init__(
        self,
        account: mox_store.Account,
        spool: Path,
        clock: Callable[[], float],
        bits: Callable[[int], int],
        hidden: Sequence[str] = (),
    ) -> None:
        self.hidden_capabilities = hidden
        self._account = account
        self._spool = spool
        self._clock = clock
        self._random_bits = bits

    def mailboxes(self) -> Sequence[mox_imap.MailboxInfo]:
        return [_info(mailbox) for mailbox in self._account.mailboxes()]

    def mailbox(self, name: str) -> mox_imap.MailboxInfo | None:
        found = self._account.mailbox(name)
        return _info(found) if found is not None else None

    def subscriptions(self) -> Sequence[str]:
        return self._account.subscriptions()

    def open(self, name: str, wake: Callable[[], None]) -> mox_imap.Mailbox:
        found = self._account.mailbox(name)
        if found is None:
            raise mox_imap.BackendError("NONEXISTENT", "no such mailbox")
        return _Mailbox(self._account, found, wake)

    def create(self, name: str, special_use: str) -> Any:
        return self._do(lambda tx: tx.create(name, special_use))

    def delete(self, name: str) -> Any:
        return self._do(lambda tx: tx.delete(name))

    def rename(self, old: str, new: str) -> Any:
        return self._do(lambda tx: tx.rename(old, new))

    def subscribe(self, name: str, wanted: bool) -> Any:
        return self._do(lambda tx: tx.subscribe(name, wanted))

    def _do(self, operation: Callable[[mox_store.Transaction], Any]) -> Any:
        return _Mapped(self._account.commit(operation), lambda _: None)

    def sink(self) -> mox_imap.Sink:
        return _Sink(self._spool)

    def watch(self, wake: Callable[[], None]) -> _Watch:
        """mox_imap.Watched"""
        return _Watch(self._account, wake)

    def replace(self, source: str, uid: int, target: str, message: tuple[Any, Sequence[str], float | None]) -> Any:
        """mox_imap.Replacing"""
        return _Mapped(asyncio.get_running_loop().create_task(self._append(target, [message], (source, uid))))

    def append(self, name: str, messages: Sequence[tuple[Any, Sequence[str], float | None]]) -> Any:
        task = asyncio.get_running_loop().create_task(self._append(name, messages))
        return _Mapped(task)

    async def _append(
        self,
        name: str,
        messages: Sequence[tuple[_Sink, Sequence[str], float | None]],
        replaced: tuple[str, int] | None = None,
    ) -> mox_imap.Appended:
        try:
            made = [await self._made(sink, flags, moment) for sink, flags, moment in messages]

            def run(tx: mox_store.Transaction) -> list[mox_store.Added]:
                mailbox = _target(tx, name)
                added = [tx.add(mailbox, message) for message in made]
                if replaced is not None:
                    source, uid = replaced
                    if not tx.expunge(tx.mailbox(source), [uid], only_deleted=False):
                        raise mox_store.MailboxError("EXPUNGEISSUED", "the message to be replaced is gone")
                return added

            added = await self._account.commit(run)
            return mox_imap.Appended(added[0].uidvalidity, tuple(one.uid for one in added))
        finally:
            for sink, _, _ in messages:
                sink.abort()

    async def _made(self, sink: _Sink, flags: Sequence[str], moment: float | None) -> mox_store.NewMessage:
        content = sink.spool.content()
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
            {"size": content.size},
            [Step("append", "accept", "the account's own client asked for it")],
        )
        staged = await self._account.stage(content) if content.size > mox_store.BLOB_LIMIT else None
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
        return _Mapped(asyncio.get_running_loop().create_task(self._check(name, password, peer or _NOWHERE)))

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
