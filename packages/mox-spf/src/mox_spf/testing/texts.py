"""Texts drawn from the grammars, and a second opinion on any text.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError


@cache
def grammar(name: str = "record") -> Lark:
    """The grammar in `name`.lark: record or received."""
    return Lark(files(__package__).joinpath(f"{name}.lark").read_text(), parser="earley")


def matches(text: str, name: str = "record") -> bool:
    """Does the grammar take this text?"""
    try:
        grammar(name).parse(text)
    except LarkError:
        return False
    return True


def texts() -> st.SearchStrategy[str]:
    """Records that the grammar takes."""
    return from_lark(grammar())


def received() -> st.SearchStrategy[str]:
    """Values of Received-SPF that the grammar takes."""
    return from_lark(grammar("received"))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A record that the grammar takes, with one character taken out, doubled or replaced."""
    text: str = draw(texts())
    at = draw(st.integers(6, len(text))) if len(text) > 6 else len(text)
    change: str = draw(st.sampled_from(["", text[at : at + 1] * 2, *"=:/%.{}- r0a", "//", "%{", "\0", "é", " x"]))
    return text[:at] + change + text[at + 1 :]
