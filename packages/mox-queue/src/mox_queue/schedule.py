"""When to try again, when to warn, when to give up: a value from which everything is computed, also the texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds between attempts; the last one repeats.  RFC 5321 4.5.4.1 asks for 4 to 5 days before giving up.

    `warn_after`: the sender hears of a delay once the message is this old.  `jitter`: part of each wait that is drawn
    at random, so that what failed together does not come back together."""

    waits: tuple[float, ...] = (7.5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
    give_up_after: float = 5 * DAY
    warn_after: float = 4 * HOUR
    jitter: float = 0.05

    def wait(self, attempts: int, drawn: float) -> float:
        """Seconds until the next attempt, after `attempts` of them; `drawn` is random from 0 to 1."""
        base = self.waits[min(max(attempts, 1), len(self.waits)) - 1]
        return base * (1 + self.jitter * (2 * drawn - 1))

    def next(self, attempts: int, arrived: float, now: float, drawn: float) -> float | None:
        """When to try again; None: never, it is too old."""
        at = now + self.wait(attempts, drawn)
        if at - arrived > self.give_up_after:
            # One last attempt at the very end, if that is still a while ahead.
            end = arrived + self.give_up_after
            return end if end - now > self.waits[0] else None
        return at

    def warns(self, arrived: float, now: float) -> bool:
        """Is it time to tell the sender of the delay?"""
        return now - arrived >= self.warn_after

    def plan(self) -> Iterator[float]:
        """Seconds after arrival of every attempt, without jitter, the first at 0."""
        at, attempts = 0.0, 1
        yield at
        while (following := self.next(attempts, 0.0, at, 0.5)) is not None:
            at, attempts = following, attempts + 1
            yield at

    def simulate(self, down: float) -> tuple[int, float | None, bool]:
        """If nobody answers for `down` seconds from the message's arrival: (attempts, seconds until it is delivered or
        None when it is given up, was the sender told of the delay?)."""
        number, warned = 0, False
        for number, at in enumerate(self.plan(), 1):
            if at >= down:
                return number, at, warned
            warned = warned or self.warns(0.0, at)
        return number, None, warned
