from __future__ import annotations

import pytest

from mox_message import (
    Bodies,
    Content,
    Fields,
    Part,
    bodies,
    decoded_subject,
    message_id,
    parse,
    preview,
    readable,
    sent_date,
)
from mox_message.text import PREVIEW, text_part, unflowed


def message(text: str) -> tuple[Part, Content]:
    content = Content.of(text.replace("\n", "\r\n").encode())
    return parse(content), content


def test_readable() -> None:
    assert readable(*message("Content-Type: text/html\n\n<p>a<p>b")) == "a\n\nb"
    assert readable(*message("\nplain\n")) == "plain\r\n"
    assert readable(*message("Content-Type: text/plain; format=flowed\n\na \nb\nc")) == "a b\nc"
    assert readable(*message("Content-Type: text/plain; format=flowed; delsp=yes\n\na \nb")) == "ab"
    assert readable(*message("Content-Type: image/png\n\nx")) == ""
    html = b"Content-Type: text/html\r\n\r\n<meta charset=koi8-r>\xc1"
    assert readable(parse(Content.of(html)), Content.of(html)) == "а"
    assert readable(*message("\n" + "x" * 100), max_bytes=10) == "x" * 10


FLOWED = {
    "soft": ("a \nb\nc", "a b\nc"),
    "quotes of one depth": ("> a \n> b\n>> c", "> a b\n>> c"),
    "quotes change": (">> a \n> b", ">> a \n> b"),
    "stuffed": (" From x\n >y", "From x\n>y"),
    "signature": ("a \n-- \nb", "a \n-- \nb"),
    "last": ("a ", "a "),
}


@pytest.mark.parametrize("text, wanted", FLOWED.values(), ids=FLOWED)
def test_unflowed(text: str, wanted: str) -> None:
    assert unflowed(text) == wanted


PART = "--{}\nContent-Type: {}\n\n{}\n"


def multipart(kind: str, boundary: str, *parts: tuple[str, str]) -> str:
    inner = "".join(PART.format(boundary, type, body) for type, body in parts)
    return f"multipart/{kind}; boundary={boundary}\n\n{inner}--{boundary}--\n"


def nested(kind: str, boundary: str, *parts: tuple[str, str]) -> tuple[str, str]:
    type, _, body = multipart(kind, boundary, *parts).partition("\n\n")
    return type, body


def kinds(parts: tuple[Part, ...]) -> list[str]:
    return [part.media_type for part in parts]


BODIES: dict[str, tuple[str, tuple[list[str], list[str], list[str]]]] = {
    "plain": ("text/plain\n\nx", (["text/plain"], ["text/plain"], [])),
    "html": ("text/html\n\nx", (["text/html"], ["text/html"], [])),
    "alternative": (
        multipart("alternative", "a", ("text/plain", "x"), ("text/html", "y")),
        (["text/plain"], ["text/html"], []),
    ),
    "alternative with one": (multipart("alternative", "a", ("text/html", "y")), (["text/html"], ["text/html"], [])),
    "attachments": (
        multipart("mixed", "m", ("text/plain", "x"), ("application/pdf", "y"), ("text/plain; name=z", "z")),
        (["text/plain"], ["text/plain"], ["application/pdf", "text/plain"]),
    ),
    "image shown in place": (
        multipart("mixed", "m", ("text/plain", "x"), ("image/png", "y"), ("text/plain", "z")),
        (["text/plain", "image/png", "text/plain"], ["text/plain", "image/png", "text/plain"], []),
    ),
    "RFC 8621 4.1.4": (
        multipart(
            "mixed",
            "m",
            ("text/plain", "A"),
            nested(
                "mixed",
                "n",
                nested(
                    "alternative",
                    "o",
                    nested("mixed", "p", ("text/plain", "B"), ("image/jpeg", "C"), ("text/plain", "D")),
                    nested("related", "q", ("text/html", "E"), ("image/jpeg", "F")),
                ),
                ("image/jpeg", "G"),
                ("application/x-excel", "H"),
                ("message/rfc822", "Subject: J\n\nx"),
            ),
            ("text/plain", "K"),
        ),
        (
            ["text/plain", "text/plain", "image/jpeg", "text/plain", "image/jpeg", "text/plain"],
            ["text/plain", "text/html", "image/jpeg", "text/plain"],
            ["image/jpeg", "image/jpeg", "application/x-excel", "message/rfc822"],
        ),
    ),
}


@pytest.mark.parametrize("text, wanted", BODIES.values(), ids=BODIES)
def test_bodies(text: str, wanted: tuple[list[str], list[str], list[str]]) -> None:
    found = bodies(message(f"Content-Type: {text}")[0])
    assert isinstance(found, Bodies)
    assert (kinds(found.text), kinds(found.html), kinds(found.attachments)) == wanted


def test_the_part_to_read_first() -> None:
    alternative = message("Content-Type: " + multipart("alternative", "a", ("text/html", "y"), ("text/plain", "x")))
    chosen = text_part(alternative[0])
    assert chosen is not None
    assert chosen.subtype == "plain"
    inner = message("Content-Type: message/rfc822\n\nSubject: a\n\nhello")
    chosen = text_part(inner[0])
    assert chosen is not None
    assert chosen.text(inner[1]) == "hello"
    assert text_part(message("Content-Type: image/png\n\nx")[0]) is None


PREVIEWS = {
    "words": ("\nHello\n\nyou  there\n", "Hello you there"),
    "no quotes": ("\n> old\nnew\n>> older\n", "new"),
    "HTML": ("Content-Type: text/html\n\n<style>x</style><p>a<br>b&nbsp;c", "a b c"),
    "invisible": ("Content-Type: text/plain; charset=utf-8\n\na\u200bb\u00ad \ufeffc", "ab c"),
    "nothing": ("Content-Type: image/png\n\nx", ""),
    "much": ("\n" + "word " * 1000, ("word " * 1000)[:PREVIEW].rstrip()),
    "late": ("Content-Type: text/html\n\n" + "<p> </p>" * 2000 + "here", "here"),
}


@pytest.mark.parametrize("text, wanted", PREVIEWS.values(), ids=PREVIEWS)
def test_preview(text: str, wanted: str) -> None:
    assert preview(*message(text)) == wanted


def test_header_values() -> None:
    fields = Fields.parse(
        b"Subject: =?utf-8?q?a=0Ab?=\r\n c\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <x@y> z\r\n\r\n"
    )
    assert (decoded_subject(fields), sent_date(fields), message_id(fields)) == ("a b c", 1_700_000_000, "x@y")
    none = Fields.parse(b"\r\n")
    assert (decoded_subject(none), sent_date(none), message_id(none)) == ("", None, "")
