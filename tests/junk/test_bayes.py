from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_junk import Kind, Parameters, Signals, classify, judge, significant


@dataclass
class Learned:
    """mox_junk.Counts"""

    wanted: int
    junk: int
    words: dict[str, tuple[int, int]] = field(default_factory=dict)

    def totals(self) -> tuple[int, int]:
        return self.wanted, self.junk

    def find(self, words: Collection[str]) -> Mapping[str, tuple[int, int]]:
        return {word: self.words[word] for word in words if word in self.words}


LEARNED = Learned(100, 100, {"pills": (0, 80), "meeting": (60, 0), "the": (100, 100), "once": (0, 1), "twice": (1, 2)})


def test_words_of_junk() -> None:
    found = classify({"pills", "the", "unseen"}, LEARNED)
    assert [(w.word, w.wanted, w.junk, w.probability) for w in found.words] == [("pills", 0, 80, 0.99)]
    assert found.probability == pytest.approx(0.99)


def test_words_of_both_sides_weigh_each_other() -> None:
    found = classify({"pills", "meeting"}, LEARNED)
    assert [w.word for w in found.words] == ["pills", "meeting"]
    assert found.probability == pytest.approx(0.5)


def test_a_rare_word_says_less() -> None:
    (once,) = classify({"once"}, LEARNED).words
    # Seen once, rare is 2: two tenths of the way to a half.
    assert once.probability == pytest.approx(0.99 + 2 * (0.5 - 0.99) / 10)


def test_only_the_most_telling_words_decide() -> None:
    learned = Learned(100, 100, {f"junk{n:02}": (n, 50) for n in range(20)} | {"fine": (50, 0)})
    found = classify(learned.words, learned, Parameters(top=3))
    assert [w.word for w in found.words] == ["junk00", "junk01", "junk02", "fine"]


def test_with_little_learned_nothing_is_said() -> None:
    found = classify({"pills"}, Learned(49, 100, {"pills": (0, 80)}))
    assert (found.significant, found.probability, found.words) == (False, 0.5, ())
    assert not significant(Learned(100, 0))
    assert "not enough to go by: 49 wanted" in found.explain()


@pytest.mark.parametrize(
    "words, kind, reason",
    [({"pills"}, Kind.JUNK, "its words are those of junk"), ({"meeting"}, Kind.ACCEPT, "no bad signals")],
)
def test_the_judge_hears_the_words(words: set[str], kind: Kind, reason: str) -> None:
    judgement = judge(Signals(spf="pass", iprev="pass"), classify(words, LEARNED))
    assert (judgement.kind, judgement.reason) == (kind, reason)
    (step,) = (step for step in judgement.steps if step.what == "words")
    assert step.numbers["words"][0][0] in words
    assert 0 <= step.numbers["probability"] <= 1


def test_the_judge_says_that_too_little_was_learned() -> None:
    judgement = judge(Signals(spf="pass", iprev="pass"), classify({"pills"}, Learned(3, 2)))
    assert judgement.kind is Kind.ACCEPT
    assert judgement.steps[-2].numbers == {"wanted": 3, "junk": 2}


COUNTS = st.dictionaries(
    st.text(min_size=1, max_size=5), st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=40
)


@given(COUNTS, st.integers(0, 1000), st.integers(0, 1000), st.randoms())
def test_any_counts(counts: dict[str, tuple[int, int]], wanted: int, junk: int, random: object) -> None:
    """A probability, whatever was learned; the same whatever order the words come in."""
    learned = Learned(wanted, junk, counts)
    found = classify(list(counts), learned)
    assert 0 <= found.probability <= 1
    assert classify(list(reversed(list(counts))), learned).words == found.words
    assert found.to_dict()["words"] == [] or found.significant
