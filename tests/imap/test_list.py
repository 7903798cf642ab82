"""LIST with its options, LSUB, patterns."""

from __future__ import annotations

import time

import pytest

from kit.imap_rooms import Room, message
from kit.play_imap import Client
from mox_imap.commands.list import Pattern

NAMES = ["a", "a/b", "a/b/c", "Archive", "Sent", "x y"]


@pytest.fixture
def client() -> Client:
    room = Room()
    for name in NAMES:
        room.account.create(name, {"Archive": "\\Archive", "Sent": "\\Sent"}.get(name, ""))
    room.account.subscribe("a/b", False)
    room.account.subscribe("gone/deep", True)
    room.account.deliver("Sent", message())
    return room.logged_in()


def names(said: list[str]) -> list[str]:
    return [line.split('"/" ')[1] for line in said if '"/" ' in line]


@pytest.mark.parametrize(
    "reference, pattern, found",
    [
        ("", "*", ["INBOX", "Archive", "Sent", "a", "a/b", "a/b/c", '"x y"']),
        ("", "%", ["INBOX", "Archive", "Sent", "a", '"x y"']),
        ("", "a/%", ["a/b"]),
        ("a/", "%", ["a/b"]),
        ("a/", "*", ["a/b", "a/b/c"]),
        ("", "%/%/%", ["a/b/c"]),
        ("", "inbox", ["INBOX"]),
        ("", "in%x", ["INBOX"]),
        ("", "*/c", ["a/b/c"]),
        ("", "A*", ["Archive"]),
        ("", "nothing", []),
        ("", "**%%*", ["INBOX", "Archive", "Sent", "a", "a/b", "a/b/c", '"x y"']),
    ],
)
def test_patterns(client: Client, reference: str, pattern: str, found: list[str]) -> None:
    assert names(client.ask(f'a LIST "{reference}" "{pattern}"')) == found


def test_the_separator(client: Client) -> None:
    assert client.ask('a LIST "" ""') == ['* LIST (\\Noselect) "/" ""', "a OK LIST done"]


@pytest.mark.parametrize(
    "command, lines",
    [
        ('LIST (SPECIAL-USE) "" *', ['(\\HasNoChildren \\Archive) "/" Archive', '(\\HasNoChildren \\Sent) "/" Sent']),
        (
            'LIST "" (Sent %/b) RETURN (SUBSCRIBED)',
            ['(\\HasNoChildren \\Subscribed \\Sent) "/" Sent', '(\\HasChildren) "/" a/b'],
        ),
        (
            'LIST (SUBSCRIBED) "" (a* g*)',
            [
                '(\\HasChildren \\Subscribed) "/" a',
                '(\\HasNoChildren \\Subscribed) "/" a/b/c',
                '(\\NonExistent \\Subscribed) "/" gone/deep',
            ],
        ),
        (
            'LIST (SUBSCRIBED RECURSIVEMATCH) "" (a% a/% g%)',
            [
                '(\\HasChildren \\Subscribed) "/" a ("CHILDINFO" ("SUBSCRIBED"))',
                '(\\HasChildren) "/" a/b ("CHILDINFO" ("SUBSCRIBED"))',
                '(\\NonExistent) "/" gone ("CHILDINFO" ("SUBSCRIBED"))',
            ],
        ),
        ('LIST "" "Sent" RETURN (STATUS (MESSAGES UNSEEN))', ['(\\HasNoChildren \\Sent) "/" Sent']),
        ('LIST () "" "Sent"', ['(\\HasNoChildren \\Sent) "/" Sent']),
        ('LIST "" "Sent" RETURN ()', ['(\\HasNoChildren \\Sent) "/" Sent']),
    ],
)
def test_extended(client: Client, command: str, lines: list[str]) -> None:
    said = client.ask("a " + command)
    assert said[-1].startswith("a OK"), said
    assert [line.removeprefix("* LIST ") for line in said if line.startswith("* LIST ")] == lines


def test_status_comes_with_the_list(client: Client) -> None:
    said = client.ask('a LIST "" % RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)')
    assert said[said.index('* LIST (\\HasNoChildren \\Sent) "/" Sent') + 1] == "* STATUS Sent (MESSAGES 1 UNSEEN 1)"


@pytest.mark.parametrize(
    "command",
    [
        'LIST ""',
        'LIST (RECURSIVEMATCH) "" *',
        'LIST (NONSENSE) "" *',
        'LIST "" * RETURN (NONSENSE)',
        'LIST "" (a',
        'LIST "" *x"',
    ],
)
def test_syntax(client: Client, command: str) -> None:
    assert client.ask("a " + command)[-1].startswith("a BAD")


def test_lsub(client: Client) -> None:
    assert client.ask('a LSUB "" *') == [
        *(f'* LSUB () "/" {name}' for name in ("INBOX", "Archive", "Sent", "a", "a/b/c", "gone/deep", '"x y"')),
        "a OK LSUB done",
    ]
    said = client.ask('b LSUB "" "%"')
    assert '* LSUB (\\Noselect) "/" gone' in said
    client.ask("c UNSUBSCRIBE gone/deep")
    assert not any("gone" in line for line in client.ask('d LSUB "" *'))


def test_patterns_are_linear() -> None:
    start = time.process_time()
    assert not Pattern("", "*a" * 500 + "b").match("a" * 1000)
    assert not Pattern("", "%a*" * 300 + "b").match("a" * 1000)
    assert Pattern("", "%" * 10_000).match("a" * 1000)
    assert time.process_time() - start < 2
