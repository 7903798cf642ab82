from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_junk import words_of
from mox_junk.words import MAX_WORD, MAX_WORDS
from mox_message import Content, parse


def words(data: bytes) -> set[str]:
    content = Content.of(data)
    return set(words_of(parse(content), content))


def in_body(text: str) -> set[str]:
    return words(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello, hello WORLD", {"hello", "world"}),
        ("it is so", set()),  # two octets say nothing
        ("don't 'quoted' o'clock rock'n'roll", {"don't", "quoted", "o'clock", "rock'n'roll"}),
        ("don\u2019t", {"don't"}),
        ("12 123 1234 in2024 abc123 deadbeef123 0x1234", set()),
        ("bcdfgh strengths rhythm", {"strengths", "rhythm"}),
        ("bcdfghjkl x7k2m9pq", set()),
        ("a_b snake_case", {"snake", "case"}),
        ("Grüße Größe", {"grüße", "größe"}),
        ("日本語", {"日本", "本語"}),
        ("x" * (MAX_WORD + 1) + " short", {"short"}),
        ("e-mail foo.bar", {"mail", "foo", "bar"}),
    ],
)
def test_words_of_a_text(text: str, expected: set[str]) -> None:
    assert in_body(text) == expected


def test_header_words_name_their_field() -> None:
    data = b"From: Kim Lee <kim@example.org>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=\r\nX-Other: nothing\r\n\r\nbody"
    assert words(data) == {"from:example", "subject:grüße", "subject:alle", "body"}


def test_html_is_read_as_people_read_it() -> None:
    html = b"<p>cheap <b>pills</b></p><script>alert</script><style>color</style><img alt='logo text' src='hidden'>"
    assert words(b"Content-Type: text/html\r\n\r\n" + html) == {"cheap", "pills", "logo", "text"}


def test_texts_inside_of_messages_and_multiparts_count_and_attachments_do_not() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nsecond\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\n\r\nthird\r\n--b--\r\n"
    )
    assert words(data) == {"first", "second"}


def test_as_many_words_as_a_message_may_have() -> None:
    text = " ".join(f"{a}{b}{c}a" for a in "abcdefghijklmnop" for b in "aeiou" for c in "abcdefghijklmnopqrstuvwxyz")
    assert len(in_body(text + " " + text.replace("a ", "o ") + " " + text.replace("a ", "i "))) == MAX_WORDS


@given(st.binary(max_size=2000))
def test_any_octets(data: bytes) -> None:
    assert len(words(data)) <= MAX_WORDS


def test_a_long_run_takes_linear_time() -> None:
    """An apostrophe after each letter, letters that look random, and no end: nothing is looked at again and again."""
    for unit in ("a'", "b", "b1", "0x", "日", "a" * 39 + " "):
        small, large = (_fastest(unit * (size // len(unit))) for size in (10_000, 100_000))
        assert large < 60 * small + 0.05


def _fastest(text: str) -> float:
    best = 9.0
    for _ in range(3):
        begun = time.perf_counter()
        in_body(text)
        best = min(best, time.perf_counter() - begun)
    return best
