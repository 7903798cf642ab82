"""ACL (RFC 4314) and LIST-MYRIGHTS (RFC 8440), with an account that keeps rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from kit.imap_rooms import Room
from kit.play_imap import Client, play
from mox_imap import BackendError, Mailbox, MailboxInfo, Pending
from mox_imap.backend import FlagAction
from mox_imap.memory import MemoryAccount
from mox_imap.memory.mailbox import OpenMailbox

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

    def grant(self, mailbox: str, identifier: str, action: FlagAction, rights: str) -> Pending[None]:
        def run() -> None:
            self._box(mailbox)
            if identifier == self.user:
                raise BackendError("NOPERM", "the owner keeps all rights")
            kept = self.given.setdefault(mailbox, {})
            had = kept.pop(identifier, "")
            after = {"add": {*had, *rights}, "remove": {*had} - {*rights}, "replace": {*rights}}[action]
            if after:
                kept[identifier] = "".join(one for one in ALL if one in after)

        return self._backend.do(run)


def client() -> Client:
    room = Room()
    account = Keeping(room.backend, "ann")
    account.given = {}
    room.backend.accounts["ann"] = account
    account.create("Shut", "")
    return room.logged_in()


class Lent(OpenMailbox):
    """mox_imap.Righted"""

    letters = "lr"

    def my_rights(self) -> str:
        return self.letters


class Neighbour(Keeping):
    """mox_imap.Neighbours: with mailboxes of others, in which not everything is allowed."""

    other_users = "~/"

    def mailboxes(self) -> Sequence[MailboxInfo]:
        return [info for info in super().mailboxes() if info.name not in ("~", "~/bob")]

    def open(self, name: str, wake: Callable[[], None]) -> Mailbox:
        if not name.startswith("~/"):
            return super().open(name, wake)
        return Lent(self, self._box(name), wake)


def neighbour(letters: str) -> Client:
    room = Room()
    account = Neighbour(room.backend, "ann")
    account.given = {}
    room.backend.accounts["ann"] = account
    account.create("~/bob/Plans", "")
    for name in ("Inbox", "~/bob/Plans"):
        account.deliver(name, b"Subject: x\r\n\r\nhello\r\n", ("\\Deleted",), None)
    Lent.letters = letters
    return room.logged_in()


def test_other_users() -> None:
    play(
        {"": neighbour("lr")},
        """
        C: a NAMESPACE
        S= * NAMESPACE (("" "/")) (("~/" "/")) NIL
        S: a OK
        C: b LIST "" %
        S= * LIST (\\HasNoChildren) "/" INBOX
        S= * LIST (\\Noselect \\HasChildren) "/" ~
        S: b OK
        C: c LIST "" ~/%/%
        S= * LIST (\\HasNoChildren) "/" ~/bob/Plans
        S: c OK
        C: d LIST (SUBSCRIBED) "" %
        S= * LIST (\\HasNoChildren \\Subscribed) "/" INBOX
        S: d OK
        C: e ESEARCH IN (PERSONAL) ALL
        S: * ESEARCH (TAG "e" MAILBOX INBOX
        S: e OK
        C: f ESEARCH IN (MAILBOXES ~/bob/Plans) ALL
        S: * ESEARCH (TAG "f" MAILBOX ~/bob/Plans
        S: f OK
        """,
    )


@pytest.mark.parametrize(
    ("letters", "flags", "only"),
    [
        ("lr", b"", b"ONLY"), ("lri", b"", b"WRITE"), ("lrs", b"\\Seen", b"WRITE"), ("lrt", b"\\Deleted", b"WRITE"),
        ("lrw", b"\\Answered \\Flagged \\Draft \\*", b"WRITE"), ("lre", b"", b"WRITE"),
    ],
)  # fmt: skip
def test_what_may_be_changed_is_offered(letters: str, flags: bytes, only: bytes) -> None:
    said = neighbour(letters).ask("a SELECT ~/bob/Plans")
    assert any(b"[PERMANENTFLAGS (%s)]" % flags in line.encode() for line in said), said
    assert f"[READ-{only.decode()}]" in said[-1]


@pytest.mark.parametrize(("letters", "seen", "left"), [("lrw", False, 1), ("lrs", True, 1), ("lrse", True, 0)])
def test_seen_and_close_need_their_rights(letters: str, seen: bool, left: int) -> None:
    client = neighbour(letters)
    client.ask("a SELECT ~/bob/Plans")
    client.ask("b FETCH 1 BODY[]")
    assert any("\\Seen" in line for line in client.ask("c FETCH 1 FLAGS")) == seen
    client.ask("d CLOSE")
    assert f"(MESSAGES {left})" in client.ask("e STATUS ~/bob/Plans (MESSAGES)")[0]


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
