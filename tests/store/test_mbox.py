from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import Content
from mox_store import letters, maildir, mbox

FROM = b"From kim@example.org Thu Jan  1 00:00:00 1970\n"


def read(data: bytes, position: str = "") -> list[tuple[bytes, tuple[str, ...]]]:
    """(content, flags) of every message."""
    return [(one.content.read(), one.flags) for one in mbox.read(io.BytesIO(data), position)]


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (b"", []),
        (b"no mail at all\n", []),
        (FROM + b"A: b\n\nbody\n\n", [b"A: b\r\n\r\nbody\r\n"]),
        (FROM + b"A: b\n\nbody\n", [b"A: b\r\n\r\nbody\r\n"]),
        (FROM + b"A: b\n\nbody", [b"A: b\r\n\r\nbody"]),
        (FROM + b"A: b\r\n\r\nbody\r\n\r\n" + FROM.replace(b"\n", b"\r\n") + b"C: d\r\n\r\n", [b"A: b\r\n\r\nbody\r\n", b"C: d\r\n\r\n"]),
        (FROM + b"A: b\n\none\n\n\n" + FROM + b"A: c\n\ntwo\n\n", [b"A: b\r\n\r\none\r\n\r\n", b"A: c\r\n\r\ntwo\r\n"]),
        (FROM + b"A: b\n\n" + FROM + b"A: c\n\n", [b"A: b\r\n\r\n", b"A: c\r\n\r\n"]),
        # Quoted once more when written; a From that begins no message is text.
        (FROM + b"A: b\n\n>From me\n>>From you\n> From all\n", [b"A: b\r\n\r\nFrom me\r\n>From you\r\n> From all\r\n"]),
        (FROM + b"A: b\n\ntext\n\nFrom here on it is different\n", [b"A: b\r\n\r\ntext\r\n\r\nFrom here on it is different\r\n"]),
        (FROM + b"A: b\n\ntext\n" + FROM, [b"A: b\r\n\r\ntext\r\n" + FROM[:-1] + b"\r\n"]),
        (b"garbage\n\n" + FROM + b"A: b\n\nx\n", [b"A: b\r\n\r\nx\r\n"]),
    ],
)  # fmt: skip
def test_messages(text: bytes, contents: list[bytes]) -> None:
    assert [content for content, _ in read(text)] == contents


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"From kim@example.org Thu Jan  1 00:01:00 1970", 60.0),
        (b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011", 1310126914.0),
        (b"From - Fri Jul  8 12:08 2011", 1310126880.0),
        (b"From kim Fri Jul  8 12:08:34 PDT 2011", 1310126914.0),
        (b'From "a b"@x Fri Jul  8 12:08:34 +0200 2011', 1310126914.0),
        (b"From kim Xxx Yyy 99 99:99:99 9999", None),
        (b"From kim Fri Jul 99 12:08:34 2011", None),
    ],
)
def test_envelope_lines(line: bytes, seconds: float | None) -> None:
    (letter,) = mbox.read(io.BytesIO(line + b"\nA: b\n\nx\n"))
    assert letter.received == seconds


@pytest.mark.parametrize("line", [b"From kim", b"From: kim Fri Jul  8 12:08:34 2011", b"From the start on Friday"])
def test_what_does_not_begin_a_message(line: bytes) -> None:
    assert not mbox.begins(line)


def test_flags() -> None:
    text = FROM + b"Status: RO\nX-Status: AF\nX-Keywords: work $Forwarded\nA: b\n\nStatus: D\n"
    assert read(text) == [(b"A: b\r\n\r\nStatus: D\r\n", ("\\Seen", "\\Answered", "\\Flagged", "work", "$Forwarded"))]


bodies = st.lists(
    st.sampled_from((b"", b"text", b"From me", FROM[:-1], b">From x", b">>From ", b"\x00\xff", b"Status: R")),
    max_size=8,
).map(lambda lines: b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in lines))


@given(
    st.lists(
        st.tuples(bodies, st.lists(st.sampled_from(("\\Seen", "\\Flagged", "\\Deleted", "work")), unique=True)),
        max_size=4,
    )
)
def test_what_is_written_is_read(messages: list[tuple[bytes, list[str]]]) -> None:
    file = io.BytesIO()
    for data, flags in messages:
        mbox.write(file, Content.of(data), 1e9, tuple(flags))
    found = read(file.getvalue())
    assert [data for data, _ in found] == [data for data, _ in messages]
    assert [set(flags) for _, flags in found] == [set(flags) for _, flags in messages]


@given(st.lists(bodies, min_size=1, max_size=4))
def test_every_position_leads_to_the_next_message(messages: list[bytes]) -> None:
    file = io.BytesIO()
    for data in messages:
        mbox.write(file, Content.of(data), 1e9, ())
    letters = list(mbox.read(io.BytesIO(file.getvalue())))
    for number, letter in enumerate(letters):
        rest = [one.content.read() for one in mbox.read(io.BytesIO(file.getvalue()), letter.position)]
        assert rest == messages[number + 1 :]


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from((FROM, b"\n", b"A: b\n", b">From \n", b"x" * 30, b"\r\n"))).map(b"".join)
)
def test_anything_is_read(data: bytes) -> None:
    for letter in mbox.read(io.BytesIO(data)):
        letter.content.read()


def test_large_messages_wait_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "IN_MEMORY", 100)
    monkeypatch.setattr(mbox, "LINE_MOST", 64)
    body = b"A: b\r\n\r\n" + b"y" * 300 + b"\r\n" + b"z\r\n" * 50
    file = io.BytesIO()
    mbox.write(file, Content.of(body), 0.0, ())
    (letter,) = mbox.read(io.BytesIO(file.getvalue()))
    assert letter.content.read() == body


def test_maildir_both_ways(tmp_path: Path) -> None:
    maildir.make(tmp_path)
    (tmp_path / "dovecot-keywords").write_text("0 $Forwarded\n1 work\n27 none\nbad\n")
    (tmp_path / "cur" / "100.a.host:2,FSa").write_bytes(b"Subject: lf\n\nbody\n")
    (tmp_path / "new" / "200.b.host").write_bytes(b"Subject: crlf\r\n\r\nbody\r\n")
    (tmp_path / "cur" / ".hidden").write_bytes(b"no")
    maildir.write(tmp_path, maildir.name_of(7, 5, 300.0, ("\\Seen", "\\Draft", "work")), Content.of(b"A: b\r\n"), 300.0)
    found = list(maildir.read(tmp_path))
    assert [(one.position, one.content.read(), one.flags) for one in found] == [
        ("100.a.host", b"Subject: lf\r\n\r\nbody\r\n", ("\\Flagged", "\\Seen", "$Forwarded")),
        ("200.b.host", b"Subject: crlf\r\n\r\nbody\r\n", ()),
        ("300.M5U7.mox", b"A: b\r\n", ("\\Draft", "\\Seen")),
    ]
    assert found[2].received == 300.0
    assert [one.position for one in maildir.read(tmp_path, "100.a.host")] == ["200.b.host", "300.M5U7.mox"]


def test_maildir_folders(tmp_path: Path) -> None:
    for name in ("", ".Sent", ".Work.2024", "plain/sub"):
        maildir.make(tmp_path / name)
    assert [name for name, _ in maildir.folders(tmp_path)] == ["Inbox", "Sent", "Work/2024", "plain/sub"]
