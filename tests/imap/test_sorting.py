"""SORT: criteria, ties, what is compared; ESORT."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.imap_rooms import Room, numbered
from kit.play_imap import play
from mox_imap.commands.envelopes import envelope
from mox_imap.commands.sorting import folded
from mox_imap.structure import envelope as written
from mox_message import Content, parse


def room() -> Room:
    made = Room()
    for at, (sender, to, subject, date, received, size) in enumerate(
        [
            ("Zoe <b@x>", "c@x", "Re: apples", "Tue, 14 Nov 2023 10:00:00 +0200", 300.0, 10),
            ("a@x", '"Émile" <z@x>', "Bananas", "Tue, 14 Nov 2023 09:00:00 +0000", 100.0, 500),
            ("=?utf-8?q?=C3=84nne?= <C@x>", "a@x", "[list] apples", "garbage", 200.0, 90),
            ("", "", "", "Mon, 13 Nov 2023 00:00:00 +0000", 200.0, 90),
        ]
    ):
        head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: {date}\r\nX-N: {at}\r\n\r\n"
        made.account.deliver("Inbox", head.encode() + b"x" * size, received=received)
    return made


@pytest.mark.parametrize(
    "criteria, want",
    [
        ("ARRIVAL", "2 3 4 1"),
        ("REVERSE ARRIVAL", "1 3 4 2"),  # alike: still by number
        ("SIZE", "1 4 3 2"),
        ("FROM", "4 2 1 3"),
        ("TO", "4 3 1 2"),
        ("SUBJECT", "4 1 3 2"),  # "apples" without Re: and [list]
        ("REVERSE SUBJECT SIZE", "2 1 3 4"),
        ("DATE", "3 4 1 2"),  # no date: when it came, in 1970
        ("DISPLAYFROM", "4 2 3 1"),
        ("DISPLAYTO", "4 3 1 2"),
        ("CC ARRIVAL REVERSE SIZE", "2 3 4 1"),
    ],
)
def test_criteria(criteria: str, want: str) -> None:
    client = room().selected()
    assert client.ask(f"a SORT ({criteria}) UTF-8 ALL")[0] == f"* SORT {want}"
    assert client.ask(f"a UID SORT ({criteria}) US-ASCII 1:*")[0] == f"* SORT {want}"


def test_conversation() -> None:
    play(
        {"": room().selected()},
        """
        C: a SORT (SUBJECT) X-KLINGON ALL
        S: a NO [BADCHARSET (UTF-8 US-ASCII)]
        C: b SORT (NOTHING) UTF-8 ALL
        S: b BAD no such sort key
        C: c SORT () UTF-8 ALL
        S: c BAD
        C: d SORT RETURN (MIN MAX COUNT) (REVERSE ARRIVAL) UTF-8 ALL
        S= * ESEARCH (TAG "d") MIN 1 MAX 2 COUNT 4
        S: d OK
        C: e UID SORT RETURN () (REVERSE ARRIVAL) UTF-8 NOT 1
        S= * ESEARCH (TAG "e") UID ALL 3:4,2
        S: e OK
        C: f SORT (ARRIVAL) UTF-8 SUBJECT nothing
        S= * SORT
        S: f OK
        C: g SORT RETURN (SAVE) (ARRIVAL) UTF-8 2:3
        S: g OK
        C: h FETCH $ UID
        S= * 2 FETCH (UID 2)
        S= * 3 FETCH (UID 3)
        S: h OK
    """,
    )


def test_no_numbers_move_while_sorted_ones_are_told() -> None:
    made = numbered(3)
    one, two = made.selected(), made.selected()
    two.ask("a STORE 1 +FLAGS (\\Deleted)")
    two.ask("a EXPUNGE")
    assert not any("EXPUNGE" in line for line in one.ask("a SORT (SUBJECT) UTF-8 ALL"))
    assert "* 1 EXPUNGE" in one.ask("b NOOP")


@pytest.mark.parametrize("text, want", [("abc_Z", "ABC_Z"), ("straße", "STRASSE"), ("ǆ", "DŽ"), ("é", "É")])
def test_texts_are_compared_as_rfc_5051_says(text: str, want: str) -> None:
    import unicodedata

    assert folded(text).casefold() == unicodedata.normalize("NFKD", want).casefold()


TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20).map(lambda t: t.replace("=?", ""))


@settings(deadline=None)
@given(TEXTS, st.sampled_from(["a@b", '"q\\"x" <a@b>', "G: c@d, e@f;", "", "=?utf-8?q?=C3=A9?= <x@y>"]))
def test_an_envelope_is_read_as_it_was_written(subject: str, sender: str) -> None:
    part = parse(Content.of(f"Subject: {subject}\r\nFrom: {sender}\r\nMessage-ID: <m@x>\r\n\r\n".encode()))
    read = envelope(written(part))
    field = part.fields.first("subject")
    assert read.subject == (field.text if field else "").replace("\0", "?")
    assert read.message_id == "<m@x>"
    assert [one.mailbox for one in read.sender][:1] == {"": [], "G: c@d, e@f;": ["G"], "=": ["x"]}.get(
        sender, ["x" if sender[:1] == "=" else "a"]
    )
