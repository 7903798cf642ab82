"""The TXT record at `_mta-sts.<domain>`, both ways.  RFC 8461 3.1; as a grammar in testing/record.lark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mox_dns import RecordSyntaxError as AnyRecordSyntaxError
from mox_dns import Scanner

VERSION = "v=STSv1"
PREFIX = "_mta-sts"
MAX_ID = 32

_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}(?==)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}(?=[ \t;]|\Z)")
_VALUE = re.compile(r"[!-:<>-~]+")
_OURS = re.compile(rb"v=STSv1[ \t]*(?:;|\Z)")


class RecordSyntaxError(AnyRecordSyntaxError):
    """This is no MTA-STS record: `.text`, `.at` (character offset), `.why`."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a domain says in DNS: an id that changes whenever its policy changes.

    `extensions`: fields that RFC 8461 does not know, in order; they mean nothing."""

    id: str
    extensions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise RecordSyntaxError(self.id, 0, f"an id is 1 to {MAX_ID} letters and digits")

    @classmethod
    def parse(cls, text: str | bytes) -> Record:
        """Reads the text of one TXT record.  Raises RecordSyntaxError."""
        return _Reader(text.decode("latin-1") if isinstance(text, bytes) else text).record()

    @classmethod
    def dated(cls, now: float) -> Record:
        """A record whose id is the time (seconds since 1970) in UTC, as most domains have it: `20261126T093000`."""
        from datetime import UTC, datetime

        return cls(f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}")

    def __str__(self) -> str:
        more = "".join(f" {name}={value};" for name, value in self.extensions)
        return f"{VERSION}; id={self.id};{more}"


def ours(records: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of a name's TXT records that count (RFC 8461 3.1: others are discarded).

    Deviation RFC 8461 3.1: its prose wants "v=STSv1;", its grammar allows white space before the semicolon.  The
    grammar is followed, since to take no notice of a policy is the greater harm; so a record without any field is
    told as a mistake rather than not seen."""
    return tuple(text for text in records if _OURS.match(text))


class _Reader(Scanner):
    """Methods are named after the rules of RFC 8461 3.1."""

    __slots__ = ()

    Error = RecordSyntaxError

    def record(self) -> Record:
        if not self.text.startswith(VERSION):
            self.fail(f"expected {VERSION!r}")
        self.at = len(VERSION)
        found = ""
        extensions: list[tuple[str, str]] = []
        while not self.ended:
            self.need(_DELIMITER, "a semicolon")
            if self.ended:
                break
            name, value = self.field()
            if name != "id":
                extensions.append((name, value))
            elif not found:
                # RFC 8461 3.2: of a field that comes twice, the first counts.
                found = value
        if not found:
            self.fail("no id")
        return Record(found, tuple(extensions))

    def field(self) -> tuple[str, str]:
        name = self.need(_NAME, "the name of a field and '='")[0]
        self.at += 1
        if name == "id":
            return name, self.need(_ID, f"1 to {MAX_ID} letters and digits")[0]
        return name, self.need(_VALUE, "a value")[0]
