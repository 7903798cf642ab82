"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314)"""

from __future__ import annotations

from mox_imap import writer
from mox_imap.backend import FlagAction
from mox_imap.commands.mailbox import name_bytes
from mox_imap.extensions import Shared
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No

RIGHTS = "lrswipkxtea"
# RFC 4314 2.1.1: what older clients mean by c and d.
OLD = {"c": "kx", "d": "xte"}


def _account(s: ImapServer, scan: Scanner) -> Shared:
    if not isinstance(s.account, Shared):
        raise scan.fail("ACL is not to be had")
    return s.account


def _arguments(scan: Scanner, *, identifier: bool) -> tuple[str, str]:
    scan.sp()
    mailbox = scan.mailbox()
    if not identifier:
        return mailbox, ""
    scan.sp()
    return mailbox, scan.text()


def _shown(rights: str) -> bytes:
    """With c and d for older clients, when all that they mean is there (RFC 4314 2.1.1)."""
    held = set(rights)
    old = ("c" if held & {"k", "x"} else "") + ("d" if held & {"t", "e"} else "")
    return ("".join(one for one in RIGHTS if one in held) + old).encode() or b'""'


def set_acl(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4314 3.1"""
    account = _account(s, scan)
    mailbox, identifier = _arguments(scan, identifier=True)
    scan.sp()
    text = scan.text()
    scan.end()
    mode = text[:1] if text[:1] in ("+", "-") else ""
    letters = {right for letter in text.removeprefix(mode) for right in OLD.get(letter, letter)}
    if not letters <= set(RIGHTS):
        raise scan.fail(f"rights are letters of {RIGHTS}")
    action: FlagAction = "add" if mode == "+" else "remove" if mode == "-" else "replace"
    yield account.grant(mailbox, identifier, action, "".join(one for one in RIGHTS if one in letters))
    return None


def delete_acl(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4314 3.2"""
    account = _account(s, scan)
    mailbox, identifier = _arguments(scan, identifier=True)
    scan.end()
    yield account.grant(mailbox, identifier, "replace", "")
    return None


def get_acl(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4314 3.3"""
    account = _account(s, scan)
    mailbox, _ = _arguments(scan, identifier=False)
    scan.end()
    if "a" not in account.my_rights(mailbox):
        raise No("NOPERM", "that takes the right to administer")
    told = [b" %s %s" % (writer.astring(who), _shown(rights)) for who, rights in account.rights(mailbox).items()]
    yield b"* ACL %s%s\r\n" % (name_bytes(s, mailbox), b"".join(told))
    return None


def list_rights(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4314 3.4"""
    account = _account(s, scan)
    mailbox, identifier = _arguments(scan, identifier=True)
    scan.end()
    always, besides = account.grantable(mailbox, identifier)
    words = [name_bytes(s, mailbox), writer.astring(identifier), always.encode() or b'""']
    yield b"* LISTRIGHTS " + b" ".join([*words, *(one.encode() for one in besides)]) + b"\r\n"
    return None


def my_rights(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4314 3.5"""
    account = _account(s, scan)
    mailbox, _ = _arguments(scan, identifier=False)
    scan.end()
    yield my_rights_line(s, account, mailbox)
    return None


def my_rights_line(s: ImapServer, account: Shared, mailbox: str) -> bytes:
    """MYRIGHTS, also in LIST (RFC 8440)"""
    return b"* MYRIGHTS %s %s\r\n" % (name_bytes(s, mailbox), _shown(account.my_rights(mailbox)))
