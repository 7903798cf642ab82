"""Commands drawn from the grammar, and a second opinion on any command.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError


@cache
def grammar() -> Lark:
    """The grammar in command.lark."""
    return Lark(files(__package__).joinpath("command.lark").read_text(), parser="earley", maybe_placeholders=False)


def matches(text: str) -> bool:
    """Does the grammar take this command?"""
    try:
        grammar().parse(text)
    except LarkError:
        return False
    return True


def commands() -> st.SearchStrategy[str]:
    """Commands of the selected state that the grammar takes, without tag and line end."""
    return from_lark(grammar())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A command that the grammar takes, with one character taken out, doubled or replaced."""
    text = draw(commands())
    at = draw(st.integers(0, len(text) - 1))
    change = draw(st.sampled_from(["", text[at] * 2, "(", ")", "*", '"', "\\", "{", "0", "A", ",", "[", "]", "<"]))
    return text[:at] + change + text[at + 1 :]
