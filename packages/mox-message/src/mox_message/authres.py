"""Authentication-Results (RFC 8601), both ways."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mox_dns import RecordSyntaxError, Scanner
from mox_message.fields import Field, Fields

LINE = 78
MAX_RESULTS = 100
MAX_PROPERTIES = 100
# Characters of one value or comment that is written.
MAX_VALUE = 400

Property = tuple[str, str, str]  # ptype, property, value: ("header", "d", "example.org")


class AuthResultsSyntaxError(RecordSyntaxError):
    """Text that is no Authentication-Results: `.text`, `.at`, `.why`."""


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one method found.  `properties` name what it looked at: (ptype, property, value)."""

    method: str
    result: str
    reason: str = ""
    properties: tuple[Property, ...] = ()
    comment: str = ""

    def value(self, ptype: str, name: str) -> str:
        """The first property of that name; "" when there is none."""
        return next((value for kind, key, value in self.properties if kind == ptype and key == name), "")


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """Who checked, and what was found."""

    authserv_id: str
    results: tuple[MethodResult, ...] = ()

    def field(self) -> bytes:
        """The whole field, folded, with its line end.  Whatever the values hold, it is one field."""
        clauses = [_clause(result) for result in self.results] or [["none"]]
        lines: list[str] = [f"Authentication-Results: {_value(self.authserv_id)};"]
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
        """An unfolded value.  Raises AuthResultsSyntaxError; linear."""
        return _Reader(text).payload()

    def find(self, method: str) -> tuple[MethodResult, ...]:
        """The results of one method."""
        return tuple(result for result in self.results if result.method == method)


def claiming(fields: Fields, authserv_id: str) -> list[Field]:
    """The fields that say they are from us: in a message from elsewhere they are forged (RFC 8601 5).  One that cannot
    be understood is among them if our name is in it."""
    wanted = authserv_id.lower()
    found: list[Field] = []
    for field in fields.all("authentication-results"):
        try:
            ours = AuthenticationResults.parse(field.text).authserv_id.lower() == wanted
        except AuthResultsSyntaxError:
            ours = wanted in field.text.lower()
        if ours:
            found.append(field)
    return found


def _clause(result: MethodResult) -> list[str]:
    words = [f"{_keyword(result.method)}={_keyword(result.result)}"]
    if result.comment:
        words.append(f"({_clean(result.comment, '()')})")
    if result.reason:
        words.append(f"reason={_value(result.reason)}")
    words += [
        f"{_keyword(ptype)}.{_keyword(name)}={_value(value)}" if ptype else f"{_keyword(name)}={_value(value)}"
        for ptype, name, value in result.properties
        if value
    ]
    return words


# RFC 2045 5.1 token, and [[local-part] "@"] domain-name; everything else is quoted.
_UNQUOTED = re.compile(r"(?:[!#$%&'*+./0-9A-Z^_`a-z{|}~-]*@)?[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+\Z")
_NOT_KEYWORD = re.compile(r"[^A-Za-z0-9_-]")


def _keyword(text: str) -> str:
    return _NOT_KEYWORD.sub("-", text)[:MAX_VALUE]


def _clean(text: str, without: str) -> str:
    return "".join("'" if c in without else c if c.isprintable() and c != "\\" else "?" for c in text[:MAX_VALUE])


def _value(text: str) -> str:
    return text if len(text) <= MAX_VALUE and _UNQUOTED.match(text) else f'"{_clean(text, chr(34))}"'


_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^\s;=()"]+', re.ASCII)
_METHOD = re.compile(r'[^\s;=()"/]+', re.ASCII)
# Values may hold = when nobody quoted them: base64, and addresses with tags.
_BARE = re.compile(r'[^\s;()"]+', re.ASCII)
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_DIGITS = re.compile(r"[0-9]+")
_MARK = re.compile(r"[()]|\\.", re.DOTALL)


class _Reader(Scanner):
    """Methods are named after the rules of RFC 8601 2.2.  White space and comments before each word are skipped."""

    Error = AuthResultsSyntaxError

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._comment = ""

    def payload(self) -> AuthenticationResults:
        self._cfws()
        results: list[MethodResult] = []
        start = self.at
        authserv_id = self._value(_PLAIN, "the name of who checked")
        self._cfws()
        if self.peek() == "=":
            # Quirk no-authserv-id: results at once, as Exchange Online writes them.  Nobody's word: never ours.
            authserv_id, self.at = "", start
            results.extend(filter(None, [self._resinfo()]))
        self.take(_DIGITS)  # authres-version
        self._cfws()
        while self._is(";"):
            self._cfws()
            # Quirk last-semicolon: nothing after it.
            if self.ended:
                break
            if len(results) >= MAX_RESULTS:
                self.fail("too many results")
            found = self._resinfo()
            if found is not None:
                results.append(found)
        self.finish()
        return AuthenticationResults(authserv_id, tuple(results))

    def _resinfo(self) -> MethodResult | None:
        method = self.need(_METHOD, "a method")[0].lower()
        if method == "none":
            self._cfws()
            return None
        self._cfws()
        if self._is("/"):  # method-version
            self._cfws()
            self.need(_DIGITS, "a version")
            self._cfws()
        if not self._is("="):
            self.fail("expected '='")
        self._cfws()
        result = self.need(_PLAIN, "a result")[0].lower()
        self._comment = ""
        self._cfws()
        comment, reason = self._comment, ""
        properties: list[Property] = []
        while not self.ended and self.peek() != ";":
            ptype, name, value = self._propspec()
            if name == "reason" and not ptype:
                reason = value
            elif len(properties) < MAX_PROPERTIES:
                properties.append((ptype, name, value))
            self._cfws()
        return MethodResult(method, result, reason, tuple(properties), comment)

    def _propspec(self) -> Property:
        """Also `reason=`, and what others write without a ptype."""
        name = self.need(_PLAIN, "a property")[0]
        self._cfws()
        while self.peek() not in ("", "=", ";") and (name.endswith(".") or self.peek() == "."):
            name += self.need(_PLAIN, "a property")[0]
            self._cfws()
        if not self._is("="):
            self.fail("expected '='")
        self._cfws()
        value = "" if self.ended or self.peek() == ";" else self._value(_BARE, "a value")
        ptype, dot, rest = name.lower().partition(".")
        return (ptype, rest, value) if dot else ("", ptype, value)

    def _value(self, bare: re.Pattern[str], what: str) -> str:
        if self.peek() == '"':
            value = _PAIR.sub(r"\1", self.need(_QUOTED, "a quoted text that ends")[1])
            return value + self.need(bare, what)[0] if self.peek() == "@" else value
        return self.need(bare, what)[0]

    def _is(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def _cfws(self) -> None:
        """White space and comments (RFC 5322 3.2.2); the last comment is remembered."""
        self.take(_SPACE)
        while self.peek() == "(":
            start, depth = self.at, 0
            for match in _MARK.finditer(self.text, start):
                depth += {"(": 1, ")": -1}.get(match[0], 0)
                if not depth:
                    self._comment = self.text[start + 1 : match.start()]
                    self.at = match.end()
                    break
            else:
                self.fail("a comment that does not end")
            self.take(_SPACE)
