"""SPF records: what is one, what is none, and where the mistake stands."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_spf import Directive, Record, RecordSyntaxError
from mox_spf.macro import parse_domain
from mox_spf.record import MAX_KEPT_LENGTH, MAX_MISTAKES, Block, claims_spf, examine, forget
from mox_spf.record import read as judge
from mox_spf.testing.texts import matches, mutated, texts

SPEC = parse_domain("a.example")
DIRECTIVES = {
    "all": Directive("pass", "all"),
    "-ALL": Directive("fail", "all"),
    "~all": Directive("softfail", "all"),
    "?all": Directive("neutral", "all"),
    "+a": Directive("pass", "a"),
    "a/24": Directive("pass", "a", cidr4=24),
    "a//64": Directive("pass", "a", cidr6=64),
    "a/0//0": Directive("pass", "a", cidr4=0, cidr6=0),
    "a:a.example/24//64": Directive("pass", "a", "", SPEC, None, 24, 64),
    "mx:a.example": Directive("pass", "mx", spec=SPEC),
    "mx:1/2.example/24": Directive("pass", "mx", "", parse_domain("1/2.example"), None, 24),
    "ptr": Directive("pass", "ptr"),
    "ptr:a.example": Directive("pass", "ptr", spec=SPEC),
    "include:a.example": Directive("pass", "include", spec=SPEC),
    "exists:%{i}.a.example": Directive("pass", "exists", spec=parse_domain("%{i}.a.example")),
    "a:%{d/}/24": Directive("pass", "a", "", parse_domain("%{d/}"), None, 24),
    "ip4:192.0.2.1": Directive("pass", "ip4", block=Block.of(ip_network("192.0.2.1"))),
    "ip4:192.0.2.1/24": Directive("pass", "ip4", block=Block.of(ip_network("192.0.2.0/24"))),
    "ip6:2001:db8::/32": Directive("pass", "ip6", block=Block.of(ip_network("2001:db8::/32"))),
    "ip6:::ffff:192.0.2.1": Directive("pass", "ip6", block=Block.of(ip_network("::ffff:192.0.2.1"))),
}


@pytest.mark.parametrize("text, directive", DIRECTIVES.items())
def test_directives(text: str, directive: Directive) -> None:
    (parsed,) = Record.parse(f"v=spf1 {text}").directives
    assert parsed == directive
    assert (parsed.text, parsed.at) == (text, 7)
    (again,) = Record.parse(f"v=spf1 {parsed}").directives
    assert again == directive


def test_a_whole_record() -> None:
    record = Record.parse("V=SPF1  mx exp=why.%{d} moo.x=%{d}%% redirect=_spf.%{d2}.example  ?all ")
    assert [str(directive) for directive in record.directives] == ["mx", "?all"]
    assert str(record.redirect) == "_spf.%{d2}.example"
    assert str(record.explanation) == "why.%{d}"
    assert record.others == (("moo.x", "%{d}%%"),)
    assert Record.parse(str(record)) == record
    assert Record.parse(b"v=spf1") == Record() == Record.parse("v=spf1   ")


BAD = {
    "not the version": ("v=spf10", 6),
    "another version": ("v=spf2 all", 0),
    "no space": ("v=spf1all", 6),
    "a tab": ("v=spf1\tall", 6),
    "no such mechanism": ("v=spf1 mx moo", 10),
    "no such mechanism, though ip4 was meant": ("v=spf1 ip:192.0.2.1", 7),
    "a redirect with a colon": ("v=spf1 redirect:a.example", 7),
    "a qualifier before a modifier": ("v=spf1 -exp=a.example", 7),
    "a qualifier alone": ("v=spf1 -", 8),
    "two qualifiers": ("v=spf1 --all", 8),
    "all with something": ("v=spf1 all:x", 10),
    "all with a length": ("v=spf1 all/8", 10),
    "include without a domain": ("v=spf1 include", 14),
    "include without a domain behind the colon": ("v=spf1 include: all", 15),
    "include with a length": ("v=spf1 include:a.example/24", 16),
    "ptr with a length": ("v=spf1 ptr/24", 10),
    "one label": ("v=spf1 a:example", 9),
    "a top label of digits": ("v=spf1 a:192.0.2.1", 16),
    "a length too long": ("v=spf1 a/33", 9),
    "a length too long for IPv6": ("v=spf1 a//129", 10),
    "a length with a leading zero": ("v=spf1 a/024", 9),
    "no length": ("v=spf1 a/", 8),
    "too many slashes": ("v=spf1 a///64", 8),
    "an address too short": ("v=spf1 ip4:192.0.2", 11),
    "an address too large": ("v=spf1 ip4:192.0.2.256", 11),
    "an address with a leading zero": ("v=spf1 ip4:192.0.2.01", 11),
    "an address of another family": ("v=spf1 ip4:2001:db8::1", 11),
    "an address with a zone": ("v=spf1 ip6:fe80::1%1", 11),
    "an address of no digits of ASCII": ("v=spf1 ip4:١.٢.٣.٤", 11),
    "a network too long": ("v=spf1 ip4:192.0.2.1/33", 21),
    "a network without its length": ("v=spf1 ip4:192.0.2.1/", 20),
    "a dual length for ip4": ("v=spf1 ip4:192.0.2.1//24", 20),
    "no address": ("v=spf1 ip4", 10),
    "a second redirect": ("v=spf1 redirect=a.example redirect=a.example", 26),
    "a second exp": ("v=spf1 exp=a.example all exp=a.example", 25),
    "an empty redirect": ("v=spf1 redirect=", 16),
    "a macro that is none": ("v=spf1 exists:%{x}.example", 16),
    "a macro letter for explanations": ("v=spf1 exists:%{c}.example", 16),
    "a percent sign alone, in an unknown modifier": ("v=spf1 moo=%", 11),
    "not ASCII": ("v=spf1 a:ä.example", 9),
    "a modifier without a name": ("v=spf1 =x", 7),
}


@pytest.mark.parametrize("text, at", BAD.values(), ids=BAD.keys())
def test_bad(text: str, at: int) -> None:
    with pytest.raises(RecordSyntaxError) as caught:
        Record.parse(text)
    assert caught.value.at == at, caught.value
    assert caught.value.text == text
    assert str(caught.value).endswith("^")


def test_the_error_points() -> None:
    with pytest.raises(RecordSyntaxError) as caught:
        Record.parse("v=spf1 a/33 -all")
    assert str(caught.value) == (
        "a prefix length is 0 to 32, without leading zeros at character 10\n    v=spf1 a/33 -all\n             ^"
    )


@pytest.mark.parametrize(
    "text, claims",
    [
        (b"v=spf1", True),
        (b"V=spf1 x", True),
        (b"v=spf1x", False),
        (b" v=spf1", False),
        (b"v=spf1\t", False),
        (b"", False),
    ],
)
def test_what_claims_to_be_a_record(text: bytes, claims: bool) -> None:
    assert claims_spf(text) is claims


def test_networks_as_numbers() -> None:
    directive = Record.parse("v=spf1 ip4:192.0.2.128/25").directives[0].block
    assert directive.covers(4, 0xC0000280)
    assert not directive.covers(4, 0xC000027F)
    assert not directive.covers(6, 0xC0000280)


def test_examined_to_the_end() -> None:
    """Every mistake, and what is sound."""
    text = "v=spf1 oops a:x.example/33 ip4:192.0.2.1 include: exp=a.example exp=b.example \xe4=1 -all"
    record, mistakes = examine(text)
    assert [str(one) for one in record.directives] == ["ip4:192.0.2.1", "-all"]
    assert str(record.explanation) == "a.example"
    assert [text[one.at :].split(" ")[0] for one in mistakes] == ["oops", "33", "", "exp=b.example", "\xe4=1"]
    assert examine(b"v=spf1 -all") == (Record.parse("v=spf1 -all"), ())
    record, (mistake,) = examine("v=spf2 -all")
    assert (record, mistake.at) == (Record(), 0)
    assert len(examine("v=spf1" + " x" * 10_000)[1]) == MAX_MISTAKES


@given(mutated())
def test_examined_as_parsed(text: str) -> None:
    record, mistakes = examine(text)
    parsed = read(text)
    assert (not mistakes) == isinstance(parsed, Record)
    if isinstance(parsed, Record):
        assert record == parsed


def test_a_text_is_judged_once() -> None:
    assert judge(b"hello") is None
    assert judge(b"v=spf1 -all") is judge(b"v=spf1 -all")
    assert isinstance(judge(b"v=spf1 oops"), RecordSyntaxError)
    assert isinstance(judge(b"v=spf1 x=" + b"y" * MAX_KEPT_LENGTH), Record)
    forget()
    assert judge(b"v=spf1 -all") == Record.parse("v=spf1 -all")


HOSTILE = [
    "v=spf1" + " a" * 30_000,
    "v=spf1" + " " * 60_000 + "-",
    "v=spf1 a:" + "." * 60_000,
    "v=spf1 a:" + "a." * 30_000 + "1",
    "v=spf1 a:x." + "a-" * 30_000,
    "v=spf1 exists:" + "%{d}" * 15_000 + "x",
    "v=spf1 exists:%{d" + "1" * 60_000 + "}",
    "v=spf1 exists:%{d" + "." * 60_000,
    "v=spf1 a" + "/1" * 30_000,
    "v=spf1 a/" + "1" * 60_000,
    "v=spf1 ip4:" + "1" * 60_000,
    "v=spf1 ip6:" + "1:" * 30_000,
    "v=spf1 ip4:1.2.3.4/" + "1" * 60_000,
    "v=spf1 x=" + "%%" * 30_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[6:20])
def test_linear(text: str) -> None:
    start = time.process_time()
    try:
        Record.parse(text)
    except RecordSyntaxError as error:
        str(error)
    assert time.process_time() - start < 1


def test_only_short_records_are_kept() -> None:
    short, long = "v=spf1 -all", "v=spf1 x=" + "y" * MAX_KEPT_LENGTH
    assert Record.parse(short) is Record.parse(short)
    assert Record.parse(long) is not Record.parse(long)


def read(text: str) -> Record | RecordSyntaxError:
    try:
        return Record.parse(text)
    except RecordSyntaxError as error:
        return error


def doubled(text: str) -> bool:
    """Prose of RFC 7208 6, which the grammar does not know."""
    return any(sum(word.lower().startswith(name) for word in text.split(" ")) > 1 for name in ("redirect=", "exp="))


@settings(max_examples=150, deadline=None)
@given(texts())
def test_what_the_grammar_makes(text: str) -> None:
    """RFC 7208 12."""
    parsed = read(text)
    if doubled(text):
        assert isinstance(parsed, RecordSyntaxError)
        return
    assert isinstance(parsed, Record), parsed
    assert Record.parse(str(parsed)) == parsed


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_what_the_grammar_nearly_makes(text: str) -> None:
    assert isinstance(read(text), Record) == (matches(text) and not doubled(text)), text


@settings(max_examples=300)
@given(st.binary(max_size=80) | st.text("v=spf1 amxip46:/%{}dr.-+~?0123456789al", max_size=60).map(str.encode))
def test_any_octets(data: bytes) -> None:
    for text in (data, b"v=spf1 " + data):
        try:
            record = Record.parse(text)
        except RecordSyntaxError as error:
            mistake = error
        else:
            assert Record.parse(str(record)) == record
            continue
        assert 0 <= mistake.at <= len(mistake.text)
