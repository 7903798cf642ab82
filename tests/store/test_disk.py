from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from mox_message import Content
from mox_store import Database, Disk, StoreError, Syncer, blobs
from mox_store.disk import told
from mox_store.wal import Presence


def test_work_is_done_elsewhere_and_answered_on_the_loop() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        syncer = Syncer(loop, threads=2)
        answers: list[object] = []
        both = threading.Barrier(2, timeout=5)  # two at a time, or it never opens

        def fail() -> None:
            both.wait()
            raise OSError(5, "broken")

        done = asyncio.Event()

        def answer(error: BaseException | None) -> None:
            assert threading.current_thread() is threading.main_thread()
            answers.append(error and str(error))
            if len(answers) == 2:
                done.set()

        syncer.submit(both.wait, answer)
        syncer.submit(fail, answer)
        await asyncio.wait_for(done.wait(), 5)
        assert sorted(answers, key=str) == [None, "[Errno 5] broken"] or answers == ["[Errno 5] broken", None]
        syncer.wait()
        syncer.close()
        syncer.close()

    asyncio.run(run())


def test_wait_is_for_what_was_submitted() -> None:
    async def run() -> None:
        syncer, reached = Syncer(asyncio.get_running_loop()), list[int]()
        for number in range(20):
            syncer.submit(lambda number=number: reached.append(number), lambda error: None)  # type: ignore[misc]
        syncer.wait()
        assert sorted(reached) == list(range(20))
        syncer.close()

    asyncio.run(run())


def test_a_loop_that_is_gone_is_no_trouble() -> None:
    loop = asyncio.new_event_loop()
    syncer = Syncer(loop)
    loop.close()
    syncer.submit(lambda: None, lambda error: None)
    syncer.close()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "x: the disk is full; make room, then try again"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "x: the disk is full; make room, then try again"),
        (OSError(errno.EACCES, "Permission denied"), "x: Permission denied"),
        (OSError("strange"), "x: strange"),
    ],
)
def test_errors_of_the_system_as_ours(error: OSError, text: str) -> None:
    mine = told(error, "x")
    assert isinstance(mine, StoreError)
    assert str(mine) == text
    assert mine.__cause__ is error


def test_mistakes_stay_what_they_are() -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(":memory:").execute("SELECT nonsense")
    assert told(caught.value) is caught.value
    mistake = ValueError("x")
    assert told(mistake) is mistake


def test_files_are_ours_alone(tmp_path: Path) -> None:
    Disk().make_folder(tmp_path / "a" / "b")
    db = Database(tmp_path / "a" / "b" / "x.db", "CREATE TABLE t (n INTEGER);")
    for path in (tmp_path / "a" / "b").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    db.close()


def test_presence(tmp_path: Path) -> None:
    one, two = Presence(tmp_path / "x"), Presence(tmp_path / "x")
    assert one.alone()
    assert not two.alone()
    one.share()
    assert not two.alone()
    two.share()
    one.close()
    assert two.alone()
    two.close()


def test_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "SEGMENT_SIZE", 1000)
    segments, neighbour = blobs.Segments(tmp_path, Disk()), blobs.Segments(tmp_path, Disk())
    placed = [(data, segments.stage(Content.of(data))) for data in (b"a" * 400, b"b" * 400, b"c" * 400)]
    other = neighbour.stage(Content.of(b"d" * 400))
    assert [one.segment for _, one in placed] == [1, 1, 2]
    assert other.segment == 3  # a segment belongs to one process
    for data, one in placed:
        for reader in (segments, neighbour):
            assert reader.content(one.segment, one.at, one.length).read() == data
            assert reader.check(one.segment, one.at, one.length) == ""
    assert "no record of 5 bytes" in segments.check(1, placed[0][1].at, 5)
    neighbour.close()
    segments.sweep({2})
    assert segments.numbers() == [2]
    segments.close()
    assert os.path.getsize(segments.path(2)) == 400 + blobs.RECORD.size  # what was taken ahead is given back
    with pytest.raises(StoreError, match="No such file"):
        segments.content(1, 16, 400)
