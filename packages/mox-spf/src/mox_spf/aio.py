"""`check` and `check_sync`: the plan of check.py, driven."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mox_dns import IpAddress, value, value_blocking
from mox_spf.check import LIMITS, Limits, Result, plan_check

if TYPE_CHECKING:
    from mox_dns import AnyBlockingResolver, AnyResolver


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
    return value(plan_check(ip, mail_from, helo, receiver=receiver, now=seconds, limits=limits), resolver)


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
    return value_blocking(plan_check(ip, mail_from, helo, receiver=receiver, now=seconds, limits=limits), resolver)
