"""Names of domains, and texts that nearly are.  Needs hypothesis and lark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from lark.exceptions import LarkError

from mox_dns.domain import MAX_LABEL, MAX_NAME, Domain, DomainSyntaxError


@cache
def grammar() -> Lark:
    """The grammar in domain.lark."""
    return Lark(files(__package__).joinpath("domain.lark").read_text(), parser="earley")


def matches(text: str) -> bool:
    """Is this an ASCII name or an address literal, by the grammar and the lengths of RFC 1035 2.3.4?"""
    try:
        grammar().parse(text)
    except LarkError:
        return False
    name = text.removesuffix(".")
    return text.startswith("[") or (len(name) <= MAX_NAME and all(len(part) <= MAX_LABEL for part in name.split(".")))


def texts() -> st.SearchStrategy[str]:
    """ASCII names and address literals that the grammar takes."""
    return from_lark(grammar())


def domains() -> st.SearchStrategy[Domain]:
    """Names, some of them international."""
    labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True) | st.sampled_from(
        ["bücher", "食狮", "παράδειγμα", "אבגד", "faß", "xn--bcher-kva", "_dmarc", "a" * 63]
    )
    return st.lists(labels, min_size=1, max_size=5).map(".".join).filter(_sound).map(Domain.parse)


def _sound(text: str) -> bool:
    try:
        Domain.parse(text)
    except DomainSyntaxError:
        return False
    return True
