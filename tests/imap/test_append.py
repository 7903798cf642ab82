"""APPEND: one message or several, streamed, refused, interrupted."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import play
from mox_imap import BackendError, ImapServer, WireLimits

HELLO = message()
HELLO_LINE = HELLO + b"\r\n"


def test_append() -> None:
    room = Room()
    play({"": room.logged_in()}, f"""
        C: a APPEND Inbox (\\Seen $Label) " 7-Feb-1994 21:52:25 -0800" {{{len(HELLO)}}}
        S: + go ahead
        C> {HELLO_LINE!r}
        S: a OK [APPENDUID 1 1]
        C: b EXAMINE Inbox
        S: * 1 EXISTS
        S: b OK
        C: c FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])
        S: * 1 FETCH (FLAGS (\\Seen $label \\Recent) INTERNALDATE " 8-Feb-1994 05:52:25 +0000" RFC822.SIZE {len(HELLO)} BODY[] "From:
        S: c OK
    """)  # fmt: skip


def test_without_asking() -> None:
    client = Room().logged_in()
    client.hear(
        b"a APPEND Inbox {%d+}\r\n%s\r\nb APPEND Inbox ~{%d+}\r\n%s\r\n" % (len(HELLO), HELLO, len(HELLO), HELLO)
    )
    assert client.said == ["a OK [APPENDUID 1 1] appended", "b OK [APPENDUID 1 2] appended"]


def test_several_at_once() -> None:
    client = Room().selected()
    one, two = message("one"), message("two")
    client.hear(b"a APPEND Inbox (\\Seen) {%d+}\r\n%s {%d+}\r\n%s\r\n" % (len(one), one, len(two), two))
    assert client.said == ["* 2 EXISTS", "* 2 RECENT", "a OK [APPENDUID 1 1:2] appended"]


def test_utf8_form() -> None:
    client = Room().logged_in()
    client.ask("a ENABLE UTF8=ACCEPT")
    client.hear(b"b APPEND Inbox UTF8 (~{%d+}\r\n%s)\r\n" % (len(HELLO), HELLO))
    assert client.said == ["b OK [APPENDUID 1 1] appended"]


@pytest.mark.parametrize("name", [b"nowhere", b"{7}\r\nnowhere"])
def test_no_such_mailbox(name: bytes) -> None:
    asking = Room().logged_in()
    asking.hear(b"a APPEND %s {10}\r\n" % name)
    assert asking.said[-1].startswith("a NO [TRYCREATE]")
    assert asking.ask("b NOOP") == (["+ go ahead"] if b"{" in name else []) + asking.said + [
        "a NO [TRYCREATE] no such mailbox",
        "b OK NOOP done",
    ]
    # Without asking the literal comes anyway: it is read, not taken for commands.
    telling = Room().logged_in()
    telling.hear(b"a APPEND nowhere {14+}\r\nx LOGOUT\r\n????\r\nb NOOP\r\n")
    assert telling.said == ["a NO [TRYCREATE] no such mailbox", "b OK NOOP done"]


def test_in_the_wrong_state() -> None:
    client = Room().session()
    client.hear(b"a APPEND Inbox {14+}\r\nx LOGOUT\r\n????\r\nb NOOP\r\n")
    assert client.said[0].startswith("a BAD APPEND cannot be said now")
    assert client.said[1:] == ["b OK NOOP done"]


@pytest.mark.parametrize(
    "head",
    [
        b"a APPEND Inbox (\\Recent) ",
        b"a APPEND Inbox (\\Seen ",
        b'a APPEND Inbox "31-Feb-2020 00:00:00 +0000" ',
        b"a APPEND Inbox nonsense ",
        b"a APPEND &bad& ",
        b"a APPEND ",
    ],
)
def test_syntax(head: bytes) -> None:
    client = Room().logged_in()
    client.hear(head + b"{5}\r\n")
    if client.said == ["+ go ahead"]:  # a literal that may be the mailbox's name
        client.said.clear()
        client.hear(b"hello\r\n")
    assert client.said[0].startswith("a BAD"), client.said
    client.said.clear()
    client.hear(head + b"{5+}\r\nhello\r\nb NOOP\r\n")
    assert [line[:5] for line in client.said] == ["a BAD", "b OK "]


def test_without_a_literal() -> None:
    client = Room().logged_in()
    assert client.ask("a APPEND Inbox")[0].startswith("a BAD")
    assert client.ask('a APPEND Inbox "text"')[0].startswith("a BAD")


def test_text_after_the_literal() -> None:
    room = Room()
    client = room.logged_in()
    client.hear(b"a APPEND Inbox {5+}\r\nhello nonsense\r\nb NOOP\r\n")
    assert [line[:5] for line in client.said] == ["a BAD", "b OK "]
    assert not room.account.mailbox("Inbox").messages  # type: ignore[union-attr]


def test_nothing_is_no_message() -> None:
    client = Room().logged_in()
    client.hear(b"a APPEND Inbox {0+}\r\n\r\nb APPEND Inbox {5+}\r\nhello {0+}\r\n\r\n")
    assert [line[:5] for line in client.said] == ["a BAD", "b BAD"]


def test_too_big() -> None:
    room = Room(limits=WireLimits(append=1000))
    client = room.logged_in()
    client.hear(b"a APPEND Inbox {1001}\r\nb NOOP\r\n")
    assert client.said == ["a NO [TOOBIG] a message has at most 1000 octets", "b OK NOOP done"]
    client.said.clear()
    client.hear(b"c APPEND Inbox {4294967296+}\r\n")
    assert [line[:14] for line in client.said] == ["* BAD [TOOBIG]", "* BYE a litera"]
    assert client.session.ended


class _FullSink:
    def write(self, data: bytes) -> None:
        raise BackendError("OVERQUOTA", "no room")

    def abort(self) -> None:
        pass


def test_a_sink_that_fails() -> None:
    room = Room()
    room.account.sink = _FullSink  # type: ignore[method-assign]
    client = room.logged_in()
    client.hear(b"a APPEND Inbox {5+}\r\nhello {5+}\r\nworld\r\nb NOOP\r\n")
    assert client.said == ["a NO [OVERQUOTA] no room", "b OK NOOP done"]


def test_pieces_are_not_kept() -> None:
    seen: list[int] = []

    class Sink:
        def write(self, data: bytes) -> None:
            seen.append(len(data))

        def abort(self) -> None:
            seen.append(-1)

    room = Room()
    room.account.sink = Sink  # type: ignore[method-assign]
    client = room.logged_in()
    client.hear(b"a APPEND Inbox {1000000+}\r\n")
    for _ in range(5):
        client.hear(b"x" * 100_000)
    assert seen == [100_000] * 5
    session = client.session
    assert isinstance(session, ImapServer)
    session.close()
    assert seen[-1] == -1


def test_appended_to_the_open_mailbox_shows_at_once() -> None:
    client = numbered(1).selected()
    client.hear(b"a APPEND Inbox {%d+}\r\n%s\r\n" % (len(HELLO), HELLO))
    assert client.said == ["* 2 EXISTS", "* 1 RECENT", "a OK [APPENDUID 1 2] appended"]
