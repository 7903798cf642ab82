"""Does the name of an address lead back to the address?  "iprev" of RFC 8601 3.

pass       a name of the address has the address
fail       it has names, but none of them has the address
permerror  it has no name
temperror  DNS did not answer"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from mox_dns.domain import Domain, DomainSyntaxError, IpAddress, plain_address
from mox_dns.lookup import Answer, Lookup, Question, Step, value, value_blocking

if TYPE_CHECKING:
    from mox_dns.resolver import AnyBlockingResolver, AnyResolver

# Names of one address whose own addresses are asked for; as RFC 7208 4.6.4 has it for "ptr".
MAX_NAMES = 10


class IprevStatus(StrEnum):
    """The result words of RFC 8601 2.7.3."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class IprevResult:
    """`names`: every valid name of the address, the confirmed ones first.  `name`: the confirmed one, else empty.

    `authentic`: DNSSEC vouches for the whole way there and back."""

    status: IprevStatus
    ip: IpAddress
    reason: str
    name: str = ""
    names: tuple[str, ...] = ()
    authentic: bool = False
    trace: tuple[Step, ...] = ()

    def explain(self) -> str:
        """The verdict and every question, a line each."""
        return "\n".join([f"iprev={self.status}: {self.reason}", *[f"  {step}" for step in self.trace]])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "ip": str(self.ip),
            "reason": self.reason,
            "name": self.name,
            "names": list(self.names),
            "authentic": self.authentic,
            "trace": [str(step) for step in self.trace],
        }


def plan_check(ip: IpAddress) -> Lookup[IprevResult]:
    """Asks for the address's names, then for their addresses, side by side."""
    ip = plain_address(ip)
    question = Question(ip.reverse_pointer, "PTR")
    (pointer,) = yield (question,)
    trace = [Step(question, pointer)]
    if pointer.failed:
        return IprevResult(IprevStatus.TEMPERROR, ip, f"no answer for {question}: {pointer.status}", trace=tuple(trace))
    names = _valid(pointer.records)
    if not names:
        return IprevResult(IprevStatus.PERMERROR, ip, f"{ip} has no name", trace=tuple(trace))
    questions = tuple([Question(name, "AAAA" if ip.version == 6 else "A") for name in names])
    answers = yield questions
    trace.extend(map(Step, questions, answers))
    return _judge(ip, names, pointer, answers, tuple(trace))


def check(ip: IpAddress | str, resolver: AnyResolver | None = None) -> Coroutine[Any, Any, IprevResult]:
    """Is the name of `ip` confirmed?  `resolver` None: as /etc/resolv.conf says.  Raises ValueError for no address."""
    return value(plan_check(ip_address(ip)), resolver)


def check_sync(ip: IpAddress | str, resolver: AnyBlockingResolver | None = None) -> IprevResult:
    """As `check`, blocking."""
    return value_blocking(plan_check(ip_address(ip)), resolver)


def _valid(records: tuple[str, ...]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for record in records:
        try:
            names[Domain.parse(record).ascii] = None
        except DomainSyntaxError:
            continue
        if len(names) == MAX_NAMES:
            break
    return tuple(names)


def _judge(
    ip: IpAddress, names: tuple[str, ...], pointer: Answer, answers: tuple[Answer, ...], trace: tuple[Step, ...]
) -> IprevResult:
    confirmed = [(name, answer) for name, answer in zip(names, answers, strict=True) if ip in answer.records]
    if confirmed:
        ours = {name: None for name, _ in confirmed}
        name, answer = confirmed[0]
        authentic = pointer.authentic and answer.authentic
        ordered = (*ours, *[other for other in names if other not in ours])
        return IprevResult(IprevStatus.PASS, ip, f"{ip} is {name}", name, ordered, authentic, trace)
    if failed := [name for name, answer in zip(names, answers, strict=True) if answer.failed]:
        return IprevResult(IprevStatus.TEMPERROR, ip, f"no address known of {failed[0]}", "", names, trace=trace)
    return IprevResult(IprevStatus.FAIL, ip, f"{', '.join(names)} is not at {ip}", "", names, trace=trace)
