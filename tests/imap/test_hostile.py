"""What no honest client says: the session answers, keeps its limits, and stays quick."""

from __future__ import annotations

import time

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import Client
from mox_imap import ImapServer


def quick(client: Client, data: bytes, seconds: float = 2.0) -> list[str]:
    """Sends it; what was said, in reasonable time."""
    start = time.process_time()
    client.said.clear()
    client.hear(data)
    assert time.process_time() - start < seconds
    return client.said


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("plus", [b"", b"+"])
def test_a_literal_of_4_gb(logged_in: bool, plus: bytes) -> None:
    room = Room()
    for command in (b"LOGIN", b"SELECT", b"APPEND Inbox"):
        client = room.logged_in() if logged_in else room.session()
        said = quick(client, b"a %s {4294967296%s}\r\n" % (command, plus))
        if plus:
            assert said[-1].startswith("* BYE")
            assert client.session.ended
        else:
            assert said[-1][:5] in ("a NO ", "a BAD")
            assert not client.session.ended
    client = room.session()
    assert "BYE" in quick(client, b"a LOGIN {99999999999999999999+}\r\n")[-1]


def test_a_line_of_10_mb() -> None:
    for client in (Room().session(), Room().logged_in()):
        said = quick(client, b"a NOOP" + b"x" * 10_000_000)
        assert said[0].startswith("* BAD")
        assert said[-1].startswith("* BYE")
        assert client.session.ended
        assert quick(client, b"x" * 1_000_000) == []


def test_100_000_parentheses() -> None:
    client = numbered(1).selected()
    for text in (
        b"(" * 60_000,
        b"NOT " * 15_000 + b"ALL",
        b"OR " * 20_000 + b"ALL",
        b"(" * 30_000 + b"ALL" + b")" * 30_000,
    ):
        assert quick(client, b"a SEARCH " + text + b"\r\n")[-1].startswith("a BAD")
    for command in (b"FETCH 1 ", b"STORE 1 FLAGS ", b"LIST ", b"STATUS Inbox ", b"ID "):
        assert quick(client, b"a " + command + b"(" * 60_000 + b"\r\n")[-1].startswith("a BAD")
    big = numbered(1).selected()
    assert "BYE" in quick(big, b"a SEARCH " + b"(" * 100_000 + b"\r\n")[-1]


def test_as_many_literals_as_fit() -> None:
    client = numbered(1).selected()
    said = quick(client, b"a SEARCH " + b" ".join([b"SUBJECT {0+}\r\n"] * 40_000) + b"\r\n")
    assert client.session.ended or said[-1].startswith("a BAD")


def test_long_sets() -> None:
    client = numbered(2000).selected()
    ranges = b",".join(b"%d" % number for number in range(1, 10_000))
    assert quick(client, b"a UID FETCH " + ranges + b" UID\r\n")[-1].startswith("a OK")
    assert quick(client, b"a UID FETCH " + b",".join([b"1:4294967295"] * 4000) + b" UID\r\n")[-1].startswith("a OK")
    assert quick(client, b"a SEARCH " + b" ".join([b"1:*"] * 900) + b"\r\n")[-1].startswith("a OK")
    assert quick(client, b"a SEARCH " + b" ".join([b"1:*"] * 9000) + b"\r\n")[-1].startswith("a BAD")


@pytest.mark.parametrize("data", [b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xff\xfe", b"a\0b"])
def test_half_utf8(data: bytes) -> None:
    client = Room().logged_in()
    for command in (b"CREATE %s", b"SELECT %s", b'LIST "" %s', b"STATUS %s (MESSAGES)", b"RENAME Inbox %s"):
        for form in (b'"%s"' % data, b"{%d+}\r\n%s" % (len(data), data)):
            said = quick(client, b"a " + command.replace(b"%s", form) + b"\r\n")
            assert said[-1].startswith("a BAD"), (command, form, said)
    client = Room(message()).selected()
    assert quick(client, b"a SEARCH TEXT {%d+}\r\n%s\r\n" % (len(data), data))[-1].startswith("a BAD")


@pytest.mark.parametrize(
    "name",
    [
        "/",
        "a/",
        "//",
        "a//b",
        ".",
        "..",
        "../../etc/passwd",
        "a/../b",
        "#news",
        "a" * 5000,
        "Inbox/../x",
        "con\u2028trol",
        "\x07",
        "~root",
        "%s%n",
    ],
)
def test_names(name: str) -> None:
    room = Room()
    client = room.logged_in()
    data = name.encode()
    said = quick(client, b"a CREATE {%d+}\r\n%s\r\n" % (len(data), data))
    assert said[-1][:5] in ("a OK ", "a NO ", "a BAD")
    for info in room.account.mailboxes():
        assert ".." not in info.name
        assert not info.name.startswith("/")


def test_items_without_end() -> None:
    client = numbered(3).selected()
    assert quick(client, b"a FETCH 1 (" + b" ".join([b"FLAGS"] * 9000) + b")\r\n")[-1].startswith("a OK")
    assert quick(client, b"a FETCH 1 (" + b" ".join([b"BODY[]"] * 5000) + b")\r\n")[-1].startswith("a BAD")
    assert quick(client, b"a FETCH 1 BODY[" + b"1." * 5000 + b"1]\r\n")[-1].startswith("a BAD")
    fields = b" ".join(b"f%d" % n for n in range(8000))
    assert quick(client, b"a FETCH 1 BODY[HEADER.FIELDS (" + fields + b")]\r\n")[-1].startswith("a BAD")
    assert quick(client, b"a STORE 1 FLAGS (" + b" ".join(b"k%d" % n for n in range(9000)) + b")\r\n")[-1].startswith(
        "a BAD"
    )
    assert quick(client, b"a ID (" + b' "k" "v"' * 5000 + b")\r\n")[-1].startswith("a OK")
    assert quick(client, b"a ENABLE" + b" X" * 20_000 + b"\r\n")[-1].startswith("a OK")


def test_pipelined_commands_are_all_answered() -> None:
    client = numbered(1).selected()
    said = quick(client, b"".join(b"a%d NOOP\r\n" % n for n in range(5000)))
    assert len(said) == 5000


def test_nothing_is_answered_after_the_end() -> None:
    client = Room().session()
    assert len(quick(client, b"a LOGOUT\r\nb NOOP\r\nc LOGIN ann secret\r\n")) == 2


def test_a_session_that_is_closed_forgets() -> None:
    room = numbered(1)
    client = room.selected()
    session = client.session
    assert isinstance(session, ImapServer)
    session.close()
    assert session.view is None
    assert session.account is None
    assert not room.account._boxes["Inbox"].open


def test_a_message_that_is_hostile() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(500))
    wide = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5000
    names = b"From: " + b", ".join(b"a%d@b" % n for n in range(20_000)) + b"\r\n\r\n"
    client = Room(deep, wide, names).selected()
    assert quick(client, b"a FETCH 1:* (BODY BODYSTRUCTURE ENVELOPE BODY[1.1.1] BINARY.SIZE[2])\r\n", 5.0)[
        -1
    ].startswith("a OK")
    assert quick(client, b"a SEARCH TEXT zzz FROM zzz\r\n", 5.0)[-1].startswith("a OK")


@pytest.mark.parametrize("idle", [False, True])
def test_much_that_happened_is_told_as_fast_as_it_is_read(idle: bool) -> None:
    room = numbered(0)
    for _ in range(30_000):
        room.account.deliver("Inbox", b"\r\n")
    slow, other = room.selected(), room.selected()
    session = slow.session
    assert isinstance(session, ImapServer)
    if idle:
        slow.hear(b"i IDLE\r\n")
        slow.said.clear()
    other.ask("a STORE 1:* +FLAGS.SILENT ($a_keyword_that_is_long)")
    if idle:
        session.news()
    else:
        session.receive(b"n NOOP\r\n", 0.0)
    pieces = []
    while not pieces or session.busy:
        session.run()
        pieces.append(session.outgoing())
    assert max(map(len, pieces)) < 512 * 1024
    assert b"".join(pieces).count(b" FETCH ") == 30_000
    if idle:
        slow.hear(b"DONE\r\n")
        assert slow.said[-1] == "i OK IDLE done"
