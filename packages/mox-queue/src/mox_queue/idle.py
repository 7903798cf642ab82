"""Connections that are kept for the next message to the same place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mox_smtp.aio import ClientConnection

# A host soon tires of an idle connection; what is due comes at once or not at all.
IDLE_SECONDS = 2.0
MOST_MESSAGES = 100
MOST_SECONDS = 300.0


@dataclass(eq=False, slots=True)
class Open:
    """A connection, whom it leads to, and what it has done.  `proof` says what its TLS must have proven, so that a
    message with another requirement does not get it."""

    connection: ClientConnection
    host: str
    proof: object
    since: float
    messages: int = 0


class Idle:
    """Keeps connections a moment after their message.  `now` is a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: dict[str, list[tuple[Open, asyncio.TimerHandle]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, lane: str, fits: Callable[[Open], bool]) -> Open | None:
        """An open connection to that place that fits, or None."""
        waiting = self._waiting.get(lane, [])
        for index, (open_, timer) in enumerate(waiting):
            if open_.connection.usable and fits(open_):
                del waiting[index]
                timer.cancel()
                return open_
        return None

    def give(self, lane: str, open_: Open) -> None:
        """Keeps it for the next, or says goodbye."""
        open_.messages += 1
        if not open_.connection.usable or open_.messages >= MOST_MESSAGES or self._now() - open_.since > MOST_SECONDS:
            self._close(open_)
            return
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._tired, lane, open_)
        self._waiting.setdefault(lane, []).append((open_, timer))

    def _tired(self, lane: str, open_: Open) -> None:
        left = [pair for pair in self._waiting.get(lane, []) if pair[0] is not open_]
        if left:
            self._waiting[lane] = left
        else:
            self._waiting.pop(lane, None)
        self._close(open_)

    def _close(self, open_: Open) -> None:
        task = asyncio.get_running_loop().create_task(open_.connection.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def close(self) -> None:
        """Hangs up on all."""
        for waiting in self._waiting.values():
            for open_, timer in waiting:
                timer.cancel()
                open_.connection.close()
        self._waiting.clear()
        for task in self._closing:
            task.cancel()
