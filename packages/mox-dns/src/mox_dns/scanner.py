"""The cursor under the record parsers, and the error that points at the place."""

from __future__ import annotations

import re
from typing import NoReturn

# Characters of a text that an error shows around its place.
SHOWN = 60


class RecordSyntaxError(ValueError):
    """A text breaks its grammar: `.text`, `.at` (character offset), `.why`.  Printed, it points."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(why)

    def __str__(self) -> str:
        return f"{self.why} at character {self.at + 1}\n{pointed(self.text, self.at)}"


def pointed(text: str, at: int) -> str:
    """The part of `text` around `at`, and a caret below the place.  Never more than two short lines, all printable."""
    start = max(0, at - SHOWN)
    end = min(len(text), at + SHOWN)
    before = _printable(text[start:at])
    head = "…" if start else ""
    tail = "…" if end < len(text) else ""
    return f"    {head}{before}{_printable(text[at:end])}{tail}\n    {' ' * (len(head) + len(before))}^"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)


class Scanner:
    """A text and a place in it.  Grammars derive from it, one method for each rule."""

    __slots__ = ("at", "text")

    Error: type[RecordSyntaxError] = RecordSyntaxError

    def __init__(self, text: str, at: int = 0) -> None:
        self.text, self.at = text, at

    @property
    def ended(self) -> bool:
        """Nothing is left."""
        return self.at >= len(self.text)

    def peek(self) -> str:
        """The next character; "" at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What matches here, and steps over it; else None."""
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def need(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        """As `take`; raises the grammar's error, naming `what` was expected."""
        match = self.take(pattern)
        if match is None:
            self.fail(f"expected {what}")
        return match

    def literal(self, word: str) -> bool:
        """Steps over `word` if it is next, in any case (ABNF strings, RFC 5234 2.3)."""
        end = self.at + len(word)
        if self.text[self.at : end].lower() != word.lower():
            return False
        self.at = end
        return True

    def expect(self, word: str) -> None:
        """As `literal`; raises the grammar's error."""
        if not self.literal(word):
            self.fail(f"expected {word!r}")

    def finish(self) -> None:
        """Raises the grammar's error unless the text has ended."""
        if not self.ended:
            self.fail("unexpected text")

    def fail(self, why: str, at: int | None = None) -> NoReturn:
        """Raises the grammar's error, here or `at`."""
        raise self.Error(self.text, self.at if at is None else at, why)
