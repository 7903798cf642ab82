"""May this host send mail for this domain?  check_host() of RFC 7208 4, as a lookup.

Whatever a sender or a zone says leads to a Result.  Limits are counted over all records together (4.6.4).  Of terms
that are judged, each leaves a Step with the DNS answers it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from mox_dns import Answer, Domain, DomainSyntaxError, IpAddress, Lookup, Question
from mox_dns import Status as DnsStatus
from mox_spf import macro
from mox_spf.macro import MacroString, MacroSyntaxError, Values
from mox_spf.record import Directive, Record, RecordSyntaxError, claims_spf


class Status(StrEnum):
    """The results of RFC 7208 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Limits:
    """RFC 7208 4.6.4 and 11.1.  Raises ValueError for `lookups` over 100: each may be a level deeper."""

    lookups: int = 10  # terms that ask DNS
    void: int = 2  # terms whose question finds nothing
    mx: int = 10  # hosts of one mx; more is a permerror
    ptr: int = 10  # names of one address; more are ignored
    explanation: int = 500  # characters of an explanation; more are cut

    def __post_init__(self) -> None:
        if self.lookups > 100:
            raise ValueError("more than 100 lookups are no limit")


LIMITS = Limits()


class Step(NamedTuple):
    """What became of one term: how deep among included records, in whose record, and what DNS said for it.

    `lookups` and `void` are the counts after it."""

    depth: int
    domain: str
    term: str
    outcome: str
    lookups: int
    void: int
    answers: tuple[Answer, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.lookups} lookups, {self.void} void"
        return f"{'  ' * self.depth}{self.domain}: {self.term} -> {self.outcome} ({counts})"


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict, and how it came.

    `reason` is ours.  `explanation` is text of the sender's domain for a fail: printable ASCII, but foreign; show it as
    such.  `mechanism` is the term that decided, as written; empty where none did.  `problem` says what a permerror or
    temperror is about.  `authentic`: DNSSEC vouches for every answer that was used."""

    status: Status
    reason: str
    identity: str = "mailfrom"  # or "helo"
    domain: str = ""
    mechanism: str = ""
    explanation: str = ""
    problem: str = ""
    lookups: int = 0
    void_lookups: int = 0
    authentic: bool = False
    trace: tuple[Step, ...] = ()

    def explain(self) -> str:
        """The verdict and each step, a line each, with the DNS answers below their step."""
        lines = [f"spf={self.status} {self.identity}={self.domain}: {self.reason}"]
        for step in self.trace:
            lines.append(f"  {step}")
            lines += [f"  {'  ' * step.depth}  DNS {_shown(answer)}" for answer in step.answers]
        if self.explanation:
            lines.append(f"  the domain says: {self.explanation}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "identity": self.identity,
            "domain": self.domain,
            "mechanism": self.mechanism,
            "explanation": self.explanation,
            "problem": self.problem,
            "lookups": self.lookups,
            "void_lookups": self.void_lookups,
            "authentic": self.authentic,
            "trace": [
                {**step._asdict(), "answers": [_shown(answer) for answer in step.answers]} for step in self.trace
            ],
        }


def _shown(answer: Answer) -> str:
    found = ", ".join(r.decode("latin-1") if isinstance(r, bytes) else str(r) for r in answer.records)
    return f"{answer.question} -> {found if answer.found else answer.status.value}"


def plan_check(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    *,
    receiver: str = "",
    now: float,
    limits: Limits = LIMITS,
) -> Lookup[Result]:
    """Judges `mail_from`, or `helo` where that is empty, the null reverse-path (RFC 7208 2.4).

    `ip`: the client's address.  `receiver` and `now` (seconds since 1970) are for explanations only.  Raises ValueError
    if `ip` is a text that is no address."""
    address = ip_address(ip) if isinstance(ip, str) else ip
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # RFC 7208 5: then ip4 is what matches
    identity = "mailfrom" if mail_from else "helo"
    local_part, _, written = (mail_from or helo).rpartition("@")
    domain = _sender_domain(written)
    # RFC 7208 4.3: no local part is "postmaster".
    sender = f"{local_part or 'postmaster'}@{domain or written}"
    evaluation = _Evaluation(Values(address, sender, helo, domain, receiver, now), limits)
    found = yield from evaluation.result(domain)
    return Result(
        found.status,
        found.reason,
        identity,
        domain or written,
        found.mechanism,
        found.explanation,
        found.reason if found.status in (Status.PERMERROR, Status.TEMPERROR) else "",
        evaluation.lookups,
        evaluation.void,
        evaluation.authentic,
        tuple(evaluation.steps),
    )


def _sender_domain(text: str) -> str:
    """The name in A-form (RFC 7208 4.3), or "" if there can be no such domain or it has one label only."""
    try:
        name = Domain.parse(text).ascii
    except DomainSyntaxError:
        name = "" if text.startswith("[") else askable(text)
    return name if "." in name else ""


def askable(text: str) -> str:
    """The name, lower case without final dot, if DNS can be asked for it; else "".

    Macros make names that no host has, so any printable octet will do."""
    name = text.removesuffix(".").lower()
    if not name.isascii() or not name.isprintable() or len(name) > macro.MAX_NAME:
        return ""
    if ".." in name or name[:1] in ("", ".") or (len(name) > 63 and max(map(len, name.split("."))) > 63):
        return ""
    return name


class _StoppedError(Exception):
    """permerror and temperror end the whole evaluation, however deep."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Found(NamedTuple):
    """What check_host() returns for one domain."""

    status: Status
    reason: str
    mechanism: str = ""
    domain: str = ""
    record: Record | None = None
    explanation: str = ""


class _Evaluation:
    """One call of check_host() and those within it."""

    __slots__ = (
        "_asked", "_doubts", "_names", "_number", "_version",
        "authentic", "limits", "lookups", "steps", "values", "void",
    )  # fmt: skip

    def __init__(self, values: Values, limits: Limits) -> None:
        self.values, self.limits = values, limits
        self.lookups = self.void = 0
        self.steps: list[Step] = []
        self.authentic = True
        self._version, self._number = values.ip.version, int(values.ip)
        self._asked: list[Answer] = []
        self._doubts: list[Question] = []
        self._names: tuple[str, ...] | None = None

    def result(self, domain: str) -> Lookup[_Found]:
        """The result for the sender's domain, with its explanation."""
        try:
            found = yield from self.check_host(domain, 0)
        except _StoppedError as stopped:
            return _Found(stopped.status, stopped.reason)
        if found.status is Status.FAIL and found.record is not None and found.record.explanation is not None:
            text = yield from self.explanation(found.record.explanation, found.domain)
            return found._replace(explanation=text)
        return found

    # check_host() and the record, RFC 7208 4

    def check_host(self, domain: str, depth: int) -> Lookup[_Found]:
        """RFC 7208 4.3 to 4.7 for one domain."""
        if "." not in domain:
            self.authentic = False
            return _Found(Status.NONE, "the identity has no domain that could have a record")
        (answer,) = yield from self.ask((Question(domain, "TXT"),))
        if answer.failed:
            raise self.stop(Status.TEMPERROR, f"no answer for {domain} TXT: {answer.status}", domain, depth)
        records = [text for text in answer.records if claims_spf(text)]
        if not records:
            self.note(depth, domain, "TXT", "no SPF record")
            return _Found(Status.NONE, f"{domain} has no SPF record")
        if len(records) > 1:
            # RFC 7208 4.5
            raise self.stop(Status.PERMERROR, f"{domain} has {len(records)} SPF records", domain, depth)
        try:
            record = Record.parse(records[0])
        except RecordSyntaxError as error:
            why = f"the record of {domain} is wrong at character {error.at + 1}: {error.why}"
            raise self.stop(Status.PERMERROR, why, domain, depth) from None
        self.note(depth, domain, "TXT", "a record")
        return (yield from self.record(record, domain, depth))

    def record(self, record: Record, domain: str, depth: int) -> Lookup[_Found]:
        """The terms from left to right, then redirect (RFC 7208 4.6, 4.7, 6.1)."""
        for directive in record.directives:
            mechanism = directive.mechanism
            if mechanism in ("ip4", "ip6"):
                matched = directive.covers(self._version, self._number)
            elif mechanism == "all":
                matched = True
            else:
                matched = yield from self.term(directive, domain, depth)
            self.note(depth, domain, directive.text, directive.qualifier if matched else "no match")
            if matched:
                reason = f"{self.values.ip} matches {directive.text} in the record of {domain}"
                return _Found(Status(directive.qualifier), reason, directive.text, domain, record)
        if record.redirect is not None:
            return (yield from self.redirect(record.redirect, domain, depth))
        return _Found(Status.NEUTRAL, f"nothing in the record of {domain} matches {self.values.ip}", "", domain, record)

    def redirect(self, spec: MacroString, domain: str, depth: int) -> Lookup[_Found]:
        """RFC 7208 6.1: the target's result is ours, except that no record is a permerror."""
        term = f"redirect={spec}"
        self.count(term, domain, depth)
        target = askable((yield from self.name(spec, domain)))
        self.note(depth, domain, term, f"go on with {target}")
        found = yield from self.check_host(target, depth + 1)
        if found.status is Status.NONE:
            raise self.stop(Status.PERMERROR, f"{term} of {domain}: {found.reason}", domain, depth)
        return found

    def term(self, directive: Directive, domain: str, depth: int) -> Lookup[bool]:
        """A mechanism that asks DNS (RFC 7208 5)."""
        self.count(directive.text, domain, depth)
        target = domain
        if directive.spec is not None:
            # RFC 7208 4.8: macros stand in the domain-spec of every mechanism.
            target = askable((yield from self.name(directive.spec, domain)))
            if not target:
                # 4.8 leaves open what a name is that cannot be; as a name that does not exist, it does not match.
                if directive.mechanism == "include":
                    why = f"{directive.text} of {domain} leads to no domain"
                    raise self.stop(Status.PERMERROR, why, domain, depth)
                return False
        try:
            return (yield from _MECHANISMS[directive.mechanism](self, directive, target, depth))
        except _StoppedError as stopped:
            if self._asked:
                self.note(depth, domain, directive.text, stopped.status.value)
            raise

    # the mechanisms, RFC 7208 5.2 to 5.7

    def include(self, directive: Directive, target: str, depth: int) -> Lookup[bool]:
        """RFC 7208 5.2: only a pass matches; no record is a permerror."""
        found = yield from self.check_host(target, depth + 1)
        if found.status is Status.NONE:
            raise _StoppedError(Status.PERMERROR, f"{directive.text}: {found.reason}")
        return found.status is Status.PASS

    def a(self, directive: Directive, target: str, depth: int) -> Lookup[bool]:
        """RFC 7208 5.3."""
        answer = yield from self.addresses(target)
        return self.near(answer, directive)

    def mx(self, directive: Directive, target: str, depth: int) -> Lookup[bool]:
        """RFC 7208 5.4: hosts are asked side by side, up to the limit; one that matches makes up for the others."""
        (answer,) = yield from self.needed((Question(target, "MX"),))
        if answer.absent:
            yield from self.count_void(directive.text)
            return False
        by_preference = sorted(answer.records, key=lambda mx: mx.preference)[: self.limits.mx]
        hosts = [host for mx in by_preference if (host := askable(mx.host))]
        if not hosts:
            return False
        found = yield from self.ask(tuple([Question(host, self.family) for host in hosts]))
        if any(self.near(one, directive) for one in found):
            return True
        for one in found:
            if one.failed:
                raise _StoppedError(Status.TEMPERROR, f"no answer for {one.question}: {one.status}")
        if len(answer.records) > self.limits.mx:
            # 4.6.4: the host after the last that may be asked.
            raise _StoppedError(Status.PERMERROR, f"{directive.text} has more than {self.limits.mx} hosts")
        return False

    def ptr(self, directive: Directive, target: str, depth: int) -> Lookup[bool]:
        """RFC 7208 5.5: a validated name of the client is the target or below it."""
        names = yield from self.names()
        wanted = tuple([name for name in names if name == target or name.endswith("." + target)])
        return bool((yield from self.validated(wanted)))

    def exists(self, directive: Directive, target: str, depth: int) -> Lookup[bool]:
        """RFC 7208 5.7: an A question, whatever the family of the client."""
        (answer,) = yield from self.needed((Question(target, "A"),))
        if answer.absent:
            yield from self.count_void(directive.text)
        return answer.found

    # names and addresses

    @property
    def family(self) -> str:
        """The type of address records that could match."""
        return "AAAA" if self._version == 6 else "A"

    def addresses(self, name: str) -> Lookup[Answer]:
        """The name's addresses of the client's family; counts a void lookup if it has none of either.

        Deviation RFC 7208 4.6.4: a host without an address of this family is not void if it has one of the other, or
        most records would be permerrors for every client with IPv6."""
        (answer,) = yield from self.needed((Question(name, self.family),))
        if answer.absent:
            other = Question(name, "A" if self._version == 6 else "AAAA")
            yield from self.count_void(str(answer.question), other if answer.status is DnsStatus.NODATA else None)
        return answer

    def near(self, answer: Answer, directive: Directive) -> bool:
        """Is the client within the directive's prefix of one of the addresses?"""
        shift = 128 - directive.cidr6 if self._version == 6 else 32 - directive.cidr4
        ours = self._number >> shift
        return any(int(address) >> shift == ours for address in answer.records)

    def names(self) -> Lookup[tuple[str, ...]]:
        """The client's names, not yet validated.  RFC 7208 5.5: if DNS fails, there are none."""
        if self._names is None:
            (answer,) = yield from self.ask((Question(self.values.ip.reverse_pointer, "PTR"),))
            if answer.absent:
                yield from self.count_void(str(answer.question))
            # 4.6.4: those beyond the limit are ignored.
            self._names = tuple([name for one in answer.records[: self.limits.ptr] if (name := askable(one))])
        return self._names

    def validated(self, names: tuple[str, ...]) -> Lookup[list[str]]:
        """Those of the names that have the client's address."""
        if not names:
            return []
        answers = yield from self.ask(tuple([Question(name, self.family) for name in names]))
        return [name for name, answer in zip(names, answers, strict=True) if self.values.ip in answer.records]

    def name(self, spec: MacroString, domain: str) -> Lookup[str]:
        """The name that a domain-spec stands for in the record of `domain`."""
        if spec.constant is not None:
            return spec.constant
        return spec.name((yield from self.values_for(spec, domain)))

    def values_for(self, text: MacroString, domain: str) -> Lookup[Values]:
        """What the letters stand for in the record of `domain`."""
        values = replace(self.values, domain=domain)
        if "p" not in text.letters:
            return values
        # RFC 7208 7.2: the domain itself before names below it before any other.
        names = yield from self.names()
        good = yield from self.validated(names)
        below = [name for name in good if name.endswith("." + domain)]
        return replace(values, validated=domain if domain in good else (below or good or ["unknown"])[0])

    def explanation(self, spec: MacroString, domain: str) -> Lookup[str]:
        """RFC 7208 6.2: whatever goes wrong means no explanation.  Its questions are not counted (4.6.4)."""
        try:
            name = askable((yield from self.name(spec, domain)))
            if not name:
                return ""
            (answer,) = yield from self.ask((Question(name, "TXT"),))
            if len(answer.records) != 1:
                return ""
            text = macro.parse(answer.records[0].decode("ascii"), explanation=True)
            said = text.expand((yield from self.values_for(text, domain)))
        except (_StoppedError, MacroSyntaxError, UnicodeDecodeError):
            return ""
        finally:
            self.note(0, domain, f"exp={spec}", "the explanation")
        # The sender's local part may be anything.
        return "".join(["?" if not " " <= char <= "~" else char for char in said[: self.limits.explanation]])

    # questions and counting

    def ask(self, questions: tuple[Question, ...]) -> Lookup[tuple[Answer, ...]]:
        """Answers side by side, remembered for the next step."""
        answers = yield questions
        self._asked += answers
        for answer in answers:
            if not answer.authentic:
                self.authentic = False
        return answers

    def needed(self, questions: tuple[Question, ...]) -> Lookup[tuple[Answer, ...]]:
        """As `ask`; a failure is a temperror (RFC 7208 5)."""
        answers = yield from self.ask(questions)
        for answer in answers:
            if answer.failed:
                raise _StoppedError(Status.TEMPERROR, f"no answer for {answer.question}: {answer.status}")
        return answers

    def count(self, term: str, domain: str, depth: int) -> None:
        """RFC 7208 4.6.4: terms that ask DNS."""
        self.lookups += 1
        if self.lookups > self.limits.lookups:
            why = f"{term} of {domain} is one more than the {self.limits.lookups} terms that may ask DNS"
            raise self.stop(Status.PERMERROR, why, domain, depth)

    def count_void(self, what: str, doubt: Question | None = None) -> Lookup[None]:
        """RFC 7208 4.6.4, last paragraph.  Not void after all if `doubt` has an answer, asked where it matters."""
        self.void += 1
        if doubt is not None:
            self._doubts.append(doubt)
        if self.void > self.limits.void and self._doubts:
            answers = yield from self.ask(tuple(self._doubts))
            self.void -= len([answer for answer in answers if answer.found])
            self._doubts.clear()
        if self.void > self.limits.void:
            why = f"{what} finds nothing, which is one more than the {self.limits.void} void lookups allowed"
            raise _StoppedError(Status.PERMERROR, why)

    def note(self, depth: int, domain: str, term: str, outcome: str) -> None:
        """A step, with the answers since the last one."""
        self.steps.append(Step(depth, domain, term, outcome, self.lookups, self.void, tuple(self._asked)))
        if self._asked:
            self._asked = []

    def stop(self, status: Status, reason: str, domain: str, depth: int) -> _StoppedError:
        """Notes why, and makes the exception."""
        self.note(depth, domain, status.value, reason)
        return _StoppedError(status, reason)


_MECHANISMS: dict[str, Callable[[_Evaluation, Directive, str, int], Lookup[bool]]] = {
    "include": _Evaluation.include,
    "a": _Evaluation.a,
    "mx": _Evaluation.mx,
    "ptr": _Evaluation.ptr,
    "exists": _Evaluation.exists,
}
