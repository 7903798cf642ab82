"""Parser and grammar are two readings of RFC 9989 4.8: what one takes without a fault, the other does."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mox_dmarc import Record, RecordSyntaxError
from mox_dmarc.record import TAGS
from mox_dmarc.testing.texts import matches, mutated, texts

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def names(text: str) -> Iterable[str]:
    return [part.partition("=")[0].strip(" \t") for part in text.split(";")]


def faultless(text: str) -> bool:
    try:
        return not Record.parse(text).problems
    except RecordSyntaxError:
        return False


def expected(text: str) -> bool:
    """What the grammar says, and the prose: each tag once, and p= there."""
    found = [name for name in names(text) if name]
    return matches("record", text) and len(set(found)) == len(found) and "p" in found


@QUICK
@given(texts("record"))
def test_texts_of_the_grammar(text: str) -> None:
    assert matches("record", text)
    assert faultless(text) == expected(text), Record.parse(text).problems


@QUICK
@given(mutated("record"))
def test_texts_nearly_of_the_grammar(text: str) -> None:
    assert faultless(text) == expected(text), text


@QUICK
@given(texts("record"))
def test_written_and_read_again(text: str) -> None:
    record = Record.parse(text)
    again = Record.parse(str(record))
    for name in {tag.field for tag in TAGS.values()}:
        assert getattr(again, name) == getattr(record, name), name


@settings(max_examples=200)
@given(st.text(max_size=200), st.booleans())
def test_no_text_raises_anything_else(text: str, prefixed: bool) -> None:
    try:
        record = Record.parse("v=DMARC1;" + text if prefixed else text)
    except RecordSyntaxError:
        return
    for problem in record.problems:
        assert 0 <= problem.at <= len(record.text)
        assert str(problem)
    assert isinstance(record.usable, bool)
    assert Record.parse(str(record)).effective_p == record.effective_p
