"""mbox files, both ways: mboxrd is written; mboxo, mboxrd and files that quote nothing are read.

A message begins at a line `From `, an envelope and a date, at the start of the file or behind an empty line."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Iterator
from io import BufferedReader
from time import gmtime, strftime, strptime
from typing import BinaryIO

from mox_message import Content
from mox_store.letters import Letter, spooled

_BEGIN = re.compile(rb"From (?:\S+|\".*\"\S*)? *\w{3} \w{3} +\d{1,2} \d{2}:\d{2}")
_DATE = re.compile(rb"(\w{3} +\d{1,2} \d{2}:\d{2}(?::\d{2})?) (?:[A-Z][A-Z ]*|[+-]\d{4} )?(\d{4})")
_QUOTED = re.compile(rb">+From ")
_TO_QUOTE = re.compile(rb">*From ")
_STATUS = {b"R": "\\Seen", b"A": "\\Answered", b"F": "\\Flagged", b"T": "\\Draft", b"D": "\\Deleted"}
# Longer lines are taken in pieces: memory stays bounded.
LINE_MOST = 1024 * 1024


def begins(line: bytes) -> bool:
    """Is this the line before a message?"""
    return line.startswith(b"From ") and _BEGIN.match(line) is not None


def read(file: BinaryIO, position: str = "") -> Iterator[Letter]:
    """The messages of a file, from a position on that an earlier letter had.  Raises OSError.

    What stands before the first `From ` line is passed over."""
    reader = _Reader(file, int(position or 0))
    while reader.line and not begins(reader.line):
        reader.next()
    while reader.line:
        received = _date(reader.line)
        reader.next()
        flags: dict[str, None] = {}
        letter = spooled(reader.message(flags), "", received, ())
        yield Letter(letter.content, str(reader.at), received, tuple(flags))


class _Reader:
    """Lines with their offsets, one ahead."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        if start:
            _skip(file, start)
        self.at = start  # where `line` begins
        self.line = file.readline(LINE_MOST)

    def next(self) -> None:
        """On to the next line."""
        self.at += len(self.line)
        self.line = self._file.readline(LINE_MOST)

    def message(self, flags: dict[str, None]) -> Iterator[bytes]:
        """The lines of one message, unquoted; without the empty line behind it, and without how it was flagged."""
        header, whole, after_empty, held = True, True, False, b""
        while self.line and not (after_empty and begins(self.line)):
            line, start = self.line, whole
            self.next()
            if held:
                yield held
                held = b""
            whole = line.endswith(b"\n")
            after_empty = start and line in (b"\n", b"\r\n")
            if header:
                header = not after_empty
                if not (start and _status(line, flags)):
                    yield line
            elif after_empty:
                held = line
            else:
                yield line[1:] if start and _QUOTED.match(line) else line


def _skip(file: BinaryIO, count: int) -> None:
    """Forward by `count`, also in what cannot seek: members of archives."""
    if type(file) is BufferedReader:  # a file of the system
        file.seek(count)
        return
    while count > 0 and (piece := file.read(min(count, LINE_MOST))):
        count -= len(piece)


def _status(line: bytes, flags: dict[str, None]) -> bool:
    """Is it `Status: RO`, `X-Status: AF` or `X-Keywords: a b`, which say how a message was flagged?"""
    name, colon, value = line.partition(b":")
    name = name.lower()
    if not colon or name not in (b"status", b"x-status", b"x-keywords"):
        return False
    if name == b"x-keywords":
        flags.update(dict.fromkeys(value.decode("ascii", "replace").split()))
    else:
        flags.update({flag: None for letter, flag in _STATUS.items() if letter in value})
    return True


def _date(line: bytes) -> float | None:
    found = _DATE.search(line)
    if found is None:
        return None
    text = b" ".join((*found[1].split(), found[2])).decode("ascii", "replace")
    for form in ("%b %d %H:%M:%S %Y", "%b %d %H:%M %Y"):
        try:
            return float(timegm(strptime(text, form)))
        except ValueError:
            continue
    return None


def write(
    file: BinaryIO, content: Content, received: float, flags: tuple[str, ...], sender: str = "MAILER-DAEMON"
) -> None:
    """Appends a message (mboxrd): LF line ends, `From ` quoted, its flags as fields in front.  Raises OSError."""
    date = strftime("%a %b %d %H:%M:%S %Y", gmtime(received))
    status = "".join(letter.decode() for letter, flag in _STATUS.items() if flag in flags and letter != b"R")
    keywords = " ".join(flag for flag in flags if not flag.startswith("\\"))
    fields = [f"From {sender} {date}", "Status: RO" if "\\Seen" in flags else "Status: O"]
    fields += [f"X-Status: {status}"] if status else []
    fields += [f"X-Keywords: {keywords}"] if keywords else []
    file.write("".join(f"{field}\n" for field in fields).encode())
    rest = b""
    for chunk in content.chunks():
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            _write_line(file, line)
    if rest:
        _write_line(file, rest)
    file.write(b"\n")


def _write_line(file: BinaryIO, line: bytes) -> None:
    if _TO_QUOTE.match(line):
        file.write(b">")
    file.write(line.removesuffix(b"\r"))
    file.write(b"\n")
