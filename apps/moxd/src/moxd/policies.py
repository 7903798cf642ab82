"""What other domains ask of mail to them, remembered: MTA-STS policies, and how TLS went, for reports about it.

Both are facts in mox_store's State.  A policy must survive a restart: RFC 8461 leans on what was seen first."""

from __future__ import annotations

import hashlib
import json
import logging
from asyncio import Future
from collections.abc import Iterator
from dataclasses import asdict

import mox_mtasts
import mox_store
import mox_tlsrpt

log = logging.getLogger("moxd.policies")

POLICIES = "mtasts"
SESSIONS = "tlsrpt"
# RFC 8460 4.1: a day's report is sent on the next; what nobody has sent after two is of no use.
KEPT_DAYS = 3
DAY = 86400.0


def _noted(future: Future[None]) -> None:
    if not future.cancelled() and future.exception() is not None:
        log.error("a fact cannot be kept", extra={"error": str(future.exception())})


class PolicyCache:
    """mox_mtasts.Cache, durable."""

    def __init__(self, state: mox_store.State) -> None:
        self._state = state

    def get(self, domain: str) -> mox_mtasts.Entry | None:
        """mox_mtasts.Cache"""
        found = self._state.get(POLICIES, domain)
        return _entry(found) if found is not None else None

    def put(self, entry: mox_mtasts.Entry) -> None:
        """mox_mtasts.Cache"""
        value = json.dumps(entry.to_dict()).encode()
        self._state.put(POLICIES, entry.domain, value).add_done_callback(_noted)

    def remove(self, domain: str) -> None:
        """mox_mtasts.Cache"""
        self._state.remove(POLICIES, domain).add_done_callback(_noted)

    def entries(self) -> Iterator[mox_mtasts.Entry]:
        """mox_mtasts.Cache"""
        last = ""
        while rows := self._state.items(POLICIES, last):
            last = rows[-1][0]
            yield from filter(None, (_entry(value) for _, value in rows))


def _entry(value: bytes) -> mox_mtasts.Entry | None:
    """What was kept; None for what cannot be read any more, which is as good as nothing."""
    try:
        return mox_mtasts.Entry.from_dict(json.loads(value))
    except (ValueError, KeyError, TypeError) as error:
        log.warning("a cached policy cannot be read", extra={"error": str(error)})
        return None


class TlsSessions:
    """Counts how TLS went, by day, domain, policy and failure, until its report is made."""

    def __init__(self, state: mox_store.State) -> None:
        self._state = state

    def add(self, count: mox_tlsrpt.Count) -> None:
        """One more session of its kind."""
        kind = json.dumps(asdict(count) | {"sessions": 0}, sort_keys=True, default=str)
        name = f"{count.day}/{count.domain}/{hashlib.sha256(kind.encode()).hexdigest()[:24]}"

        def more(before: bytes | None) -> bytes:
            values = json.loads(before) if before is not None else json.loads(kind)
            values["sessions"] += count.sessions
            return json.dumps(values).encode()

        expires = (count.day + KEPT_DAYS) * DAY
        self._state.update(SESSIONS, name, more, expires).add_done_callback(_noted)

    def rows(self, day: int) -> Iterator[dict[str, object]]:
        """What was counted on a day, as plain data."""
        prefix, last = f"{day}/", f"{day}/"
        while rows := self._state.items(SESSIONS, last):
            last = rows[-1][0]
            for name, value in rows:
                if not name.startswith(prefix):
                    return
                yield json.loads(value)
