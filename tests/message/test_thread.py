from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import Fields, ThreadKeys, base_subject, is_reply, references, thread_keys
from mox_message.thread import MAX_REFERENCES

# RFC 5256 2.1: subject, base, does it say that it is a reply or forward.
SUBJECTS = {
    "hello": ("hello", False),
    "Re: hello": ("hello", True),
    "RE:hello": ("hello", True),
    "Fwd: hello": ("hello", True),
    "fw: hello": ("hello", True),
    "Re[2]: hello": ("hello", True),
    "Re: Re: Fw: hello": ("hello", True),
    "[list] hello": ("hello", False),
    "[list] Re: [other] hello": ("hello", True),
    "Re: [list] Re: hello": ("hello", True),
    "[list]": ("[list]", False),
    "[a] [list]": ("[list]", False),
    "hello (fwd)": ("hello", True),
    "hello (fwd) (FWD)": ("hello", True),
    "[Fwd: hello]": ("hello", True),
    "Re: [Fwd: [list] hello (fwd)]": ("hello", True),
    "  a   b\tc ": ("a b c", False),
    "Regarding: hello": ("Regarding: hello", False),
    "AW: Antw: SV: hello": ("hello", True),
    "回复：hello": ("hello", True),
    "Re:": ("", True),
    "": ("", False),
}


@pytest.mark.parametrize("subject, wanted", SUBJECTS.items(), ids=SUBJECTS)
def test_base_subject(subject: str, wanted: tuple[str, bool]) -> None:
    assert (base_subject(subject), is_reply(subject)) == wanted


@given(st.text("[]Re: fwd()a^2\t", max_size=40))
def test_base_of_a_base(subject: str) -> None:
    base = base_subject(subject)
    if not is_reply(base):
        assert len(base) <= len(subject)
    assert base == base.strip()


@pytest.mark.parametrize("piece", ["[a]", "re:", "[", "(fwd)", "[fwd:", " ", "re[", "[a] re:", "[fwd: ]"])
def test_linear(piece: str) -> None:
    start = time.process_time()
    base_subject(piece * 100_000)
    assert time.process_time() - start < 5


REFERENCES = {
    "none": ("", ()),
    "references": ("References: <a@x> <b@x>", ("a@x", "b@x")),
    "parent too": ("References: <a@x>\nIn-Reply-To: <b@x>", ("a@x", "b@x")),
    "parent known": ("References: <a@x> <b@x>\nIn-Reply-To: <a@x>", ("a@x", "b@x")),
    "only a parent": ("In-Reply-To: your message <b@x> of <c@x>", ("b@x",)),
    "each once": ("References: <a@x> <b@x> <a@x>", ("a@x", "b@x")),
}


@pytest.mark.parametrize("header, wanted", REFERENCES.values(), ids=REFERENCES)
def test_references(header: str, wanted: tuple[str, ...]) -> None:
    assert references(Fields.parse(f"{header}\n\n".encode())) == wanted


def test_references_are_bounded() -> None:
    many = " ".join(f"<{number}@x>" for number in range(500))
    found = references(Fields.parse(f"References: {many}\n\n".encode()))
    assert (len(found), found[-1]) == (MAX_REFERENCES, "499@x")


def test_keys() -> None:
    header = b"Subject: Re: =?utf-8?q?=C3=A4?=\nMessage-ID: <c@x>\nIn-Reply-To: <b@x>\n\n"
    assert thread_keys(Fields.parse(header)) == ThreadKeys("c@x", ("b@x",), "ä", True)
