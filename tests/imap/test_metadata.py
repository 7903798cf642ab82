"""METADATA, LIST-METADATA, FILTERS."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered
from kit.play_imap import play


def test_values() -> None:
    play(
        {"": Room().logged_in()},
        """
        C: a SETMETADATA INBOX (/private/comment "mine" /shared/comment {4+}
        C: o\\rs )
        S: a OK
        C: b GETMETADATA INBOX (/private/Comment /shared/comment /private/none)
        S= * METADATA INBOX (/private/comment "mine" /shared/comment "o\\\\rs" /private/none NIL)
        S: b OK
        C: c SETMETADATA INBOX (/private/comment NIL)
        S: c OK
        C: d GETMETADATA INBOX /private/comment
        S= * METADATA INBOX (/private/comment NIL)
        S: d OK
        C: e GETMETADATA "" /shared/admin
        S= * METADATA "" (/shared/admin NIL)
        S: e OK
        C: f SETMETADATA Nowhere (/private/comment "x")
        S: f NO [NONEXISTENT]
        C: g GETMETADATA Nowhere /private/comment
        S: g NO [NONEXISTENT]
    """,
    )


def test_depth_and_size() -> None:
    client = Room().logged_in()
    client.ask('a SETMETADATA "" (/private/a "1" /private/a/b "22" /private/a/b/c "333" /private/ab "x")')
    for options, want in {
        "(DEPTH 0)": '/private/a "1"',
        "(DEPTH 1)": '/private/a "1" /private/a/b "22"',
        "(DEPTH infinity)": '/private/a "1" /private/a/b "22" /private/a/b/c "333"',
        "(MAXSIZE 2 DEPTH infinity)": '/private/a "1" /private/a/b "22"',
    }.items():
        assert client.ask(f'a GETMETADATA "" {options} /private/a')[0] == f'* METADATA "" ({want})'
        assert client.ask(f'a GETMETADATA {options} "" (/private/a)')[0] == f'* METADATA "" ({want})'
    assert client.ask('a GETMETADATA "" (MAXSIZE 2 DEPTH infinity) /private/a')[-1].startswith(
        "a OK [METADATA LONGENTRIES 3]"
    )


@pytest.mark.parametrize(
    "command",
    [
        'SETMETADATA "" (/private/* "x")',
        'SETMETADATA "" (/private/a%b "x")',
        'SETMETADATA "" (/private/a//b "x")',
        'SETMETADATA "" (/private/a/ "x")',
        'SETMETADATA "" (/other/a "x")',
        'SETMETADATA "" (/private/é "x")',
        'SETMETADATA "" (/private/vendor/x "x")',
        'SETMETADATA "" ()',
        'SETMETADATA "" (/private/a)',
        'SETMETADATA "" (/private/a x)',
        'GETMETADATA "" (DEPTH 3) /private/a',
        'GETMETADATA "" (DEPTH 1 NONSENSE 2) /private/a',
    ],
)
def test_grammar(command: str) -> None:
    assert Room().logged_in().ask(f"a {command}")[-1].startswith("a BAD"), command


def test_limits() -> None:
    client = Room().logged_in()
    client.hear(b'a SETMETADATA "" (/private/a {65537+}\r\n' + b"x" * 65537 + b")\r\n")
    assert client.said.pop().startswith("a NO [METADATA MAXSIZE 65536]")
    for start in range(0, 100, 50):
        many = " ".join(f'/private/e{n} "x"' for n in range(start, start + 50))
        assert client.ask(f'a SETMETADATA "" ({many})')[-1].startswith("a OK")
    assert client.ask('a SETMETADATA "" (/private/more "x")')[-1].startswith("a NO [METADATA TOOMANY]")
    assert client.ask('a SETMETADATA "" (/private/e1 NIL /private/more "x")')[-1].startswith("a OK")


def test_binary_values_come_back() -> None:
    client = Room().logged_in()
    client.hear(b'a SETMETADATA "" (/private/a ~{3+}\r\na\0b)\r\n')
    client.hear(b'b GETMETADATA "" /private/a\r\n')
    assert b'* METADATA "" (/private/a ~{3}\r\na\0b)' in client.raw


def test_in_list() -> None:
    client = Room().logged_in()
    client.ask('a SETMETADATA INBOX (/private/comment "c")')
    assert client.ask('b LIST "" * RETURN (METADATA (/private/comment /shared/comment))')[:2] == [
        '* LIST (\\HasNoChildren) "/" INBOX',
        '* METADATA INBOX (/private/comment "c" /shared/comment NIL)',
    ]
    assert client.ask('b LIST "" * RETURN (METADATA (nonsense))')[-1].startswith("b BAD")


def test_filters() -> None:
    room = numbered(3)
    room.account.deliver("Inbox", message("special"), ("\\Flagged",))
    client = room.selected()
    client.ask('a SETMETADATA "" (/private/filters/values/mine "FLAGGED OR SUBJECT special SUBJECT x")')
    client.ask('a SETMETADATA "" (/shared/filters/values/all "ALL" /shared/filters/values/mine "ALL")')
    client.ask('a SETMETADATA "" (/private/filters/values/both "FILTER mine NOT SEEN")')
    client.ask('a SETMETADATA "" (/private/filters/values/loop "FILTER loop" /private/filters/values/bad "SUBJECT")')
    for name, want in {"mine": "4", "MINE": "4", "all": "1 2 3 4", "both": "4"}.items():
        assert client.ask(f"b SEARCH FILTER {name}")[0] == f"* SEARCH {want}"
    assert client.ask("b SEARCH NOT FILTER mine 1:2")[0] == "* SEARCH 1 2"
    for name in ("nothing", "loop", "bad"):
        assert client.ask(f"c SEARCH FILTER {name}")[-1].startswith("c NO [UNDEFINED-FILTER "), name
