from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import Content

DATA = bytes(range(256)) * 40


@pytest.fixture
def every_kind(tmp_path: Path) -> list[Content]:
    path = tmp_path / "message"
    path.write_bytes(b"before" + DATA + b"after")
    (tmp_path / "plain").write_bytes(DATA)
    joined = Content.joined(DATA[:100], Content.of(DATA[100:]))
    return [Content.of(DATA), Content.file(path, 6, len(DATA)), Content.file(tmp_path / "plain"), joined]


def test_reading(every_kind: list[Content]) -> None:
    for content in every_kind:
        assert content.size == len(DATA)
        assert content.read() == DATA
        for start, stop in ((0, 10), (50, 150), (100, 100), (99, 101), (5000, None), (len(DATA), None), (0, 10**9)):
            assert content.read(start, stop) == DATA[start:stop]
            assert b"".join(content.chunks(start, stop, 33)) == DATA[start:stop]
        assert [len(chunk) for chunk in content.chunks(0, 100, 64)] == [64, 36]


def test_a_descriptor_stays_the_callers(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    content = Content.file(descriptor)
    assert content.read(0, 3) == DATA[:3]
    del content
    assert os.fstat(descriptor).st_size == len(DATA)
    os.close(descriptor)


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    content = Content.file(path)
    path.write_bytes(b"short")
    with pytest.raises(OSError, match="content ends at 5"):
        list(content.chunks())
    with pytest.raises(FileNotFoundError):
        Content.file(tmp_path / "none")


def test_nothing_before_is_the_same_content() -> None:
    content = Content.of(b"x")
    assert Content.joined(b"", content) is content


@given(st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 110), st.integers(0, 110), st.integers(1, 60))
def test_joined(prefix: bytes, rest: bytes, start: int, stop: int, size: int) -> None:
    content = Content.joined(prefix, Content.of(rest))
    assert content.read(start, stop) == (prefix + rest)[start:stop]
    assert b"".join(content.chunks(start, stop, size)) == (prefix + rest)[start:stop]
