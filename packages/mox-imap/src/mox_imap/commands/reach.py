"""What a URL means: the octets of a message or of a part of it, in this session's account or in another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mox_imap.backend import Account, BackendError, Mailbox
from mox_imap.commands.section import Reader, Section, section
from mox_imap.extensions import AccessUrls
from mox_imap.scanner import CommandSyntaxError, Scanner
from mox_imap.server import ImapServer, No
from mox_imap.urls import MessageUrl, UrlSyntaxError


@dataclass(slots=True)
class Place:
    """A mailbox that was opened for a URL."""

    mailbox: Mailbox
    last: Any = None  # as in View


class Unreachable(Exception):
    """A URL leads nowhere, and why."""


def url_of(data: bytes) -> MessageUrl:
    """Reads a URL.  Raises Unreachable."""
    try:
        return MessageUrl.parse(data.decode("ascii"))
    except (UrlSyntaxError, UnicodeDecodeError) as error:
        raise Unreachable(str(error)) from None


def is_own(s: ImapServer, url: MessageUrl) -> bool:
    """Does a URL lead into this session's own account?  A host alone is ours: a server does not know all its names."""
    account = s.account
    if url.host is None or not url.user:
        return True
    if not isinstance(account, AccessUrls):
        return False
    owner = account.url_owner(url.user) or account.url_owner(f"{url.user}@{url.host}")
    return isinstance(owner, AccessUrls) and owner.user == account.user


def part_of(url: MessageUrl, *, binary: str = "") -> Section:
    """What of the message.  Raises Unreachable."""
    word = f"{binary or 'BODY'}.PEEK[" if binary != "BINARY.SIZE" else "BINARY.SIZE["
    scan = Scanner(f"{word}{url.section}]".encode())
    try:
        found = section(scan)
        scan.end()
    except CommandSyntaxError as error:
        raise Unreachable(str(error)) from None
    assert found is not None
    return replace(found, start=url.start, length=url.length or 2**62) if url.start >= 0 else found


def reader(s: ImapServer, account: Account, url: MessageUrl) -> Iterator[Reader]:
    """Yields the message's reader once, and closes what was opened for it.  Raises Unreachable."""
    view = s.view
    if not url.mailbox:
        if view is None or account is not s.account:
            raise Unreachable("no mailbox is open")
        yield _reader(Place(view.mailbox), url)
        return
    name = "Inbox" if url.mailbox.upper() == "INBOX" else url.mailbox
    try:
        mailbox = account.open(name, lambda: None)
    except BackendError as error:
        raise Unreachable(error.text) from None
    try:
        yield _reader(Place(mailbox), url)
    finally:
        mailbox.close()


def _reader(place: Place, url: MessageUrl) -> Reader:
    if url.uidvalidity and url.uidvalidity != place.mailbox.uidvalidity:
        raise Unreachable("the mailbox is another one now")
    row = next(iter(place.mailbox.rows([url.uid])), None)
    if row is None:
        raise Unreachable("no such message")
    return Reader(place, row)


def octets(s: ImapServer, account: Account, url: MessageUrl) -> Iterator[bytes]:
    """The octets, in pieces.  Raises Unreachable."""
    wanted = part_of(url)
    for found in reader(s, account, url):
        try:
            pieces = found.octets(wanted)
            if pieces is None:
                raise Unreachable("no such part")
            yield from pieces
        except (BackendError, No) as error:
            raise Unreachable(error.text) from None
