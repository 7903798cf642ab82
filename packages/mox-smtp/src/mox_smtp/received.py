"""The Received field (RFC 5321 4.4), both ways: written by us, and read to count hops and to show the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from mox_dns import IpAddress, IpLiteral
from mox_message import Fields, date, date_text

# RFC 5321 6.3 asks for 100 at least before a message counts as going round in circles.
MAX_HOPS = 100
MAX_LENGTH = 10_000

_CLAUSES = ("from", "by", "via", "with", "id", "for")
# One step through the text: a comment (which is counted by hand), a quoted string, an address, a word.
_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"|<[^<>]*>|\[[^\[\]]*\]|[^\s()"<>\[\];]+|.', re.DOTALL)


class ReceivedSyntaxError(ValueError):
    """A text is no Received field: `.text`, `.at` (characters), `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text[:200], at, why
        super().__init__(why)


def with_protocol(
    *, extended: bool, smtputf8: bool = False, tls: bool = False, authenticated: bool = False, lmtp: bool = False
) -> str:
    """The word after "with" (RFC 3848, RFC 6531 4.3)."""
    if not extended:
        return "SMTP"
    name = ("UTF8LMTP" if lmtp else "UTF8SMTP") if smtputf8 else "LMTP" if lmtp else "ESMTP"
    return name + ("S" if tls else "") + ("A" if authenticated else "")


def received_field(
    *,
    by: str,
    protocol: str,
    id: str,
    now: float,
    hello: str = "",
    ip: IpAddress | None = None,
    host: str = "",
    tls: str = "",
    recipient: str = "",
) -> bytes:
    """A whole field with its line end.

    `hello`: what the client calls itself; `ip`, and `host`, the name that leads to it and back; without `ip` there is
    no from clause, which keeps a submitting user's place to ourselves.  `recipient`: only where it is the only one
    (RFC 5321 7.6).  `now`: seconds since 1970."""
    lines = []
    if ip is not None:
        literal = str(IpLiteral(ip))
        lines.append(f"from {_word(hello) or literal} ({_word(host) + ' ' if host else ''}{literal})")
    if tls:
        lines.append(f"(using {_plain(tls)})")
    lines.append(f"by {_word(by)} with {protocol} id {_word(id)}")
    if recipient:
        lines.append(f"for <{_plain(recipient)}>")
    return ("Received: " + "\r\n\t".join(lines) + f"; {date_text(now)}\r\n").encode("utf-8", "replace")


def _word(text: str) -> str:
    """What a stranger calls itself must not look like more than one word."""
    return "".join(c if c not in '()<>;\\",' else "?" for c in _plain(text).replace(" ", "_"))


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() and c not in "()\\" else "?" for c in text)


@dataclass(frozen=True, slots=True)
class Received:
    """The clauses of a field, without comments; "" where there is none.  `comments` has those, in order."""

    from_: str = ""
    by: str = ""
    via: str = ""
    with_: str = ""
    id: str = ""
    for_: str = ""
    comments: tuple[str, ...] = ()
    date: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Received:
        """The unfolded value of a field.  Raises ReceivedSyntaxError: no clause at all, or too long."""
        if len(text) > MAX_LENGTH:
            raise ReceivedSyntaxError(text, MAX_LENGTH, f"at most {MAX_LENGTH} characters")
        before, semicolon, after = _split_date(text)
        words, comments = _words(before)
        clauses: dict[str, str] = {}
        at = 0
        while at + 1 < len(words):
            name = words[at].lower()
            if name in _CLAUSES and name not in clauses and not _is_clause(words, at + 1):
                clauses[name] = words[at + 1].rstrip(",") or words[at + 1]
                at += 1
            at += 1
        if not clauses:
            raise ReceivedSyntaxError(text, 0, "no from, by, via, with, id or for")
        get = clauses.get
        return cls(
            get("from", ""), get("by", ""), get("via", ""), get("with", ""), get("id", ""), get("for", "").strip("<>"),
            tuple(comments), date(after) if semicolon else None,
        )  # fmt: skip


def _is_clause(words: list[str], at: int) -> bool:
    """Does a clause begin here?  Some write `from ([192.0.2.1]) by mx`, with nothing but a comment after "from".

    A host may have such a name too: in `from by by mx` the first "by" is what the client calls itself."""
    return words[at].lower() in _CLAUSES and at + 1 < len(words) and words[at + 1].lower() not in _CLAUSES


def _split_date(text: str) -> tuple[str, str, str]:
    """At the last semicolon that is in no comment and no quoted string: the date has none outside of them."""
    at, depth, quoted = -1, 0, False
    for match in re.finditer(r'\\.|[();"]', text):
        mark = match[0]
        if mark == '"':
            quoted = not quoted and not depth
        elif quoted:
            continue
        elif mark == "(":
            depth += 1
        elif mark == ")":
            depth = max(0, depth - 1)
        elif mark == ";" and not depth:
            at = match.start()
    return (text[:at], ";", text[at + 1 :]) if at >= 0 else (text, "", "")


def _words(text: str) -> tuple[list[str], list[str]]:
    words: list[str] = []
    comments: list[str] = []
    depth, began, at = 0, 0, 0
    while at < len(text):
        if text[at] == "(":
            began = at + 1 if not depth else began
            depth += 1
            at += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                comments.append(text[began:at])
            depth = max(depth, 0)
            at += 1
        elif depth:
            at += 2 if text[at] == "\\" else 1
        else:
            match = _TOKEN.match(text, at)
            assert match is not None
            if not match[0].isspace():
                words.append(match[0])
            at = match.end()
    return words, comments


def count_hops(fields: Fields) -> int:
    """How many servers say that they have handled the message."""
    return len(fields.all("received"))
