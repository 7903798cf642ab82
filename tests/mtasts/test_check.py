"""Which policy holds: the plan of RFC 8461 3 and 5.1, answered from tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dns import Answer, DomainSyntaxError, Question, Zone
from mox_mtasts import Entry, Failure, Fetch, Fetched, Limits, Mode, Policy, Result, Source, Status, plan_check
from mox_mtasts.cache import RETRY, UNUSED

NOW = 1_000_000_000.0
TEXT = b"version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 604800\n"
POLICY = Policy.parse(TEXT)
OLD = Policy(Mode.ENFORCE, ("old.a.example",), 604800)
ZONE = {"_mta-sts.a.example TXT": ["v=STSv1; id=2"], "mta-sts.a.example A": ["192.0.2.1"]}
CACHED = Entry("a.example", "1", OLD, NOW - 9000, NOW + 1000, NOW - 9000)


def play(
    zone: dict[str, object] | Zone,
    fetched: bytes | Fetched | None = None,
    entry: Entry | None = None,
    *,
    refresh: bool = False,
    domain: str = "a.example",
    now: float = NOW,
) -> tuple[Result, list[Fetch]]:
    """The result, and what was to be fetched.  `fetched` None: nothing may be."""
    resolver = zone if isinstance(zone, Zone) else Zone(zone)  # type: ignore[arg-type]
    plan = plan_check(domain, entry, now=now, refresh=refresh)
    fetches: list[Fetch] = []
    try:
        wanted = next(plan)
        while True:
            sent: tuple[Answer, ...] | Fetched
            if isinstance(wanted, Fetch):
                fetches.append(wanted)
                assert fetched is not None, "fetched, though the cache or DNS says all"
                sent = Fetched(fetched) if isinstance(fetched, bytes) else fetched
            else:
                sent = tuple(resolver.ask(question) for question in wanted)
            wanted = plan.send(sent)
    except StopIteration as stop:
        result: Result = stop.value
        return result, fetches


TXT = "_mta-sts.a.example TXT"
NO_RECORDS: dict[str, tuple[dict[str, object], Status]] = {
    "no name": ({}, Status.NONE),
    "no TXT": ({"_mta-sts.a.example A": ["192.0.2.1"]}, Status.NONE),
    "others only": ({TXT: ["v=spf1 -all", "x"]}, Status.NONE),
    "two": ({TXT: ["v=STSv1; id=1", "v=STSv1; id=2"]}, Status.NONE),
    "wrong": ({TXT: ["v=STSv1; id="]}, Status.NONE),
    "a version only": ({TXT: ["v=STSv1"]}, Status.NONE),
    "no answer": ({TXT: "TIMEOUT"}, Status.TEMPERROR),
    "servers fail": ({TXT: "SERVFAIL"}, Status.TEMPERROR),
    "forged": ({TXT: "BOGUS"}, Status.TEMPERROR),
}


@pytest.mark.parametrize("records, want", NO_RECORDS.values(), ids=NO_RECORDS)
def test_without_a_record_that_counts(records: dict[str, object], want: Status) -> None:
    result, _ = play(records)
    assert result.status is want
    assert result.policy is result.entry is None
    assert result.reason in result.explain()


@pytest.mark.parametrize("records, want", NO_RECORDS.values(), ids=NO_RECORDS)
def test_the_cached_policy_holds_without_a_record(records: dict[str, object], want: Status) -> None:
    result, _ = play(records, entry=CACHED)
    assert (result.status, result.policy, result.source) == (Status.VALID, OLD, Source.CACHE)
    assert result.entry == replace(CACHED, used=NOW)


def test_one_record_beside_others() -> None:
    result, fetches = play({**ZONE, TXT: ["v=spf1 -all", "v=STSv1; id=2", "v=STSv12; id=3"]}, TEXT)
    assert (result.status, result.policy, result.id) == (Status.VALID, POLICY, "2")
    assert [str(fetch) for fetch in fetches] == ["GET https://mta-sts.a.example/.well-known/mta-sts.txt"]
    assert result.entry == Entry("a.example", "2", POLICY, NOW, NOW + 604800, NOW)
    assert result.source is Source.FETCHED


def test_the_record_may_be_behind_a_cname() -> None:
    records = {
        "_mta-sts.a.example CNAME": ["_mta-sts.provider.example"],
        "_mta-sts.provider.example TXT": ["v=STSv1; id=2"],
        "mta-sts.a.example CNAME": ["mta-sts.provider.example"],
        "mta-sts.provider.example AAAA": ["2001:db8::1"],
        "mta-sts.provider.example A": ["192.0.2.1"],
    }
    result, (fetch,) = play(records, TEXT)
    assert result.status is Status.VALID
    assert fetch.host == "mta-sts.a.example"
    assert list(map(str, fetch.addresses)) == ["2001:db8::1", "192.0.2.1"]


def test_the_same_id_is_not_fetched_again() -> None:
    result, fetches = play(ZONE, entry=replace(CACHED, id="2"))
    assert (result.policy, result.source, fetches) == (OLD, Source.CACHE, [])


def test_the_same_id_is_fetched_when_expired() -> None:
    result, fetches = play(ZONE, TEXT, replace(CACHED, id="2", expires=NOW))
    assert (result.policy, result.source, len(fetches)) == (POLICY, Source.FETCHED, 1)


def test_another_id_is_fetched() -> None:
    result, _ = play(ZONE, TEXT, CACHED)
    assert (result.policy, result.id, result.source) == (POLICY, "2", Source.FETCHED)


def test_refresh_fetches_and_is_no_use() -> None:
    result, fetches = play(ZONE, TEXT, replace(CACHED, id="2"), refresh=True)
    assert len(fetches) == 1
    assert result.entry is not None
    assert (result.entry.expires, result.entry.used) == (NOW + 604800, NOW - 9000)


# The words of RFC 8460 4.3.2.2.
FAILURES: dict[str, tuple[dict[str, object], bytes | Fetched, str]] = {
    "no address": ({TXT: ["v=STSv1; id=2"]}, b"", "sts-policy-fetch-error"),
    "address unknown": (
        {TXT: ["v=STSv1; id=2"], "mta-sts.a.example": "TIMEOUT"}, b"", "sts-policy-fetch-error",
    ),
    "no connection": ({**ZONE}, Fetched(None, Failure.CONNECT, "refused"), "sts-policy-fetch-error"),
    "certificate": ({**ZONE}, Fetched(None, Failure.CERTIFICATE, "expired"), "sts-webpki-invalid"),
    "status": ({**ZONE}, Fetched(None, Failure.STATUS, "HTTP status 404"), "sts-policy-fetch-error"),
    "syntax": ({**ZONE}, b"version: STSv1\nmode: x\n", "sts-policy-invalid"),
    "nothing": ({**ZONE}, b"", "sts-policy-invalid"),
}  # fmt: skip


@pytest.mark.parametrize("records, fetched, failure", FAILURES.values(), ids=FAILURES)
def test_a_fetch_that_fails(records: dict[str, object], fetched: bytes | Fetched, failure: str) -> None:
    result, _ = play(records, fetched)
    assert (result.status, result.failure, result.policy) == (Status.ERROR, failure, None)
    assert result.entry is not None
    assert (result.entry.tried, result.entry.retry) == ("2", NOW + RETRY)

    again, fetches = play(records, None, result.entry, now=NOW + RETRY - 1)
    assert (again.status, again.failure, fetches) == (Status.ERROR, failure, [])
    assert result.reason in again.reason

    after, _ = play({**ZONE}, TEXT, result.entry, now=NOW + RETRY)
    assert (after.status, after.entry and after.entry.tried) == (Status.VALID, "")

    changed, _ = play({**ZONE, TXT: ["v=STSv1; id=3"]}, TEXT, result.entry, now=NOW + 1)
    assert (changed.status, changed.id) == (Status.VALID, "3")


@pytest.mark.parametrize("records, fetched, failure", FAILURES.values(), ids=FAILURES)
def test_the_cached_policy_holds_when_a_fetch_fails(
    records: dict[str, object], fetched: bytes | Fetched, failure: str
) -> None:
    result, _ = play(records, fetched, CACHED)
    assert (result.status, result.policy, result.source) == (Status.VALID, OLD, Source.CACHE)
    assert result.failure == failure
    again, fetches = play(records, None, result.entry, now=NOW + 1)
    assert (again.policy, again.failure, fetches) == (OLD, failure, [])


def test_a_policy_for_this_time_only() -> None:
    result, _ = play(ZONE, b"version: STSv1\nmode: none\nmax_age: 0\n")
    assert (result.status, result.policy and result.policy.mode) == (Status.VALID, Mode.NONE)


def test_what_is_over_is_not_kept() -> None:
    result, _ = play({}, entry=replace(CACHED, expires=NOW, used=NOW - UNUSED))
    assert (result.status, result.entry) == (Status.NONE, None)


def test_a_long_name_has_no_record() -> None:
    name = ".".join(["a" * 63] * 3 + ["b" * 58])
    result, _ = play(Zone({}), domain=name)
    assert (result.status, result.reason) == (Status.NONE, f"{name} is too long to have a record")
    # _mta-sts. leaves room for one octet more than mta-sts.
    assert play(Zone({f"_mta-sts.{name[:-6]} TXT": ["v=STSv1; id=2"]}), domain=name[:-6])[0].status is Status.ERROR


def test_a_text_that_is_no_domain() -> None:
    with pytest.raises(DomainSyntaxError):
        plan_check("a..b", None, now=NOW)


def test_where_a_record_is_wrong() -> None:
    assert play({TXT: ["v=STSv1; id=-"]})[0].reason == (
        "the record of a.example is wrong at character 13: expected 1 to 32 letters and digits"
    )


def test_the_plan_alone_uses_what_is_cached() -> None:
    plan = plan_check("a.example", replace(CACHED, id="2"), now=NOW)
    (question,) = next(plan)  # type: ignore[misc]
    with pytest.raises(StopIteration) as stop:
        plan.send((Zone(ZONE).ask(question),))
    assert stop.value.value.source is Source.CACHE


def test_addresses_are_limited() -> None:
    plan = plan_check("a.example", None, now=NOW, limits=Limits(addresses=2))
    many = Zone({**ZONE, "mta-sts.a.example A": [f"192.0.2.{n}" for n in range(50)]})
    wanted = next(plan)
    while not isinstance(wanted, Fetch):
        wanted = plan.send(tuple(many.ask(question) for question in wanted))
    assert len(wanted.addresses) == 2


def test_what_is_told() -> None:
    result, _ = play(ZONE, TEXT)
    facts = result.to_dict()
    assert facts["policy"] == {"mode": "enforce", "mx": ["mx.a.example"], "max_age": 604800, "extensions": []}
    assert [step["rule"] for step in facts["trace"]] == ["RFC 8461 3.1", *["RFC 8461 3.3"] * 2, "RFC 8461 3.2"]
    shown = result.explain()
    assert "DNS _mta-sts.a.example TXT -> v=STSv1; id=2" in shown
    assert "policy  mx: mx.a.example" in shown


def test_hostile_texts_are_shown_as_ascii() -> None:
    result, _ = play({TXT: [b"v=STSv1; \x1b[31m\xff\n"]})
    assert "\x1b" not in result.explain()
    assert result.explain().count("\n") == 2


RECORDS = st.one_of(
    st.integers(1, 3).map(lambda number: [f"v=STSv1; id={number}"]),
    st.sampled_from([["v=STSv1; id="], [], "TIMEOUT", "BOGUS", ["v=STSv1; id=1", "v=STSv1; id=2"]]),
)
ANSWERS = st.one_of(
    st.builds(
        lambda mode, age: f"version: STSv1\nmode: {mode}\nmx: mx.a.example\nmax_age: {age}\n".encode(),
        st.sampled_from(["enforce", "testing", "none"]),
        st.sampled_from([0, 60, 600, 86400]),
    ),
    st.sampled_from([b"", b"nothing", *(Fetched(None, failure, "no") for failure in Failure)]),
)
WORLD = st.lists(st.tuples(st.integers(1, 4000), RECORDS, ANSWERS, st.booleans()), max_size=12)


@settings(max_examples=200, deadline=None)
@given(WORLD)
def test_whatever_happens_a_policy_holds_until_it_expires(
    events: list[tuple[int, object, bytes | Fetched, bool]],
) -> None:
    """What an attacker between us and the domain can do is never worse than to keep the last policy (RFC 8461 5.1)."""
    entry: Entry | None = None
    now, holds_until, last = NOW, 0.0, None
    for wait, record, answer, refresh in events:
        now += wait
        world = Zone({TXT: record, "mta-sts.a.example A": ["192.0.2.1"]})  # type: ignore[dict-item]
        result, fetches = play(world, answer, entry, refresh=refresh, now=now)
        if result.source is Source.FETCHED:
            assert result.policy is not None
            last, holds_until = result.policy, now + result.policy.max_age
        elif now < holds_until:
            assert (result.status, result.policy, result.source) == (Status.VALID, last, Source.CACHE)
        else:
            assert result.policy is None
        if fetches and entry is not None and record == [f"v=STSv1; id={entry.tried}"]:
            assert now >= entry.retry  # five minutes between fetches that fail for one id
        entry = result.entry
        assert entry is None or entry.domain == "a.example"


def test_questions() -> None:
    source = Zone(ZONE)
    play(source, TEXT)
    assert source.asked == [
        Question("_mta-sts.a.example", "TXT"), Question("mta-sts.a.example", "A"), Question("mta-sts.a.example", "AAAA"),
    ]  # fmt: skip
