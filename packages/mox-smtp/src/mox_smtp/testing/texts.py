"""Texts drawn from the grammars, and a second opinion on any text.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

# What a path is, another package says; these are some of each kind.
PATHS = (
    "<>", "<a@b.example>", "<Postmaster>", "<postmaster@[192.0.2.1]>", '<"a b"@c.example>', "<@x.example:a@b.example>",
    "<a+b@[IPv6:2001:db8::1]>", '<"\\""@c.example>', "<a..b@c.example>", "<a@b>", "<a@>", "<@b>", "<a>",
    "<a@-b.example>",
)  # fmt: skip


@cache
def grammar(name: str) -> Lark:
    """The grammar in `<name>.lark` here: "command" or "reply"."""
    return Lark(files(__package__).joinpath(f"{name}.lark").read_text(), parser="earley", maybe_placeholders=False)


def matches(name: str, text: str) -> bool:
    """Does the grammar take this text?"""
    try:
        grammar(name).parse(text)
    except LarkError:
        return False
    return True


def texts(name: str) -> st.SearchStrategy[str]:
    """Texts that the grammar takes; command lines have paths of every kind, a few of them wrong."""
    explicit = {"PATH": st.sampled_from(PATHS)} if name == "command" else {}
    return from_lark(grammar(name), explicit=explicit)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> str:
    """A text that the grammar takes, with one character taken out, doubled or replaced."""
    text = draw(texts(name))
    if not text:
        return text
    at = draw(st.integers(0, len(text) - 1))
    change = draw(st.sampled_from(["", text[at] * 2, ":", "=", "<", ">", " ", "@", '"', "\\", "-", "A", "0"]))
    return text[:at] + change + text[at + 1 :]


_LINES = (
    b"EHLO a.example", b"HELO a", b"LHLO a.example", b"MAIL FROM:<a@b.example>", b"MAIL FROM:<> SIZE=10 BODY=8BITMIME",
    b"MAIL FROM:<a@b.example> BODY=BINARYMIME", b"MAIL FROM:<> RET=HDRS ENVID=x", b"RCPT TO:<b@mx.example>",
    b"RCPT TO:<no@mx.example>", b"RCPT TO:<b@mx.example> NOTIFY=NEVER", b"DATA", b"RSET", b"NOOP", b"VRFY x",
    b"STARTTLS", b"AUTH PLAIN AHVzZXIAc2VjcmV0", b"AUTH PLAIN", b"AHVzZXIAc2VjcmV0", b"*", b".", b"..x", b"Subject: x",
    b"", b"QUIT", b"FOO", b"GET / HTTP/1.1", b"x" * 3000, b"MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8", b"\xff",
)  # fmt: skip
_ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\0\r\n", b""])


def lines() -> st.SearchStrategy[bytes]:
    """What a client may say in one breath: a command or a line of a message, with an end that is mostly right; or BDAT
    with its octets."""
    spoken = st.tuples(st.sampled_from(_LINES), _ENDS).map(b"".join)
    chunk = st.tuples(st.binary(max_size=30), st.booleans()).map(
        lambda two: b"BDAT %d%b\r\n%b" % (len(two[0]), b" LAST" * two[1], two[0])
    )
    return st.one_of(spoken, spoken, spoken, chunk)


def dialogues(size: int = 25) -> st.SearchStrategy[bytes]:
    """All that a client says, in any order."""
    return st.lists(lines(), max_size=size).map(b"".join)
