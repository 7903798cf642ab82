"""GETMETADATA and SETMETADATA (RFC 5464)"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mox_imap import writer
from mox_imap.commands.mailbox import name_bytes
from mox_imap.extensions import Annotated
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No

MAX_ENTRIES = 100
MAX_NAME = 1000
# RFC 5464 3.2: private or shared, then comment, admin, vendor/…; there no wildcards, no empty parts, ASCII only.
_ENTRY = re.compile(r"/(?:private|shared)(?:/[^/*%\x00-\x1f\x7f]+)+\Z", re.IGNORECASE)
_VENDOR = re.compile(r"/(?:private|shared)/vendor(?:/[^/]+)?\Z", re.IGNORECASE)


def entry_name(scan: Scanner) -> str:
    """An entry's name, lower case: they compare without case (RFC 5464 3.2).  Raises CommandSyntaxError."""
    name = scan.text().lower()
    if len(name) > MAX_NAME or not name.isascii() or not _ENTRY.match(name) or _VENDOR.match(name):
        raise scan.fail("an entry is /private/… or /shared/…, with no empty part and no wildcard")
    return name


def _account(s: ImapServer, scan: Scanner) -> Annotated:
    if not isinstance(s.account, Annotated):
        raise scan.fail("METADATA is not to be had")
    return s.account


def _mailbox(scan: Scanner) -> str:
    """The mailbox; the empty name is the server."""
    return "" if scan.take(b'""') else scan.mailbox()


def _options(scan: Scanner) -> tuple[int, int]:
    """getmetadata-options, (maxsize, depth); -1 for none"""
    maxsize, depth = -1, 0
    scan.expect(b"(")
    while True:
        if scan.take(b"MAXSIZE "):
            maxsize = scan.number()
        elif scan.take(b"DEPTH "):
            if (depth := 2 if scan.take(b"INFINITY") else scan.number()) not in (0, 1, 2):
                raise scan.fail("DEPTH is 0, 1 or infinity")
        else:
            raise scan.fail("no such option")
        if scan.take(b")"):
            return maxsize, depth
        scan.sp()


def _is_options(scan: Scanner) -> bool:
    return scan.peek(b"(MAXSIZE ") or scan.peek(b"(DEPTH ")


def get_metadata(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 5464 4.2.  Quirk options-place: its text has the options after the mailbox, its grammar before."""
    account = _account(s, scan)
    scan.sp()
    maxsize, depth = -1, 0
    given = _is_options(scan)
    if given:
        maxsize, depth = _options(scan)
        scan.sp()
    mailbox = _mailbox(scan)
    wanted: tuple[str, ...] | None = None
    lists = 0
    while wanted is None and (lists > 1 or not scan.at_end):
        scan.sp()
        if not given and _is_options(scan):
            some = _options(scan)
            maxsize, depth = max(maxsize, some[0]), max(depth, some[1])
            lists += 1
        else:
            wanted = entry_names(scan)
    scan.end()
    values = account.annotations(mailbox)
    if wanted is None:  # Quirk no-entries: RFC 5464 wants names; some clients name none and mean all.
        wanted, depth = ("/private", "/shared"), 2
    there = {name: value for name, value in sorted(values.items()) if _within(name, wanted, depth)}
    chosen: list[tuple[str, bytes | None]] = [*there.items()]
    if depth == 0:  # RFC 5464 4.2: what was asked for by name and is not there is NIL
        chosen = [(name, values.get(name)) for name in wanted]
    told = [(name, value) for name, value in chosen if value is None or maxsize < 0 or len(value) <= maxsize]
    if told:
        yield metadata_line(s, mailbox, told)
    longest = max((len(value) for value in there.values()), default=0)
    return f"[METADATA LONGENTRIES {longest}] some are longer" if 0 <= maxsize < longest else None


def entry_names(scan: Scanner) -> tuple[str, ...]:
    """entries"""
    if not scan.take(b"("):
        return (entry_name(scan),)
    found = [entry_name(scan)]
    while not scan.take(b")"):
        scan.sp()
        found.append(entry_name(scan))
        if len(found) > MAX_ENTRIES:
            raise scan.fail("too many entries")
    return tuple(dict.fromkeys(found))


def _within(name: str, wanted: tuple[str, ...], depth: int) -> bool:
    for one in wanted:
        if name == one:
            return True
        if depth and name.startswith(one + "/") and (depth > 1 or "/" not in name[len(one) + 1 :]):
            return True
    return False


def metadata_line(s: ImapServer, mailbox: str, values: list[tuple[str, bytes | None]]) -> bytes:
    """METADATA with values"""
    words = []
    for name, value in values:
        literal8 = value is not None and b"\0" in value
        shown = b"~{%d}\r\n%s" % (len(value or b""), value) if literal8 else writer.nstring(value)
        words.append(writer.astring(name) + b" " + shown)
    return b"* METADATA %s (%s)\r\n" % (name_bytes(s, mailbox) if mailbox else b'""', b" ".join(words))


def list_metadata(s: ImapServer, mailbox: str, entries: tuple[str, ...], account: Annotated) -> Iterator[bytes]:
    """METADATA in LIST (RFC 9590 2)"""
    values: Mapping[str, bytes] = account.annotations(mailbox)
    yield metadata_line(s, mailbox, [(name, values.get(name)) for name in entries])


def set_metadata(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 5464 4.3"""
    account = _account(s, scan)
    most, _ = account.annotation_limits
    scan.sp()
    mailbox = _mailbox(scan)
    scan.sp()
    values: dict[str, bytes | None] = {}
    scan.expect(b"(")
    scan.skip_sp()
    while True:
        name = entry_name(scan)
        scan.sp()
        values[name] = scan.nil_or_string()
        if len(values) > MAX_ENTRIES:
            raise scan.fail("too many entries")
        spaced = scan.take(b" ")
        scan.skip_sp()
        if scan.take(b")"):
            break
        if not spaced:
            raise scan.fail("a space is expected")
    scan.end()
    if any(value is not None and len(value) > most for value in values.values()):
        raise No(f"METADATA MAXSIZE {most}", f"a value has at most {most} octets")
    yield account.annotate(mailbox, values)
    return None
