"""Authentication-Results (RFC 8601), both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE = 78
MAX_RESULTS = 100

Property = tuple[str, str, str]  # ptype, property, value: ("header", "d", "example.org")

_TOKEN = re.compile(r"[!#$%&'*+./0-9@A-Z^_`a-z{|}~:\-\[\]]+\Z")


class AuthResultsSyntaxError(ValueError):
    """Text that is no Authentication-Results: `.text`, `.at`, `.why`."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.text, self.at, self.why = text, at, why
        super().__init__(f"{why} at character {at + 1}")


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one method found."""

    method: str
    result: str
    reason: str = ""
    properties: tuple[Property, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """Who checked, and what was found."""

    authserv_id: str
    results: tuple[MethodResult, ...] = ()

    def field(self) -> bytes:
        """The whole field, folded, with its line end."""
        clauses = [_clause(result) for result in self.results] or [["none"]]
        lines: list[str] = [f"Authentication-Results: {self.authserv_id};"]
        for number, words in enumerate(clauses):
            words[-1] += ";" if number < len(clauses) - 1 else ""
            lines.append("\t" + words[0])
            for word in words[1:]:
                if len(lines[-1]) + 1 + len(word) > LINE:
                    lines.append("\t\t" + word)
                else:
                    lines[-1] += " " + word
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")

    @classmethod
    def parse(cls, text: str) -> AuthenticationResults:
        """An unfolded value.  Raises AuthResultsSyntaxError."""
        return _Reader(text).read()


def _clause(result: MethodResult) -> list[str]:
    words = [f"{result.method}={result.result}"]
    if result.comment:
        words.append(f"({_clean(result.comment, '()')})")
    if result.reason:
        words.append(f'reason="{_clean(result.reason, chr(34))}"')
    words += [f"{ptype}.{name}={_value(value)}" for ptype, name, value in result.properties if value]
    return words


def _clean(text: str, without: str) -> str:
    return "".join("'" if c in without else c if c.isprintable() and c != "\\" else "?" for c in text)[:200]


def _value(text: str) -> str:
    return text if _TOKEN.match(text) else f'"{_clean(text, chr(34))}"'


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._comment = ""

    def _fail(self, why: str) -> AuthResultsSyntaxError:
        return AuthResultsSyntaxError(self._text, self._at, why)

    def _space(self) -> None:
        text, depth, start = self._text, 0, self._at
        while self._at < len(text):
            character = text[self._at]
            if depth and character == "\\":
                self._at += 1
            elif character == "(":
                depth += 1
                start = self._at + 1 if depth == 1 else start
            elif character == ")" and depth:
                depth -= 1
                if depth == 0:
                    self._comment = text[start : self._at]
            elif not depth and not character.isspace():
                break
            self._at += 1
        if depth:
            raise self._fail("a comment that does not end")

    def _word(self, stop: str) -> str:
        self._space()
        text = self._text
        if text[self._at : self._at + 1] == '"':
            return self._quoted()
        start = self._at
        while (
            self._at < len(text)
            and text[self._at] not in stop
            and not text[self._at].isspace()
            and text[self._at] != "("
        ):
            self._at += 1
        if start == self._at:
            raise self._fail("a word is missing")
        return text[start : self._at]

    def _quoted(self) -> str:
        out: list[str] = []
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != '"':
            if self._text[self._at] == "\\":
                self._at += 1
            out.append(self._text[self._at : self._at + 1])
            self._at += 1
        if self._at >= len(self._text):
            raise self._fail("a quoted text that does not end")
        self._at += 1
        return "".join(out)

    def _is(self, character: str) -> bool:
        self._space()
        if self._text[self._at : self._at + 1] == character:
            self._at += 1
            return True
        return False

    def read(self) -> AuthenticationResults:
        authserv_id = self._word(";=")
        self._space()
        if self._text[self._at : self._at + 1].isdigit():
            self._word(";")  # the version
        results: list[MethodResult] = []
        while self._is(";"):
            self._space()
            if self._at >= len(self._text):
                break
            if len(results) >= MAX_RESULTS:
                raise self._fail("too many results")
            result = self._result()
            if result is not None:
                results.append(result)
        self._space()
        if self._at < len(self._text):
            raise self._fail("unexpected text")
        return AuthenticationResults(authserv_id, tuple(results))

    def _result(self) -> MethodResult | None:
        method = self._word("=;/")
        if method.lower() == "none":
            return None
        if self._is("/"):
            self._word("=;")
        if not self._is("="):
            raise self._fail("= is missing")
        self._comment = ""
        outcome = self._word(";")
        self._space()
        comment, reason = self._comment, ""
        properties: list[Property] = []
        while self._at < len(self._text) and self._text[self._at] != ";":
            key = self._word("=;")
            if not self._is("="):
                raise self._fail("= is missing")
            value = self._word(";")
            if key.lower() == "reason":
                reason = value
            elif "." in key:
                ptype, _, name = key.partition(".")
                properties.append((ptype.lower(), name.lower(), value))
            self._space()
        return MethodResult(method.lower(), outcome.lower(), reason, tuple(properties), comment)
