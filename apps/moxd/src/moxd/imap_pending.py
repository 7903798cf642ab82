"""The store's futures as mox_imap's Pendings: results and errors in IMAP's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import mox_imap
import mox_store


def told(error: BaseException) -> BaseException:
    """An error of the store as one that a client is told."""
    if isinstance(error, mox_store.MailboxError):
        return mox_imap.BackendError(error.code, str(error))
    if isinstance(error, mox_store.StoreError):
        return mox_imap.BackendError("SERVERBUG", "could not be written to disk now")
    return error


class Mapped:
    """A future whose result and errors are put into IMAP's words."""

    def __init__(self, future: asyncio.Future[Any] | Listed, turn: Callable[[Any], Any] = lambda value: value) -> None:
        self._future = future
        self._turn = turn

    def done(self) -> bool:
        """mox_imap.Pending"""
        return self._future.done()

    def result(self) -> Any:
        """mox_imap.Pending"""
        try:
            return self._turn(self._future.result())
        except Exception as error:
            raise told(error) from error

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """mox_imap.Pending: it is this that is done, for whoever asks which one it was."""
        self._future.add_done_callback(lambda _: callback(self))
        return None


class Listed:
    """A future of one as a future of a list, without a task."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future
        self.done = future.done
        self.add_done_callback = future.add_done_callback

    def result(self) -> list[Any]:
        """mox_imap.Pending"""
        return [self._future.result()]
