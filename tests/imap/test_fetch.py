"""FETCH: every item, sections, partials, macros, what sets \\Seen."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message, numbered, untagged
from kit.play_imap import Client, play
from mox_imap import ImapServer
from mox_imap.server import HIGH

NESTED = b"""From: Ann <ann@a.example>\r
To: bob@b.example\r
Subject: parts\r
Received: from somewhere\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary="out"\r
\r
before\r
--out\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
caf=C3=A9\r
--out\r
Content-Type: message/rfc822\r
\r
From: Eve <eve@e.example>\r
Subject: inner\r
Content-Type: multipart/alternative; boundary=in\r
\r
--in\r
\r
plain\r
--in\r
Content-Type: text/html\r
\r
<b>html</b>\r
--in--\r
\r
--out\r
Content-Type: application/octet-stream\r
Content-Transfer-Encoding: base64\r
\r
AAEC/w==\r
--out--\r
after\r
"""


@pytest.fixture
def nested() -> Client:
    return Room(NESTED).selected()


def item(client: Client, what: str) -> str:
    said = client.ask(f"a FETCH 1 ({what})")
    assert said[-1].startswith("a OK"), said
    return said[0].removeprefix("* 1 FETCH (").removesuffix(")")


@pytest.mark.parametrize(
    "what, value",
    [
        (
            "BODY.PEEK[HEADER.FIELDS (subject x-none)]",
            'BODY[HEADER.FIELDS (SUBJECT X-NONE)] "Subject: parts\\r\\n\\r\\n"',
        ),
        (
            "BODY.PEEK[HEADER.FIELDS (received)]",
            'BODY[HEADER.FIELDS (RECEIVED)] "Received: from somewhere\\r\\n\\r\\n"',
        ),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (to from received mime-version content-type)]",
            'BODY[HEADER.FIELDS.NOT (TO FROM RECEIVED MIME-VERSION CONTENT-TYPE)] "Subject: parts\\r\\n\\r\\n"',
        ),
        ("BODY.PEEK[1]", 'BODY[1] "caf=C3=A9"'),
        (
            "BODY.PEEK[1.MIME]",
            'BODY[1.MIME] "Content-Type: text/plain; charset=utf-8\\r\\nContent-Transfer-Encoding: quoted-printable\\r\\n\\r\\n"',
        ),
        ("BODY.PEEK[1.HEADER]", "BODY[1.HEADER] NIL"),
        ("BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]", 'BODY[2.HEADER.FIELDS (SUBJECT)] "Subject: inner\\r\\n\\r\\n"'),
        ("BODY.PEEK[2.1]", 'BODY[2.1] "plain"'),
        ("BODY.PEEK[2.2.MIME]", 'BODY[2.2.MIME] "Content-Type: text/html\\r\\n\\r\\n"'),
        ("BODY.PEEK[2.2]<3.4>", 'BODY[2.2]<3> "html"'),
        ("BODY.PEEK[2.TEXT]<0.6>", 'BODY[2.TEXT]<0> "--in\\r\\n"'),
        ("BODY.PEEK[2.2]<100.4>", 'BODY[2.2]<100> ""'),
        ("BODY.PEEK[3]", 'BODY[3] "AAEC/w=="'),
        ("BODY.PEEK[4]", "BODY[4] NIL"),
        ("BODY.PEEK[2.2.1]", "BODY[2.2.1] NIL"),
        ("BINARY.PEEK[1]", 'BINARY[1] "café"'),
        ("BINARY.SIZE[1]", "BINARY.SIZE[1] 5"),
        ("BINARY.PEEK[3]", 'BINARY[3] "\\x00\x01\x02\\xff"'),
        ("BINARY.PEEK[3]<1.2>", 'BINARY[3]<1> "\x01\x02"'),
        ("BINARY.SIZE[3]", "BINARY.SIZE[3] 4"),
        ("BINARY.SIZE[9]", "BINARY.SIZE[9] 0"),
        ("BINARY.PEEK[9]", "BINARY[9] NIL"),
        ("RFC822.HEADER", None),
        ("SAVEDATE", 'SAVEDATE "14-Nov-2023 22:13:20 +0000"'),
    ],
)
def test_items(nested: Client, what: str, value: str | None) -> None:
    if value is None:
        value = f'RFC822.HEADER "{NESTED[: NESTED.index(b"before")].decode()}"'.replace("\r\n", "\\r\\n")
    assert item(nested, what) == value


def test_whole_messages(nested: Client) -> None:
    whole = '"' + NESTED.decode().replace("\r\n", "\\r\\n") + '"'
    assert item(nested, "BODY.PEEK[]") == f"BODY[] {whole}"
    assert item(nested, "BINARY.PEEK[]") == f"BINARY[] {whole}"
    assert item(nested, "BODY.PEEK[]<5.3>") == 'BODY[]<5> " An"'


def test_structures(nested: Client) -> None:
    said = item(nested, "BODY BODYSTRUCTURE")
    body, structure = said.split(" BODYSTRUCTURE ")
    assert body == (
        'BODY (("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 9 0)'
        '("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 164 (NIL "inner" (("Eve" NIL "eve" "e.example")) '
        '(("Eve" NIL "eve" "e.example")) (("Eve" NIL "eve" "e.example")) NIL NIL NIL NIL NIL) '
        '(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 5 0)("TEXT" "HTML" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 11 0) '
        '"ALTERNATIVE") 12)("APPLICATION" "OCTET-STREAM" NIL NIL NIL "BASE64" 8) "MIXED")'
    )
    assert structure.startswith('(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 9 0 NIL NIL NIL NIL)')
    assert structure.endswith('"MIXED" ("BOUNDARY" "out") NIL NIL NIL)')


def test_macros() -> None:
    client = numbered(1).selected()
    size = len(message("message 1", "body 1"))
    fast = f'FLAGS () INTERNALDATE "14-Nov-2023 22:13:20 +0000" RFC822.SIZE {size}'
    assert client.ask("a FETCH 1 FAST")[0] == f"* 1 FETCH ({fast})"
    assert client.ask("a FETCH 1 (FAST)")[0] == f"* 1 FETCH ({fast})"
    envelope = (
        'ENVELOPE ("Tue, 14 Nov 2023 22:00:00 +0100" "message 1" (("Ann" NIL "ann" "a.example")) '
        '(("Ann" NIL "ann" "a.example")) (("Ann" NIL "ann" "a.example")) ((NIL NIL "bob" "b.example")) NIL NIL NIL NIL)'
    )
    assert client.ask("a FETCH 1 ALL")[0] == f"* 1 FETCH ({fast} {envelope})"
    full = 'BODY ("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 8 1)'
    assert client.ask("a FETCH 1 FULL")[0] == f"* 1 FETCH ({fast} {envelope} {full})"


def test_a_single_part_has_number_one() -> None:
    client = Room(message("x", "body")).selected()
    assert item(client, "BODY.PEEK[1]") == 'BODY[1] "body\\r\\n"'
    assert item(client, "BODY.PEEK[1.1]") == "BODY[1.1] NIL"
    assert item(client, "BODY.PEEK[1.TEXT]") == "BODY[1.TEXT] NIL"


def test_seen() -> None:
    play({"": numbered(6).selected()}, """
        C: a FETCH 1 BODY.PEEK[]
        S! * 1 FETCH (FLAGS
        S: a OK
        C: b FETCH 1 BODY[]
        S: * 1 FETCH (FLAGS (\\Seen) BODY[] "From
        S: b OK
        C: c FETCH 1 BODY[]
        S: * 1 FETCH (BODY[] "From
        S: c OK
        C: d FETCH 2 (FLAGS BODY[HEADER])
        S: * 2 FETCH (FLAGS (\\Seen) BODY[HEADER] "From
        S: d OK
        C: e UID FETCH 3 RFC822.TEXT
        S= * 3 FETCH (UID 3 FLAGS (\\Seen) RFC822.TEXT "body 3\\r\\n")
        S: e OK
        C: f FETCH 4 RFC822.HEADER
        S: f OK
        C: g FETCH 5 BINARY[1]
        S= * 5 FETCH (FLAGS (\\Seen) BINARY[1] "body 5\\r\\n")
        S: g OK
        C: h SEARCH UNSEEN
        S= * SEARCH 4 6
        S: h OK
    """)  # fmt: skip


@pytest.mark.parametrize(
    "numbers, found",
    [
        ("1", [1]),
        ("*", [5]),
        ("2:4", [2, 3, 4]),
        ("4:2", [2, 3, 4]),
        ("4:*", [4, 5]),
        ("*:4", [4, 5]),
        ("1,3,5", [1, 3, 5]),
        ("3,1,3:4,1", [1, 3, 4]),
        ("*:*", [5]),
    ],
)
def test_sets(numbers: str, found: list[int]) -> None:
    client = numbered(5).selected()
    said = untagged(client.ask(f"a FETCH {numbers} UID"))
    assert said == [f"{n} FETCH (UID {n})" for n in found]
    assert untagged(client.ask(f"a UID FETCH {numbers} UID")) == said


@pytest.mark.parametrize("numbers", ["6", "1:6", "0", "1:", ":1", "", "1,,2", "a", "4294967296", "1:2:3", "-1", "$$"])
def test_numbers_that_do_not_exist(numbers: str) -> None:
    assert numbered(5).selected().ask(f"a FETCH {numbers} UID")[-1].startswith("a BAD")


def test_uids_that_do_not_exist() -> None:
    client = numbered(5).selected()
    assert client.ask("a UID FETCH 9:11 FLAGS") == ["a OK FETCH done"]
    # RFC 9051 6.4.9: 9:* always has the last one in it
    assert client.ask("a UID FETCH 9:* UID")[0] == "* 5 FETCH (UID 5)"


def test_an_empty_mailbox() -> None:
    client = Room().selected()
    assert client.ask("a FETCH 1:* FLAGS") == ["a OK FETCH done"]
    assert client.ask("a UID FETCH 1:* FLAGS") == ["a OK FETCH done"]
    assert client.ask("a FETCH 1 FLAGS")[-1].startswith("a BAD")


@pytest.mark.parametrize(
    "what",
    [
        "", "()", "NONSENSE", "(FLAGS NONSENSE)", "(FLAGS", "BODY[", "BODY[]<1>", "BODY[]<1.0>", "BODY[1.]", "BODY[.1]", "BODY[0]",
        "BODY[MIME]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY[1.NONSENSE]", "BINARY[1.MIME]", "BINARY.SIZE[1]<0.1>",
        "FLAGS (NONSENSE 1)", "FLAGS (CHANGEDSINCE)", "FLAGS (CHANGEDSINCE 1 VANISHED)", "FLAGS ()", "(FLAGS)x",
    ],
)  # fmt: skip
def test_syntax(what: str) -> None:
    assert numbered(1).selected().ask(f"a FETCH 1 {what}")[-1].startswith("a BAD")


def test_an_unknown_encoding() -> None:
    room = Room(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-rot13\r\n\r\nuryyb\r\n")
    assert room.selected().ask("a FETCH 1 BINARY[1]")[-1].startswith("a NO [UNKNOWN-CTE]")


def test_nul_is_not_sent_in_a_literal() -> None:
    room = Room(b"From: a@b\r\nX: n\0l\r\n\r\nn\0l\r\n")
    client = room.selected()
    assert item(client, "BODY.PEEK[TEXT]") == 'BODY[TEXT] "n?l\\r\\n"'
    assert item(client, "BODY.PEEK[HEADER.FIELDS (X)]") == 'BODY[HEADER.FIELDS (X)] "X: n?l\\r\\n\\r\\n"'
    assert item(client, "BINARY.PEEK[1]") == 'BINARY[1] "n\\x00l\\r\\n"'


def test_partial_results() -> None:
    client = numbered(9).selected()
    assert untagged(client.ask("a UID FETCH 1:* UID (PARTIAL 1:2)")) == ["1 FETCH (UID 1)", "2 FETCH (UID 2)"]
    assert untagged(client.ask("a UID FETCH 1:* UID (PARTIAL -1:-2)")) == ["8 FETCH (UID 8)", "9 FETCH (UID 9)"]
    assert untagged(client.ask("a UID FETCH 1:* UID (PARTIAL 20:30)")) == []
    assert client.ask("a UID FETCH 1:* UID (PARTIAL 1:-2)")[-1].startswith("a BAD")


def test_expunged_elsewhere_stays_readable() -> None:
    room = numbered(3)
    one, two = room.selected(), room.selected()
    two.ask("a UID STORE 2 +FLAGS.SILENT \\Deleted")
    two.ask("a EXPUNGE")
    # The numbering stands until this client is told, and FETCH does not tell.
    said = one.ask("a FETCH 2:3 (UID FLAGS RFC822.SIZE BODY.PEEK[TEXT])")
    assert (
        said[0]
        == f'* 2 FETCH (UID 2 FLAGS () RFC822.SIZE {len(message("message 2", "body 2"))} BODY[TEXT] "body 2\\r\\n")'
    )
    assert said[1].startswith("* 3 FETCH (UID 3")
    assert one.ask("b FETCH 1:3 (UID FLAGS)")[1] == "* 2 FETCH (UID 2 FLAGS ())"
    assert one.ask("c NOOP") == ["* 2 EXPUNGE", "c OK NOOP done"]
    assert one.ask("d FETCH 2 UID")[0] == "* 2 FETCH (UID 3)"


def test_a_big_message_is_never_whole_in_memory() -> None:
    room = Room(b"Subject: big\r\n\r\n" + b"x" * (4 * HIGH))
    session = room.selected().session
    assert isinstance(session, ImapServer)
    session.receive(b"a FETCH 1 (BODY[] RFC822)\r\nb NOOP\r\n", 0.0)
    sizes = []
    while True:
        session.run()
        out = session.outgoing()
        sizes.append(len(out))
        if not session.busy:
            break
    assert max(sizes) < 1.5 * HIGH
    assert sum(sizes) > 8 * HIGH
    assert out.endswith(b"b OK NOOP done\r\n")


def test_rev2_tells_uids_with_flags() -> None:
    client = numbered(2).selected("ENABLE IMAP4rev2")
    assert client.ask("a STORE 1 +FLAGS (\\Seen)")[0] == "* 1 FETCH (UID 1 FLAGS (\\Seen))"


def test_a_keyword_is_named_before_it_is_used() -> None:
    """RFC 9051 7.3.5, also when somebody else has just made it."""
    room = numbered(1)
    one, two = room.selected(), room.selected()
    assert two.ask("a STORE 1 +FLAGS ($new)")[-1].startswith("a OK")
    said = one.ask("a FETCH 1 (FLAGS)")
    assert "$new" in said[0]
    assert said[0].startswith("* FLAGS (")
    assert said[2] == "* 1 FETCH (FLAGS ($new))"


def test_all_sessions_know_of_the_same_keywords() -> None:
    """Even when the message that had one is gone."""
    room = numbered(1)
    one, two = room.selected(), room.selected()
    two.ask("a STORE 1 +FLAGS ($brief \\Deleted)")
    two.ask("b EXPUNGE")
    said = one.ask("a NOOP")
    assert "$brief" in said[0]
    assert said[0].startswith("* FLAGS (")
