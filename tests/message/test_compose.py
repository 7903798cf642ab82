from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Content, Fields, Group, Mailbox, addresses, compose, decoded_subject, fold, parse, unstructured
from mox_message.compose import LINE, MAX_LINE, MAX_WORD_LINE


def lines(field: bytes) -> list[bytes]:
    assert field.endswith(b"\r\n")
    return field[:-2].split(b"\r\n")


def test_fold() -> None:
    assert fold("To", "a@b.example") == b"To: a@b.example\r\n"
    field = fold("References", " ".join(f"<{number}@example.org>" for number in range(20)))
    assert all(len(line) <= LINE for line in lines(field))
    assert all(line.startswith(b" ") for line in lines(field)[1:])
    assert Fields.parse(field + b"\r\n").text("references") == " ".join(
        f"<{number}@example.org>" for number in range(20)
    )
    assert fold("A", "") == b"A: \r\n"
    assert len(lines(fold("A", "x" * 200))) == 1


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.sampled_from(["A", "X-Long-Name-Of-A-Field"])
)
@settings(deadline=None)
def test_one_field_whatever_it_holds(text: str, name: str) -> None:
    for field in (fold(name, text), unstructured(name, text)):
        fields = Fields.parse(field + b"\r\nbody")
        assert fields.names == [name.lower()]
        assert fields.end == len(field) + 2
        assert not fields.defects


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
@settings(deadline=None)
def test_subjects_both_ways(text: str) -> None:
    field = unstructured("Subject", text)
    assert field.isascii()
    found = decoded_subject(Fields.parse(field + b"\r\n"))
    assert found.split() == text.split() or " ".join(found.split()) == " ".join(text.split())
    if b"=?" in field:
        assert all(len(line) <= MAX_WORD_LINE for line in lines(field))
    assert all(len(line) <= MAX_LINE for line in lines(field))


def test_long_words_are_encoded() -> None:
    assert all(len(line) <= MAX_LINE for line in lines(unstructured("Subject", "x" * 3000)))


def test_address_list() -> None:
    people = [Mailbox("Zoë", "zoe", "example.org"), Group("team", (Mailbox("", "a", "b.example"),))]
    field = compose.address_list("To", people)
    assert field == b"To: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>, team: a@b.example;\r\n"
    assert addresses(Fields.parse(field + b"\r\n").text("to") or "").entries == tuple(people)


def test_complete() -> None:
    missing = compose.complete(Fields.parse(b"From: a@b.example\r\n\r\n"), message_id="x@y", now=1_700_000_000)
    assert missing == b"Message-ID: <x@y>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    assert compose.complete(Fields.parse(missing + b"\r\n"), message_id="z@y", now=0) == b""


TEXTS = {
    "ascii": ("hello\nyou", "7bit", "us-ascii"),
    "few umlauts": ("some words and one ä\r\n", "quoted-printable", "utf-8"),
    "another script": ("ありがとう", "base64", "utf-8"),
    "long line": ("x" * 2000, "quoted-printable", "us-ascii"),
    "dot and From": (".\nFrom x\n", "7bit", "us-ascii"),
}


@pytest.mark.parametrize("text, encoding, charset", TEXTS.values(), ids=TEXTS)
def test_text_part(text: str, encoding: str, charset: str) -> None:
    data = compose.text_part(text)
    content = Content.of(data)
    part = parse(content)
    assert (part.encoding, part.parameter("charset"), part.defects) == (encoding, charset, [])
    assert part.text(content) == text.replace("\r\n", "\n").replace("\n", "\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= MAX_LINE


def test_a_whole_message_as_email_reads_it() -> None:
    text, page = compose.text_part("Grüße\n"), compose.text_part("<p>Grüße", "html")
    alternative = compose.multipart("alternative", [text, page], "inner")
    file = compose.attachment(b"\x00\xff" * 100, "Übersicht.pdf", "application/pdf")
    picture = compose.attachment(b"x", "", "image/png", inline=True, id="1@x")
    data = compose.message(
        [unstructured("Subject", "Grüße"), fold("From", "a@b.example")],
        compose.multipart("mixed", [alternative, file, picture], "outer"),
    )
    theirs = email.message_from_bytes(data, policy=email.policy.default)
    assert not [defect for one in theirs.walk() for defect in one.defects]
    assert theirs["subject"] == "Grüße"
    assert [one.get_content_type() for one in theirs.walk()] == [
        *("multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/pdf", "image/png")
    ]
    attached = list(theirs.walk())[4]
    assert (attached.get_filename(), attached.get_content()) == ("Übersicht.pdf", b"\x00\xff" * 100)
    message = parse(Content.of(data))
    assert [part.media_type for part in message.walk()] == [one.get_content_type() for one in theirs.walk()]
    assert not [defect for part in message.walk() for defect in part.defects]
    assert message.children[1].filename == "Übersicht.pdf"
    assert (message.children[2].disposition, message.children[2].id) == ("inline", "<1@x>")


def test_a_boundary_that_occurs_is_made_longer() -> None:
    data = compose.multipart("mixed", [compose.text_part("--b\r\n--b-x\r\n")], "b")
    message = parse(Content.of(data))
    assert message.parameter("boundary") == "b-x-x"
    assert len(message.children) == 1


@pytest.mark.parametrize("boundary", ["b", "=_x/y", "=?utf-8?q?a?=", "a:b"])
def test_boundaries(boundary: str) -> None:
    data = compose.multipart("mixed", [compose.text_part("x")], boundary)
    assert len(parse(Content.of(data)).children) == 1
    assert len(list(email.message_from_bytes(data).walk())) == 2


def test_no_boundary() -> None:
    for boundary in ("", "a b", 'a"', "é", "x" * 61):
        with pytest.raises(AssertionError):
            compose.multipart("mixed", [], boundary)
