"""One file per family of commands: parse, do, answer.  The table says which command may come in which state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mox_imap.commands import (
    acl,
    append,
    copymove,
    fetch,
    mailbox,
    metadata,
    multisearch,
    notify,
    quota,
    search,
    session,
    status,
    store,
    thread,
    urlauth,
)
from mox_imap.commands import list as list_
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, State

Handler: TypeAlias = Callable[[ImapServer, Scanner, bool], Command]

NEW = frozenset({State.NOT_AUTHENTICATED})
AUTH = frozenset({State.AUTHENTICATED, State.SELECTED})
OPEN = frozenset({State.SELECTED})
ANY = NEW | AUTH

# (name, with UID in front) -> (states, handler)
COMMANDS: dict[tuple[str, bool], tuple[frozenset[State], Handler]] = {
    ("CAPABILITY", False): (ANY, session.capability),
    ("NOOP", False): (ANY, session.noop),
    ("LOGOUT", False): (ANY, session.logout),
    ("ID", False): (ANY, session.id_),
    ("STARTTLS", False): (NEW, session.starttls),
    ("LOGIN", False): (NEW, session.login),
    ("AUTHENTICATE", False): (NEW, session.authenticate),
    ("ENABLE", False): (AUTH, session.enable),
    ("NAMESPACE", False): (AUTH, session.namespace),
    ("IDLE", False): (AUTH, session.idle),
    ("SELECT", False): (AUTH, mailbox.select),
    ("EXAMINE", False): (AUTH, mailbox.examine),
    ("CREATE", False): (AUTH, mailbox.create),
    ("DELETE", False): (AUTH, mailbox.delete),
    ("RENAME", False): (AUTH, mailbox.rename),
    ("SUBSCRIBE", False): (AUTH, mailbox.subscribe),
    ("UNSUBSCRIBE", False): (AUTH, mailbox.unsubscribe),
    ("STATUS", False): (AUTH, status.status),
    ("LIST", False): (AUTH, list_.list_),
    ("LSUB", False): (AUTH, list_.lsub),
    ("CHECK", False): (OPEN, session.noop),
    ("CLOSE", False): (OPEN, mailbox.close),
    ("UNSELECT", False): (OPEN, mailbox.unselect),
    ("EXPUNGE", False): (OPEN, store.expunge),
    ("EXPUNGE", True): (OPEN, store.expunge),
    ("STORE", False): (OPEN, store.store),
    ("STORE", True): (OPEN, store.store),
    ("COPY", False): (OPEN, copymove.copy),
    ("COPY", True): (OPEN, copymove.copy),
    ("MOVE", False): (OPEN, copymove.move),
    ("MOVE", True): (OPEN, copymove.move),
    ("FETCH", False): (OPEN, fetch.fetch),
    ("FETCH", True): (OPEN, fetch.fetch),
    ("SEARCH", False): (OPEN, search.search),
    ("SEARCH", True): (OPEN, search.search),
    ("SORT", False): (OPEN, search.sort),
    ("SORT", True): (OPEN, search.sort),
    ("THREAD", False): (OPEN, thread.thread),
    ("THREAD", True): (OPEN, thread.thread),
    ("CANCELUPDATE", False): (OPEN, search.cancel_update),
    ("ESEARCH", False): (AUTH, multisearch.multisearch),
    ("NOTIFY", False): (AUTH, notify.notify),
    ("GETMETADATA", False): (AUTH, metadata.get_metadata),
    ("SETMETADATA", False): (AUTH, metadata.set_metadata),
    ("GETQUOTA", False): (AUTH, quota.get_quota),
    ("GETQUOTAROOT", False): (AUTH, quota.get_quota_root),
    ("SETQUOTA", False): (AUTH, quota.set_quota),
    ("SETACL", False): (AUTH, acl.set_acl),
    ("DELETEACL", False): (AUTH, acl.delete_acl),
    ("GETACL", False): (AUTH, acl.get_acl),
    ("LISTRIGHTS", False): (AUTH, acl.list_rights),
    ("MYRIGHTS", False): (AUTH, acl.my_rights),
    ("GENURLAUTH", False): (AUTH, urlauth.generate),
    ("RESETKEY", False): (AUTH, urlauth.reset_key),
    ("URLFETCH", False): (AUTH, urlauth.fetch),
    ("COMPRESS", False): (AUTH, session.compress),
    ("UNAUTHENTICATE", False): (AUTH, session.unauthenticate),
    ("APPEND", False): (AUTH, append.without_literal),
    ("REPLACE", False): (OPEN, append.without_literal),
    ("REPLACE", True): (OPEN, append.without_literal),
}
