"""How much may an account send?  So that a stolen password is worth little.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """Recipients within any `seconds`, and those of them that the account has never written to; 0 is no limit."""

    recipients: int = 0
    first_time: int = 0
    seconds: float = DAY

    @property
    def limited(self) -> bool:
        """Is there a limit at all?"""
        return bool(self.recipients or self.first_time)


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account has sent within the time of its allowance.  `oldest`: when the first of it was, None for
    nothing (seconds since 1970)."""

    recipients: int = 0
    first_time: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """It is too much: `wanted` recipients more than the `spent` ones, where `most` are allowed.

    `again`: when the first of those spent counts no more (seconds since 1970); None: the message alone is too much."""

    what: str
    most: int
    spent: int
    wanted: int
    hours: float
    again: float | None

    def __str__(self) -> str:
        many = f"{self.wanted} {self.what}"
        if self.again is None:
            return f"a message to {many} is more than the {self.most} that you may write to in {self.hours:g} hours"
        return (
            f"you wrote to {self.spent} {self.what} within {self.hours:g} hours and may to {self.most}; "
            f"{self.wanted} more must wait"
        )


class OverLimit(Exception):
    """A message was not queued because its account has sent too much: `.over` says how much."""

    def __init__(self, over: Over) -> None:
        self.over = over
        super().__init__(str(over))


def over(allowance: Allowance, spent: Spent, recipients: int, first_time: int) -> Over | None:
    """What is too much about so many recipients more, of which so many are written to for the first time."""
    for what, most, so_far, wanted in (
        ("recipients", allowance.recipients, spent.recipients, recipients),
        ("first-time recipients", allowance.first_time, spent.first_time, first_time),
    ):
        if most and wanted and so_far + wanted > most:
            alone = wanted > most or spent.oldest is None
            again = None if alone or spent.oldest is None else spent.oldest + allowance.seconds
            return Over(what, most, so_far, wanted, allowance.seconds / 3600, again)
    return None
