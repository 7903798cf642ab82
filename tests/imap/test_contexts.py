"""Searches that are kept up to date (RFC 5267)."""

from __future__ import annotations

from kit.imap_rooms import message, numbered
from kit.play_imap import play


def test_a_search() -> None:
    room = numbered(4)
    play(
        {"1": room.selected(), "2": room.selected()},
        """
        1 C: a SEARCH RETURN (UPDATE COUNT) FLAGGED
        1 S= * ESEARCH (TAG "a") COUNT 0
        1 S: a OK
        2 C: b STORE 1,3 +FLAGS (\\Flagged)
        2 S: b OK
        1 C: c NOOP
        1 S= * ESEARCH (TAG "a") ADDTO (0 1,3)
        1 S: c OK
        2 C: d UID STORE 1 -FLAGS (\\Flagged)
        2 S: d OK
        1 C: e NOOP
        1 S= * ESEARCH (TAG "a") REMOVEFROM (0 1)
        1 S: e OK
        1 C: f CANCELUPDATE "z"
        1 S: f BAD
        1 C: g CANCELUPDATE "a"
        1 S: g OK
        2 C: h STORE 4 +FLAGS (\\Flagged)
        2 S: h OK
        1 C: i NOOP
        1 S! * ESEARCH
        1 S: i OK
    """,
    )


def test_sets_mean_the_messages_that_they_meant() -> None:
    room = numbered(4)
    client, other = room.selected(), room.selected()
    client.ask("a UID SEARCH RETURN (UPDATE ALL) 3:4 FLAGGED")
    client.ask("b UID SEARCH RETURN (UPDATE ALL) UID 4:* FLAGGED")
    other.ask("x STORE 1 +FLAGS (\\Deleted)")
    other.ask("x EXPUNGE")
    other.ask("x STORE 1:3 +FLAGS (\\Flagged)")
    room.account.deliver("Inbox", message("new"), ("\\Flagged",))
    said = client.ask("c NOOP")
    assert '* ESEARCH (TAG "a") UID ADDTO (0 3:4)' in said
    assert '* ESEARCH (TAG "b") UID ADDTO (0 4:5)' in said


def test_a_sort_tells_where() -> None:
    room = numbered(0)
    for subject in ("b", "d"):
        room.account.deliver("Inbox", message(subject))
    client = room.selected()
    assert (
        client.ask("a UID SORT RETURN (UPDATE ALL CONTEXT) (SUBJECT) UTF-8 ALL")[0] == '* ESEARCH (TAG "a") UID ALL 1:2'
    )
    for subject in ("c", "a"):
        room.account.deliver("Inbox", message(subject))
    assert '* ESEARCH (TAG "a") UID ADDTO (1 4 3 3)' in client.ask("b NOOP")
    room.selected().ask("x STORE 1 +FLAGS (\\Deleted)")
    client.ask("c NOOP")
    said = client.ask("d UID EXPUNGE 1")
    assert said.index('* ESEARCH (TAG "a") UID REMOVEFROM (2 1)') < said.index("* 1 EXPUNGE")


def test_there_is_an_end_to_it() -> None:
    client = numbered(1).selected()
    for number in range(10):
        assert client.ask(f"a{number} SEARCH RETURN (UPDATE COUNT) ALL")[-1].startswith(f"a{number} OK")
    said = client.ask("b SEARCH RETURN (UPDATE COUNT) ALL")
    assert said[0] == '* ESEARCH (TAG "b") COUNT 1'
    assert said[1].startswith('* NO [NOUPDATE "b"]')
    assert said[-1].startswith("b OK")
