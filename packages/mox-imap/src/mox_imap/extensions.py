"""What a backend may fulfil besides: each Protocol makes an extension possible, which is announced only then.

The Protocols are for accounts.  An account fulfils one by having its methods; nothing has to be registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mox_imap.backend import Account, Appended, FlagAction, Pending, Sink
from mox_imap.fulfils import fulfils


class Watch(Protocol):
    """Somebody is told of changes until close()."""

    def close(self) -> None: ...


@runtime_checkable
class Watched(Protocol):
    """NOTIFY (RFC 5465): the account says when anything in it may have changed; what, the session finds out."""

    def watch(self, wake: Callable[[], None]) -> Watch: ...


@runtime_checkable
class Recents(Protocol):
    """STATUS RECENT (RFC 3501 6.3.10), for accounts whose mailboxes are Notified."""

    def recent(self, name: str) -> int:
        """Of how many messages of a mailbox no session was notified."""
        ...


@runtime_checkable
class Identified(Protocol):
    """OBJECTID (RFC 8474): MailboxInfo.mailbox_id and Row.email_id are given, Row.thread_id where there is one."""

    @property
    def object_ids(self) -> bool: ...


@runtime_checkable
class Replacing(Protocol):
    """REPLACE (RFC 8508): a message takes the place of another, in one step."""

    def replace(
        self, source: str, uid: int, target: str, message: tuple[Sink, Sequence[str], float | None]
    ) -> Pending[Appended]:
        """Appends to `target` and removes `uid` from `source`; both or neither."""
        ...


@runtime_checkable
class Annotated(Protocol):
    """METADATA (RFC 5464): values by entry name (lower case); mailbox "" is the server."""

    @property
    def annotation_limits(self) -> tuple[int, int]:
        """(octets of a value, entries of a mailbox) at most."""
        ...

    def annotations(self, mailbox: str) -> Mapping[str, bytes]:
        """Raises BackendError("NONEXISTENT", …)."""
        ...

    def annotate(self, mailbox: str, values: Mapping[str, bytes | None]) -> Pending[None]:
        """Sets those, None removing; all or none.  Raises BackendError("METADATA TOOMANY", …)."""
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota root; resources as (name, usage, limit), STORAGE in units of 1024 octets (RFC 9208)."""

    root: str
    resources: tuple[tuple[str, int, int], ...]


@runtime_checkable
class Quoted(Protocol):
    """QUOTA (RFC 9208)."""

    def quotas(self, mailbox: str) -> Sequence[Quota]:
        """Those that hold for a mailbox."""
        ...

    def quota(self, root: str) -> Quota | None: ...
    def deleted_size(self, mailbox: str) -> int:
        """Octets of the messages with \\Deleted."""
        ...


@runtime_checkable
class QuotaGiving(Quoted, Protocol):
    """QUOTASET (RFC 9208): the user may set limits."""

    def set_quota(self, root: str, limits: Mapping[str, int]) -> Pending[Quota]:
        """The limits that are to hold, and no others.  Raises BackendError("NOPERM", …)."""
        ...


@runtime_checkable
class Shared(Protocol):
    """ACL (RFC 4314): rights are letters; the account refuses by itself what its user may not do."""

    def rights(self, mailbox: str) -> Mapping[str, str]:
        """Of everybody who was given some, the owner among them.  Raises BackendError."""
        ...

    def my_rights(self, mailbox: str) -> str: ...
    def grantable(self, mailbox: str, identifier: str) -> tuple[str, Sequence[str]]:
        """(what this identifier always has, what may be given it besides: letters that go together)."""
        ...

    def grant(self, mailbox: str, identifier: str, action: FlagAction, rights: str) -> Pending[None]:
        """Gives more, takes some, or gives exactly these; who is left with none has no entry.  Raises BackendError."""
        ...


@runtime_checkable
class Neighbours(Protocol):
    """Other users' mailboxes are among this account's (RFC 9051 6.3.10)."""

    @property
    def other_users(self) -> str:
        """What their names begin with, "/" at the end."""
        ...


def is_personal(account: Account | None, name: str) -> bool:
    """Is a mailbox the user's own?"""
    return not (fulfils(account, Neighbours) and name.startswith(account.other_users))


def may_read(account: Account | None, name: str) -> bool:
    """May the user read a mailbox, as far as anybody says otherwise (RFC 4314 4)?  Raises BackendError."""
    return is_personal(account, name) or not fulfils(account, Shared) or "r" in account.my_rights(name)


@runtime_checkable
class AccessUrls(Protocol):
    """URLAUTH (RFC 4467): every mailbox has a secret key, which URLs are signed with."""

    @property
    def user(self) -> str:
        """The name in URLs."""
        ...

    def url_key(self, mailbox: str) -> Pending[bytes]:
        """Its key, made when there is none.  Raises BackendError."""
        ...

    def reset_url_keys(self, mailbox: str | None) -> Pending[None]:
        """New keys for a mailbox, or for all of them: URLs that were signed are void."""
        ...

    def url_owner(self, user: str) -> Account | None:
        """The account whose URLs name `user`; they are only read from, and only with a signed URL."""
        ...


@runtime_checkable
class Switched(Protocol):
    """Capabilities that this account's clients are not told of, because they do not get on with them."""

    @property
    def hidden_capabilities(self) -> Sequence[str]: ...
