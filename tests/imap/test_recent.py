"""\\Recent (RFC 3501 2.3.2): whoever is notified of a message first, and nobody else."""

from __future__ import annotations

import random
from array import array

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import Client
from mox_imap import view
from mox_imap.memory import MemoryBackend


def room_with_news() -> Room:
    """One that somebody has seen, two that are new."""
    room = numbered(1)
    room.account.deliver("Inbox", message("two"))
    room.account.deliver("Inbox", message("three"), ("\\Seen",))
    return room


def recents(client: Client) -> list[int]:
    said = client.ask("r SEARCH RECENT")[0].split()[2:]
    flags = [line for line in client.ask("f FETCH 1:* FLAGS") if "\\Recent" in line]
    assert [line.split()[1] for line in flags] == said
    return [int(one) for one in said]


def test_the_first_session_only() -> None:
    room = room_with_news()
    first, second = room.logged_in(), room.logged_in()
    assert "* 2 RECENT" in first.ask("a SELECT Inbox")
    assert "* 0 RECENT" in second.ask("a SELECT Inbox")
    assert first.ask("b FETCH 1:3 FLAGS")[:-1] == [
        "* 1 FETCH (FLAGS ())",
        "* 2 FETCH (FLAGS (\\Recent))",
        "* 3 FETCH (FLAGS (\\Seen \\Recent))",
    ]
    assert recents(second) == []
    assert [first.ask(f"c SEARCH {key}")[0] for key in ("NEW", "OLD", "NOT RECENT", "RECENT 3")] == [
        "* SEARCH 2", "* SEARCH 1", "* SEARCH 1", "* SEARCH 3",
    ]  # fmt: skip
    assert first.ask("d STORE 2 +FLAGS (\\Flagged)")[0] == "* 2 FETCH (FLAGS (\\Flagged \\Recent))"
    assert second.ask("d NOOP")[0] == "* 2 FETCH (UID 2 FLAGS (\\Flagged))"


def test_reading_takes_nothing_away() -> None:
    room = room_with_news()
    reader, writer, later = room.logged_in(), room.logged_in(), room.logged_in()
    assert "* 2 RECENT" in reader.ask("a EXAMINE Inbox")
    assert recents(reader) == [2, 3]
    assert "* 2 RECENT" in writer.ask("a SELECT Inbox")
    assert "* 0 RECENT" in later.ask("a EXAMINE Inbox")


def test_what_comes_while_it_is_open() -> None:
    room = numbered(1)
    one, two = room.selected(), room.selected()
    room.account.deliver("Inbox", message())
    assert one.ask("a NOOP") == ["* 2 EXISTS", "* 1 RECENT", "a OK NOOP done"]
    room.account.deliver("Inbox", message())
    # Of the second the other was told first; here only the third is new.
    assert two.ask("a NOOP") == ["* 3 EXISTS", "* 1 RECENT", "a OK NOOP done"]
    assert one.ask("a NOOP") == ["* 3 EXISTS", "a OK NOOP done"]
    assert (recents(one), recents(two)) == ([2], [3])
    two.ask("b STORE 3 +FLAGS.SILENT (\\Deleted)")
    assert two.ask("c EXPUNGE") == ["* 3 EXPUNGE", "* 0 RECENT", "c OK EXPUNGE done"]
    assert one.ask("d NOOP") == ["* 3 EXPUNGE", "d OK NOOP done"]


def test_a_session_goes_on_when_the_same_mailbox_is_opened_again() -> None:
    """RFC 3501 1.2: it ends with SELECT or EXAMINE of another mailbox, with CLOSE, with the connection."""
    room = room_with_news()
    room.account.create("other", "")
    client = room.selected()
    assert "* 2 RECENT" in client.ask("a SELECT Inbox")
    assert "* 2 RECENT" in client.ask("b EXAMINE INBOX")
    assert client.ask("c SELECT nowhere")[-1].startswith("c NO")
    assert "* 2 RECENT" in client.ask("d SELECT Inbox")
    client.ask("e SELECT other")
    assert "* 0 RECENT" in client.ask("f SELECT Inbox")


@pytest.mark.parametrize("end", ["CLOSE", "UNSELECT", "UNAUTHENTICATE"])
def test_a_session_ends(end: str) -> None:
    client = room_with_news().selected()
    assert recents(client) == [2, 3]
    client.ask(f"a {end}")
    client.ask("x LOGIN ann secret")
    assert "* 0 RECENT" in client.ask("b SELECT Inbox")


def test_another_mailbox_of_the_same_name() -> None:
    room = Room()
    client = room.logged_in()
    client.ask("a CREATE box")
    room.account.deliver("box", message())
    assert "* 1 RECENT" in client.ask("b SELECT box")
    client.ask("c DELETE box")
    client.ask("d CREATE box")
    assert "* 0 RECENT" in client.ask("e SELECT box")


def test_rev2_knows_of_none() -> None:
    room = room_with_news()
    client = room.selected("ENABLE IMAP4rev2")
    assert client.ask("a FETCH 1:3 FLAGS")[1] == "* 2 FETCH (FLAGS ())"
    assert [client.ask(f"b SEARCH {key}")[0] for key in ("RECENT", "NEW", "OLD")] == [
        '* ESEARCH (TAG "b")', '* ESEARCH (TAG "b")', '* ESEARCH (TAG "b") ALL 1:3',
    ]  # fmt: skip
    room.account.deliver("Inbox", message())
    assert client.ask("c NOOP") == ["* 4 EXISTS", "c OK NOOP done"]
    # It was notified all the same.
    assert "* 0 RECENT" in room.logged_in().ask("d SELECT Inbox")


def test_status() -> None:
    room = room_with_news()
    client, other = room.logged_in(), room.logged_in()
    assert client.ask("a STATUS Inbox (RECENT)")[0] == "* STATUS INBOX (RECENT 2)"
    client.ask("b SELECT Inbox")
    assert client.ask("c STATUS Inbox (RECENT)")[0] == "* STATUS INBOX (RECENT 2)"
    assert other.ask("d STATUS Inbox (RECENT)")[0] == "* STATUS INBOX (RECENT 0)"


def test_copies_are_recent() -> None:
    """RFC 3501 6.4.7"""
    client = numbered(1).selected()
    assert client.ask("a COPY 1 Inbox")[:2] == ["* 2 EXISTS", "* 1 RECENT"]
    assert recents(client) == [2]


def test_searches_elsewhere_notify_nobody() -> None:
    room = room_with_news()
    client = room.logged_in()
    assert client.ask("a ESEARCH IN (mailboxes Inbox) UNSEEN")[0].endswith("ALL 1:2")
    assert "* 2 RECENT" in client.ask("b SELECT Inbox")


def test_so_many_ranges_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "RECENT_RANGES", 3)
    room = Room()
    one, two = room.selected(), room.selected()
    for _ in range(5):
        for client in (one, two):
            room.account.deliver("Inbox", message())
            client.ask("a NOOP")
    assert (recents(one), recents(two)) == ([5, 7, 9], [6, 8, 10])


@pytest.mark.parametrize("seed", range(30))
def test_exactly_one_session_has_each(seed: int) -> None:
    """Whatever sessions do in whatever order, as long as none of them ends."""
    rng, room = random.Random(seed), Room()
    clients = [room.selected() for _ in range(3)]
    for _ in range(40):
        client = rng.choice(clients)
        action = rng.randrange(5)
        if action < 2:
            for _ in range(rng.randint(1, 3)):
                room.account.deliver("Inbox", message())
        elif action == 2:
            client.ask(f"a STORE {rng.randint(1, 3)}:* +FLAGS.SILENT (\\Deleted)")
            client.ask("b EXPUNGE")
        elif action == 3:
            client.ask("a SELECT Inbox")
        else:
            client.ask("a NOOP")
    for client in clients:
        client.ask("a NOOP")
    counts: dict[str, int] = {}
    said = [client.ask("b UID FETCH 1:* FLAGS")[:-1] for client in clients]
    for lines in said:
        for line in lines:
            uid = line.split("UID ")[1].split()[0]
            counts[uid] = counts.get(uid, 0) + ("\\Recent" in line)
    assert set(counts.values()) <= {1}
    assert sum(
        int(line.split()[1]) for client in clients for line in client.ask("c SELECT Inbox") if "RECENT" in line
    ) == (len(counts))


def test_a_backend_without_it() -> None:
    """As in RFC 9051, nothing is."""
    backend = MemoryBackend(clock=lambda: 0.0)
    account = backend.add("ann", "secret")
    account.deliver("Inbox", message())
    mailbox = account.open("Inbox", lambda: None)

    class Plain:
        keywords, entries, bits = mailbox.keywords, mailbox.entries, mailbox.bits
        flag_names, uidvalidity = mailbox.flag_names, mailbox.uidvalidity

    some = view.View(Plain())  # type: ignore[arg-type]
    some.shows_recent = True
    some.notify("Inbox", read_only=False)
    assert some.recent_line() == b"* 0 RECENT\r\n"
    assert some.flags_of([0], array("q", [1])) == [b"\\Seen"]
    assert some.recent([0]) == []
