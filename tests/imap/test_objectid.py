"""OBJECTID, PREVIEW, WITHIN, and what is announced by whom."""

from __future__ import annotations

import pytest

from kit.imap_rooms import CLOCK, Room, message, numbered
from kit.play_imap import Client, play
from mox_imap import Account, ImapServer
from mox_imap.memory import MemoryBackend


def test_object_ids() -> None:
    room = Room(b"Message-ID: <a@x>\r\n\r\n", b"References: <a@x>\r\nMessage-ID: <b@x>\r\n\r\n", b"\r\n\r\nx")
    client = room.logged_in()
    assert client.ask("a CREATE Work")[-1] == "a OK [MAILBOXID (F2)] created"
    assert client.ask("a STATUS Work (MAILBOXID)")[0] == "* STATUS Work (MAILBOXID (F2))"
    client.ask("a RENAME Work Play")
    assert "* OK [MAILBOXID (F2)] for good" in client.ask("a SELECT Play")
    client.ask("a SELECT Inbox")
    client.ask("a COPY 1 Play")
    play(
        {"": client},
        """
        C: b FETCH 1:* (EMAILID THREADID)
        S= * 1 FETCH (EMAILID (M1) THREADID (T1))
        S= * 2 FETCH (EMAILID (M2) THREADID (T1))
        S= * 3 FETCH (EMAILID (M3) THREADID (T3))
        S: b OK
        C: c SEARCH THREADID T1
        S= * SEARCH 1 2
        S: c OK
        C: d SEARCH OR EMAILID M3 EMAILID M9
        S= * SEARCH 3
        S: d OK
        C: e SELECT Play
        S: e OK
        C: f FETCH 1 EMAILID
        S= * 1 FETCH (EMAILID (M1))
        S: f OK
    """,
    )


def test_preview() -> None:
    client = Room(message("s", "How are you?"), message("s", "=?"), message("s", "é" * 300)).selected()
    assert client.ask("a FETCH 1 PREVIEW")[0] == '* 1 FETCH (PREVIEW "How are you?")'
    assert client.ask("a FETCH 1 (PREVIEW (LAZY) UID)")[0] == '* 1 FETCH (PREVIEW "How are you?" UID 1)'
    assert client.ask("a FETCH 1 (PREVIEW (FAST))")[-1].startswith("a BAD")
    client.ask("b NOOP")
    assert len(client.ask("a FETCH 3 PREVIEW")[0]) < 300
    assert client.ask("c FETCH 1 FLAGS")[0] == "* 1 FETCH (FLAGS ())"  # looking at it is not reading


def test_within() -> None:
    room = Room()
    for age in (10, 100, 1000):
        room.account.deliver("Inbox", message(), received=CLOCK - age)
    client = room.selected()
    assert client.ask("a SEARCH OLDER 100")[0] == "* SEARCH 2 3"
    assert client.ask("a SEARCH YOUNGER 100")[0] == "* SEARCH 1 2"
    assert client.ask("a SEARCH OLDER 50 YOUNGER 500")[0] == "* SEARCH 2"
    assert client.ask("a SEARCH OLDER 0")[-1].startswith("a BAD")
    bare = Client(ImapServer(room.config, room.backend, now=0.0))
    assert "WITHIN" not in bare.said[0]


class Bare:
    """An account with no more than it must have."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getattr__(self, name: str) -> object:
        if name in ("mailboxes", "mailbox", "subscriptions", "open", "create", "delete", "rename", "subscribe", "sink",
                    "append", "close"):  # fmt: skip
            return getattr(self._account, name)
        raise AttributeError(name)


BY_BACKEND = {
    "NOTIFY": "NOTIFY NONE", "METADATA": 'GETMETADATA "" /private/comment', "QUOTA": 'GETQUOTA ""',
    "URLAUTH": "RESETKEY", "OBJECTID": "FETCH 1 EMAILID", "REPLACE": 'REPLACE 1 Inbox CATENATE (URL "x")',
    "FILTERS": "SEARCH FILTER x", "LIST-METADATA": 'LIST "" * RETURN (METADATA (/private/comment))',
}  # fmt: skip


@pytest.mark.parametrize("word", BY_BACKEND)
def test_announced_and_done_only_where_the_backend_can(word: str) -> None:
    room = numbered(1)
    full = room.selected()
    assert f" {word} " in full.ask("a CAPABILITY")[0] + " "
    assert not full.ask(f"b {BY_BACKEND[word]}")[-1].startswith("b BAD")
    room.backend.accounts["ann"] = Bare(room.account)  # type: ignore[assignment]
    bare = room.selected()
    assert f" {word} " not in bare.ask("a CAPABILITY")[0] + " "
    assert bare.ask(f"b {BY_BACKEND[word]}")[-1].startswith("b BAD")


def test_switches_of_an_account() -> None:
    room = numbered(1)
    room.account.hidden_capabilities = ("idle", "SORT", "CONDSTORE", "IMAP4rev2")
    client = room.logged_in()
    words = client.ask("a CAPABILITY")[0].split()
    assert not {"IDLE", "SORT", "SORT=DISPLAY", "CONDSTORE", "IMAP4rev2"} & set(words)
    assert {"IMAP4rev1", "QRESYNC", "ESORT"} <= set(words)
    assert client.ask("b ENABLE IMAP4rev2 CONDSTORE")[0] == "* ENABLED"


def test_the_backend_in_memory_needs_nobody() -> None:
    assert MemoryBackend().add("a", "b").mailboxes()[0].mailbox_id == "F1"
