"""`check` and `audit`, awaited or blocking: the plans of check.py and walk.py, driven."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mox_dns import Domain, IpAddress, value, value_blocking
from mox_spf.check import LIMITS, Limits, plan_check
from mox_spf.result import Result

if TYPE_CHECKING:
    from mox_dns import AnyBlockingResolver, AnyResolver
    from mox_spf.findings import Audit


def check(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    resolver: AnyResolver | None = None,
    *,
    receiver: str = "",
    now: float | None = None,
    limits: Limits = LIMITS,
) -> Coroutine[Any, Any, Result]:
    """Judges `mail_from`, or `helo` where that is empty.  Arguments as for `plan_check`.

    `resolver` as for `mox_dns.run`; None: as /etc/resolv.conf says.  `now` None: the clock's.  Raises ValueError if
    `ip` is no address, and nothing for what a sender or a zone says."""
    seconds = time.time() if now is None else now
    plan = plan_check(ip, mail_from, helo, receiver=receiver, now=seconds, limits=limits, clock=time.monotonic)
    return value(plan, resolver)


def check_sync(
    ip: IpAddress | str,
    mail_from: str,
    helo: str,
    resolver: AnyBlockingResolver | None = None,
    *,
    receiver: str = "",
    now: float | None = None,
    limits: Limits = LIMITS,
) -> Result:
    """As `check`, blocking; `resolver` as for `mox_dns.run_blocking`."""
    seconds = time.time() if now is None else now
    plan = plan_check(ip, mail_from, helo, receiver=receiver, now=seconds, limits=limits, clock=time.monotonic)
    return value_blocking(plan, resolver)


def audit(
    domain: Domain | str, resolver: AnyResolver | None = None, *, limits: Limits = LIMITS
) -> Coroutine[Any, Any, Audit]:
    """What is wrong with the record of `domain` and all it leads to; goes on past mistakes and limits.

    `resolver` as for `check`.  Raises DomainSyntaxError if `domain` is none, and nothing for what DNS says."""
    from mox_spf.walk import plan_audit

    return value(plan_audit(_parsed(domain), limits), resolver)


def audit_sync(domain: Domain | str, resolver: AnyBlockingResolver | None = None, *, limits: Limits = LIMITS) -> Audit:
    """As `audit`, blocking."""
    from mox_spf.walk import plan_audit

    return value_blocking(plan_audit(_parsed(domain), limits), resolver)


def _parsed(domain: Domain | str) -> Domain:
    return domain if isinstance(domain, Domain) else Domain.parse(domain)
