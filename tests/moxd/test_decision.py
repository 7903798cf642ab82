from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moxd.decision import RANDOM_BITS, Decision, Step, explain, id_number, id_text, new_id


@given(st.integers(0, 2**63 - 1))
def test_an_id_survives_being_typed(number: int) -> None:
    text = id_text(number)
    assert len(text) == 13
    assert id_number(text) == number
    assert id_number(text.upper().replace("0", "O").replace("1", "l")) == number


def test_ids_grow_with_time_and_fit_63_bits() -> None:
    early, late = new_id(1000.0, 2**RANDOM_BITS - 1), new_id(1000.001, 0)
    assert early < late < 2**63
    assert 0 < new_id(4e9, 2**RANDOM_BITS - 1) < 2**63


@pytest.mark.parametrize("text", ["", "abc", "0123456789abcdef", "01234567/9abc", "ü" * 13])
def test_other_texts_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match="message id"):
        id_number(text)


def test_a_record_is_json_and_reads_as_text() -> None:
    decision = Decision(
        id=new_id(1_700_000_000.0, 7),
        time=1_700_000_000.0,
        kind="accept",
        outcome="delivered to you, Inbox",
        inputs={"ip": "192.0.2.1", "mail from": "", "recipients": ["a@b.example", "c@b.example"]},
        steps=[Step("spf", "pass", "192.0.2.1 is within ip4:192.0.2.0/24", "RFC 7208 5.6", {"lookups": 1})],
        questions=[{"name": "b.example", "type": "TXT", "answer": "v=spf1 -all", "authentic": True}],
    )
    record = json.loads(decision.to_json())
    text = explain(record)
    assert f"message {id_text(decision.id)}   2023-11-14 22:13:20 UTC" in text
    assert "1. spf -> pass: 192.0.2.1 is within ip4:192.0.2.0/24 (lookups=1)   [RFC 7208 5.6]" in text
    assert "b.example TXT: v=spf1 -all (authentic)" in text
    assert "recipients  a@b.example, c@b.example" in text
    assert "mail from   none" in text


def test_bytes_that_are_no_text_do_not_break_a_record() -> None:
    decision = Decision(1, 0.0, "refuse", "no", {"helo": b"\xff".decode("utf-8", "surrogateescape")}, [])
    json.loads(decision.to_json().decode("utf-8", "replace"))
