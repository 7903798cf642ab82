"""What the README shows is what happens."""

from __future__ import annotations

import doctest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme() -> None:
    readme = ROOT / "packages" / "mox-imap" / "README.md"
    done = doctest.testfile(str(readme), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert done.attempted > 20
    assert done.failed == 0
