"""Texts drawn from the grammar, and a second opinion on any text.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

from mox_dns import Tlsa


@cache
def grammar() -> Lark:
    """The grammar in tlsa.lark."""
    return Lark(files(__package__).joinpath("tlsa.lark").read_text(), parser="earley")


def matches(text: str) -> bool:
    """Does the grammar take this text?"""
    try:
        grammar().parse(text)
    except LarkError:
        return False
    return True


def texts() -> st.SearchStrategy[str]:
    """Records that the grammar takes."""
    return from_lark(grammar())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A record that the grammar takes, with one character taken out, doubled or replaced."""
    text: str = draw(texts())
    at = draw(st.integers(0, len(text) - 1))
    change: str = draw(st.sampled_from(["", text[at] * 2, *" \tg0-5", "\n", "é", "DANE-EE "]))
    return text[:at] + change + text[at + 1 :]


def records() -> st.SearchStrategy[Tlsa]:
    """Any record that DNS can bring, mostly of the kinds that there are."""
    return st.builds(
        Tlsa,
        st.sampled_from([0, 1, 2, 2, 3, 3, 4, 255]),
        st.sampled_from([0, 1, 1, 2, 255]),
        st.sampled_from([0, 1, 1, 2, 3, 255]),
        st.one_of(st.binary(max_size=70), st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)),
    )
