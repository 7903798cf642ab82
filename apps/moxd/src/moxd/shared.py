"""Whose mailbox a name means, and what its user may do there (RFC 4314).

Other people's mailboxes are called Other Users/ACCOUNT/MAILBOX (RFC 2342 5).  Rights live with the mailbox, in its
owner's database; an account that was given some has a note of whose, so that LIST does not look into every account."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mox_imap
import mox_store
from moxd.imap_pending import Mapped

NAMESPACE = "Other Users"
PREFIX = NAMESPACE + "/"
ALL = "lrswipkxtea"
ANYONE = "anyone"  # RFC 4314 3
Action = Literal["add", "remove", "replace"]
SYSTEM = ("\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft")
# Who has none of these does not learn that a mailbox is there (RFC 4314 6).
SHOWING = frozenset("lrikxa")


@dataclass(frozen=True, slots=True)
class Others:
    """The other accounts: opens one that there is, knows whose a login name is, names all."""

    open: Callable[[str], mox_store.Account | None] = lambda name: None
    login: Callable[[str], str | None] = lambda name: None
    names: Callable[[], Iterable[str]] = tuple


NOBODY = Others()


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox that is there or could be: the account it is in, its name there; whose that is ("": the user's own)."""

    account: mox_store.Account
    name: str
    owner: str = ""

    @property
    def full_name(self) -> str:
        """As this user calls it."""
        return shown(self.owner, self.name)


def shown(owner: str, name: str) -> str:
    """What a mailbox is called by somebody to whom `owner` lent it ("": it is theirs)."""
    return f"{PREFIX}{owner}/{name}" if owner else name


def mark(owner: str) -> str:
    """What is put behind object ids, which are numbers in one account, to tell them from those of others."""
    return "-" + hashlib.sha256(owner.encode()).hexdigest()[:12] if owner else ""


def held(rights: Mapping[str, str], who: str) -> str:
    """The rights of an account: its own and everybody's."""
    return ordered({*rights.get(who, ""), *rights.get(ANYONE, "")})


def ordered(letters: Iterable[str]) -> str:
    """Rights as RFC 4314 writes them."""
    there = set(letters)
    return "".join(one for one in ALL if one in there)


def may_set(rights: str, flag: str) -> bool:
    """Do these rights allow to change a flag (RFC 4314 4)?"""
    return {"\\seen": "s", "\\deleted": "t"}.get(flag.lower(), "w") in rights


def nowhere() -> mox_imap.BackendError:
    """That there is no such mailbox, or that the user is not to know of it."""
    return mox_imap.BackendError("NONEXISTENT", "no such mailbox")


def refused(wanted: str) -> mox_imap.BackendError:
    """That a right is missing."""
    return mox_imap.BackendError("NOPERM", f"that takes the right {wanted!r}, which the owner has not given")


class Sharing:
    """mox_imap.Shared, mox_imap.Neighbours"""

    other_users = PREFIX
    _account: mox_store.Account
    _others: Others

    # -- places

    def _place(self, name: str) -> Place:
        """Raises BackendError for what belongs to nobody."""
        if not name.startswith(PREFIX) or self._account.mailbox(name) is not None:
            return Place(self._account, mox_store.canonical(name))
        owner, _, inner = name.removeprefix(PREFIX).partition("/")
        account = self._others.open(owner) if inner and owner != self._account.name else None
        if account is None:
            raise nowhere()
        return Place(account, mox_store.canonical(inner), owner)

    def _held(self, place: Place, mailbox: mox_store.Mailbox) -> str:
        return held(place.account.rights(mailbox.id), self._account.name) if place.owner else ALL

    def _there(self, name: str, needs: str = "") -> tuple[Place, mox_store.Mailbox]:
        """A mailbox in which the user has all of these rights.  Raises BackendError."""
        place = self._place(name)
        found = place.account.mailbox(place.name)
        if found is None:
            raise nowhere()
        if place.owner:
            rights = self._held(place, found)
            if SHOWING.isdisjoint(rights):
                raise nowhere()
            for one in needs:
                if one not in rights:
                    raise refused(one) if "l" in rights else nowhere()
        return place, found

    def _room_to_create(self, place: Place) -> None:
        """RFC 4314 4: creating takes the right k of the nearest mailbox above.  Raises BackendError."""
        above = place.name
        while above:
            above = above.rpartition("/")[0]
            if above and (found := place.account.mailbox(above)) is not None:
                rights = self._held(place, found)
                if "k" not in rights:
                    raise refused("k") if "l" in rights else nowhere()
                return
        raise refused("k")

    def _lent(self) -> list[tuple[str, mox_store.Mailbox, str]]:
        """(owner, mailbox, rights) of other people's mailboxes that are to be listed."""
        found = []
        for owner in self._account.sharers():
            account = self._others.open(owner)
            if account is None:
                continue
            given = account.all_rights()
            for mailbox in account.mailboxes() if given else ():
                rights = held(given.get(mailbox.id, {}), self._account.name)
                if "l" in rights:
                    found.append((owner, mailbox, rights))
        return found

    # -- mox_imap.Shared

    def rights(self, mailbox: str) -> Mapping[str, str]:
        """Everybody's, the owner's first."""
        place, found = self._there(mailbox, "a")
        return {place.account.name: ALL, **place.account.rights(found.id)}

    def my_rights(self, mailbox: str) -> str:
        """This user's."""
        place, found = self._there(mailbox)
        return self._held(place, found)

    def grantable(self, mailbox: str, identifier: str) -> tuple[str, Sequence[str]]:
        """The owner has everything for ever; others may be given each right by itself."""
        place, _ = self._there(mailbox, "a")
        who = self._who(identifier)
        if who is None:
            return "", ()
        return (ALL, ()) if who == place.account.name else ("", tuple(ALL))

    def grant(self, mailbox: str, identifier: str, action: Action, rights: str) -> Any:
        """Gives or takes rights."""
        place, found = self._there(mailbox, "a")
        who = self._who(identifier)
        if who is None:
            negative = identifier.startswith("-")
            raise mox_imap.BackendError(
                "CANNOT", "there are no negative rights" if negative else f"nobody here is called {identifier[:80]}"
            )
        if who == place.account.name:
            raise mox_imap.BackendError("NOPERM", "the owner keeps all rights")
        task = asyncio.get_running_loop().create_task(give(place.account, found.id, who, action, rights, self._others))
        return Mapped(task, lambda _: None)

    def _who(self, identifier: str) -> str | None:
        return ANYONE if identifier == ANYONE else self._others.login(identifier)


async def give(account: mox_store.Account, mailbox: int, who: str, action: Action, rights: str, others: Others) -> None:
    """Gives `who` more rights in a mailbox, or fewer, or exactly these, durably.

    The note in the other account comes before the right and goes after it, so that a right is never without its note;
    a note without a right does no harm, and `put_right` takes it away."""
    concerned = [name for name in others.names() if name != account.name] if who == ANYONE else [who]
    if rights and action != "remove":
        for name in concerned:
            if (other := others.open(name)) is not None and account.name not in other.sharers():
                await other.commit(lambda tx: tx.set_sharer(account.name, True))

    def run(tx: mox_store.Transaction) -> set[str]:
        had, letters = set(tx.rights(mailbox).get(who, "")), set(rights)
        after = had | letters if action == "add" else had - letters if action == "remove" else letters
        tx.set_rights(tx.mailbox_by_id(mailbox), who, after)
        return after

    if not await account.commit(run):
        await put_right(others, concerned, [account])


async def put_right(others: Others, names: Iterable[str], owners: Iterable[mox_store.Account]) -> None:
    """Makes the notes of these accounts about these owners what the owners' rights say."""
    owners = list(owners)
    given = [(owner, owner.all_rights()) for owner in owners]
    for name in names:
        other = others.open(name)
        if other is None:
            continue
        noted = set(other.sharers())
        for owner, rights in given:
            shares = owner.name != name and any(held(some, name) for some in rights.values())
            if shares != (owner.name in noted):
                await other.commit(lambda tx, owner=owner.name, shares=shares: tx.set_sharer(owner, shares))  # type: ignore[misc]
