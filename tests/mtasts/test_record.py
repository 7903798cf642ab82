"""MTA-STS records, RFC 8461 3.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_mtasts import Record, RecordSyntaxError
from mox_mtasts.record import ours

GOOD = {
    "as in RFC 8461 3.1": ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
    "no end": ("v=STSv1;id=1", "1"),
    "white space around semicolons": ("v=STSv1 \t;\t id=1 ; ", "1"),
    "32 characters": (f"v=STSv1; id={'a' * 32}", "a" * 32),
    "extensions before and after": ("v=STSv1; x=1; id=2; a.b-c_d=e:f/g<>", "2"),
    "of two ids the first, 3.2": ("v=STSv1; id=1; id=2", "1"),
    "an extension in capitals": ("v=STSv1; ID=1; id=2", "2"),
}
BAD = {
    "nothing": ("", 0, "'v=STSv1'"),
    "another version": ("v=STSv2; id=1", 6, "'v=STSv1'"),
    "version in small letters": ("v=stsv1; id=1", 0, "'v=STSv1'"),
    "no semicolon": ("v=STSv1 id=1", 7, "semicolon"),
    "no id": ("v=STSv1; x=1", 12, "no id"),
    "version only": ("v=STSv1;", 8, "no id"),
    "33 characters": (f"v=STSv1; id={'a' * 33}", 12, "1 to 32"),
    "a hyphen in an id": ("v=STSv1; id=2018-01", 12, "1 to 32"),
    "an empty id": ("v=STSv1; id=;", 12, "1 to 32"),
    "a space in an id": ("v=STSv1; id=a b;", 13, "semicolon"),
    "the second id is none": ("v=STSv1; id=a; id=-", 18, "1 to 32"),
    "an equals sign in a value": ("v=STSv1; id=1; x=y=z", 18, "semicolon"),
    "an empty field": ("v=STSv1;; id=1", 8, "name of a field"),
    "white space around =": ("v=STSv1; id = 1", 9, "name of a field"),
    "space in front": (" v=STSv1; id=1", 0, "'v=STSv1'"),
    "space at the end": ("v=STSv1; id=1 ", 13, "semicolon"),
    "a long name": (f"v=STSv1; {'n' * 33}=1; id=1", 9, "name of a field"),
}


@pytest.mark.parametrize("text, id", GOOD.values(), ids=GOOD)
def test_good(text: str, id: str) -> None:
    record = Record.parse(text)
    assert record.id == id
    assert Record.parse(str(record)) == record
    assert Record.parse(text.encode()) == record


@pytest.mark.parametrize("text, at, why", BAD.values(), ids=BAD)
def test_bad(text: str, at: int, why: str) -> None:
    with pytest.raises(RecordSyntaxError) as caught:
        Record.parse(text)
    assert why in caught.value.why
    if text and not text.startswith(("v=stsv1", "v=STSv2")):
        assert caught.value.at == at
    assert "^" in str(caught.value)


def test_extensions_are_kept() -> None:
    assert Record.parse("v=STSv1; x=1; id=2; y=3").extensions == (("x", "1"), ("y", "3"))


def test_only_what_can_be_written() -> None:
    with pytest.raises(RecordSyntaxError):
        Record("a b")


def test_dated() -> None:
    assert str(Record.dated(1_500_000_000)) == "v=STSv1; id=20170714T024000;"


def test_which_records_count() -> None:
    texts = [b"v=STSv1; id=1", b"v=STSv1 ;id=1", b"v=STSv1", b"v=STSv10; id=1", b"v=spf1 -all", b"V=STSv1;id=1", b""]
    assert ours(texts) == (texts[0], texts[1], texts[2])


def points(error: RecordSyntaxError, text: str) -> None:
    assert 0 <= error.at <= len(text)
    assert error.why in str(error)


@given(st.one_of(st.text(max_size=60), st.text(alphabet="v=STSv1;id =\t.-", max_size=30).map("v=STSv1;".__add__)))
def test_only_the_declared_error(text: str) -> None:
    try:
        record = Record.parse(text)
    except RecordSyntaxError as error:
        points(error, text)
    else:
        assert Record.parse(str(record)) == record
