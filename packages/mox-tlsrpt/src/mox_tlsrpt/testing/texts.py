"""Records drawn from the grammar, and reports, good and bent.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

from mox_tlsrpt import Failure, Policy, PolicyResult, PolicyType, Report, ResultType


@cache
def grammar() -> Lark:
    """The grammar in record.lark."""
    return Lark(files(__package__).joinpath("record.lark").read_text(), parser="earley")


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
    change: str = draw(st.sampled_from(["", text[at] * 2, *"=;: \t,!%A1", "\n", "\0", "é", "rua="]))
    return text[:at] + change + text[at + 1 :]


_WORDS = st.text("abcé.- ", max_size=12).map(str.strip)
_NAMED = st.text("abc.-", min_size=1, max_size=12)
_COUNTS = st.integers(0, 10**6)


def policies() -> st.SearchStrategy[Policy]:
    """Policies that a report can have."""
    return st.builds(Policy, st.sampled_from(list(PolicyType)), _NAMED, _tuples(_NAMED), _tuples(_NAMED))


def _tuples(one: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(one, max_size=3).map(tuple)


def failures() -> st.SearchStrategy[Failure]:
    """Failures that a report can have."""
    return st.builds(Failure, st.sampled_from(list(ResultType)), *[_WORDS] * 6)


def reports() -> st.SearchStrategy[Report]:
    """Reports as we write them."""
    details = st.lists(st.tuples(failures(), _COUNTS), max_size=3).map(tuple)
    results = st.builds(PolicyResult, policies(), _COUNTS, _COUNTS, details)
    return st.builds(
        lambda org, day, contact, id, found: Report(org, day * 86400, day * 86400 + 86399, contact, id, tuple(found)),
        _NAMED,
        st.integers(0, 40000),
        _NAMED,
        _NAMED,
        st.lists(results, max_size=3),
    )


def bent_reports() -> st.SearchStrategy[Any]:
    """JSON values that look like reports, with anything in place of anything."""
    odd = st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(allow_nan=False), st.text(max_size=5),
        st.just([]), st.just({}), st.lists(st.none(), max_size=2), st.just("12"),
    )  # fmt: skip
    return reports().map(Report.to_dict).flatmap(lambda value: _bent(value, odd))


@st.composite
def _bent(draw: st.DrawFn, value: Any, odd: st.SearchStrategy[Any]) -> Any:
    if draw(st.integers(0, 9)) == 0:
        return draw(odd)
    if isinstance(value, dict):
        kept = {name: draw(_bent(one, odd)) for name, one in value.items()}
        return {name: one for name, one in kept.items() if draw(st.integers(0, 9))}
    if isinstance(value, list):
        return [draw(_bent(one, odd)) for one in value]
    return value
