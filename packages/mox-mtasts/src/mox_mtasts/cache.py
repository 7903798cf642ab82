"""What is kept of policies, and for how long.  RFC 8461 3.3, 5.1 and 10.2.

valid     until max_age seconds after the fetch; a valid policy holds whatever DNS and HTTPS say since
tried     a fetch that failed is not repeated for the same id within five minutes
due       a policy in use is fetched anew once a day, so that nobody who blocks the fetch can wait for its end
forgotten one that is over, or that no mail has asked for in half a year"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mox_mtasts.policy import Mode, Policy

# RFC 8461 3.3: "a period of five minutes or longer per version ID" between fetches that fail.
RETRY = 300
# RFC 8461 10.2 proposes to look once a day; half of it leaves a second chance.
REFRESH = 12 * 3600
UNUSED = 180 * 86400
USED_STEP = 3600
MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a domain (A-form).  Times are seconds since 1970.

    `policy` was fetched when the record's id was `id`; None where no fetch has ever gone well.  `tried` is the id of
    the fetch that failed last, `failure` and `why` say how; it is not tried again before `retry`."""

    domain: str
    id: str = ""
    policy: Policy | None = None
    fetched: float = 0
    expires: float = 0
    used: float = 0
    tried: str = ""
    retry: float = 0
    failure: str = ""
    why: str = ""

    def valid(self, now: float) -> bool:
        """There is a policy, and it has not expired."""
        return self.policy is not None and now < self.expires

    def seen(self, now: float) -> Entry:
        """The same, used now; unchanged where that is known to the hour, so that not every message is a write."""
        return self if 0 <= now - self.used < USED_STEP else replace(self, used=now)

    def renewed(self, id: str, policy: Policy, now: float) -> Entry:
        """After a fetch that went well."""
        return Entry(self.domain, id, policy, now, now + policy.max_age, self.used)

    def failed(self, id: str, failure: str, why: str, now: float) -> Entry:
        """After a fetch that did not."""
        return replace(self, tried=id, retry=now + RETRY, failure=failure, why=why)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "id": self.id,
            "policy": self.policy.to_dict() if self.policy is not None else None,
            "fetched": self.fetched,
            "expires": self.expires,
            "used": self.used,
            "tried": self.tried,
            "retry": self.retry,
            "failure": self.failure,
            "why": self.why,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Entry:
        """What `to_dict` gave, for those who keep it.  Raises ValueError, KeyError or TypeError for anything else."""
        policy = values["policy"]
        if policy is not None:
            pairs = tuple((str(name), str(value)) for name, value in policy["extensions"])
            policy = Policy(Mode(policy["mode"]), tuple(policy["mx"]), policy["max_age"], pairs)
        return cls(**{**values, "policy": policy})


class Cache(Protocol):
    """Where entries are kept.  Whoever keeps them on disk must not lose them: RFC 8461 leans on what was seen first."""

    def get(self, domain: str) -> Entry | None:
        """The entry of a domain in A-form."""
        ...

    def put(self, entry: Entry) -> None:
        """Keeps an entry in place of the domain's former one."""
        ...

    def remove(self, domain: str) -> None:
        """Forgets a domain."""
        ...

    def entries(self) -> Iterable[Entry]:
        """Every entry."""
        ...


class MemoryCache:
    """A Cache in memory.  Of more than `max_entries` the one is dropped whose use was written longest ago."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: dict[str, Entry] = {}
        self._max = max_entries

    def get(self, domain: str) -> Entry | None:
        """Cache"""
        return self._entries.get(domain)

    def put(self, entry: Entry) -> None:
        """Cache"""
        self._entries.pop(entry.domain, None)
        self._entries[entry.domain] = entry
        while len(self._entries) > self._max:
            del self._entries[next(iter(self._entries))]

    def remove(self, domain: str) -> None:
        """Cache"""
        self._entries.pop(domain, None)

    def entries(self) -> Iterator[Entry]:
        """Cache"""
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)


def due(entries: Iterable[Entry], now: float, every: float = REFRESH) -> tuple[str, ...]:
    """The domains whose policy should be fetched anew; the one that expires first in front.

    Whoever does it spreads them over time, so that the hosts of many domains are not all asked at once."""
    wanted = [entry for entry in entries if _due(entry, now, every)]
    return tuple(entry.domain for entry in sorted(wanted, key=lambda entry: entry.expires))


def _due(entry: Entry, now: float, every: float) -> bool:
    return entry.valid(now) and not over(entry, now) and entry.fetched + every <= now and entry.retry <= now


def forgotten(entries: Iterable[Entry], now: float) -> tuple[str, ...]:
    """The domains whose entry says nothing any more."""
    return tuple(entry.domain for entry in entries if over(entry, now))


def over(entry: Entry, now: float) -> bool:
    """The entry says nothing any more, or no mail has asked for it in long."""
    if entry.retry > now:
        return False
    return not entry.valid(now) or entry.used + UNUSED <= now
