"""Does the address's name lead back to the address?  The iprev method of RFC 8601 3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mox_dns.domain import Domain, DomainSyntaxError, IpAddress
from mox_dns.lookup import Lookup, Question

# RFC 8601 3 asks for a limit; RFC 7208 4.6.4 has the same one for ptr.
MAX_NAMES = 10


class IprevStatus(StrEnum):
    """RFC 8601 2.7.3"""

    PASS = "pass"  # noqa: S105 a verdict, no secret
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class IprevResult:
    """The verdict; `name` is the one that leads back, `names` are all that the address has."""

    status: IprevStatus
    reason: str
    name: str = ""
    names: tuple[str, ...] = ()
    authentic: bool = False


def plan_iprev(ip: IpAddress) -> Lookup[IprevResult]:
    """The names of `ip`, and whether one of them has the address `ip`.  Never raises."""
    (answer,) = yield (Question(ip.reverse_pointer, "PTR"),)
    if answer.failed:
        return IprevResult(IprevStatus.TEMPERROR, f"no answer for the names of {ip}: {answer.status}")
    names = tuple(name for name in answer.records[:MAX_NAMES] if _plain(name))
    if not names:
        return IprevResult(IprevStatus.PERMERROR, f"{ip} has no name", authentic=answer.authentic)
    type = "A" if ip.version == 4 else "AAAA"
    found = yield tuple(Question(name, type) for name in names)
    for name, forward in zip(names, found, strict=True):
        if ip in forward.records:
            authentic = answer.authentic and forward.authentic
            return IprevResult(IprevStatus.PASS, f"{ip} is {name}, which is {ip}", name, names, authentic)
    if any(forward.failed for forward in found):
        return IprevResult(IprevStatus.TEMPERROR, f"a name of {ip} could not be looked up", names=names)
    return IprevResult(IprevStatus.FAIL, f"no name of {ip} leads back to it", names=names)


def _plain(name: str) -> bool:
    try:
        Domain.parse(name)
    except DomainSyntaxError:
        return False
    return True
