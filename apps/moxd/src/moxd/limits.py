"""How often may somebody do something: counted in fixed windows, by address and by the networks around it.

Pure: `now` is an argument.  A single host, its neighbours and its provider each have their own ceiling, so that a
botnet in one data centre is slowed as a whole while one mistyped password harms nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

IpAddress = IPv4Address | IPv6Address
# Networks that are counted together: the host, the rack, the provider's block.
V4_CLASSES = (32, 26, 21)
V6_CLASSES = (64, 48, 32)
# Beyond this many counted networks the window is closed early, so that a scan from everywhere cannot fill memory.
MAX_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most `counts` (host, rack, block) in `seconds`."""

    seconds: float
    counts: tuple[int, int, int]


UNLIMITED = 1 << 62
FAILED_LOGINS_PER_MINUTE = Ceiling(60, (10, 30, 90))
FAILED_LOGINS_PER_DAY = Ceiling(86400, (50, 150, 450))


def networks(ip: IpAddress) -> Iterator[tuple[int, int]]:
    """(class index and family, network number) of each network that `ip` is counted in."""
    bits, classes, family = (32, V4_CLASSES, 4) if ip.version == 4 else (128, V6_CLASSES, 6)
    number = int(ip)
    for index, length in enumerate(classes):
        yield family * 10 + index, number >> (bits - length)


def per_minute(count: int) -> Ceiling:
    """A ceiling for a host, three times it for its rack, nine times for its block; 0 is no limit."""
    return Ceiling(60, (count, 3 * count, 9 * count)) if count else Ceiling(60, (UNLIMITED, UNLIMITED, UNLIMITED))


class Limiter:
    """Counts events against one ceiling."""

    def __init__(self, ceiling: Ceiling) -> None:
        self._ceiling = ceiling
        self._window = -1
        self._counts: dict[tuple[int, int], int] = {}

    def _turn(self, now: float) -> None:
        window = int(now // self._ceiling.seconds)
        if window != self._window or len(self._counts) > MAX_COUNTED:
            self._window = window
            self._counts.clear()

    def would_allow(self, ip: IpAddress, now: float) -> bool:
        """Is there room for one more?  Counts nothing."""
        self._turn(now)
        return all(self._counts.get(key, 0) < self._ceiling.counts[key[0] % 10] for key in networks(ip))

    def note(self, ip: IpAddress, now: float) -> None:
        """Counts one."""
        self._turn(now)
        for key in networks(ip):
            self._counts[key] = self._counts.get(key, 0) + 1

    def allow(self, ip: IpAddress, now: float) -> bool:
        """Counts one if there is room, and says whether there was."""
        if not self.would_allow(ip, now):
            return False
        self.note(ip, now)
        return True

    def forgive(self, ip: IpAddress) -> None:
        """A success: the host starts anew, its networks lose what the host had added."""
        keys = list(networks(ip))
        had = self._counts.get(keys[0], 0)
        for key in keys:
            self._counts[key] = max(0, self._counts.get(key, 0) - had)


class LoginLimits:
    """Failed logins of an address, by minute and by day."""

    def __init__(self) -> None:
        self._limiters = (Limiter(FAILED_LOGINS_PER_MINUTE), Limiter(FAILED_LOGINS_PER_DAY))

    def would_allow(self, ip: IpAddress, now: float) -> bool:
        """May this address try a password?"""
        return all(limiter.would_allow(ip, now) for limiter in self._limiters)

    def failed(self, ip: IpAddress, now: float) -> None:
        """A wrong password."""
        for limiter in self._limiters:
            limiter.note(ip, now)

    def succeeded(self, ip: IpAddress) -> None:
        """A right one."""
        for limiter in self._limiters:
            limiter.forgive(ip)
