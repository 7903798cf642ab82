"""The words of hostile messages, learned and forgotten: within limits, and nothing of them stays.

python fuzz/junk_words.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path

from mox_junk import Lesson, Table, classify, words_of
from mox_junk.words import MAX_WORD, MAX_WORDS
from mox_message import Content, parse

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
_table = Table(Path(_folder.name))


def fuzz(data: bytes) -> None:
    """One input."""
    content = Content.of(data)
    words = words_of(parse(content), content)
    assert len(words) <= MAX_WORDS
    assert all(len(word.rpartition(":")[2]) <= MAX_WORD for word in words)
    for step in (1, -1):
        with _table.learning() as learning:
            learning.prepare([Lesson(words, junk=step), Lesson(words, wanted=step)])
            learning.apply()
        found = classify(words, _table)
        assert 0 <= found.probability <= 1
    assert _table.find(words) == {}
    assert _table.totals() == (0, 0)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
