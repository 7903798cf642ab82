"""What a check says: the verdict, its reason, the domain's explanation, and each step that led there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from mox_dns import Answer
from mox_spf.record import Directive


class Status(StrEnum):
    """The results of RFC 7208 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class ForeignText(str):
    """What the sender's `domain` says about itself, not we: printable ASCII, but hostile for all we know.

    RFC 7208 6.2 and 11.5: whoever shows it says whose words it is, as `attributed` does."""

    __slots__ = ("domain",)

    domain: str

    def __new__(cls, text: str = "", domain: str = "") -> ForeignText:
        made = super().__new__(cls, text)
        made.domain = domain
        return made

    @property
    def attributed(self) -> str:
        """With its author, for a reply or a log; "" where nothing is said."""
        return f"The domain {self.domain} explains: {str.__str__(self)}" if self else ""

    def __repr__(self) -> str:
        return f"ForeignText({str.__repr__(self)}, domain={self.domain!r})"

    def __reduce__(self) -> tuple[type[ForeignText], tuple[str, str]]:
        return ForeignText, (str.__str__(self), self.domain)


SILENCE = ForeignText()


class Step(NamedTuple):
    """What became of one term: how deep among included records, in whose record, and what DNS said for it.

    `lookups` and `void` are the counts after it; `section` is that of RFC 7208 that rules it."""

    depth: int
    domain: str
    term: str
    outcome: str
    lookups: int
    void: int
    answers: tuple[Answer, ...] = ()
    section: str = ""

    def __str__(self) -> str:
        counts = f"{self.lookups} lookups, {self.void} void"
        section = f"; {self.section}" if self.section else ""
        return f"{'  ' * self.depth}{self.domain}: {self.term} -> {self.outcome} ({counts}{section})"


# What a check notes, as fields of a Step, or of networks that do not match: depth, domain, directives, the place of the
# first and behind the last, lookups, void.  Most are never looked at, so they become Steps only if somebody asks.
Entry: TypeAlias = (
    "tuple[int, str, str, str, int, int, tuple[Answer, ...], str]"
    " | tuple[int, str, tuple[Directive, ...], int, int, int, int]"
)

SECTIONS = {
    "all": "5.1", "include": "5.2", "a": "5.3", "mx": "5.4", "ptr": "5.5", "ip4": "5.6", "ip6": "5.6", "exists": "5.7",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict, and how it came.

    `reason` is ours, `explanation` the sender's domain's, for a fail.  `mechanism` is the term that decided, as
    written; empty where none did.  `problem` says what a permerror or temperror is about.  `lookups` and
    `void_lookups` are what RFC 7208 4.6.4 counts.  `authentic`: DNSSEC vouches for every answer that was used.
    `entries` is what `trace` is made of."""

    status: Status
    reason: str
    identity: str = "mailfrom"  # or "helo"
    domain: str = ""
    mechanism: str = ""
    explanation: ForeignText = SILENCE
    problem: str = ""
    lookups: int = 0
    void_lookups: int = 0
    authentic: bool = False
    entries: tuple[Entry, ...] = field(default=(), repr=False)

    @property
    def trace(self) -> tuple[Step, ...]:
        """Every term that was judged, and every question with its answer, in order."""
        return tuple(_steps(self.entries))

    def explain(self) -> str:
        """The verdict and each step, a line each, with the DNS answers below their step."""
        lines = [f"spf={self.status} {self.identity}={self.domain}: {self.reason}"]
        for step in self.trace:
            lines.append(f"  {step}")
            lines += [f"  {'  ' * step.depth}  DNS {shown(answer)}" for answer in step.answers]
        if self.explanation:
            lines.append(f"  {self.explanation.attributed}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON.  `explanation` and what DNS said are foreign text."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "identity": self.identity,
            "domain": self.domain,
            "mechanism": self.mechanism,
            "explanation": str(self.explanation),
            "explanation_by": self.explanation.domain,
            "problem": self.problem,
            "lookups": self.lookups,
            "void_lookups": self.void_lookups,
            "authentic": self.authentic,
            "trace": [{**step._asdict(), "answers": [shown(answer) for answer in step.answers]} for step in self.trace],
        }


def _steps(entries: tuple[Entry, ...]) -> Iterator[Step]:
    for entry in entries:
        if len(entry) == 8:
            yield Step(*entry)
            continue
        depth, domain, directives, start, end, lookups, void = entry
        for directive in directives[start:end]:
            yield Step(depth, domain, directive.text, "no match", lookups, void, (), SECTIONS["ip4"])


def shown(answer: Answer) -> str:
    """A question and what DNS said to it, on one line."""
    found = ", ".join(r.decode("latin-1") if isinstance(r, bytes) else str(r) for r in answer.records)
    return f"{answer.question} -> {found if answer.found else answer.status.value}"
