"""Word counts in; how likely a message is junk out, with the words that decided.

Robinson's way of combining what each word says (P. Graham, "A Plan for Spam"; G. Robinson, "A statistical approach to
the spam problem"): the few most telling words of either side, so that a long harmless text cannot drown them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Protocol


class Counts(Protocol):
    """What has been learned: `Table`, or whatever a program keeps."""

    def totals(self) -> tuple[int, int]:
        """Messages learned: (wanted, junk)."""

    def find(self, words: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """word -> (wanted, junk): in how many messages it was; words never seen are left out."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How words are weighed.

    `threshold`: above it a message is junk.  `power`: no word says less than this, or more than 1 minus it.  `top`: so
    many words of either side decide.  `ignore`: words this close to 0.5 say nothing.  `rare`: words seen this often or
    less are drawn towards 0.5.  `enough`: with fewer wanted or junk messages learned nothing is said."""

    threshold: float = 0.95
    power: float = 0.01
    top: int = 10
    ignore: float = 0.1
    rare: int = 2
    enough_wanted: int = 50
    enough_junk: int = 1


DEFAULT = Parameters()


@dataclass(frozen=True, slots=True)
class Word:
    """A word that decided: in how many wanted and junk messages it was, what it says."""

    word: str
    wanted: int
    junk: int
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """`probability` that it is junk; `significant` when enough was learned to say so; the `words` that decided, those
    that speak for junk first."""

    probability: float
    significant: bool
    wanted: int
    junk: int
    words: tuple[Word, ...] = ()

    def explain(self) -> str:
        """For people."""
        learned = f"{self.wanted} wanted and {self.junk} junk messages learned"
        if not self.significant:
            return f"not enough to go by: {learned}"
        shown = ", ".join(f"{w.word} {w.probability:.2f} ({w.wanted}/{w.junk})" for w in self.words)
        return f"junk with probability {self.probability:.4f}; {learned}; {shown or 'no word that says anything'}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "probability": self.probability,
            "significant": self.significant,
            "wanted": self.wanted,
            "junk": self.junk,
            "words": [
                {"word": w.word, "wanted": w.wanted, "junk": w.junk, "probability": w.probability} for w in self.words
            ],
        }


def significant(counts: Counts, parameters: Parameters = DEFAULT) -> bool:
    """Has enough been learned to classify?  Asked first, it spares the work of finding words."""
    wanted, junk = counts.totals()
    return wanted >= parameters.enough_wanted and junk >= parameters.enough_junk


def classify(words: Collection[str], counts: Counts, parameters: Parameters = DEFAULT) -> Classification:
    """What the words say.  The same words and counts give the same answer."""
    wanted, junk = counts.totals()
    if not significant(counts, parameters):
        return Classification(0.5, False, wanted, junk)
    telling = []
    for word, (in_wanted, in_junk) in counts.find(words).items():
        probability = _says(in_wanted / wanted, in_junk / junk, in_wanted + in_junk, parameters)
        if abs(0.5 - probability) >= parameters.ignore:
            telling.append(Word(word, in_wanted, in_junk, probability))
    # The longer of two equal words says more; the last key makes the order one and the same everywhere.
    for_junk = nsmallest(
        parameters.top, (w for w in telling if w.probability > 0.5), lambda w: (-w.probability, -len(w.word), w.word)
    )
    against = nsmallest(
        parameters.top, (w for w in telling if w.probability < 0.5), lambda w: (w.probability, -len(w.word), w.word)
    )
    eta = sum(math.log(1 - w.probability) - math.log(w.probability) for w in (*for_junk, *against))
    return Classification(1 / (1 + math.exp(eta)), True, wanted, junk, (*for_junk, *against))


def _says(in_wanted: float, in_junk: float, times: int, parameters: Parameters) -> float:
    both = in_wanted + in_junk
    probability = in_junk / both if both else 0.5
    probability = min(max(probability, parameters.power), 1 - parameters.power)
    if times <= parameters.rare:
        probability += (1 + parameters.rare - times) * (0.5 - probability) / 10
    return probability
