"""The parser and the grammar of the RFC, as lark reads it, agree."""

from __future__ import annotations

import re
from functools import cache

from hypothesis import example, given, settings

from kit.imap_rooms import Room, message
from kit.play_imap import Client
from mox_imap.testing.texts import commands, matches, mutated


@cache
def client() -> Client:
    return Room(message("one"), message("two"), message("three")).selected()


def said(text: str) -> str:
    one = client()
    # What came before may have moved or expunged some.
    if one.session.ended or one.session.view is None or len(one.session.view) < 3:
        client.cache_clear()
        one = client()
    one.session.view.contexts.clear()  # type: ignore[attr-defined]
    one.said.clear()
    one.hear(f"a {text}\r\n".encode())
    return one.said[-1] if one.said else ""


@settings(max_examples=150, deadline=None)
@given(commands())
def test_all_that_the_grammar_makes_is_taken(text: str) -> None:
    assert not said(text).startswith("a BAD"), (text, said(text))


@settings(max_examples=150, deadline=None)
@given(mutated())
@example("SEARCH SEEN)")
@example("FETCH 1 BODY[1.]")
@example("STORE 1 FLAGS (\\Seen")
def test_what_does_not_close_is_not_taken(text: str) -> None:
    bare = re.sub(r'"[^"]*"', "", text)
    if bare.count("(") != bare.count(")") or '"' in bare:
        assert "\\" in text or not said(text).startswith("a OK"), (text, said(text))


def test_the_second_opinion() -> None:
    assert matches("UID FETCH 1:* (FLAGS BODY.PEEK[1.HEADER]<0.10>)")
    assert matches("SEARCH RETURN (MIN MAX) OR SEEN NOT (FROM hello 1:3)")
    assert not matches("FETCH 1 ()")
    assert not matches("SEARCH NOT")
