"""`lookup` and `lookup_sync`: the plan of lookup.py, driven."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mox_dane.lookup import Found, plan_lookup
from mox_dns import Domain, value, value_blocking

if TYPE_CHECKING:
    from mox_dns import AnyBlockingResolver, AnyResolver


def lookup(
    host: Domain | str,
    resolver: AnyResolver | None = None,
    *,
    port: int = 25,
    protocol: str = "tcp",
    mx_authentic: bool = True,
) -> Coroutine[Any, Any, Found]:
    """What holds for an MX host.  Arguments as for `plan_lookup`.

    `resolver` as for `mox_dns.run`, and its DNSSEC state must be trusted, else all is insecure; None: as
    /etc/resolv.conf says."""
    return value(plan_lookup(host, port=port, protocol=protocol, mx_authentic=mx_authentic), resolver)


def lookup_sync(
    host: Domain | str,
    resolver: AnyBlockingResolver | None = None,
    *,
    port: int = 25,
    protocol: str = "tcp",
    mx_authentic: bool = True,
) -> Found:
    """As `lookup`, blocking; `resolver` as for `mox_dns.run_blocking`."""
    return value_blocking(plan_lookup(host, port=port, protocol=protocol, mx_authentic=mx_authentic), resolver)
