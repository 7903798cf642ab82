"""Texts drawn from the grammars, and a second opinion on any text.  Needs hypothesis and lark.

mailbox start                                   what SMTP has in its paths
addresses address_list obs_address_list         From, To and their like
date date_time obs_date_time
words words encoded_word
parameters start                                Content-Type
authres start                                   Authentication-Results
message_ids msg_ids                             References"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

_STARTS = {
    "mailbox": ["start"],
    "addresses": ["address_list", "obs_address_list"],
    "date": ["date_time", "obs_date_time"],
    "words": ["words", "encoded_word"],
    "parameters": ["start"],
    "authres": ["start"],
    "message_ids": ["msg_ids"],
}


@cache
def grammar(name: str) -> Lark:
    """The grammar in `name`.lark."""
    text = files(__package__).joinpath(f"{name}.lark").read_text()
    return Lark(text, parser="earley", start=_STARTS[name], ambiguity="resolve")


def matches(name: str, text: str, start: str = "") -> bool:
    """Does the grammar take this text?  `start` is its first rule if it has several."""
    try:
        grammar(name).parse(text, start=start or _STARTS[name][0])
    except LarkError:
        return False
    return True


def texts(name: str, start: str = "") -> st.SearchStrategy[str]:
    """Texts that the grammar takes."""
    return from_lark(grammar(name), start=start or _STARTS[name][0])


@st.composite
def mutated(draw: st.DrawFn, name: str, start: str = "", signs: str = '@.,;:<>()[]"\\=?* \t\r\n\0aé0-') -> str:
    """A text that the grammar takes, with one character taken out, doubled or replaced."""
    text: str = draw(texts(name, start))
    at = draw(st.integers(0, max(len(text) - 1, 0)))
    change: str = draw(st.sampled_from(["", text[at : at + 1] * 2, *signs]))
    return text[:at] + change + text[at + 1 :]
