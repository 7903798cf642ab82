"""Who wants reports about TLS to this domain?  RFC 8460 3, as a lookup."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mox_dns import Answer, Domain, Lookup, txt
from mox_tlsrpt.record import PREFIX, Destination, Record, RecordSyntaxError, ours

_MAX_NAME = 253


class Status(StrEnum):
    """What DNS says."""

    FOUND = "found"
    NONE = "none"  # no record, several, or one that is wrong
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class Step:
    """What was asked, what follows from it, and the section that says so."""

    what: str
    outcome: str
    rule: str
    answers: tuple[Answer, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} -> {self.outcome} (RFC {self.rule})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "what": self.what,
            "outcome": self.outcome,
            "rule": f"RFC {self.rule}",
            "answers": [_shown(answer) for answer in self.answers],
        }


def _shown(answer: Answer) -> str:
    found = ", ".join(r.decode("latin-1") if isinstance(r, bytes) else str(r) for r in answer.records[:20])
    text = found if answer.found else answer.status.value
    return f"{answer.question} -> {''.join(char if ' ' <= char <= '~' else '?' for char in text[:1000])}"


@dataclass(frozen=True, slots=True)
class Found:
    """The record of a domain, and where it wants its reports."""

    status: Status
    reason: str
    domain: str
    record: Record | None = None
    trace: tuple[Step, ...] = ()

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Where to send, () for nowhere."""
        return self.record.destinations if self.record is not None else ()

    def explain(self) -> str:
        """The outcome and each step, a line each, with the DNS answers below their step."""
        lines = [f"tlsrpt={self.status} {self.domain}: {self.reason}"]
        for step in self.trace:
            lines.append(f"  {step}")
            lines += [f"    DNS {_shown(answer)}" for answer in step.answers]
        lines += [f"  to {destination}" for destination in self.destinations]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "domain": self.domain,
            "rua": list(self.record.rua) if self.record is not None else [],
            "destinations": [str(destination) for destination in self.destinations],
            "trace": [step.to_dict() for step in self.trace],
        }


def plan_lookup(domain: Domain | str) -> Lookup[Found]:
    """Who wants reports about a policy domain: the recipient's domain, or under DANE the TLSA base domain.

    Raises DomainSyntaxError for a text that is no domain, and nothing for what DNS says."""
    return _lookup(Domain.parse(domain).ascii if isinstance(domain, str) else domain.ascii)


def _lookup(domain: str) -> Lookup[Found]:
    name = f"{PREFIX}.{domain}"
    if len(name) > _MAX_NAME:
        return Found(Status.NONE, f"{domain} is too long to have a record", domain)
    answer = yield from txt(name)
    what = f"{name} TXT"

    def found(status: Status, outcome: str, record: Record | None = None) -> Found:
        return Found(status, outcome, domain, record, (Step(what, outcome, "8460 3", (answer,)),))

    if answer.failed:
        return found(Status.TEMPERROR, f"no answer: {answer.status}")
    records = ours(record for record in answer.records if isinstance(record, bytes))
    if len(records) != 1:
        return found(
            Status.NONE, f"{len(records)} TLSRPT records, and only one may be" if records else "no TLSRPT record"
        )
    try:
        record = Record.parse(records[0])
    except RecordSyntaxError as error:
        return found(Status.NONE, f"the record is wrong at character {error.at + 1}: {error.why}")
    return found(Status.FOUND, f"wants reports at {len(record.destinations)} places", record)
