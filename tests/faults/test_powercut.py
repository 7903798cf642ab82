"""A power cut at any moment loses nothing that was acknowledged: a recorded run of several processes, cut everywhere.

Set MOX_POWERCUT=all to cut at every event with many subsets of unsynced writes (minutes); else a sample is cut."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from faults.audit import audit
from kit.powercut import Recorder, Recording, Survival, survivals

EVERYTHING = os.environ.get("MOX_POWERCUT") == "all"
LOAD = Path(__file__).with_name("load.py")
MEMORY = Path("/dev/shm")


def recorded(tmp_path: Path, *options: str) -> Recording:
    """One run of load.py under strace."""
    root = tmp_path / "disk"
    root.mkdir()
    # Small checkpoints, so that the log begins anew several times within the run.
    arguments = [sys.executable, str(LOAD), str(root / "accounts"), "--checkpoint", "150000", *options]
    recorder = Recorder(arguments, tmp_path / "strace.log")
    try:
        recorder.wait(100)
    finally:
        recorder.kill()
    return Recording.read(tmp_path / "strace.log", root)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder for disks, in memory where there is some."""
    with TemporaryDirectory(prefix="mox-cut-", dir=MEMORY if MEMORY.is_dir() else tmp_path) as name:
        yield Path(name)


def lost(recording: Recording, moment: int, survival: Survival, folder: Path) -> list[str]:
    """What is wrong after a cut."""
    shutil.rmtree(folder, ignore_errors=True)
    recording.disk(moment, survival, folder)
    try:
        return audit(folder / "accounts", recording.acknowledged(moment))
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


@pytest.mark.timeout(0 if EVERYTHING else 120)
def test_nothing_acknowledged_is_lost(tmp_path: Path, scratch: Path) -> None:
    rng = random.Random(7)
    recording = recorded(tmp_path, "--messages", "60" if EVERYTHING else "25")
    kinds = Counter(event.kind for event in recording.events)
    acknowledged = len(recording.acknowledged(len(recording.events)))
    assert acknowledged >= 100, kinds
    assert kinds["sync"] >= 10, kinds
    assert sum(event.path.endswith(".db") and event.kind == "sync" for event in recording.events) >= 2, "no checkpoint"
    cuts = recording.cuts() if EVERYTHING else sorted(rng.sample(recording.sharp_cuts(), 70))
    tried = 0
    for moment in cuts:
        for survival in survivals(rng, 6 if EVERYTHING else 1):
            wrong = lost(recording, moment, survival, scratch / "disk")
            assert not wrong, f"cut at event {moment} of {len(recording.events)}, {survival.name}: {wrong}"
            tried += 1
    print(f"{len(recording.events)} events, {kinds}, {acknowledged} lines said, {tried} disks")


def test_this_would_be_noticed(tmp_path: Path, scratch: Path) -> None:
    """The same run with syncs that do nothing loses mail, and the test sees it."""
    recording = recorded(tmp_path, "--messages", "10", "--no-sync")
    end = len(recording.events)
    last = max(number for number, event in enumerate(recording.events) if event.kind == "ack") + 1
    nothing = Survival("nothing unsynced", lambda number: False)
    assert lost(recording, last, nothing, scratch / "disk")
    everything = Survival("everything", lambda number: True)
    assert not lost(recording, end, everything, scratch / "disk")
