from __future__ import annotations

import base64
import io
import quopri
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message.transfer import LINE, MAX_LINE, Reader, chosen, decoded, encoded


def undone(encoding: str, data: bytes, size: int = 1 << 20) -> bytes:
    return b"".join(decoded(encoding, [data[at : at + size] for at in range(0, len(data), size)]))


BASE64 = {
    b"YWJj": b"abc",
    b"YWI=": b"ab",
    b"YQ==": b"a",
    b"YWJj\r\nYWJj\r\n": b"abcabc",
    b"Y W\tJ-j!": b"abc",
    b"YQ==YWI=": b"aab",
    b"YWI": b"ab",
    b"YWJjY": b"abc",
    b"": b"",
    b"====": b"",
}


@pytest.mark.parametrize("data, wanted", BASE64.items(), ids=repr)
def test_base64(data: bytes, wanted: bytes) -> None:
    for size in (1, 2, 3, 5, 100):
        assert undone("base64", data, size) == wanted


QUOTED = {
    b"a=3Db": b"a=b",
    b"a=3d": b"a=",
    b"soft=\r\nline": b"softline",
    b"soft= \t\r\nline": b"softline",
    b"soft=\nline": b"softline",
    b"end \t\r\nx": b"end\r\nx",
    b"no=escape": b"no=escape",
    b"=\rkept\nx": b"=\rkept\nx",
    b"==3D": b"==",
    b"a=": b"a",
    b"a=4": b"a=4",
    b"\xe4": b"\xe4",
}


@pytest.mark.parametrize("data, wanted", QUOTED.items(), ids=repr)
def test_quoted_printable(data: bytes, wanted: bytes) -> None:
    for size in (1, 2, 3, 5, 100):
        assert undone("quoted-printable", data, size) == wanted


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "x-unknown", ""])
def test_what_is_not_encoded(encoding: str) -> None:
    assert undone(encoding, b"a=3D\r\n\xff") == b"a=3D\r\n\xff"


LINES = st.lists(
    st.sampled_from([b"a", b"=", b"3D", b"\r\n", b" ", b"\t", b"\n", b"\r", b"==", b"\xff", b"Q", b"x" * 70])
)


@given(LINES.map(b"".join), st.integers(1, 9), st.sampled_from(["base64", "quoted-printable"]))
@settings(deadline=None)
def test_any_cut(data: bytes, size: int, encoding: str) -> None:
    assert undone(encoding, data, size) == undone(encoding, data)


@given(st.integers(0, 9), st.integers(1, 70_000))
@settings(deadline=None, max_examples=20)
def test_a_line_without_end(shift: int, size: int) -> None:
    data = b"x" * shift + b"=3D =C3=A4" * 20_000
    assert undone("quoted-printable", data, size) == b"x" * shift + b"= \xc3\xa4" * 20_000


def test_memory_stays_small_for_one_long_line() -> None:
    held = [len(piece) for piece in decoded("quoted-printable", (b"x" * 65536 for _ in range(50)))]
    assert max(held) < 300_000
    assert sum(held) == 50 * 65536


@pytest.mark.parametrize("piece", [b"=", b" ", b"=\r", b"=\n", b"a=", b"A", b"\n", b"=3", b"\t\n"], ids=repr)
def test_linear(piece: bytes) -> None:
    start = time.process_time()
    data = piece * (2_000_000 // len(piece))
    undone("quoted-printable", data, 65536)
    undone("base64", data, 65536)
    assert time.process_time() - start < 20


@given(st.binary(max_size=300))
def test_both_ways(data: bytes) -> None:
    assert undone("base64", encoded("base64", data)) == data == base64.b64decode(encoded("base64", data))
    text = data.replace(b"\r", b"").replace(b"\n", b"\r\n")
    written = encoded("quoted-printable", text)
    assert undone("quoted-printable", written) == text == quopri.decodestring(written)
    assert all(
        len(line) <= LINE
        for encoding in ("base64", "quoted-printable")
        for line in encoded(encoding, text).split(b"\r\n")
    )
    assert encoded("8bit", data) == data


def test_the_choice() -> None:
    assert chosen(b"plain\r\n") == "7bit"
    assert chosen("ein paar Umlaute: äöü, sonst nichts\r\n".encode()) == "quoted-printable"
    assert chosen("ありがとう".encode()) == "base64"
    assert chosen(b"x" * (MAX_LINE + 1)) == "quoted-printable"
    assert chosen(b"a\nb") == "quoted-printable"
    assert chosen(b"\0") == "base64"


@given(st.lists(st.binary(max_size=20), max_size=8), st.lists(st.integers(-1, 30), min_size=1, max_size=20))
def test_a_reader_is_a_file(pieces: list[bytes], sizes: list[int]) -> None:
    reader = io.BufferedReader(Reader(pieces), 7)
    whole = io.BytesIO(b"".join(pieces))
    for size in sizes:
        assert reader.read(size) == whole.read(size)
    assert reader.readable()
    assert not reader.seekable()
