"""ENVELOPE and BODYSTRUCTURE as final bytes, made once when a message comes in (RFC 9051 7.5.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from mox_imap.writer import ntext, string
from mox_message import Fields, Group, Mailbox, Part, addresses, encode

# What clients never ask for in lists, and what grows: left out of the header block that is kept ready.
NOT_KEPT = frozenset(
    [
        "received",
        "received-spf",
        "authentication-results",
        "dkim-signature",
        "domainkey-signature",
        "arc-seal",
        "arc-message-signature",
        "arc-authentication-results",
        "return-path",
        "delivered-to",
        "x-google-dkim-signature",
        "x-received",
        "x-gm-message-state",
    ]
)
MAX_KEPT = 16 * 1024


def envelope(part: Part) -> bytes:
    """`(date subject from sender reply-to to cc bcc in-reply-to message-id)`, texts as they stand in the message."""
    fields = part.fields
    sender = _addresses(fields, "from")
    values = [
        _text(fields, "date"),
        _text(fields, "subject"),
        sender,
        # RFC 9051 7.5.2: absent or empty, they are those of From.
        sender if (found := _addresses(fields, "sender")) == b"NIL" else found,
        sender if (found := _addresses(fields, "reply-to")) == b"NIL" else found,
        _addresses(fields, "to"),
        _addresses(fields, "cc"),
        _addresses(fields, "bcc"),
        _text(fields, "in-reply-to"),
        _text(fields, "message-id"),
    ]
    return b"(" + b" ".join(values) + b")"


def _text(fields: Fields, name: str) -> bytes:
    value = fields.text(name)
    return ntext(value) if value is not None else b"NIL"


def _addresses(fields: Fields, name: str) -> bytes:
    raw = fields.text(name)
    if raw is None:
        return b"NIL"
    if fields.count(name) > 1:
        raw = ", ".join(field.text for field in fields.all(name))
    entries: list[bytes] = []
    for entry in addresses(raw).entries:
        if isinstance(entry, Group):
            entries.append(b"(NIL NIL " + ntext(_name(entry.name, entry.written)) + b" NIL)")
            entries.extend(_address(member) for member in entry.members)
            entries.append(b"(NIL NIL NIL NIL)")
        else:
            entries.append(_address(entry))
    return b"(" + b"".join(entries) + b")" if entries else b"NIL"


# What needs no escaping in a quoted string, and is short enough for one.
_SAFE = re.compile(r"[ !#-\[\]-~]{0,900}\Z")


def _address(mailbox: Mailbox) -> bytes:
    name, local, domain = mailbox.name, mailbox.localpart, mailbox.domain
    if not mailbox.route and _SAFE.match(f"{name}{local}{domain}"):  # as nearly all are
        return f'("{name}" NIL "{local}" "{domain}")'.encode() if name else f'(NIL NIL "{local}" "{domain}")'.encode()
    # RFC 9051 7.5.2: host NIL would mean a group, so an address without a domain gets an empty one.
    host = string(domain.encode("utf-8", "surrogateescape"))
    written = string(local.encode("utf-8", "surrogateescape"))
    return (
        b"("
        + ntext(_name(mailbox.name, mailbox.written))
        + b" "
        + ntext(mailbox.route)
        + b" "
        + written
        + b" "
        + host
        + b")"
    )


def _name(name: str, written: str) -> str:
    """Display names go out in ASCII, because rev1 clients know nothing else: as encoded words, those of the sender if
    there are any."""
    if name.isascii():
        return name
    return written if written.isascii() else encode(name)


def bodystructure(part: Part) -> bytes:
    """The form with extension data, as BODYSTRUCTURE shows it; `short` makes of it what BODY shows."""
    return _structure(part)


def _structure(part: Part) -> bytes:
    # MAX_DEPTH of mox_message bounds this recursion.
    if part.type == "multipart" and part.children:
        inner = b"".join(_structure(child) for child in part.children)
        return (
            b"(" + inner + b" " + _upper(part.subtype) + b" " + _parameters(part.parameters) + b" " + _tail(part) + b")"
        )
    return b"(" + b" ".join(_single(part)) + b")"


def part_structure(part: Part, decoded: tuple[str, int] | None = None) -> bytes:
    """The BODYSTRUCTURE of one part by itself; `decoded`: (encoding, octets) of what BINARY gives of it (RFC 5524 3).

    Decoded it has 0 lines: lines are counted in the transfer encoding (RFC 9051 7.5.2), and that is gone."""
    if decoded is None or part.children or part.message is not None:
        return _structure(part)
    encoding, size = decoded
    words = list(_single(part))
    words[5:7] = [_upper(encoding), b"%d" % size]
    if part.type == "text":
        words[7] = b"0"
    return b"(" + b" ".join(words) + b")"


def _single(part: Part) -> Iterator[bytes]:
    kind, subtype = part.type, part.subtype
    if kind == "multipart":  # without parts: there is nothing to list, so it is shown as what it is, text
        kind, subtype = "text", "plain"
    yield _upper(kind)
    yield _upper(subtype)
    yield _parameters(_with_charset(part.parameters) if kind == "text" else part.parameters)
    yield ntext(part.id)
    yield ntext(part.description)
    yield _upper(part.encoding)
    yield b"%d" % part.size
    if part.message is not None:
        yield envelope(part.message)
        yield _structure(part.message)
        yield b"%d" % part.lines
    elif kind == "text":
        yield b"%d" % part.lines
    yield ntext(part.md5)
    yield _tail(part)


def _with_charset(parameters: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """RFC 2045 5.2: a text without a charset is US-ASCII."""
    if any(name == "charset" or name.startswith("charset*") for name, _ in parameters):
        return parameters
    return (("charset", "US-ASCII"), *parameters)


def _tail(part: Part) -> bytes:
    disposition = b"NIL"
    if part.disposition:
        disposition = b"(" + _upper(part.disposition) + b" " + _parameters(part.disposition_parameters) + b")"
    language = b"NIL"
    if part.language:
        language = (
            b"(" + b" ".join(ntext(tag) for tag in part.language) + b")"
            if len(part.language) > 1
            else ntext(part.language[0])
        )
    return disposition + b" " + language + b" " + ntext(part.location)


# As they are written most.
_COMMON = (
    "7bit 8bit alternative application attachment base64 boundary charset filename format html image inline message "
    "mixed multipart name octet-stream plain quoted-printable related rfc822 text type"
)
_UPPER = {word: string(word.upper().encode()) for word in _COMMON.split(" ")}


def _upper(text: str) -> bytes:
    return _UPPER.get(text) or string(text.upper().encode("utf-8", "surrogateescape"))


def _parameters(pairs: tuple[tuple[str, str], ...]) -> bytes:
    if not pairs:
        return b"NIL"
    return (
        b"("
        + b" ".join(_upper(name) + b" " + string(value.encode("utf-8", "surrogateescape")) for name, value in pairs)
        + b")"
    )


def trimmed_header(fields: Fields) -> bytes:
    """The header without what relays add, as bytes with line ends; b"" when it would be more than MAX_KEPT octets."""
    block = b"".join([field.raw for field in fields if field.name not in NOT_KEPT])
    return block if len(block) <= MAX_KEPT else b""


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|\{(\d+)\}\r\n|[()]|[^ ()"{]+')


def short(extended: bytes) -> bytes:
    """BODY from what `bodystructure` wrote: the same without extension data."""
    return _short(_tree(extended))


_Node: TypeAlias = "bytes | list[_Node]"


def _tree(data: bytes) -> list[_Node]:
    """Nested lists of tokens, literals whole."""
    stack: list[list[_Node]] = [[]]
    at = 0
    while (match := _TOKEN.search(data, at)) is not None:
        at = match.end()
        token = match[0]
        if token == b"(":
            stack.append([])
        elif token == b")":
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            if match[1] is not None:
                token, at = data[match.start() : at + int(match[1])], at + int(match[1])
            stack[-1].append(token)
    found = stack[0][0]
    assert isinstance(found, list)
    return found


def _short(node: list[_Node]) -> bytes:
    if isinstance(node[0], list):
        end = next(at for at, child in enumerate(node) if isinstance(child, bytes))
        return (
            b"("
            + b"".join([_short(child) for child in node[:end] if isinstance(child, list)])
            + b" "
            + _flat(node[end])
            + b")"
        )
    # RFC 9051 9, body-type-1part: type, subtype, parameters, id, description, encoding, size; then by type.
    words = [_flat(one) for one in node[:7]]
    if node[0] == b'"TEXT"':
        words.append(_flat(node[7]))
    elif node[0] == b'"MESSAGE"' and len(node) > 9 and isinstance(node[8], list):
        inner = node[8]
        words += [_flat(node[7]), _short(inner), _flat(node[9])]
    return b"(" + b" ".join(words) + b")"


def _flat(node: _Node) -> bytes:
    if isinstance(node, bytes):
        return node
    # Addresses stand side by side without spaces, everything else with one.
    between = b"" if node and isinstance(node[0], list) else b" "
    return b"(" + between.join(map(_flat, node)) + b")"
