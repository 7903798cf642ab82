"""Reads an ENVELOPE as mox_imap.structure wrote it, for what sorts and threads by it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

# What a string may have before it becomes a literal is all that can be here.
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([()])|NIL')
_ESCAPED = re.compile(rb"\\(.)")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """address; a group's name is in `mailbox`, without a host"""

    name: str
    mailbox: str
    host: str


Mailboxes: TypeAlias = tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is asked of an envelope here; the subject and names as they were written."""

    subject: str
    sender: Mailboxes
    to: Mailboxes
    cc: Mailboxes
    in_reply_to: str
    message_id: str


def envelope(data: bytes) -> Envelope:
    """Reads `(date subject from sender reply-to to cc bcc in-reply-to message-id)`."""
    fields: list[object] = []
    stack: list[list[object]] = [fields]
    at, end = 1, len(data) - 1
    while at < end:
        match = _TOKEN.match(data, at)
        if match is None:
            at += 1  # a space
            continue
        at = match.end()
        if match[3] == b"(":
            stack.append([])
        elif match[3] == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        elif match[2] is not None:
            stack[-1].append(_text(data[at : at + int(match[2])]))
            at += int(match[2])
        elif match[1] is not None:
            stack[-1].append(_text(_ESCAPED.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1]))
        else:
            stack[-1].append("")
    return Envelope(
        subject=str(fields[1]),
        sender=_mailboxes(fields[2]),
        to=_mailboxes(fields[5]),
        cc=_mailboxes(fields[6]),
        in_reply_to=str(fields[8]),
        message_id=str(fields[9]),
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _mailboxes(field: object) -> Mailboxes:
    if not isinstance(field, list):
        return ()
    found = []
    for name, _, mailbox, host in field:
        if mailbox:  # not the end of a group
            found.append(Mailbox(name, mailbox, host))
    return tuple(found)
