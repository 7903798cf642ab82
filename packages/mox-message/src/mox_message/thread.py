"""Which messages belong together: the base subject (RFC 5256 2.1) and the chain of message-ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mox_message.fields import Fields
from mox_message.structured import message_ids
from mox_message.text import decoded_subject, message_id

MAX_REFERENCES = 100
# A subject longer than this is compared by its beginning.
MAX_SUBJECT = 2000

_BLOB = r"\[[^\[\]]{0,200}+\]\s*+"
# RFC 5256 2.1 knows re, fw and fwd; the others are what clients write in other languages (deviation, on purpose: a
# thread is lost without them).  A number in brackets or behind ^ counts replies.
_REPLY = r"(?:re|fwd?|aw|wg|sv|vs|vb|antw|doorst|rif|res|enc|tr|odp|pd|ynt|ilt|回复|答复|转发)"
_LEADER = re.compile(
    rf"(?:{_BLOB})*+{_REPLY}\s*(?:\[[^\[\]]{{0,200}}\]|\^\d{{1,4}}|\(\d{{1,4}}\))?\s*[:：]\s*", re.IGNORECASE
)
_LEADING_BLOB = re.compile(_BLOB)
_TRAILER = "(fwd)"
_FORWARDED = ("[fwd:", "]")


def base_subject(subject: str) -> str:
    """The part of a decoded subject that replies and forwards have in common (RFC 5256 2.1)."""
    return _base(subject)[0]


def is_reply(subject: str) -> bool:
    """Does a decoded subject say that it answers or forwards another?"""
    return _base(subject)[1]


def _base(subject: str) -> tuple[str, bool]:
    text = " ".join(subject[:MAX_SUBJECT].split())
    reply = False
    while True:
        while text[-len(_TRAILER) :].lower() == _TRAILER:
            text, reply = text[: -len(_TRAILER)].rstrip(), True
        text, led = _without_leaders(text)
        reply = reply or led
        if not (text[:5].lower() == _FORWARDED[0] and text.endswith(_FORWARDED[1])):
            return text, reply
        text, reply = text[5:-1].strip(), True


def _without_leaders(text: str) -> tuple[str, bool]:
    reply = False
    at = 0
    while (match := _LEADER.match(text, at)) is not None:
        at, reply = match.end(), True
    # The blobs here have no leader behind them, so they go; but the last one stays when nothing would be left.
    while (match := _LEADING_BLOB.match(text, at)) is not None and match.end() < len(text):
        at = match.end()
    return text[at:], reply


def references(fields: Fields) -> tuple[str, ...]:
    """The message-ids that a message follows, oldest first, its parent last (RFC 5322 3.6.4): References, else the
    first of In-Reply-To.  Each once, at most MAX_REFERENCES, the youngest."""
    ids = message_ids(fields.text("references") or "")
    parent = message_ids(fields.text("in-reply-to") or "")[:1]
    if not ids or (parent and parent[0] not in ids):
        ids += parent
    return tuple(dict.fromkeys(ids))[-MAX_REFERENCES:]


@dataclass(frozen=True, slots=True)
class ThreadKeys:
    """By what a message finds its thread: its own id, those that it follows (oldest first), its base subject, and
    whether that was a reply or forward (RFC 5256 3, REFERENCES; ORDEREDSUBJECT needs the subject only)."""

    id: str
    references: tuple[str, ...]
    subject: str
    reply: bool


def thread_keys(fields: Fields) -> ThreadKeys:
    """The keys of a message.  Never raises."""
    subject, reply = _base(decoded_subject(fields))
    return ThreadKeys(message_id(fields), references(fields), subject, reply)
