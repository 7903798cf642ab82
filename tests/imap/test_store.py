"""STORE, EXPUNGE, COPY, MOVE."""

from __future__ import annotations

import pytest

from kit.imap_rooms import numbered
from kit.play_imap import play


def test_store() -> None:
    play({"": numbered(3).selected()}, """
        C: a STORE 1:2 FLAGS (\\Seen $New)
        S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New)
        S= * 1 FETCH (FLAGS (\\Seen $New))
        S= * 2 FETCH (FLAGS (\\Seen $New))
        S: a OK
        C: b STORE 1 +FLAGS \\Flagged \\Draft
        S= * 1 FETCH (FLAGS (\\Seen \\Flagged \\Draft $New))
        S: b OK
        C: c STORE 1 -FLAGS (\\Seen \\Draft)
        S= * 1 FETCH (FLAGS (\\Flagged $New))
        S: c OK
        C: d STORE 1 FLAGS.SILENT ()
        S! * 1 FETCH
        S: d OK
        C: e FETCH 1 FLAGS
        S= * 1 FETCH (FLAGS ())
        S: e OK
        C: f UID STORE 3 +FLAGS (\\Answered)
        S= * 3 FETCH (UID 3 FLAGS (\\Answered))
        S: f OK
        C: g UID STORE 9 +FLAGS (\\Answered)
        S= g OK STORE done
    """)  # fmt: skip


@pytest.mark.parametrize(
    "text", ["1", "1 FLAGS", "1 *FLAGS (\\Seen)", "1 FLAGS (\\Recent)", "1 FLAGS (\\Nonsense)", "1 FLAGS (a b", "9 FLAGS ()",
             "1 FLAGS.LOUD (a)", "1 (UNCHANGEDSINCE) FLAGS ()", "1 FLAGS (a(b))"],
)  # fmt: skip
def test_syntax(text: str) -> None:
    assert numbered(1).selected().ask(f"a STORE {text}")[-1].startswith("a BAD")


def test_too_many_keywords() -> None:
    client = numbered(1).selected()
    words = " ".join(f"k{n}" for n in range(57))
    assert client.ask(f"a STORE 1 FLAGS ({words})")[-1].startswith("a OK")
    assert client.ask("b STORE 1 FLAGS (one-more)")[-1].startswith("b NO [LIMIT]")


def test_silence_hides_only_what_the_client_did() -> None:
    room = numbered(1)
    one, two = room.selected(), room.selected()
    two.ask("a STORE 1 +FLAGS (\\Flagged)")
    assert one.ask("a STORE 1 +FLAGS.SILENT (\\Seen)") == [
        "* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))",
        "a OK STORE done",
    ]
    assert one.ask("b STORE 1 -FLAGS.SILENT (\\Seen)") == ["b OK STORE done"]
    assert one.ask("c NOOP") == ["c OK NOOP done"]


def test_store_on_what_is_gone() -> None:
    room = numbered(2)
    one, two = room.selected(), room.selected()
    two.ask("a STORE 1 +FLAGS.SILENT (\\Deleted)")
    two.ask("b EXPUNGE")
    said = one.ask("a STORE 1:2 +FLAGS (\\Seen)")
    assert said == ["* 2 FETCH (FLAGS (\\Seen))", "a NO [EXPUNGEISSUED] some of these messages have been deleted"]
    assert one.ask("b NOOP")[0] == "* 1 EXPUNGE"


def test_expunge() -> None:
    client = numbered(6).selected()
    client.ask("a STORE 1,3,4,6 +FLAGS.SILENT (\\Deleted)")
    assert client.ask("b UID EXPUNGE 4:6") == ["* 6 EXPUNGE", "* 4 EXPUNGE", "b OK EXPUNGE done"]
    assert client.ask("c EXPUNGE") == ["* 3 EXPUNGE", "* 1 EXPUNGE", "c OK EXPUNGE done"]
    assert client.ask("d EXPUNGE") == ["d OK EXPUNGE done"]
    assert [line for line in client.ask("e FETCH 1:* UID") if line[0] == "*"] == [
        "* 1 FETCH (UID 2)",
        "* 2 FETCH (UID 5)",
    ]


def test_expunge_many() -> None:
    client = numbered(60).selected()
    client.ask("a STORE 1:50 +FLAGS.SILENT (\\Deleted)")
    said = client.ask("b EXPUNGE")
    assert said[:-1] == [f"* {n} EXPUNGE" for n in range(50, 0, -1)]
    assert client.ask("c FETCH 1 UID")[0] == "* 1 FETCH (UID 51)"


def test_keywords_keep_their_case_and_it_makes_no_difference() -> None:
    """Some clients look for their own words as they have written them."""
    client = numbered(2).selected()
    client.ask("a STORE 1 +FLAGS.SILENT ($Labelimportant)")
    assert client.ask("b STORE 2 +FLAGS ($LABELIMPORTANT)")[0] == "* 2 FETCH (FLAGS ($Labelimportant))"
    assert client.ask("c SEARCH KEYWORD $labelImportant")[0] == "* SEARCH 1 2"
    assert client.ask("d STORE 1 -FLAGS ($labelimportant)")[0] == "* 1 FETCH (FLAGS ())"
    assert "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Labelimportant)" in client.ask("e SELECT Inbox")


def test_copy() -> None:
    room = numbered(3)
    room.account.create("box", "")
    client = room.selected()
    client.ask("x STORE 2 FLAGS (\\Seen $Work)")
    assert client.ask("a COPY 2:3 box") == ["a OK [COPYUID 2 2:3 1:2] copied"]
    assert client.ask("b UID COPY 1 box") == ["b OK [COPYUID 2 1 3] copied"]
    assert client.ask("c UID COPY 99 box") == ["c OK COPY done"]
    assert client.ask("d COPY 1 nowhere") == ["d NO [TRYCREATE] no such mailbox"]
    assert client.ask("e COPY 9 box")[-1].startswith("e BAD")
    client.ask("f SELECT box")
    assert client.ask("g FETCH 1 FLAGS")[0] == "* 1 FETCH (FLAGS (\\Seen $Work \\Recent))"


def test_copy_within_a_mailbox() -> None:
    assert numbered(1).selected().ask("a COPY 1 Inbox") == ["* 2 EXISTS", "* 1 RECENT", "a OK [COPYUID 1 1 2] copied"]


def test_move() -> None:
    room = numbered(3)
    room.account.create("box", "")
    client = room.selected()
    assert client.ask("a MOVE 1,3 box") == [
        "* OK [COPYUID 2 1,3 1:2] moved",
        "* 3 EXPUNGE",
        "* 1 EXPUNGE",
        "a OK MOVE done",
    ]
    assert client.ask("b UID MOVE 2 box")[:2] == ["* OK [COPYUID 2 2 3] moved", "* 1 EXPUNGE"]
    assert client.ask("c UID MOVE 2 box") == ["c OK MOVE done"]


def test_writes_that_wait() -> None:
    room = numbered(3)
    one, two = room.selected(), room.selected()
    two.ask("i IDLE")
    room.backend.hold()
    one.hear(b"a STORE 1 +FLAGS (\\Seen)\r\nb NOOP\r\n")
    assert one.said == []
    room.backend.settle()
    one.pump()
    assert one.said == ["* 1 FETCH (FLAGS (\\Seen))", "a OK STORE done", "b OK NOOP done"]
    session = two.session
    session.news()  # type: ignore[attr-defined]
    two.look()
    assert two.said == ["* 1 FETCH (UID 1 FLAGS (\\Seen))"]
