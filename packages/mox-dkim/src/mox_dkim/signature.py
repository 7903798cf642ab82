"""The DKIM-Signature field, both ways.  RFC 6376 3.5, RFC 8301, RFC 8463, RFC 8616.

    Signature      the field as a value; `parse` reads it, `field` writes it
    Algorithm      what a= may say
    without_b      the octets of a field with the value of b= taken out, as they are signed (3.7)
    salvage        domain and selector of a field that is no valid signature, for the report

Only text is looked at here; whether the signature is right, verify.py says."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Protocol

from mox_dkim.canonical import Form, relaxed_field, simple_field
from mox_dkim.key import KeyType
from mox_dns import Domain, DomainSyntaxError
from mox_dns.scanner import RecordSyntaxError
from mox_dns.taglist import Tag, TagList, TagListSyntaxError

# RFC 6376 3.5: l= has at most 76 digits, t= and x= twelve.
MAX_DIGITS = 76

# A field of more octets is no signature that a signer made: the largest keys take some 1500.
MAX_FIELD = 65536

LINE = 76  # where the written field is folded; RFC 5322 2.1.1 wants lines of at most 78

# RFC 6376 3.5, RFC 8617 4.1.
_KNOWN = frozenset(("v", "a", "b", "bh", "c", "cv", "d", "h", "i", "l", "q", "s", "t", "x", "z"))
_B_AT_START = re.compile(rb"[ \t\r\n]*b[ \t\r\n]*=([^;]*)")
_B_VALUE = re.compile(rb";[ \t\r\n]*b[ \t\r\n]*=([^;]*)")
# RFC 5322 3.6.8: names are printable ASCII but the colon; RFC 6376 3.5, h=: colons between them.
_NAMES = re.compile(r"[ \t\r\n]*[!-9;-~]+[ \t\r\n]*(?::[ \t\r\n]*[!-9;-~]+[ \t\r\n]*)*\Z")
_QUOTED = re.compile(rb"=([0-9A-F]{2})")


class SignatureSyntaxError(RecordSyntaxError):
    """This is no DKIM signature: `.text`, `.at` (character offset), `.why`."""


class Algorithm(Enum):
    """What a= may say: its name, the kind of key, the hash."""

    RSA_SHA256 = ("rsa-sha256", KeyType.RSA, "sha256")
    ED25519_SHA256 = ("ed25519-sha256", KeyType.ED25519, "sha256")  # RFC 8463
    RSA_SHA1 = ("rsa-sha1", KeyType.RSA, "sha1")  # RFC 8301: historic; refused unless a policy says otherwise

    def __init__(self, label: str, key: KeyType, hash: str) -> None:
        self.label = label
        self.key = key
        self.hash = hash

    def __str__(self) -> str:
        return self.label


ALGORITHMS = {algorithm.label: algorithm for algorithm in Algorithm}
# What c= may say; a name alone is the header's, RFC 6376 3.5.
FORMS = {f"{header}/{body}": (header, body) for header in Form for body in Form}
FORMS |= {str(header): (header, Form.SIMPLE) for header in Form}


class HeaderField(Protocol):
    """What this file asks of a header field; `mox_message.Field` is one."""

    @property
    def raw(self) -> bytes: ...
    @property
    def colon(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM-Signature.  Names in `headers` are lower case; `identity` is decoded, "" without i=.

    While a message is being signed, `body_hash` and then `signature` are empty."""

    algorithm: Algorithm
    domain: Domain
    selector: str
    headers: tuple[str, ...]
    body_hash: bytes = b""
    signature: bytes = b""
    header_form: Form = Form.SIMPLE
    body_form: Form = Form.SIMPLE
    identity: str = ""
    length: int | None = None
    signed_at: int | None = None
    expires_at: int | None = None
    query: tuple[str, ...] = ("dns/txt",)

    @classmethod
    def parse(cls, value: bytes | str) -> Signature:
        """The value of a DKIM-Signature field, folded or not.  Raises SignatureSyntaxError."""
        text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        return _signature(text.removesuffix("\r\n"))

    @property
    def key_name(self) -> str:
        """Where the key record stands, RFC 6376 3.6.2.1."""
        return f"{self.selector}._domainkey.{self.domain.ascii}"

    @property
    def prefix(self) -> str:
        """The first eight characters of b=, RFC 6008."""
        return binascii.b2a_base64(self.signature[:6], newline=False).decode()

    @property
    def identity_domain(self) -> Domain:
        """The domain of i=, which is the signing domain where i= is absent."""
        return _domain(self.identity.rpartition("@")[2]) if self.identity else self.domain

    def tags(self) -> list[tuple[str, str]]:
        """Names and values in the order they are written, b= last."""
        numbers = (("t", self.signed_at), ("x", self.expires_at), ("l", self.length))
        return [
            ("v", "1"),
            ("a", self.algorithm.label),
            ("c", f"{self.header_form}/{self.body_form}"),
            ("d", self.domain.ascii),
            ("s", self.selector),
            *([("i", quote(self.identity))] if self.identity else []),
            *([("q", ":".join(self.query))] if self.query != ("dns/txt",) else []),
            *((name, str(number)) for name, number in numbers if number is not None),
            ("h", ":".join(self.headers)),
            ("bh", _base64(self.body_hash)),
            ("b", _base64(self.signature)),
        ]

    def field(self, name: str = "DKIM-Signature") -> bytes:
        """The complete field, folded, with CRLF at its end."""
        return fold_tags(name, self.tags())


def without_b(field: HeaderField, form: Form) -> bytes:
    """The field as it goes into the hash: canonical, its b= empty, without line end.  RFC 6376 3.7."""
    name, value = field.raw[: field.colon + 1], field.raw[field.colon + 1 :]
    found = _B_AT_START.match(value) or _B_VALUE.search(value)
    if found is not None:
        value = value[: found.start(1)] + value[found.end(1) :]
    return relaxed_field(name + value, field.colon) if form is Form.RELAXED else simple_field(name + value)


def salvage(value: bytes) -> tuple[Domain | None, str]:
    """The d= and s= of a field that is no valid signature, as far as they can be read."""
    try:
        tags = read_tags(value.decode("utf-8", "surrogateescape").removesuffix("\r\n"))
        selector = tags["s"].value if "s" in tags else ""
        return _domain(tags["d"].value) if "d" in tags else None, selector
    except (SignatureSyntaxError, DomainSyntaxError):
        return None, ""


def fold_tags(name: str, tags: Iterable[tuple[str, str]]) -> bytes:
    """A field of tags, in lines of at most LINE characters where that can be.

    Lines are broken between tags, behind the colons of h= and anywhere in base64, where white space means nothing.
    Where `b=` stands does not depend on its value, so that a field can be signed before the value is known."""
    made = list(tags)
    lines = [f"{name}:"]
    for index, (tag, value) in enumerate(made):
        value += ";" if index < len(made) - 1 else ""
        first, rest = _first_piece(tag, value)
        _put(lines, " ", first)
        if tag == "h":
            for piece in rest.split(":") if rest else ():
                _put(lines, ":", piece)
        elif rest:
            _put_anywhere(lines, rest)
    return "".join(line + "\r\n" for line in lines).encode()


def with_value(field: bytes, value: bytes) -> bytes:
    """A field whose last tag, `b=`, is empty, with that value as base64: what `fold_tags` would have made of it."""
    start = field.rfind(b"\n", 0, -2) + 1
    lines = [field[start:-2].decode()]
    _put_anywhere(lines, _base64(value))
    return field[:start] + "".join(line + "\r\n" for line in lines).encode()


def _put_anywhere(lines: list[str], text: str) -> None:
    """Behind the last line, and in as many more as it takes."""
    while text:
        room = LINE - len(lines[-1])
        if room < 8:
            lines.append(" ")
            continue
        lines[-1] += text[:room]
        text = text[room:]


def _first_piece(tag: str, value: str) -> tuple[str, str]:
    """What must stay on one line, and what may be broken further."""
    if tag in ("b", "bh"):
        return f"{tag}=", value
    if tag == "h":
        first, _, rest = value.partition(":")
        return f"h={first}", rest
    return f"{tag}={value}", ""


def _put(lines: list[str], gap: str, piece: str) -> None:
    if len(lines[-1]) + len(gap) + len(piece) > LINE and len(lines[-1]) > 1:
        lines[-1] += gap.rstrip(" ")
        lines.append(" " + piece)
    else:
        lines[-1] += gap + piece


def quick_values(text: str) -> dict[str, str] | None:
    """The values of a tag list that is written as nearly all are; None where `read_tags` must look closer.

    Line ends that fold are spaces here, which mean the same in every tag of a signature."""
    if " \r\n" in text or "\t\r\n" in text or len(text) > MAX_FIELD:
        return None
    flat = text.replace("\r\n\t", " ").replace("\r\n ", " ")
    if not flat.isprintable():  # other line ends, tabs within, control characters, surrogates
        return None
    pieces = flat.split(";")
    if not pieces[-1].strip(" ") and len(pieces) > 1:
        del pieces[-1]
    values: dict[str, str] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name = name.strip(" ")
        if not equals or name not in _KNOWN:
            return None
        values[name] = value.strip(" ")
    return values if len(values) == len(pieces) else None  # else a name stands there twice


def read_tags(text: str) -> Mapping[str, Tag]:
    """The tags of a signature by name.  Raises SignatureSyntaxError."""
    if len(text) > MAX_FIELD:
        raise SignatureSyntaxError(text, MAX_FIELD, f"longer than {MAX_FIELD} characters")
    try:
        return TagList.parse(text).by_name
    except TagListSyntaxError as error:
        raise SignatureSyntaxError(text, error.at, error.why) from None


class TagReader:
    """Reads the values of one tag list; every complaint names the tag and its place."""

    __slots__ = ("_tags", "_values", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._tags: Mapping[str, Tag] | None = None
        values = quick_values(text)
        if values is None:
            self._tags = read_tags(text)
            values = {name: tag.value for name, tag in self._tags.items()}
        self._values = values

    def error(self, name: str, why: str) -> SignatureSyntaxError:
        """A complaint about the tag `name`."""
        if self._tags is None:
            self._tags = read_tags(self.text)
        at = self._tags[name].at if name in self._tags else len(self.text)
        return SignatureSyntaxError(self.text, at, why)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def required(self, name: str) -> str:
        """The value of a tag that must be there."""
        value = self._values.get(name)
        if value is None:
            raise self.error(name, f"{name}= is missing")
        return value

    def optional(self, name: str) -> str | None:
        """The value of a tag that may be absent."""
        return self._values.get(name)

    def algorithm(self) -> Algorithm:
        """a=, RFC 6376 3.3."""
        value = self.required("a")
        try:
            return ALGORITHMS[value.lower()]
        except KeyError:
            raise self.error("a", f"unknown algorithm {value[:40]!r}") from None

    def forms(self) -> tuple[Form, Form]:
        """c=, for header and body; RFC 6376 3.5."""
        value = self.optional("c")
        if value is None:
            return Form.SIMPLE, Form.SIMPLE
        forms = FORMS.get(value.lower())
        if forms is None:
            raise self.error("c", f"unknown canonicalization {value[:40]!r}")
        return forms

    def domain(self, name: str) -> Domain:
        """d= or s=: U-labels are allowed, RFC 8616 4."""
        try:
            return _domain(self.required(name))
        except DomainSyntaxError as error:
            raise self.error(name, f"{name}= is no domain name: {error.why}") from None

    def octets(self, name: str) -> bytes:
        """A base64 value, which white space may interrupt."""
        value = self.required(name)
        try:
            return octets_of(value)
        except ValueError:
            raise self.error(name, f"{name}= is not base64") from None

    def number(self, name: str) -> int | None:
        """A decimal number."""
        value = self.optional(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise self.error(name, f"{name}= is not a number")
        return int(value)

    def usable(self, made: Signature) -> Signature:
        """The same signature, if it is one and its key can be asked for."""
        if not made.signature:
            raise self.error("b", "b= is empty")
        if len(made.key_name) > 253:
            raise self.error("s", "selector and domain together are longer than a DNS name can be")
        return made

    def names(self, name: str) -> tuple[str, ...]:
        """A list of field names in lower case."""
        names = _names(self.required(name))
        if names is None:
            raise self.error(name, f"{name}= lists what is no field name")
        return names


def _signature(text: str) -> Signature:
    """RFC 6376 3.5, tag by tag, and the checks of 6.1.1 that need nothing but the field."""
    read = TagReader(text)
    if read.required("v") != "1":
        raise read.error("v", f"version {read.required('v')[:20]!r}, not 1")
    query = read.optional("q")
    made = message_signature(
        read,
        _identity(read, read.domain("d")),
        ("dns/txt",) if query is None else tuple([one.strip(" \t\r\n").lower() for one in query.split(":")]),
    )
    if made.expires_at is not None and made.signed_at is not None and made.expires_at <= made.signed_at:
        raise read.error("x", "x= is not later than t=")
    return made


def message_signature(read: TagReader, identity: str = "", query: tuple[str, ...] = ("dns/txt",)) -> Signature:
    """The tags that DKIM and ARC's message signature share."""
    header_form, body_form = read.forms()
    made = Signature(
        read.algorithm(),
        read.domain("d"),
        read.domain("s").ascii,
        read.names("h"),
        read.octets("bh"),
        read.octets("b"),
        header_form,
        body_form,
        identity,
        read.number("l"),
        read.number("t"),
        read.number("x"),
        query,
    )
    return read.usable(made)


def _identity(read: TagReader, domain: Domain) -> str:
    """i=: its domain is d= or below it, RFC 6376 3.5 and 6.1.1."""
    value = read.optional("i")
    if value is None:
        return ""
    identity = unquote(unfolded(value))
    _, at, name = identity.rpartition("@")
    try:
        if not at or not _domain(name).within(domain):
            raise read.error("i", "the domain of i= is neither d= nor below it")
    except DomainSyntaxError as error:
        raise read.error("i", f"i= has no valid domain: {error.why}") from None
    return identity


@lru_cache(maxsize=1024)
def _names(value: str) -> tuple[str, ...] | None:
    """Signers sign the same fields in every message."""
    if not _NAMES.match(value):
        return None
    return tuple([part.strip(" \t\r\n") for part in value.lower().split(":")])


@lru_cache(maxsize=1024)
def _domain(text: str) -> Domain:
    return Domain.parse(text)


def unfolded(text: str) -> str:
    """Without the white space of folding, which counts for nothing in base64 and quoted texts."""
    return text.replace("\r\n", "").replace(" ", "").replace("\t", "")


def octets_of(text: str) -> bytes:
    """The octets of a base64 text, which white space may interrupt (RFC 6376 3.5).  Raises ValueError."""
    bare = unfolded(text)
    # binascii lets surplus padding pass behind whole groups, even when it is strict.
    if len(bare) % 4 or bare.endswith("==="):
        raise ValueError("padding")
    return binascii.a2b_base64(bare, strict_mode=bool(bare))


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def unquote(text: str) -> str:
    """DKIM-Quoted-Printable, RFC 6376 2.11."""
    if "=" not in text:
        return text
    octets = _QUOTED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8", "surrogateescape"))
    return octets.decode("utf-8", "surrogateescape")


def quote(text: str) -> str:
    """Printable ASCII but `;` and `=` stays; other ASCII is quoted; the rest stays UTF-8 (RFC 8616 5)."""
    return "".join(c if ("!" <= c <= "~" and c not in ";=") or c > "\x7f" else f"={ord(c):02X}" for c in text)
