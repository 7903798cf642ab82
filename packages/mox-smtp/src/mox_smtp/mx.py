"""Which hosts take mail for a domain, in which order?  RFC 5321 5, RFC 7505."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mox_dns import Domain, DomainSyntaxError, Lookup, Mx, Question

# Of one domain; the rest is not tried (RFC 5321 5.1 asks for two at least).
MAX_HOSTS = 20


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts in the order in which to try them.  `refusal` says why there are none; `temporary` that it may change.

    `authentic`: DNSSEC vouches for the MX records (or their absence).  `implicit`: no MX records, the domain itself is
    the host."""

    domain: str
    names: tuple[str, ...] = ()
    refusal: str = ""
    status: str = ""  # enhanced code of a refusal
    temporary: bool = False
    authentic: bool = False
    implicit: bool = False


Shuffle = Callable[[list[str]], None]


def plan_hosts(domain: str, shuffle: Shuffle) -> Lookup[Hosts]:
    """The hosts of a domain (A-form).  `shuffle` mixes those of equal preference (random.shuffle)."""
    (answer,) = yield (Question(domain, "MX"),)
    if answer.failed:
        return Hosts(
            domain, refusal=f"no answer for the MX of {domain}: {answer.status}", status="4.4.3", temporary=True
        )
    if answer.found:
        records: Sequence[Mx] = answer.records
        # RFC 7505 3: a single "." says that this domain takes no mail.
        if all(record.host in (".", "") for record in records):
            return Hosts(
                domain, refusal=f"{domain} takes no mail (null MX)", status="5.1.10", authentic=answer.authentic
            )
        return Hosts(domain, _ordered(records, shuffle), authentic=answer.authentic)
    # No MX: the name itself (RFC 5321 5.1), if it has an address.
    v4, v6 = yield (Question(domain, "A"), Question(domain, "AAAA"))
    if v4.found or v6.found:
        return Hosts(domain, (domain,), authentic=answer.authentic, implicit=True)
    if v4.failed or v6.failed:
        return Hosts(domain, refusal=f"no answer for the addresses of {domain}", status="4.4.3", temporary=True)
    why = "does not exist" if answer.status == "nxdomain" else "has neither MX nor address"
    return Hosts(domain, refusal=f"{domain} {why}", status="5.1.2", authentic=answer.authentic)


def _ordered(records: Sequence[Mx], shuffle: Shuffle) -> tuple[str, ...]:
    names: list[str] = []
    usable = [record for record in records if _is_host(record.host)]
    for _, group in groupby(sorted(usable, key=lambda record: record.preference), key=lambda record: record.preference):
        equal = sorted({record.host for record in group})
        shuffle(equal)
        names += [name for name in equal if name not in names]
    return tuple(names[:MAX_HOSTS])


def _is_host(name: str) -> bool:
    try:
        Domain.parse(name)
    except DomainSyntaxError:
        return False
    return True
