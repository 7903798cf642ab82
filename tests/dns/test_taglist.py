"""Lists of tags, RFC 6376 3.2."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dns import RecordSyntaxError, TagList, TagListSyntaxError
from mox_dns.taglist import MAX_TAGS

GOOD = {
    "one": ("v=1", [("v", "1")]),
    "a semicolon last": ("v=1;", [("v", "1")]),
    "and space behind it": ("v=1; \r\n ", [("v", "1")]),
    "white space around": (" v = a b ;\r\n\tp\t=\tx ", [("v", "a b"), ("p", "x")]),
    "an empty value": ("v=1; p=", [("v", "1"), ("p", "")]),
    "equal signs in a value": ("p=YQ==", [("p", "YQ==")]),
    "case is kept": ("V=A; v=b", [("V", "A"), ("v", "b")]),
    "underscores and digits": ("a_1=x", [("a_1", "x")]),
    "folded": ("b=abc\r\n def", [("b", "abc\r\n def")]),
    "the field's own end": ("v=1;\r\n", [("v", "1")]),
    "beyond ASCII": ("i=ü", [("i", "ü")]),
}


@pytest.mark.parametrize("text, tags", GOOD.values(), ids=GOOD.keys())
def test_good(text: str, tags: list[tuple[str, str]]) -> None:
    parsed = TagList.parse(text)
    assert [(tag.name, tag.value) for tag in parsed.tags] == tags
    assert parsed == TagList.parse(text, strict=False)
    for tag in parsed.tags:
        assert text[tag.at :].startswith(tag.name)
        assert text[tag.value_at :].startswith(tag.value)
    assert parsed.get(tags[0][0]) == tags[0][1]
    assert parsed.get("none") is None


BAD = {
    "nothing": ("", 0),
    "only space": (" ", 0),
    "no equal sign": ("v=1; x", 5),
    "no name": ("v=1; =x", 5),
    "not a name": ("v=1; 1x=y", 5),
    "a hyphen": ("v=1; a-b=y", 5),
    "an empty tag": ("v=1;; p=x", 4),
    "a second of the name": ("v=1; p=x; v=2", 10),
    "a control character": ("v=1; p=a\0b", 8),
    "a line end that folds nothing": ("v=1; p=a\nb", 8),
    "a line end before a tag": ("v=1;\r\np=x", 4),
    "folds that are empty": ("v=1;\r\n \r\n p=x", 4),
}


@pytest.mark.parametrize("text, at", BAD.values(), ids=BAD.keys())
def test_bad(text: str, at: int) -> None:
    with pytest.raises(TagListSyntaxError) as caught:
        TagList.parse(text)
    assert caught.value.at == at
    assert isinstance(caught.value, RecordSyntaxError)


def test_lenient() -> None:
    parsed = TagList.parse("v=1; x; p=a; p=b; ;q=\0", strict=False)
    assert [tag.name for tag in parsed.tags] == ["v", "p", "p"]
    assert parsed.by_name["p"].value == "a", "the first counts"
    assert [tag.value for tag in parsed.duplicates] == ["b"]
    assert [defect.why for defect in parsed.defects] == ["a tag without =", "an empty tag", "a control character"]


def test_too_many() -> None:
    text = ";".join(f"a{n}=x" for n in range(MAX_TAGS + 5))
    with pytest.raises(TagListSyntaxError, match="more than"):
        TagList.parse(text)
    lenient = TagList.parse(text, strict=False)
    assert len(lenient.tags) == MAX_TAGS
    assert len(lenient.defects) == 1


def test_the_error_points() -> None:
    with pytest.raises(TagListSyntaxError) as caught:
        TagList.parse("v=1; x y")
    assert str(caught.value) == "a tag without = at character 6\n    v=1; x y\n         ^"


@pytest.mark.parametrize(
    "text", [" " * 500_000, "\r\n " * 200_000, "a=" + " x" * 200_000, ";" * 500_000, "\r\n \t" * 99_999]
)
def test_linear(text: str) -> None:
    start = time.perf_counter()
    TagList.parse(text, strict=False)
    try:
        TagList.parse(text)
    except TagListSyntaxError:
        pass
    assert time.perf_counter() - start < 2


@given(st.text(max_size=60) | st.text("ab=; \t\r\n1_-", max_size=60))
def test_any_text(text: str) -> None:
    lenient = TagList.parse(text, strict=False)
    mistake: TagListSyntaxError | None = None
    try:
        strict = TagList.parse(text)
    except TagListSyntaxError as error:
        mistake = error
    if mistake is not None:
        assert 0 <= mistake.at <= len(text)
        assert str(mistake)
        return
    assert strict == lenient
    assert not lenient.duplicates
    assert not lenient.defects
    again = "; ".join(f"{tag.name}={tag.value}" for tag in strict.tags)
    assert [(tag.name, tag.value) for tag in TagList.parse(again).tags] == [(t.name, t.value) for t in strict.tags]
