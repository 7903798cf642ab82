"""Is this message wanted?  A judge that says accept, junk or refuse, and why, step by step.

    judge.py   signals, and what the words say -> Judgement
    words.py   a message -> its words
    bayes.py   words and counts -> how likely it is junk, and the words that decided
    table.py   the counts, in a file that processes share

Not here: how the signals were found, what the server then does, who marks messages."""

from mox_junk.bayes import Classification, Counts, Parameters, Word, classify, significant
from mox_junk.judge import Judgement, Kind, Signals, Step, judge
from mox_junk.table import Learning, Lesson, Table, TableError
from mox_junk.words import words_of

__all__ = [
    "Classification",
    "Counts",
    "Judgement",
    "Kind",
    "Learning",
    "Lesson",
    "Parameters",
    "Signals",
    "Step",
    "Table",
    "TableError",
    "Word",
    "classify",
    "judge",
    "significant",
    "words_of",
]
