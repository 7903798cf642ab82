"""UIDONLY (RFC 9586) and MESSAGELIMIT (RFC 9738)."""

from __future__ import annotations

import pytest

from kit.imap_rooms import message, numbered
from kit.play_imap import play


def test_numbers_are_gone() -> None:
    room = numbered(3)
    other = room.selected()
    other.ask("x STORE 1 +FLAGS (\\Deleted)")
    other.ask("x EXPUNGE")
    client = room.logged_in()
    play(
        {"": client, "2": other},
        """
        C: a ENABLE UIDONLY
        S= * ENABLED UIDONLY
        S: a OK
        C: b SELECT Inbox
        S: * 2 EXISTS
        S! * OK [UNSEEN
        S: b OK
        C: c UID FETCH 2:3 (FLAGS RFC822.SIZE)
        S: * 2 UIDFETCH (FLAGS () RFC822.SIZE
        S: * 3 UIDFETCH (FLAGS ()
        S: c OK
        C: d UID STORE 3 +FLAGS (\\Seen)
        S: * 3 UIDFETCH (FLAGS (\\Seen))
        S: d OK
        2 C: x STORE 1 +FLAGS (\\Deleted)
        2 S: x OK
        C: e NOOP
        S= * 2 UIDFETCH (FLAGS (\\Deleted))
        S: e OK
        C: f EXPUNGE
        S= * VANISHED 2
        S: f OK
        C: g UID SEARCH RETURN (ALL) SEEN
        S= * ESEARCH (TAG "g") UID ALL 3
        S: g OK
        C: h UID SEARCH 1:*
        S: h BAD [UIDREQUIRED]
        C: i UID SEARCH UID 1:*
        S: i OK
        C: j UID MOVE 3 Inbox
        S: * OK [COPYUID
        S: * VANISHED 3
        S: j OK
    """,
    )


@pytest.mark.parametrize(
    "command",
    ["FETCH 1 FLAGS", "STORE 1 FLAGS ()", "COPY 1 Inbox", "MOVE 1 Inbox", "SEARCH ALL", "SORT (DATE) UTF-8 ALL",
     "THREAD REFS UTF-8 ALL", "REPLACE 1 Inbox {1+}\r\nx"],
)  # fmt: skip
def test_uid_is_required(command: str) -> None:
    client = numbered(1).selected("ENABLE UIDONLY")
    client.hear(f"a {command}\r\n".encode())
    assert client.said[-1].startswith("a BAD [UIDREQUIRED]")


def test_enabled_with_a_mailbox_open_and_modseqs() -> None:
    client = numbered(2).selected("ENABLE CONDSTORE")
    assert client.ask("a ENABLE UIDONLY")[0] == "* ENABLED UIDONLY"
    assert client.ask("b UID STORE 2 +FLAGS.SILENT (\\Seen)")[0].startswith("* 2 UIDFETCH (MODSEQ (")
    assert client.ask("b UID STORE 2 +FLAGS (\\Flagged)")[0].startswith(
        "* 2 UIDFETCH (FLAGS (\\Seen \\Flagged) MODSEQ ("
    )


def test_commands_work_on_so_many_messages() -> None:
    room = numbered(7, message_limit=3)
    client = room.selected()
    assert " MESSAGELIMIT=3 " in client.ask("a CAPABILITY")[0]
    said = client.ask("a UID FETCH 1:* FLAGS")
    assert [line.split()[1] for line in said[:-1]] == ["5", "6", "7"]
    assert said[-1].startswith("a OK [MESSAGELIMIT 3 5] ")
    assert client.ask("a UID FETCH 1:4 FLAGS")[-1].startswith("a OK [MESSAGELIMIT 3 2] ")
    assert client.ask("a UID FETCH 1:3 FLAGS")[-1].startswith("a OK FETCH")
    assert client.ask("b UID SEARCH UNSEEN")[:2] == ["* SEARCH 5 6 7", "b OK [MESSAGELIMIT 3 5] done in part"]
    assert client.ask("b UID SEARCH UID 1:3 UNSEEN") == ["* SEARCH 1 2 3", "b OK SEARCH done"]
    assert client.ask("c UID STORE 1:* +FLAGS.SILENT (\\Deleted)")[-1].startswith("c OK [MESSAGELIMIT 3 5]")
    assert client.ask("c UID STORE 1:* (UNCHANGEDSINCE 99) +FLAGS (\\Seen)")[-1].startswith("c NO [MESSAGELIMIT 3]")
    assert client.ask("c UID STORE 1:3 +FLAGS.SILENT (\\Deleted)")[-1].startswith("c OK STORE")
    assert client.ask("d UID COPY 1:* Inbox")[-1].startswith("d NO [MESSAGELIMIT 3]")
    assert client.ask("d UID MOVE 1:4 Inbox")[-1].startswith("d NO [MESSAGELIMIT 3]")
    assert client.ask("e EXPUNGE")[-1].startswith("e OK [MESSAGELIMIT 3 5]")
    assert client.ask("e UID EXPUNGE 1:*")[-1].startswith("e OK EXPUNGE")
    assert client.ask("f UID SEARCH ALL")[0] == "* SEARCH 4"


def test_without_a_limit_it_is_not_announced() -> None:
    room = numbered(1)
    room.account.deliver("Inbox", message())
    assert "MESSAGELIMIT" not in room.logged_in().ask("a CAPABILITY")[0]
