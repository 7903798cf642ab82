"""The words of a message that the word filter counts: of the header, by field, and of every text in it.

Each word once, however often it stands there.  What looks random or is a number says nothing about the next message,
and would fill the table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mox_message import Content, Part, decode, readable

# Another version finds other words: what was learned with this one cannot be forgotten with that one.
VERSION = 1
# What a message has when it is judged: Return-Path comes later.
FIELDS = ("from", "to", "cc", "bcc", "reply-to", "subject", "sender")
MAX_WORDS = 5_000  # of one message
MAX_TEXT = 128 * 1024  # octets of one part that are looked at
MAX_TEXTS = 20  # parts that are looked at
MAX_WORD = 40  # characters
MIN_WORD = 3  # octets
MIN_HEADER_WORD = 4

# Letters and digits; an apostrophe stays where a letter follows.
_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_][^\W_]*)*")
_RANDOM = re.compile(r"[bcdfghjklmnpqrstvwxz2-9]{6}")
_NUMERIC = re.compile(r"\A(?:0x)?[0-9a-f]*\d{3}[0-9a-f]*\Z|\d{4}")
# Scripts that write no spaces between words: pairs of characters stand for them.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)
_QUOTES = str.maketrans("\u2019\u02bc\uff07", "'''")


def words_of(part: Part, content: Content) -> frozenset[str]:
    """The words of a parsed message: `hello`, or `subject:hello` for those of its header.  At most MAX_WORDS; time is
    linear in what is looked at.  Never raises for what the sender wrote."""
    found: set[str] = set()
    for name in FIELDS:
        for field in part.fields.all(name):
            for word in _words(decode(field.text), MIN_HEADER_WORD):
                found.add(f"{name}:{word}")
                if len(found) >= MAX_WORDS:
                    return frozenset(found)
    for text in _texts(part, content):
        for word in _words(text, MIN_WORD):
            found.add(word)
            if len(found) >= MAX_WORDS:
                return frozenset(found)
    return frozenset(found)


def _texts(part: Part, content: Content) -> Iterator[str]:
    looked_at = 0
    for one in part.walk():
        if one.type == "text":
            looked_at += 1
            if looked_at > MAX_TEXTS:
                return
            yield readable(one, content, MAX_TEXT)


def _words(text: str, shortest: int) -> Iterator[str]:
    for word in set(_WORD.findall(text.lower().translate(_QUOTES))):
        if not word.isascii():
            if _UNSPACED.search(word):
                yield from {word[at : at + 2] for at in range(len(word) - 1)}
            elif len(word) <= MAX_WORD and len(word.encode("utf-8", "replace")) >= shortest:
                yield word
        elif shortest <= len(word) <= MAX_WORD and not _RANDOM.search(word) and not _NUMERIC.search(word):
            yield word
