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
    """The grammar in `<name>.lark` here: "record" or "policy"."""
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
    text: str = draw(texts(name))
    at = draw(st.integers(0, len(text) - 1))
    change: str = draw(st.sampled_from(["", text[at] * 2, *"=;: \t*.-1A_", "\r", "\n", "\0", "é", "id=", "mx:"]))
    return text[:at] + change + text[at + 1 :]


def policies() -> st.SearchStrategy[str]:
    """Policies with every field that is needed, in any order, among extensions."""
    fields = st.tuples(
        st.just("version: STSv1"),
        st.sampled_from(["mode: enforce", "mode:testing", "mode: none"]),
        st.integers(0, 31_557_600).map(lambda seconds: f"max_age: {seconds}"),
        st.lists(st.sampled_from(["mx: a.example", "mx:*.b.example", "mx: A.B-c.example "]), min_size=1, max_size=4),
        st.lists(st.sampled_from(["x: y", "comment: two words"]), max_size=2),
    )
    lines = fields.flatmap(lambda five: st.permutations([*five[:3], *five[3], *five[4]]))
    return st.builds(lambda ls, end: end.join(ls) + end, lines, st.sampled_from(["\r\n", "\n"]))
