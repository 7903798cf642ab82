"""Header fields as raw bytes with their offsets: what DKIM signs, what DMARC reads and what IMAP shows is one reading.

A header is cut into pieces in C; a `Field` is made only for what is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

# Beyond these the rest of a header is not split into fields: nobody writes so much, and the work for one message stays
# bounded.  `truncated` says so, because a field that we do not see may be the one that others go by.
MAX_HEADER = 1024 * 1024
MAX_FIELDS = 10_000
MAX_DEFECTS = 20
BARE_LF = "an LF without CR in the header"

_EMPTY_LINE = re.compile(rb"\n\r?\n")
# RFC 5322 2.2.3: a line end is the end of a field unless white space follows it.
_FIELD_END = re.compile(rb"\n(?![ \t])")
_NAME = re.compile(rb"[!-9;-~]+[ \t]*\Z")  # RFC 5322 3.6.8, and 4.5: white space before the colon

# As they are written most: to lower case without work.
_COMMON = (
    "ARC-Authentication-Results ARC-Message-Signature ARC-Seal Authentication-Results Auto-Submitted Bcc Cc Comments "
    "Content-Description Content-Disposition Content-ID Content-Id Content-Language Content-Location Content-MD5 "
    "Content-Transfer-Encoding Content-Type DKIM-Signature Date Delivered-To Errors-To Feedback-ID From Importance "
    "In-Reply-To Keywords List-Archive List-Help List-ID List-Id List-Owner List-Post List-Subscribe List-Unsubscribe "
    "List-Unsubscribe-Post MIME-Version Message-ID Message-Id Mime-Version Organization Precedence Priority Received "
    "Received-SPF References Reply-To Resent-Date Resent-From Resent-Message-ID Resent-To Return-Path Sender Subject "
    "Thread-Index Thread-Topic To User-Agent X-Forwarded-To X-Google-DKIM-Signature X-Google-Smtp-Source "
    "X-Gm-Message-State X-MS-Exchange-Organization-SCL X-Mailer X-Originating-IP X-Priority X-Received X-Spam-Flag "
    "X-Spam-Level X-Spam-Score X-Spam-Status"
)
_NAMES = {
    spelling.encode() + b":": name.lower()
    for name in _COMMON.split()
    for spelling in (name, name.lower(), name.upper(), name.title())
}


class Field(NamedTuple):
    """One field.  `raw` is the whole of it with its final line end; `colon` is where in `raw` the colon is."""

    name: str  # lower case
    raw: bytes
    start: int  # offset in the message
    colon: int

    @property
    def spelling(self) -> str:
        """The name as it is written."""
        return self.raw[: self.colon].rstrip(b" \t").decode("ascii", "replace")

    @property
    def value(self) -> bytes:
        """What follows the colon, folded as it came, with the final line end."""
        return self.raw[self.colon + 1 :]

    @property
    def text(self) -> str:
        """The value unfolded (RFC 5322 2.2.3) and stripped; octets that are not UTF-8 become surrogates."""
        value = self.raw[self.colon + 1 :].strip(b" \t\r\n")
        if b"\n" in value:
            value = value.replace(b"\r\n", b"").replace(b"\n", b"")
        return value.decode("utf-8", "surrogateescape")


class Fields:
    """The header of a message or a part, in order.

    `start` and `end` are offsets in the message; the body begins at `end`.  `closed`: an empty line ended the header.
    `truncated`: it is longer than our limits, so it may have fields that are not here.  `defects` say what was odd."""

    __slots__ = ("_by_name", "_pieces", "_starts", "closed", "defects", "end", "names", "start", "truncated")

    names: list[str]  # lower case, one for each field

    def __init__(self, names: list[str], pieces: list[bytes], start: int, end: int) -> None:
        self.names = names
        self._pieces = pieces  # each field without the LF at its end
        self._starts: list[int] | None = None
        self._by_name: dict[str, list[int]] | None = None
        self.start = start
        self.end = end
        self.closed = True
        self.truncated = False
        self.defects: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, start: int = 0, stop: int | None = None, *, base: int = 0) -> Fields:
        """The fields at `start` of `data`, up to the empty line or `stop`.  `base` is added to every offset that is
        told, for data that was cut from a message.  Never raises; linear."""
        last = len(data) if stop is None else min(stop, len(data))
        block_end, end, closed = _header_end(data, start, last)
        block = data[start:block_end]
        pieces = _FIELD_END.split(block, MAX_FIELDS)
        rest = pieces.pop()  # b"" behind the last line end, as a rule
        too_many = len(pieces) == MAX_FIELDS and rest != b""
        if rest and not too_many:
            pieces.append(_Unended(rest))
        known = _NAMES.get
        names = [known(piece[: piece.find(b":") + 1], "") for piece in pieces]
        fields = cls(names, pieces, base + start, base + end)
        fields.closed = closed
        defects: list[str] = []
        if not closed:
            fields.truncated = end < last
            defects.append(
                f"header longer than {MAX_HEADER} octets" if end < last else "no empty line after the header"
            )
        if too_many:
            fields.truncated = True
            defects.append(f"more than {MAX_FIELDS} header fields")
        elif rest:
            defects.append("the last header line has no line end")
        if "" in names:
            fields._read_names(defects)
        _look_at_octets(block, defects)
        if defects:
            fields.defects = tuple(defects[:MAX_DEFECTS])
        return fields

    def all(self, name: str) -> list[Field]:
        """Every field of that name (in any case), in order."""
        return [self[index] for index in self._places(name)]

    def first(self, name: str) -> Field | None:
        """The first field of that name (in any case)."""
        found = self._places(name)
        return self[found[0]] if found else None

    def text(self, name: str) -> str | None:
        """`first(name).text`, or None; quicker."""
        found = (self._by_name or self._index()).get(name) or self._places(name)
        return self.text_at(found[0]) if found else None

    def text_at(self, index: int) -> str:
        """`self[index].text`, quicker."""
        value = self._pieces[index].split(b":", 1)[1].strip(b" \t\r\n")
        if b"\n" in value:
            value = value.replace(b"\r\n", b"").replace(b"\n", b"")
        return value.decode("utf-8", "surrogateescape")

    def raw_at(self, index: int) -> bytes:
        """`self[index].raw`, quicker."""
        piece = self._pieces[index]
        # The cut took the LF of every piece but of the one that never had any.
        return piece + b"\n" if piece.__class__ is bytes else bytes(piece)

    def count(self, name: str) -> int:
        """How many fields have that name (in any case)."""
        return len(self._places(name))

    def __iter__(self) -> Iterator[Field]:
        return map(self.__getitem__, range(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._places(name))

    def __getitem__(self, index: int) -> Field:
        starts = self._starts or self._count_starts()
        piece = self._pieces[index]
        # The cut took the LF of every piece but of the one that never had any.
        raw = piece + b"\n" if piece.__class__ is bytes else bytes(piece)
        return Field(self.names[index], raw, starts[index], piece.index(b":"))

    def _places(self, name: str) -> list[int] | tuple[()]:
        by_name = self._by_name or self._index()
        found = by_name.get(name)
        return found if found is not None else by_name.get(name.lower(), ())

    def _index(self) -> dict[str, list[int]]:
        by_name: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            if name in by_name:
                by_name[name].append(index)
            else:
                by_name[name] = [index]
        self._by_name = by_name
        return by_name

    def _count_starts(self) -> list[int]:
        # Fields stand one after the other, so lengths tell; _read_names counts them before it leaves any out.
        self._starts = list(accumulate([len(piece) + 1 for piece in self._pieces[:-1]], initial=self.start))
        return self._starts

    def _read_names(self, defects: list[str]) -> None:
        """Names that are not in our table; lines that are no fields are left out."""
        starts = self._count_starts()
        kept: list[int] = []
        for index, piece in enumerate(self._pieces):
            name = self.names[index] = self.names[index] or _name(piece)
            if name:
                kept.append(index)
            elif len(defects) < MAX_DEFECTS:
                defects.append(f"line at {starts[index]} is not a header field")
        if len(kept) < len(self.names):
            self.names = [self.names[index] for index in kept]
            self._pieces = [self._pieces[index] for index in kept]
            self._starts = [starts[index] for index in kept]


class _Unended(bytes):
    """The last piece of a header that stops without a line end."""


def _header_end(data: bytes, start: int, last: int) -> tuple[int, int, bool]:
    """(end of the field lines, start of the body, was there an empty line).  An empty line written with a bare LF ends
    the header as well, wherever it stands: that is how everybody reads it."""
    if data.startswith((b"\r\n", b"\n"), start, last):
        return start, start + (1 if data.startswith(b"\n", start) else 2), True
    limit = min(last, start + MAX_HEADER)
    found = _EMPTY_LINE.search(data, start, limit)
    if found is not None:
        return found.start() + 1, found.end(), True
    if limit == last:
        return last, last, False
    cut = data.rfind(b"\n", start, limit) + 1 or limit
    return cut, cut, False


def _name(piece: bytes) -> str:
    """The name of a field in lower case; "" when it is none (RFC 5322 3.6.8; 4.5: white space before the colon)."""
    name, colon, _ = piece.partition(b":")
    if not colon or _NAME.match(name) is None:
        return ""
    return name.decode("ascii").rstrip(" \t").lower()


def _look_at_octets(block: bytes, defects: list[str]) -> None:
    """Line ends and NUL, which others may read as something else than we do."""
    rest = block.replace(b"\r\n", b"")
    if b"\r" in rest:
        defects.append("a CR without LF in the header")
    if b"\n" in rest:
        defects.append(BARE_LF)
    if b"\0" in rest:
        defects.append("a NUL in the header")
