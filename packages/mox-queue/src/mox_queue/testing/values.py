"""Values drawn at random, for properties that hold for all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from mox_queue.outcome import Attempt
from mox_queue.route import Route
from mox_queue.schedule import DAY, HOUR, Schedule
from mox_queue.testing.couriers import DELIVERED, FAILED, LATER

NAMES = ("direct", "relay", "tunnel", "fail")
ACCOUNTS = ("you", "other", "")
DOMAINS = ("a.example", "b.a.example", "c.example", "xa.example")


def schedules() -> st.SearchStrategy[Schedule]:
    """Schedules of a minute to a month, with jitter or without."""
    return st.builds(
        Schedule,
        waits=st.lists(st.floats(60, 12 * HOUR), min_size=1, max_size=8).map(tuple),
        give_up_after=st.floats(HOUR, 30 * DAY),
        warn_after=st.floats(0, 2 * DAY),
        jitter=st.floats(0, 0.5),
    )


def routes() -> st.SearchStrategy[Route]:
    """Routes over a few accounts and domains, so that they often meet."""
    domains = st.lists(st.sampled_from((*DOMAINS, *(f".{one}" for one in DOMAINS))), max_size=2).map(tuple)
    return st.builds(
        Route,
        st.sampled_from(NAMES),
        st.lists(st.sampled_from(ACCOUNTS[:2]), max_size=2).map(tuple),
        domains,
        domains,
        st.integers(0, 4),
        st.integers(0, 4),
    )


def fates(most: int = 6) -> st.SearchStrategy[tuple[Attempt, ...]]:
    """What becomes of a recipient: later for a while, then something final (or later for ever)."""
    end = st.sampled_from(((DELIVERED,), (FAILED,), ()))
    return st.tuples(st.integers(0, most), end).map(lambda drawn: (LATER,) * drawn[0] + drawn[1])
