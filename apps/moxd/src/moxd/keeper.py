"""What has to be done regularly, by one process: limits of accounts as configured, and the nightly backup."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import mox_store
from moxd.config import Config
from moxd.shared import NOBODY, Others, put_right

log = logging.getLogger("moxd.keeper")

DAY = 86400


def next_time(now: float, at: str) -> float:
    """When the clock of this place will next show `at` (HH:MM), in seconds since 1970."""
    hour, minute = map(int, at.split(":"))
    here = datetime.fromtimestamp(now).astimezone()
    then = here.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None).astimezone()
    if then.timestamp() <= now:
        then = (then.replace(tzinfo=None) + timedelta(days=1)).astimezone()
    return then.timestamp()


class Keeper:
    """Keeps house."""

    def __init__(
        self,
        store: mox_store.Store,
        config: Callable[[], Config],
        clock: Callable[[], float],
        others: Others = NOBODY,
        sleep: Callable[[float], asyncio.Future[None]] = asyncio.sleep,  # type: ignore[assignment]
    ) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._others = others
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    async def apply(self) -> None:
        """Gives accounts the limits that are configured for them now."""
        for name, settings in self._config().domains.accounts.items():
            retention = round(settings.retention_days * DAY)
            try:
                account = self._store.open(name)
                if (account.quota().size_limit, account.retention()) == (settings.quota, retention):
                    continue

                def run(tx: mox_store.Transaction, size: int | None = settings.quota, keep: int = retention) -> None:
                    tx.set_quota(size=size)
                    tx.set_retention(keep)

                await account.commit(run)
            except mox_store.StoreError as error:
                log.error("limits are not set", extra={"account": name, "error": str(error)})
        names = list(self._others.names())
        try:
            owners = [owner for name in names if (owner := self._others.open(name)) is not None]
            await put_right(self._others, names, owners)
        except mox_store.StoreError as error:
            log.error("who shares with whom is not put right", extra={"error": str(error)})

    def start(self) -> None:
        """Begins."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends; a backup that is being taken is given up, and the next one is none the worse for it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        await self.apply()
        settings = self._config().static.backup
        if settings is None:
            return
        while True:
            await self._sleep(max(0.0, next_time(self._clock(), settings.at) - self._clock()))
            try:
                await self.back_up()
            except Exception:
                # Whatever it was, tomorrow is another night.
                log.exception("no backup")

    async def back_up(self) -> None:
        """Takes a backup now."""
        config = self._config()
        settings = config.static.backup
        assert settings is not None
        backup, now = mox_store.backup.Backup(config.path(settings.folder)), self._clock()
        try:
            outcome = await asyncio.to_thread(backup.take, config.data / "accounts", now)
            if settings.keep:
                await asyncio.to_thread(backup.prune, settings.keep)
        except mox_store.StoreError as error:
            log.error("no backup", extra={"error": str(error)})
            return
        log.info(
            "backed up",
            extra={
                "generation": outcome.generation, "accounts": len(outcome.accounts), "bytes": outcome.written,
                "problems": len(outcome.problems), "seconds": round(self._clock() - now, 1),
            },
        )  # fmt: skip
        for problem in outcome.problems:
            log.error("backup: %s", problem)
