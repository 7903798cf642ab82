"""Reads command lines: a cursor whose methods are named after the rules of RFC 5321 4.1 and its extensions."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable

from mox_message import AddressSyntaxError, Path
from mox_smtp.command import Auth, Bdat, Command, CommandSyntaxError, Ehlo, Mail, Parameters, Rcpt, Simple
from mox_smtp.config import DEFAULT_QUIRKS, Quirk
from mox_smtp.parameters import NO_PARAMETERS

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
# esmtp-value: printable but "=" and space; with SMTPUTF8 also UTF-8 (RFC 6531 3.3).
_VALUE = re.compile(r"[!-<>-~\u0080-\U0010ffff]+")
_HELLO = re.compile(r"[!-~\u0080-\U0010ffff]+")
_SASL_MECHANISM = re.compile(r"[A-Za-z0-9_-]{1,20}")
# To the > that ends a path; one in a quoted localpart does not.  The alternatives exclude each other: linear.
_PATH = re.compile(r'<(?:[^"<>\\ ]|"(?:[^"\\]|\\.)*")*>')
_BARE_PATH = re.compile(r'[^"<>\\ ]+')
_CHUNK_SIZE = re.compile(r" +([0-9]{1,19})( +LAST)? *\Z", re.IGNORECASE)
MAX_HELLO = 255
MAX_PARAMETERS = 20


# Lines of at most so many octets are remembered when they were read well: of a server's lines most come again.
MAX_REMEMBERED = 256


def read(line: bytes, quirks: frozenset[Quirk] = DEFAULT_QUIRKS) -> Command:
    """A whole command line without its end.  Raises CommandSyntaxError."""
    # What may hold a password is not remembered.
    if len(line) <= MAX_REMEMBERED and line[:4].upper() in _REMEMBERED:
        return _read_again(line, quirks)
    return _read(line, quirks)


def _read(line: bytes, quirks: frozenset[Quirk]) -> Command:
    scan = Scanner(line, quirks)
    verb = scan.verb()
    rule = RULES.get(verb)
    if rule is None:
        raise CommandSyntaxError(scan.text, 0, "no such command", 500, "5.5.1")
    return rule(scan)


_REMEMBERED = frozenset({b"EHLO", b"LHLO", b"MAIL", b"RCPT", b"DATA", b"RSET", b"QUIT", b"NOOP", b"STAR", b"HELO"})
_read_again = functools.lru_cache(maxsize=1024)(_read)


class Scanner:
    """A cursor in a command line."""

    __slots__ = ("at", "quirks", "text")

    def __init__(self, line: bytes, quirks: frozenset[Quirk] = DEFAULT_QUIRKS) -> None:
        self.at = 0
        self.quirks = quirks
        try:
            self.text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise CommandSyntaxError("", 0, "a command is ASCII or UTF-8", 500, "5.5.2") from None

    def fail(self, why: str, code: int = 501, enhanced: str = "5.5.4") -> CommandSyntaxError:
        """The error at the cursor, for the caller to raise."""
        return CommandSyntaxError(self.text, self.at, why, code, enhanced)

    def verb(self) -> str:
        """The first word, in capitals."""
        verb, _, _ = self.text.partition(" ")
        self.at = len(verb)
        return verb.upper() if verb.isascii() else verb

    # -- RFC 5321 4.1.1

    def ehlo(self) -> Ehlo:
        """ "EHLO" SP ( Domain / address-literal )"""
        return Ehlo(self.hello_name())

    def helo(self) -> Ehlo:
        """ "HELO" SP Domain"""
        return Ehlo(self.hello_name(), extended=False)

    def lhlo(self) -> Ehlo:
        """RFC 2033 4.1: as EHLO."""
        return Ehlo(self.hello_name(), lmtp=True)

    def hello_name(self) -> str:
        """What a client calls itself.

        Deviation RFC 5321 4.1.1.1: any word is taken.  It is a claim that nobody can check, and half of all
        printers would be locked out."""
        self.spaces()
        match = _HELLO.match(self.text, self.at)
        if match is None or len(match[0]) > MAX_HELLO:
            raise self.fail("a domain or an address literal is needed")
        self.at = match.end()
        self.end()
        return match[0]

    def mail(self) -> Mail:
        """ "MAIL FROM:" Reverse-path [SP Mail-parameters]"""
        self.literal(" FROM:")
        return Mail(self.path(null=True), self.parameters())

    def rcpt(self) -> Rcpt:
        """ "RCPT TO:" Forward-path [SP Rcpt-parameters]"""
        self.literal(" TO:")
        return Rcpt(self.path(null=False), self.parameters())

    def data(self) -> Simple:
        """DATA and others that take no argument."""
        verb = self.text[: self.at].upper()
        self.end()
        return Simple(verb)

    rset = quit = starttls = data

    def vrfy(self) -> Simple:
        """VRFY and others that take a text of any form."""
        return Simple(self.text[: self.at].upper(), self.text[self.at :].strip(" "))

    expn = help = noop = vrfy

    # -- extensions

    def auth(self) -> Auth:
        """RFC 4954 4: "AUTH" SP sasl-mech [SP initial-response]"""
        self.spaces()
        match = _SASL_MECHANISM.match(self.text, self.at)
        if match is None:
            raise self.fail("a mechanism is needed")
        self.at = match.end()
        if not self.text.startswith(" ", self.at):
            self.end()
            return Auth(match[0].upper())
        initial = self.text[self.at :].strip(" ")
        return Auth(match[0].upper(), base64_text(initial))

    def bdat(self) -> Bdat:
        """RFC 3030 2: "BDAT" SP chunk-size [SP "LAST"]"""
        match = _CHUNK_SIZE.match(self.text, self.at)
        if match is None:
            raise self.fail("a size is needed, and LAST or nothing")
        return Bdat(int(match[1]), match[2] is not None)

    # -- parts

    def literal(self, text: str) -> None:
        """`text` in letters of either case."""
        if self.text[self.at : self.at + len(text)].upper() != text:
            # The grammar has "MAIL FROM:" and "RCPT TO:" as one word, so another word is another command.
            raise self.fail(f"{self.text[: self.at].upper()}{text}<address> is the form", 500, "5.5.2")
        self.at += len(text)

    def path(self, *, null: bool) -> Path:
        """Reverse-path (`null` may be), or Forward-path (<Postmaster> may be)."""
        if Quirk.SPACE_AFTER_COLON in self.quirks:
            self.spaces()
        match = _PATH.match(self.text, self.at)
        if match is not None:
            text = match[0]
        elif Quirk.BARE_PATH in self.quirks and (match := _BARE_PATH.match(self.text, self.at)) is not None:
            text = f"<{match[0]}>"
        elif self.at == len(self.text):
            raise self.fail("an address is missing", 500, "5.5.2")
        else:
            raise self.fail("a path stands in angle brackets")
        try:
            path = Path.parse(text, null=null, postmaster=not null)
        except AddressSyntaxError as error:
            raise self.fail(error.why, 501, "5.1.7" if null else "5.1.3") from None
        self.at = match.end()
        if self.at < len(self.text) and self.text[self.at] != " ":
            raise self.fail("a space is needed after the path")
        return path

    def parameters(self) -> Parameters:
        """Mail-parameters or Rcpt-parameters: esmtp-param *(SP esmtp-param)"""
        if self.at == len(self.text):
            return NO_PARAMETERS
        values: dict[str, str | None] = {}
        while True:
            self.spaces()
            if self.at == len(self.text):
                return Parameters(values)
            keyword = self.esmtp_keyword()
            if keyword in values:
                raise self.fail(f"{keyword} is given twice")
            if len(values) >= MAX_PARAMETERS:
                raise self.fail(f"at most {MAX_PARAMETERS} parameters")
            values[keyword] = self.esmtp_value()

    def esmtp_keyword(self) -> str:
        """(ALPHA / DIGIT) *(ALPHA / DIGIT / "-")"""
        match = _KEYWORD.match(self.text, self.at)
        if match is None:
            raise self.fail("a parameter begins with a letter or digit")
        self.at = match.end()
        return match[0].upper()

    def esmtp_value(self) -> str | None:
        """["=" esmtp-value]"""
        if not self.text.startswith("=", self.at):
            if self.at < len(self.text) and self.text[self.at] != " ":
                raise self.fail("a parameter is KEYWORD or KEYWORD=value")
            return None
        match = _VALUE.match(self.text, self.at + 1)
        if match is None or self.text[match.end() : match.end() + 1] not in ("", " "):
            raise self.fail("a parameter's value has no space, no = and no control character")
        self.at = match.end()
        return match[0]

    def spaces(self) -> None:
        """Any number of spaces."""
        while self.text.startswith(" ", self.at):
            self.at += 1

    def end(self) -> None:
        """Nothing but spaces (RFC 5321 4.1.1 lets a command line end with them)."""
        self.spaces()
        if self.at != len(self.text):
            raise self.fail("nothing may follow here")


_VERBS = "ehlo helo lhlo mail rcpt data bdat rset quit starttls auth vrfy expn help noop"
RULES: dict[str, Callable[[Scanner], Command]] = {name.upper(): getattr(Scanner, name) for name in _VERBS.split()}


def base64_text(text: str) -> bytes:
    """A response in AUTH: base64, or "=" for an empty one (RFC 4954 4).  Raises CommandSyntaxError."""
    if text == "=":
        return b""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise CommandSyntaxError("", 0, "not base64", 501, "5.5.2") from None
