"""May this host send mail for this domain?  check_host() of RFC 7208 4, as a lookup.

Whatever a sender or a zone says leads to a Result.  Limits are counted over all records together (4.6.4).  Of terms
that are judged, each leaves a Step with the DNS answers it had."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from mox_dns import Answer, Domain, DomainSyntaxError, IpAddress, Lookup, Question, plain_address
from mox_dns import Status as DnsStatus
from mox_spf import macro
from mox_spf.macro import MacroString, MacroSyntaxError, Values, askable
from mox_spf.record import Directive, Record, RecordSyntaxError, Stretch, read
from mox_spf.result import SECTIONS, SILENCE, Entry, ForeignText, Result, Status


@dataclass(frozen=True, slots=True)
class Limits:
    """RFC 7208 4.6.4 and 11.1.  Raises ValueError for less than none, and for `lookups` over 100: each may be a level
    deeper."""

    lookups: int = 10  # terms that ask DNS
    void: int = 2  # terms whose question finds nothing
    mx: int = 10  # hosts of one mx; more is a permerror
    ptr: int = 10  # names of one address; more are ignored
    explanation: int = 500  # characters of an explanation; more are cut
    seconds: float = 20.0  # for all of a check; more is a temperror

    def __post_init__(self) -> None:
        if min(self.lookups, self.void, self.mx, self.ptr, self.explanation, self.seconds) < 0:
            raise ValueError("a limit is 0 or more")
        if self.lookups > 100:
            raise ValueError("more than 100 lookups are no limit")


LIMITS = Limits()


def plan_check(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    *,
    receiver: str = "",
    now: float,
    limits: Limits = LIMITS,
    clock: Callable[[], float] | None = None,
) -> Lookup[Result]:
    """Judges `mail_from`, or `helo` where that is empty, the null reverse-path (RFC 7208 2.3, 2.4).

    `ip`: the client's address.  `receiver` and `now` (seconds since 1970) are for explanations only.  `clock` gives
    seconds; where there is one, it is looked at before each round of questions, and `limits.seconds` is kept.  Raises
    ValueError if `ip` is a text that is no address."""
    address = (IPv6Address(ip) if ":" in ip else IPv4Address(ip)) if isinstance(ip, str) else ip
    if address.version == 6:
        address = plain_address(address)  # RFC 7208 5: of a mapped address it is ip4 that matches
    identity = "mailfrom" if mail_from else "helo"
    local_part, _, written = (mail_from or helo).rpartition("@")
    domain = _sender_domain(written)
    # RFC 7208 4.3: no local part is "postmaster".
    sender = f"{local_part or 'postmaster'}@{domain or written}"
    evaluation = _Evaluation(address, (sender, helo, receiver, now), limits, clock)
    found = yield from evaluation.result(domain)
    reason = found.reason
    if found.directive is not None:
        # The text of an IPv4 address can be written in one way only.
        shown = ip if isinstance(ip, str) and address.version == 4 and ":" not in ip else str(address)
        reason = f"{shown} matches {found.directive.text} in the record of {found.domain}"
    elif not reason:
        reason = f"nothing in the record of {found.domain} matches {address}"
    return Result(
        found.status,
        reason,
        identity,
        domain or written[: macro.MAX_NAME],
        found.directive.text if found.directive is not None else "",
        found.explanation,
        reason if found.status in (Status.PERMERROR, Status.TEMPERROR) else "",
        evaluation.lookups,
        evaluation.void,
        evaluation.authentic,
        tuple(evaluation.entries),
    )


# A name of two labels or more that is already as it is asked for; A-labels want a closer look.
_PLAIN_NAME = re.compile(r"(?!xn--)[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?!xn--)[a-z0-9]+(?:-[a-z0-9]+)*)+\Z")


def _sender_domain(text: str) -> str:
    """The name in A-form (RFC 7208 4.3), or "" if there can be no such domain or it has one label only."""
    if len(text) <= 64 and _PLAIN_NAME.match(text):  # so short that no label is too long
        return text
    try:
        name = Domain.parse(text).ascii
    except DomainSyntaxError:
        name = "" if text.startswith("[") else askable(text)
    return name if "." in name else ""


class _StoppedError(Exception):
    """permerror and temperror end the whole evaluation, however deep."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Found(NamedTuple):
    """What check_host() returns for one domain.  `reason` is empty where `directive` or its absence says it all."""

    status: Status
    reason: str
    domain: str = ""
    directive: Directive | None = None
    record: Record | None = None
    explanation: ForeignText = SILENCE


_STATUS = {status.value: status for status in Status}


class _Evaluation:
    """One call of check_host() and those within it."""

    __slots__ = (
        "_asked", "_clock", "_doubts", "_names", "_number", "_said", "_until", "_version",
        "authentic", "entries", "ip", "limits", "lookups", "void",
    )  # fmt: skip

    def __init__(
        self,
        ip: IpAddress,
        said: tuple[str, str, str, float],
        limits: Limits,
        clock: Callable[[], float] | None,
    ) -> None:
        self.ip, self.limits = ip, limits
        self._said = said  # sender, helo, receiver, now: only macros want them
        self.lookups = self.void = 0
        self.entries: list[Entry] = []
        self.authentic = True
        self._clock, self._until = clock, clock() + limits.seconds if clock is not None else 0.0
        self._version, self._number = ip.version, int(ip)
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
            return found._replace(explanation=ForeignText(text, found.domain) if text else SILENCE)
        return found

    # check_host() and the record, RFC 7208 4

    def check_host(self, domain: str, depth: int) -> Lookup[_Found]:
        """RFC 7208 4.3 to 4.7 and 6.1 for one domain: the terms from left to right, then redirect."""
        if "." not in domain:
            self.authentic = False
            return _Found(Status.NONE, "the identity has no domain that could have a record")
        if self._clock is not None and self._clock() > self._until:
            raise self.late()
        (answer,) = yield (Question(domain, "TXT"),)
        record = self.choose(answer, domain, depth)
        if record is None:
            return _Found(Status.NONE, f"{domain} has no SPF record")
        for stretch in record.stretches:
            index = self.inside(stretch)
            if stretch.start < index:
                passed = depth, domain, record.directives, stretch.start, index, self.lookups, self.void
                self.entries.append(passed)
            if index < stretch.end:
                return self.matched(record.directives[index], record, domain, depth)
            directive = stretch.then
            if directive is None:
                break
            if directive.mechanism == "all":  # RFC 7208 5.1
                return self.matched(directive, record, domain, depth)
            self.count(directive.text, domain, depth)
            if directive.mechanism == "include" and stretch.target:
                matched = self.included((yield from self.check_host(stretch.target, depth + 1)), directive)
            else:
                matched = yield from self.term(directive, stretch.target, domain, depth)
            if matched:
                return self.matched(directive, record, domain, depth)
            self.note(depth, domain, directive.text, "no match", SECTIONS[directive.mechanism])
        if record.redirect is not None:
            return (yield from self.redirect(record.redirect, domain, depth))
        return _Found(Status.NEUTRAL, "", domain, None, record)  # RFC 7208 4.7

    def choose(self, answer: Answer, domain: str, depth: int) -> Record | None:
        """The one record of an answer (RFC 7208 4.4 to 4.6).  Its strings are joined without spaces (RFC 7208 3.3)."""
        self._asked.append(answer)
        if not answer.authentic:
            self.authentic = False
        if answer.failed:
            raise self.stop(Status.TEMPERROR, f"no answer for {domain} TXT: {answer.status}", domain, depth, "4.4")
        records = [found for text in answer.records if (found := read(text)) is not None]
        if not records:
            self.note(depth, domain, "TXT", "no SPF record", "4.5")
            return None
        if len(records) > 1:
            raise self.stop(Status.PERMERROR, f"{domain} has {len(records)} SPF records", domain, depth, "4.5")
        record = records[0]
        if isinstance(record, RecordSyntaxError):
            why = f"the record of {domain} is wrong at character {record.at + 1}: {record.why}"
            raise self.stop(Status.PERMERROR, why, domain, depth, "4.6")
        self.note(depth, domain, "TXT", "a record", "4.5")
        return record

    def inside(self, stretch: Stretch) -> int:
        """Which of the networks has the client, by its index; the end of the stretch if none (RFC 7208 5.6)."""
        number = self._number
        for shift, prefix, index in stretch.v4 if self._version == 4 else stretch.v6:
            if number >> shift == prefix:
                return index
        return stretch.end

    def matched(self, directive: Directive, record: Record, domain: str, depth: int) -> _Found:
        """RFC 7208 4.6.2: the qualifier is the result."""
        self.note(depth, domain, directive.text, directive.qualifier, SECTIONS[directive.mechanism])
        return _Found(_STATUS[directive.qualifier], "", domain, directive, record)

    def redirect(self, spec: MacroString, domain: str, depth: int) -> Lookup[_Found]:
        """RFC 7208 6.1: the target's result is ours, except that no record is a permerror."""
        term = f"redirect={spec}"
        self.count(term, domain, depth)
        target = askable((yield from self.name(spec, domain)))
        self.note(depth, domain, term, f"go on with {target}", "6.1")
        found = yield from self.check_host(target, depth + 1)
        if found.status is Status.NONE:
            raise self.stop(Status.PERMERROR, f"{term} of {domain}: {found.reason}", domain, depth, "6.1")
        return found

    def term(self, directive: Directive, target: str | None, domain: str, depth: int) -> Lookup[bool]:
        """A mechanism that asks DNS (RFC 7208 5)."""
        if target is None:
            target = domain
            if directive.spec is not None:
                # RFC 7208 4.8: macros stand in the domain-spec of every mechanism.
                target = askable((yield from self.name(directive.spec, domain)))
        if not target:
            # 4.8 leaves open what a name is that cannot be; as a name that does not exist, it does not match.
            if directive.mechanism == "include":
                why = f"{directive.text} of {domain} leads to no domain"
                raise self.stop(Status.PERMERROR, why, domain, depth, "5.2")
            return False
        if directive.mechanism == "include":
            return self.included((yield from self.check_host(target, depth + 1)), directive)
        try:
            return (yield from _MECHANISMS[directive.mechanism](self, directive, target))
        except _StoppedError as stopped:
            if self._asked:
                self.note(depth, domain, directive.text, stopped.status.value, SECTIONS[directive.mechanism])
            raise

    # the mechanisms, RFC 7208 5.2 to 5.7

    def included(self, found: _Found, directive: Directive) -> bool:
        """RFC 7208 5.2: only a pass matches; no record is a permerror."""
        if found.status is Status.NONE:
            raise _StoppedError(Status.PERMERROR, f"{directive.text}: {found.reason}")
        return found.status is Status.PASS

    def a(self, directive: Directive, target: str) -> Lookup[bool]:
        """RFC 7208 5.3."""
        answer = yield from self.addresses(target)
        return self.near(answer, directive)

    def mx(self, directive: Directive, target: str) -> Lookup[bool]:
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

    def ptr(self, directive: Directive, target: str) -> Lookup[bool]:
        """RFC 7208 5.5: a validated name of the client is the target or below it."""
        names = yield from self.names()
        wanted = tuple([name for name in names if name == target or name.endswith("." + target)])
        return bool((yield from self.validated(wanted)))

    def exists(self, directive: Directive, target: str) -> Lookup[bool]:
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
            (answer,) = yield from self.ask((Question(self.ip.reverse_pointer, "PTR"),))
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
        return [name for name, answer in zip(names, answers, strict=True) if self.ip in answer.records]

    def name(self, spec: MacroString, domain: str) -> Lookup[str]:
        """The name that a domain-spec stands for in the record of `domain`."""
        if spec.constant is not None:
            return macro.fitted(spec.constant)
        return spec.name((yield from self.values_for(spec, domain)))

    def values_for(self, text: MacroString, domain: str) -> Lookup[Values]:
        """What the letters stand for in the record of `domain`."""
        sender, helo, receiver, now = self._said
        values = Values(self.ip, sender, helo, domain, receiver, now)
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
            self.note(0, domain, f"exp={spec}", "the explanation", "6.2")
        # The sender's local part may be anything.
        return "".join(["?" if not " " <= char <= "~" else char for char in said[: self.limits.explanation]])

    # questions and counting

    def ask(self, questions: tuple[Question, ...]) -> Lookup[tuple[Answer, ...]]:
        """Answers side by side, remembered for the next step."""
        if self._clock is not None and self._clock() > self._until:
            raise self.late()
        answers = yield questions
        self._asked += answers
        for answer in answers:
            if not answer.authentic:
                self.authentic = False
        return answers

    def late(self) -> _StoppedError:
        """RFC 7208 4.6.4, third paragraph: too long is a temperror."""
        return _StoppedError(Status.TEMPERROR, f"it takes more than {self.limits.seconds:g} seconds")

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
            raise self.stop(Status.PERMERROR, why, domain, depth, "4.6.4")

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

    def note(self, depth: int, domain: str, term: str, outcome: str, section: str) -> None:
        """A step, with the answers since the last one."""
        asked = self._asked
        if asked:
            self._asked = []
        self.entries.append((depth, domain, term, outcome, self.lookups, self.void, tuple(asked), section))

    def stop(self, status: Status, reason: str, domain: str, depth: int, section: str) -> _StoppedError:
        """Notes why, and makes the exception."""
        self.note(depth, domain, status.value, reason, section)
        return _StoppedError(status, reason)


_MECHANISMS: dict[str, Callable[[_Evaluation, Directive, str], Lookup[bool]]] = {
    "a": _Evaluation.a,
    "mx": _Evaluation.mx,
    "ptr": _Evaluation.ptr,
    "exists": _Evaluation.exists,
}
