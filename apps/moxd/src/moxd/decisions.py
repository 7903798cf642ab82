"""Decisions about mail that was refused: lines of JSON, a file a day for each worker, kept for two weeks.

They need no sync: what was refused is still at its sender."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from moxd.decision import Decision, id_number

log = logging.getLogger("moxd.decisions")

KEPT_DAYS = 14
# A flood of refusals must not fill the disk: beyond this a day's file takes no more.
MAX_BYTES = 64 * 1024 * 1024


class RefusalLog:
    """Where one worker writes."""

    def __init__(self, folder: Path, clock: Callable[[], float], index: int) -> None:
        self._folder = folder
        self._clock = clock
        self._index = index
        self._day = ""
        self._file: IO[bytes] | None = None

    def write(self, decision: Decision) -> None:
        """Keeps a record; a disk that takes no more is only logged."""
        try:
            day = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d")
            if day != self._day or self._file is None:
                self._open(day)
            assert self._file is not None
            if self._file.tell() < MAX_BYTES:
                self._file.write(decision.to_json() + b"\n")
                self._file.flush()
        except OSError as error:
            log.warning("record not kept", extra={"error": str(error)})

    def _open(self, day: str) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._day = day
        self._file = (self._folder / f"{day}.{self._index}.jsonl").open("ab")
        for old in sorted({path.name[:10] for path in self._folder.glob("*.jsonl")})[:-KEPT_DAYS]:
            for path in self._folder.glob(f"{old}.*.jsonl"):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def find(folder: Path, id: str) -> Mapping[str, Any] | None:
    """The record with that id among the refusals.  Raises ValueError when `id` is none."""
    id_number(id)
    wanted = f'"id":"{id.strip().lower()}"'.encode()
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        for line in _lines(path):
            if wanted in line[:200]:
                found: Mapping[str, Any] = json.loads(line)
                return found
    return None
