from __future__ import annotations

import pytest

from mox_message import Fields, from_address
from mox_message.fields import MAX_FIELDS
from mox_message.sender import FromStatus

GOOD = {
    "a@b.example": "a@b.example",
    "Ann <a@b.example>": "a@b.example",
    "a..b@c.example": '"a..b"@c.example',
    "a@c.example <a@c.example>": "a@c.example",
    "=?utf-8?q?x=40y.example?= <a@b.example>": "a@b.example",
}


@pytest.mark.parametrize("value, wanted", GOOD.items(), ids=GOOD)
def test_one(value: str, wanted: str) -> None:
    found = from_address(Fields.parse(f"From: {value}\r\n\r\n".encode()))
    assert (str(found.address), found.status, found.reason) == (wanted, FromStatus.ONE, "")
    assert found.all == (found.address,)


BAD = {
    "none": ("To: x@y.example", FromStatus.NO_FIELD),
    "two fields": ("From: a@b.example\r\nFrom: a@b.example", FromStatus.SEVERAL_FIELDS),
    "empty": ("From: ", FromStatus.NO_ADDRESS),
    "two addresses": ("From: a@b.example, c@d.example", FromStatus.SEVERAL_ADDRESSES),
    "group": ("From: g: a@b.example;", FromStatus.GROUP),
    "two @": ("From: a@b.example@c.example", FromStatus.UNPARSABLE),
    "no domain": ("From: ann", FromStatus.UNPARSABLE),
    "another address in the name": ("From: a@b.example <c@d.example>", FromStatus.UNPARSABLE),
    "second address after >": ("From: <a@b.example> <c@d.example>", FromStatus.UNPARSABLE),
    "bare CR": ("From: a@b.example\rFrom: c@d.example", FromStatus.UNPARSABLE),
    "not a domain": ("From: a@b..example", FromStatus.UNPARSABLE),
}


@pytest.mark.parametrize("header, status", BAD.values(), ids=BAD)
def test_not_one(header: str, status: FromStatus) -> None:
    found = from_address(Fields.parse(f"{header}\r\n\r\n".encode()))
    assert (found.address, found.status) == (None, status)
    assert found.reason


def test_a_header_that_was_cut() -> None:
    fields = Fields.parse(b"From: a@b.example\r\n" + b"A: b\r\n" * MAX_FIELDS + b"From: c@d.example\r\n\r\n")
    assert from_address(fields).status is FromStatus.UNPARSABLE
