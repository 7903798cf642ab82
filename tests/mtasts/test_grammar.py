"""Parsers and grammars are two readings of one RFC: they judge every text alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mox_mtasts import MAX_MAX_AGE, Policy, PolicySyntaxError, Record, RecordSyntaxError
from mox_mtasts.testing.texts import matches, mutated, policies, texts

pytestmark = pytest.mark.filterwarnings("ignore:.*:hypothesis.errors.HypothesisWarning")
QUICK = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def is_record(text: str) -> bool:
    try:
        Record.parse(text)
    except RecordSyntaxError:
        return False
    return True


def is_policy(text: str) -> bool:
    try:
        Policy.parse(text)
    except PolicySyntaxError:
        return False
    return True


def first(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}:[ \t]*(.*?)[ \t]*\r?$", text, re.MULTILINE)
    return found[1] if found else None


def policy_in_prose(text: str) -> bool:
    """RFC 8461 3.2: what the grammar does not say."""
    mode, age = first(text, "mode"), first(text, "max_age")
    if first(text, "version") is None or mode is None or age is None or int(age) > MAX_MAX_AGE:
        return False
    return mode == "none" or first(text, "mx") is not None


@QUICK
@given(texts("record"))
def test_records(text: str) -> None:
    assert is_record(text), text
    record = Record.parse(text)
    assert Record.parse(str(record)) == record


@QUICK
@given(mutated("record"))
def test_nearly_records(text: str) -> None:
    assert is_record(text) == matches("record", text), text


@QUICK
@given(st.one_of(texts("policy"), policies()))
def test_policies(text: str) -> None:
    assert is_policy(text) == policy_in_prose(text), text


@st.composite
def nearly(draw: st.DrawFn) -> str:
    text = draw(policies())
    at = draw(st.integers(0, len(text) - 1))
    change = draw(st.sampled_from(["", text[at] * 2, *":*.- xA_1\t", "\r", "\n", "\0", "é", "mx:", "\nmode:"]))
    return text[:at] + change + text[at + 1 :]


def without_blank_lines(text: str) -> str:
    """The named leniency of the parser, undone for the grammar."""
    return re.sub(r"\n([ \t]*\r?\n)+", "\n", re.sub(r"\A([ \t]*\r?\n)+", "", text))


@QUICK
@given(nearly())
def test_nearly_policies(text: str) -> None:
    plain = without_blank_lines(text)
    # Of a field that comes twice only the first counts (3.2), so the grammar reads without the others.
    want = matches("policy", without_repeated(plain)) and policy_in_prose(plain)
    assert is_policy(text) == want, text


def without_repeated(text: str) -> str:
    seen: set[str] = set()
    kept = []
    for line in text.split("\n"):
        name = line.partition(":")[0]
        if name in ("version", "mode", "max_age"):
            if name in seen and re.fullmatch(r"[^\0\r]*[^\0\r \t:][^\0\r]*:[ \t]*[^\0\r\t ][^\0\r\t]*\r?", line):
                line = "x: y"
            seen.add(name)
        kept.append(line)
    return "\n".join(kept)
