"""SEARCH: every key, ESEARCH, SEARCHRES, PARTIAL."""

from __future__ import annotations

import pytest

from kit.imap_rooms import Room, message
from kit.play_imap import Client

MAIL = [
    b"From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nSubject: first words\r\nDate: Mon, 1 Jan 2024 23:30:00 -0500\r\n\r\nplain text here\r\n",
    b"From: =?utf-8?q?J=C3=BCrgen?= <j@c.example>\r\nCc: Carl <carl@c.example>\r\nSubject: =?iso-8859-1?q?Stra=DFe?=\r\n"
    b"Date: Tue, 2 Jan 2024 00:30:00 +0900\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\ncaf=C3=A9 =\r\nau lait\r\n",
    b"From: dave@d.example\r\nBcc: (hidden) eve@e.example\r\nReceived: from mail.d.example\r\nX-Empty:\r\nSubject: a very\r\n long subject\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8gV09STEQ=\r\n",
    b"From: frank@f.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\nalpha\r\n--x\r\n"
    b"Content-Type: image/png\r\n\r\nomega\r\n--x--\r\n",
    b"Subject: nobody\r\nDate: garbage\r\n\r\n" + b"long " * 1000,
]
FLAGS: list[tuple[str, ...]] = [("\\Seen",), ("\\Answered", "$Work"), ("\\Flagged", "\\Deleted"), ("\\Draft",), ()]
DAYS = [1704067200 + 86400 * n for n in range(5)]  # 1-Jan-2024 and on


@pytest.fixture
def client() -> Client:
    room = Room()
    for one, flags, day in zip(MAIL, FLAGS, DAYS, strict=True):
        room.account.deliver("Inbox", one, flags, day + 3600)
        if one is MAIL[2]:
            room.nothing_recent()
    return room.selected()


def search(client: Client, keys: str) -> list[int]:
    said = client.ask(f"a SEARCH {keys}")
    assert said[-1].startswith("a OK"), said
    assert said[0].startswith("* SEARCH")
    return [int(word) for word in said[0].split()[2:]]


KEYS = [
    ("ALL", [1, 2, 3, 4, 5]),
    ("SEEN", [1]), ("UNSEEN", [2, 3, 4, 5]),
    ("ANSWERED", [2]), ("UNANSWERED", [1, 3, 4, 5]),
    ("FLAGGED", [3]), ("UNFLAGGED", [1, 2, 4, 5]),
    ("DELETED", [3]), ("UNDELETED", [1, 2, 4, 5]),
    ("DRAFT", [4]), ("UNDRAFT", [1, 2, 3, 5]),
    ("KEYWORD $work", [2]), ("UNKEYWORD $WORK", [1, 3, 4, 5]),
    ("KEYWORD $unknown", []), ("UNKEYWORD $unknown", [1, 2, 3, 4, 5]),
    ("NEW", [4, 5]), ("OLD", [1, 2, 3]), ("RECENT", [4, 5]), ("RECENT DRAFT", [4]), ("OLD 3:5", [3]), ("NOT NEW", [1, 2, 3]),
    ("1:2", [1, 2]), ("4:*", [4, 5]), ("UID 2,4", [2, 4]), ("9", []), ("UID 9", []),
    ("LARGER 3000", [5]), ("SMALLER 3000", [1, 2, 3, 4]),
    ("ON 2-Jan-2024", [2]), ("BEFORE 3-Jan-2024", [1, 2]), ('SINCE "4-Jan-2024"', [4, 5]),
    ("SENTON 1-Jan-2024", [1]), ("SENTON 2-Jan-2024", [2]), ("SENTBEFORE 2-Jan-2024", [1]), ("SENTSINCE 2-Jan-2024", [2]),
    ("SAVEDON 14-Nov-2023", [1, 2, 3, 4, 5]), ("SAVEDBEFORE 14-Nov-2023", []), ("SAVEDSINCE 15-Nov-2023", []),
    ("SAVEDATESUPPORTED", [1, 2, 3, 4, 5]),
    ("FROM ann", [1]), ("FROM ANN@A", [1]), ("TO bob", [1]), ("CC CARL", [2]), ("BCC eve", [3]), ('BCC "hidden"', [3]),
    ("SUBJECT words", [1]), ('SUBJECT "first words"', [1]), ('SUBJECT "very long"', [3]), ("SUBJECT STRASSE", [2]), ("SUBJECT zzz", []),
    ("HEADER received mail.d", [3]), ('HEADER x-empty ""', [3]), ('HEADER Date ""', [1, 2, 5]), ("HEADER x-none x", []),
    ("BODY plain", [1]), ("BODY TEXT", [1]), ('BODY "hello world"', [3]), ("BODY alpha", [4]), ("BODY omega", []), ("BODY words", []),
    ("TEXT words", [1]), ("TEXT hello", [3]), ("TEXT mail.d.example", [3]), ("TEXT frank", [4]), ('TEXT "very long"', [3]),
    ("NOT SEEN", [2, 3, 4, 5]), ("NOT NOT SEEN", [1]), ("OR SEEN FLAGGED", [1, 3]), ("OR TEXT hello SEEN", [1, 3]),
    ("OR NOT 1:4 (FROM dave DELETED)", [3, 5]), ("UNSEEN UNDELETED", [2, 4, 5]), ("(UNSEEN (UNDELETED UNDRAFT))", [2, 5]),
    ("BODY hello UNSEEN", [3]), ("BODY hello SEEN", []), ("NOT (FROM ann)", [2, 3, 4, 5]),
]  # fmt: skip


@pytest.mark.parametrize("keys, found", KEYS, ids=[keys for keys, _ in KEYS])
def test_keys(client: Client, keys: str, found: list[int]) -> None:
    assert search(client, keys) == found


@pytest.mark.parametrize("keys", ["FROM jürgen", "SUBJECT straße", "BODY café", "TEXT JÜRGEN", 'BODY "café au lait"'])
def test_beyond_ascii(client: Client, keys: str) -> None:
    key, _, text = keys.partition(" ")
    data = text.strip('"').encode()
    for charset in (b"", b"CHARSET UTF-8 "):
        client.hear(b"a SEARCH %s%s {%d+}\r\n%s\r\n" % (charset, key.encode(), len(data), data))
        assert client.said == ["* SEARCH 2", "a OK SEARCH done"]
        client.said.clear()


ATTACHED = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\nsee below\r\n--x\r\n"
    b"Content-Type: message/rfc822\r\n\r\nFrom: gil@g.example\r\nSubject: =?utf-8?q?caf=C3=A9?= inside\r\n\r\ninner text\r\n"
    b"--x\r\nContent-Type: application/pdf; name=bill.pdf\r\n\r\nopaque\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        # The bodies of attached messages are searched by BODY, all headers by TEXT.
        ("BODY gil@g", False), ('BODY "café inside"', False), ("BODY inner", True), ("BODY below", True),
        ("BODY outer", False), ("BODY bill.pdf", False), ("BODY opaque", False), ("BODY pdf", False),
        ("TEXT gil@g", True), ('TEXT "café inside"', True), ("TEXT outer", True), ("TEXT bill.pdf", True),
        ("TEXT opaque", False), ("TEXT nothing", False),
    ],
)  # fmt: skip
def test_what_is_attached(keys: str, found: bool) -> None:
    client = Room(ATTACHED).selected("ENABLE UTF8=ACCEPT")
    assert client.ask(f"a SEARCH {keys}")[0] == ("* SEARCH 1" if found else "* SEARCH")


def test_charsets(client: Client) -> None:
    assert client.ask("a SEARCH CHARSET US-ASCII ALL")[-1].startswith("a OK")
    assert client.ask("a SEARCH CHARSET KOI8-R ALL") == ["a NO [BADCHARSET (UTF-8 US-ASCII)] texts are UTF-8"]


@pytest.mark.parametrize(
    "keys",
    ["", "NONSENSE", "FROM", "OR SEEN", "NOT", "(SEEN", "SEEN)", "ON 31-Feb-2024", "ON yesterday", "LARGER x", "UID x", "KEYWORD (x)",
     "RETURN (NONSENSE) ALL", "RETURN ALL", "RETURN (MIN MIN) ALL", "RETURN (ALL PARTIAL 1:2) ALL", "RETURN (PARTIAL 1) ALL",
     "SEENFLAGGED", "1:2FLAGGED", "KEYWORD"],
)  # fmt: skip
def test_syntax(client: Client, keys: str) -> None:
    assert client.ask(f"a SEARCH {keys}")[-1].startswith("a BAD")


@pytest.mark.parametrize(
    "command, answer",
    [
        ("SEARCH RETURN (MIN MAX COUNT) UNSEEN", '(TAG "a") MIN 2 MAX 5 COUNT 4'),
        ("SEARCH RETURN (ALL) UNSEEN", '(TAG "a") ALL 2:5'),
        ("SEARCH RETURN () 1,3,5", '(TAG "a") ALL 1,3,5'),
        ("UID SEARCH RETURN (COUNT) ALL", '(TAG "a") UID COUNT 5'),
        ("SEARCH RETURN (MIN MAX COUNT ALL) TEXT zzzz", '(TAG "a") COUNT 0'),
        ("SEARCH RETURN (PARTIAL 2:3) UNSEEN", '(TAG "a") PARTIAL (2:3 3:4)'),
        ("SEARCH RETURN (PARTIAL -1:-2 COUNT) UNSEEN", '(TAG "a") COUNT 4 PARTIAL (-1:-2 4:5)'),
        ("SEARCH RETURN (PARTIAL 10:20) UNSEEN", '(TAG "a") PARTIAL (10:20 NIL)'),
    ],
)
def test_esearch(client: Client, command: str, answer: str) -> None:
    assert client.ask(f"a {command}") == [f"* ESEARCH {answer}", "a OK SEARCH done"]


def test_rev2_always_answers_esearch(client: Client) -> None:
    client.ask("x ENABLE IMAP4rev2")
    assert client.ask("a SEARCH UNSEEN")[0] == '* ESEARCH (TAG "a") ALL 2:5'


def test_saved_results(client: Client) -> None:
    assert client.ask("a SEARCH RETURN (SAVE) UNSEEN") == ["a OK SEARCH done"]
    assert [line for line in client.ask("b FETCH $ UID") if line[0] == "*"] == [
        f"* {n} FETCH (UID {n})" for n in (2, 3, 4, 5)
    ]
    assert client.ask("c UID SEARCH RETURN (COUNT) UID $ SMALLER 3000")[0] == '* ESEARCH (TAG "c") UID COUNT 3'
    assert client.ask("d SEARCH RETURN (SAVE MIN) $ UNDELETED")[0] == '* ESEARCH (TAG "d") MIN 2'
    assert client.ask("e SEARCH $")[0] == "* SEARCH 2"
    client.ask("f STORE $ +FLAGS.SILENT (\\Deleted)")
    client.ask("g UID EXPUNGE 2")
    assert client.ask("h SEARCH $")[0] == "* SEARCH"
    # RFC 9051 6.4.4.1: a failed search leaves nothing
    client.ask("i SEARCH RETURN (SAVE) ALL")
    client.ask("j SEARCH RETURN (SAVE) CHARSET KOI8-R ALL")
    assert client.ask("k COPY $ Inbox")[-1].startswith("k OK")


def test_many_messages_in_slices() -> None:
    room = Room(*[message(f"s {n}", f"b {n}") for n in range(1300)])
    client = room.selected()
    assert len(search(client, "ALL")) == 1300
    assert search(client, "SUBJECT 1299") == [1300]
    assert search(client, "BODY 1299") == [1300]
    assert search(client, "OR BODY 7 NOT SUBJECT s") == [n + 1 for n in range(1300) if "7" in str(n)]


def test_gone_messages_are_searched_until_told() -> None:
    room = Room(*[message(f"s {n}", f"b {n}") for n in range(3)])
    one, two = room.selected(), room.selected()
    two.ask("a STORE 2 +FLAGS.SILENT (\\Deleted \\Seen)")
    one.ask("a NOOP")
    two.ask("a EXPUNGE")
    assert search(one, "SUBJECT s BODY b") == [1, 2, 3]
    assert search(one, "DELETED SMALLER 10000") == [2]
