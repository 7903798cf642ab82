"""check_host(), RFC 7208 4 to 6."""

from __future__ import annotations

import asyncio
import json
import pickle
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dns import Answer, Question, Zone, run_blocking
from mox_spf import Limits, Result, Status, check, check_sync, plan_check

CALLER = "192.0.2.9"


def judged(records: dict[str, Any], ip: str = CALLER, sender: str = "u@a.example", **settings: Any) -> Result:
    return check_sync(ip, sender, "mx.a.example", Zone(records), now=0, **settings)


A = "a.example TXT"
CASES: dict[str, tuple[dict[str, Any], Status]] = {
    "the first that matches decides, RFC 7208 4.6.2": ({A: ["v=spf1 ?ip4:192.0.2.9 -all +all"]}, Status.NEUTRAL),
    "all, RFC 7208 5.1: what comes behind is not looked at": (
        {A: ["v=spf1 -all a"], "a.example A": [CALLER]},
        Status.FAIL,
    ),
    "no name, RFC 7208 4.3": ({}, Status.NONE),
    "no record, RFC 7208 4.5": ({A: ["v=spf2 +all", "hello"]}, Status.NONE),
    "two records leave no choice, RFC 7208 4.5": ({A: ["v=spf1 -all", "v=spf1 ~all"]}, Status.PERMERROR),
    "no answer, RFC 7208 4.4": ({A: "TIMEOUT"}, Status.TEMPERROR),
    "servers fail": ({A: "SERVFAIL"}, Status.TEMPERROR),
    "forged, says DNSSEC": ({A: "BOGUS"}, Status.TEMPERROR),
    "a mistake, RFC 7208 4.6": ({A: ["v=spf1 +all oops"]}, Status.PERMERROR),
    "not ASCII, RFC 7208 3.1": ({A: ["v=spf1 ä=1 +all".encode("latin-1")]}, Status.PERMERROR),
    "an empty record, RFC 7208 4.7": ({A: ["v=spf1"]}, Status.NEUTRAL),
    "within a network, RFC 7208 5.6": ({A: ["v=spf1 ip4:192.0.2.0/24 -all"]}, Status.PASS),
    "not within": ({A: ["v=spf1 ip4:192.0.3.0/24 ~all"]}, Status.SOFTFAIL),
    "another family": ({A: ["v=spf1 ip6:::/0 ?all"]}, Status.NEUTRAL),
    "every address": ({A: ["v=spf1 ip4:0.0.0.0/0 -all"]}, Status.PASS),
    "a, RFC 7208 5.3": ({A: ["v=spf1 a -all"], "a.example A": [CALLER]}, Status.PASS),
    "a, near": ({A: ["v=spf1 a/24 -all"], "a.example A": ["192.0.2.200"]}, Status.PASS),
    "a, far": ({A: ["v=spf1 a/24 -all"], "a.example A": ["192.0.3.9"]}, Status.FAIL),
    "a fails": ({A: ["v=spf1 a -all"], "a.example": "TIMEOUT"}, Status.TEMPERROR),
    "macros in a, RFC 7208 4.8": ({A: ["v=spf1 a:%{l}.%{d} -all"], "u.a.example A": [CALLER]}, Status.PASS),
    "macros in mx, RFC 7208 4.8": (
        {A: ["v=spf1 mx:%{d2} -all"], "a.example MX": ["1 m.a.example"], "m.a.example A": [CALLER]},
        Status.PASS,
    ),
    "mx, RFC 7208 5.4": (
        {A: ["v=spf1 mx -all"], "a.example MX": ["1 m.a.example"], "m.a.example A": [CALLER]},
        Status.PASS,
    ),
    "mx without hosts": ({A: ["v=spf1 mx -all"], "a.example MX": ["0 ."]}, Status.FAIL),
    "one host of mx fails, another matches": (
        {A: ["v=spf1 mx -all"], "a.example MX": ["1 x.a.example", "2 m.a.example"], "m.a.example A": [CALLER]}
        | {"x.a.example": "TIMEOUT"},
        Status.PASS,
    ),
    "one host of mx fails, none matches": (
        {A: ["v=spf1 mx -all"], "a.example MX": ["1 x.a.example", "2 m.a.example"], "m.a.example A": ["192.0.2.1"]}
        | {"x.a.example": "TIMEOUT"},
        Status.TEMPERROR,
    ),
    "mx fails": ({A: ["v=spf1 mx -all"], "a.example MX": "SERVFAIL"}, Status.TEMPERROR),
    "macros in ptr, RFC 7208 4.8": (
        {A: ["v=spf1 ptr:%{d2} -all"], "9.2.0.192.in-addr.arpa PTR": ["m.a.example"], "m.a.example A": [CALLER]},
        Status.PASS,
    ),
    "ptr, RFC 7208 5.5": (
        {
            A: ["v=spf1 ptr -all"],
            "9.2.0.192.in-addr.arpa PTR": ["x.b.example", "m.a.example"],
            "m.a.example A": [CALLER],
        },
        Status.PASS,
    ),
    "ptr that does not lead back": (
        {A: ["v=spf1 ptr -all"], "9.2.0.192.in-addr.arpa PTR": ["m.a.example"], "m.a.example A": ["192.0.2.1"]},
        Status.FAIL,
    ),
    "a name that only ends so is no name below": (
        {A: ["v=spf1 ptr -all"], "9.2.0.192.in-addr.arpa PTR": ["nota.example"], "nota.example A": [CALLER]},
        Status.FAIL,
    ),
    "ptr fails, RFC 7208 5.5: no match": (
        {A: ["v=spf1 ptr -all"], "9.2.0.192.in-addr.arpa PTR": "TIMEOUT"},
        Status.FAIL,
    ),
    "exists, RFC 7208 5.7": (
        {A: ["v=spf1 exists:%{ir}.%{d} -all"], "9.2.0.192.a.example A": ["127.0.0.1"]},
        Status.PASS,
    ),
    "exists not": ({A: ["v=spf1 exists:%{ir}.%{d} -all"]}, Status.FAIL),
    "include passes, RFC 7208 5.2": (
        {A: ["v=spf1 include:b.example -all"], "b.example TXT": ["v=spf1 +all"]},
        Status.PASS,
    ),
    "include fails, RFC 7208 5.2: no match": (
        {A: ["v=spf1 include:b.example ~all"], "b.example TXT": ["v=spf1 -all"]},
        Status.SOFTFAIL,
    ),
    "include of nothing, RFC 7208 5.2": ({A: ["v=spf1 include:b.example ~all"]}, Status.PERMERROR),
    "include without an answer": ({A: ["v=spf1 include:b.example ~all"], "b.example": "TIMEOUT"}, Status.TEMPERROR),
    "include of itself": ({A: ["v=spf1 include:a.example ~all"]}, Status.PERMERROR),
    "redirect, RFC 7208 6.1": ({A: ["v=spf1 redirect=b.example"], "b.example TXT": ["v=spf1 ~all"]}, Status.SOFTFAIL),
    "redirect to nothing, RFC 7208 6.1": ({A: ["v=spf1 redirect=b.example"]}, Status.PERMERROR),
    "redirect behind all, RFC 7208 6.1 and 5.1: ignored": ({A: ["v=spf1 redirect=b.example ?all"]}, Status.NEUTRAL),
    "redirect to itself": ({A: ["v=spf1 redirect=a.example"]}, Status.PERMERROR),
    "%{p}, RFC 7208 7.2": (
        {A: ["v=spf1 exists:%{p}.x.example -all"], "9.2.0.192.in-addr.arpa PTR": ["z.example", "m.a.example"]}
        | {"z.example A": [CALLER], "m.a.example A": [CALLER], "m.a.example.x.example A": ["127.0.0.1"]},
        Status.PASS,
    ),
    "%{p} of nobody": (
        {A: ["v=spf1 exists:%{p}.x.example -all"], "unknown.x.example A": ["127.0.0.1"]},
        Status.PASS,
    ),
    "a name that cannot be, in exists": ({A: [f"v=spf1 exists:{'x' * 64}.example -all"]}, Status.FAIL),
    "a name that cannot be, in include": ({A: ["v=spf1 include:%{l}..example -all"]}, Status.PERMERROR),
}


@pytest.mark.parametrize("records, status", CASES.values(), ids=CASES.keys())
def test_verdicts(records: dict[str, Any], status: Status) -> None:
    result = judged(records)
    assert result.status is status, result.explain()
    assert bool(result.problem) == (status in (Status.PERMERROR, Status.TEMPERROR))
    assert result.reason


IDENTITIES = {
    "the reverse-path, RFC 7208 2.4": ("u@a.example", "mailfrom", "a.example"),
    "the null reverse-path is HELO, RFC 7208 2.3 and 2.4": ("", "helo", "mx.a.example"),
    "without a local part, RFC 7208 4.3": ("@a.example", "mailfrom", "a.example"),
    "in U-form": ("ü@Bücher.example", "mailfrom", "xn--bcher-kva.example"),
    "several at signs": ('"a@b"@a.example', "mailfrom", "a.example"),
    "a final dot": ("u@a.example.", "mailfrom", "a.example"),
}


@pytest.mark.parametrize("sender, identity, domain", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_identities(sender: str, identity: str, domain: str) -> None:
    result = judged({f"{domain} TXT": ["v=spf1 +all"]}, sender=sender)
    assert (result.status, result.identity, result.domain) == (Status.PASS, identity, domain)


@pytest.mark.parametrize(
    "sender",
    ["u@[192.0.2.1]", "u@example", "u@", "u@ ..", "u@a.example..", "u@a..example", f"u@{'x' * 64}.example", "u@ ", "@"],
)
def test_no_domain_to_ask(sender: str) -> None:
    zone = Zone({"example TXT": ["v=spf1 +all"]})
    assert check_sync(CALLER, sender, "mx.a.example", zone).status is Status.NONE
    assert zone.asked == []


def test_ipv4_within_ipv6() -> None:
    """RFC 7208 5."""
    assert judged({A: ["v=spf1 ip4:192.0.2.9 -all"]}, ip="::ffff:192.0.2.9").status is Status.PASS


def test_a_link_local_client() -> None:
    """The zone of its address is ours alone."""
    records = {
        A: ["v=spf1 ptr exists:%{ir}.%{v}.x.example ip6:fe80::1 -all"],
        "1." + "0." * 28 + "0.8.e.f.ip6.x.example A": [],
    }
    result = judged(records, ip="fe80::1%eth0")
    assert (result.status, result.mechanism) == (Status.PASS, "ip6:fe80::1")
    assert "%eth0" not in result.explain()


def test_ipv6() -> None:
    records = {
        A: ["v=spf1 ip6:2001:db8:1::/48 a:h.a.example//64 mx -all"],
        "h.a.example AAAA": ["2001:db8:2::1"],
        "a.example MX": ["1 m.a.example"],
        "m.a.example AAAA": ["2001:db8:3::1"],
    }
    for ip, status in {
        "2001:db8:1:2::3": Status.PASS,
        "2001:db8:2::ff": Status.PASS,
        "2001:db8:3::1": Status.PASS,
        "2001:db8:3::2": Status.FAIL,
    }.items():
        assert judged(records, ip=ip).status is status, ip


def many(term: str, count: int) -> dict[str, Any]:
    records: dict[str, Any] = {A: ["v=spf1 " + " ".join(f"{term}:n{n}.example" for n in range(count)) + " ~all"]}
    for n in range(count):
        records |= {f"n{n}.example A": ["192.0.2.1"], f"n{n}.example MX": [f"1 n{n}.example"]}
        records[f"n{n}.example TXT"] = ["v=spf1 -all"]
    return records


@pytest.mark.parametrize("term", ["a", "mx", "include", "exists"])
def test_ten_terms_may_ask(term: str) -> None:
    """RFC 7208 4.6.4."""
    ten, eleven = judged(many(term, 10)), judged(many(term, 11))
    assert ten.status in (Status.SOFTFAIL, Status.PASS), ten.explain()
    if term != "exists":
        assert ten.lookups == 10
        assert eleven.status is Status.PERMERROR
        assert "10 terms" in eleven.reason
    assert judged(many(term, 11), limits=Limits(lookups=11)).status is ten.status


def test_the_limit_counts_included_terms_too() -> None:
    records = {f"n{n}.example TXT": [f"v=spf1 include:n{n + 1}.example ~all"] for n in range(20)}
    zone = Zone(records | {A: ["v=spf1 include:n0.example -all"]})
    result = check_sync(CALLER, "u@a.example", "", zone)
    assert (result.status, result.lookups) == (Status.PERMERROR, 11)
    assert len(zone.asked) == 11


def test_two_void_lookups() -> None:
    """RFC 7208 4.6.4, last paragraph."""

    def voids(count: int) -> Result:
        return judged({A: ["v=spf1 " + " ".join(f"exists:n{n}.example" for n in range(count)) + " ~all"]})

    assert (voids(2).status, voids(2).void_lookups) == (Status.SOFTFAIL, 2)
    assert voids(3).status is Status.PERMERROR
    assert judged({A: ["v=spf1 exists:x.example ~all"]}, limits=Limits(void=0)).status is Status.PERMERROR


def test_hosts_of_the_other_family_are_not_void() -> None:
    """A client with IPv6 is not to blame for hosts without."""
    records: dict[str, Any] = {A: ["v=spf1 a:n0.example a:n1.example a:n2.example a:n3.example ~all"]}
    records |= {f"n{n}.example A": ["192.0.2.1"] for n in range(4)}
    assert judged(records, ip="2001:db8::1").status is Status.SOFTFAIL
    del records["n0.example A"], records["n1.example A"]
    assert judged(records, ip="2001:db8::1").status is Status.SOFTFAIL
    del records["n3.example A"]
    assert judged(records, ip="2001:db8::1").status is Status.PERMERROR


def test_ten_hosts_of_mx() -> None:
    def hosts(count: int) -> dict[str, Any]:
        return {A: ["v=spf1 mx ~all"], "a.example MX": [f"{n} n{n}.example" for n in range(count)]} | {
            f"n{n}.example A": [f"192.0.2.{100 + n}"] for n in range(count)
        }

    assert judged(hosts(10)).status is Status.SOFTFAIL
    assert judged(hosts(11)).status is Status.PERMERROR
    assert judged(hosts(11), ip="192.0.2.105").status is Status.PASS, "the tenth is asked before there are too many"
    assert judged(hosts(11), ip="192.0.2.110").status is Status.PERMERROR, "the eleventh is not"
    zone = Zone(hosts(50))
    check_sync(CALLER, "u@a.example", "", zone)
    assert len(zone.asked) == 12


def test_ten_names_of_an_address() -> None:
    """RFC 7208 4.6.4: those beyond are ignored."""
    names = [f"n{n}.a.example" for n in range(30)]
    records: dict[str, Any] = {A: ["v=spf1 ptr -all"], "9.2.0.192.in-addr.arpa PTR": names}
    assert judged(records | {"n9.a.example A": [CALLER]}).status is Status.PASS
    assert judged(records | {"n10.a.example A": [CALLER]}).status is Status.FAIL


def test_limits_are_limits() -> None:
    """RFC 7208 11.1."""
    with pytest.raises(ValueError, match="no limit"):
        Limits(lookups=101)
    with pytest.raises(ValueError, match="0 or more"):
        Limits(void=-1)
    records = {f"n{n}.example TXT": [f"v=spf1 include:n{n + 1}.example ~all"] for n in range(200)}
    result = judged(records | {A: ["v=spf1 include:n0.example -all"]}, limits=Limits(lookups=100))
    assert result.status is Status.PERMERROR, "a hundred levels are no trouble"


EXPLANATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "a text": ({"e.a.example TXT": ["%{i} is not one of %{d}'s, says %{r} at %{t}"]}, "192.0.2.9 is not one of a.example's, says r.example at 7"),
    "none": ({}, ""),
    "two": ({"e.a.example TXT": ["one", "two"]}, ""),
    "no answer": ({"e.a.example": "TIMEOUT"}, ""),
    "a mistake in it": ({"e.a.example TXT": ["%{x}"]}, ""),
    "not ASCII": ({"e.a.example TXT": ["ä".encode()]}, ""),
    "a control character": ({"e.a.example TXT": ["a\x07b"]}, ""),
    "too long": ({"e.a.example TXT": ["x" * 5000]}, "x" * 500),
}  # fmt: skip


@pytest.mark.parametrize("records, text", EXPLANATIONS.values(), ids=EXPLANATIONS.keys())
def test_explanations(records: dict[str, Any], text: str) -> None:
    zone = Zone({A: ["v=spf1 -all exp=e.%{d}"]} | records)
    result = check_sync(CALLER, "u@a.example", "", zone, receiver="r.example", now=7)
    assert (result.status, result.explanation) == (Status.FAIL, text)
    assert (result.lookups, result.void_lookups) == (0, 0), "not counted"


def test_explanations_are_for_a_fail_of_ones_own() -> None:
    said = {"e.example TXT": ["said"]}
    assert judged({A: ["v=spf1 ~all exp=e.example"]} | said).explanation == ""
    included = {A: ["v=spf1 include:b.example -all"], "b.example TXT": ["v=spf1 -all exp=e.example"]}
    assert judged(included | said).explanation == "", "RFC 7208 6.2: not that of an included record"
    redirected = {A: ["v=spf1 redirect=b.example exp=f.example"], "b.example TXT": ["v=spf1 -all exp=e.example"]}
    assert judged(redirected | said).explanation == "said", "RFC 7208 6.2: that of the target"


def test_what_a_sender_puts_into_an_explanation_is_cleaned() -> None:
    """RFC 7208 11.5."""
    records = {A: ["v=spf1 -all exp=e.example"], "e.example TXT": ["no %{s}"]}
    assert judged(records, sender="\x1b[2Jä\r\n@a.example").explanation == "no ?[2J???@a.example"


def test_strings_of_a_record_are_joined() -> None:
    """RFC 7208 3.3: without spaces between."""
    zone = Zone.parse('a.example TXT "v=spf1 ip4:192.0" ".2.9" " -all"\n')
    assert check_sync(CALLER, "u@a.example", "", zone).status is Status.PASS


@pytest.mark.parametrize("status", Status)
def test_every_result_can_come(status: Status) -> None:
    """RFC 7208 2.6."""
    assert status in {judged(records).status for records, _ in CASES.values()}


def test_the_story() -> None:
    records = {
        A: ["v=spf1 include:b.example ip4:192.0.2.9 -all"],
        "b.example TXT": ["v=spf1 ip4:192.0.2.1 a:h.example -all"],
        "h.example A": ["192.0.2.1"],
    }
    result = judged(records)
    assert result.explain().splitlines() == [
        "spf=pass mailfrom=a.example: 192.0.2.9 matches ip4:192.0.2.9 in the record of a.example",
        "  a.example: TXT -> a record (0 lookups, 0 void; 4.5)",
        "    DNS a.example TXT -> v=spf1 include:b.example ip4:192.0.2.9 -all",
        "    b.example: TXT -> a record (1 lookups, 0 void; 4.5)",
        "      DNS b.example TXT -> v=spf1 ip4:192.0.2.1 a:h.example -all",
        "    b.example: ip4:192.0.2.1 -> no match (1 lookups, 0 void; 5.6)",
        "    b.example: a:h.example -> no match (2 lookups, 0 void; 5.3)",
        "      DNS h.example A -> 192.0.2.1",
        "    b.example: -all -> fail (2 lookups, 0 void; 5.1)",
        "  a.example: include:b.example -> no match (2 lookups, 0 void; 5.2)",
        "  a.example: ip4:192.0.2.9 -> pass (2 lookups, 0 void; 5.6)",
    ]
    told = json.loads(json.dumps(result.to_dict()))
    assert (told["status"], told["mechanism"], told["lookups"]) == ("pass", "ip4:192.0.2.9", 2)
    assert told["trace"][3]["answers"] == ["h.example A -> 192.0.2.1"]


def test_every_answer_is_in_the_trace() -> None:
    zone = Zone(many("a", 5) | {"a.example TXT": ["v=spf1 a:n0.example mx:n1.example ptr exists:%{p}.x.example ?all"]})
    result = check_sync(CALLER, "u@a.example", "", zone)
    assert [answer.question for step in result.trace for answer in step.answers] == zone.asked


def test_authentic_is_all_or_nothing() -> None:
    records = {A: ["v=spf1 a -all"], "a.example A": ["192.0.2.1"]}
    assert check_sync(CALLER, "u@a.example", "", Zone(records, authentic=True)).authentic

    class Mixed(Zone):
        def ask(self, question: Question) -> Answer:
            answer = super().ask(question)
            return Answer(question, answer.status, answer.records, question.type == "TXT")

    assert not check_sync(CALLER, "u@a.example", "", Mixed(records)).authentic
    assert not check_sync(CALLER, "u@a", "", Zone(authentic=True)).authentic, "nothing was asked"


def test_three_spellings_agree() -> None:
    zone = Zone({A: ["v=spf1 ip4:192.0.2.0/24 -all"]})
    plan = plan_check(ip_address(CALLER), "u@a.example", "h.example", now=0)
    result = run_blocking(plan, zone).value
    assert result == check_sync(CALLER, "u@a.example", "h.example", zone, now=0)
    assert result == asyncio.run(check(CALLER, "u@a.example", "h.example", zone))


def test_an_explanation_is_somebody_elses_text() -> None:
    """RFC 7208 6.2 and 11.5."""
    records = {
        A: ["v=spf1 redirect=b.example"],
        "b.example TXT": ["v=spf1 -all exp=e.example"],
        "e.example TXT": ["no"],
    }
    said = judged(records).explanation
    assert (said, said.domain) == ("no", "b.example")
    assert said.attributed == "The domain b.example explains: no"
    assert "ForeignText" in repr(said)
    assert pickle.loads(pickle.dumps(said)).domain == "b.example"
    assert judged(records).to_dict()["explanation_by"] == "b.example"
    assert judged({}).explanation.attributed == ""


def test_there_is_an_end_to_patience() -> None:
    """RFC 7208 4.6.4: 20 seconds at least, then temperror."""
    zone = Zone(many("a", 9))
    ticks = iter(range(0, 1000, 5))

    def run(limits: Limits) -> Result:
        plan = plan_check(CALLER, "u@a.example", "", now=0, limits=limits, clock=lambda: float(next(ticks)))
        return run_blocking(plan, zone).value

    result = run(Limits())
    assert (result.status, result.reason) == (Status.TEMPERROR, "it takes more than 20 seconds")
    assert len(zone.asked) == 4
    assert run(Limits(seconds=100)).status is Status.SOFTFAIL


def test_misuse() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        check_sync("nonsense", "u@a.example", "", Zone())


NAMES = st.sampled_from(["a.example", "b.example", "%{d}", "%{p}.x.example", "%{l}.a.example", "%{ir}.%{d2}", "%{h}"])
LENGTH = st.sampled_from(["", "/24", "//64", "/0", "/24//48"])
TERMS = st.one_of(
    st.sampled_from(
        ["all", "-all", "~all", "a", "mx", "ptr", "ip4:192.0.2.0/24", "ip6:2001:db8::/32", "oops", "x=%{d}"]
    ),
    st.builds("{}:{}".format, st.sampled_from(["include", "exists", "ptr"]), NAMES),
    st.builds("{}:{}{}".format, st.sampled_from(["a", "-mx"]), NAMES, LENGTH),
    st.builds("{}={}".format, st.sampled_from(["redirect", "exp"]), NAMES),
)
RECORDS = st.lists(TERMS, max_size=6).map(lambda terms: " ".join(["v=spf1", *terms]).encode()) | st.binary(max_size=30)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "TXT": st.lists(RECORDS, min_size=1, max_size=2),
    "A": st.lists(st.ip_addresses(v=4), max_size=12),
    "AAAA": st.lists(st.ip_addresses(v=6), max_size=3),
    "MX": st.lists(st.sampled_from(["1 a.example", "2 b.example", "0 .", "9 x\\046y"]), max_size=12),
    "PTR": st.lists(st.sampled_from(["a.example", "m.b.example", "x y", "a..b"]), max_size=12),
}


class Drawn(Zone):
    """A world in which every name has whatever is drawn for it."""

    def __init__(self, data: st.DataObject) -> None:
        super().__init__()
        self.data = data

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        assert question.name.isascii()
        assert len(question.name) <= 253
        assert all(0 < len(label) < 64 for label in question.name.split("."))
        if self.data.draw(st.integers(0, 9)) == 0:
            failure = self.data.draw(st.sampled_from(["TIMEOUT", "SERVFAIL", "BOGUS"]))
            return Zone({f"{question}": failure}).ask(question)
        return Zone({str(question): self.data.draw(TYPES[question.type])}).ask(question)


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.ip_addresses(),
    st.text(st.characters(exclude_categories=[]), max_size=12),
    st.sampled_from(["a.example", "b", "", "ä.example"]),
)
def test_any_world(data: st.DataObject, ip: Any, local_part: str, domain: str) -> None:
    """Whatever DNS says there is a result, and the limits hold."""
    zone = Drawn(data)
    result = check_sync(ip, f"{local_part}@{domain}", "helo.example", zone, now=0)
    assert result.lookups <= 11
    # For each term at most ten hosts or names; the rest for PTR, doubts and the explanation.
    assert len(zone.asked) <= 11 * 24 + 30
    assert isinstance(result.explain(), str)
    json.dumps(result.to_dict())
    assert result.explanation.isascii()
    assert result.explanation.isprintable()
