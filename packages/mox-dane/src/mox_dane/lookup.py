"""Which TLSA records hold for this MX host?  RFC 7672 2.2, as a lookup.

What DNSSEC says of each answer decides: only what is secure all the way counts, what is insecure means that there is no
DANE, and where DNS fails or lies the host is not used, because an attacker may be the one who makes it fail (RFC 7672
2.1.2).  A resolver's word is taken only by who trusts it (RFC 7672 2.1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mox_dane.tlsa import selected, tlsa_name, why_unusable
from mox_dns import Addresses, Answer, Domain, Lookup, Tlsa, addresses, ask, tlsa
from mox_dns import Status as DnsStatus

# Of one host; a chain is held against each.
MAX_RECORDS = 100
_MAX_NAME = 253
# Result types of RFC 8460 4.3.2.1.
DNSSEC_INVALID = "dnssec-invalid"
TLSA_INVALID = "tlsa-invalid"


class Status(StrEnum):
    """What holds for a host."""

    DANE = "dane"  # TLS, and a chain that `verify` takes
    UNUSABLE = "unusable"  # TLS, whatever the chain: there are records, none of which counts (RFC 7672 2.2)
    NONE = "none"  # DNSSEC vouches that there are no records
    INSECURE = "insecure"  # not under DNSSEC
    NOHOST = "nohost"  # it has no address
    TEMPERROR = "temperror"  # DNS fails or is forged: not to this host now


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
    found = ", ".join(map(str, answer.records[:20]))
    secure = "secure" if answer.authentic else "insecure"
    text = found if answer.found else answer.status.value
    return f"{answer.question} -> {text[:1000]}" + ("" if answer.failed else f" ({secure})")


@dataclass(frozen=True, slots=True)
class Found:
    """What holds for `host`.

    `base`: the TLSA base domain, the name to send as SNI and the first reference identifier (RFC 7672 2.2.3, 3.2.2);
    "" without records.  `records`: all of them, also those that do not count; `verify` sorts them out.  `failure`: a
    result type of RFC 8460, "" where nothing is to be reported."""

    status: Status
    reason: str
    host: str
    base: str = ""
    records: tuple[Tlsa, ...] = ()
    failure: str = ""
    trace: tuple[Step, ...] = ()

    @property
    def usable(self) -> tuple[Tlsa, ...]:
        """The records that a chain is held against."""
        return selected(self.records)

    def explain(self) -> str:
        """The outcome and each step, a line each, with the DNS answers below their step."""
        lines = [f"dane={self.status} {self.host}: {self.reason}"]
        for step in self.trace:
            lines.append(f"  {step}")
            lines += [f"    DNS {_shown(answer)}" for answer in step.answers]
        usable = self.usable
        for record in self.records:
            why = why_unusable(record) or ("" if record in usable else "a stronger digest is there (RFC 7671 9)")
            lines.append(f"  {str(record)[:100]}: {why or 'counts'}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        usable = self.usable
        return {
            "status": self.status.value,
            "reason": self.reason,
            "host": self.host,
            "base": self.base,
            "records": [{"record": str(record), "counts": record in usable} for record in self.records],
            "failure": self.failure,
            "trace": [step.to_dict() for step in self.trace],
        }


def plan_lookup(
    host: Domain | str, *, port: int = 25, protocol: str = "tcp", mx_authentic: bool = True
) -> Lookup[Found]:
    """What holds for `host`, an MX host or, without MX records, the domain itself.

    `mx_authentic`: DNSSEC vouches for the MX records that led here; if not, whoever can forge them can choose the host,
    and its records protect nothing (RFC 7672 2.2.1).  Raises DomainSyntaxError for a text that is no domain."""
    name = Domain.parse(host).ascii if isinstance(host, str) else host.ascii
    return _Lookup(name, port, protocol).run(mx_authentic)


def reference_names(found: Found, next_hop: str, expanded: str = "") -> tuple[str, ...]:
    """The names of which a certificate under DANE-TA must bear one (RFC 7672 3.2.2).

    `next_hop`: the domain whose MX led to the host, or the host itself without MX; `expanded`: where its CNAMEs
    lead."""
    names = (found.base or found.host, next_hop, expanded)
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names if name))


class _Lookup:
    """One lookup on its way."""

    def __init__(self, host: str, port: int, protocol: str) -> None:
        self.host, self.port, self.protocol = host, port, protocol
        self.steps: list[Step] = []

    def run(self, mx_authentic: bool) -> Lookup[Found]:
        if not mx_authentic:
            self.note("MX", "insecure", "7672 2.2.1")
            return self.found(Status.INSECURE, "the MX records are not under DNSSEC")
        bases = yield from self.bases()
        if isinstance(bases, Found):
            return bases
        for base in bases:
            found = yield from self.records(base)
            if found is not None:
                return found
        return self.found(Status.NONE, f"{self.host} has no TLSA records that DNSSEC vouches for")

    def bases(self) -> Lookup[tuple[str, ...] | Found]:
        """The TLSA base domains in the order in which to ask (RFC 7672 2.2.2), or how it ends without."""
        found = yield from addresses(self.host)
        answers = (found.v4, found.v6)
        if not found.found:
            return self.no_address(found)
        having = [answer for answer in answers if answer.found]
        secure = all(answer.authentic for answer in having)
        expanded = _name(having[0]) or self.host
        alias = expanded != self.host
        shown = f"{'secure' if secure else 'insecure'}{f', alias of {expanded}' if alias else ''}"
        self.note(f"{self.host} A, AAAA", shown, "7672 2.2.2", *answers)
        if secure:
            return (expanded, self.host) if alias else (self.host,)
        if not alias:
            # Not asked for TLSA: servers of unsigned zones are known to fail at it.
            return self.found(Status.INSECURE, f"the addresses of {self.host} are not under DNSSEC")
        return (yield from self.alias())

    def no_address(self, found: Addresses) -> Found:
        if not found.failed:
            self.note(f"{self.host} A, AAAA", "no address", "7672 2.2.2", found.v4, found.v6)
            return self.found(Status.NOHOST, f"{self.host} has no address")
        answer = found.v4 if found.v4.failed else found.v6
        self.note(f"{self.host} A, AAAA", f"no answer: {answer.status}", "7672 2.1.2", found.v4, found.v6)
        return self.failed(answer)

    def alias(self) -> Lookup[tuple[str, ...] | Found]:
        """An alias that leads out of what is signed: is at least the alias itself?"""
        answer = yield from ask(self.host, "CNAME")
        if answer.failed:
            self.note(f"{self.host} CNAME", f"no answer: {answer.status}", "7672 2.1.2", answer)
            return self.failed(answer)
        if answer.found and answer.authentic:
            self.note(f"{self.host} CNAME", "secure, where it leads is not", "7672 2.2.2", answer)
            return (self.host,)
        self.note(f"{self.host} CNAME", "insecure", "7672 2.2.2", answer)
        return self.found(Status.INSECURE, f"{self.host} is an alias that is not under DNSSEC")

    def records(self, base: str) -> Lookup[Found | None]:
        """What the records at one base domain mean; None: look further (RFC 7672 2.2.3)."""
        name = tlsa_name(base, self.port, self.protocol)
        if len(name) > _MAX_NAME:
            self.note(f"{name} TLSA", "no such name can be", "7672 2.2.3")
            return None
        answer = yield from tlsa(name)
        if answer.failed:
            self.note(f"{name} TLSA", f"no answer: {answer.status}", "7672 2.1.2", answer)
            return self.failed(answer)
        records = tuple(record for record in answer.records if isinstance(record, Tlsa))[:MAX_RECORDS]
        if not records or not answer.authentic:
            self.note(f"{name} TLSA", "none" if answer.authentic else "insecure", "7672 2.2.3", answer)
            return None
        if not selected(records):
            self.note(f"{name} TLSA", "secure, none of them usable", "7672 2.2", answer)
            why = f"{base} has TLSA records, but none that counts for SMTP: TLS it must be, with any certificate"
            return self.found(Status.UNUSABLE, why, base, records, TLSA_INVALID)
        self.note(f"{name} TLSA", f"secure, {len(records)} of them", "7672 2.2.3", answer)
        return self.found(Status.DANE, f"{base} has TLSA records", base, records)

    def failed(self, answer: Answer) -> Found:
        forged = answer.status is DnsStatus.BOGUS
        why = "is forged" if forged else f"failed: {answer.status}"
        return self.found(
            Status.TEMPERROR, f"the answer for {answer.question} {why}", failure=DNSSEC_INVALID if forged else ""
        )

    def found(
        self, status: Status, reason: str, base: str = "", records: tuple[Tlsa, ...] = (), failure: str = ""
    ) -> Found:
        return Found(status, reason, self.host, base, records, failure, tuple(self.steps))

    def note(self, what: str, outcome: str, rule: str, *answers: Answer) -> None:
        self.steps.append(Step(what, outcome, rule, answers))


def _name(answer: Answer) -> str:
    return answer.canonical.lower().rstrip(".")
