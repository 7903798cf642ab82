"""`lookup` and `lookup_sync`: the plan of lookup.py, driven."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mox_dns import Domain, value, value_blocking
from mox_tlsrpt.lookup import Found, plan_lookup

if TYPE_CHECKING:
    from mox_dns import AnyBlockingResolver, AnyResolver


def lookup(domain: Domain | str, resolver: AnyResolver | None = None) -> Coroutine[Any, Any, Found]:
    """Who wants reports about TLS to `domain`.  `resolver` as for `mox_dns.run`; None: as /etc/resolv.conf says.

    Raises DomainSyntaxError for a text that is no domain."""
    return value(plan_lookup(domain), resolver)


def lookup_sync(domain: Domain | str, resolver: AnyBlockingResolver | None = None) -> Found:
    """As `lookup`, blocking; `resolver` as for `mox_dns.run_blocking`."""
    return value_blocking(plan_lookup(domain), resolver)
