"""CAPABILITY NOOP LOGOUT ID STARTTLS LOGIN AUTHENTICATE ENABLE NAMESPACE IDLE"""

from __future__ import annotations

import base64
import binascii

import mox_sasl
from mox_imap import utf7, writer
from mox_imap.backend import Account, Done, Pending
from mox_imap.extensions import Neighbours
from mox_imap.fulfils import fulfils
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No, State

MAX_ID = 30


def capability(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.1.1"""
    scan.end()
    yield b"* CAPABILITY " + s.capabilities().encode() + b"\r\n"
    return None


def noop(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.1.2; CHECK is the same."""
    scan.end()
    yield b""
    return None


def logout(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.1.3"""
    scan.end()
    s.close_mailbox()
    yield b"* BYE goodbye\r\n"
    s.state = State.LOGOUT
    s.ends_after = True
    return None


def id_(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 2971"""
    scan.sp()
    if not scan.take(b"NIL"):
        scan.expect(b"(")
        while not scan.take(b")"):
            scan.take(b" ")
            key = scan.string().decode("utf-8", "replace")
            scan.sp()
            value = scan.nil_or_string() or b""
            if len(s.client_id) < MAX_ID:
                s.client_id[key[:30]] = value[:1024].decode("utf-8", "replace")
            scan.take(b" ")
    scan.end()
    yield b'* ID ("name" "moxd")\r\n'
    return None


def starttls(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.2.1"""
    scan.end()
    if s.tls or not s.config.starttls:
        raise scan.fail("TLS is on already" if s.tls else "TLS is not to be had")
    if s.unread():
        s.bye("nothing may follow STARTTLS before TLS")
        raise No("", "nothing may follow STARTTLS before TLS")
    yield b""
    s.wants_tls = True
    return "go ahead"


def _may_log_in(s: ImapServer) -> None:
    if not (s.tls or s.config.plaintext_login):
        raise No("PRIVACYREQUIRED", "say STARTTLS first")
    if not s.logins.allowed(s.peer):
        raise No("LIMIT", "too many failed logins; wait a while")


def login(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.2.3"""
    scan.sp()
    name = scan.text()
    scan.sp()
    password = scan.text()
    scan.end()
    _may_log_in(s)
    account = yield s.logins.password(name, password, s.peer)
    return _welcome(s, account, name, "LOGIN")


def _welcome(s: ImapServer, account: Account | None, name: str, mechanism: str) -> str:
    if account is None:
        s.failed_logins += 1
        if s.failed_logins >= 5:
            s.bye("too many failed logins")
        raise No("AUTHENTICATIONFAILED", "wrong name or password")
    s.logged_in(account)
    return f"[CAPABILITY {s.capabilities()}] welcome"


def authenticate(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.2.2, RFC 4959"""
    scan.sp()
    name = scan.atom().upper()
    initial: bytes | None = None
    if scan.take(b" "):
        initial = _decoded(scan, scan.astring())
    scan.end()
    _may_log_in(s)
    if name not in ("PLAIN", "SCRAM-SHA-256", "LOGIN"):
        raise No("CANNOT", "no such mechanism")
    mechanism = mox_sasl.server(name, s.logins.verifier())
    outcome = mechanism.start(initial)
    while True:
        if isinstance(outcome, mox_sasl.Challenge):
            outcome = mechanism.step((yield from s.exchange(outcome.data)))
        elif isinstance(outcome, mox_sasl.Failure) or outcome.authzid not in ("", outcome.name):
            # A failure, or somebody who wants to act for another.
            s.logins.failed(outcome.name, name, s.peer)
            return _welcome(s, (yield Done(None)), outcome.name, name)
        elif isinstance(outcome, mox_sasl.CheckPassword):
            account = yield s.logins.password(outcome.name, outcome.password.reveal(), s.peer)
            return _welcome(s, account, outcome.name, name)
        else:
            proven: Pending[Account | None] = s.logins.authenticated(outcome.name, name, s.peer)
            return _welcome(s, (yield proven), outcome.name, name)


def _decoded(scan: Scanner, data: bytes) -> bytes:
    if data == b"=":
        return b""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise scan.fail("not base64") from None


def enable(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.1"""
    wanted: list[str] = []
    while scan.take(b" "):
        wanted.append(scan.atom().upper())
    scan.end()
    if not wanted:
        raise scan.fail("what is to be enabled?")
    enabled = []
    hidden = [word for word in wanted if word in ("CONDSTORE", "QRESYNC", "IMAP4REV2") and not _has(s, word)]
    wanted = [word for word in wanted if word not in hidden]
    if "IMAP4REV2" in wanted and not s.rev2:
        s.rev2 = s.utf8 = True
        enabled.append(b"IMAP4rev2")
    if "UTF8=ACCEPT" in wanted:
        s.utf8 = True
        enabled.append(b"UTF8=ACCEPT")
    if s.config.modseqs and {"CONDSTORE", "QRESYNC"} & set(wanted):
        s.condstore_used(scan)
        if "CONDSTORE" in wanted:
            enabled.append(b"CONDSTORE")
        if "QRESYNC" in wanted:
            s.qresync = True
            enabled.append(b"QRESYNC")
            if s.view is not None:
                s.view.vanished = True
    if "UIDONLY" in wanted and s.offers("UIDONLY"):  # RFC 9586 3
        s.uidonly = True
        enabled.append(b"UIDONLY")
        if s.view is not None:
            s.view.uidonly = s.view.vanished = True
    yield b" ".join([b"* ENABLED", *enabled]) + b"\r\n"
    return None


def _has(s: ImapServer, word: str) -> bool:
    return word in (one.upper() for one in s.capabilities().split())


def compress(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 4978 3"""
    scan.sp()
    mechanism = scan.atom().upper()
    scan.end()
    if mechanism != "DEFLATE" or not s.config.compress:
        raise scan.fail("no such compression")
    if s.compressed is not None:
        raise No("COMPRESSIONACTIVE", "it is compressed already")
    yield b""
    s.compress_after()
    return "compressed from here on"


def unauthenticate(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 8437 2"""
    scan.end()
    yield b""
    s.log_out_of_account()
    return f"[CAPABILITY {s.capabilities()}] who are you?"


def namespace(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.10"""
    scan.end()
    others = b"NIL"
    if fulfils(s.account, Neighbours):
        prefix = s.account.other_users
        others = b'((%s "/"))' % writer.string((prefix if s.utf8 else utf7.encode(prefix)).encode())
    yield b'* NAMESPACE (("" "/")) %s NIL\r\n' % others
    return None


def idle(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.3.13: until DONE, changes are told as they happen."""
    scan.end()
    yield b"+ idling\r\n"
    s.begin_idle()
    return None
