"""Is this message wanted?  Signals in; accept, junk or refuse out, with the ordered steps that led there.

Pure: the same signals give the same judgement, so a decision can be replayed.  The first step that decides ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mox_junk.bayes import DEFAULT, Classification, Parameters


class Kind(StrEnum):
    """What is to be done."""

    ACCEPT = "accept"
    JUNK = "junk"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of a message, as plain words: SPF, DMARC and iprev as in Authentication-Results."""

    spf: str = "none"
    dmarc: str = "none"
    dmarc_disposition: str = "none"
    iprev: str = "permerror"
    dkim_domains: tuple[str, ...] = ()  # domains whose signature passed
    tls: bool = False
    mail_from: str = ""
    from_domain: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One look at the signals, and what came of it."""

    what: str
    outcome: str
    because: str
    rule: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer.  `public` is what a refused sender may read; `temporary` says to try again later."""

    kind: Kind
    reason: str
    steps: tuple[Step, ...]
    public: str = ""
    enhanced: str = ""
    temporary: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "kind": self.kind.value,
            "reason": self.reason,
            "public": self.public,
            "temporary": self.temporary,
            "steps": [
                {"what": s.what, "outcome": s.outcome, "because": s.because, "rule": s.rule, "numbers": dict(s.numbers)}
                for s in self.steps
            ],
        }

    def explain(self) -> str:
        """For people."""
        lines = [f"{self.kind}: {self.reason}"]
        lines += [f"{n}. {s.what} -> {s.outcome}: {s.because}" for n, s in enumerate(self.steps, 1)]
        return "\n".join(lines)


def judge(signals: Signals, words: Classification | None = None, parameters: Parameters = DEFAULT) -> Judgement:
    """Judges a message from somebody without a history here; `words` is what its words say, when they were asked."""
    steps: list[Step] = []
    for look in (_policy, _spf_alone, _name):
        found = look(signals, steps)
        if found is not None:
            return found
    if words is not None and (judged := _words(words, parameters, steps)) is not None:
        return judged
    steps.append(Step("signals", "accept", "nothing speaks against it"))
    return Judgement(Kind.ACCEPT, "no bad signals", tuple(steps))


def _policy(signals: Signals, steps: list[Step]) -> Judgement | None:
    """The From domain's own wish (RFC 9989 5.4)."""
    because = f"DMARC {signals.dmarc}, the domain asks for {signals.dmarc_disposition}"
    if signals.dmarc == "fail" and signals.dmarc_disposition == "reject":
        steps.append(Step("DMARC policy", "refuse", because, "RFC 9989 5.4"))
        public = (
            f"{signals.from_domain or 'the From domain'} asks that mail it does not authenticate be refused (DMARC)"
        )
        return Judgement(Kind.REFUSE, "DMARC policy reject", tuple(steps), public, "5.7.26")
    if signals.dmarc == "fail" and signals.dmarc_disposition == "quarantine":
        steps.append(Step("DMARC policy", "junk", because, "RFC 9989 5.4"))
        return Judgement(Kind.JUNK, "DMARC policy quarantine", tuple(steps))
    steps.append(Step("DMARC policy", "go on", because, "RFC 9989 5.4"))
    return None


def _spf_alone(signals: Signals, steps: list[Step]) -> Judgement | None:
    """A sender that its own domain disowns, when nothing else speaks for the message."""
    if signals.spf == "fail" and signals.dmarc != "pass" and not signals.dkim_domains:
        steps.append(
            Step("SPF alone", "junk", "SPF fail, no DKIM signature passes, DMARC does not pass", "RFC 7208 8.4")
        )
        return Judgement(Kind.JUNK, "SPF fail and nothing speaks for it", tuple(steps))
    steps.append(
        Step("SPF alone", "go on", f"SPF {signals.spf}, {len(signals.dkim_domains)} signatures pass", "RFC 7208 8")
    )
    return None


def _name(signals: Signals, steps: list[Step]) -> Judgement | None:
    """A host without a name that sends mail nobody vouches for."""
    vouched = signals.spf == "pass" or signals.dmarc == "pass" or bool(signals.dkim_domains)
    if signals.iprev in ("fail", "permerror") and not vouched:
        steps.append(Step("reverse DNS", "junk", f"iprev {signals.iprev}, and neither SPF nor DKIM nor DMARC passes"))
        return Judgement(Kind.JUNK, "no name, and nobody vouches for it", tuple(steps))
    steps.append(Step("reverse DNS", "go on", f"iprev {signals.iprev}{', vouched for' if vouched else ''}"))
    return None


def _words(words: Classification, parameters: Parameters, steps: list[Step]) -> Judgement | None:
    """What its owner called junk before, and what not."""
    numbers: dict[str, Any] = {"probability": round(words.probability, 6), "threshold": parameters.threshold}
    if not words.significant:
        steps.append(Step("words", "go on", words.explain(), numbers={"wanted": words.wanted, "junk": words.junk}))
        return None
    numbers["words"] = [[w.word, w.wanted, w.junk, round(w.probability, 4)] for w in words.words]
    if words.probability > parameters.threshold:
        steps.append(Step("words", "junk", words.explain(), numbers=numbers))
        return Judgement(Kind.JUNK, "its words are those of junk", tuple(steps))
    steps.append(Step("words", "go on", words.explain(), numbers=numbers))
    return None
