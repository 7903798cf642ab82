"""THREAD: the examples of RFC 5256, what is not here, loops, and chains as long as a mailbox."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.imap_rooms import Room
from mox_imap.commands.sorting import folded
from mox_imap.commands.thread import Message, Told, ordered_subject, references, refs, shown
from mox_message.thread import base_subject, is_reply


def mail(number: int, id: str = "", above: str = "", subject: str = "", sent: float | None = None) -> Message:
    ids = tuple(f"<{one}>" for one in above.split())
    moment = float(number) if sent is None else sent
    base = folded(base_subject(subject))
    return Message(number, number, Told(moment, moment, base, is_reply(subject), f"<{id}>" if id else "", ids))


CASES = {
    "nothing": ([], ""),
    "one": ([mail(1, "a")], "(1)"),
    "a chain": ([mail(1, "a"), mail(2, "b", "a"), mail(3, "c", "a b")], "(1 2 3)"),
    "two answers": ([mail(1, "a"), mail(2, "b", "a"), mail(3, "c", "a")], "(1 (2)(3))"),
    "the answer came first": ([mail(1, "b", "a"), mail(2, "a", sent=0)], "(2 1)"),
    "who is not here, with one child": ([mail(1, "b", "gone")], "(1)"),
    "who is not here, with two": ([mail(1, "b", "gone"), mail(2, "c", "gone")], "((1)(2))"),
    "who is not here, in between": ([mail(1, "a"), mail(2, "c", "a gone")], "(1 2)"),
    "a loop": ([mail(1, "a", "b"), mail(2, "b", "a")], "(2 1)"),
    "itself": ([mail(1, "a", "a")], "(1)"),
    "one id twice": ([mail(1, "a"), mail(2, "a"), mail(3, "b", "a")], "(1 3)(2)"),
    "without ids": ([mail(1), mail(2)], "(1)(2)"),
    "by date": ([mail(1, "a", sent=9), mail(2, "b", sent=1), mail(3, "c", "a", sent=3)], "(2)(1 3)"),
    "by subject": ([mail(1, "a", subject="x"), mail(2, "b", subject="Re: x")], "(1 2)"),
    "by subject, neither answers": ([mail(1, "a", subject="x"), mail(2, "b", subject="x")], "((1)(2))"),
    "by subject, the answer first": ([mail(1, "a", subject="Re: x"), mail(2, "b", subject="x")], "(2 1)"),
    "three alike": ([mail(n, f"m{n}", subject="x") for n in (1, 2, 3)], "((1)(2)(3))"),
    "an empty subject gathers nobody": ([mail(1, "a", subject=""), mail(2, "b", subject="Re:")], "(1)(2)"),
    "what it says itself counts more": (
        [mail(1, "a"), mail(2, "b"), mail(3, "c", "a"), mail(4, "d", "b c")],
        "(1 3 4)(2)",
    ),
}


@pytest.mark.parametrize("messages, want", CASES.values(), ids=CASES)
def test_references(messages: list[Message], want: str) -> None:
    assert b"".join(map(shown, references(messages))).decode() == want


def test_ordered_subject() -> None:
    messages = [
        mail(1, subject="b", sent=5),
        mail(2, subject="Re: a"),
        mail(3, subject="A"),
        mail(4, subject="a", sent=1),
    ]
    assert b"".join(map(shown, ordered_subject(messages))).decode() == "(4 (2)(3))(1)"


def test_refs_has_the_newest_last() -> None:
    messages = [mail(1, "a"), mail(2, "b", subject="x"), mail(3, "c", "a"), mail(4, "d", subject="x", sent=0)]
    assert b"".join(map(shown, refs(messages))).decode() == "(4)(2)(1 3)"


def test_what_the_client_asks() -> None:
    room = Room(
        b"Message-ID: <a@x>\r\nSubject: one\r\n\r\n",
        b"Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\nSubject: other\r\n\r\n",
        b"Message-ID: <c@x>\r\nReferences: <a@x>\r\n <b@x>\r\nSubject: other\r\n\r\n",
    )
    client = room.selected()
    assert client.ask("a THREAD REFERENCES UTF-8 ALL")[0] == "* THREAD (1 2 3)"
    assert client.ask("a UID THREAD REFS US-ASCII NOT 2")[0] == "* THREAD (1 3)"
    assert client.ask("a THREAD ORDEREDSUBJECT UTF-8 ALL")[0] == "* THREAD (1)(2 3)"
    assert client.ask("a THREAD ORDEREDSUBJECT UTF-8 SUBJECT nothing")[0] == "* THREAD"
    assert client.ask("a THREAD MAGIC UTF-8 ALL")[0].startswith("a BAD")
    assert client.ask("a THREAD REFS LATIN1 ALL")[0].startswith("a NO [BADCHARSET")


IDS = st.integers(0, 8).map(str)
MESSAGES = st.lists(
    st.tuples(IDS, st.lists(IDS, max_size=4), st.sampled_from(["", "x", "Re: x", "y"]), st.integers(0, 5)), max_size=12
)


@settings(deadline=None)
@given(MESSAGES)
def test_everybody_is_in_exactly_one_place(drawn: list[tuple[str, list[str], str, int]]) -> None:
    messages = [
        mail(n, id, " ".join(above), subject, float(sent)) for n, (id, above, subject, sent) in enumerate(drawn, 1)
    ]
    for algorithm in (references, refs, ordered_subject):
        text = b"".join(map(shown, algorithm(messages))).decode()
        told = text.replace("(", " ").replace(")", " ").split()
        assert sorted(map(int, told)) == list(range(1, len(messages) + 1)), (algorithm, text)
        assert text.count("(") == text.count(")")


def test_a_chain_as_long_as_a_mailbox() -> None:
    for order in (1, -1):
        chain = [mail(n, f"m{n}", f"m{n - 1}" if n > 1 else "") for n in range(1, 20_001)][::order]
        start = time.process_time()
        text = b"".join(map(shown, references(chain)))
        assert text.startswith(b"(1 2 3 ")
        assert time.process_time() - start < 3.0
