"""Parser and grammar are two readings of one RFC: they judge every text alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings

from mox_dane import TlsaSyntaxError, parse_tlsa
from mox_dane.testing.texts import matches, mutated, texts

pytestmark = pytest.mark.filterwarnings("ignore:.*:hypothesis.errors.HypothesisWarning")
QUICK = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def is_record(text: str) -> bool:
    try:
        parse_tlsa(text)
    except TlsaSyntaxError:
        return False
    return True


def in_prose(text: str) -> bool:
    """What the grammar does not say."""
    return all(int(word) <= 255 for word in text.split()[:3] if re.fullmatch("[0-9]{1,3}", word))


@QUICK
@given(texts())
def test_records(text: str) -> None:
    assert is_record(text) == in_prose(text), text
    if is_record(text):
        record = parse_tlsa(text)
        assert parse_tlsa(str(record)) == record


@QUICK
@given(mutated())
def test_nearly_records(text: str) -> None:
    assert is_record(text) == (matches(text) and in_prose(text)), text
