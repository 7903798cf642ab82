from __future__ import annotations

from pathlib import Path

import pytest

from moxd import spool
from moxd.spool import Spool


def on_disk(one: Spool) -> bool:
    return one._file is not None


def filled(folder: Path, size: int) -> Spool:
    one = Spool(folder)
    for start in range(0, size, 10_000):
        one.write(b"x" * min(10_000, size - start))
    return one


def test_small_ones_stay_in_memory_and_large_ones_do_not(tmp_path: Path) -> None:
    for size, expected in ((1000, False), (100_000, False), (spool.MOST_OF_ONE + 1, True)):
        one = filled(tmp_path, size)
        assert on_disk(one) is expected
        assert one.content().read() == b"x" * size
        one.close()
    assert spool._held == [0]


def test_together_they_hold_so_much_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_OF_ALL", 300_000)
    many = [filled(tmp_path, 100_000) for _ in range(6)]
    assert [on_disk(one) for one in many] == [False, False, False, True, True, True]
    small = filled(tmp_path, 50_000)
    assert not on_disk(small), "a small one always has room"
    many[0].close()
    assert not on_disk(filled(tmp_path, 50_000))
    for one in (*many, small):
        one.close()
        one.close()  # twice does no harm
    assert spool._held == [0], "what nobody closed is let go, too"
