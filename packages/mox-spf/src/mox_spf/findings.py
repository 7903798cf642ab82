"""What an audit says: is a domain's record good for everybody, and if not, what is wrong and where.  See walk.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mox_dns import Step
from mox_dns.scanner import pointed


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # some receivers see permerror, or the record lets everybody in
    WARNING = "warning"
    NOTE = "note"


class AuditStatus(StrEnum):
    """The worst of what was found."""

    GOOD = "good"  # notes at most
    WARNINGS = "warnings"
    ERRORS = "errors"
    TEMPERROR = "temperror"  # no error seen, but DNS failed somewhere


@dataclass(frozen=True, slots=True)
class Finding:
    """`rule` names the kind, for scripts; `section` is that of RFC 7208, "" where it is not the RFC's.

    `domain` is whose record it is in; `text` that record, and `at` the character of it that is meant (from 0), None
    where it is about the whole or there is no record; `term` the term, or ""."""

    severity: Severity
    rule: str
    domain: str
    why: str
    section: str = ""
    term: str = ""
    at: int | None = None
    text: str = ""

    def __str__(self) -> str:
        place = f", {self.term}" if self.term else ""
        section = f" (RFC 7208 {self.section})" if self.section else ""
        return f"{self.severity}: {self.domain}{place}: {self.why}{section}"

    def pointed(self) -> str:
        """The place in the record, with a caret below; "" where there is none."""
        return "" if self.at is None else pointed(self.text, self.at)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "severity": self.severity.value,
            "rule": self.rule,
            "domain": self.domain,
            "why": self.why,
            "section": self.section,
            "term": self.term,
            "at": self.at,
        }


class Visit(NamedTuple):
    """A record that was read: how deep, whose, what led there, its text, and the most that a check may count in it."""

    depth: int
    domain: str
    via: str
    text: str
    lookups: int
    void: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found, in the order of the records.

    `lookups` and `void` are the most that a check may count; `networks` are those that pass, as they stand in ip4 and
    ip6 or came from a and mx; `visits` has every record once, where it was met first."""

    domain: str
    lookups: int
    void: int
    networks: tuple[str, ...]
    findings: tuple[Finding, ...]
    visits: tuple[Visit, ...]
    temporary: bool  # DNS failed somewhere, so something is missing here
    trace: tuple[Step, ...] = ()

    @property
    def status(self) -> AuditStatus:
        """The worst of the findings."""
        found = {finding.severity for finding in self.findings}
        if Severity.ERROR in found:
            return AuditStatus.ERRORS
        if self.temporary:
            return AuditStatus.TEMPERROR
        return AuditStatus.WARNINGS if Severity.WARNING in found else AuditStatus.GOOD

    @property
    def reason(self) -> str:
        """The first of the worst findings, in a line."""
        for severity in Severity:
            for finding in self.findings:
                if finding.severity is severity:
                    return str(finding)
        return f"{len(self.visits)} records, {self.lookups} lookups"

    @property
    def sound(self) -> bool:
        """Nothing is an error."""
        return self.status is not AuditStatus.ERRORS

    @property
    def records(self) -> dict[str, str]:
        """Every record that was read, by its domain."""
        return {visit.domain: visit.text for visit in self.visits}

    def explain(self) -> str:
        """For people: the records as a tree with their counts, then the findings, each with its place."""
        lines = [f"{self.domain}: {self.status}, {self.lookups} lookups, {self.void} void"]
        for visit in self.visits:
            lines.append(f"  {'  ' * visit.depth}{visit.domain} ({visit.lookups} lookups, {visit.void} void)")
            lines.append(f"  {'  ' * visit.depth}  {visit.text}")
        for finding in self.findings:
            lines.append(f"  {finding}")
            if place := finding.pointed():
                lines += [f"  {line}" for line in place.split("\n")]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "status": self.status.value,
            "reason": self.reason,
            "lookups": self.lookups,
            "void": self.void,
            "networks": list(self.networks),
            "findings": [finding.to_dict() for finding in self.findings],
            "records": [visit._asdict() for visit in self.visits],
            "trace": [str(step) for step in self.trace],
        }
