"""ENVELOPE, BODYSTRUCTURE, BODY and the header that is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_imap import structure
from mox_message import Content, Fields, parse


def envelope(header: bytes) -> str:
    return structure.envelope(parse(Content.of(header + b"\r\n"))).decode()


@pytest.mark.parametrize(
    "header, wanted",
    [
        (b"", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (b"Subject: \r\n", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (b'Subject: say "hi" \\o/\r\n', '(NIL "say \\"hi\\" \\\\o/" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (
            b"From: a@b\r\nSender:\r\nReply-To: c@d\r\n",
            '(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL)',
        ),
        (
            b"To: team: x@y, Z <z@y>;, u@v\r\n",
            '(NIL NIL NIL NIL NIL ((NIL NIL "team" NIL)(NIL NIL "x" "y")("Z" NIL "z" "y")(NIL NIL NIL NIL)(NIL NIL "u" "v"))'
            " NIL NIL NIL NIL)",
        ),
        (b"Message-ID: <a@b>\r\nIn-Reply-To: <c@d>\r\n", '(NIL NIL NIL NIL NIL NIL NIL NIL "<c@d>" "<a@b>")'),
    ],
)
def test_envelope(header: bytes, wanted: str) -> None:
    assert envelope(header) == wanted


def test_names_are_sent_as_words_of_ascii() -> None:
    assert '(("=?utf-8?' in envelope("From: Jürgen <j@b>\r\n".encode()).lower()
    assert "{" in envelope("Subject: schön\r\n".encode())


@pytest.mark.parametrize(
    "message, wanted",
    [
        (b"\r\nhello\r\n", '("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 7 1 NIL NIL NIL NIL)'),
        (
            b'Content-Type: text/html; name="a b"\r\nContent-Language: en, de\r\nContent-Location: x\r\nContent-MD5: y\r\n\r\n',
            '("TEXT" "HTML" ("CHARSET" "US-ASCII" "NAME" "a b") NIL NIL "7BIT" 0 0 "y" NIL ("en" "de") "x")',
        ),
        (
            b"Content-Type: image/png\r\nContent-Id: <i@d>\r\nContent-Description: a picture\r\nContent-Disposition: inline; size=3\r\n\r\nxyz",
            '("IMAGE" "PNG" NIL "<i@d>" "a picture" "7BIT" 3 NIL ("INLINE" ("SIZE" "3")) NIL NIL)',
        ),
        (
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts\r\n",
            '("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "BOUNDARY" "x") NIL NIL "7BIT" 10 0 NIL NIL NIL NIL)',
        ),
    ],
)
def test_bodystructure(message: bytes, wanted: str) -> None:
    assert structure.bodystructure(parse(Content.of(message))).decode() == wanted


def test_body_is_cut_from_bodystructure() -> None:
    inner = b'Subject: in {5}\r\nTo: a@b, c@d\r\nContent-Type: text/plain; name="x)y"\r\n\r\nhi\r\n'
    message = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
        + inner
        + b'\r\n--x\r\nContent-Type: image/png; name="sch\xc3\xb6n"\r\n\r\nx\r\n--x--\r\n'
    )
    extended = structure.bodystructure(parse(Content.of(message)))
    assert structure.short(extended).decode() == (
        '(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3 0)'
        '("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 75 (NIL "in {5}" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL) '
        '("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "x)y") NIL NIL "7BIT" 4 1) 5)'
        '("IMAGE" "PNG" ("NAME" {6}\r\nschön) NIL NIL "7BIT" 1) "MIXED")'
    )


def test_deep_nesting() -> None:
    message = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(200))
    extended = structure.bodystructure(parse(Content.of(message)))
    assert structure.short(extended).count(b"(") > 10


WORDS = st.sampled_from(
    [b"Content-Type: ", b"multipart/mixed", b"message/rfc822", b"text/plain", b"; boundary=x", b"; name=", b'"', b"(", b")", b"\\",
     b"\r\n", b"\r\n\r\n", b"--x\r\n", b"--x--", b"{5}", b"\xc3\xa4", b"\xff", b"\0", b"Subject: ", b"From: ", b"a@b", b"NIL", b" "]
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=30).map(b"".join))
def test_whatever_the_message_it_is_whole(message: bytes) -> None:
    part = parse(Content.of(message))
    extended = structure.bodystructure(part)
    for data in (extended, structure.short(extended), structure.envelope(part)):
        assert b"\0" not in data
        assert balanced(data), data


def balanced(data: bytes) -> bool:
    """One list, and nothing after it."""
    tree = structure._tree(data)
    return structure._flat(tree).replace(b" ", b"") == data.replace(b" ", b"") or b"{" in data


def test_what_is_kept_of_a_header() -> None:
    header = b"Received: x\r\nSubject: a\r\n b\r\nDKIM-Signature: y\r\nTo: c\r\n\r\n"
    assert structure.trimmed_header(Fields.parse(header)) == b"Subject: a\r\n b\r\nTo: c\r\n"
    assert structure.trimmed_header(Fields.parse(b"Subject: " + b"x" * 20_000 + b"\r\n\r\n")) == b""
