"""Texts drawn from the grammars, and a second opinion on any text.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError


@cache
def grammar(name: str) -> Lark:
    """The grammar in `<name>.lark` here: "record", "filename", "subject", "alignment"."""
    return Lark(files(__package__).joinpath(f"{name}.lark").read_text(), parser="earley")


def matches(name: str, text: str) -> bool:
    """Does the grammar take this text?"""
    try:
        grammar(name).parse(text)
    except LarkError:
        return False
    return True


def texts(name: str) -> st.SearchStrategy[str]:
    """Texts that the grammar takes."""
    return from_lark(grammar(name))


@st.composite
def mutated(draw: st.DrawFn, name: str) -> str:
    """A text that the grammar takes, with one character taken out, doubled or replaced."""
    text = draw(texts(name))
    if not text:
        return text
    at = draw(st.integers(0, len(text) - 1))
    change = draw(st.sampled_from(["", text[at] * 2, ";", "=", ":", " ", "@", "\r", "\n", "\0", "é", "A"]))
    return text[:at] + change + text[at + 1 :]
