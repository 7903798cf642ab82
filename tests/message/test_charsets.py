from __future__ import annotations

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message.charsets import _CODECS, codec, to_text

TEXTS = {
    "utf-8": (b"\xc3\xa4", "ä"),
    "UTF8": (b"\xc3\xa4", "ä"),
    "iso-8859-1": (b"\x80\xe4", "€ä"),
    "latin1": (b"\xe4", "ä"),
    "windows-1252": (b"\x80", "€"),
    "iso-8859-15": (b"\xa4", "€"),
    "us-ascii": (b"\xc3\xa4", "ä"),
    "": (b"\xe4", "ä"),
    "unknown-8bit": (b"\xe4", "ä"),
    "nonesuch": (b"\xc3\xa4", "ä"),
    "koi8-r": (b"\xc1", "а"),
    "shift_jis": (b"\x82\xa0", "あ"),
    "ISO-2022-JP": (b'\x1b$B$"\x1b(B', "あ"),
    "euc-kr": (b"\xb0\xa1", "가"),
    "gb2312": (b"\xb0\xa1", "啊"),
    "big5": (b"\xa4\xa4", "中"),
    "iso-8859-8-i": (b"\xe0", "א"),
    "utf-16": (b"\xff\xfea\0", "a"),
    "utf-7": (b"+AOQ-", "ä"),
}


@pytest.mark.parametrize("name, wanted", TEXTS.items(), ids=[name or "none" for name in TEXTS])
def test_to_text(name: str, wanted: tuple[bytes, str]) -> None:
    assert to_text(wanted[0], name) == wanted[1]


def test_what_does_not_decode_is_replaced() -> None:
    assert to_text(b"a\xff", "utf-8") == "a\ufffd"
    assert to_text(b"\xc3\xa4\xc3", "") == "ä\ufffd"
    assert to_text(b"caf\xe9", "") == "café"


def test_names_are_a_closed_table() -> None:
    for name in (
        "base64",
        "hex",
        "rot13",
        "zlib",
        "bz2",
        "uu",
        "quopri",
        "idna",
        "punycode",
        "unicode_escape",
        "undefined",
    ):
        assert not codec(name), name
    assert codec("x" * 100_000) is None
    for name in set(_CODECS.values()) - {""}:
        codecs.lookup(name)


@given(st.sampled_from(sorted(set(_CODECS))), st.binary(max_size=60))
def test_any_octets(name: str, data: bytes) -> None:
    assert isinstance(to_text(data, name), str)


def test_linear() -> None:
    start = time.process_time()
    for name in set(_CODECS.values()) - {""}:
        to_text(b"\x1b$B\xff+~{" * 2000, name)
    assert time.process_time() - start < 20
