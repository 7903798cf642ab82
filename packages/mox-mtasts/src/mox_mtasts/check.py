"""Which policy holds for mail to this domain?  RFC 8461 3, 5.1, as a plan without I/O.

A plan yields questions for DNS, as every lookup, and at most one Fetch; it is sent the answers, and the Fetched.
Nothing that a zone or a host says leads to an exception."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from mox_dns import Answer, Domain, IpAddress, Question
from mox_mtasts.cache import Entry, over
from mox_mtasts.fetched import LIMITS, Failure, Fetched, Limits
from mox_mtasts.policy import Policy, PolicySyntaxError, policy_host, policy_url
from mox_mtasts.record import PREFIX, Record, RecordSyntaxError, ours

_MAX_NAME = 253


class Status(StrEnum):
    """What is known."""

    VALID = "valid"  # there is a policy
    NONE = "none"  # the domain has no MTA-STS
    ERROR = "error"  # it says that it has, but its policy cannot be had, and none is cached
    TEMPERROR = "temperror"  # DNS gave no answer, and no policy is cached


class Source(StrEnum):
    """Where the policy comes from."""

    CACHE = "cache"
    FETCHED = "fetched"
    NOWHERE = ""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get `https://<host>/.well-known/mta-sts.txt` from one of `addresses`, verified, without redirects."""

    host: str
    addresses: tuple[IpAddress, ...]

    def __str__(self) -> str:
        return f"GET https://{self.host}/.well-known/mta-sts.txt"


@dataclass(frozen=True, slots=True)
class Step:
    """What was looked at, what came of it, and the section that asks for it."""

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


@dataclass(frozen=True, slots=True)
class Result:
    """The policy that holds, and how that came.

    `failure`: the result type of RFC 8460 where the policy could not be had or renewed, though the domain announces
    one: also beside a valid policy out of the cache.  `entry`: what to keep from now on; None: nothing."""

    status: Status
    reason: str
    domain: str
    policy: Policy | None = None
    id: str = ""
    source: Source = Source.NOWHERE
    failure: str = ""
    entry: Entry | None = None
    trace: tuple[Step, ...] = ()

    def explain(self) -> str:
        """The result and each step, a line each, with the DNS answers below their step."""
        lines = [f"mta-sts={self.status} {self.domain}: {self.reason}"]
        for step in self.trace:
            lines.append(f"  {step}")
            lines += [f"    DNS {_shown(answer)}" for answer in step.answers]
        if self.policy is not None:
            lines += [f"  policy  {line}" for line in str(self.policy).splitlines()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "domain": self.domain,
            "policy": None if self.policy is None else self.policy.to_dict(),
            "id": self.id,
            "source": self.source.value,
            "failure": self.failure,
            "trace": [step.to_dict() for step in self.trace],
        }


Plan: TypeAlias = Generator["tuple[Question, ...] | Fetch", "tuple[Answer, ...] | Fetched", Result]
# Parts of a plan that ask DNS or fetch, and return something else.
_Part: TypeAlias = Generator["tuple[Question, ...] | Fetch", "tuple[Answer, ...] | Fetched", Any]


def plan_check(
    domain: Domain | str, entry: Entry | None, *, now: float, limits: Limits = LIMITS, refresh: bool = False
) -> Plan:
    """The policy for mail to `domain`, the recipient's or the smarthost's (RFC 8461 2: not where CNAMEs lead).

    `entry`: what is cached.  `now`: seconds since 1970.  `refresh`: fetch even if the id has not changed.  Raises
    DomainSyntaxError for a text that is no domain, and nothing for what DNS or the policy host say."""
    name = Domain.parse(domain).ascii if isinstance(domain, str) else domain.ascii
    return _Check(name, entry, now, limits, refresh).run()


def _shown(answer: Answer) -> str:
    found = ", ".join(r.decode("latin-1") if isinstance(r, bytes) else str(r) for r in answer.records[:20])
    text = found if answer.found else answer.status.value
    return f"{answer.question} -> {''.join(char if ' ' <= char <= '~' else '?' for char in text[:1000])}"


class _Check:
    """One check on its way."""

    def __init__(self, domain: str, entry: Entry | None, now: float, limits: Limits, refresh: bool) -> None:
        self.domain, self.now, self.limits, self.refresh = domain, now, limits, refresh
        self.entry = entry if refresh or entry is None else entry.seen(now)
        self.steps: list[Step] = []

    def run(self) -> Plan:
        record = yield from self.record()
        if isinstance(record, Result):
            return record
        entry = self.entry
        if entry is not None and entry.valid(self.now) and entry.id == record.id and not self.refresh:
            self.note("cache", f"the policy of id {record.id}, as DNS still has it", "8461 3.3")
            return self.cached("the cached policy is still the domain's")
        if entry is not None and entry.tried == record.id and self.now < entry.retry:
            wait = round(entry.retry - self.now)
            self.note("cache", f"the fetch for id {record.id} failed; not again within {wait} s", "8461 3.3")
            return self.without(entry.failure, f"not fetched again yet: {entry.why}")
        return (yield from self.fetch(record))

    # the record

    def record(self) -> _Part:
        """The record, or the Result where there is none that counts."""
        name = f"{PREFIX}.{self.domain}"
        if len(name) > _MAX_NAME:
            return self.none(f"{self.domain} is too long to have a record")
        answers = yield (Question(name, "TXT"),)
        assert isinstance(answers, tuple)
        (answer,) = answers
        if answer.failed:
            self.note(f"{name} TXT", f"no answer: {answer.status}", "8461 3.1", answer)
            return self.doubtful(f"no answer for {name} TXT: {answer.status}")
        records = ours(record for record in answer.records if isinstance(record, bytes))
        if len(records) != 1:
            found = f"{len(records)} MTA-STS records, and only one may be" if records else "no MTA-STS record"
            self.note(f"{name} TXT", found, "8461 3.1", answer)
            return self.none(f"{self.domain} has {found}")
        try:
            record = Record.parse(records[0])
        except RecordSyntaxError as error:
            why = f"wrong at character {error.at + 1}: {error.why}"
            self.note(f"{name} TXT", why, "8461 3.1", answer)
            return self.none(f"the record of {self.domain} is {why}")
        self.note(f"{name} TXT", f"id {record.id}", "8461 3.1", answer)
        return record

    # the policy

    def fetch(self, record: Record) -> Plan:
        host = policy_host(self.domain)
        fetched = yield from self.text(host)
        if fetched.body is None:
            assert fetched.failure is not None
            return self.failed(record, fetched.failure, fetched.reason)
        try:
            policy = Policy.parse(fetched.body)
        except PolicySyntaxError as error:
            line = fetched.body[: error.at].count(b"\n") + 1
            return self.failed(record, Failure.SYNTAX, f"the policy is wrong in line {line}: {error.why}")
        self.note(policy_url(self.domain), f"mode {policy.mode}, {len(policy.mx)} mx, {policy.max_age} s", "8461 3.2")
        entry = (self.entry or Entry(self.domain, used=self.now)).renewed(record.id, policy, self.now)
        return Result(
            Status.VALID, f"{self.domain} has a policy", self.domain, policy, record.id, Source.FETCHED,
            entry=entry, trace=tuple(self.steps),
        )  # fmt: skip

    def text(self, host: str) -> _Part:
        """What the policy host sends."""
        answers = yield (Question(host, "A"), Question(host, "AAAA"))
        assert isinstance(answers, tuple)
        v4, v6 = answers
        addresses = (*v6.records, *v4.records)
        if not addresses:
            failed = next((answer.status for answer in answers if answer.failed), None)
            why = f"no answer for the addresses of {host}: {failed}" if failed else f"{host} has no address"
            self.note(f"{host} A, AAAA", why, "8461 3.3", *answers)
            return Fetched(None, Failure.ADDRESS, why)
        self.note(f"{host} A, AAAA", f"{len(addresses)} addresses", "8461 3.3", *answers)
        fetched = yield Fetch(host, addresses[: self.limits.addresses])
        assert isinstance(fetched, Fetched)
        over_tls = f" over {fetched.tls}" if fetched.tls else ""
        outcome = f"{len(fetched.body)} octets" if fetched.body is not None else fetched.reason
        self.note(f"{fetched.address or host} port 443", outcome + over_tls, "8461 3.3")
        return fetched

    # how it ends

    def failed(self, record: Record, failure: Failure, why: str) -> Result:
        self.note(policy_url(self.domain), why, "8461 3.3")
        entry = self.entry or Entry(self.domain, used=self.now)
        self.entry = entry.failed(record.id, failure.reported, why, self.now)
        return self.without(failure.reported, why)

    def without(self, failure: str, why: str) -> Result:
        """The policy cannot be had now."""
        if self.entry is not None and self.entry.valid(self.now):
            return self.cached(f"the cached policy holds, for a newer one cannot be had: {why}", failure)
        # RFC 8461 3.3: then mail goes as if the domain had no policy.
        return Result(
            Status.ERROR, why, self.domain, failure=failure, entry=self.kept(), trace=tuple(self.steps)
        )  # fmt: skip

    def none(self, why: str) -> Result:
        # RFC 8461 3.1 and 5.1: a record that is gone does not undo a policy that is still valid.
        if self.entry is not None and self.entry.valid(self.now):
            return self.cached(f"the cached policy holds, though {why}")
        return Result(Status.NONE, why, self.domain, entry=self.kept(), trace=tuple(self.steps))

    def doubtful(self, why: str) -> Result:
        if self.entry is not None and self.entry.valid(self.now):
            return self.cached(f"the cached policy holds: {why}")
        return Result(Status.TEMPERROR, why, self.domain, entry=self.kept(), trace=tuple(self.steps))

    def cached(self, why: str, failure: str = "") -> Result:
        assert self.entry is not None
        return Result(
            Status.VALID, why, self.domain, self.entry.policy, self.entry.id, Source.CACHE, failure, self.entry,
            tuple(self.steps),
        )  # fmt: skip

    def kept(self) -> Entry | None:
        return None if self.entry is None or over(self.entry, self.now) else self.entry

    def note(self, what: str, outcome: str, rule: str, *answers: Answer) -> None:
        self.steps.append(Step(what, outcome, rule, answers))
