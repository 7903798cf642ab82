"""How much an account may hold, and holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mox_store.ground import Asked


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits (None: none) and use, in bytes and messages; copies count each, what is in the bin does not (RFC 9208)."""

    size_limit: int | None
    message_limit: int | None
    size: int
    messages: int

    def refusal(self, messages: int, size: int) -> str:
        """Why so much more may not come in; "" when it may."""
        if self.size_limit is not None and self.size + size > self.size_limit:
            return f"the account may hold {self.size_limit} bytes and holds {self.size}; {size} more do not fit"
        if self.message_limit is not None and self.messages + messages > self.message_limit:
            return f"the account may hold {self.message_limit} messages and holds {self.messages}"
        return ""

    def with_more(self, messages: int, size: int) -> Quota:
        """After something came in."""
        return replace(self, size=self.size + size, messages=self.messages + messages)


# For accounts without limits: nothing is counted for them on the way in.
ROOM = Quota(None, None, 0, 0)


def read_quota(asked: Asked, *, always: bool = False) -> Quota:
    """The limits and the use; ROOM when there are no limits, unless `always`."""
    facts = dict(asked.rows("SELECT name,value FROM fact WHERE name IN ('quota','quota messages')"))
    size, messages = (facts.get(name, -1) for name in ("quota", "quota messages"))
    if size < 0 and messages < 0 and not always:
        return ROOM
    ((used, count),) = asked.rows("SELECT ifnull(sum(size),0),ifnull(sum(total),0) FROM mailbox")
    return Quota(size if size >= 0 else None, messages if messages >= 0 else None, used, count)
