"""Messages on their way in from files: bounded memory, CRLF line ends, and where to go on after a stop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

from mox_message import Content, Fields, decoded_subject, message_id, message_ids, sent_date
from mox_store.message import Traits

# A message up to here is held in memory while it is read; larger ones wait in a file.
IN_MEMORY = 1024 * 1024
HEADER_MOST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Letter:
    """A message from a file.  `position` is where the next one begins: text that only its reader understands."""

    content: Content
    position: str
    received: float | None = None
    flags: tuple[str, ...] = ()


def spooled(lines: Iterable[bytes], position: str, received: float | None, flags: tuple[str, ...]) -> Letter:
    """A letter of lines that end in LF, CRLF or nothing; they get CRLF (RFC 5322 2.3)."""
    with_crlf = (_crlf(line) for line in lines)
    kept: list[bytes] = []
    size = 0
    for line in with_crlf:
        kept.append(line)
        size += len(line)
        if size > IN_MEMORY:
            with tempfile.NamedTemporaryFile() as file:  # its name goes at once, the content keeps it open
                file.writelines(kept)
                file.writelines(with_crlf)
                file.flush()
                return Letter(Content.file(file.name), position, received, flags)
    return Letter(Content.of(b"".join(kept)), position, received, flags)


def _crlf(line: bytes) -> bytes:
    if line.endswith(b"\r\n"):
        return line
    return line[:-1] + b"\r\n" if line.endswith(b"\n") else line


def header_traits(content: Content) -> Traits:
    """What the header alone says; the rest is made when the message is read first (format 0)."""
    head = content.read(0, HEADER_MOST)
    end = head.find(b"\r\n\r\n")
    fields = Fields.parse(head if end < 0 else head[: end + 4])
    following = message_ids(fields.text("references") or "") or message_ids(fields.text("in-reply-to") or "")
    return Traits(
        envelope=b"", bodystructure=b"", header=b"", subject=decoded_subject(fields), sent=sent_date(fields),
        message_id=message_id(fields), references=following, format=0,
    )  # fmt: skip
