"""Sessions are counted as they happen, and a day later the counts are a report.  RFC 8460 4.1, 4.2.

A session is counted whatever its policy says, and so is one in the clear.  Sessions that bring a report are not (RFC
8460 3: "SHOULD NOT include this SMTP session in the next report"), nor are failures that pass (4.3.4), such as a host
that does not answer: whoever calls `add` knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mox_tlsrpt.report import PolicyResult, Report
from mox_tlsrpt.result import Failure, Policy

DAY = 86400
# RFC 8460 4.1: not all at once after midnight.
SPREAD = 4 * 3600
# RFC 8460 5.5: how long delivery of a report is tried.
TRIED = DAY
MAX_ROWS = 200_000
# Kinds of failures in one policy of a report; the rest is told without details.
MAX_KINDS = 500


@dataclass(frozen=True, slots=True)
class Count:
    """So many sessions of a day (days since 1970, UTC) went so.

    `domain`: whose record says where the report goes; `failure` None: they went well."""

    day: int
    domain: str
    policy: Policy
    failure: Failure | None
    sessions: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for those who keep it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Count:
        """What `to_dict` gave.  Raises ValueError, KeyError or TypeError for anything else."""
        policy, failure = dict(values["policy"]), values["failure"]
        for name in ("strings", "mx_hosts"):
            policy[name] = tuple(policy[name])
        kept = {"policy": Policy(**policy), "failure": None if failure is None else Failure(**failure)}
        return cls(**{**values, **kept})


class Counts(Protocol):
    """Where counts are kept until their report is sent."""

    def add(self, count: Count) -> None:
        """Adds sessions to what is counted of the same kind."""
        ...

    def domains(self, day: int) -> Iterable[str]:
        """The domains of which something is counted on a day."""
        ...

    def rows(self, day: int, domain: str) -> Iterable[Count]:
        """The counts for one report."""
        ...

    def remove(self, day: int, domain: str) -> None:
        """The report is sent, or nobody wants it."""
        ...


class MemoryCounts:
    """Counts in memory.  Beyond `max_rows` new kinds of failure are counted without details, and new domains not."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._rows: dict[tuple[int, str], dict[tuple[Policy, Failure | None], int]] = {}
        self._max = max_rows
        self._size = 0
        self.dropped = 0

    def add(self, count: Count) -> None:
        """Counts"""
        rows = self._rows.get((count.day, count.domain), {})
        kind = (count.policy, count.failure)
        if kind not in rows and self._size >= self._max:
            kind = (count.policy, count.failure.bare() if count.failure else None)
            if kind not in rows and not any(policy == count.policy for policy, _ in rows):
                self.dropped += count.sessions
                return
        self._rows.setdefault((count.day, count.domain), rows)
        self._size += kind not in rows
        rows[kind] = rows.get(kind, 0) + count.sessions

    def domains(self, day: int) -> tuple[str, ...]:
        """Counts"""
        return tuple(domain for at, domain in self._rows if at == day)

    def rows(self, day: int, domain: str) -> Iterator[Count]:
        """Counts"""
        for (policy, failure), sessions in tuple(self._rows.get((day, domain), {}).items()):
            yield Count(day, domain, policy, failure, sessions)

    def remove(self, day: int, domain: str) -> None:
        """Counts"""
        self._size -= len(self._rows.pop((day, domain), {}))


def day_of(now: float) -> int:
    """The day of a moment (seconds since 1970): days since 1970, in UTC (RFC 8460 4.1)."""
    return int(now // DAY)


def send_time(day: int, drawn: float) -> float:
    """When to send a day's reports: after its end, spread by `drawn` (0 to 1) over four hours."""
    return (day + 1) * DAY + drawn * SPREAD


def report_for(rows: Iterable[Count], *, day: int, organization: str, contact: str, report_id: str) -> Report | None:
    """The report of a day for one domain; None where nothing is counted.

    `organization` is who sends it, `contact` an address or more, `report_id` a unique text."""
    policies: dict[Policy, dict[Failure | None, int]] = {}
    for row in rows:
        kinds = policies.setdefault(row.policy, {})
        failure = row.failure
        if failure is not None and failure not in kinds and len(kinds) >= MAX_KINDS:
            failure = failure.bare()
        kinds[failure] = kinds.get(failure, 0) + row.sessions
    if not policies:
        return None
    results = tuple(_result(policy, kinds) for policy, kinds in policies.items())
    return Report(organization, day * DAY, (day + 1) * DAY - 1, contact, report_id, results)


def _result(policy: Policy, kinds: dict[Failure | None, int]) -> PolicyResult:
    failures = tuple((failure, sessions) for failure, sessions in kinds.items() if failure is not None)
    return PolicyResult(policy, kinds.get(None, 0), sum(sessions for _, sessions in failures), failures)
