"""Verifying with a resolver that is waited for, and with one that blocks; both run the plans of `plan_verify`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mox_dkim.policy import DEFAULT, Policy
from mox_dkim.verify import Result, plan_verify
from mox_dns import Lookup, run, run_blocking, run_together
from mox_message import Content, Fields
from mox_message.fields import MAX_HEADER

if TYPE_CHECKING:
    from mox_dkim.arc import Chain
    from mox_dns.resolver import AnyBlockingResolver, AnyResolver

Message = bytes | Content | Path


async def verify(
    message: Message,
    resolver: AnyResolver,
    *,
    policy: Policy = DEFAULT,
    now: float | None = None,
) -> list[Result]:
    """One result for each signature of `message`, from the top; [] where there is none.

    `message`: its octets, a Content, or the path of a file, with CRLF line ends.  Resolver as for `mox_dns.run`.
    `now`: seconds since 1970, the clock's without.  Raises OSError where a file cannot be read."""
    return await settle(_plans(message, policy, now), resolver)


def verify_sync(
    message: Message,
    resolver: AnyBlockingResolver,
    *,
    policy: Policy = DEFAULT,
    now: float | None = None,
) -> list[Result]:
    """As `verify`; resolver as for `mox_dns.run_blocking`."""
    return settle_sync(_plans(message, policy, now), resolver)


async def settle(plans: Sequence[Lookup[Result]], resolver: AnyResolver) -> list[Result]:
    """The results of plans, whose questions are asked side by side: for `Verifier.finish()`."""
    return [traced.value for traced in await run_together(plans, resolver)]


def settle_sync(plans: Sequence[Lookup[Result]], resolver: AnyBlockingResolver) -> list[Result]:
    """As `settle`, one after the other."""
    return [run_blocking(plan, resolver).value for plan in plans]


async def verify_chain(message: Message, resolver: AnyResolver, *, policy: Policy = DEFAULT) -> Chain:
    """Whether the ARC chain of `message` holds; arguments as for `verify`."""
    from mox_dkim.arc import plan_verify_chain

    content = _content(message)
    return (await run(plan_verify_chain(content, header_of(content), policy=policy), resolver)).value


def verify_chain_sync(message: Message, resolver: AnyBlockingResolver, *, policy: Policy = DEFAULT) -> Chain:
    """As `verify_chain`, with a resolver that blocks."""
    from mox_dkim.arc import plan_verify_chain

    content = _content(message)
    return run_blocking(plan_verify_chain(content, header_of(content), policy=policy), resolver).value


def header_of(content: Content) -> Fields:
    """The header of a message, without reading more of it than needed."""
    fields = Fields.parse(content.read(0, 65536))
    if fields.defects and content.size > 65536:
        fields = Fields.parse(content.read(0, MAX_HEADER + 4))
    return fields


def _content(message: Message) -> Content:
    if isinstance(message, Content):
        return message
    return Content.of(message) if isinstance(message, bytes) else Content.file(message)


def _plans(message: Message, policy: Policy, now: float | None) -> list[Lookup[Result]]:
    content = _content(message)
    return plan_verify(content, header_of(content), policy=policy, now=time.time() if now is None else now)
