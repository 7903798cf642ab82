"""Answers that are kept: for how long, and how many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mox_dns import Answer, Question, Status
from mox_dns.cache import Cache


def answer(name: str, *records: bytes) -> Answer:
    return Answer(Question(name, "TXT"), Status.OK, records)


def test_until_its_time() -> None:
    cache = Cache(10)
    kept = answer("a")
    cache.put(("a", "TXT"), kept, until=5)
    assert cache.get(("a", "TXT"), 4.9) is kept
    assert cache.get(("a", "TXT"), 5) is None
    assert cache.get(("b", "TXT"), 0) is None
    cache.clear()
    assert cache.get(("a", "TXT"), 0) is None


def test_no_more_than_its_size() -> None:
    cache = Cache(100)
    for n in range(10_000):
        cache.put((str(n), "TXT"), answer(str(n)), until=1)
        assert len(cache) <= 100
    assert cache.get(("9999", "TXT"), 0) is not None


def test_what_is_asked_for_stays() -> None:
    cache = Cache(10)
    cache.put(("often", "TXT"), answer("often"), until=1)
    for n in range(1000):
        cache.put((str(n), "TXT"), answer(str(n)), until=1)
        assert cache.get(("often", "TXT"), 0) is not None


def test_large_answers_count_for_more() -> None:
    cache = Cache(1000)
    for n in range(1000):
        cache.put((str(n), "TXT"), answer(str(n), b"x" * 65000), until=1)
    assert len(cache) <= 10


def test_a_cache_of_nothing() -> None:
    cache = Cache(0)
    cache.put(("a", "TXT"), answer("a"), until=1)
    assert cache.get(("a", "TXT"), 0) is None
    assert len(cache) == 0


@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 9), st.booleans())))
def test_never_a_wrong_answer(size: int, steps: list[tuple[str, int, bool]]) -> None:
    cache = Cache(size)
    last: dict[str, tuple[int, Answer]] = {}
    for name, time, put in steps:
        if put:
            last[name] = time, answer(name)
            cache.put((name, "TXT"), last[name][1], until=time)
        found = cache.get((name, "TXT"), 5)
        if found is not None:
            assert found is last[name][1]
            assert last[name][0] > 5
        assert len(cache) <= 2 * size
