"""The small facts of a server, on disk and in memory: the same answers, whatever comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mox_store import State, testing
from mox_store.doors import StateDoor
from mox_store.memory_state import MemoryState

spaces = st.sampled_from(("mtasts", "tls"))
names = st.sampled_from(("a", "b", "é", "z"))
lasting = st.none() | st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("put"), spaces, names, st.binary(max_size=3), lasting),
    st.tuples(st.just("update"), spaces, names, st.none() | st.binary(max_size=3), lasting),
    st.tuples(st.just("remove"), spaces, names, names),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("wait"), st.integers(0, 5)),
)


async def take(state: StateDoor, step: tuple[object, ...], now: float) -> object:
    match step:
        case ("put", str(space), str(name), bytes(value), lasts):
            return await state.put(space, name, value, None if lasts is None else now + lasts)  # type: ignore[operator]
        case ("update", str(space), str(name), value, lasts):
            expires = None if lasts is None else now + lasts  # type: ignore[operator]
            return await state.update(space, name, lambda had: value and (had or b"") + value, expires)  # type: ignore[operator,return-value]
        case ("remove", str(space), str(one), str(other)):
            return await state.remove(space, one, other)
        case ("sweep",):
            return await state.sweep()
    return None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
def test_both_say_the_same(tmp_path_factory: object, steps: list[tuple[object, ...]]) -> None:
    folder: Path = tmp_path_factory.mktemp("state")  # type: ignore[attr-defined]

    async def run() -> None:
        now = [1000.0]
        loop = asyncio.get_running_loop()
        disk = State(folder / "server.db", clock=lambda: now[0], loop=loop, disk=testing.QuickDisk())
        model = MemoryState(clock=lambda: now[0], loop=loop)
        for step in steps:
            if step[0] == "wait":
                now[0] += step[1]  # type: ignore[operator]
            assert await take(disk, step, now[0]) == await take(model, step, now[0])
            for space in ("mtasts", "tls"):
                assert disk.items(space) == model.items(space)
                assert disk.items(space, after="a", most=1) == model.items(space, after="a", most=1)
                assert [disk.get(space, name) for name in "abéz"] == [model.get(space, name) for name in "abéz"]
        disk.close()

    asyncio.run(run())
