from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import decode, decoded_parameters, encode, parameter, parameters
from mox_message.words import MAX_PARAMETERS, MAX_WORDS, without_comments

# RFC 2047 8, and what is seen.
WORDS = {
    "plain": ("hello", "hello"),
    "a word": ("=?utf-8?q?Zo=C3=AB?=", "Zoë"),
    "B": ("=?UTF-8?B?Wm/Dqw==?=", "Zoë"),
    "B without padding": ("=?utf-8?b?Wm/Dqw?=", "Zoë"),
    "underscore": ("=?iso-8859-1?Q?a_b?=", "a b"),
    "8: (a)": ("=?ISO-8859-1?Q?a?= b", "a b"),
    "8: (ab)": ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
    "8: folded": ("=?ISO-8859-1?Q?a?=   \t =?ISO-8859-1?Q?b?=", "ab"),
    "8: space inside": ("=?ISO-8859-1?Q?a_?= =?ISO-8859-2?Q?b?=", "a b"),
    "two charsets": ("=?iso-8859-1?q?=E4?= =?utf-8?q?=C3=A4?=", "ää"),
    "a character cut in two": ("=?utf-8?q?=C3?= =?UTF-8?q?=A4?=", "ä"),
    "language, RFC 2231 5": ("=?us-ascii*en-us?q?a?=", "a"),
    "glued to text": ("x=?utf-8?q?=C3=A4?=y", "xäy"),
    "empty": ("a =?utf-8?q??= b", "a  b"),
    "no word": ("=?utf-8?x?a?= =?utf-8?q?a", "=?utf-8?x?a?= =?utf-8?q?a"),
    "unknown charset": ("=?nonesuch?q?=C3=A4?=", "ä"),
    "iso-2022-jp": ("=?iso-2022-jp?b?GyRCJCIbKEI=?=", "あ"),
    "broken base64": ("=?utf-8?b?W?=", ""),
}


@pytest.mark.parametrize("text, wanted", WORDS.values(), ids=WORDS)
def test_decode(text: str, wanted: str) -> None:
    assert decode(text) == wanted


def test_raw_octets_are_taken_as_windows_1252() -> None:
    assert decode(b"caf\xe9 \x80".decode("utf-8", "surrogateescape")) == "café €"


def test_encode() -> None:
    assert encode("hello world") == "hello world"
    assert encode("Zoë") == "=?utf-8?q?Zo=C3=AB?="
    assert encode("ääää") == "=?utf-8?b?w6TDpMOkw6Q=?="
    assert encode("hello", always=True) == "=?utf-8?q?hello?="
    assert encode("a =?utf-8?q?b?=") == "=?utf-8?b?YSA9P3V0Zi04P3E/Yj89?="
    words = encode("ä" * 100, first=40).split(" ")
    assert len(words[0]) <= 40
    assert max(map(len, words)) <= 75
    assert decode(" ".join(words)) == "ä" * 100


@given(st.text(max_size=200), st.integers(20, 75))
def test_encode_and_decode(text: str, first: int) -> None:
    coded = encode(text, first=first)
    assert coded.isascii()
    assert coded.isprintable()
    assert decode(coded) == text.encode("utf-8", "replace").decode()


def test_words_are_bounded() -> None:
    text = "=?utf-8?q?a?= " * (MAX_WORDS + 10)
    assert decode(text).count("=?utf-8") == 10


@pytest.mark.parametrize("piece", ["=?", "=?a?q?", "=?a?q?b", "=?a?b?b?= ", "?=", "=?" + "a" * 39, "é=?"])
def test_decoding_is_linear(piece: str) -> None:
    start = time.process_time()
    decode(piece * (400_000 // len(piece)))
    assert time.process_time() - start < 10


PARAMETERS: dict[str, tuple[str, dict[str, str]]] = {
    "none": ("text/plain", {}),
    "token": ("text/plain; charset=utf-8", {"charset": "utf-8"}),
    "quoted": ('a/b; name="x \\"y\\" ; z"', {"name": 'x "y" ; z'}),
    "upper case": ("a/b; NAME=X", {"name": "X"}),
    "comments": ('a/b (c; d=e); f=g (h) ; i="(j)"', {"f": "g", "i": "(j)"}),
    "the first counts": ("a/b; x=1; x=2", {"x": "1"}),
    "2231 3": ('a/b; x*0="12 "; x*1=34', {"x": "12 34"}),
    "2231 4": ("a/b; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", {"title": "This is ***fun***"}),
    "2231 4.1": (
        "a/b; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
        {"title": "This is even more ***fun*** isn't it!"},
    ),
    "out of order": ("a/b; x*1=b; x*0=a", {"x": "ab"}),
    "a gap": ("a/b; x*0=a; x*2=c", {"x": "a"}),
    "no beginning": ("a/b; x*1=a", {}),
    "x* before x": ("a/b; x=1; x*=utf-8''2", {"x": "2"}),
    "a character in two pieces": ("a/b; x*0*=utf-8''%C3; x*1*=%A4", {"x": "ä"}),
    "encoded word in quotes": ('a/b; x="=?utf-8?q?=C3=A4?="', {"x": "ä"}),
    "no semicolon": ("a/b; x=1 y=2", {"x": "1", "y": "2"}),
    "spaces": ("a/b; x=my file.txt; y=z", {"x": "my file.txt", "y": "z"}),
    "quote that does not end": ('a/b; x="abc', {"x": "abc"}),
    "empty": ('a/b; x=; y=""; z', {"y": ""}),
    "no charset": ("a/b; x*=%41", {"x": "A"}),
}


@pytest.mark.parametrize("text, wanted", PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(text: str, wanted: dict[str, str]) -> None:
    assert decoded_parameters(parameters(text)) == wanted


def test_parameters_are_bounded() -> None:
    assert len(parameters("a/b" + ";x=y" * 1000)) == MAX_PARAMETERS


def test_writing_a_parameter() -> None:
    assert parameter("name", "a.txt") == ["name=a.txt"]
    assert parameter("name", 'a "b".txt') == ['name="a \\"b\\".txt"']
    assert parameter("name", "ä.txt") == ["name*=utf-8''%C3%A4.txt"]
    assert parameter("name", "=?x?q?y?=") == ["name*=utf-8''%3D%3Fx%3Fq%3Fy%3F%3D"]
    pieces = parameter("name", "ä" * 40)
    assert pieces[0].startswith("name*0*=utf-8''%C3%A4")
    assert max(map(len, pieces)) < 76


@given(st.text(max_size=150))
def test_parameters_both_ways(value: str) -> None:
    text = "a/b; " + "; ".join(parameter("x", value))
    assert decoded_parameters(parameters(text)) == {"x": value.encode("utf-8", "replace").decode()}


@pytest.mark.parametrize("piece", [";", "a=", "a=b ", ' "', "a ", "a=(", ";a", ' ="', "\\", ";x*0=", "a=b c "])
def test_parameters_are_linear(piece: str) -> None:
    start = time.process_time()
    decoded_parameters(parameters("a/b;" + piece * (60_000 // len(piece))))
    without_comments("(" + piece * (400_000 // len(piece)))
    assert time.process_time() - start < 10


@given(st.text("ab;=\"\\ '%*()?é\udce4\n", max_size=60))
def test_any_text(text: str) -> None:
    decode(text)
    decoded_parameters(parameters(text))


def test_comments() -> None:
    assert without_comments("a (b (c) \\) d) e") == "a   e"
    assert without_comments('"(a)" b') == '"(a)" b'
    assert without_comments("a (b") == "a "
