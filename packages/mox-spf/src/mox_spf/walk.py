"""Is a domain's record good for everybody?  Reads it and all it leads to, counts what a check may ask, and warns.

Where check.py stops at the first match or mistake, this goes on, past mistakes and past the limits: it has no client,
so it follows every term.  Terms with macros cannot be followed; they are counted and named.  Each record is read once;
what it costs is remembered."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import NamedTuple

from mox_dns import Answer, Domain, Lookup, Question, Step
from mox_spf import macro
from mox_spf.check import LIMITS, Limits
from mox_spf.findings import Audit, Finding, Severity, Visit
from mox_spf.macro import MacroString, MacroSyntaxError, askable, fitted
from mox_spf.record import Directive, Record, claims_spf, examine

# Records read in one audit, however many are included.
MAX_RECORDS = 100
MAX_FINDINGS = 500
# RFC 7208 3.4: answers over 512 octets may not fit; with the name and the header this is what should remain.
ADVISED_LENGTH = 450
# A network shorter than this lets in hosts of many owners.
WIDEST = {4: 8, 6: 16}
# No receiver outside sees these.  Addresses of documents are not among them, so that examples stay quiet.
_INSIDE = tuple(
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
# TXT records that somebody may have meant as SPF.
_NEARLY = re.compile(rb"[\s\"'\xef\xbb\xbf]*(?:v\s*=\s*)?spf[\s_-]*[0-9]", re.I)


def plan_audit(domain: Domain, limits: Limits = LIMITS) -> Lookup[Audit]:
    """Reads the record of `domain` and all that it leads to, in the order in which a check would."""
    walk = Walk(domain.ascii, limits)
    yield from walk.start()
    return Audit(
        domain.ascii,
        walk.lookups,
        walk.void,
        tuple(dict.fromkeys(walk.networks)),
        tuple(walk.findings),
        tuple(walk.visits),
        walk.temporary,
        tuple(walk.trace),
    )


class Cost(NamedTuple):
    """The most that a check may count in a record and all below it."""

    lookups: int = 0
    void: int = 0

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        return Cost(self.lookups + other.lookups, self.void + other.void)


class Place(NamedTuple):
    """A term of a record."""

    domain: str
    text: str
    term: str = ""
    at: int | None = None


class Walk:
    """Reads records in the order of a check for a client that matches nothing."""

    def __init__(self, domain: str, limits: Limits) -> None:
        self.domain, self.limits = domain, limits
        self.lookups = self.void = 0
        self.networks: list[str] = []
        self.findings: list[Finding] = []
        self.visits: list[Visit] = []
        self.trace: list[Step] = []
        self.temporary = False
        self._costs: dict[str, Cost] = {}
        self._told: set[str] = set()

    def start(self) -> Lookup[None]:
        """The whole walk."""
        yield from self.visit(self.domain, (), Place(self.domain, ""))

    def find(self, severity: Severity, rule: str, place: Place, why: str, section: str = "") -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(severity, rule, place.domain, why, section, place.term, place.at, place.text))

    def ask(self, *questions: Question) -> Lookup[tuple[Answer, ...]]:
        answers = yield questions
        self.trace.extend(map(Step, questions, answers))
        return answers

    def count(self, cost: Cost, place: Place) -> None:
        """RFC 7208 4.6.4; tells of the term that is one too many."""
        self.lookups += cost.lookups
        self.void += cost.void
        for rule, count, most, what in (
            ("lookups", self.lookups, self.limits.lookups, "terms ask DNS"),
            ("void", self.void, self.limits.void, "terms find nothing"),
        ):
            if count > most and rule not in self._told:
                self._told.add(rule)
                self.find(Severity.ERROR, rule, place, f"from here on more than {most} {what}: permerror", "4.6.4")

    # a record

    def visit(self, domain: str, above: tuple[str, ...], via: Place, section: str = "") -> Lookup[Cost]:
        """One domain's record, and what it leads to; `via` is what led here."""
        if domain in above:
            self.find(Severity.ERROR, "loop", via, "leads back to itself", "4.6.4")
            # A check goes round until its limit ends it.
            self.count(Cost(self.limits.lookups + 1), via)
            return Cost(self.limits.lookups + 1)
        if domain in self._costs:
            self.count(self._costs[domain], via)
            return self._costs[domain]
        if len(self._costs) >= MAX_RECORDS:
            self.find(Severity.ERROR, "too-many", via, f"not followed: more than {MAX_RECORDS} records")
            return Cost()
        self._costs[domain] = Cost()
        (answer,) = yield from self.ask(Question(domain, "TXT"))
        raw = self.text(answer, domain, via, section)
        if raw is None:
            return Cost()
        number = len(self.visits)
        text = raw.decode("latin-1")
        self.visits.append(Visit(len(above), domain, via.term, text, 0, 0))
        cost = yield from self.record(domain, text, above)
        self._costs[domain] = cost
        self.visits[number] = self.visits[number]._replace(lookups=cost.lookups, void=cost.void)
        return cost

    def text(self, answer: Answer, domain: str, via: Place, section: str) -> bytes | None:
        """The one record of a domain (RFC 7208 4.4, 4.5); notes why there is not one."""
        if answer.failed:
            self.temporary = True
            self.find(Severity.WARNING, "dns", via, f"no answer for {answer.question}: {answer.status}", "4.4")
            return None
        found: list[bytes] = [text for text in answer.records if claims_spf(text)]
        if len(found) == 1:
            return found[0]
        if found:
            why = f"{len(found)} SPF records where one is allowed"
            self.find(Severity.ERROR, "several-records", Place(domain, ""), why, "4.5")
            return None
        for text in answer.records:
            if _NEARLY.match(text):
                near = Place(domain, text.decode("latin-1"), "", 0)
                self.find(Severity.WARNING, "no-version", near, "does not begin with v=spf1, so it is no record", "4.5")
        self.find(Severity.ERROR, "no-record", via, f"{domain} has no SPF record", section or "4.5")
        return None

    def record(self, domain: str, text: str, above: tuple[str, ...]) -> Lookup[Cost]:
        record, mistakes = examine(text)
        for mistake in mistakes:
            term = text[text.rfind(" ", 0, mistake.at) + 1 :].partition(" ")[0]
            self.find(Severity.ERROR, "syntax", Place(domain, text, term, mistake.at), mistake.why, "4.6")
        self.advise(record, domain, text, included=bool(above))
        cost, ended, seen = Cost(), False, set[str]()
        for directive in record.directives:
            place = Place(domain, text, directive.text, directive.at)
            if ended:
                self.find(Severity.NOTE, "unreachable", place, "behind all, so nobody looks at it", "5.1")
            elif str(directive) in seen:
                self.find(Severity.NOTE, "twice", place, "stands here a second time")
            ended = ended or directive.mechanism == "all"
            seen.add(str(directive))
            if not ended:
                cost += yield from self.directive(directive, place, above)
        if record.redirect is not None:
            place = self.modifier(domain, text, "redirect")
            if ended:
                self.find(Severity.NOTE, "unreachable", place, "means nothing beside all", "6.1")
            else:
                self.count(Cost(1), place)
                cost += Cost(1)
                cost += yield from self.follow(record.redirect, place, above, "6.1")
        if record.explanation is not None:
            yield from self.explanation(record.explanation, self.modifier(domain, text, "exp"))
        return cost

    def modifier(self, domain: str, text: str, name: str) -> Place:
        """Where a modifier stands."""
        found = re.search(rf" ({name}=[^ ]*)", text, re.I)
        return Place(domain, text, found[1], found.start(1)) if found else Place(domain, text)

    def advise(self, record: Record, domain: str, text: str, *, included: bool) -> None:
        """What can be seen in the record alone."""
        whole = Place(domain, text)
        if len(text) > ADVISED_LENGTH:
            why = f"{len(text)} octets; over {ADVISED_LENGTH} some answers do not fit a datagram"
            self.find(Severity.NOTE, "long", whole, why, "3.4")
        for name, value in record.others:
            place = self.modifier(domain, text, re.escape(name))
            self.find(Severity.NOTE, "unknown-modifier", place, f"{name}={value} means nothing", "6")
        ending = next((one for one in record.directives if one.mechanism == "all"), None)
        if ending is None:
            if not included and record.redirect is None:
                why = "no all and no redirect: whoever is not named is neutral"
                self.find(Severity.WARNING, "no-ending", whole, why, "4.7")
            return
        place = Place(domain, text, ending.text, ending.at)
        if ending.qualifier == "pass":
            self.find(Severity.ERROR, "pass-all", place, "everybody may send for this domain", "5.1")
        elif ending.qualifier == "neutral" and not included:
            self.find(Severity.WARNING, "neutral-all", place, "whoever is not named is neutral", "8.2")

    # terms

    def directive(self, directive: Directive, place: Place, above: tuple[str, ...]) -> Lookup[Cost]:
        """Counts a term, and follows it."""
        if directive.block is not None:
            self.network(directive, place)
            return Cost()
        self.count(Cost(1), place)
        cost = Cost(1)
        if directive.mechanism == "ptr":
            self.find(Severity.WARNING, "ptr", place, "ptr is slow and unreliable, and SHOULD NOT be used", "5.5")
        elif directive.mechanism == "include":
            assert directive.spec is not None, "the grammar wants one"
            cost += yield from self.follow(directive.spec, place, above, "5.2")
        elif directive.mechanism in ("a", "mx"):
            cost += yield from self.hosts(directive, place)
        elif directive.spec is not None and directive.spec.constant is not None:
            self.find(Severity.NOTE, "constant-exists", place, "without a macro it is the same for everybody", "5.7")
        return cost

    def network(self, directive: Directive, place: Place) -> None:
        network = directive.network
        assert network is not None
        if directive.qualifier != "pass":
            return
        self.networks.append(str(network))
        if network.prefixlen < WIDEST[network.version]:
            self.find(Severity.WARNING, "wide", place, "lets in a large part of the network", "5.6")
        elif any(network.version == one.version and network.subnet_of(one) for one in _INSIDE):  # type: ignore[arg-type]
            self.find(Severity.NOTE, "not-global", place, "no public address, so no receiver elsewhere sees it")

    def follow(self, spec: MacroString, place: Place, above: tuple[str, ...], section: str) -> Lookup[Cost]:
        """The record that an include or a redirect leads to."""
        if spec.constant is None:
            self.find(Severity.NOTE, "macro", place, "depends on the message, so it was not followed", "7")
            return Cost()
        target = askable(fitted(spec.constant))
        if "." not in target:
            self.find(Severity.ERROR, "no-name", place, "leads to no domain", section)
            return Cost()
        return (yield from self.visit(target, (*above, place.domain), place, section))

    def hosts(self, directive: Directive, place: Place) -> Lookup[Cost]:
        """The addresses of an a or mx (RFC 7208 5.3, 5.4)."""
        spec = directive.spec
        if spec is not None and spec.constant is None:
            self.find(Severity.NOTE, "macro", place, "depends on the message, so it was not followed", "7")
            return Cost()
        name = place.domain if spec is None else askable(fitted(spec.constant or ""))
        if not name:
            self.find(Severity.WARNING, "no-name", place, "can be no name, so it never matches", "4.8")
            return Cost()
        names = [name]
        if directive.mechanism == "mx":
            (answer,) = yield from self.ask(Question(name, "MX"))
            if len(answer.records) > self.limits.mx:
                why = f"{len(answer.records)} hosts, {self.limits.mx} are allowed"
                self.find(Severity.ERROR, "mx-hosts", place, why, "4.6.4")
            names = [host for mx in answer.records[: self.limits.mx] if (host := askable(mx.host))]
            if not names:
                return self.nothing((answer,), place)
        answers = yield from self.ask(*[Question(host, type) for host in names for type in ("A", "AAAA")])
        if directive.qualifier == "pass":
            for one in answers:
                length = directive.cidr4 if one.question.type == "A" else directive.cidr6
                self.networks += [f"{address}/{length}" for address in one.records]
        return Cost() if any(one.found for one in answers) else self.nothing(answers, place)

    def nothing(self, answers: tuple[Answer, ...], place: Place) -> Cost:
        """A term that finds nothing."""
        if failed := [answer for answer in answers if answer.failed]:
            self.temporary = True
            self.find(Severity.WARNING, "dns", place, f"no answer for {failed[0].question}: {failed[0].status}", "5")
            return Cost()
        self.find(Severity.WARNING, "finds-nothing", place, "finds nothing", "4.6.4")
        self.count(Cost(0, 1), place)
        return Cost(0, 1)

    def explanation(self, spec: MacroString, place: Place) -> Lookup[None]:
        """RFC 7208 6.2: what is wrong with it makes it silent."""
        if spec.constant is None:
            return
        name = askable(fitted(spec.constant))
        if not name:
            self.find(Severity.WARNING, "explanation", place, "can be no name, so nothing is explained", "6.2")
            return
        (answer,) = yield from self.ask(Question(name, "TXT"))
        if answer.failed:
            self.temporary = True
            self.find(Severity.WARNING, "dns", place, f"no answer for {answer.question}: {answer.status}", "6.2")
        elif len(answer.records) != 1:
            why = f"{name} has {len(answer.records)} TXT records where one is wanted, so nothing is explained"
            self.find(Severity.WARNING, "explanation", place, why, "6.2")
        else:
            text = answer.records[0].decode("latin-1")
            try:
                macro.parse(text, explanation=True)
            except MacroSyntaxError as error:
                self.find(Severity.WARNING, "explanation", Place(name, text, "", error.at), error.why, "6.2")
