"""Addresses with which a developer makes localserve fail on purpose.

    temperror@…           4xx when the message has come        mailfrom:… rcptto:… as a prefix: already at that command
    permerror@…           5xx
    452@… 550@…           that very code
    timeout@…             no answer for an hour

They work in MAIL FROM and RCPT TO, and at delivery from the queue, so that bounces can be tried as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Stage = Literal["mailfrom", "rcptto", "data"]
TIMEOUT_SECONDS = 3600.0

_MAGIC = re.compile(r"(?P<stage>mailfrom|rcptto)?(?P<what>temperror|permerror|timeout|[45][0-9][0-9])", re.ASCII)
_CODES = {"temperror": 451, "permerror": 550}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a magic address asks for: a reply code, or None for silence; and when."""

    stage: Stage
    code: int | None

    @property
    def text(self) -> str:
        """The reply's text."""
        return "as the magic address asked for"

    @property
    def enhanced(self) -> str:
        """The reply's enhanced status code."""
        return f"{self.code // 100 if self.code else 4}.3.0"


def trouble(localpart: str) -> Trouble | None:
    """The trouble that `localpart` asks for; None: it is an ordinary address."""
    match = _MAGIC.fullmatch(localpart.lower())
    if match is None:
        return None
    stage: Stage = "data"
    if match["stage"] == "mailfrom":
        stage = "mailfrom"
    elif match["stage"] == "rcptto":
        stage = "rcptto"
    what = match["what"]
    return Trouble(stage, None if what == "timeout" else _CODES.get(what) or int(what))
