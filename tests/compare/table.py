"""explained.toml: which disagreements are as they should be, and why."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from compare.cases import Case
from compare.ours import Said

KEYS = frozenset({"peer", "cases", "ours", "theirs", "because", "said", "records", "why"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Explains a disagreement with `peer` if all that it says holds.

    `cases`: a glob of case ids; `ours`, `theirs`: verdicts, in words with "|"; `because`, `said`: patterns found in our
    reason and in theirs; `records`: one found in the case's records, as JSON.  `why` cites the RFC."""

    number: int
    peer: str
    why: str
    cases: str = "*"
    ours: str = ""
    theirs: str = ""
    because: str = ""
    said: str = ""
    records: str = ""

    def holds(self, peer: str, case: Case, mine: Said, theirs: Said) -> bool:
        """Does it explain this?"""
        return (
            self.peer == peer
            and fnmatch.fnmatchcase(case.id, self.cases)
            and (not self.ours or mine.verdict in self.ours.split("|"))
            and (not self.theirs or theirs.verdict in self.theirs.split("|"))
            and re.search(self.because, mine.because) is not None
            and re.search(self.said, theirs.because) is not None
            and (not self.records or re.search(self.records, case.line()) is not None)
        )


def read(path: Path) -> list[Rule]:
    """The rules in order.  Raises ValueError for one that is not whole: a table with holes explains everything."""
    rules = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("explained", [])):
        if unknown := set(entry) - KEYS:
            raise ValueError(f"rule {number + 1}: unknown {', '.join(sorted(unknown))}")
        rule = Rule(number, **entry)
        if not re.search(r"\bRFC \d{4}\b", rule.why):
            raise ValueError(f"rule {number + 1}: says no RFC")
        if not (rule.because or rule.said or rule.records or rule.cases.rpartition("/")[2].strip("*")):
            raise ValueError(f"rule {number + 1}: explains whatever the peer says")
        rules.append(rule)
    return rules


def explain(rules: list[Rule], peer: str, case: Case, mine: Said, theirs: Said) -> Rule | None:
    """The first rule that explains a disagreement."""
    return next((rule for rule in rules if rule.holds(peer, case, mine, theirs)), None)
