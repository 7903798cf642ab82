"""Reports and their JSON, both ways.  RFC 8460 4.4, RFC 3339.

Reading keeps what can be kept: reporters leave out members, write a text where a list should be, or numbers as texts.
What was bent is told in `problems`; only what leaves nothing to count is an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from mox_tlsrpt.result import Failure, Policy

MAX_POLICIES = 1000
MAX_FAILURES = 10_000  # of all policies together
MAX_STRINGS = 500  # lines or patterns of one policy
MAX_TEXT = 2000  # characters of one value; more are cut
MAX_PROBLEMS = 100
_MAX_COUNT = 2**63 - 1
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d{1,20})?(?:([Zz])|([+-])(\d\d):?(\d\d))?\Z", re.ASCII
)


class ReportSyntaxError(ValueError):
    """This is no TLS report: `.why`."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """How sessions under one policy went: numbers of sessions, and the failures with their numbers."""

    policy: Policy
    successful: int
    failed: int
    failures: tuple[tuple[Failure, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A report.  `start` and `end`: seconds since 1970, both within.  Every text of a report that was read is foreign.

    `problems`: what of it was not as RFC 8460 4.4 says."""

    organization: str
    start: float
    end: float
    contact: str
    id: str
    policies: tuple[PolicyResult, ...]
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes | str) -> Report:
        """Reads JSON (UTF-8).  Raises ReportSyntaxError.  How large it may be is for the caller: see `read`."""
        try:
            value = json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ReportSyntaxError(f"not JSON: {str(error)[:200]}") from None
        return _Reader().report(value)

    @property
    def successful(self) -> int:
        """Sessions that went well, under all policies."""
        return sum(result.successful for result in self.policies)

    @property
    def failed(self) -> int:
        """Sessions that failed, under all policies."""
        return sum(result.failed for result in self.policies)

    def json(self) -> str:
        """The text to send."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def to_dict(self) -> dict[str, Any]:
        """The members of RFC 8460 4.4."""
        return {
            "organization-name": self.organization,
            "date-range": {"start-datetime": date_time(self.start), "end-datetime": date_time(self.end)},
            "contact-info": self.contact,
            "report-id": self.id,
            "policies": [_result_members(result) for result in self.policies],
        }

    def explain(self) -> str:
        """For people, a line for each policy and kind of failure."""
        when = f"{date_time(self.start)} to {date_time(self.end)}"
        lines = [f"{self.organization or '?'}, {when}, report {self.id or '?'}, contact {self.contact or '?'}"]
        for result in self.policies:
            policy = result.policy
            lines.append(f"  {policy.type} {policy.domain or '?'}: {result.successful} good, {result.failed} failed")
            lines += [f"    {sessions} {_failure_line(failure)}" for failure, sessions in result.failures]
        lines += [f"  not as it should be: {problem}" for problem in self.problems]
        return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def date_time(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _failure_line(failure: Failure) -> str:
    parts = [
        failure.result,
        f"from {failure.sending_ip}" if failure.sending_ip else "",
        f"to {failure.mx_host}" if failure.mx_host else "",
        f"at {failure.receiving_ip}" if failure.receiving_ip else "",
        f"({failure.reason_code})" if failure.reason_code else "",
    ]
    return " ".join(filter(None, parts))


def _result_members(result: PolicyResult) -> dict[str, Any]:
    policy = result.policy
    members: dict[str, Any] = {"policy-type": policy.type}
    if policy.strings:
        members["policy-string"] = list(policy.strings)
    members["policy-domain"] = policy.domain
    if policy.mx_hosts:
        members["mx-host"] = list(policy.mx_hosts)
    return {
        "policy": members,
        "summary": {
            "total-successful-session-count": result.successful,
            "total-failure-session-count": result.failed,
        },
        "failure-details": [_failure_members(failure, sessions) for failure, sessions in result.failures],
    }


# Members of failure-details, and where they are kept.
_FAILURE = {
    "result-type": "result",
    "sending-mta-ip": "sending_ip",
    "receiving-mx-hostname": "mx_host",
    "receiving-mx-helo": "mx_helo",
    "receiving-ip": "receiving_ip",
    "additional-information": "information",
    "failure-reason-code": "reason_code",
}


def _failure_members(failure: Failure, sessions: int) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(failure, kept) for name, kept in _FAILURE.items() if getattr(failure, kept)}
    return {**told, "failed-session-count": sessions}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


class _Reader:
    """Methods are named after what RFC 8460 4.4 calls the members."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.left = MAX_FAILURES

    def report(self, value: Any) -> Report:
        members = self.members(value)
        policies = members.get("policies")
        if not isinstance(policies, list):
            raise ReportSyntaxError("no list of policies")
        start, end = self.date_range(members.get("date-range"))
        if len(policies) > MAX_POLICIES:
            self.note(f"more than {MAX_POLICIES} policies")
        results = tuple(self.policy_result(one) for one in policies[:MAX_POLICIES])
        return Report(
            self.text(members, "organization-name", needed=True),
            start,
            end,
            self.text(members, "contact-info", needed=True),
            self.text(members, "report-id", needed=True),
            results,
            tuple(self.problems),
        )

    def date_range(self, value: Any) -> tuple[float, float]:
        members = self.members(value)
        start, end = (self.date_time(members.get(f"{which}-datetime"), which) for which in ("start", "end"))
        if end < start:
            self.note("it ends before it starts")
        return start, end

    def date_time(self, value: Any, which: str) -> float:
        found = _DATE.match(value) if isinstance(value, str) else None
        if found is None:
            raise ReportSyntaxError(f"no {which} date")
        zone = UTC
        if found[8]:
            minutes = int(found[9]) * 60 + int(found[10])
            if minutes >= 24 * 60:
                raise ReportSyntaxError(f"a {which} date that cannot be")
            zone = timezone(timedelta(minutes=minutes if found[8] == "+" else -minutes))
        elif not found[7]:
            self.note(f"the {which} date has no zone")
        try:
            # A leap second is the next one (RFC 3339 5.7).
            second = min(int(found[6]), 59)
            return datetime(*map(int, found.group(1, 2, 3, 4, 5)), second, tzinfo=zone).timestamp()  # type: ignore[arg-type, misc]
        except (ValueError, OverflowError):
            raise ReportSyntaxError(f"a {which} date that cannot be") from None

    def policy_result(self, value: Any) -> PolicyResult:
        members = self.members(value)
        policy, summary = self.members(members.get("policy")), self.members(members.get("summary"))
        details = members.get("failure-details")
        if isinstance(details, dict):
            self.note("failure-details is no list")
            details = [details]
        elif details is not None and not isinstance(details, list):
            self.note("failure-details is no list")
            details = []
        failures = tuple(self.failure(one) for one in self.limited(details or []))
        return PolicyResult(
            self.policy(policy),
            self.count(summary, "total-successful-session-count"),
            self.count(summary, "total-failure-session-count"),
            failures,
        )

    def limited(self, details: list[Any]) -> list[Any]:
        if len(details) > self.left:
            self.note(f"more than {MAX_FAILURES} kinds of failure")
        kept = details[: self.left]
        self.left -= len(kept)
        return kept

    def policy(self, members: dict[str, Any]) -> Policy:
        # RFC 8460 calls it mx-host in its grammar and mx-host-pattern in its prose.
        hosts = members.get("mx-host", members.get("mx-host-pattern"))
        if "mx-host" not in members and "mx-host-pattern" in members:
            self.note("mx-host-pattern stands for mx-host")
        return Policy(
            self.text(members, "policy-type", needed=True).lower(),
            self.text(members, "policy-domain", needed=True),
            self.texts(members.get("policy-string"), "policy-string"),
            self.texts(hosts, "mx-host"),
        )

    def failure(self, value: Any) -> tuple[Failure, int]:
        members = self.members(value)
        found = {_FAILURE[name]: self.text(members, name) for name in members if name in _FAILURE}
        if not found.get("result"):
            self.note("no result-type")
        found["result"] = found.get("result", "").lower()
        return Failure(**found), self.count(members, "failed-session-count")

    # values

    def members(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.note("an object is missing" if value is None else "something else where an object should be")
        return {}

    def text(self, members: dict[str, Any], name: str, *, needed: bool = False) -> str:
        value = members.get(name)
        if isinstance(value, str):
            if value.isascii() and len(value) <= MAX_TEXT:  # nearly always
                return value
            if len(value) > MAX_TEXT:
                self.note(f"{name} is longer than {MAX_TEXT} characters")
            # Half of a pair, which JSON can write and UTF-8 cannot.
            return value[:MAX_TEXT].encode("utf-8", "replace").decode()
        if value is not None or needed:
            self.note(f"no {name}" if value is None else f"{name} is no text")
        return ""

    def texts(self, value: Any, name: str) -> tuple[str, ...]:
        if isinstance(value, str):
            self.note(f"{name} is no list")
            value = value.splitlines()
        if not isinstance(value, list):
            if value is not None:
                self.note(f"{name} is no list")
            return ()
        if len(value) > MAX_STRINGS:
            self.note(f"more than {MAX_STRINGS} of {name}")
        found = [self.text({name: one}, name, needed=True) for one in value[:MAX_STRINGS]]
        return tuple(filter(None, found))

    def count(self, members: dict[str, Any], name: str) -> int:
        value = members.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            self.note(f"{name} is a text")
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
            return value
        self.note(f"no {name}" if value is None else f"{name} is no number of sessions")
        return 0

    def note(self, problem: str) -> None:
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)
