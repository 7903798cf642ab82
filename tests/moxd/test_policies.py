"""Policies and counts of TLS sessions as facts on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import mox_mtasts
import mox_store
import mox_tlsrpt
from moxd.policies import POLICIES, PolicyCache, TlsSessions

NOW = 1_795_000_000.0
TEXT = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmx: *.b.example\nmax_age: 86400\n"


def play(path: Path, main: Callable[[mox_store.State], Coroutine[Any, Any, None]]) -> None:
    """Runs `main` with the facts of a folder."""

    async def whole() -> None:
        state = mox_store.State(path / "state.db", clock=lambda: NOW, loop=asyncio.get_running_loop())
        try:
            await main(state)
        finally:
            state.close()

    asyncio.run(whole())


async def settled(state: mox_store.State) -> None:
    """What was put is on disk."""
    await state.put("nothing", "nothing", b"")


def entry(domain: str) -> mox_mtasts.Entry:
    return mox_mtasts.Entry(domain).renewed("1", mox_mtasts.Policy.parse(TEXT), NOW)


def test_a_policy_survives_a_restart(tmp_path: Path) -> None:
    async def before(state: mox_store.State) -> None:
        cache = PolicyCache(state)
        for domain in ("a.example", "b.example", "c.example"):
            cache.put(entry(domain))
        cache.put(mox_mtasts.Entry("d.example").failed("7", "sts-policy-fetch-error", "no answer", NOW))
        cache.remove("c.example")
        await settled(state)

    async def after(state: mox_store.State) -> None:
        cache = PolicyCache(state)
        assert cache.get("a.example") == entry("a.example")
        assert cache.get("c.example") is None
        found = cache.get("d.example")
        assert found is not None
        assert (found.policy, found.why) == (None, "no answer")
        assert [one.domain for one in cache.entries()] == ["a.example", "b.example", "d.example"]

    play(tmp_path, before)
    play(tmp_path, after)


def test_what_cannot_be_read_is_as_good_as_nothing(tmp_path: Path) -> None:
    async def main(state: mox_store.State) -> None:
        for name, value in (("a", b"{"), ("b", b"{}"), ("c", b'{"policy": 1}'), ("d", b"[]")):
            await state.put(POLICIES, name, value)
            assert PolicyCache(state).get(name) is None

    play(tmp_path, main)


def test_sessions_of_a_kind_are_added_up(tmp_path: Path) -> None:
    day = mox_tlsrpt.day_of(NOW)
    good = mox_tlsrpt.Count(day, "a.example", mox_tlsrpt.Policy.none("a.example"), None)
    failure = mox_tlsrpt.Failure("certificate-expired", mx_host="mx.a.example")
    bad = mox_tlsrpt.Count(day, "a.example", mox_tlsrpt.Policy.none("a.example"), failure)
    other = mox_tlsrpt.Count(day + 1, "a.example", mox_tlsrpt.Policy.none("a.example"), None)

    async def main(state: mox_store.State) -> None:
        sessions = TlsSessions(state)
        for count in (good, bad, good, good, other):
            sessions.add(count)
        await settled(state)
        rows = list(sessions.rows(day))
        assert sorted(row["sessions"] for row in rows) == [1, 3]  # type: ignore[type-var]
        assert len(list(sessions.rows(day + 1))) == 1

    play(tmp_path, main)
