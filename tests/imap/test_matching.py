"""Texts in messages: the quick way and the careful way agree."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mox_imap.commands.matching import body_matches, header_matches, named_fields, text_matches
from mox_imap.structure import bodystructure
from mox_message import Content, Fields, decode, parse

NAMES = st.sampled_from([b"Subject", b"subject", b"From", b"X-Long", b"Subject ", b"SubjectX", b"To"])
VALUES = st.sampled_from(
    [
        b" hello",
        b" Hello World",
        b"\thello\r\n world",
        b" =?utf-8?q?h=C3=A9llo?=",
        b" (x) a@b",
        b"",
        b" a:b",
        b" \xc3\xa9",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES).map(lambda pair: pair[0] + b":" + pair[1] + b"\r\n"), max_size=6).map(
    b"".join
)
NEEDLES = st.sampled_from(["hello", "hello world", "héllo", "a@b", "", " ", "o", "x", "world"])


@settings(max_examples=200)
@given(HEADERS, st.sampled_from(["subject", "from", "x-long", "to", "cc"]), NEEDLES)
def test_header_matches(block: bytes, name: str, needle: str) -> None:
    careful = any(needle in decode(field.text).casefold() for field in Fields.parse(block).all(name))
    found = header_matches(block, name, needle)
    assert found == careful or (found and name in ("from", "to") and "@" in needle)


@settings(max_examples=200)
@given(HEADERS, st.lists(st.sampled_from(["subject", "from", "x-long", "none"]), min_size=1, max_size=3))
def test_named_fields(block: bytes, names: list[str]) -> None:
    wanted = b"".join(field.raw for field in Fields.parse(block + b"\r\n") if field.name in names)
    assert named_fields(block, tuple(names)) == wanted + b"\r\n"


def test_addresses_without_their_comments() -> None:
    block = b"From: <user (comment)@ (another) a.example>\r\n"
    assert header_matches(block, "from", "user@a.example")
    assert header_matches(block, "from", "comment")
    assert not header_matches(block, "subject", "comment")


def message(body: bytes, encoding: bytes = b"7bit", charset: bytes = b"utf-8") -> Content:
    head = b"Subject: =?utf-8?b?Z3LDvMOfZQ==?=\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n"
    return Content.of(head % (charset, encoding) + body)


def test_bodies() -> None:
    assert body_matches(message(b"Hello"), "hello")
    assert not body_matches(message(b"Hello"), "charset")
    assert text_matches(message(b"Hello"), "charset")
    assert text_matches(message(b"Hello"), "grüsse")
    assert body_matches(message(b"aGVsbG8=", b"base64"), "hello")
    assert not body_matches(message(b"aGVsbG8=", b"base64"), "agvsbg8")
    assert body_matches(message(b"h=65llo", b"quoted-printable"), "hello")
    for text in ("Straße", "ﬁne", "\u212aelvin"):
        assert body_matches(message(text.encode()), text.casefold())
    assert body_matches(message("Straße".encode("latin-1"), b"8bit", b"latin-1"), "strasse")
    assert not body_matches(message("Straße".encode()), "strase")
    assert body_matches(message("ÉCLAIR".encode("latin-1"), b"8bit", b"latin-1"), "éclair")
    assert not body_matches(Content.of(b"Content-Type: image/png\r\n\r\nhello"), "hello")


BODIES = st.sampled_from(
    [(b"Hello World", b"7bit"), ("Straße é".encode(), b"8bit"), (b"SGVsbG8=", b"base64"), (b"=48ello", b"quoted-printable"),
     (b"zebra base64", b"7bit"), (b"", b"7bit")]
)  # fmt: skip


@settings(deadline=None)
@given(BODIES, st.sampled_from(["hello", "z", "world", "base64", "strasse", "é", "q", "", "grüsse", "charset"]))
def test_knowing_the_structure_changes_nothing(body: tuple[bytes, bytes], needle: str) -> None:
    content = message(*body)
    known = bodystructure(parse(content))
    assert body_matches(content, needle) == body_matches(content, needle, known)
    assert text_matches(content, needle) == text_matches(content, needle, known)


def test_html_parts_are_searched_as_they_are() -> None:
    html = Content.of(b"Content-Type: text/html\r\n\r\n<p>one <b>two</b></p>")
    assert body_matches(html, "two")
