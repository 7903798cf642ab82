"""May this host send mail for this domain?  check_host() of RFC 7208 4, as a lookup.

Whatever a sender or a zone says leads to a Result.  Limits are counted over all included records together."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from mox_dns import Answer, Domain, DomainSyntaxError, Lookup, Question, Traced, run, run_blocking
from mox_dns import Step as DnsStep
from mox_dns.resolver import AnyBlockingResolver, AnyResolver
from mox_spf.macro import MacroError, Values, expand, expand_domain, needs_validated, parse_macro_string
from mox_spf.record import Directive, Record, RecordSyntaxError, is_spf

IpAddress = IPv4Address | IPv6Address


class Status(StrEnum):
    """RFC 7208 2.6"""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 a verdict, no secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Limits:
    """RFC 7208 4.6.4, 11.1."""

    lookups: int = 10  # terms that ask DNS
    void: int = 2  # answers without records
    mx: int = 10  # hosts of one mx
    ptr: int = 10  # names looked at
    explanation: int = 500  # characters kept of the domain's explanation


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the evaluation."""

    depth: int
    domain: str
    term: str
    outcome: str

    def __str__(self) -> str:
        return f"{'  ' * self.depth}{self.domain}: {self.term} -> {self.outcome}"


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict.  `explanation` is text of the sender's domain: foreign, never to be trusted."""

    status: Status
    reason: str
    identity: str = "mailfrom"  # or "helo"
    domain: str = ""
    mechanism: str = ""
    explanation: str = ""
    lookups: int = 0
    void_lookups: int = 0
    authentic: bool = False
    steps: tuple[Step, ...] = ()
    trace: tuple[DnsStep, ...] = field(default=(), repr=False)

    def explain(self) -> str:
        """The verdict and how it came, for people."""
        lines = [f"{self.status}: {self.reason} ({self.identity} {self.domain})"]
        lines += [str(step) for step in self.steps]
        lines += [f"DNS {step}" for step in self.trace]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "identity": self.identity,
            "domain": self.domain,
            "mechanism": self.mechanism,
            "explanation": self.explanation,
            "lookups": self.lookups,
            "void_lookups": self.void_lookups,
            "authentic": self.authentic,
            "steps": [str(step) for step in self.steps],
            "dns": [str(step) for step in self.trace],
        }


class _Ended(Exception):
    """Ends the evaluation early with permerror or temperror."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status, self.reason = status, reason


@dataclass(slots=True)
class _Outcome:
    status: Status
    reason: str
    mechanism: str = ""
    record: Record | None = None
    domain: str = ""


_FAMILY = {4: "A", 6: "AAAA"}


def _name(text: str) -> str:
    """A name that can be asked for, in A-form; "" when there is none such."""
    try:
        return Domain.parse(text).ascii
    except DomainSyntaxError:
        pass
    # Macros make names that are no host names and that DNS takes all the same.
    plain = text.rstrip(".").lower()
    labels = plain.split(".")
    if plain.isascii() and len(plain) <= 253 and all(0 < len(label) <= 63 for label in labels) and plain.isprintable():
        return plain
    return ""


class _Check:
    def __init__(self, values: Values, limits: Limits) -> None:
        self._values = values
        self._limits = limits
        self.lookups = 0
        self.void = 0
        self.authentic = True
        self.steps: list[Step] = []
        self._validated: str | None = None

    def _note(self, depth: int, domain: str, term: str, outcome: str) -> None:
        self.steps.append(Step(depth, domain, term, outcome))

    def _ask(self, name: str, type: str) -> Lookup[Answer]:
        (answer,) = yield (Question(name, type),)
        self.authentic = self.authentic and answer.authentic
        return answer

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > self._limits.lookups:
            raise _Ended(Status.PERMERROR, f"{term}: more than {self._limits.lookups} terms that ask DNS (RFC 7208 4.6.4)")

    def _void(self, answer: Answer) -> None:
        if answer.absent:
            self.void += 1
            if self.void > self._limits.void:
                raise _Ended(Status.PERMERROR, f"more than {self._limits.void} void lookups (RFC 7208 4.6.4)")

    def _usable(self, answer: Answer) -> Answer:
        if answer.failed:
            raise _Ended(Status.TEMPERROR, f"no answer for {answer.question}: {answer.status}")
        return answer

    # -- check_host

    def host(self, domain: str, depth: int) -> Lookup[_Outcome]:
        """check_host() for one domain; ends early by _Ended."""
        name = _name(domain)
        if not name or "." not in name:
            # RFC 7208 4.3
            return _Outcome(Status.NONE, f"{domain[:80]!r} is no domain with a record")
        answer = yield from self._ask(name, "TXT")
        if answer.failed:
            raise _Ended(Status.TEMPERROR, f"no answer for {name} TXT: {answer.status}")
        records = [record for record in answer.records if is_spf(record)]
        if not records:
            return _Outcome(Status.NONE, f"{name} has no SPF record")
        if len(records) > 1:
            raise _Ended(Status.PERMERROR, f"{name} has {len(records)} SPF records (RFC 7208 4.5)")
        try:
            record = Record.parse(records[0].decode("latin-1"))
        except RecordSyntaxError as error:
            raise _Ended(Status.PERMERROR, f"the record of {name}: {error}") from None
        return (yield from self._evaluate(name, record, depth))

    def _evaluate(self, domain: str, record: Record, depth: int) -> Lookup[_Outcome]:
        values = replace(self._values, domain=domain)
        for directive in record.directives:
            matches = yield from self._matches(directive, values, depth)
            self._note(depth, domain, directive.text, "match" if matches else "no match")
            if matches:
                reason = f"{self._values.ip} matches {directive.text} of {domain}"
                return _Outcome(Status(directive.qualifier), reason, directive.text, record, domain)
        if record.redirect is not None:
            self._count("redirect")
            target = yield from self._target(record.redirect, values)
            self._note(depth, domain, f"redirect={target}", "followed")
            outcome = yield from self.host(target, depth + 1)
            if outcome.status is Status.NONE:
                raise _Ended(Status.PERMERROR, f"redirect of {domain}: {outcome.reason} (RFC 7208 6.1)")
            return outcome
        return _Outcome(Status.NEUTRAL, f"nothing in the record of {domain} matches {self._values.ip}", "", record, domain)

    def _target(self, spec: Any, values: Values) -> Lookup[str]:
        if needs_validated(spec):
            values = replace(values, validated=(yield from self._validated_name(values)))
        return expand_domain(spec, values)

    def _matches(self, directive: Directive, values: Values, depth: int) -> Lookup[bool]:
        mechanism, ip = directive.mechanism, values.ip
        if mechanism == "all":
            return True
        if mechanism in ("ip4", "ip6"):
            assert directive.network is not None
            return ip.version == directive.network.version and ip in directive.network
        self._count(directive.text)
        target = values.domain
        if directive.spec is not None:
            target = yield from self._target(directive.spec, values)
        return (yield from getattr(self, "_" + mechanism)(directive, target, values, depth))

    def _include(self, directive: Directive, target: str, values: Values, depth: int) -> Lookup[bool]:
        outcome = yield from self.host(target, depth + 1)
        if outcome.status is Status.NONE:
            raise _Ended(Status.PERMERROR, f"{directive.text}: {outcome.reason} (RFC 7208 5.2)")
        return outcome.status is Status.PASS

    def _in(self, address: IpAddress, directive: Directive, ip: IpAddress) -> bool:
        if address.version != ip.version:
            return False
        bits, length = (32, directive.cidr4) if ip.version == 4 else (128, directive.cidr6)
        return int(address) >> (bits - length) == int(ip) >> (bits - length)

    def _a(self, directive: Directive, target: str, values: Values, depth: int) -> Lookup[bool]:
        name = _name(target)
        if not name:
            return False
        answer = self._usable((yield from self._ask(name, _FAMILY[values.ip.version])))
        self._void(answer)
        return any(self._in(address, directive, values.ip) for address in answer.records)

    def _mx(self, directive: Directive, target: str, values: Values, depth: int) -> Lookup[bool]:
        name = _name(target)
        if not name:
            return False
        answer = self._usable((yield from self._ask(name, "MX")))
        self._void(answer)
        hosts = sorted(answer.records, key=lambda record: record.preference)
        if len(hosts) > self._limits.mx:
            raise _Ended(Status.PERMERROR, f"{directive.text}: more than {self._limits.mx} MX hosts (RFC 7208 4.6.4)")
        questions = tuple(Question(host.host, _FAMILY[values.ip.version]) for host in hosts if _name(host.host))
        if not questions:
            return False
        for found in (yield questions):
            self.authentic = self.authentic and found.authentic
            if any(self._in(address, directive, values.ip) for address in self._usable(found).records):
                return True
        return False

    def _exists(self, directive: Directive, target: str, values: Values, depth: int) -> Lookup[bool]:
        name = _name(target)
        if not name:
            return False
        # RFC 7208 5.7: an A lookup, whatever the family of the connection.
        answer = self._usable((yield from self._ask(name, "A")))
        self._void(answer)
        return answer.found

    def _names(self, values: Values) -> Lookup[list[str]]:
        """The names of the address that lead back to it (RFC 7208 5.5); DNS trouble means none."""
        answer = yield from self._ask(values.ip.reverse_pointer, "PTR")
        if answer.absent:
            self._void(answer)
        names = [name for name in answer.records[: self._limits.ptr] if _name(name)]
        if not names:
            return []
        answers = yield tuple(Question(_name(name), _FAMILY[values.ip.version]) for name in names)
        return [_name(name) for name, found in zip(names, answers, strict=True) if values.ip in found.records]

    def _ptr(self, directive: Directive, target: str, values: Values, depth: int) -> Lookup[bool]:
        names = yield from self._names(values)
        wanted = _name(target)
        return any(name == wanted or name.endswith("." + wanted) for name in names)

    def _validated_name(self, values: Values) -> Lookup[str]:
        """%{p} (RFC 7208 7.2): the domain itself, else a name below it, else any, else "unknown"."""
        if self._validated is None:
            names = yield from self._names(values)
            domain = values.domain
            below = [name for name in names if name.endswith("." + domain)]
            self._validated = domain if domain in names else below[0] if below else names[0] if names else "unknown"
        return self._validated

    def explanation(self, outcome: _Outcome) -> Lookup[str]:
        """The explanation of a fail (RFC 7208 6.2); any trouble means none."""
        record = outcome.record
        if outcome.status is not Status.FAIL or record is None or record.explanation is None:
            return ""
        values = replace(self._values, domain=outcome.domain)
        try:
            name = _name((yield from self._target(record.explanation, values)))
            if not name:
                return ""
            answer = yield from self._ask(name, "TXT")
            if len(answer.records) != 1:
                return ""
            parts = parse_macro_string(answer.records[0].decode("ascii"), explanation=True)
            if needs_validated(parts):
                values = replace(values, validated=(yield from self._validated_name(values)))
        except (MacroError, UnicodeDecodeError, _Ended):
            return ""
        return expand(parts, values)[: self._limits.explanation]


def plan_check(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    *,
    receiver: str = "unknown",
    now: float = 0.0,
    limits: Limits = Limits(),  # noqa: B008 frozen
) -> Lookup[Result]:
    """The lookup behind `check`: identity MAIL FROM, or HELO when the reverse-path is null (RFC 7208 2.3, 2.4)."""
    address = ip_address(ip) if isinstance(ip, str) else ip
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address  # RFC 7208 5: IPv4 in IPv6 is IPv4
    identity = "mailfrom" if mail_from else "helo"
    localpart, at, domain = (mail_from or helo).rpartition("@")
    sender = mail_from if at and localpart else f"postmaster@{domain}"
    checked = _Check(Values(address, sender, helo, domain, receiver or "unknown", now), limits)
    explanation = ""
    try:
        outcome = yield from checked.host(domain, 0)
        explanation = yield from checked.explanation(outcome)
    except _Ended as ended:
        outcome = _Outcome(ended.status, ended.reason)
    return Result(
        outcome.status,
        outcome.reason,
        identity,
        domain,
        outcome.mechanism,
        explanation,
        checked.lookups,
        checked.void,
        checked.authentic and outcome.status not in (Status.NONE, Status.TEMPERROR),
        tuple(checked.steps),
    )


def _with_trace(traced: Traced[Result]) -> Result:
    return replace(traced.value, trace=traced.steps)


def check(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    *,
    resolver: AnyResolver,
    receiver: str = "unknown",
    now: float = 0.0,
    limits: Limits = Limits(),  # noqa: B008 frozen
) -> Awaitable[Result]:
    """Awaitable verdict of RFC 7208's check_host().  Never raises for what a sender or a zone says."""
    return _Run(run(plan_check(ip, mail_from, helo, receiver=receiver, now=now, limits=limits), resolver))


class _Run:
    """An awaitable that adds the trace; a generator method, so that this file has no await."""

    def __init__(self, running: Any) -> None:
        self._running = running

    def __await__(self) -> Generator[Any, Any, Result]:
        traced: Traced[Result] = yield from self._running.__await__()
        return _with_trace(traced)


def check_sync(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    *,
    resolver: AnyBlockingResolver,
    receiver: str = "unknown",
    now: float = 0.0,
    limits: Limits = Limits(),  # noqa: B008 frozen
) -> Result:
    """`check` without a loop."""
    return _with_trace(run_blocking(plan_check(ip, mail_from, helo, receiver=receiver, now=now, limits=limits), resolver))


