from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_message import AddressList, Group, Mailbox, addresses, message_ids, phrase
from mox_message.structured import MAX_ADDRESSES, MAX_IDS

ANN = Mailbox("Ann", "ann", "a.example")

LISTS: dict[str, tuple[Mailbox | Group, ...]] = {
    "": (),
    "ann@a.example": (Mailbox("", "ann", "a.example"),),
    "<ann@a.example>": (Mailbox("", "ann", "a.example"),),
    "Ann <ann@a.example>": (ANN,),
    '"Ann" <ann@a.example>': (ANN,),
    "ann@a.example (Ann)": (ANN,),
    "Ann <ann@a.example>, b@c.example": (ANN, Mailbox("", "b", "c.example")),
    "=?utf-8?q?Zo=C3=AB?= <z@a.example>": (Mailbox("Zoë", "z", "a.example"),),
    '"=?utf-8?q?Zo=C3=AB?=" <z@a.example>': (Mailbox("Zoë", "z", "a.example"),),
    "Zoë <zoë@ä.example>": (Mailbox("Zoë", "zoë", "ä.example"),),
    '"a b"@c.example': (Mailbox("", "a b", "c.example"),),
    "a . b @ c . example": (Mailbox("", "a.b", "c.example"),),
    "a(x)@b(y).c": (Mailbox("y", "a", "b.c"),),
    "John Q. Public <j@a.example>": (Mailbox("John Q. Public", "j", "a.example"),),
    "<@x.example,@y.example:j@a.example>": (Mailbox("", "j", "a.example", "@x.example,@y.example"),),
    "a@[192.0.2.1]": (Mailbox("", "a", "[192.0.2.1]"),),
    "g:;": (Group("g", ()),),
    "undisclosed recipients: ;": (Group("undisclosed recipients", ()),),
    "g: Ann <ann@a.example>, b@c.d;, ann@a.example": (
        Group("g", (ANN, Mailbox("", "b", "c.d"))),
        Mailbox("", "ann", "a.example"),
    ),
    ",, a@b.c ,, d@e.f,": (Mailbox("", "a", "b.c"), Mailbox("", "d", "e.f")),
    r'"A \"B\" \\ C" <a@b.c>': (Mailbox('A "B" \\ C', "a", "b.c"),),
    '"a, b" <a@b.c>, "c; d" <e@f.g>': (Mailbox("a, b", "a", "b.c"), Mailbox("c; d", "e", "f.g")),
}


@pytest.mark.parametrize("text, wanted", LISTS.items(), ids=LISTS)
def test_read(text: str, wanted: tuple[Mailbox | Group, ...]) -> None:
    found = addresses(text)
    assert found == AddressList(wanted)
    assert addresses(str(found)).mailboxes == tuple(
        Mailbox(one.name, one.localpart, one.domain) for one in found.mailboxes
    )


ODD = {
    "a@b@c.d": ("more than one @", True, ["a@b@c.d"]),
    "a@b.c d@e.f": ("more than one @", True, None),
    "<a@b.c": ("> is missing", True, ["a@b.c"]),
    "<a@b.c> <d@e.f>": ("text after >", True, None),
    "<a@b.c> x": ("text after >", False, ["a@b.c"]),
    "a@b.c <a@b.c>": ("@ in a name", False, ["a@b.c"]),
    "a@x.y <a@b.c>": ("@ in a name", True, ["a@b.c"]),
    '"a@b.c': ("does not end", True, None),
    "(a <b@c.d>": ("comment that does not end", True, None),
    "<>": ("empty address", True, []),
    "Ann": ("without @", True, ["Ann"]),
    "a@": ("half an address", True, None),
    "a b@c.d": ("white space in an address", True, ['"a b"@c.d']),
    ".a@c.d": ("dot too many in a localpart", False, None),
    "a@c..d": ("dot too many in a domain", True, None),
    "g: a@b.c": ("group that does not end", True, ["a@b.c"]),
    "g: h: a@b.c;;": ("group within a group", True, None),
    "a@b.c; d@e.f": ("semicolon between addresses", False, ["a@b.c", "d@e.f"]),
    '"" b@c.d': ("white space in an address", True, None),
    "a@[[]": ("bracket in a literal", True, None),
    ":;": ("group without a name", False, []),
    "a@b.c\r\nd: e@f.g": ("line end or NUL", True, None),
    "a\x07b@c.d": ("control character", False, None),
}


@pytest.mark.parametrize("text, wanted", ODD.items(), ids=[ascii(text) for text in ODD])
def test_odd(text: str, wanted: tuple[str, bool, list[str] | None]) -> None:
    found = addresses(text)
    assert any(wanted[0] in defect for defect in found.defects), found.defects
    assert found.ambiguous == wanted[1]
    if wanted[2] is not None:
        read = [one.address for one in found.mailboxes]
        assert read == wanted[2] or (text == "a@b@c.d" and len(read) == 1)


def test_the_name_as_it_was_written() -> None:
    one, two = addresses('=?utf-8?q?Zo=C3=AB?= <z@a.example>, "B C" <b@a.example>').mailboxes
    assert (one.name, one.written, two.written) == ("Zoë", "=?utf-8?q?Zo=C3=AB?=", "B C")


def test_limits() -> None:
    found = addresses("a@b.c, " * (MAX_ADDRESSES + 10))
    assert len(found.entries) == MAX_ADDRESSES
    assert found.ambiguous
    assert len(message_ids("<a@b>" * (MAX_IDS + 10))) == MAX_IDS
    odd = addresses("(c) a@b.c, " * (MAX_ADDRESSES + 10))
    assert len(odd.entries) == MAX_ADDRESSES
    assert "the rest is left out" in odd.defects[-1]


HARD = ["a", " ", "\t", ",", "<", "(", '"', "\\", "[", "a@", "a@b,", "a@b:", "<a@b>", "a.", ":", ";", '" ', "=?", "a b"]


@pytest.mark.parametrize("piece", HARD)
def test_linear(piece: str) -> None:
    start = time.process_time()
    addresses(piece * (400_000 // len(piece)))
    addresses("a@b.c, " + piece * (400_000 // len(piece)) + "(")
    message_ids(piece * (400_000 // len(piece)))
    assert time.process_time() - start < 20


@given(st.text('ab@.,:;<>()[]"\\ =?é\udce4\r\n', max_size=40))
@settings(deadline=None)
def test_any_text(text: str) -> None:
    found = addresses(text)
    assert found.ambiguous <= bool(found.defects)
    if not found.defects:
        again = addresses(str(found))
        assert [one.address for one in again.mailboxes] == [one.address for one in found.mailboxes]
    message_ids(text)


IDS = {
    "<a@b>": ("a@b",),
    "<a@b> <c@d>": ("a@b", "c@d"),
    "<a@b><c@d>": ("a@b", "c@d"),
    "text <a@b> (c <e@f>)": ("a@b", "e@f"),
    "< a @ (x) b >": ("a@b",),
    "a@b": (),
    "<>": (),
    "<a": (),
}


@pytest.mark.parametrize("text, wanted", IDS.items(), ids=IDS)
def test_message_ids(text: str, wanted: tuple[str, ...]) -> None:
    assert message_ids(text) == wanted


PHRASES = {"Ann B": "Ann B", "a.b": '"a.b"', 'a"b': r'"a\"b"', "Zoë": "=?utf-8?q?Zo=C3=AB?=", "=?x": "=?utf-8?b?PT94?="}


@pytest.mark.parametrize("text, wanted", PHRASES.items(), ids=PHRASES)
def test_phrase(text: str, wanted: str) -> None:
    assert phrase(text) == wanted
