"""What mox_dns.testing gives to others: names, and a resolver whose answers are drawn."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dns import Domain, DomainSyntaxError, IpLiteral, addresses, iprev, mx, run_blocking, txt
from mox_dns.testing.answers import Drawn
from mox_dns.testing.names import domains, matches, texts


def taken(text: str) -> bool:
    try:
        if text.startswith("["):
            IpLiteral.parse(text)
        else:
            Domain.parse(text)
    except DomainSyntaxError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(texts())
def test_grammar_and_parser_agree(text: str) -> None:
    """RFC 1035 2.3.4 and RFC 5321 4.1.3."""
    assert taken(text) == matches(text) or "xn--" in text.lower(), text


@settings(max_examples=150, deadline=None)
@given(texts(), st.data())
def test_so_they_do_when_one_token_is_another(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from(["", ".", "-", "_", "[", "]", ":", " ", "g", "0", "..", "x" * 64]))
        + text[at + 1 :]
    )
    assert taken(text) == matches(text) or "xn--" in text.lower(), text


@given(domains())
def test_domains(name: Domain) -> None:
    """RFC 5890 2.3.2.1: both forms are one name."""
    assert Domain.parse(name.unicode) == name


@settings(max_examples=150, deadline=None)
@given(st.data(), st.ip_addresses())
def test_any_answer(data: st.DataObject, ip: object) -> None:
    resolver = Drawn(data)
    found = run_blocking(addresses("a.example"), resolver).value
    assert found.found or found.failed or not found.all
    for lookup in (txt, mx):
        answer = run_blocking(lookup("a.example"), resolver).value
        assert sum((answer.found, answer.absent, answer.failed)) == 1
    result = iprev.check_sync(str(ip), resolver)
    assert result == asyncio.run(iprev.check(str(ip), resolver))
    assert len(resolver.asked) <= 4 + 2 * (1 + iprev.MAX_NAMES)
    assert result.explain()
