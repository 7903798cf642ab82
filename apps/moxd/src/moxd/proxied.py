"""The PROXY header in front of IMAP: read by mox_smtp, demanded by mox_imap."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import mox_smtp
from mox_imap import aio as imap_aio

Networks = tuple[IPv4Network | IPv6Network, ...]


class _Preamble:
    """mox_imap.aio.Preamble"""

    def __init__(self) -> None:
        self._reader = mox_smtp.ProxyReader()

    @property
    def wanted(self) -> int:
        return self._reader.wanted

    def feed(self, data: bytes) -> imap_aio.Origin | None:
        header = self._reader.feed(data)
        return imap_aio.Origin(header.source) if header is not None else None


def preamble(networks: Networks) -> Callable[[IPv4Address | IPv6Address], imap_aio.Preamble | None]:
    """Who connects from one of the networks must say for whom."""
    return lambda peer: _Preamble() if any(peer in network for network in networks) else None
