"""The fuzz targets, with hypothesis at the helm: any bytes, any cut, and commands put together from their words."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]


def target(name: str) -> Callable[[bytes], None]:
    path = ROOT / "fuzz" / f"{name}.py"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fuzz  # type: ignore[no-any-return]


def words(text: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(text.split(b"|"))


SETS = words(b"1|2|1:*|*|$|1,2|2:1|9|0|4294967295|1:4294967295|*:*")
FLAGS = words(b"\\Seen|(\\Deleted)|($kw \\Flagged)|()|\\Recent|(a b c)|kw(")
NAMES = words(b'Inbox|inbox|other|a/b|&APw-|&|"a b"|{3+}\r\nabc|{3}\r\nabc|"\xc3\xa9"|\xff|%|*|""|//')
ITEMS = words(
    b"FLAGS|ALL|FULL|UID|BODY|BODYSTRUCTURE|ENVELOPE|INTERNALDATE|SAVEDATE|MODSEQ|RFC822|RFC822.SIZE|BODY[]|BODY[1]|BODY[2.1.MIME]<0.5>|BINARY[1]|"
    b"BODY.PEEK[HEADER.FIELDS (From Subject)]|BODY[HEADER.FIELDS.NOT (From)]|BODY[TEXT]<3.4>|BODY[2.HEADER]|BINARY.SIZE[2]|BODY[0]|BINARY[]<1.2>|X"
)
KEYS: st.SearchStrategy[bytes] = st.deferred(
    lambda: st.one_of(
        words(
            b"ALL|SEEN|UNSEEN|NEW|DELETED|LARGER 9|SMALLER 50|ON 1-Jan-1970|SINCE 1-Jan-2020|SENTON 1-Jan-2020|SUBJECT h\xc3\xa9|MODSEQ 3|FROM a@b|BODY hello"
        ),
        words(
            b"TEXT two|HEADER x y|HEADER from {1+}\r\na|KEYWORD $kw|UNKEYWORD x|UID 1:2|1:2|$|SAVEDBEFORE 1-Jan-2000|X|(|)"
        ),
        KEYS.map(b"NOT ".__add__),
        st.tuples(KEYS, KEYS).map(lambda two: b"OR " + b" ".join(two)),
        st.lists(KEYS, min_size=1, max_size=3).map(lambda some: b"(" + b" ".join(some) + b")"),
    )
)


def line(*parts: bytes | st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*[st.just(part) if isinstance(part, bytes) else part for part in parts]).map(b" ".join)


UID = words(b"|UID ")
LITERAL = words(b"{3}\r\nabc|{3+}\r\nabc|{0+}\r\n|~{2+}\r\n\0x|{9999}|{99999+}|{5+}\r\nab|{3+}\r\nabc {2+}\r\nde")
COMMAND = st.one_of(
    line(b"NOOP"), line(b"IDLE\r\nDONE"), line(b"IDLE"), line(b"EXPUNGE"), line(b"CLOSE"), line(b"UNSELECT"), line(b"LOGOUT"),
    line(b"SELECT", NAMES), line(b"EXAMINE inbox (CONDSTORE)"), line(b"SELECT inbox (QRESYNC (1 1 1:9))"), line(b"ENABLE QRESYNC UTF8=ACCEPT"),
    line(words(b"CREATE|DELETE|SUBSCRIBE|UNSUBSCRIBE"), NAMES), line(b"RENAME", NAMES, NAMES), line(b"UID EXPUNGE", SETS),
    line(b"STATUS", NAMES, words(b"(MESSAGES HIGHESTMODSEQ)|(UNSEEN SIZE)|()|X")), line(b"LIST", NAMES, NAMES, words(b"|RETURN (SUBSCRIBED STATUS (UNSEEN))")),
    line(b"LIST (SUBSCRIBED RECURSIVEMATCH)", NAMES, NAMES), line(b"LSUB", NAMES, NAMES), line(b"APPEND", NAMES, FLAGS, LITERAL), line(b"APPEND", NAMES, LITERAL),
    st.tuples(UID, line(b"FETCH", SETS, ITEMS)).map(b"".join),
    st.tuples(UID, line(b"FETCH", SETS, st.lists(ITEMS, max_size=4).map(lambda some: b"(" + b" ".join(some) + b")"), words(b"(CHANGEDSINCE 4)|(CHANGEDSINCE 1 VANISHED)|(PARTIAL -1:-1)|"))).map(b"".join),
    st.tuples(UID, line(b"STORE", SETS, words(b"+FLAGS|-FLAGS.SILENT|FLAGS|(UNCHANGEDSINCE 4) FLAGS"), FLAGS)).map(b"".join),
    st.tuples(UID, line(b"SEARCH", words(b"RETURN (SAVE)|RETURN (MIN MAX COUNT ALL)|RETURN (PARTIAL 1:2)|CHARSET UTF-8"), KEYS)).map(b"".join),
    st.tuples(UID, line(b"SEARCH", KEYS)).map(b"".join),
    st.tuples(UID, line(words(b"COPY|MOVE"), SETS, NAMES)).map(b"".join),
    line(b"LOGIN ann secret"), line(b"AUTHENTICATE PLAIN AGFubgBzZWNyZXQ="), line(b"AUTHENTICATE PLAIN\r\nAGFubgBzZWNyZXQ="), line(b"ID NIL"), line(NAMES),
)  # fmt: skip
COMMANDS = st.lists(COMMAND, max_size=8).map(lambda some: b"".join(b"a " + one.rstrip(b" ") + b"\r\n" for one in some))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), COMMANDS)
def test_commands(first: int, commands: bytes) -> None:
    target("imap_session")(bytes([first]) + commands)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    target("imap_session")(data)


PIECES = st.sampled_from(
    b"From: |To: |Subject: |Content-Type: |multipart/mixed; boundary=x|message/rfc822|text/plain; charset=utf-8|Content-Transfer-Encoding: |"
    b'base64|quoted-printable|\r\n|\r\n\r\n|\n|--x\r\n|--x--\r\n|a@b|(c)|hello world|=?utf-8?q?=C3=A9?=|=C3=A9|aGVsbG8=|\xc3\xa9|\xff|\0| |:|"|{5}|\\'.split(
        b"|"
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_messages(data: bytes) -> None:
    target("imap_message")(data)


SAID = st.lists(
    words(
        b'* |+ |a1 |OK |NO |BYE |[|]|CAPABILITY |1 |FETCH |(|)|UID 7|FLAGS ()|BODY[] |{3}\r\n|{9}\r\n|~{1}\r\n|abc|\r\n|\n|"|\\|NIL|EXISTS|'
        b"{9999}\r\n|BODY[HEADER.FIELDS (A)]<0> |ENVELOPE ((|c1 OK x\r\n|* 1 FETCH (UID 1)\r\n|VANISHED (EARLIER) 1:3|\xff|\0"
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=1), st.one_of(SAID, st.binary(max_size=60)))
def test_responses(cut: bytes, data: bytes) -> None:
    target("imap_response")(cut + data)
