"""Parser and grammar are two readings of one RFC: they judge every text alike."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from mox_tlsrpt import Record, RecordSyntaxError
from mox_tlsrpt.testing.texts import matches, mutated, texts

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


@QUICK
@given(texts())
def test_records(text: str) -> None:
    assert is_record(text), text
    record = Record.parse(text)
    assert Record.parse(str(record)) == record


@QUICK
@given(mutated())
def test_nearly_records(text: str) -> None:
    assert is_record(text) == matches(text), text
