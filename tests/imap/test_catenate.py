"""CATENATE (RFC 4469) and REPLACE (RFC 8508)."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import Client, play


def texts(room: Room, name: str = "Inbox") -> list[bytes]:
    mailbox = room.account.open(name, lambda: None)
    return [mailbox.content(number).read() for _, number, _ in mailbox.entries()]


def send(client: Client, data: bytes) -> str:
    client.said.clear()
    client.hear(data)
    return client.said[-1]


def test_parts_and_texts() -> None:
    room = numbered(1)
    client = room.selected()
    assert send(
        client,
        b'a APPEND Inbox (\\Seen) CATENATE (URL "/INBOX/;UID=1/;SECTION=HEADER" TEXT {3+}\r\nabc TEXT {2+}\r\nde)\r\n',
    ).startswith("a OK [APPENDUID 1 2]")
    assert texts(room)[1] == texts(room)[0].partition(b"\r\n\r\n")[0] + b"\r\n\r\nabcde"
    assert send(client, b'b APPEND Inbox CATENATE (URL ";UID=1/;PARTIAL=0.4" URL {6+}\r\n;UID=1)\r\n').startswith(
        "b OK"
    )
    assert texts(room)[2] == b"From" + texts(room)[0]
    # Several at once, with and without literals.
    assert send(
        client,
        b'c APPEND Inbox CATENATE (URL ";UID=1") {1+}\r\nx CATENATE (TEXT {1+}\r\ny) CATENATE (URL ";UID=1")\r\n',
    ).startswith("c OK [APPENDUID 1 4:7]")
    assert texts(room)[4:6] == [b"x", b"y"]
    assert send(client, b"d APPEND {5}\r\n") == "+ go ahead"
    assert send(client, b"inbox CATENATE (TEXT {2}\r\n") == "+ go ahead"
    assert send(client, b"hi)\r\n").startswith("d OK")


@pytest.mark.parametrize(
    "url", ["/Nowhere/;UID=1", "/INBOX/;UID=9", "/INBOX;UIDVALIDITY=7/;UID=1", "/INBOX/;UID=1/;SECTION=7", "nonsense",
            "imap://bob@h/INBOX/;UID=1", "/INBOX/;UID=1/;SECTION=NONSENSE"]
)  # fmt: skip
def test_urls_that_lead_nowhere(url: str) -> None:
    room = numbered(1)
    client = room.selected()
    for literal in (b"", b" TEXT {2+}\r\nab"):
        said = send(client, b'a APPEND Inbox CATENATE (URL "%s"%s)\r\n' % (url.encode(), literal))
        assert said.startswith(f'a NO [BADURL "{url}"]'), said
    assert len(texts(room)) == 1
    assert send(client, b"b NOOP\r\n").startswith("b OK")


@pytest.mark.parametrize(
    "data",
    [b"CATENATE ()", b"CATENATE (TEXT)", b"CATENATE (URL)", b'CATENATE (URL ";UID=1"', b"CATENATE (TEXT {1+}\r\na",
     b"CATENATE (TEXT {1+}\r\na) x", b"CATENATE (TEXT {1+}\r\na TEXT)", b"CATENATE (NONSENSE {1+}\r\na)"],
)  # fmt: skip
def test_grammar(data: bytes) -> None:
    room = numbered(1)
    client = room.selected()
    assert send(client, b"a APPEND Inbox " + data + b"\r\n").startswith("a BAD")
    assert send(client, b"b NOOP\r\n").startswith("b OK")
    assert len(texts(room)) == 1


def test_a_message_has_a_limit() -> None:
    from mox_imap import WireLimits

    room = numbered(1, limits=WireLimits(append=1000))
    client = room.selected()
    assert "TOOBIG" in send(client, b"a APPEND Inbox CATENATE (%s)\r\n" % b" ".join([b'URL ";UID=1"'] * 20))
    assert "TOOBIG" in send(client, b"b APPEND Inbox CATENATE (TEXT {900}\r\n" + b"x" * 900 + b" TEXT {900}\r\n")


def test_replace() -> None:
    room = numbered(2)
    room.account.create("Drafts", "")
    other = room.selected()
    play(
        {"": room.selected()},
        """
        C: a REPLACE 1 Inbox (\\Seen) {3+}
        C: new
        S: * OK [APPENDUID 1 3]
        S= * 3 EXISTS
        S= * 1 EXPUNGE
        S: a OK
        C: b UID REPLACE 3 Drafts {5+}
        C: newer
        S: * OK [APPENDUID 2 1]
        S= * 2 EXPUNGE
        S: b OK
        C: c UID REPLACE 9 Inbox {1+}
        C: x
        S: c NO [NONEXISTENT]
        C: d REPLACE 9 Inbox {1+}
        C: x
        S: d BAD
        C: e REPLACE 1 Nowhere {1+}
        C: x
        S: e NO [TRYCREATE]
        C: f REPLACE 1 Inbox {1+}
        C: x {1+}
        C: y
        S: f BAD
        C: g UID REPLACE * Inbox CATENATE (URL ";UID=2/;PARTIAL=6.4")
        S: * OK [APPENDUID 1 4]
        S: g OK
        C: h EXAMINE Inbox
        S: h OK
        C: i REPLACE 1 Inbox {1}
        S: i NO [READ-ONLY]
    """,
    )
    assert texts(room) == [b"Ann "]
    assert texts(room, "Drafts") == [b"newer"]
    assert "* 1 EXPUNGE" in other.ask("x NOOP")


def test_a_message_that_went_meanwhile_is_not_replaced() -> None:
    room = numbered(1)
    one, two = room.selected(), room.selected()
    two.ask("a STORE 1 +FLAGS (\\Deleted)")
    two.ask("a EXPUNGE")
    assert send(one, b"b REPLACE 1 Inbox {1+}\r\nx\r\n").startswith("b NO [EXPUNGEISSUED]")
    assert texts(room) == []


def test_replace_needs_a_mailbox() -> None:
    client = Room(message()).logged_in()
    assert send(client, b"a REPLACE 1 Inbox {1+}\r\nx\r\n").startswith("a BAD")
    assert send(client, b"a NOOP\r\n").startswith("a OK")
