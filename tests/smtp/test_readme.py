"""What the README shows is what happens."""

from __future__ import annotations

import doctest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_readme() -> None:
    readme = ROOT / "packages" / "mox-smtp" / "README.md"
    # The end of a fenced block is no output.
    text = readme.read_text(encoding="utf-8").replace("\n```", "\n\n```")
    test = doctest.DocTestParser().get_doctest(text, {}, readme.name, str(readme), 0)
    done = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
    assert done.attempted > 15
    assert done.failed == 0
