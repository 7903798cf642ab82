"""Commands as values, and reading them: one method per rule of RFC 5321."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mox_message import AddressSyntaxError, Path

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
# esmtp-value: printable but "=" and space (RFC 5321 4.1.2), and UTF-8 (RFC 6531 3.3).
_VALUE = re.compile(r"[!-<>-~\u0080-\U0010ffff]+\Z")
_HELLO = re.compile(r"[!-~\u0080-\U0010ffff]+\Z")


class CommandSyntaxError(ValueError):
    """A command line breaks its grammar.  `.code` is the reply it deserves (500, 501, 555), `.enhanced` too."""

    def __init__(self, why: str, code: int = 501, enhanced: str = "5.5.4") -> None:
        self.why, self.code, self.enhanced = why, code, enhanced
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Command:
    """Any command: its verb in capitals and the rest of the line."""

    verb: str
    rest: str


def split(line: bytes) -> Command:
    """A line without its end.  Raises CommandSyntaxError."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandSyntaxError("not UTF-8", 500, "5.5.2") from None
    verb, _, rest = text.partition(" ")
    return Command(verb.upper(), rest)


def hello(rest: str) -> str:
    """The argument of EHLO and HELO: a domain or an address literal; we take what it claims as a claim."""
    name = rest.strip(" ")
    if not name or len(name) > 255 or not _HELLO.match(name):
        raise CommandSyntaxError("a domain or an address literal is needed")
    return name


@dataclass(frozen=True, slots=True)
class Parameters:
    """ESMTP parameters by keyword in capitals; a value of None has no "="."""

    values: Mapping[str, str | None] = field(default_factory=dict)

    def number(self, keyword: str, digits: int = 20) -> int | None:
        """A numeric parameter.  Raises CommandSyntaxError."""
        if keyword not in self.values:
            return None
        text = self.values[keyword] or ""
        if not (text.isascii() and text.isdigit() and len(text) <= digits):
            raise CommandSyntaxError(f"{keyword} needs a number")
        return int(text)


def mail_from(rest: str) -> tuple[Path, Parameters]:
    """`FROM:<reverse-path> [parameters]`.  Raises CommandSyntaxError."""
    return _path_command(rest, "FROM:", null=True, postmaster=False)


def rcpt_to(rest: str) -> tuple[Path, Parameters]:
    """`TO:<forward-path> [parameters]`.  Raises CommandSyntaxError."""
    return _path_command(rest, "TO:", null=False, postmaster=True)


def _path_command(rest: str, keyword: str, *, null: bool, postmaster: bool) -> tuple[Path, Parameters]:
    if rest[: len(keyword)].upper() != keyword:
        raise CommandSyntaxError(f"{keyword}<…> is needed")
    # Quirk space-after-colon: RFC 5321 has none there, many devices write one; it changes no meaning.
    text = rest[len(keyword) :].lstrip(" ")
    end = _path_end(text)
    try:
        path = Path.parse(text[:end], null=null, postmaster=postmaster)
    except AddressSyntaxError as error:
        enhanced = "5.1.7" if null else "5.1.3"
        raise CommandSyntaxError(error.why, 501, enhanced) from None
    tail = text[end:]
    if tail and not tail.startswith(" "):
        raise CommandSyntaxError("a space is needed after the path")
    return path, _parameters(tail)


def _path_end(text: str) -> int:
    """Just after the > that ends the path; one inside a quoted localpart does not."""
    in_quotes = escaped = False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif in_quotes and character == "\\":
            escaped = True
        elif character == '"':
            in_quotes = not in_quotes
        elif character == ">" and not in_quotes:
            return at + 1
    raise CommandSyntaxError("a path stands in angle brackets")


def _parameters(text: str) -> Parameters:
    values: dict[str, str | None] = {}
    for word in text.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        if not _KEYWORD.match(keyword) or (equals and not _VALUE.match(value)):
            raise CommandSyntaxError(f"{word[:60]!r} is no parameter")
        if keyword.upper() in values:
            raise CommandSyntaxError(f"{keyword} is given twice")
        values[keyword.upper()] = value if equals else None
    return Parameters(values)
