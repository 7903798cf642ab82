"""Is a domain's record good for everybody?  Reads it and all it includes, counts what may be asked at most, and warns.

Where check.py stops at the first match or mistake, this goes on: it has no client, so it follows every term.  Terms
with macros cannot be followed; they are counted and named."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mox_dns import Answer, Domain, Lookup, Question, value, value_blocking
from mox_spf.check import LIMITS, Limits, askable
from mox_spf.macro import MacroString
from mox_spf.record import Directive, Record, RecordSyntaxError, claims_spf

if TYPE_CHECKING:
    from mox_dns import AnyBlockingResolver, AnyResolver

# Records read in one audit, however many are included.
MAX_RECORDS = 100
# RFC 7208 3.4: answers over 512 octets may not fit; with the name and the header this is what should remain.
ADVISED_LENGTH = 450
# A network shorter than this lets in hosts of many owners.
WIDEST = {4: 8, 6: 16}


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # some receivers see permerror, or the record says nothing
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`domain` is whose record it is in, `term` which term, or ""."""

    severity: Severity
    domain: str
    term: str
    why: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.domain}{f', {self.term}' if self.term else ''}: {self.why}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.  `lookups` and `void` are the most that a check may count; `networks` are those that pass.

    `records` has every record that was read, by its domain, in order."""

    domain: str
    records: dict[str, str]
    lookups: int
    void: int
    networks: tuple[str, ...]
    findings: tuple[Finding, ...]
    temporary: bool  # DNS failed somewhere, so something is missing here

    @property
    def sound(self) -> bool:
        """Nothing is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def explain(self) -> str:
        """For people, line by line."""
        lines = [f"{self.domain}: {'sound' if self.sound else 'not sound'}, {self.lookups} lookups, {self.void} void"]
        lines += [f"  {domain}: {text}" for domain, text in self.records.items()]
        lines += [f"  {finding}" for finding in self.findings]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "sound": self.sound,
            "temporary": self.temporary,
            "records": self.records,
            "lookups": self.lookups,
            "void": self.void,
            "networks": list(self.networks),
            "findings": [
                {"severity": f.severity.value, "domain": f.domain, "term": f.term, "why": f.why} for f in self.findings
            ],
        }


def plan_audit(domain: Domain, limits: Limits = LIMITS) -> Lookup[Audit]:
    """Reads the record of `domain` and all that it includes, wider first."""
    walk = _Walk(limits)
    yield from walk.record(domain.ascii, (), "")
    walk.count()
    return Audit(
        domain.ascii,
        walk.records,
        walk.lookups,
        walk.void,
        tuple(dict.fromkeys(walk.networks)),
        tuple(walk.findings),
        walk.temporary,
    )


def audit(
    domain: Domain | str, resolver: AnyResolver | None = None, *, limits: Limits = LIMITS
) -> Coroutine[Any, Any, Audit]:
    """Awaitable.  Raises DomainSyntaxError if `domain` is none, and nothing for what DNS says."""
    return value(plan_audit(_parsed(domain), limits), resolver)


def audit_sync(domain: Domain | str, resolver: AnyBlockingResolver | None = None, *, limits: Limits = LIMITS) -> Audit:
    """As `audit`, blocking."""
    return value_blocking(plan_audit(_parsed(domain), limits), resolver)


def _parsed(domain: Domain | str) -> Domain:
    return domain if isinstance(domain, Domain) else Domain.parse(domain)


@dataclass(slots=True)
class _Walk:
    limits: Limits
    records: dict[str, str] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lookups: int = 0
    void: int = 0
    temporary: bool = False

    def find(self, severity: Severity, domain: str, term: str, why: str) -> None:
        self.findings.append(Finding(severity, domain, term, why))

    def count(self) -> None:
        """RFC 7208 4.6.4, once everything is known."""
        domain = next(iter(self.records), "")
        if self.lookups > self.limits.lookups:
            why = f"{self.lookups} terms ask DNS, {self.limits.lookups} are allowed (RFC 7208 4.6.4)"
            self.find(Severity.ERROR, domain, "", why)
        if self.void > self.limits.void:
            why = f"{self.void} terms find nothing, {self.limits.void} are allowed (RFC 7208 4.6.4)"
            self.find(Severity.ERROR, domain, "", why)

    def record(self, domain: str, above: tuple[str, ...], term: str) -> Lookup[None]:
        """One domain's record, and what it leads to; `term` is what led here from `above[-1]`."""
        where = above[-1] if above else domain
        if domain in above:
            self.find(Severity.ERROR, where, term, "leads back to itself")
            return
        if len(self.records) >= MAX_RECORDS:
            self.find(Severity.ERROR, where, term, f"more than {MAX_RECORDS} records")
            return
        (answer,) = yield (Question(domain, "TXT"),)
        text = self.text(answer, domain, where, term)
        if text is None:
            return
        first = domain not in self.records
        self.records[domain] = text.decode("latin-1")
        try:
            record = Record.parse(text)
        except RecordSyntaxError as error:
            self.find(Severity.ERROR, domain, "", f"{error.why} at character {error.at + 1}")
            return
        if first:
            self.advise(record, domain, text, included=bool(above))
        for directive in self.reached(record, domain, first):
            yield from self.directive(directive, domain, above)
        if record.redirect is not None and not _ends(record):
            self.lookups += 1
            yield from self.follow(record.redirect, f"redirect={record.redirect}", domain, above)

    def text(self, answer: Answer, domain: str, where: str, term: str) -> bytes | None:
        """The one record; notes why there is not one."""
        found = [text for text in answer.records if claims_spf(text)]
        if len(found) == 1:
            return bytes(found[0])
        if answer.failed:
            self.temporary = True
            self.find(Severity.WARNING, where, term, f"no answer for {answer.question}: {answer.status}")
        elif found:
            self.find(Severity.ERROR, domain, "", f"{len(found)} SPF records where one is allowed (RFC 7208 4.5)")
        else:
            self.find(Severity.ERROR, where, term, f"{domain} has no SPF record")
        return None

    def advise(self, record: Record, domain: str, text: bytes, *, included: bool) -> None:
        """What can be seen in the record alone."""
        if len(text) > ADVISED_LENGTH:
            why = f"{len(text)} octets; over {ADVISED_LENGTH} some answers do not fit a datagram (RFC 7208 3.4)"
            self.find(Severity.NOTE, domain, "", why)
        ending = next((one for one in record.directives if one.mechanism == "all"), None)
        if not included:
            if ending is None and record.redirect is None:
                self.find(Severity.WARNING, domain, "", "no all and no redirect: whoever is not named is neutral")
            elif ending is not None and ending.qualifier == "neutral":
                self.find(Severity.WARNING, domain, ending.text, "whoever is not named is neutral")
        if ending is not None and ending.qualifier == "pass":
            self.find(Severity.ERROR, domain, ending.text, "everybody may send for this domain")
        if ending is not None and record.redirect is not None:
            self.find(Severity.NOTE, domain, f"redirect={record.redirect}", "means nothing beside all (RFC 7208 6.1)")

    def reached(self, record: Record, domain: str, first: bool) -> list[Directive]:
        """The directives up to all."""
        reached = []
        for directive in record.directives:
            if reached and reached[-1].mechanism == "all":
                if first:
                    self.find(Severity.NOTE, domain, directive.text, "behind all, so nobody looks at it")
                continue
            reached.append(directive)
        return reached

    def directive(self, directive: Directive, domain: str, above: tuple[str, ...]) -> Lookup[None]:
        """Counts a term, and follows it."""
        network = directive.network
        if network is not None:
            if directive.qualifier == "pass":
                self.networks.append(str(network))
                if network.prefixlen < WIDEST[network.version]:
                    self.find(Severity.WARNING, domain, directive.text, "lets in a large part of the network")
            return
        if not directive.asks:
            return
        self.lookups += 1
        if directive.mechanism == "ptr":
            self.find(Severity.WARNING, domain, directive.text, "ptr is slow, and SHOULD NOT be used (RFC 7208 5.5)")
        elif directive.mechanism == "include":
            assert directive.spec is not None, "the grammar wants one"
            yield from self.follow(directive.spec, directive.text, domain, above)
        elif directive.mechanism in ("a", "mx"):
            yield from self.hosts(directive, domain)
        elif directive.spec is not None and directive.spec.constant is not None:
            self.find(Severity.NOTE, domain, directive.text, "exists without a macro is the same for everybody")

    def follow(self, spec: MacroString, term: str, domain: str, above: tuple[str, ...]) -> Lookup[None]:
        """The record that an include or a redirect leads to."""
        if spec.constant is None:
            self.find(Severity.NOTE, domain, term, "depends on the message, so it was not followed")
            return
        target = askable(spec.constant)
        if not target:
            self.find(Severity.ERROR, domain, term, "can be no name")
            return
        yield from self.record(target, (*above, domain), term)

    def hosts(self, directive: Directive, domain: str) -> Lookup[None]:
        """The addresses of an a or mx."""
        if directive.spec is not None and directive.spec.constant is None:
            self.find(Severity.NOTE, domain, directive.text, "depends on the message, so it was not followed")
            return
        name = domain if directive.spec is None or directive.spec.constant is None else askable(directive.spec.constant)
        if not name:
            self.find(Severity.WARNING, domain, directive.text, "can be no name, so it never matches")
            return
        names = [name]
        if directive.mechanism == "mx":
            (answer,) = yield (Question(name, "MX"),)
            if len(answer.records) > self.limits.mx:
                why = f"{len(answer.records)} hosts, {self.limits.mx} are allowed (RFC 7208 4.6.4)"
                self.find(Severity.ERROR, domain, directive.text, why)
            names = [host for mx in answer.records[: self.limits.mx] if (host := askable(mx.host))]
            if not names:
                self.nothing((answer,), directive, domain)
                return
        answers = yield tuple(Question(host, type) for host in names for type in ("A", "AAAA"))
        for answer in answers:
            length = directive.cidr4 if answer.question.type == "A" else directive.cidr6
            if directive.qualifier == "pass":
                self.networks += [f"{address}/{length}" for address in answer.records]
        if not any(answer.found for answer in answers):
            self.nothing(answers, directive, domain)

    def nothing(self, answers: tuple[Answer, ...], directive: Directive, domain: str) -> None:
        """A term that finds nothing."""
        failed = [answer for answer in answers if answer.failed]
        if failed:
            self.temporary = True
            why = f"no answer for {failed[0].question}: {failed[0].status}"
            self.find(Severity.WARNING, domain, directive.text, why)
            return
        self.void += 1
        self.find(Severity.WARNING, domain, directive.text, "finds nothing")


def _ends(record: Record) -> bool:
    return any(directive.mechanism == "all" for directive in record.directives)
