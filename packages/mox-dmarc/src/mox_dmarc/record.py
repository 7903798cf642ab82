"""The policy record at `_dmarc.<domain>`, both ways.  RFC 9989 4.7 and 4.8; pct and ri of RFC 7489 6.3.

    Record       the policy; keeps what is valid and says what is not
    Problem      one thing that is wrong with the text, and where
    ReportUri    one address of rua= or ruf=

A broken tag loses its own meaning only; the rest of the record stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from mox_dns import scanner
from mox_dns.taglist import Tag, TagList

VERSION = "DMARC1"

# A record of more characters is not read; a name's TXT answer can be much larger than any policy.
MAX_RECORD = 8192
MAX_URIS = 20
MAX_SIZE = (1 << 63) - 1

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
# RFC 3986 3, as far as it matters: a scheme, something behind it, and only characters that a URI may have.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")
_SIZE = re.compile(r"(.*)!([0-9]{1,19})([kmgt]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class RecordSyntaxError(scanner.RecordSyntaxError):
    """This is no DMARC record at all: `.text`, `.at` (character offset), `.why`."""


class Request(StrEnum):
    """What p=, sp= and np= may ask for."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def lowered(self) -> Request:
        """One level below: what t=y makes of it."""
        return Request.QUARANTINE if self is Request.REJECT else Request.NONE


class Strictness(StrEnum):
    """What adkim= and aspf= may ask for."""

    RELAXED = "r"
    STRICT = "s"


class Psd(StrEnum):
    """What psd= says about the domain that publishes the record."""

    YES = "y"  # a public suffix: others register below it
    NO = "n"  # an Organizational Domain
    UNKNOWN = "u"  # look further up


@dataclass(frozen=True, slots=True)
class ReportUri:
    """Where reports go.  `max_size` (octets) is the obsolete `!10m`, which RFC 9989 reporters ignore."""

    uri: str
    max_size: int | None = None

    @property
    def mail_address(self) -> str | None:
        """The address of a mailto: URI, percent signs undone; None for other schemes."""
        from urllib.parse import unquote

        scheme, _, rest = self.uri.partition(":")
        return unquote(rest.partition("?")[0]) if scheme.lower() == "mailto" else None

    def __str__(self) -> str:
        return self.uri if self.max_size is None else f"{self.uri}!{self.max_size}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a record: the tag, the character offset of it, and why."""

    tag: str
    at: int
    why: str

    def __str__(self) -> str:
        return f"{self.why} (character {self.at})"


@dataclass(frozen=True, slots=True)
class Record:
    """A domain's policy.  A tag with an invalid value has its default here and stands in `problems`.

    `p`, `sp` and `np` are None where they are absent or invalid; `effective_p` and `for_subdomain` say what counts."""

    p: Request | None = None
    sp: Request | None = None
    np: Request | None = None
    adkim: Strictness = Strictness.RELAXED
    aspf: Strictness = Strictness.RELAXED
    psd: Psd = Psd.UNKNOWN
    testing: bool = False
    rua: tuple[ReportUri, ...] = ()
    ruf: tuple[ReportUri, ...] = ()
    fo: tuple[str, ...] = ("0",)
    pct: int = 100  # historic: RFC 7489 6.3
    ri: int = 86400  # historic
    problems: tuple[Problem, ...] = ()
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Record:
        """One TXT record, its strings joined.

        Raises RecordSyntaxError only where the text does not begin with v=DMARC1, which is the same as no record."""
        return _record(text)

    @property
    def usable(self) -> bool:
        """Is there a policy to apply?  RFC 9989 4.10.1: with an invalid one only if somebody wants reports."""
        return self._valid or bool(self.rua)

    @property
    def effective_p(self) -> Request:
        """The policy for the domain that publishes the record."""
        return self.p if self._valid and self.p is not None else Request.NONE

    def for_subdomain(self, *, exists: bool) -> Request:
        """The policy for a domain below, which exists in DNS or not.  RFC 9989 4.7, sp and np."""
        if not self._valid:
            return Request.NONE
        if not exists and self.np is not None:
            return self.np
        return self.effective_p if self.sp is None else self.sp

    @property
    def _valid(self) -> bool:
        """A valid p=, and no invalid sp= or np=."""
        return self.p is not None and not any(problem.tag in ("p", "sp", "np") for problem in self.problems)

    def __str__(self) -> str:
        """The text to publish; defaults are left out."""
        tags = [f"v={VERSION}"]
        tags += [f"{name}={value}" for name, value in (("p", self.p), ("sp", self.sp), ("np", self.np)) if value]
        tags += [f"{name}=s" for name, value in (("adkim", self.adkim), ("aspf", self.aspf)) if value == "s"]
        tags += [f"psd={self.psd}"] if self.psd is not Psd.UNKNOWN else []
        tags += ["t=y"] if self.testing else []
        tags += [f"{name}={','.join(map(str, uris))}" for name, uris in (("rua", self.rua), ("ruf", self.ruf)) if uris]
        tags += [f"fo={':'.join(self.fo)}"] if self.fo != ("0",) else []
        tags += [f"pct={self.pct}"] if self.pct != 100 else []
        tags += [f"ri={self.ri}"] if self.ri != 86400 else []
        return "; ".join(tags)


@lru_cache(maxsize=1024)
def _record(text: str) -> Record:
    if len(text) > MAX_RECORD:
        raise RecordSyntaxError(text, MAX_RECORD, f"longer than {MAX_RECORD} characters")
    begin = _VERSION.match(text)
    if begin is None:
        raise RecordSyntaxError(text, 0, "does not begin with v=DMARC1")
    tags = TagList.parse(text, strict=False)
    problems = [Problem("", defect.at, defect.why) for defect in tags.defects]
    problems += [Problem("", tag.at, f"a second {tag.name}= is ignored") for tag in tags.duplicates]
    problems += [Problem("", at, "a line end") for at in (text.find("\r"), text.find("\n")) if at >= 0]
    values: dict[str, Any] = {}
    for tag in tags.by_name.values():
        _read(tag, values, problems)
    if "p" not in tags.by_name:
        problems.append(Problem("", len(text), "no p=; counts as p=none, and only beside a rua="))
    return Record(**values, problems=tuple(sorted(problems, key=lambda problem: problem.at)), text=text)


def _read(tag: Tag, values: dict[str, Any], problems: list[Problem]) -> None:
    """RFC 9989 4.8: a value that breaks its rule is dropped for itself, the rest of the record stays."""
    if tag.name == "v":
        return
    rule = TAGS.get(tag.name)
    if rule is None:
        problems.append(Problem("", tag.at, f"unknown tag {tag.name[:20]!r} is ignored"))
        return
    try:
        values[rule.field] = rule.read(tag.value, lambda why: problems.append(Problem("", tag.at, why)))
    except ValueError as error:
        problems.append(Problem(tag.name, tag.at, f"{tag.name}= {error}"))


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a tag's value is read, and into which field.  `read` raises ValueError with the complaint."""

    field: str
    read: Callable[[str, Callable[[str], None]], object]


def _request(value: str, _: object) -> Request:
    try:
        return Request(value.lower())
    except ValueError:
        raise ValueError(f"is {value[:20]!r}, not none, quarantine or reject") from None


def _strictness(value: str, _: object) -> Strictness:
    try:
        return Strictness(value.lower())
    except ValueError:
        raise ValueError(f"is {value[:20]!r}, not r or s") from None


def _psd(value: str, _: object) -> Psd:
    try:
        return Psd(value.lower())
    except ValueError:
        raise ValueError(f"is {value[:20]!r}, not y, n or u") from None


def _testing(value: str, _: object) -> bool:
    if value.lower() not in ("y", "n"):
        raise ValueError(f"is {value[:20]!r}, not y or n")
    return value.lower() == "y"


def _percent(value: str, _: object) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= 100):
        raise ValueError(f"is {value[:20]!r}, not a number from 0 to 100")
    return int(value)


def _seconds(value: str, _: object) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and int(value) < 1 << 32):
        raise ValueError(f"is {value[:20]!r}, not a number of seconds")
    return int(value)


def _uris(value: str, complain: Callable[[str], None]) -> tuple[ReportUri, ...]:
    """RFC 9989 4.8, dmarc-urilist; addresses that are none are left out."""
    made: list[ReportUri] = []
    for item in value.split(","):
        item = item.strip(" \t")
        size = _SIZE.match(item)
        uri = size[1] if size else item
        if not _URI.match(uri) or "!" in uri:
            complain(f"{item[:40]!r} is no URI")
        elif len(made) == MAX_URIS:
            complain(f"more than {MAX_URIS} addresses; the rest is ignored")
            break
        else:
            made.append(ReportUri(uri, min(int(size[2]) * _UNITS[size[3].lower()], MAX_SIZE) if size else None))
    return tuple(made)


def _failure_options(value: str, complain: Callable[[str], None]) -> tuple[str, ...]:
    """RFC 9989 4.7, fo: 0 and 1 exclude each other."""
    made: list[str] = []
    for item in value.lower().split(":"):
        item = item.strip(" \t")
        if item not in ("0", "1", "d", "s") or item in made:
            complain(f"fo= lists {item[:20]!r}, which is unknown or there already")
        elif {item, *made} >= {"0", "1"}:
            complain("fo= lists both 0 and 1; the first counts")
        else:
            made.append(item)
    if not made:
        raise ValueError("lists nothing known")
    return tuple(made)


TAGS = {
    "p": _Rule("p", _request),
    "sp": _Rule("sp", _request),
    "np": _Rule("np", _request),
    "adkim": _Rule("adkim", _strictness),
    "aspf": _Rule("aspf", _strictness),
    "psd": _Rule("psd", _psd),
    "t": _Rule("testing", _testing),
    "rua": _Rule("rua", _uris),
    "ruf": _Rule("ruf", _uris),
    "fo": _Rule("fo", _failure_options),
    "pct": _Rule("pct", _percent),
    "ri": _Rule("ri", _seconds),
}
