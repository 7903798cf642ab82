"""What MAIL and RCPT ask for beside an address, as values; str() writes them as they go over the wire.

SIZE, BODY, SMTPUTF8, AUTH    RFC 1870, 6152 and 3030, 6531, 4954
RET, ENVID, NOTIFY, ORCPT     RFC 3461 (notices)
REQUIRETLS                    RFC 8689
HOLDFOR, HOLDUNTIL            RFC 4865
BY                            RFC 2852
MT-PRIORITY                   RFC 6710"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType

MAX_ENVID = 100  # characters after decoding (RFC 3461 5.4)
MAX_ORCPT = 500  # characters as written (5.4)
_NONE: Mapping[str, str | None] = MappingProxyType({})

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
# RFC 6533 3: of utf-8-addr-xtext only what an address can hold; UTF-8 itself where SMTPUTF8 is on.
_UTF8_XTEXT = re.compile(r"(?:[!-*,-<>-~\x80-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})*\Z")
_HEX = re.compile(r"\+([0-9A-F]{2})")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]+\Z")
_BY = re.compile(r"([+-]?[0-9]{1,9});([RNrn])([Tt]?)\Z")
_PRIORITY = re.compile(r"(?:0|-?[1-9])\Z")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,20}\Z")
_HOLD = re.compile(r"[1-9][0-9]{0,8}\Z")


class CommandSyntaxError(ValueError):
    """A command line breaks its grammar: `.text`, `.at` (characters), `.why`; `.code` and `.enhanced` to reply with."""

    def __init__(self, text: str, at: int, why: str, code: int = 501, enhanced: str = "5.5.4") -> None:
        self.text, self.at, self.why, self.code, self.enhanced = text, at, why, code, enhanced
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Parameters:
    """ESMTP parameters by keyword in capitals; a value of None has no "=" (RFC 5321 4.1.2, esmtp-param)."""

    values: Mapping[str, str | None] = field(default_factory=lambda: _NONE)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.values

    def get(self, keyword: str) -> str:
        """The value, or "" where there is none."""
        return self.values.get(keyword) or ""

    def number(self, keyword: str) -> int | None:
        """A value of up to 20 digits (RFC 1870 6), None where the keyword is not.  Raises CommandSyntaxError."""
        if keyword not in self.values:
            return None
        text = self.values[keyword] or ""
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise CommandSyntaxError(text, 0, f"{keyword} needs a number")
        return int(text)

    def __str__(self) -> str:
        return "".join(f" {key}" if value is None else f" {key}={value}" for key, value in self.values.items())


class Body(Enum):
    """What the octets of a body are (RFC 6152, 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Ret(Enum):
    """How much of the message a notice of failure returns (RFC 3461 4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(Enum):
    """What a sender wants to hear of (RFC 3461 4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """RFC 2852: within `seconds` (may be past), else `give_back` the message, or only tell; `trace` relays too."""

    seconds: int
    give_back: bool
    trace: bool = False

    def __str__(self) -> str:
        return f"{self.seconds};{'R' if self.give_back else 'N'}{'T' if self.trace else ''}"


@dataclass(frozen=True, slots=True)
class OriginalRecipient:
    """ORCPT: an address as the sender named it, and what kind it is (`rfc822`, `utf-8`, …)."""

    kind: str
    address: str

    def __str__(self) -> str:
        text = xtext(self.address) if self.kind.lower() != "utf-8" else _embedded(self.address)
        return f"{self.kind};{text}"


@dataclass(frozen=True, slots=True)
class MailOptions:
    """Parameters of MAIL; each at its default was not given.

    `auth`: who submitted it first, by the client's word ("" is nobody; RFC 4954 5).  `envid`: decoded, for notices.
    `hold_for` in seconds, or `hold_until`.  `priority`: -9 to 9."""

    size: int | None = None
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    auth: str | None = None
    ret: Ret | None = None
    envid: str | None = None
    require_tls: bool = False
    hold_for: int | None = None
    hold_until: datetime | None = None
    by: DeliverBy | None = None
    priority: int | None = None

    @classmethod
    def read(cls, parameters: Parameters) -> MailOptions:
        """Raises CommandSyntaxError: 555 for a keyword that is not known, 501 for a value that is none of its."""
        if not parameters.values:
            return NO_MAIL_OPTIONS
        found: dict[str, object] = {}
        for keyword, value in parameters.values.items():
            name, parse = _rule(_MAIL_RULES, keyword)
            found[name] = parse(keyword, value)
        if "hold_for" in found and "hold_until" in found:
            raise CommandSyntaxError("HOLDUNTIL", 0, "HOLDFOR or HOLDUNTIL, not both")  # RFC 4865 4.2
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        words = [] if self.size is None else [f"SIZE={self.size}"]
        if self.body is not Body.SEVEN_BIT:
            words.append(f"BODY={self.body.value}")
        words += ["SMTPUTF8"] * self.smtputf8 + ["REQUIRETLS"] * self.require_tls
        if self.auth is not None:
            words.append(f"AUTH={xtext(self.auth) or '<>'}")
        if self.ret is not None:
            words.append(f"RET={self.ret.value}")
        if self.envid is not None:
            words.append(f"ENVID={xtext(self.envid)}")
        if self.hold_for is not None:
            words.append(f"HOLDFOR={self.hold_for}")
        if self.hold_until is not None:
            words.append(f"HOLDUNTIL={self.hold_until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
        if self.by is not None:
            words.append(f"BY={self.by}")
        if self.priority is not None:
            words.append(f"MT-PRIORITY={self.priority}")
        return "".join(f" {word}" for word in words)


@dataclass(frozen=True, slots=True)
class RcptOptions:
    """Parameters of RCPT: what to notify of (empty: not said, RFC 3461 5.2.2 has the default), and ORCPT."""

    notify: frozenset[Notify] = frozenset()
    original: OriginalRecipient | None = None

    @classmethod
    def read(cls, parameters: Parameters) -> RcptOptions:
        """Raises CommandSyntaxError, as MailOptions.read does."""
        if not parameters.values:
            return NO_RCPT_OPTIONS
        found: dict[str, object] = {}
        for keyword, value in parameters.values.items():
            name, parse = _rule(_RCPT_RULES, keyword)
            found[name] = parse(keyword, value)
        return cls(**found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        notify = f" NOTIFY={','.join(one.value for one in Notify if one in self.notify)}" if self.notify else ""
        return notify + (f" ORCPT={self.original}" if self.original is not None else "")


NO_PARAMETERS = Parameters()
NO_MAIL_OPTIONS = MailOptions()
NO_RCPT_OPTIONS = RcptOptions()


# -- xtext (RFC 3461 4)


def xtext(text: str) -> str:
    """`text` with what a parameter cannot hold as +HH."""
    return "".join(
        char if "!" <= char <= "~" and char not in "+=" else "".join(f"+{octet:02X}" for octet in char.encode("utf-8"))
        for char in text
    )


def from_xtext(text: str) -> str:
    """The inverse.  Raises ValueError."""
    if not _XTEXT.match(text):
        raise ValueError("a + begins two hexadecimal digits in capitals")
    if "+" not in text:
        return text
    octets = _HEX.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
    return octets.decode("utf-8")  # a UnicodeDecodeError is a ValueError


def _embedded(text: str) -> str:
    r"""RFC 6533 3, utf-8-addr-xtext: what is not ASCII as \x{...}, so that it passes where SMTPUTF8 is not."""
    return "".join(char if "!" <= char <= "~" and char not in "+=\\" else f"\\x{{{ord(char):02X}}}" for char in text)


# -- values


def _bad(keyword: str, value: str | None, why: str) -> CommandSyntaxError:
    return CommandSyntaxError(f"{keyword}={value}" if value is not None else keyword, 0, f"{keyword}: {why}")


def _rule(rules: Mapping[str, Rule], keyword: str) -> Rule:
    try:
        return rules[keyword]
    except KeyError:
        raise unknown(keyword) from None


def unknown(keyword: str) -> CommandSyntaxError:
    """RFC 5321 4.1.1.11: a parameter that was not offered is not taken."""
    return CommandSyntaxError(keyword, 0, f"parameter {keyword} is not known here", 555, "5.5.4")


def _size(keyword: str, value: str | None) -> int:
    if value is None or not _NUMBER.match(value) or not value.isascii():
        raise _bad(keyword, value, "a number is needed")
    return int(value)


def _flag(keyword: str, value: str | None) -> bool:
    if value is not None:
        raise _bad(keyword, value, "has no value")
    return True


def _body(keyword: str, value: str | None) -> Body:
    try:
        return Body((value or "").upper())
    except ValueError:
        raise _bad(keyword, value, "7BIT or 8BITMIME, or BINARYMIME where it is offered") from None


def _auth(keyword: str, value: str | None) -> str:
    return "" if value == "<>" else _decoded(keyword, value)


def _decoded(keyword: str, value: str | None) -> str:
    try:
        return from_xtext(value or "")
    except ValueError as error:
        raise _bad(keyword, value, str(error) if "+" in str(error) else "not UTF-8") from None


def _ret(keyword: str, value: str | None) -> Ret:
    try:
        return Ret((value or "").upper())
    except ValueError:
        raise _bad(keyword, value, "FULL or HDRS") from None


def _envid(keyword: str, value: str | None) -> str:
    text = _decoded(keyword, value)
    if not text or len(text) > MAX_ENVID or not all(" " <= char <= "~" for char in text):
        raise _bad(keyword, value, f"1 to {MAX_ENVID} printable characters")
    return text


def _hold_for(keyword: str, value: str | None) -> int:
    if value is None or not _HOLD.match(value) or not value.isascii():
        raise _bad(keyword, value, "1 to 999999999 seconds")
    return int(value)


def _hold_until(keyword: str, value: str | None) -> datetime:
    try:
        if value is None or not _RFC3339.match(value) or not value.isascii():
            raise ValueError
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise _bad(keyword, value, "a time as 2030-01-31T12:00:00Z") from None


def _by(keyword: str, value: str | None) -> DeliverBy:
    match = _BY.match(value or "")
    if match is None or not match[0].isascii():
        raise _bad(keyword, value, "seconds;R or seconds;N, and T or nothing")
    by = DeliverBy(int(match[1]), match[2] in "Rr", bool(match[3]))
    if by.give_back and by.seconds <= 0:
        raise _bad(keyword, value, "with R the time lies in the future")  # RFC 2852 4
    return by


def _priority(keyword: str, value: str | None) -> int:
    if value is None or not _PRIORITY.match(value):
        raise _bad(keyword, value, "-9 to 9")
    return int(value)


def _notify(keyword: str, value: str | None) -> frozenset[Notify]:
    words = (value or "").upper().split(",")
    try:
        notify = frozenset(map(Notify, words))
    except ValueError:
        raise _bad(keyword, value, "NEVER, or of SUCCESS, FAILURE, DELAY") from None
    if Notify.NEVER in notify and len(words) > 1:
        raise _bad(keyword, value, "NEVER stands alone")
    return notify


def _orcpt(keyword: str, value: str | None) -> OriginalRecipient:
    kind, semicolon, text = (value or "").partition(";")
    if not semicolon or not _ATOM.match(kind) or not text or len(value or "") > MAX_ORCPT:
        raise _bad(keyword, value, f"kind;address of at most {MAX_ORCPT} characters")
    if kind.lower() != "utf-8":
        return OriginalRecipient(kind, _decoded(keyword, text))
    if not _UTF8_XTEXT.match(text):
        raise _bad(keyword, value, "not utf-8-addr-xtext")
    try:
        address = _EMBEDDED.sub(lambda match: chr(int(match[1], 16)), text)
        address.encode("utf-8")  # no surrogates
    except ValueError:
        raise _bad(keyword, value, "no such character") from None
    return OriginalRecipient(kind, address)


Rule = tuple[str, Callable[[str, "str | None"], object]]

_MAIL_RULES: Mapping[str, Rule] = {
    "SIZE": ("size", _size), "BODY": ("body", _body), "SMTPUTF8": ("smtputf8", _flag), "AUTH": ("auth", _auth),
    "RET": ("ret", _ret), "ENVID": ("envid", _envid), "REQUIRETLS": ("require_tls", _flag),
    "HOLDFOR": ("hold_for", _hold_for), "HOLDUNTIL": ("hold_until", _hold_until), "BY": ("by", _by),
    "MT-PRIORITY": ("priority", _priority),
}  # fmt: skip
_RCPT_RULES: Mapping[str, Rule] = {"NOTIFY": ("notify", _notify), "ORCPT": ("original", _orcpt)}
