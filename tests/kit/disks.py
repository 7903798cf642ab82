"""File systems of a few bytes, for a disk that is really full."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path

import pytest

PATIENCE = 5.0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes at `folder`.  Fails when something on it is still open at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    problem = "never tried"
    try:
        yield folder
    finally:
        problem = _unmount(folder)
    assert not problem, problem


def _unmount(folder: Path) -> str:
    """Why it could not be, if something still uses the folder; it is gone all the same, for the tests that follow."""
    end = time.monotonic() + PATIENCE
    while (done := subprocess.run(["umount", str(folder)], capture_output=True, text=True)).returncode != 0:
        if time.monotonic() > end:
            problem = f"{done.stderr.strip()} {still_open(folder)}"
            subprocess.run(["umount", "-l", str(folder)], check=True)
            return problem
        time.sleep(0.05)  # the kernel may be a moment behind with the files of a process that has ended
    return ""


def still_open(folder: Path, process: str = "[0-9]*") -> list[str]:
    """What processes (all, or `self`) have open under a folder."""
    found = []
    for link in [*glob(f"/proc/{process}/fd/*"), *glob(f"/proc/{process}/cwd")]:
        with suppress(OSError):  # it has ended, or has closed it
            if (name := os.readlink(link)).startswith(f"{folder}/"):
                found.append(f"{link}: {name}")
    return found
