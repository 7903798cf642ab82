"""Schedule, outcome, routes, suppressions, ids: what needs no queue."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_queue import Attempt, Result, Route, Schedule, base_of, choose, classified, fromid_of, settle, with_fromid
from mox_queue.notices import enhanced
from mox_queue.schedule import DAY, HOUR, MINUTE
from mox_queue.suppress import is_final

DELIVERED, LATER, FAILED = Attempt(Result.DELIVERED, ""), Attempt(Result.LATER, ""), Attempt(Result.FAILED, "")


def test_the_schedule_is_told_whole() -> None:
    """RFC 5321 4.5.4.1"""
    plan = list(Schedule().plan())
    assert [at / MINUTE for at in plan[:5]] == [0, 7.5, 22.5, 52.5, 112.5]
    assert 0 <= 5 * DAY - plan[-1] <= 7.5 * MINUTE, "the last attempt is at the very end"
    assert all(8 * HOUR >= later - earlier > 0 for earlier, later in pairwise(plan))


@given(
    waits=st.lists(st.floats(1, 1e5), min_size=1, max_size=8),
    days=st.floats(0.001, 10),
    drawn=st.floats(0, 1),
    attempts=st.integers(1, 50),
    late=st.floats(0, 1e6),
)
def test_an_attempt_is_in_the_future_and_before_the_end(
    waits: list[float], days: float, drawn: float, attempts: int, late: float
) -> None:
    schedule = Schedule(waits=tuple(waits), give_up_after=days * DAY)
    following = schedule.next(attempts, 0.0, late, drawn)
    assert following is None or late < following <= days * DAY


CASES = {
    "delivered": (DELIVERED, {}, ("delivered", False, None)),
    "delivered, success asked for, the host says no more": (DELIVERED, {"notify": "SUCCESS"}, ("delivered", False, "relayed")),
    "delivered, success asked for, handed on": (
        Attempt(Result.DELIVERED, "", handed_on=True), {"notify": "SUCCESS"}, ("delivered", False, None),
    ),
    "delivered here, success asked for": (
        Attempt(Result.DELIVERED, "", final=True), {"notify": "SUCCESS,FAILURE"}, ("delivered", False, "delivered"),
    ),
    "later, young": (LATER, {}, ("waiting", True, None)),
    "later, old": (LATER, {"now": 5 * HOUR}, ("waiting", True, "delayed")),
    "later, old, told before": (LATER, {"now": 5 * HOUR, "warned": True}, ("waiting", True, None)),
    "later, old, delays not asked for": (LATER, {"now": 5 * HOUR, "notify": "FAILURE"}, ("waiting", True, None)),
    "later, too old": (LATER, {"now": 5 * DAY}, ("failed", False, "failed")),
    "failed": (FAILED, {}, ("failed", False, "failed")),
    "failed, never tell": (FAILED, {"notify": "NEVER"}, ("failed", False, None)),
    "failed, only success asked for": (FAILED, {"notify": "SUCCESS"}, ("failed", False, None)),
}  # fmt: skip


@pytest.mark.parametrize("attempt, given_, want", CASES.values(), ids=CASES)
def test_settle(attempt: Attempt, given_: dict[str, object], want: tuple[str, bool, str | None]) -> None:
    values: dict[str, object] = {"attempts": 1, "arrived": 0.0, "now": 10.0, "warned": False, "drawn": 0.5, **given_}
    after = settle(attempt, schedule=Schedule(), **values)  # type: ignore[arg-type]
    assert (after.state, after.next is not None, after.notice) == want


@pytest.mark.parametrize(
    "code, result",
    [(250, Result.DELIVERED), (251, Result.DELIVERED), (354, Result.LATER), (421, Result.LATER), (550, Result.FAILED)],
)
def test_the_first_digit_decides(code: int, result: Result) -> None:
    """RFC 5321 4.2.1"""
    attempt = classified(code, "text", "", "mx.example")
    assert (attempt.result, attempt.status, attempt.text) == (result, f"{code // 100}.0.0", f"{code} text")


ROUTES = (
    Route("fail", recipient_domains=(".bad.example",)),
    Route("relay", accounts=("you",), recipient_domains=("slow.example",), from_attempt=3),
    Route("news", sender_domains=("news.example",), to_attempt=2),
)


@pytest.mark.parametrize(
    "given_, want",
    [
        (("you", "a.example", "b.example", 1), "direct"),
        (("you", "a.example", "bad.example", 1), "fail"),
        (("you", "a.example", "x.bad.example", 1), "fail"),
        (("you", "a.example", "notbad.example", 1), "direct"),
        (("you", "a.example", "slow.example", 2), "direct"),
        (("you", "a.example", "slow.example", 3), "relay"),
        (("me", "a.example", "slow.example", 3), "direct"),
        (("you", "news.example", "b.example", 2), "news"),
        (("you", "news.example", "b.example", 3), "direct"),
    ],
)
def test_the_first_route_that_matches(given_: tuple[str, str, str, int], want: str) -> None:
    account, sender, recipient, attempt = given_
    assert choose(ROUTES, account=account, sender_domain=sender, recipient_domain=recipient, attempt=attempt) == want


@pytest.mark.parametrize(
    "address, base",
    [
        ("you@example.org", "you@example.org"),
        ("You+tag@Example.org", "you@example.org"),
        ("first.last-tag@example.org", "firstlast@example.org"),
        ("+x@example.org", "+x@example.org"),
        ("ü.x@example.org", "üx@example.org"),
    ],
)
def test_spellings_of_one_address(address: str, base: str) -> None:
    assert base_of(address) == base
    assert base_of(base) == base or base.startswith("+")


@pytest.mark.parametrize(
    "text, status, want",
    [
        ("550 5.1.1 nobody", "5.1.1", True),
        ("556 5.1.10 null MX", "5.1.10", True),
        ("554 5.2.1 disabled", "5.2.1", True),
        ("554 5.7.0 spam", "5.7.0", False),
        ("450 4.1.1 later", "4.1.1", False),
        ("host cannot be reached", "4.4.1", False),
    ],
)
def test_what_says_that_nobody_is_there(text: str, status: str, want: bool) -> None:
    """RFC 5321 4.2.3, RFC 7504 for 521 and 556"""
    assert is_final(text, status) is want


@given(
    st.from_regex(r"[a-z]{1,8}(\+[a-z]{1,8})?@[a-z]{1,8}\.example", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,22}", fullmatch=True),
)
def test_an_id_comes_back(address: str, fromid: str) -> None:
    assert fromid_of(with_fromid(address, fromid)) == (address, fromid)


@pytest.mark.parametrize(
    "address, fromid",
    [("you@a.example", ""), ("you@a.example", "a b"), ("@a.example", "x"), ("y" * 60 + "@a.example", "12345")],
)
def test_ids_that_make_no_address(address: str, fromid: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be the id|longer than"):
        with_fromid(address, fromid)


@pytest.mark.parametrize(
    "status, action, want",
    [
        ("5.1.1", "failed", "5.1.1"),
        ("4.4.1", "failed", "5.4.1"),
        ("", "delayed", "4.0.0"),
        ("2.0.0", "relayed", "2.0.0"),
    ],
)
def test_the_class_fits_the_action(status: str, action: str, want: str) -> None:
    """RFC 3464 2.3.4"""
    assert enhanced(status, action) == want  # type: ignore[arg-type]
