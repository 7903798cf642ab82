"""ACL (RFC 4314) and LIST-MYRIGHTS (RFC 8440), with an account that keeps rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kit.imap_rooms import Room
from kit.play_imap import Client, play
from mox_imap import BackendError, Pending
from mox_imap.memory import MemoryAccount

ALL = "lrswipkxtea"


class Keeping(MemoryAccount):
    """mox_imap.Shared: the owner has all rights for ever, others what they were given."""

    given: dict[str, dict[str, str]]

    def rights(self, mailbox: str) -> Mapping[str, str]:
        self._box(mailbox)
        return {self.user: ALL, **self.given.get(mailbox, {})}

    def my_rights(self, mailbox: str) -> str:
        self._box(mailbox)
        return ALL if mailbox != "Shut" else "lr"

    def grantable(self, mailbox: str, identifier: str) -> tuple[str, Sequence[str]]:
        return (ALL, ()) if identifier == self.user else ("", ["l", "r", "s", "w", "i", "p", "k", "x", "te", "a"])

    def grant(self, mailbox: str, identifier: str, rights: str | None) -> Pending[None]:
        def run() -> None:
            self._box(mailbox)
            if identifier == self.user:
                raise BackendError("NOPERM", "the owner keeps all rights")
            kept = self.given.setdefault(mailbox, {})
            kept.pop(identifier, None)
            if rights:
                kept[identifier] = rights

        return self._backend.do(run)


def client() -> Client:
    room = Room()
    account = Keeping(room.backend, "ann")
    account.given = {}
    room.backend.accounts["ann"] = account
    account.create("Shut", "")
    return room.logged_in()


def test_conversation() -> None:
    play(
        {"": client()},
        """
        C: a CAPABILITY
        S: * CAPABILITY
        S: a OK
        C: b SETACL INBOX bob lrc
        S: b OK
        C: c GETACL INBOX
        S= * ACL INBOX ann lrswipkxteacd bob lrkxc
        S: c OK
        C: d SETACL INBOX bob -x
        S: d OK
        C: e SETACL INBOX "bob" +s
        S: e OK
        C: f GETACL INBOX
        S= * ACL INBOX ann lrswipkxteacd bob lrskc
        S: f OK
        C: g DELETEACL INBOX bob
        S: g OK
        C: h GETACL INBOX
        S= * ACL INBOX ann lrswipkxteacd
        S: h OK
        C: i LISTRIGHTS INBOX bob
        S= * LISTRIGHTS INBOX bob "" l r s w i p k x te a
        S: i OK
        C: j LISTRIGHTS INBOX ann
        S= * LISTRIGHTS INBOX ann lrswipkxtea
        S: j OK
        C: k MYRIGHTS INBOX
        S= * MYRIGHTS INBOX lrswipkxteacd
        S: k OK
        C: l SETACL INBOX ann lr
        S: l NO [NOPERM]
        C: m SETACL INBOX bob Q
        S: m BAD
        C: n GETACL Shut
        S: n NO [NOPERM]
        C: o GETACL Nowhere
        S: o NO [NONEXISTENT]
        C: p LIST "" "I*" RETURN (MYRIGHTS)
        S= * MYRIGHTS INBOX lrswipkxteacd
        S: p OK
    """,
    )


def test_it_is_announced_only_where_it_is() -> None:
    assert " ACL RIGHTS=texk LIST-MYRIGHTS" in client().ask("a CAPABILITY")[0]
    other = Room().logged_in()
    assert "ACL" not in other.ask("a CAPABILITY")[0]
    assert other.ask("a MYRIGHTS INBOX")[-1].startswith("a BAD")
    assert other.ask('a LIST "" * RETURN (MYRIGHTS)')[-1].startswith("a BAD")
