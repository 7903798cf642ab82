"""Which line of a TOML file a setting stands in.  Neither tomllib nor pydantic keeps this, and a problem without
its line sends people searching."""

from __future__ import annotations

import re
import tomllib

_HEADER = re.compile(r"^\s*\[{1,2}\s*(?P<path>.+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*(?P<key>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")

KeyPath = tuple[str, ...]


def _parts(text: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def lines(text: str) -> dict[KeyPath, int]:
    """Key path -> line number (from 1) of every table header and every key that starts a line."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    count: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header["path"])
            if line.lstrip().startswith("[["):
                # The n-th of a list of tables, as a problem names it.
                found.setdefault(table, number)
                count[table] = count.get(table, -1) + 1
                table = (*table, str(count[table]))
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number)
        elif key := _KEY.match(line):
            found.setdefault(table + _parts(key["key"]), number)
    return found


def line_of(places: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, or of the nearest table around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return None


def syntax_line(error: tomllib.TOMLDecodeError) -> int | None:
    """The line that tomllib names in its message, as 3.11 has no attribute for it."""
    match = re.search(r"line (\d+)", str(error))
    return int(match[1]) if match else None
