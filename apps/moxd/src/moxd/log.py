"""One formatter for everything: a line per event, `key=value` facts behind it, the connection in a context variable."""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar

connection_id: ContextVar[str] = ContextVar("connection_id", default="")

# Printable ASCII but for space, quotes, equals sign and backslash.
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")
# What every record has; whatever else hangs on it came in as a fact by `extra=`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def quoted(value: object) -> str:
    """A value as it may stand behind `key=`: quoted when it has spaces, and never able to fake a line of its own."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.encode("unicode_escape", "backslashreplace").decode("ascii").replace('"', '\\"') + '"'


class Formatter(logging.Formatter):
    """`2026-01-02T03:04:05.678 info  mox.smtp  message  key=value …`"""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={quoted(value)}" for name, value in vars(record).items() if name not in _OWN)
        if cid := connection_id.get():
            facts = f" cid={cid}{facts}"
        line = f"{self.formatTime(record)} {record.levelname.lower():<7} {record.name:<12} {record.getMessage()}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up(level: str) -> None:
    """Logs of `level` and above go to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio tells of slow callbacks and the like; below warnings that is noise to an administrator.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
