"""What a message becomes on its way into an account."""

from __future__ import annotations

import pytest

import mox_message
from moxd.deliver import parcel

CASES = {
    "a header, a body": (b"From: a@b.example\r\n\r\ntext\r\n", b""),
    "an empty line, a body": (b"\r\ntext\r\n", b""),
    "nothing at all": (b"", b""),
    "text at once: our fields must not swallow it": (b"This is text.\r\nAll of it.\r\n", b"\r\n"),
}


@pytest.mark.parametrize("data, separator", CASES.values(), ids=CASES)
def test_what_we_put_in_front_leaves_the_body_a_body(data: bytes, separator: bytes) -> None:
    content = mox_message.Content.of(data)
    part = mox_message.parse(content)
    made = parcel(content, part, 0.0)
    assert made.separator == separator
    whole = mox_message.Content.joined(b"Received: x\r\n" + made.separator, content)
    read = mox_message.parse(whole)
    assert (read.size, read.lines) == (part.size, part.lines)
