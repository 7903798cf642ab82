"""Is an address on a block list in DNS?  RFC 5782."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import TYPE_CHECKING, Any

from mox_dns.domain import Domain, IpAddress, plain_address
from mox_dns.lookup import Lookup, Question, Step, value, value_blocking

if TYPE_CHECKING:
    from mox_dns.resolver import AnyBlockingResolver, AnyResolver

# RFC 5782 2.1: what a list says is an address of these; anything else comes from a domain that was sold, or a liar.
LOOPBACK = IPv4Network("127.0.0.0/8")
# Not in the RFC: lists say so that they refuse the one who asks, and then everything would be listed.
REFUSALS = IPv4Network("127.255.255.0/24")
# Octets of a list's explanation; it is foreign text.
MAX_EXPLANATION = 500


class DnsblStatus(StrEnum):
    """What a list says."""

    LISTED = "listed"
    CLEAR = "clear"
    TEMPERROR = "temperror"  # it did not answer, or not sensibly


@dataclass(frozen=True, slots=True)
class DnsblResult:
    """`codes`: the addresses by which the list says why.  `explanation`: its text, printable but foreign."""

    status: DnsblStatus
    ip: IpAddress
    zone: str
    reason: str
    codes: tuple[IPv4Address, ...] = ()
    explanation: str = ""
    trace: tuple[Step, ...] = ()

    def explain(self) -> str:
        """The verdict and every question, a line each."""
        return "\n".join([f"{self.zone}: {self.status}: {self.reason}", *[f"  {step}" for step in self.trace]])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "ip": str(self.ip),
            "zone": self.zone,
            "reason": self.reason,
            "codes": [str(code) for code in self.codes],
            "explanation": self.explanation,
            "trace": [str(step) for step in self.trace],
        }


def name_for(ip: IpAddress, zone: Domain) -> str:
    """The name at which `zone` tells about `ip` (RFC 5782 2.1 and 2.4)."""
    return zone.under(plain_address(ip).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa"))


def plan_check(ip: IpAddress, zone: Domain) -> Lookup[DnsblResult]:
    """Asks whether `zone` lists `ip`, and if so, why."""
    question = Question(name_for(ip, zone), "A")
    (answer,) = yield (question,)
    trace: tuple[Step, ...] = (Step(question, answer),)
    if answer.failed:
        return DnsblResult(DnsblStatus.TEMPERROR, ip, zone.ascii, f"no answer: {answer.status}", trace=trace)
    if answer.absent:
        return DnsblResult(DnsblStatus.CLEAR, ip, zone.ascii, "not listed", trace=trace)
    codes: tuple[IPv4Address, ...] = answer.records
    if not all(code in LOOPBACK and code not in REFUSALS for code in codes):
        why = f"it answered {', '.join(map(str, codes))}, which is no listing"
        return DnsblResult(DnsblStatus.TEMPERROR, ip, zone.ascii, why, codes, trace=trace)
    question = Question(question.name, "TXT")
    (text,) = yield (question,)
    said = "; ".join(_printable(record) for record in text.records) if text.found else ""
    reason = f"listed as {', '.join(map(str, codes))}"
    trace = (*trace, Step(question, text))
    return DnsblResult(DnsblStatus.LISTED, ip, zone.ascii, reason, codes, said[:MAX_EXPLANATION], trace)


class HealthStatus(StrEnum):
    """Can a list be relied on?"""

    GOOD = "good"
    BAD = "bad"  # it lists nothing or everything, or refuses to answer us
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class DnsblHealth:
    """What the test entries of a list say about it."""

    status: HealthStatus
    zone: str
    reason: str
    trace: tuple[Step, ...] = ()

    def explain(self) -> str:
        """The verdict and every question, a line each."""
        return "\n".join([f"{self.zone}: {self.status}: {self.reason}", *[f"  {step}" for step in self.trace]])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "zone": self.zone,
            "reason": self.reason,
            "trace": [str(step) for step in self.trace],
        }


def plan_health(zone: Domain) -> Lookup[DnsblHealth]:
    """Does the list work?  RFC 5782 5: 127.0.0.2 is on every list, 127.0.0.1 on none.

    A list that is gone lists nothing, one whose domain was sold often everything."""
    must, must_not = IPv4Address("127.0.0.2"), IPv4Address("127.0.0.1")
    questions = (Question(name_for(must, zone), "A"), Question(name_for(must_not, zone), "A"))
    listed, unlisted = yield questions
    trace = tuple(map(Step, questions, (listed, unlisted)))

    def said(status: HealthStatus, why: str) -> DnsblHealth:
        return DnsblHealth(status, zone.ascii, why, trace)

    if listed.failed or unlisted.failed:
        return said(HealthStatus.TEMPERROR, "it does not answer")
    if any(code in REFUSALS for code in listed.records):
        return said(HealthStatus.BAD, f"it refuses to answer this resolver: {', '.join(map(str, listed.records))}")
    if not any(code in LOOPBACK for code in listed.records):
        return said(HealthStatus.BAD, f"it does not list {must}, as every list must")
    if unlisted.found:
        return said(HealthStatus.BAD, f"it lists {must_not}, as no list may")
    return said(HealthStatus.GOOD, f"it lists {must} and not {must_not}")


def health(zone: Domain | str, resolver: AnyResolver | None = None) -> Coroutine[Any, Any, DnsblHealth]:
    """Does the list work?  `resolver` None: as /etc/resolv.conf says.  Raises DomainSyntaxError for no name."""
    return value(plan_health(_domain(zone)), resolver)


def health_sync(zone: Domain | str, resolver: AnyBlockingResolver | None = None) -> DnsblHealth:
    """As `health`, blocking."""
    return value_blocking(plan_health(_domain(zone)), resolver)


def check(
    ip: IpAddress | str, zone: Domain | str, resolver: AnyResolver | None = None
) -> Coroutine[Any, Any, DnsblResult]:
    """Does `zone` list `ip`?  `resolver` None: as /etc/resolv.conf says.  Raises ValueError for no address or name."""
    return value(plan_check(ip_address(ip), _domain(zone)), resolver)


def check_sync(ip: IpAddress | str, zone: Domain | str, resolver: AnyBlockingResolver | None = None) -> DnsblResult:
    """As `check`, blocking."""
    return value_blocking(plan_check(ip_address(ip), _domain(zone)), resolver)


def _domain(zone: Domain | str) -> Domain:
    return zone if isinstance(zone, Domain) else Domain.parse(zone)


def _printable(record: bytes) -> str:
    return "".join(char for char in record.decode("utf-8", "replace") if char.isprintable())
