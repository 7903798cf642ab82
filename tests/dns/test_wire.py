"""DNS messages as bytes: built by dnspython or by hand, read by us."""

from __future__ import annotations

import importlib.util
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dns import Answer, Mx, Question, Status, wire

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"


def target(name: str) -> Callable[[bytes], None]:
    """The function `fuzz` of a file in fuzz/."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[bytes], None]", module.fuzz)


FUZZ_WIRE = target("dns_wire")


def read(data: bytes, name: str = "a.example", type: str = "TXT", **settings: Any) -> wire.Outcome:
    asked = wire.asked(Question(name, type))
    assert asked is not None
    return wire.read(data, 7, asked.wire, asked, **{"trust_ad": True, **settings})


def answered(data: bytes, name: str = "a.example", type: str = "TXT", **settings: Any) -> Answer:
    outcome = read(data, name, type, **settings)
    assert isinstance(outcome, Answer), outcome
    return outcome


def message(
    *answers: str, name: str = "a.example", type: str = "TXT", authority: tuple[str, ...] = (), rcode: int = 0
) -> dns.message.Message:
    """A message of dnspython with records written as `name ttl type value`."""
    made = dns.message.make_response(dns.message.make_query(name, type, id=7), recursion_available=True)
    made.set_rcode(dns.rcode.Rcode.make(rcode))
    for lines, section in ((answers, made.answer), (authority, made.authority)):
        for line in lines:
            owner, ttl, kind, value = line.split(maxsplit=3)
            section.append(dns.rrset.from_text(owner + ".", int(ttl), "IN", kind, value))
    return made


def raw(body: bytes, *, answers: int = 1, flags: int = 0x8180, type: int = 16, more: tuple[int, int] = (0, 0)) -> bytes:
    """A message by hand: header, the question a.example, then `body`."""
    question = b"\1a\7example\0" + struct.pack("!HH", type, 1)
    return struct.pack("!HHHHHH", 7, flags, 1, answers, *more) + question + body


def rr(data: bytes, *, type: int = 16, owner: bytes = b"\xc0\x0c", klass: int = 1, ttl: int = 60) -> bytes:
    return owner + struct.pack("!HHIH", type, klass, ttl, len(data)) + data


def test_queries_are_what_others_read() -> None:
    """RFC 1035 4.1.1, RFC 6891 6.1.2 and RFC 9715."""
    asked = wire.asked(Question("Mail.Example", "MX"))
    assert asked is not None
    theirs = dns.message.from_wire(wire.query(9, asked.wire, ask_ad=True))
    assert theirs.id == 9
    assert theirs.question[0].to_text() == "mail.example. IN MX"
    assert theirs.flags == dns.flags.RD | dns.flags.AD
    assert (theirs.edns, theirs.payload) == (0, 1232)
    plain = dns.message.from_wire(wire.query(9, asked.wire, edns=False))
    assert (plain.edns, plain.flags) == (-1, dns.flags.RD)


def test_the_root_is_a_name() -> None:
    asked = wire.asked(Question("", "NS"))
    assert asked is not None
    assert asked.wire == b"\0\0\2\0\1"
    assert wire.asked(Question(".", "NS")) is not None


def test_mixed_case_changes_letters_only() -> None:
    asked = wire.asked(Question("ab-1.x.example", "A"))
    assert asked is not None
    mixed = wire.mixed_case(asked.wire, (1 << 253) - 1)
    assert mixed == b"\4AB-1\1X\7EXAMPLE\0\0\1\0\1"
    assert wire.mixed_case(asked.wire, 0) == asked.wire


def test_records_of_others_are_not_ours() -> None:
    """A record that stands at another name, of another class or type, is no answer."""
    data = message(
        'a.example 60 TXT "ours"', 'b.example 60 TXT "theirs"', "a.example 60 A 192.0.2.1", 'a.example 60 TXT "too"'
    )
    assert answered(data.to_wire()).records == (b"ours", b"too")
    chaos = raw(rr(b"\3bad", klass=3) + rr(b"\4good"), answers=2)
    assert answered(chaos).records == (b"good",)


def test_the_owner_may_be_in_any_case() -> None:
    data = message('A.EXAMPLE 60 TXT "x"').to_wire()
    assert answered(data).records == (b"x",)


def test_the_smallest_ttl_on_the_way_counts() -> None:
    data = message("a.example 50 CNAME b.example.", "b.example 20 CNAME c.example.", 'c.example 90 TXT "x"')
    answer = answered(data.to_wire())
    assert (answer.ttl, answer.canonical, answer.records) == (20, "c.example", (b"x",))


TTLS = {"a day at most": (0x7FFFFFFF, 86400), "zero with the top bit, RFC 2181 8": (0x80000001, 0), "as it is": (5, 5)}


@pytest.mark.parametrize("said, kept", TTLS.values(), ids=TTLS.keys())
def test_ttl(said: int, kept: int) -> None:
    assert answered(raw(rr(b"\1x", ttl=said))).ttl == kept


NEGATIVE = {
    "the SOA's minimum": ("example 900 SOA ns.example. h.example. 1 2 3 4 60", 60),
    "the SOA's own": ("example 30 SOA ns.example. h.example. 1 2 3 4 60", 30),
    "an hour at most": ("example 86400 SOA ns.example. h.example. 1 2 3 4 86400", 3600),
    "no SOA, not kept": ("example 86400 NS ns.example.", 0),
}


@pytest.mark.parametrize("rcode, status", [(0, Status.NODATA), (3, Status.NXDOMAIN)])
@pytest.mark.parametrize("authority, ttl", NEGATIVE.values(), ids=NEGATIVE.keys())
def test_negative_ttl_rfc2308(authority: str, ttl: int, rcode: int, status: Status) -> None:
    """RFC 2308 5."""
    answer = answered(message(authority=(authority,), rcode=rcode).to_wire())
    assert (answer.status, answer.ttl) == (status, ttl)


def test_a_referral_says_nothing() -> None:
    made = message(authority=("example 900 NS ns.example.",))
    made.flags &= ~dns.flags.RA
    assert answered(made.to_wire()).status is Status.SERVFAIL


def test_ad_only_when_trusted() -> None:
    """RFC 6840 5.7."""
    made = message('a.example 60 TXT "x"')
    assert not answered(made.to_wire()).authentic
    made.flags |= dns.flags.AD
    assert answered(made.to_wire()).authentic
    assert not answered(made.to_wire(), trust_ad=False).authentic


EXTENDED = {"DNSSEC bogus": (6, Status.BOGUS), "expired": (7, Status.BOGUS), "unreachable": (22, Status.SERVFAIL)}


@pytest.mark.parametrize("code, status", EXTENDED.values(), ids=EXTENDED.keys())
def test_extended_errors(code: int, status: Status) -> None:
    """RFC 8914 4."""
    made = message(rcode=2)
    made.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(code), "why\x07 not")])
    answer = answered(made.to_wire())
    assert answer.status is status
    assert "why not" in answer.detail


ASTRAY = {
    "a name that points at itself": rr(b"\xc0\x1b", type=16, owner=b"\xc0\x1b"),
    "a pointer forward": rr(b"\1x", owner=b"\xc0\xff"),
    "a pointer into the header": rr(b"\1x", owner=b"\xc0\x02"),
    "a label of unknown kind": rr(b"\1x", owner=b"\x41a\0"),
    "a name without end": b"\x3faaaa",
    "a record that goes beyond": b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 200) + b"\1x",
    "a string that goes beyond": rr(b"\5x"),
    "two strings, the last too long": rr(b"\1x\5y"),
    "no record at all": b"",
}


@pytest.mark.parametrize("body", ASTRAY.values(), ids=ASTRAY.keys())
def test_bytes_that_lead_astray(body: bytes) -> None:
    """RFC 1035 4.1.4."""
    assert answered(raw(body)).status is Status.MALFORMED


WRONG_DATA = {
    "A": (1, b"\1\2\3"),
    "AAAA": (28, b"\1" * 17),
    "MX without a host": (15, b"\0\1"),
    "MX with more": (15, b"\0\1\0\0"),
    "MX cut": (15, b"\0"),
    "PTR to a loop": (12, b"\1a\xc0\x27"),
    "TLSA": (52, b"\3\1"),
    "CAA": (257, b"\0"),
}
NAMES = {1: "A", 28: "AAAA", 15: "MX", 12: "PTR", 52: "TLSA", 257: "CAA"}


@pytest.mark.parametrize("type, data", WRONG_DATA.values(), ids=WRONG_DATA.keys())
def test_data_of_the_wrong_shape(type: int, data: bytes) -> None:
    assert answered(raw(rr(data, type=type), type=type), type=NAMES[type]).status is Status.MALFORMED


def test_a_name_of_many_pointers_is_refused() -> None:
    """RFC 1035 4.1.4."""
    # Each pointer leads to the one before it: legal one by one, and a thousand steps for one name together.
    pointers = b"".join(struct.pack("!H", 0xC000 | (27 + 11 + 2 * n - (2 if n else 26))) for n in range(200))
    filler = rr(pointers)
    at = 27 + len(filler) - 2
    last = rr(b"\1x", owner=struct.pack("!H", 0xC000 | at))
    assert answered(raw(filler + last, answers=2)).status is Status.MALFORMED


def test_a_name_too_long_is_refused() -> None:
    """RFC 1035 2.3.4."""
    label = b"\x3f" + b"a" * 63
    assert answered(raw(rr(b"\1x", owner=label * 4 + b"\0"))).status is Status.MALFORMED


def test_octets_that_do_not_stand_for_themselves() -> None:
    data = raw(rr(b"\0\1" + b"\3a.b\3\\\xff \7example\0", type=15), type=15)
    assert answered(data, type="MX").records == (Mx(1, "a\\046b.\\092\\255\\032.example"),)


def test_the_null_mx() -> None:
    """RFC 1035 3.3.9 and RFC 7505."""
    assert answered(message("a.example 60 MX 0 .", type="MX").to_wire(), type="MX").records == (Mx(0, "."),)


def test_a_giant_answer_is_refused_quickly() -> None:
    body = rr(b"\1x") * 4000
    start = time.perf_counter()
    answer = answered(raw(body, answers=4000), tcp=True)
    assert answer.status is Status.MALFORMED
    assert "more than" in answer.detail
    for count in (900, 65535):
        answered(raw(rr(b"\1x") * 900, answers=900, more=(count, count)), tcp=True)
    assert time.perf_counter() - start < 1


def test_an_nxdomain_has_no_records() -> None:
    data = message('a.example 60 TXT "x"', rcode=3).to_wire()
    assert (answered(data).status, answered(data).records) == (Status.NXDOMAIN, ())


def test_a_loop_of_aliases_within_a_message() -> None:
    data = message("a.example 60 CNAME b.example.", "b.example 60 CNAME a.example.").to_wire()
    assert answered(data).status is Status.MALFORMED


def test_a_chain_that_ends_in_nothing_is_to_be_followed() -> None:
    data = message("a.example 60 CNAME b.example.").to_wire()
    assert read(data) == wire.Chase("b.example", 60, False)
    ended = message("a.example 60 CNAME b.example.", authority=("example 9 SOA n.example. h.example. 1 2 3 4 5",))
    answer = answered(ended.to_wire())
    assert (answer.status, answer.canonical, answer.ttl) == (Status.NODATA, "b.example", 5)


def test_an_uncommon_type() -> None:
    data = message("a.example 60 SRV 1 2 25 MX.example.", type="SRV").to_wire()
    assert answered(data, type="SRV").records == ("1 2 25 MX.example.",)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes(data: bytes) -> None:
    FUZZ_WIRE(data)


@given(st.binary(max_size=8), st.integers(0, 120), st.integers(0, 120))
@settings(max_examples=200)
def test_a_changed_message(patch: bytes, at: int, cut: int) -> None:
    whole = message(
        "a.example 60 CNAME b.example.",
        "b.example 60 MX 10 mx.b.example.",
        "b.example 60 MX 20 mx2.b.example.",
        type="MX",
        authority=("example 9 SOA n.example. h.example. 1 2 3 4 5",),
    ).to_wire()
    changed = whole[:at] + patch + whole[at + len(patch) : len(whole) - cut]
    outcome = read(changed, type="MX")
    assert isinstance(outcome, Answer | wire.Chase | wire.Trouble)


@given(st.lists(st.ip_addresses(v=4), max_size=20, unique=True))
@settings(max_examples=50)
def test_what_dnspython_writes_we_read(ips: list[IPv4Address]) -> None:
    made = message(type="A", authority=("example 9 SOA n.example. h.example. 1 2 3 4 5",))
    if ips:
        made.answer.append(dns.rrset.from_text("a.example.", 60, "IN", "A", *map(str, ips)))
    answer = answered(made.to_wire(), type="A")
    assert set(answer.records) == set(ips)
    assert answer.status is (Status.OK if ips else Status.NODATA)
