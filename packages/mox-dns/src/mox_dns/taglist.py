"""Lists of tags, `v=DKIM1; k=rsa; p=…`: RFC 6376 3.2, shared by the records and fields written so.

    TagList.parse(text)                 every mistake is an error
    TagList.parse(text, strict=False)   mistakes are noted and passed over: `.defects`, `.duplicates`

Names are kept as they are written, because RFC 6376 3.2 tells their case apart.  What a value means is the caller's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mox_dns.scanner import RecordSyntaxError

# Tags in one list; a DKIM signature has about twelve.
MAX_TAGS = 100

_WHITE = " \t\r\n"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
# Control characters but white space.  What is beyond ASCII is left to the caller: RFC 8616 has UTF-8 in some values.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Line ends that fold nothing, RFC 6376 2.8: FWS = [*WSP CRLF] 1*WSP.  The last may end the field itself.
_LINE_END = re.compile(r"\r(?!\n(?:[ \t]|\Z))|(?<!\r)\n|\r\n[ \t]+\r")


class TagListSyntaxError(RecordSyntaxError):
    """This is no tag list: `.text`, `.at`, `.why`."""


class Tag(NamedTuple):
    """One `name=value`, without white space around either; `at` and `value_at` are their character offsets."""

    name: str
    value: str
    at: int
    value_at: int


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags in order; `by_name` has the first of each name, `duplicates` the others."""

    tags: tuple[Tag, ...]
    by_name: Mapping[str, Tag]
    duplicates: tuple[Tag, ...] = ()
    defects: tuple[TagListSyntaxError, ...] = ()

    @classmethod
    def parse(cls, text: str, *, strict: bool = True) -> TagList:
        """Raises TagListSyntaxError if `strict`; else never."""
        tags: list[Tag] = []
        by_name: dict[str, Tag] = {}
        duplicates: list[Tag] = []
        defects: list[TagListSyntaxError] = []
        pieces = text.split(";", MAX_TAGS)
        if strict and (wrong := _LINE_END.search(text)):
            raise TagListSyntaxError(text, wrong.start(), "a line end that folds nothing")
        control = _CONTROL.search(text) is not None
        at, last = 0, len(pieces) - 1
        for number, piece in enumerate(pieces):
            name, equals, value = piece.partition("=")
            bare = name.strip(_WHITE)
            if equals and _NAME.match(bare) and not (control and _CONTROL.search(piece)) and number < MAX_TAGS:
                stripped = value.lstrip(_WHITE)
                value_at = at + len(piece) - len(stripped)
                tag = Tag(bare, stripped.rstrip(_WHITE), at + len(name) - len(name.lstrip(_WHITE)), value_at)
                tags.append(tag)
                if bare not in by_name:
                    by_name[bare] = tag
                elif strict:
                    # RFC 6376 3.2: then the whole list is invalid.
                    raise TagListSyntaxError(text, tag.at, f"a second {bare}=")
                else:
                    duplicates.append(tag)
            elif number < last or last == 0 or piece.strip(_WHITE) or (control and _CONTROL.search(piece)):
                defect = _defect(text, at, piece, number)
                if strict:
                    raise defect
                defects.append(defect)
            at += len(piece) + 1
        return cls(tuple(tags), by_name, tuple(duplicates), tuple(defects))

    def get(self, name: str) -> str | None:
        """The value of the first tag of this name."""
        tag = self.by_name.get(name)
        return None if tag is None else tag.value


def _defect(text: str, at: int, piece: str, number: int) -> TagListSyntaxError:
    """What is wrong with a piece that is no tag."""
    if number >= MAX_TAGS:
        return TagListSyntaxError(text, at, f"more than {MAX_TAGS} tags")
    start = at + len(piece) - len(piece.lstrip(_WHITE))
    if wrong := _CONTROL.search(piece):
        return TagListSyntaxError(text, at + wrong.start(), "a control character")
    if not piece.strip(_WHITE):
        return TagListSyntaxError(text, at, "an empty tag")
    if "=" not in piece:
        return TagListSyntaxError(text, start, "a tag without =")
    return TagListSyntaxError(text, start, "not a tag's name")
