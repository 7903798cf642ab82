"""Where the conformance suites of others are: read in place, never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("MOX_SUITES", ROOT.parent / "shared" / "suites"))


def suite(name: str) -> Path:
    """The folder of the suite `name`; skips the caller, naming what is missing, where it is not there."""
    folder = SUITES / name
    if not folder.is_dir():
        pytest.skip(f"conformance suite {name!r} not found in {SUITES}; set MOX_SUITES to the folder that holds it")
    return folder
