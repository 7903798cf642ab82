from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import Content, Part, parse
from mox_message import part as part_module
from mox_message.part import MAX_BOUNDARY, MAX_DEPTH, MAX_NEAR, MAX_PARTS
from mox_message.testing.messages import Wanted, messages

MIXED = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Gr=C3=BC=C3=9Fe\r\n\r\n"
    b'--b  \r\nContent-Type: image/png; name="=?utf-8?q?=C3=A4=2Epng?="\r\nContent-Disposition: attachment\r\n'
    b"Content-Transfer-Encoding: base64\r\nContent-ID: <1@x>\r\nContent-Language: de, en\r\n\r\niVBORw==\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: text/html\r\n\r\n<p>hi\r\n"
    b"--b--\r\nepilogue\r\n"
)


def one(data: bytes) -> Part:
    return parse(Content.of(data))


def test_a_tree() -> None:
    content = Content.of(MIXED)
    message = parse(content)
    text, image, inner = message.children
    assert not message.defects
    assert (message.media_type, message.size) == ("multipart/mixed", len(MIXED) - message.body_start)
    assert (text.media_type, text.encoding, text.lines, text.attachment) == ("text/plain", "quoted-printable", 1, False)
    assert text.text(content) == "Grüße\r\n"
    assert b"".join(text.raw(content)) == b"Gr=C3=BC=C3=9Fe\r\n"
    assert (image.media_type, image.filename, image.attachment, image.id) == ("image/png", "ä.png", True, "<1@x>")
    assert (image.language, image.lines) == (("de", "en"), 0)
    assert b"".join(image.decoded(content)) == b"\x89PNG"
    assert image.data(content, 2) == b"\x89P"
    assert text.reader(content).readlines() == ["Grüße\r\n".encode()]
    assert inner.message is not None
    assert (inner.message.media_type, inner.message.fields.text("subject"), inner.lines) == ("text/html", "inner", 3)
    assert inner.message.text(content) == "<p>hi"
    assert [number for number, _ in message.numbered()] == ["1", "2", "3", "3.1"]
    assert [part.media_type for part in message.walk()][-2:] == ["message/rfc822", "text/html"]


def test_find_is_numbered() -> None:
    message = one(MIXED)
    for number, part in message.numbered():
        assert message.find(number) is part
    assert message.find("") is message
    for wrong in ("0", "4", "1.1.1.2", "x", "1.x", "99999999999", "²"):
        assert message.find(wrong) is None
    inside = one(b"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n" + MIXED)
    assert [number for number, _ in inside.numbered()] == ["1", "1.1", "1.1.1", "1.1.2", "1.1.3", "1.1.3.1"]
    for number, part in inside.numbered():
        assert inside.find(number) is part
    single = one(b"A: b\r\n\r\nx")
    assert single.find("1.1") is None
    assert single.find("1") is single
    assert single.find("2") is None


@given(messages())
@settings(deadline=None)
def test_drawn_messages(wanted: Wanted) -> None:
    check(wanted, one(wanted.data), wanted.data)


def check(wanted: Wanted, found: Part, data: bytes) -> None:
    assert found.media_type == wanted.media_type
    assert data[found.header_start : found.body_start] == wanted.header + b"\r\n"
    assert data[found.body_start : found.body_end] == wanted.body
    inner = [found.message] if found.message is not None else found.children
    assert len(inner) == len(wanted.children)
    for one_wanted, one_found in zip(wanted.children, inner, strict=True):
        assert one_found is not None
        check(one_wanted, one_found, data)


PIECES = [
    b"\r\n",
    b"\n",
    b"--b",
    b"--bb",
    b"--",
    b" ",
    b"x",
    b"--b--",
    b"\n--b\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n",
]
PIECES += [
    b"Content-Type: multipart/digest; boundary=bb\r\n\r\n",
    b"Content-Type: message/rfc822\n\n",
    b"\r\r\n",
    b"\xff",
    b"\0",
]
PIECES += [b"Content-Type: text/plain\n\n", b"Content-Transfer-Encoding: base64\n", b"From x\n", b"\n--bb\r\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.integers(1, 60))
@settings(deadline=None, max_examples=400)
def test_any_octets_and_any_window(data: bytes, window: int) -> None:
    """What is seen through a window of any size is what is seen whole."""
    message = one(data)
    for part in message.walk():
        assert 0 <= part.header_start <= part.body_start <= part.body_end <= len(data)
    wanted = [shape(part) for part in message.walk()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_module, "_MEMORY", -1)
        patch.setattr(part_module, "_WINDOW", max(window, 8))
        assert [shape(part) for part in one(data).walk()] == wanted


def shape(part: Part) -> tuple[object, ...]:
    places = (part.header_start, part.body_start, part.body_end, part.lines)
    return (part.media_type, places, part.parameters, part.defects, part.fields.names, part.fields.end)


def test_a_large_file_is_read_through_a_window(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n")
        for _ in range(300):
            file.write(b"x" * 76 * 1000 + b"\r\n")
        file.write(b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n")
    content = Content.file(path)
    tracemalloc.start()
    message = parse(content)
    for part in message.walk():
        for _ in part.decoded(content):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert content.size > 20_000_000
    assert [part.media_type for part in message.children] == ["text/plain", "image/png"]
    assert message.children[0].lines == 299
    assert peak < 5_000_000, peak


ODD = {
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\nx", "usable boundary", 0),
    "boundary too long": (
        b"Content-Type: multipart/mixed; boundary=" + b"x" * (MAX_BOUNDARY + 1) + b"\r\n\r\n",
        "usable",
        0,
    ),
    "no parts": (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx", "without parts", 0),
    "not closed": (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx", "not closed", 1),
    "no semicolon": (
        b"Content-Type: multipart/mixed boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--",
        "text after the type",
        1,
    ),
    "twice": (b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\n", "more than once", 0),
    "no type": (b"Content-Type: what\r\n\r\n", "cannot be understood", 0),
    "encoded": (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\n--b--",
        "multipart/mixed in base64",
        1,
    ),
    "no header": (b"just text\r\nand more\r\n", "no header", 0),
}


@pytest.mark.parametrize("data, wanted, children", ODD.values(), ids=ODD)
def test_odd(data: bytes, wanted: str, children: int) -> None:
    message = one(data)
    assert any(wanted in defect for defect in message.defects), message.defects
    assert len(message.children) == children


def test_text_without_a_header_is_a_body() -> None:
    content = Content.of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nhello you\r\n--b--\r\n")
    (part,) = parse(content).children
    assert part.text(content) == "hello you"
    whole = Content.of(b"just text\r\n\r\nand more\r\n")
    assert parse(whole).text(whole) == "just text\r\n\r\nand more\r\n"


def test_a_boundary_that_begins_with_the_other() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n"
        b"--bb\r\n\r\n1\r\n--bb\r\n\r\n2\r\n--bb--\r\n--b\r\n\r\n3\r\n--b--\r\n"
    )
    message = one(data)
    assert [len(message.children), len(message.children[0].children)] == [2, 2]


def test_an_outer_boundary_ends_what_is_open_within() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
        b"--c\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n"
    )
    message = one(data)
    assert [len(message.children), len(message.children[0].children)] == [2, 1]
    assert "multipart is not closed" in message.children[0].defects


def test_a_boundary_is_what_is_written() -> None:
    data = b'Content-Type: multipart/mixed; boundary="=?utf-8?q?a?="\r\n\r\n--=?utf-8?q?a?=\r\n\r\nx\r\n--=?utf-8?q?a?=--\r\n'
    assert len(one(data).children) == 1
    pieces = b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n"
    assert len(one(pieces).children) == 1


def test_digest() -> None:
    data = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: a\r\n\r\nx\r\n--b--\r\n"
    (part,) = one(data).children
    assert part.media_type == "message/rfc822"
    assert part.message is not None
    assert part.message.fields.text("subject") == "a"


def test_encoded_messages_can_be_opened() -> None:
    data = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQoKeA==\r\n"
    content = Content.of(data)
    message = parse(content)
    assert message.message is None
    opened = message.opened(content)
    assert opened is not None
    inner, its_content = opened
    assert (inner.fields.text("subject"), inner.text(its_content)) == ("a", "x")
    assert one(MIXED).opened(content) is None
    with_message = one(MIXED).children[2]
    assert with_message.opened(Content.of(MIXED)) is None


def nested(levels: int) -> bytes:
    head = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(levels)
    )
    return head + b"\r\nx\r\n" + b"".join(b"--b%d--\r\n" % level for level in reversed(range(levels)))


def test_limits() -> None:
    deep = one(nested(MAX_DEPTH + 20))
    assert len(list(deep.walk())) == MAX_DEPTH + 1
    assert any("nested too deep" in defect for part in deep.walk() for defect in part.defects)
    many = one(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * (MAX_PARTS + 50) + b"--b--\r\n"
    )
    assert len(list(many.walk())) <= MAX_PARTS
    assert "too many parts; the rest is left out" in many.defects
    near = one(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bx\r\n" * (MAX_NEAR + 50) + b"--b\r\n\r\n--b--\r\n"
    )
    assert any("begin like a boundary" in defect for defect in near.defects)
    messages_in = one(b"Content-Type: message/rfc822\r\n\r\n" * 100_000)
    assert len(list(messages_in.walk())) == MAX_DEPTH + 1


HARD = {
    "near": b"--b0x\r\n",
    "dashes": b"--",
    "line ends": b"\r\n",
    "LF": b"\n",
    "parts": b"\r\n--b29\r\n",
    "outer parts": b"\r\n--b0\r\n",
    "fields": b"A: b\r\n",
    "closed": b"--b29--\r\n",
    "multiparts": b"\r\n--b0\r\nContent-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\n",
    "messages": b"Content-Type: message/rfc822\r\n\r\n",
}


@pytest.mark.parametrize("piece", HARD.values(), ids=HARD)
def test_linear(piece: bytes) -> None:
    head = nested(MAX_DEPTH - 1).partition(b"\r\nx\r\n")[0]
    start = time.process_time()
    one(head + piece * (3_000_000 // len(piece)))
    assert time.process_time() - start < 20


TYPES = st.tuples(
    st.sampled_from(["text/plain", "Multipart/MIXED", "a/b.c+d", "a /b", "a"]),
    st.sampled_from([";", "; ", ";\t", " ; ", ""]),
    st.sampled_from(["charset", "X", "a*", "a-b", ""]),
    st.sampled_from(["=", " = ", ""]),
    st.sampled_from(["x", '"a b"', '"a;b"', '"a(b"', '"a\\"b"', "a/b", "a b", "(c)", "", '"', "\xa0", "a=b"]),
    st.sampled_from(["", ";", " ", "; y=z", " (c)"]),
).map("".join)


@given(TYPES)
@settings(max_examples=400)
def test_the_quick_way_reads_the_same(value: str) -> None:
    quick, careful = (one(b"") for _ in range(2))
    part_module._content_type(quick, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_module, "_PLAIN_TYPE", re.compile(r"\b\B"))
        part_module._content_type(careful, value)
    assert (quick.media_type, quick.parameters) == (careful.media_type, careful.parameters)
