"""What servers say, as clients read it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_imap import writer
from mox_imap.responses import Fetched, Response, ResponseReader, ResponseSyntaxError, parse, values

CASES: dict[bytes, Response] = {
    b"* OK [CAPABILITY IMAP4rev1 IDLE] hello": Response(
        "*", "OK", code=("CAPABILITY", "IMAP4rev1", "IDLE"), text="hello"
    ),
    b"* 3 EXISTS": Response("*", "EXISTS", 3),
    b"a1 NO [TRYCREATE] no such": Response("a1", "NO", code=("TRYCREATE",), text="no such"),
    b'a1 NO [BADURL "a]b"] x': Response("a1", "NO", code=("BADURL", b"a]b"), text="x"),
    b"a1 OK": Response("a1", "OK"),
    b"+ idling": Response("+", "", text="idling"),
    b"+": Response("+", ""),
    b"* SEARCH 1 2 3": Response("*", "SEARCH", data=(1, 2, 3)),
    b"* SEARCH": Response("*", "SEARCH"),
    b'* LIST (\\HasNoChildren) "/" INBOX': Response("*", "LIST", data=(("\\HasNoChildren",), b"/", "INBOX")),
    b"* 1 FETCH (FLAGS () UID 7)": Response("*", "FETCH", 1, data=(("FLAGS", (), "UID", 7),)),
    b"* 1 FETCH (BODY[HEADER.FIELDS (FROM TO)]<0> {3}\r\na\0b BODY[1.2] NIL)": Response(
        "*", "FETCH", 1, data=(("BODY[HEADER.FIELDS (FROM TO)]<0>", b"a\0b", "BODY[1.2]", None),)
    ),
    b'* 1 FETCH (ENVELOPE (NIL "a \\"b\\"" ((NIL NIL "x" "y"))))': Response(
        "*", "FETCH", 1, data=(("ENVELOPE", (None, b'a "b"', ((None, None, b"x", b"y"),))),)
    ),
    b"* BYE [UNAVAILABLE] gone": Response("*", "BYE", code=("UNAVAILABLE",), text="gone"),
    b"* 2 FETCH (FLAGS (\\Seen $x) MODSEQ (12345))": Response(
        "*", "FETCH", 2, data=(("FLAGS", ("\\Seen", "$x"), "MODSEQ", (12345,)),)
    ),
    b"* THREAD (1 2)(3 (4)(5))": Response("*", "THREAD", data=((1, 2), (3, (4,), (5,)))),
    b"* OK [COPYUID 1 2:3 4:5] x": Response("*", "OK", code=("COPYUID", 1, "2:3", "4:5"), text="x"),
}


@pytest.mark.parametrize("line", CASES, ids=[line[:30].decode() for line in CASES])
def test_responses(line: bytes) -> None:
    assert parse(line + b"\r\n") == CASES[line]
    reader = ResponseReader()
    for at in range(len(line) + 2):
        assert reader.next() is None
        reader.feed((line + b"\r\n")[at : at + 1])
    assert reader.next() == CASES[line]
    assert reader.next() is None


@pytest.mark.parametrize(
    "line", [b"", b"*", b"a1 FETCH", b"* 1 FETCH (", b"* 1 FETCH )", b'* X "a', b"* X " + b"(" * 5000]
)
def test_no_responses(line: bytes) -> None:
    with pytest.raises(ResponseSyntaxError):
        parse(line + b"\r\n")


def test_limits() -> None:
    reader = ResponseReader(most=10)
    reader.feed(b"* 1 FETCH (BODY[] {11}\r\n")
    with pytest.raises(ResponseSyntaxError):
        reader.next()
    reader = ResponseReader()
    reader.feed(b"x" * 2_000_000)
    with pytest.raises(ResponseSyntaxError):
        reader.next()


def test_fetched() -> None:
    one = Fetched.of(parse(b"* 5 FETCH (UID 7 Flags (\\Seen))\r\n"))
    assert (one.number, one.uid, one.flags) == (5, 7, ("\\Seen",))
    with pytest.raises(ResponseSyntaxError):
        Fetched.of(parse(b"* 5 FETCH (UID)\r\n"))


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_what_is_written_is_read(value: bytes, noise: bytes) -> None:
    assert list(values(writer.string(value))) == [value.replace(b"\0", b"?")]
    try:
        parse(noise)
    except ResponseSyntaxError:
        pass
