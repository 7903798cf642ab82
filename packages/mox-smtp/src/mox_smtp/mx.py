"""Which hosts take mail for a domain, in which order?  RFC 5321 5, RFC 7505.  CNAMEs are followed by the resolver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import groupby, zip_longest

from mox_dns import Domain, DomainSyntaxError, Lookup, Mx, addresses, mx

# Of one domain; the rest is not tried (RFC 5321 5.1 asks for two at least).
MAX_HOSTS = 20
MAX_ADDRESSES = 20

Shuffle = Callable[[list[str]], None]


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts in the order in which to try them; without any, `refusal` says why, with `status` (RFC 3463), and
    `temporary` that asking later may help.

    `authentic`: DNSSEC vouches for the MX records, or for there being none.  `implicit`: no MX records, so the domain
    itself is the host.  `canonical`: where CNAMEs led, which RFC 7672 2.2.1 asks for."""

    domain: str
    names: tuple[str, ...] = ()
    refusal: str = ""
    status: str = ""
    temporary: bool = False
    authentic: bool = False
    implicit: bool = False
    canonical: str = ""


def plan_hosts(domain: str, shuffle: Shuffle) -> Lookup[Hosts]:
    """The hosts of a domain (A-form).  `shuffle` mixes those of equal preference in place (random.shuffle)."""
    answer = yield from mx(domain)
    authentic, canonical = answer.authentic, answer.canonical or domain
    if answer.failed:
        why = f"no answer for the MX of {domain}: {answer.status}"
        return Hosts(domain, (), why, "4.4.3", temporary=True)
    if not answer.found:
        return (yield from _implicit(domain, authentic, canonical, exists=answer.status != "nxdomain"))
    records: Sequence[Mx] = answer.records
    # RFC 7505 3: a single "." says that this domain takes no mail; beside others it means nothing.
    if all(record.host in (".", "") for record in records):
        return Hosts(domain, (), f"{domain} takes no mail (null MX)", "5.1.10", authentic=authentic)
    names = _ordered(records, shuffle)
    if not names:
        return Hosts(domain, (), f"no MX of {domain} is a host name", "5.1.2", authentic=authentic)
    return Hosts(domain, names, authentic=authentic, canonical=canonical)


def _implicit(domain: str, authentic: bool, canonical: str, *, exists: bool) -> Lookup[Hosts]:
    """RFC 5321 5.1: without MX records the name itself is the host, if it has an address."""
    if exists:
        found = yield from addresses(domain)
        if found.found:
            return Hosts(domain, (domain,), authentic=authentic, implicit=True, canonical=canonical)
        if found.failed:
            return Hosts(domain, (), f"no answer for the addresses of {domain}", "4.4.3", temporary=True)
    why = "has neither MX nor address" if exists else "does not exist"
    return Hosts(domain, (), f"{domain} {why}", "5.1.2", authentic=authentic)


def _ordered(records: Sequence[Mx], shuffle: Shuffle) -> tuple[str, ...]:
    names: list[str] = []
    usable = sorted((record for record in records if _is_host(record.host)), key=lambda record: record.preference)
    for _, group in groupby(usable, key=lambda record: record.preference):
        equal = sorted({record.host for record in group})
        shuffle(equal)
        names += [name for name in equal if name not in names]
    return tuple(names[:MAX_HOSTS])


def _is_host(name: str) -> bool:
    """A name: not ".", and not an address, as some write (RFC 5321 5.1 wants a name)."""
    try:
        Domain.parse(name)
        ip_address(name)
    except DomainSyntaxError:
        return False
    except ValueError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """A host's addresses, those to be tried first in front; without any, `refusal` says why.

    `authentic`: DNSSEC vouches for both families; `canonical`: where CNAMEs led (RFC 7672 2.2.2)."""

    host: str
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    refusal: str = ""
    temporary: bool = False
    authentic: bool = False
    canonical: str = ""


def plan_addresses(host: str, families: tuple[int, ...] = (6, 4)) -> Lookup[HostAddresses]:
    """The addresses of a host, the families in turns, so that one dead family costs one attempt.  `families`: which to
    use, the one to be tried first in front: (6, 4), (4, 6), (4,) or (6,)."""
    found = yield from addresses(host)
    by_family = {4: list(found.v4.records), 6: list(found.v6.records)}
    lists = [by_family[family] for family in families]
    turns = [address for row in zip_longest(*lists) for address in row if address is not None]
    if not turns:
        failed = any((found.v4 if family == 4 else found.v6).failed for family in families)
        kind = f"IPv{families[0]} address" if len(families) == 1 else "address"
        why = f"no answer for the addresses of {host}" if failed else f"no {kind} for {host}"
        return HostAddresses(host, (), why, temporary=failed, authentic=found.authentic)
    canonical = found.v6.canonical if by_family[6] else found.v4.canonical
    return HostAddresses(host, tuple(turns[:MAX_ADDRESSES]), authentic=found.authentic, canonical=canonical or host)
