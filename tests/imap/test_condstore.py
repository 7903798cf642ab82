"""CONDSTORE and QRESYNC (RFC 7162)."""

from __future__ import annotations

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import play


def test_only_what_the_backend_can() -> None:
    play({"": numbered(1, modseqs=False).selected()}, """
        C: a ENABLE CONDSTORE QRESYNC
        S= * ENABLED
        S: a OK
        C: b FETCH 1 MODSEQ
        S: b BAD
        C: c SELECT Inbox (CONDSTORE)
        S: c BAD
        C: d STATUS Inbox (HIGHESTMODSEQ)
        S: d BAD
        C: e SEARCH MODSEQ 1
        S: e BAD
        C: f STORE 1 (UNCHANGEDSINCE 2) FLAGS ()
        S: f BAD
        C: g SELECT Inbox (QRESYNC (1 1))
        S: g BAD
    """)  # fmt: skip


def test_enabled_by_use() -> None:
    room = numbered(2)
    one, two = room.selected(), room.selected()
    play({"1": one, "2": two}, """
        1 C: a STORE 1 +FLAGS (\\Seen)
        1 S= * 1 FETCH (FLAGS (\\Seen))
        1 S: a OK
        1 C: b FETCH 1 (MODSEQ)
        1 S= * OK [HIGHESTMODSEQ 5] highest
        1 S= * 1 FETCH (MODSEQ (5))
        1 S: b OK
        1 C: c STORE 1 +FLAGS (\\Flagged)
        1 S= * 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged) MODSEQ (6))
        1 S: c OK
        1 C: d STORE 1 +FLAGS.SILENT (\\Answered)
        1 S= * 1 FETCH (UID 1 MODSEQ (7))
        1 S: d OK
        1 C: e STORE 1 +FLAGS (\\Answered)
        1 S= * 1 FETCH (UID 1 FLAGS (\\Seen \\Answered \\Flagged) MODSEQ (7))
        1 S: e OK
        2 C: a STORE 2 FLAGS (\\Draft)
        2 S: a OK
        1 C: f NOOP
        1 S= * 2 FETCH (UID 2 FLAGS (\\Draft) MODSEQ (8))
        1 S: f OK
        1 C: g STATUS Inbox (HIGHESTMODSEQ MESSAGES)
        1 S= * STATUS INBOX (HIGHESTMODSEQ 8 MESSAGES 2)
        1 S: g OK
    """)  # fmt: skip


def test_changed_since() -> None:
    client = numbered(4).selected("ENABLE CONDSTORE")
    client.ask("x STORE 2 +FLAGS.SILENT (\\Seen)")
    assert client.ask("a FETCH 1:* (FLAGS) (CHANGEDSINCE 6)") == [
        "* 2 FETCH (FLAGS (\\Seen) MODSEQ (7))",
        "a OK FETCH done",
    ]
    assert client.ask("b UID FETCH 1:* (UID) (CHANGEDSINCE 5)")[:2] == [
        "* 2 FETCH (UID 2 MODSEQ (7))",
        "* 4 FETCH (UID 4 MODSEQ (6))",
    ]
    assert client.ask("c FETCH 1:* (UID) (CHANGEDSINCE 7)") == ["c OK FETCH done"]


def test_unchanged_since() -> None:
    room = numbered(3)
    one, two = room.selected("ENABLE CONDSTORE"), room.selected()
    two.ask("x STORE 2 +FLAGS.SILENT (\\Seen)")  # modseq 6
    play({"": one}, """
        C: a STORE 1:3 (UNCHANGEDSINCE 5) +FLAGS (\\Flagged)
        S= * 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ (7))
        S= * 3 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (7))
        S: * 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (6))
        S: a OK [MODIFIED 2]
        C: b UID STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS (\\Answered)
        S: b OK [MODIFIED 1:3]
        C: c STORE 1:3 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Answered)
        S= * 1 FETCH (UID 1 MODSEQ (8))
        S: * 2 FETCH (UID 2 MODSEQ (8))
        S: * 3 FETCH (UID 3 MODSEQ (8))
        S= c OK STORE done
    """)  # fmt: skip


def test_search_by_modseq() -> None:
    client = numbered(3).selected()
    client.ask("x STORE 3 +FLAGS.SILENT (\\Seen)")
    assert client.ask("a SEARCH MODSEQ 5")[:2] == ["* OK [HIGHESTMODSEQ 6] highest", "* SEARCH 3 (MODSEQ 6)"]
    assert client.ask("b SEARCH MODSEQ 6")[0] == "* SEARCH 3 (MODSEQ 6)"
    assert client.ask('c SEARCH MODSEQ "/flags/\\\\draft" all 4 UNSEEN')[0] == "* SEARCH 2 (MODSEQ 4)"
    assert client.ask("d SEARCH RETURN (MIN COUNT) MODSEQ 2")[0] == '* ESEARCH (TAG "d") MIN 1 COUNT 3 MODSEQ 6'
    assert client.ask("e SEARCH RETURN (MIN) MODSEQ 2")[0] == '* ESEARCH (TAG "e") MIN 1 MODSEQ 3'
    assert client.ask("f SEARCH MODSEQ 100")[0] == "* SEARCH"


def test_qresync_select() -> None:
    room = numbered(6)
    before = room.selected()
    before.ask("x STORE 2:3 +FLAGS.SILENT (\\Deleted)")  # modseq 9
    before.ask("y EXPUNGE")  # 10
    before.ask("z STORE 1 +FLAGS.SILENT (\\Seen)")  # 11
    client = room.logged_in()
    assert client.ask("a SELECT Inbox (QRESYNC (1 8))")[-1].startswith("a BAD")
    assert client.ask("b ENABLE QRESYNC") == ["* ENABLED QRESYNC", "b OK ENABLE done"]
    said = client.ask("c SELECT Inbox (QRESYNC (1 9))")
    assert said[-3:] == [
        "* VANISHED (EARLIER) 2:3",
        "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (11))",
        "c OK [READ-WRITE] opened",
    ]
    assert "* OK [HIGHESTMODSEQ 11] highest" in said
    assert not any("VANISHED" in line or "FETCH" in line for line in client.ask("d SELECT Inbox (QRESYNC (1 11))"))
    assert not any("VANISHED" in line for line in client.ask("e SELECT Inbox (QRESYNC (99 1))"))
    said = client.ask("f SELECT Inbox (QRESYNC (1 1 3:5 (1:2 1:2)))")
    assert "* VANISHED (EARLIER) 3" in said
    assert not any("UID 1 " in line or "UID 6 " in line for line in said)
    assert any("UID 4 " in line for line in said)
    for bad in (
        "(QRESYNC)",
        "(QRESYNC 1)",
        "(QRESYNC (0 1))",
        "(QRESYNC (1 1 x))",
        "(QRESYNC (1 1) QRESYNC (1 1))",
        "(X)",
    ):
        assert client.ask(f"g SELECT Inbox {bad}")[-1].startswith("g BAD"), bad


def test_vanished() -> None:
    room = numbered(5)
    one, two = room.selected("ENABLE QRESYNC"), room.selected()
    play({"1": one, "2": two}, """
        2 C: a STORE 2,4 +FLAGS.SILENT (\\Deleted)
        2 S: a OK
        2 C: b EXPUNGE
        2 S: b OK
        1 C: a NOOP
        1 S= * VANISHED 2,4
        1 S! * 2 EXPUNGE
        1 S: a OK
        1 C: b STORE 1 +FLAGS.SILENT (\\Deleted)
        1 S: b OK
        1 C: c EXPUNGE
        1 S= * VANISHED 1
        1 S: c OK [HIGHESTMODSEQ 11]
        1 C: d UID FETCH 1:* (FLAGS) (CHANGEDSINCE 7 VANISHED)
        1 S= * VANISHED (EARLIER) 1:2,4
        1 S: d OK
        1 C: e UID FETCH 3:* (FLAGS) (CHANGEDSINCE 7 VANISHED)
        1 S= * VANISHED (EARLIER) 4
        1 S: e OK
        1 C: f FETCH 1:* (FLAGS) (CHANGEDSINCE 7 VANISHED)
        1 S: f BAD
        1 C: g CLOSE
        1 S: g OK [HIGHESTMODSEQ 11]
    """)  # fmt: skip


def test_vanished_is_told_in_short_lines() -> None:
    room = Room(*[message(str(n)) for n in range(2400)])
    one, two = room.selected("ENABLE QRESYNC"), room.selected()
    two.ask("a STORE " + ",".join(str(n) for n in range(1, 2400, 2)) + " +FLAGS.SILENT (\\Deleted)")
    two.ask("b EXPUNGE")
    said = one.ask("a NOOP")
    assert len(said) == 4
    assert max(map(len, said)) < 4096


def test_a_change_that_was_undone_left_a_modseq() -> None:
    """RFC 7162 3.2: all sessions are told of the same one."""
    room = numbered(2)
    one, two = room.selected(), room.selected()
    play({"1": one, "2": two}, """
        1 C: a FETCH 1 (MODSEQ)
        1 S: a OK
        2 C: a STORE 1 +FLAGS (\\Seen)
        2 S: a OK
        2 C: b STORE 1 -FLAGS (\\Seen)
        2 S: b OK
        1 C: b NOOP
        1 S= * 1 FETCH (UID 1 FLAGS () MODSEQ (6))
        1 S: b OK
        1 C: c NOOP
        1 S= c OK NOOP done
    """)  # fmt: skip
