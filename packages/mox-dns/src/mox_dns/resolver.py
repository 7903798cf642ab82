"""Who answers: the Resolver protocol, and dnspython's resolvers behind it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol, TypeAlias

from mox_dns.lookup import Answer, Question


class Resolver(Protocol):
    """Answers a question at once or later."""

    def ask(self, question: Question) -> Answer | Awaitable[Answer]:
        """The answer, or an awaitable of it; never raises for what DNS says."""
        ...


class BlockingResolver(Protocol):
    """Answers a question at once, blocking if it must."""

    def ask(self, question: Question) -> Answer:
        """The answer; never raises for what DNS says."""
        ...


AnyResolver: TypeAlias = Any
AnyBlockingResolver: TypeAlias = Any


def adapted(resolver: AnyResolver) -> Resolver:
    """`resolver` as a Resolver."""
    return resolver  # type: ignore[no-any-return]


def adapted_blocking(resolver: AnyBlockingResolver) -> BlockingResolver:
    """`resolver` as a BlockingResolver."""
    return resolver  # type: ignore[no-any-return]
