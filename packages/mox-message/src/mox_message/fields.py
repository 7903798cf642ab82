"""Header fields as raw bytes with their offsets: what DKIM signs, what DMARC reads and what IMAP shows is one reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Beyond this the rest of a header block is not split into fields (a defect says so): nobody writes so much, and the
# work for one message stays bounded.
MAX_HEADER = 1024 * 1024
MAX_FIELDS = 10_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field.  `raw` is the whole of it with its final line end; `colon` is where in `raw` the name ends."""

    name: str  # lower case
    raw: bytes
    start: int  # offset in the message
    colon: int

    @property
    def value(self) -> bytes:
        """What follows the colon, folded as it came, with the final line end."""
        return self.raw[self.colon + 1 :]

    @property
    def text(self) -> str:
        """The value unfolded (RFC 5322 2.2.3) and stripped; bytes that are not UTF-8 become surrogates."""
        value = self.raw[self.colon + 1 :]
        if b"\n" in value:
            value = value.replace(b"\r\n", b"").replace(b"\n", b"")
        return value.decode("utf-8", "surrogateescape").strip(" \t\r")


class Fields:
    """The header of a message or a part, in order.  `end` is the offset of the body, `defects` say what was odd."""

    __slots__ = ("_all", "_by_name", "defects", "end", "start")

    def __init__(self, fields: list[Field], start: int, end: int, defects: tuple[str, ...]) -> None:
        self._all = fields
        self._by_name: dict[str, list[Field]] | None = None
        self.start = start
        self.end = end
        self.defects = defects

    @classmethod
    def parse(cls, data: bytes, start: int = 0) -> Fields:
        """The fields at `start` of `data`, up to the empty line or the end.  Never raises; linear."""
        block_end, body, defects = _header_end(data, start)
        fields: list[Field] = []
        at = start
        for raw in _split(data[start:block_end]):
            colon = raw.find(b":")
            name = raw[:colon].rstrip(b" \t") if colon > 0 else b""
            if name and _is_name(name):
                fields.append(Field(name.decode("ascii").lower(), raw, at, colon))
            else:
                defects.append(f"line at {at} is not a header field")
            at += len(raw)
            if len(fields) >= MAX_FIELDS:
                defects.append(f"more than {MAX_FIELDS} header fields")
                break
        return cls(fields, start, body, tuple(defects[:100]))

    def all(self, name: str) -> list[Field]:
        """Every field of that name (lower case), in order."""
        if self._by_name is None:
            self._by_name = {}
            for field in self._all:
                self._by_name.setdefault(field.name, []).append(field)
        return self._by_name.get(name, [])

    def first(self, name: str) -> Field | None:
        """The first field of that name (lower case)."""
        found = self.all(name)
        return found[0] if found else None

    def __iter__(self) -> Iterator[Field]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Field:
        return self._all[index]


def _header_end(data: bytes, start: int) -> tuple[int, int, list[str]]:
    """(end of the field lines, start of the body, defects)."""
    if data.startswith(b"\r\n", start):
        return start, start + 2, []
    if data.startswith(b"\n", start):
        return start, start + 1, []
    limit = min(len(data), start + MAX_HEADER)
    best = data.find(b"\r\n\r\n", start, limit)
    end, body = (best + 2, best + 4) if best >= 0 else (-1, -1)
    # An empty line written with a bare LF ends the header as well, if it comes first.
    for empty in (b"\n\n", b"\n\r\n"):
        at = data.find(empty, start, end if end >= 0 else limit)
        if at >= 0 and (end < 0 or at + 1 < end):
            end, body = at + 1, at + len(empty)
    if end >= 0:
        return end, body, []
    if len(data) - start > MAX_HEADER:
        return limit, limit, [f"header longer than {MAX_HEADER} octets"]
    return len(data), len(data), ["no empty line after the header"]


def _split(block: bytes) -> Iterator[bytes]:
    """The fields of a header block, each with its continuation lines and its line end."""
    held: list[bytes] = []
    lines = block.split(b"\n")
    last = lines.pop()
    for line in [line + b"\n" for line in lines] + ([last] if last else []):
        if held and line[0] in b" \t":
            held.append(line)
            continue
        if held:
            yield held[0] if len(held) == 1 else b"".join(held)
        held = [line]
    if held:
        yield b"".join(held)


def _is_name(name: bytes) -> bool:
    """RFC 5322 3.6.8: printable ASCII but the colon."""
    return name.isascii() and not any(character <= 32 or character == 127 for character in name)
