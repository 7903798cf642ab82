"""The same checks with a resolver that is waited for, and with one that blocks: `evaluate.plan_check`,
`destination.plan_destinations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mox_dmarc.align import Pass
from mox_dmarc.discover import Discovery, Mode, Organization
from mox_dmarc.evaluate import HeaderFrom, Verdict, plan_check
from mox_dns import run, run_blocking

if TYPE_CHECKING:
    from mox_dmarc.destination import Destination
    from mox_dns.resolver import AnyBlockingResolver, AnyResolver


async def check(
    header_from: HeaderFrom,
    passes: Sequence[Pass],
    resolver: AnyResolver,
    *,
    mode: Mode = Mode.RFC9989,
    temporary: bool = False,
    sample: float | None = None,
    organization: Organization | None = None,
) -> Verdict:
    """DMARC for a message; arguments as for `plan_check`, resolver as for `mox_dns.run`."""
    plan = plan_check(header_from, passes, mode=mode, temporary=temporary, sample=sample, organization=organization)
    return (await run(plan, resolver)).value


def check_sync(
    header_from: HeaderFrom,
    passes: Sequence[Pass],
    resolver: AnyBlockingResolver,
    *,
    mode: Mode = Mode.RFC9989,
    temporary: bool = False,
    sample: float | None = None,
    organization: Organization | None = None,
) -> Verdict:
    """DMARC for a message; arguments as for `plan_check`, resolver as for `mox_dns.run_blocking`."""
    plan = plan_check(header_from, passes, mode=mode, temporary=temporary, sample=sample, organization=organization)
    return run_blocking(plan, resolver).value


async def check_destinations(discovery: Discovery, resolver: AnyResolver, tag: str = "rua") -> tuple[Destination, ...]:
    """Where reports may be sent; arguments as for `plan_destinations`, resolver as for `mox_dns.run`."""
    from mox_dmarc.destination import plan_destinations

    return (await run(plan_destinations(discovery, tag), resolver)).value


def check_destinations_sync(
    discovery: Discovery, resolver: AnyBlockingResolver, tag: str = "rua"
) -> tuple[Destination, ...]:
    """Where reports may be sent; arguments as for `plan_destinations`, resolver as for `mox_dns.run_blocking`."""
    from mox_dmarc.destination import plan_destinations

    return run_blocking(plan_destinations(discovery, tag), resolver).value
