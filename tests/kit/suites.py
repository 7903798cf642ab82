"""Where the conformance suites of others are: read in place, never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("MOX_SUITES", ROOT.parent / "shared" / "suites"))


# The properties of the test that runs, for the table of `nox -s conformance`; tests/conftest.py sets it.
running: list[tuple[str, object]] = []


def counted(name: str, passed: int = 1, deviations: int = 0) -> None:
    """The running test stands for so many cases of the suite that pass, and so many that stand in a table of deviations.
    Without it, a test that asks for a suite stands for one case."""
    running.append(("suite cases", (name, passed, deviations)))


def deviates(name: str) -> None:
    """The running test's case stands in a table of deviations: it holds what we do instead."""
    counted(name, 0, 1)


def suite(name: str) -> Path:
    """The folder of the suite `name`; skips the caller, naming what is missing, where it is not there."""
    folder = SUITES / name
    if not folder.is_dir():
        pytest.skip(f"conformance suite {name!r} not found in {SUITES}; set MOX_SUITES to the folder that holds it")
    running.append(("suite", name))
    return folder
