from __future__ import annotations

from dataclasses import replace

import pytest

from mox_store import Mailbox, Mark
from moxd.config.values import Junk
from moxd.marks import mark_of

MAILBOX = Mailbox(1, "Inbox", 1, 1, 1, "", True, (), 0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    "name, special, expected",
    [
        ("Inbox", "", Mark.NONE),
        ("Inbox/From friends", "", Mark.NONE),
        ("Junk", "\\Junk", Mark.JUNK),
        ("Unerwünscht", "\\Junk", Mark.JUNK),
        ("SPAM", "", Mark.JUNK),
        ("My spam", "", Mark.WANTED),
        ("Archive/2026", "\\Archive", Mark.WANTED),
        ("Trash", "\\Trash", Mark.WANTED),
        ("Rejects", "", Mark.NONE),
    ],
)
def test_mailboxes_of_a_new_account(name: str, special: str, expected: Mark) -> None:
    assert mark_of(replace(MAILBOX, name=name, special=special), Junk()) is expected


@pytest.mark.parametrize(
    "settings, expected",
    [
        (Junk(marks=False), None),
        (Junk(wanted="^keep"), None),  # all three given: others say nothing
        (Junk(neutral="", wanted=""), None),  # two left empty: nobody knows which the others are
        (Junk(neutral="", wanted="^keep"), Mark.NONE),
        (Junk(junk="", wanted="^keep"), Mark.JUNK),
    ],
)
def test_other_mailboxes(settings: Junk, expected: Mark | None) -> None:
    assert mark_of(replace(MAILBOX, name="Elsewhere"), settings) is expected


def test_switched_off_even_for_junk() -> None:
    assert mark_of(replace(MAILBOX, name="Junk", special="\\Junk"), Junk(marks=False)) is None
