"""Which way does a message leave?  Pure: the first route that matches names a transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Route:
    """Matches when all that is given does.  Domains are in A-form; `.example.org` also matches what is below it.

    `from_attempt`, `to_attempt`: the first and the last attempt it is for, counted from 1; 0 is no bound.  So a
    smarthost can take over after some failures."""

    transport: str
    accounts: tuple[str, ...] = ()
    sender_domains: tuple[str, ...] = ()
    recipient_domains: tuple[str, ...] = ()
    from_attempt: int = 0
    to_attempt: int = 0

    def matches(self, account: str, sender_domain: str, recipient_domain: str, attempt: int) -> bool:
        """Is it for this recipient of this message, now?"""
        return (
            (not self.accounts or account in self.accounts)
            and (not self.sender_domains or any(within(sender_domain, one) for one in self.sender_domains))
            and (not self.recipient_domains or any(within(recipient_domain, one) for one in self.recipient_domains))
            and attempt >= self.from_attempt
            and (not self.to_attempt or attempt <= self.to_attempt)
        )


def within(domain: str, pattern: str) -> bool:
    """`.example.org` is example.org and all below it; anything else is only itself."""
    if pattern.startswith("."):
        return domain == pattern[1:] or domain.endswith(pattern)
    return domain == pattern


def choose(routes: Sequence[Route], *, account: str, sender_domain: str, recipient_domain: str, attempt: int) -> str:
    """The transport's name; "direct" when no route matches."""
    for route in routes:
        if route.matches(account, sender_domain, recipient_domain, attempt):
            return route.transport
    return DIRECT
