from __future__ import annotations

import time

from mox_message import Content, Fields, parse
from mox_message.report import field_blocks, headers, one_line, own_parts, seconds, whole_message


def test_blocks() -> None:
    assert [block.names for block in field_blocks(b"\r\n \nA: b\r\n\r\n\n\nC: d\n", 9)] == [["a"], ["c"]]
    assert len(field_blocks(b"A: b\n\n" * 20, 5)) == 5
    assert field_blocks(b"", 5) == []


def test_blocks_are_linear() -> None:
    start = time.process_time()
    for piece in (b"\n", b"\r\n", b"x\n\n", b" \n", b"A: b\n\n"):
        field_blocks(piece * (250_000 // len(piece)), 1000)
    assert time.process_time() - start < 20


def test_one_line() -> None:
    assert one_line(" a\r\nb\tc\0 ä ", True) == "a b c ä"
    assert one_line("ä", False) == "?"


def test_originals() -> None:
    assert headers(b"A: b\rc\n d\r\n\r\nbody", False) == b"Content-Type: text/rfc822-headers\r\n\r\nA: b c\r\n d\r\n"
    assert b"message/rfc822" in whole_message(b"A: b\r\n\r\n\xff", False)
    assert b"message/global" in whole_message("A: ä\r\n\r\n".encode(), True)
    assert Fields.parse(whole_message(b"A: b\r\n\r\n\xff", True)).text("content-transfer-encoding") == "8bit"


def test_parts_of_ones_own() -> None:
    inner = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\nA: b\n\n\n--b--\n"
    )
    assert [part.media_type for part in own_parts(parse(Content.of(inner)))] == [
        *("multipart/mixed", "text/plain", "message/rfc822")
    ]


def test_seconds() -> None:
    assert seconds("Tue, 14 Nov 2023 22:13:20 +0000") == 1_700_000_000
    assert seconds("") is None
    assert seconds(None) is None
    assert seconds("what") is None
