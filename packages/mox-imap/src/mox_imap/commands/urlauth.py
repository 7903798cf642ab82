"""GENURLAUTH, RESETKEY and URLFETCH (RFC 4467), URLFETCH of decoded parts and their structure (RFC 5524).

A URL is signed with a key of its mailbox; with a new key all that were signed are void."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator
from typing import Any, cast

from mox_imap import writer
from mox_imap.backend import Account, BackendError
from mox_imap.commands import reach
from mox_imap.commands.reach import Unreachable
from mox_imap.commands.section import DECODABLE
from mox_imap.extensions import AccessUrls
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No, Yielded
from mox_imap.structure import part_structure
from mox_imap.urls import MessageUrl
from mox_message import Part

MECHANISM = "INTERNAL"
MAX_URLS = 100
# What a URL may give out at once: it is held while it is written.
MAX_OCTETS = 64 * 1024 * 1024


def _account(s: ImapServer, scan: Scanner) -> AccessUrls:
    if not isinstance(s.account, AccessUrls):
        raise scan.fail("URLAUTH is not to be had")
    return s.account


def _token(key: bytes, rump: str) -> str:
    # The first octet names the algorithm, so that another can follow.
    return "01" + hmac.new(key, rump.encode(), hashlib.sha256).hexdigest()


def _owner(account: AccessUrls, url: MessageUrl) -> AccessUrls | None:
    found = account.url_owner(url.user) or account.url_owner(f"{url.user}@{url.host}")
    return found if isinstance(found, AccessUrls) else None


def _is(account: AccessUrls, owner: object) -> bool:
    return isinstance(owner, AccessUrls) and owner.user == account.user


def generate(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """GENURLAUTH (RFC 4467 7)"""
    account = _account(s, scan)
    asked: list[tuple[bytes, MessageUrl]] = []
    while scan.take(b" "):
        data = scan.astring()
        scan.sp()
        if scan.atom().upper() != MECHANISM:
            raise scan.fail(f"the mechanism is {MECHANISM}")
        try:
            url = reach.url_of(data)
        except Unreachable as error:
            raise scan.fail(str(error)) from None
        if url.access is None or url.access.token or url.host is None:
            raise scan.fail("a whole URL that ends with ;URLAUTH= and who may use it is expected")
        if not _is(account, _owner(account, url)):
            raise scan.fail("the URL is another account's")
        asked.append((data, url))
        if len(asked) > MAX_URLS:
            raise scan.fail("too many URLs")
    scan.end()
    if not asked:
        raise scan.fail("a URL is expected")
    out = []
    for _, url in asked:
        assert url.access is not None
        key: bytes = yield account.url_key(url.mailbox)
        signed = f"{url.access.rump}:{MECHANISM.lower()}:{_token(key, url.access.rump)}"
        out.append(writer.string(signed.encode()))
    yield b"* GENURLAUTH " + b" ".join(out) + b"\r\n"
    return None


def reset_key(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RESETKEY (RFC 4467 7)"""
    account = _account(s, scan)
    mailbox: str | None = None
    if scan.take(b" "):
        mailbox = scan.mailbox()
        while scan.take(b" "):
            if scan.atom().upper() != MECHANISM:
                raise scan.fail(f"the mechanism is {MECHANISM}")
    scan.end()
    yield account.reset_url_keys(mailbox)
    return f"[URLMECH {MECHANISM}] new keys from now on"


def fetch(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """URLFETCH (RFC 4467 7, RFC 5524 3)"""
    account = _account(s, scan)
    asked: list[tuple[bytes, tuple[str, ...]]] = []
    while scan.take(b" "):
        asked.append(_asked(scan))
        if len(asked) > MAX_URLS:
            raise scan.fail("too many URLs")
    scan.end()
    if not asked:
        raise scan.fail("a URL is expected")
    for data, words in asked:
        try:
            shown = yield from _shown(s, account, data, words)
        except Unreachable:
            shown = b"NIL"
        yield b"* URLFETCH %s %s\r\n" % (writer.astring(data.decode("utf-8", "replace")), shown)
    return None


def _asked(scan: Scanner) -> tuple[bytes, tuple[str, ...]]:
    if not scan.take(b"("):
        return scan.astring(), ()
    data = scan.astring()
    words: list[str] = []
    while scan.take(b" "):
        word = scan.atom().upper()
        if word not in ("BODY", "BINARY", "BODYPARTSTRUCTURE") or word in words:
            raise scan.fail(f"no such parameter {word[:40]}")
        words.append(word)
    scan.expect(b")")
    if {"BODY", "BINARY"} <= set(words):
        raise scan.fail("BODY and BINARY exclude each other")
    return data, tuple(words) or ("BODY",)


def _shown(s: ImapServer, account: AccessUrls, data: bytes, words: tuple[str, ...]) -> Generator[Yielded, Any, bytes]:
    """What is said of one URL.  Raises Unreachable."""
    url = reach.url_of(data)
    owner: Account = yield from _allowed(s, account, url)
    if not words:
        return writer.literal(_gathered(reach.octets(s, owner, url)))
    parts = []
    for found in reach.reader(s, owner, url):
        for word in sorted(words, key=("BODYPARTSTRUCTURE", "BODY", "BINARY").index):
            try:
                parts.append(_said(s, owner, url, found, word, decoded="BINARY" in words))
            except (No, BackendError):  # an encoding that is not known
                parts.append(word.encode() + b" NIL")
    return b" ".join(b"(%s)" % part for part in parts)


def _said(s: ImapServer, owner: Account, url: MessageUrl, found: Any, word: str, *, decoded: bool) -> bytes:
    if word == "BODY":
        return b"BODY " + writer.literal(_gathered(reach.octets(s, owner, url)))
    if word == "BINARY":
        return b"BINARY " + _gathered(found.section(reach.part_of(url, binary="BINARY")))
    part = found.part(url.section) if url.section.replace(".", "").isdigit() or not url.section else None
    if part is None:
        return b"BODYPARTSTRUCTURE NIL"
    return b"BODYPARTSTRUCTURE " + part_structure(part, _decoded(found, part) if decoded else None)


def _decoded(found: Any, part: Part) -> tuple[str, int] | None:
    """(encoding, octets) of a part's content as BINARY gives it; None when it cannot be decoded."""
    if part.children or part.encoding not in DECODABLE:
        return None
    size, encoding = 0, "7BIT"
    for piece in part.decoded(found.content):
        size += len(piece)
        if b"\0" in piece:
            encoding = "BINARY"
        elif encoding == "7BIT" and not piece.isascii():
            encoding = "8BIT"
    return encoding, size


def _gathered(pieces: Any) -> bytes:
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > MAX_OCTETS:
            raise Unreachable("too much")
    return b"".join(found)


def _allowed(s: ImapServer, account: AccessUrls, url: MessageUrl) -> Generator[Yielded, Any, Account]:
    """The account that a signed URL may be read from.  Raises Unreachable."""
    access = url.access
    owner = _owner(account, url)
    if access is None or access.mechanism != MECHANISM or owner is None:
        raise Unreachable("not signed")
    if access.expires is not None and (s.clock is None or s.clock() > access.expires):
        raise Unreachable("expired")
    if not _may(account, access.identifier):
        raise Unreachable("for somebody else")
    try:
        key: bytes = yield owner.url_key(url.mailbox)
    except BackendError as error:
        raise Unreachable(error.text) from None
    if not hmac.compare_digest(_token(key, access.rump), access.token):
        raise Unreachable("not signed with the key of today")
    return cast(Account, owner)  # what fulfils AccessUrls is an account besides


def _may(account: AccessUrls, identifier: str) -> bool:
    """RFC 4467 3: anybody who has logged in here is "authuser"."""
    kind, _, who = identifier.partition("+")
    kind = kind.lower()
    if kind in ("anonymous", "authuser") and not who:
        return True
    # Nobody submits by logging in here, so submit+ is for the submission server's own session: not an account's.
    return kind == "user" and _is(account, account.url_owner(who))
