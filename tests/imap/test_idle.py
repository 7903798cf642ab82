"""What one session hears of the others: IDLE, NOOP, order, numbering."""

from __future__ import annotations

import pytest

from kit.imap_rooms import message, numbered
from kit.play_imap import Client, play
from mox_imap import Changes, ImapServer
from mox_imap.view import View


def heard(client: Client) -> list[str]:
    """What an idling client is told now."""
    session = client.session
    assert isinstance(session, ImapServer)
    session.news()
    client.look()
    said, client.said = client.said, []
    return said


def test_idle_tells_at_once() -> None:
    room = numbered(3)
    woken: list[int] = []
    idle, other = room.selected(), room.selected()
    session = idle.session
    assert isinstance(session, ImapServer)
    session.wake = lambda: woken.append(1)
    assert idle.ask("a IDLE") == ["+ idling"]
    room.account.deliver("Inbox", message(), ("$Todo",))
    assert woken
    assert heard(idle) == [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Todo)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Todo \\*)] more",
        "* 4 EXISTS",
        "* 1 RECENT",
    ]
    other.ask("a STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert heard(idle) == ["* 2 FETCH (UID 2 FLAGS (\\Deleted))"]
    other.ask("b EXPUNGE")
    assert heard(idle) == ["* 2 EXPUNGE"]
    assert heard(idle) == []
    assert idle.ask("DONE") == ["a OK IDLE done"]


def test_idle_begins_with_what_is_new() -> None:
    room = numbered(1)
    client = room.selected()
    room.account.deliver("Inbox", message())
    assert client.ask("a IDLE") == ["+ idling", "* 2 EXISTS", "* 1 RECENT"]


@pytest.mark.parametrize("line", ["", "NOOP", "b NOOP", "DONE now", "done {3+}\r\nabc"])
def test_only_done_ends_idle(line: str) -> None:
    client = numbered(1).selected()
    client.ask("a IDLE")
    assert client.ask(line)[0].startswith("a BAD")
    assert client.ask("b NOOP") == ["b OK NOOP done"]


def test_idle_without_a_mailbox() -> None:
    client = numbered(1).logged_in()
    assert client.ask("a IDLE") == ["+ idling"]
    assert client.ask("done") == ["a OK IDLE done"]


def test_numbers_stay_until_it_is_told() -> None:
    room = numbered(4)
    play({"1": room.selected(), "2": room.selected()}, """
        2 C: a STORE 1:2 +FLAGS.SILENT (\\Deleted)
        2 S: a OK
        2 C: b EXPUNGE
        2 S: b OK
        # not in the answer to FETCH, STORE, SEARCH
        1 C: a FETCH 4 UID
        1 S= * 4 FETCH (UID 4)
        1 S! * 1 EXPUNGE
        1 S: a OK
        1 C: b STORE 3 +FLAGS (\\Seen)
        1 S= * 3 FETCH (FLAGS (\\Seen))
        1 S! * 1 EXPUNGE
        1 S: b OK
        1 C: c SEARCH SEEN
        1 S= * SEARCH 3
        1 S: c OK
        # with UID they may be
        1 C: d UID SEARCH SEEN
        1 S= * SEARCH 3
        1 S: * 2 EXPUNGE
        1 S: * 1 EXPUNGE
        1 S: d OK
        1 C: e FETCH 1 UID
        1 S= * 1 FETCH (UID 3)
        1 S: e OK
    """)  # fmt: skip


def test_new_mail_is_told_during_fetch() -> None:
    room = numbered(1)
    client = room.selected()
    room.account.deliver("Inbox", message())
    assert client.ask("a FETCH 1 UID") == ["* 1 FETCH (UID 1)", "* 2 EXISTS", "* 1 RECENT", "a OK FETCH done"]


def test_come_and_gone_between_two_commands() -> None:
    room = numbered(1)
    one, two = room.selected(), room.selected()
    room.account.deliver("Inbox", message())
    two.ask("a NOOP")
    two.ask("b STORE 2 +FLAGS.SILENT (\\Deleted)")
    two.ask("c EXPUNGE")
    assert one.ask("a NOOP") == ["a OK NOOP done"]


def test_an_expunge_is_told_before_what_came_later() -> None:
    room = numbered(2)
    one, two = room.selected(), room.selected()
    two.ask("a STORE 1 +FLAGS.SILENT (\\Deleted)")
    two.ask("b EXPUNGE")
    room.account.deliver("Inbox", message())
    assert one.ask("a FETCH 2 UID") == ["* 2 FETCH (UID 2)", "* 3 EXISTS", "* 1 RECENT", "a OK FETCH done"]
    assert one.ask("b NOOP") == ["* 1 EXPUNGE", "b OK NOOP done"]
    assert one.ask("c FETCH 1:2 UID")[:2] == ["* 1 FETCH (UID 2)", "* 2 FETCH (UID 3)"]


def test_too_many_changes_mean_looking_again() -> None:
    room = numbered(5)
    client = room.selected()
    mailbox = room.account.open("Inbox", lambda: None)
    view = View(mailbox)
    other = room.selected()
    other.ask("a STORE 1 +FLAGS.SILENT (\\Seen)")
    other.ask("b STORE 3 +FLAGS.SILENT (\\Deleted)")
    other.ask("c EXPUNGE")
    room.account.deliver("Inbox", message())
    view.hear(Changes(resync=True))
    assert b"".join(view.tell(expunges=False)) == b"* 6 EXISTS\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"
    assert b"".join(view.tell(expunges=True)) == b"* 3 EXPUNGE\r\n"
    assert list(view.uids) == [1, 2, 4, 5, 6]
    assert b"".join(view.tell(expunges=True)) == b""
    client.ask("a NOOP")


class _Plain:
    """A mailbox without columns: what the smallest backend fulfils."""

    def __init__(self, mailbox: object) -> None:
        self._mailbox = mailbox

    def __getattr__(self, name: str) -> object:
        if name in ("columns", "highest_modseq", "store_unchanged", "expunged_since"):
            raise AttributeError(name)
        return getattr(self._mailbox, name)


def test_a_backend_without_columns_answers_the_same() -> None:
    script = [
        "FETCH 1:* (UID FLAGS RFC822.SIZE)", "STORE 2 +FLAGS (\\Seen $Work)", "SEARCH UNSEEN", "SEARCH LARGER 10 SMALLER 1000",
        "SEARCH BODY body", "STORE 3 +FLAGS.SILENT (\\Deleted)", "EXPUNGE", "FETCH 1:* (UID BODY[TEXT])", "COPY 1 Inbox", "NOOP",
    ]  # fmt: skip
    rooms = [numbered(5, modseqs=False) for _ in range(2)]
    opened = rooms[1].account.open
    rooms[1].account.open = lambda name, wake: _Plain(opened(name, wake))  # type: ignore[assignment,method-assign,return-value]
    one, two = (room.selected() for room in rooms)
    assert two.session.view.indexed is None  # type: ignore[attr-defined]
    for command in script:
        assert one.ask(f"a {command}") == two.ask(f"a {command}"), command
