"""The header field Received-SPF, both ways.  RFC 7208 9.1; as a grammar in testing/received.lark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mox_dns.scanner import RecordSyntaxError, Scanner
from mox_spf.result import Result, Status

# RFC 5322 3.2.3; anything else stands in quotes.
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
NAME = "Received-SPF:"
LINE = 78
# Characters of one value: what a client says must not make the field endless.
MAX_VALUE = 320
# Pairs of one field, when read; depth of comments within comments.
MAX_PAIRS = 50
MAX_DEPTH = 20

_RESULTS = frozenset(status.value for status in Status)
_WHITE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[A-Za-z]+")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_LOOSE = re.compile(r'[^;\s"()\\]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)
_FOLD = re.compile(r"\r?\n(?=[ \t])")


class ReceivedSyntaxError(RecordSyntaxError):
    """This is no Received-SPF field: `.text`, `.at`, `.why`."""


@dataclass(frozen=True, slots=True)
class ReceivedSpf:
    """The value of a field: what its writer found.  Whoever reads one asks first who wrote it (RFC 7208 9.1, 11.4).

    `pairs`: names in lower case and values without quotes, in order, those of other names too.  `defects`: what the
    grammar has otherwise, though many write it so, such as an address without quotes."""

    status: Status
    comment: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    defects: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: Result, *, ip: str, mail_from: str, helo: str, receiver: str) -> ReceivedSpf:
        """What to write of a result.  Never raises, whatever the client has said."""
        pairs = [
            ("receiver", receiver),
            ("identity", result.identity),
            ("client-ip", ip),
            ("envelope-from", mail_from),
            ("helo", helo),
            # 9.1: "default" where no mechanism matched.
            ("mechanism", result.mechanism or "default"),
        ]
        if result.problem:
            pairs.append(("problem", result.problem))
        return cls(result.status, result.reason, tuple(pairs))

    @classmethod
    def parse(cls, value: str | bytes) -> ReceivedSpf:
        """Reads what stands behind "Received-SPF:", folded or not.  Raises ReceivedSyntaxError."""
        text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        return _Reader(_FOLD.sub("", text.removesuffix("\n").removesuffix("\r"))).field()

    def get(self, name: str) -> str | None:
        """The first value of this name."""
        return next((value for key, value in self.pairs if key == name), None)

    @property
    def client_ip(self) -> str | None:
        """The address of the client, as written."""
        return self.get("client-ip")

    @property
    def envelope_from(self) -> str | None:
        """The reverse-path."""
        return self.get("envelope-from")

    @property
    def helo(self) -> str | None:
        """The name that the client gave."""
        return self.get("helo")

    @property
    def identity(self) -> str | None:
        """What was judged: "mailfrom" or "helo"."""
        return self.get("identity")

    @property
    def receiver(self) -> str | None:
        """Who judged."""
        return self.get("receiver")

    @property
    def mechanism(self) -> str | None:
        """The mechanism that decided, or "default"."""
        return self.get("mechanism")

    @property
    def problem(self) -> str | None:
        """What an error was about."""
        return self.get("problem")

    def __str__(self) -> str:
        """The value on one line."""
        return " ".join(self._words())

    def field(self) -> bytes:
        """The whole field, folded, with its line end."""
        lines = [NAME]
        for word in self._words():
            if len(lines[-1]) + 1 + len(word) > LINE and lines != [NAME]:
                lines.append(f"\t{word}")
            else:
                lines[-1] += f" {word}"
        return ("\r\n".join(lines) + "\r\n").encode()

    def _words(self) -> list[str]:
        words = [self.status.value]
        if self.comment:
            words.append(f"({_comment(self.comment)})")
        words += [f"{key}={_value(value)};" for key, value in self.pairs]
        words[-1] = words[-1].removesuffix(";")
        return words

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "comment": self.comment,
            "pairs": dict(reversed(self.pairs)),
            "defects": list(self.defects),
        }


def received_spf(result: Result, *, ip: str, mail_from: str, helo: str, receiver: str) -> bytes:
    """The whole field, folded, with its line end.  Never raises, whatever the client has said."""
    return ReceivedSpf.of(result, ip=ip, mail_from=mail_from, helo=helo, receiver=receiver).field()


class _Reader(Scanner):
    __slots__ = ("comment", "defects")

    Error = ReceivedSyntaxError

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.comment = ""
        self.defects: list[str] = []

    def field(self) -> ReceivedSpf:
        self.cfws()
        self.comment = ""
        at = self.at
        word = self.need(_WORD, "a result")[0].lower()
        if word not in _RESULTS:
            self.fail("no such result", at)
        behind = self.at
        self.cfws()
        if self.at == behind and not self.ended:
            self.note("no white space behind the result")
        pairs = self.pairs()
        return ReceivedSpf(Status(word), self.comment, pairs, tuple(self.defects))

    def note(self, what: str) -> None:
        if what not in self.defects:
            self.defects.append(what)

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """key-value-list"""
        pairs: list[tuple[str, str]] = []
        while not self.ended:
            if len(pairs) == MAX_PAIRS:
                self.fail(f"more than {MAX_PAIRS} pairs")
            key = self.need(_KEY, "a key")[0].lower()
            self.cfws()
            self.expect("=")
            self.cfws()
            pairs.append((key, self.value()))
            self.cfws()
            if self.ended:
                break
            if self.literal(";"):
                self.cfws()
            else:
                self.note("no semicolon between pairs")
        return tuple(pairs)

    def value(self) -> str:
        """dot-atom or quoted-string"""
        if quoted := self.take(_QUOTED):
            return _ESCAPED.sub(r"\1", quoted[1])
        start = self.at
        found = self.take(_LOOSE)
        if found is None:
            if self.peek() not in ("", ";"):
                self.fail("expected a value")
            self.note("an empty value")
            return ""
        if _DOT_ATOM.match(found[0]) is None:
            self.note("a value that should be in quotes")
        return self.text[start : self.at]

    def cfws(self) -> None:
        """White space and comments; the first comment is kept."""
        while True:
            self.take(_WHITE)
            if self.peek() != "(":
                return
            start = self.at
            end = self.comment_end()
            if not self.comment:
                self.comment = _ESCAPED.sub(r"\1", self.text[start + 1 : end - 1]).strip()
            self.at = end

    def comment_end(self) -> int:
        """Behind the bracket that closes the one here."""
        depth, at = 1, self.at + 1
        while depth and at < len(self.text):
            char = self.text[at]
            depth += (char == "(") - (char == ")")
            at += 2 if char == "\\" else 1
            if depth > MAX_DEPTH:
                self.fail("comments too deep", at - 1)
        if depth:
            self.fail("a comment does not end")
        return at


def _value(text: str) -> str:
    if _DOT_ATOM.match(text) and len(text) <= MAX_VALUE:
        return text
    return '"' + _clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(text: str) -> str:
    return re.sub(r"([()\\])", r"\\\1", _clean(text))


def _clean(text: str) -> str:
    """Without controls and lone surrogates, and no longer than MAX_VALUE."""
    return "".join([char if char.isprintable() else "?" for char in text[:MAX_VALUE]])
