"""IMAP URLs of messages and their parts (RFC 5092), with the words of URLAUTH (RFC 4467)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_URL: Final = 8000

_SERVER = re.compile(r"imap://(?:([^/@;]*)(;auth=[^/@]*)?@)?([^/@]*)(/.*)?\Z", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_URLAUTH = re.compile(
    r"(?:;expire=([^;]*))?;urlauth=([a-z]+(?:\+[^:;/]*)?)(?::([^:]+):([0-9a-f]{32,}))?\Z", re.IGNORECASE
)
_MESSAGE = re.compile(
    r"(?P<mailbox>.*?)(?:;uidvalidity=(?P<uidvalidity>[1-9]\d{0,9}))?/?;uid=(?P<uid>[1-9]\d{0,9})"
    r"(?:/?;section=(?P<section>[^;]*?))?(?:/?;partial=(?P<start>\d{1,18})(?:\.(?P<length>[1-9]\d{0,17}))?)?\Z",
    re.IGNORECASE,
)


class UrlSyntaxError(ValueError):
    """A text is no IMAP URL of a message."""


@dataclass(frozen=True, slots=True)
class Access:
    """The end of a URL that others may use (RFC 4467 7): `anonymous`, `authuser`, `user+x` or `submit+x`, until when,
    and the proof.  `rump` is what is signed."""

    identifier: str
    rump: str
    expires: float | None = None
    mechanism: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """A message or a part of it; relative when `host` is None, in the open mailbox when `mailbox` is ""."""

    mailbox: str
    uid: int
    uidvalidity: int = 0
    section: str = ""
    start: int = -1
    length: int = 0  # 0: to the end
    user: str = ""
    host: str | None = None
    access: Access | None = None

    @classmethod
    def parse(cls, text: str) -> MessageUrl:
        """Reads a URL.  Raises UrlSyntaxError."""
        if len(text) > MAX_URL or not text.isascii() or not text.isprintable():
            raise UrlSyntaxError("a URL has printable ASCII only, and an end")
        user, host, path = "", None, text
        if _SCHEME.match(text):
            match = _SERVER.match(text)
            if match is None:
                raise UrlSyntaxError("imap://host/ is expected")
            user, host, path = _decoded(match[1] or ""), match[3], match[4] or ""
        access, path = _access(text, path)
        match = _MESSAGE.match(path)
        if match is None or (host is not None and not path.startswith("/")):
            raise UrlSyntaxError("a URL of a message has a mailbox and ;UID=")
        return cls(
            mailbox=_decoded(match["mailbox"].strip("/")),
            uid=int(match["uid"]),
            uidvalidity=int(match["uidvalidity"] or 0),
            section=_decoded(match["section"] or ""),
            start=int(match["start"]) if match["start"] else -1,
            length=int(match["length"] or 0),
            user=user,
            host=host,
            access=access,
        )


def _access(text: str, path: str) -> tuple[Access | None, str]:
    match = _URLAUTH.search(path)
    if match is None:
        return None, path
    expires = None
    if match[1] is not None:
        try:
            moment = datetime.fromisoformat(match[1].upper().replace("Z", "+00:00"))
            expires = moment.timestamp() if moment.tzinfo is not None else None
        except (ValueError, OverflowError):
            expires = None
        if expires is None:
            raise UrlSyntaxError("EXPIRE has a date-time with its zone")
    proof = len(match[3] or "") + len(match[4] or "") + 2 if match[4] else 0
    rump = text[: len(text) - proof]
    return Access(match[2], rump, expires, (match[3] or "").upper(), (match[4] or "").lower()), path[: match.start()]


def _decoded(text: str) -> str:
    try:
        found = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise UrlSyntaxError("not UTF-8") from None
    if "\0" in found:
        raise UrlSyntaxError("NUL")
    return found
