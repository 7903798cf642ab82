"""SELECT, CREATE and their like, STATUS, CLOSE."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import play


def test_select_rev1() -> None:
    room = numbered(3)
    room.account.deliver("Inbox", message(), ("\\Seen", "$Forwarded"))
    assert room.logged_in().ask("a SELECT INBOX") == [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)",
        "* 4 EXISTS",
        "* 1 RECENT",
        "* OK [UNSEEN 1] first unseen",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded \\*)] limited",
        "* OK [UIDVALIDITY 1] for good",
        "* OK [UIDNEXT 5] at least",
        "* OK [HIGHESTMODSEQ 6] highest",
        "* OK [MAILBOXID (F1)] for good",
        "a OK [READ-WRITE] opened",
    ]


def test_select_rev2() -> None:
    client = numbered(1).logged_in()
    client.ask("a ENABLE IMAP4rev2")
    said = client.ask("b EXAMINE Inbox")
    assert '* LIST () "/" INBOX' in said
    assert not any("RECENT" in line or "UNSEEN" in line for line in said)
    assert "* OK [PERMANENTFLAGS ()] limited" in said
    assert said[-1] == "b OK [READ-ONLY] opened"


def test_read_only_means_it() -> None:
    client = numbered(2).logged_in()
    play({"": client}, """
        C: a EXAMINE Inbox
        S: a OK [READ-ONLY]
        C: b STORE 1 +FLAGS (\\Deleted)
        S: b NO [READ-ONLY]
        C: c EXPUNGE
        S: c NO [READ-ONLY]
        C: d MOVE 1 Sent
        S: d NO [READ-ONLY]
        C: e FETCH 1 BODY[]
        S: * 1 FETCH (BODY[]
        S: e OK
        C: f FETCH 1 FLAGS
        S: * 1 FETCH (FLAGS ())
        S: f OK
        C: g CLOSE
        S: g OK
        C: h NOOP
        S: h OK
        C: i FETCH 1 FLAGS
        S: i BAD
    """)  # fmt: skip


def test_a_failed_select_leaves_nothing_open() -> None:
    play({"": numbered(1).selected()}, """
        C: a SELECT nowhere
        S: * OK [CLOSED]
        S: a NO [NONEXISTENT]
        C: b FETCH 1 FLAGS
        S: b BAD
        C: c UNSELECT
        S: c BAD
    """)  # fmt: skip


def test_create_delete_rename() -> None:
    play({"": Room().logged_in()}, """
        C: a CREATE one/two/three
        S: a OK
        C: b LIST "" "*"
        S: * LIST (\\HasNoChildren) "/" INBOX
        S: * LIST (\\HasChildren) "/" one
        S: * LIST (\\HasChildren) "/" one/two
        S: * LIST (\\HasNoChildren) "/" one/two/three
        S: b OK
        C: c CREATE one
        S: c NO [ALREADYEXISTS]
        C: d DELETE one
        S: d NO [HASCHILDREN]
        C: e RENAME one uno
        S: e OK
        C: f LIST "" "%/%"
        S: * LIST (\\HasChildren) "/" uno/two
        S: f OK
        C: g DELETE uno/two/three
        S: g OK
        C: h DELETE nowhere
        S: h NO [NONEXISTENT]
        C: i DELETE INBOX
        S: i NO [CANNOT]
        C: j CREATE drafts/
        S: j OK
        C: k CREATE Papierkorb (USE (\\Trash))
        S: k OK
        C: l CREATE x (USE (\\Flagged))
        S: l NO [USEATTR]
        C: m LIST "" Papierkorb
        S= * LIST (\\HasNoChildren \\Trash) "/" Papierkorb
        S: m OK
        C: n RENAME uno uno/below
        S: n NO [CANNOT]
    """)  # fmt: skip


def test_renaming_the_inbox_moves_its_messages() -> None:
    room = numbered(2)
    client = room.logged_in()
    assert client.ask("a RENAME INBOX old")[-1].startswith("a OK")
    assert "* STATUS INBOX (MESSAGES 0)" in client.ask("b STATUS INBOX (MESSAGES)")
    assert "* STATUS old (MESSAGES 2)" in client.ask("c STATUS old (MESSAGES)")


def test_status() -> None:
    room = numbered(2)
    room.account.deliver("Inbox", message(), ("\\Seen", "\\Deleted"))
    client = room.logged_in()
    size = sum(len(message(f"message {n}", f"body {n}")) for n in (1, 2)) + len(message())
    said = client.ask("a STATUS inbox (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT)")
    assert said[0] == f"* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1 UNSEEN 2 DELETED 1 SIZE {size} RECENT 1)"
    assert client.ask("b STATUS nowhere (MESSAGES)")[-1].startswith("b NO [NONEXISTENT]")
    assert client.ask("c STATUS inbox (NONSENSE)")[-1].startswith("c BAD")
    assert client.ask("d STATUS inbox MESSAGES")[-1].startswith("d BAD")


@pytest.mark.parametrize(
    "said, shown",
    [
        ("Entw&APw-rfe", "Entw&APw-rfe"),
        ('"a b"', '"a b"'),
        ("R&-D", "R&-D"),
        ("{7}", None),
    ],
)
def test_names_in_utf7(said: str, shown: str | None) -> None:
    client = Room().logged_in()
    if shown is None:
        assert client.ask(f"a CREATE {said}") == ["+ go ahead"]
        client.hear("Büro 1\r\n".encode())
        assert client.said[-1].startswith("a OK")
        shown = '"B&APw-ro 1"'
    else:
        assert client.ask(f"a CREATE {said}")[-1].startswith("a OK")
    assert f'* LIST (\\HasNoChildren) "/" {shown}' in client.ask('b LIST "" *')


@pytest.mark.parametrize(
    "name", ["&", "&AGE-", "&APw", "&APw-&APw-x&!-", '"a\\x"', "a&\0-", "a//b", "../x", "a/..", "#x", '""']
)
def test_names_that_are_none(name: str) -> None:
    assert Room().logged_in().ask(f"a CREATE {name}")[-1][:4] in ("a NO", "a BA")


def test_names_in_utf8() -> None:
    play({"": Room().logged_in()}, """
        C: a ENABLE UTF8=ACCEPT
        S: a OK
        C: b CREATE "Entwürfe"
        S: b OK
        C: c LIST "" "*"
        S: * LIST (\\HasNoChildren) "/" "Entwürfe"
        S: c OK
        C: d SELECT "Entwürfe"
        S: d OK
        C: e CREATE R&D
        S: e OK
        C: f LIST "" R*
        S= * LIST (\\HasNoChildren) "/" R&D
        S: f OK
    """)  # fmt: skip


def test_deleted_while_open() -> None:
    room = numbered(2)
    room.account.create("box", "")
    room.account.deliver("box", message())
    one, two = room.selected(name="box"), room.logged_in()
    play({"1": one, "2": two}, """
        2 C: a DELETE box
        2 S: a OK
        1 C: a NOOP
        1 S: * 1 EXPUNGE
        1 S: a OK
        1 C: b SELECT box
        1 S: b NO [NONEXISTENT]
    """)  # fmt: skip


def test_close_and_unselect() -> None:
    room = numbered(3)
    client = room.selected()
    client.ask("a STORE 1,3 +FLAGS.SILENT (\\Deleted)")
    assert client.ask("b UNSELECT") == ["b OK UNSELECT done"]
    client.ask("c SELECT Inbox")
    said = client.ask("d CLOSE")
    assert said == ["d OK CLOSE done"]
    assert client.ask("e SELECT Inbox")[1] == "* 1 EXISTS"
