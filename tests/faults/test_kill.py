"""kill -9 in the middle of concurrent deliveries by several processes, then a restart: what was acknowledged is there
once, nothing is half written; and again on what is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.audit import audit
from mox_store import Disk

LOAD = Path(__file__).with_name("load.py")
ROUNDS = 5


def killed_run(folder: Path, seed: str, after: int, delay: float) -> list[str]:
    """Starts load.py, kills all its processes once it has said `after` lines (and a moment later); what it said."""
    arguments = [sys.executable, str(LOAD), str(folder), "--sessions", "16", "--messages", "100000", "--seed", seed]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
    said = [line.decode() for line in lines if line.endswith(b"\n")]
    assert len(said) >= after, "the load ended early"
    return said


def test_kill_9_and_restart(tmp_path: Path) -> None:
    rng = random.Random(11)
    said: list[str] = []
    for number in range(ROUNDS):
        said += killed_run(tmp_path, f"r{number}", rng.randrange(1, 300), rng.random() / 20)
        assert audit(tmp_path, said, disk=Disk()) == []


@pytest.mark.parametrize("signalled", [1, 2])
def test_one_of_two_dies(tmp_path: Path, signalled: int) -> None:
    """The other goes on undisturbed, and nobody's mail is lost."""
    arguments = [sys.executable, str(LOAD), str(tmp_path), "--messages", "60", "--sessions", "4"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[signalled - 1]), signal.SIGKILL)
        lines += process.stdout.readlines()
        assert process.wait() == 1  # load.py says that one of its processes failed
    said = [line.decode() for line in lines if line.endswith(b"\n")]
    survivor = f"1-{2 - signalled}-"
    assert sum(line.startswith(f"did add {survivor}") for line in said) == 60
    assert audit(tmp_path, said, disk=Disk()) == []
