"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208)"""

from __future__ import annotations

from mox_imap import writer
from mox_imap.backend import BackendError
from mox_imap.commands.mailbox import name_bytes
from mox_imap.extensions import Quota, QuotaGiving, Quoted
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No

RESOURCES = ("STORAGE", "MESSAGE")


def _account(s: ImapServer, scan: Scanner) -> Quoted:
    if not isinstance(s.account, Quoted):
        raise scan.fail("QUOTA is not to be had")
    return s.account


def _line(quota: Quota) -> bytes:
    told = " ".join(f"{name} {usage} {limit}" for name, usage, limit in quota.resources)
    return b"* QUOTA %s (%s)\r\n" % (_root(quota.root), told.encode())


def _root(name: str) -> bytes:
    return writer.astring(name) if name else b'""'


def get_quota(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9208 4.1.1"""
    account = _account(s, scan)
    scan.sp()
    root = scan.text()
    scan.end()
    quota = account.quota(root)
    if quota is None:
        raise No("NONEXISTENT", "no such quota root")
    yield _line(quota)
    return None


def get_quota_root(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9208 4.1.2"""
    account = _account(s, scan)
    scan.sp()
    name = scan.mailbox()
    scan.end()
    assert s.account is not None
    if s.account.mailbox(name) is None:
        raise BackendError("NONEXISTENT", "no such mailbox")
    quotas = account.quotas(name)
    roots = b"".join(b" " + _root(one.root) for one in quotas)
    yield b"* QUOTAROOT %s%s\r\n" % (name_bytes(s, name), roots) + b"".join(map(_line, quotas))
    return None


def set_quota(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9208 4.1.3"""
    account = _account(s, scan)
    if not isinstance(account, QuotaGiving):
        raise No("NOPERM", "limits are set by who runs this server")
    scan.sp()
    root = scan.text()
    scan.sp()
    scan.expect(b"(")
    limits: dict[str, int] = {}
    while not scan.take(b")"):
        if limits:
            scan.sp()
        name = scan.atom().upper()
        if name not in RESOURCES or name in limits:
            raise scan.fail(f"no such resource {name[:40]}")
        scan.sp()
        limits[name] = scan.number()
    scan.end()
    quota: Quota = yield account.set_quota(root, limits)
    yield _line(quota)
    return None
