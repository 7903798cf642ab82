"""The grammars of mox_message.testing and the package, held against each other."""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mox_message import (
    Address,
    AddressList,
    AddressSyntaxError,
    AuthenticationResults,
    Group,
    Mailbox,
    MethodResult,
    addresses,
    date,
    date_text,
    decode,
    decoded_parameters,
    encode,
    message_ids,
    parameter,
    parameters,
)
from mox_message.structured import phrase
from mox_message.testing.texts import matches, mutated, texts

MORE = settings(max_examples=100, deadline=None)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def mailbox_is_valid(text: str) -> bool:
    try:
        Address.parse(text)
    except AddressSyntaxError:
        return False
    return True


@given(texts("mailbox"))
@MORE
def test_mailbox(text: str) -> None:
    local, _, domain = text.rpartition("@")
    if len(local.encode()) <= 64 and len(text.encode()) <= 254:
        address = Address.parse(text)
        assert Address.parse(str(address)) == address
        assert str(address).lower().endswith(domain.lower()) or domain.startswith("[")
    else:
        assert not mailbox_is_valid(text)


@given(mutated("mailbox"))
@MORE
@example("a@[IPv6:1:2:3:4:5:6::7]")
@example("a@[IPv6:1:2:3:4:5::1.2.3.4]")
@example("a@[IPv6:1:2:3:4::1.2.3.4]")
def test_mutated_mailbox(text: str) -> None:
    local, _, domain = text.rpartition("@")
    if len(local.encode()) > 64 or len(text) > 254 or not domain.isascii() or "xn--" in domain.lower():
        return  # lengths and IDNA are not in the grammar
    if max(map(len, domain.split("."))) > 63 or domain.startswith("x") or ".x" in domain:
        return
    assert mailbox_is_valid(text) == matches("mailbox", text)


@given(texts("addresses", "address_list"))
@MORE
def test_address_list(text: str) -> None:
    found = addresses(text)
    assert (found.defects, found.ambiguous) == ((), False)
    assert all(mailbox.domain for mailbox in found.mailboxes)
    assert addresses(str(found)) == found


@given(texts("addresses", "obs_address_list"))
@MORE
def test_obsolete_address_list(text: str) -> None:
    found = addresses(text)
    assert not found.ambiguous
    assert found.defects == ()


@given(mutated("addresses", "address_list"))
@example(".<0@0>")
@MORE
def test_mutated_address_list(text: str) -> None:
    # Obsolete texts may hold controls behind a backslash or in quotes (RFC 5322 4.1); the grammar does not say so.
    assume(not re.search(r"[\0-\x08\x0a-\x1f\x7f-\x9f]", text))
    found = addresses(text)
    if matches("addresses", text, "obs_address_list"):
        assert found.defects == ()
    else:
        assert found.defects or not found.entries, text


MAILBOXES = st.builds(
    Mailbox,
    st.one_of(TEXT, st.text('ab=?_ .,<>@"\\()', max_size=12)).map(lambda name: " ".join(name.split())),
    st.text(st.sampled_from('abé.+ @"\\'), min_size=1, max_size=10),
    st.sampled_from(["a.example", "[192.0.2.1]", "xn--e1aybc.example"]),
)
GROUPS = st.builds(Group, TEXT.map(lambda name: " ".join(name.split())), st.lists(MAILBOXES, max_size=2).map(tuple))


@given(st.lists(st.one_of(MAILBOXES, GROUPS), min_size=1, max_size=3).map(tuple))
@MORE
def test_written_addresses(entries: tuple[Mailbox | Group, ...]) -> None:
    text = str(AddressList(entries))
    assert matches("addresses", text, "address_list")
    assert addresses(text).entries == entries


@given(texts("date", "date_time"))
@MORE
def test_date(text: str) -> None:
    moment = date(text)
    assert moment is not None
    # -0000 is UTC as well, but email says so by leaving the zone out.
    assert moment == parsedate_to_datetime(text.split("(")[0].replace("-0000", "+0000"))


@given(texts("date", "obs_date_time"))
@MORE
def test_obsolete_date(text: str) -> None:
    assert date(text) is not None


@given(st.integers(0, 253402300799))
@MORE
def test_written_date(now: int) -> None:
    text = date_text(now)
    moment = date(text)
    assert moment is not None
    assert moment.timestamp() == now
    assert moment.utcoffset() == timedelta(0)
    if moment.year in range(1900, 3000):
        assert matches("date", text.replace(text[5:7], "01", 1), "date_time")


@given(texts("words", "words"))
@MORE
def test_words(text: str) -> None:
    assert "=?" not in decode(text) or "=3D" in text or "?b?" in text.lower()


@given(TEXT)
@MORE
def test_written_words(text: str) -> None:
    coded = encode(text, always=True)
    assert matches("words", coded, "words") or text == ""
    assert all(len(word) <= 75 for word in coded.split(" "))
    assert decode(coded) == text


@given(texts("parameters"))
@MORE
def test_parameters(text: str) -> None:
    pairs = parameters(text)
    assert len(pairs) == sum(1 for _ in filter(None, [text.partition(";")[2]])) or len(pairs) >= 1
    decoded_parameters(pairs)


@given(st.one_of(TEXT, st.text("ab;=\"\\ '%*é", max_size=90)))
@MORE
def test_written_parameter(value: str) -> None:
    text = "a/b; " + "; ".join(parameter("name", value))
    assert matches("parameters", text)
    assert decoded_parameters(parameters(text)) == {"name": value}


@given(texts("authres"))
@MORE
def test_authres(text: str) -> None:
    found = AuthenticationResults.parse(text)
    again = AuthenticationResults.parse(found.field().decode().partition(":")[2].replace("\r\n", ""))
    if found.authserv_id.isprintable() and len(found.authserv_id) < 400 and not set(found.authserv_id) & set('"\\'):
        assert again.authserv_id == found.authserv_id
    assert [(one.method, one.result) for one in again.results] == [(one.method, one.result) for one in found.results]


WORD = st.text(st.sampled_from("abz09"), min_size=1, max_size=6)
RESULTS = st.builds(
    MethodResult,
    WORD,
    WORD,
    TEXT,
    st.lists(st.tuples(WORD, WORD, st.one_of(TEXT, st.just("a@b.example"), st.just("a=b@c"))), max_size=2).map(tuple),
    TEXT,
)


@given(st.text(st.sampled_from('abz.-é "\\;'), min_size=1, max_size=10), st.lists(RESULTS, max_size=3).map(tuple))
@MORE
def test_written_authres(authserv_id: str, results: tuple[MethodResult, ...]) -> None:
    text = AuthenticationResults(authserv_id, results).field().decode().partition(":")[2].replace("\r\n", "")
    assert matches("authres", text)
    found = AuthenticationResults.parse(text)
    assert [(one.method, one.result) for one in found.results] == [(one.method, one.result) for one in results]


@given(texts("message_ids"))
@MORE
def test_message_ids(text: str) -> None:
    found = message_ids(text)
    assert found
    assert message_ids(" ".join(f"<{one}>" for one in found)) == found


@pytest.mark.parametrize("name", ["a b", "a.b", "é", "=?x?q?y?=", 'a"b', "a\\b", "", "a,b", "a  b"])
def test_phrase(name: str) -> None:
    found = addresses(f"{phrase(name)} <a@b.example>").mailboxes[0]
    assert found.name == " ".join(name.split())
