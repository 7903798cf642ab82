"""What a policy means for one MX host.  RFC 8461 4 and 5; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mox_dns import Domain
from mox_mtasts.policy import Mode, Policy

# RFC 8460 4.3.3, for an MX host that the policy does not name.
NOT_NAMED = "validation-failure"


class Action(StrEnum):
    """What to do with a host."""

    NOTHING = "nothing"  # no policy asks for anything
    REPORT = "report"  # mode testing: deliver whatever comes, and report what would have failed
    ENFORCE = "enforce"  # only over TLS with a chain that is verified for the host's name
    SKIP = "skip"  # not to this host


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a policy means for `host`.  `pattern`: the mx that stands for it, "" where none does.

    `failure`: the result type of RFC 8460 that is to be reported already, whatever the host proves."""

    action: Action
    host: str
    reason: str
    pattern: str = ""
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "action": self.action.value,
            "host": self.host,
            "reason": self.reason,
            "pattern": self.pattern,
            "failure": self.failure,
        }


def judge_host(policy: Policy | None, host: Domain | str) -> Ruling:
    """What `policy` (of the recipient's domain; None: there is none) means for `host`, a name out of its MX records.

    The certificate must then be for the same name (RFC 8461 4.2)."""
    name = str(host).lower().rstrip(".")
    if policy is None:
        return Ruling(Action.NOTHING, name, "no MTA-STS policy")
    if policy.mode is Mode.NONE:
        return Ruling(Action.NOTHING, name, "the policy's mode is none")
    pattern = policy.allows(name)
    if pattern is None:
        shown = ", ".join(policy.mx[:10])
        why = f"{name} is none of the policy's mx: {shown}"
        # RFC 8461 5: in testing, mail goes all the same.
        action = Action.SKIP if policy.mode is Mode.ENFORCE else Action.REPORT
        return Ruling(action, name, why, failure=NOT_NAMED)
    action = Action.ENFORCE if policy.mode is Mode.ENFORCE else Action.REPORT
    return Ruling(action, name, f"{name} is {pattern} of the policy, mode {policy.mode}", pattern)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the owner of a domain should look at.  `severe`: mail is or will be lost."""

    severe: bool
    text: str

    def __str__(self) -> str:
        return f"{'error' if self.severe else 'warning'}: {self.text}"


# RFC 8461 3.2 proposes weeks; below a day, to block the fetch for a day undoes the policy.
SHORT = 86400


def agreement(policy: Policy, hosts: Iterable[str]) -> tuple[Finding, ...]:
    """Does a policy fit the MX hosts of its domain?  For the owner, before a change (RFC 8461 8.3): what is missing on
    either side."""
    names = tuple(dict.fromkeys(host.lower().rstrip(".") for host in hosts))
    found: list[Finding] = []
    if policy.mode is not Mode.NONE:
        enforced = policy.mode is Mode.ENFORCE
        found += [
            Finding(enforced, f"{name} is an MX of the domain, but none of the policy's mx")
            for name in names
            if policy.allows(name) is None
        ]
        for pattern in policy.mx:
            if not any(Policy(Mode.NONE, (pattern,), 0).allows(name) for name in names):
                found.append(Finding(False, f"the policy's mx {pattern} stands for no MX of the domain"))
    if policy.max_age < SHORT:
        found.append(Finding(False, f"max_age is {policy.max_age} s; less than a day protects little"))
    return tuple(found)
