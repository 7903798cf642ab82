from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mox_imap.commands.matching import named_fields, named_fields_of

LINES = st.sampled_from(
    [
        b"From: a",
        b"from:b",
        b" folded",
        b"\tfolded",
        b"Subject: x",
        b"X: y",
        b"",
        b"From",
        b"\0",
        b"a\0b",
        b"Subject : z",
    ]
)
BLOCKS = st.lists(LINES, max_size=6).map(lambda lines: b"\r\n".join(lines) + b"\r\n")


@given(
    st.lists(BLOCKS, min_size=1, max_size=6), st.sampled_from([("from",), ("from", "subject"), ("nothing",), ("x",)])
)
def test_many_headers_at_once_are_as_one_by_one(blocks: list[bytes], names: tuple[str, ...]) -> None:
    assert named_fields_of(blocks, names) == [named_fields(block, names) for block in blocks]
