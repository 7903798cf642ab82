"""What is announced (RFC 9051 6.1.1): always, by what the backend can do, by what the operator wants, by the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mox_imap.extensions import (
    AccessUrls,
    Annotated,
    Identified,
    QuotaGiving,
    Quoted,
    Replacing,
    Shared,
    Switched,
    Watched,
)
from mox_imap.fulfils import fulfils

if TYPE_CHECKING:
    from mox_imap.server import ImapServer

# Whatever the backend is.
ALWAYS = (
    "IMAP4rev2", "IMAP4rev1", "LITERAL+", "ENABLE", "IDLE", "SASL-IR", "ID", "NAMESPACE", "UNSELECT", "UIDPLUS", "MOVE",
    "ESEARCH", "SEARCHRES", "MULTISEARCH", "CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE",
    "CREATE-SPECIAL-USE", "STATUS=SIZE", "BINARY", "MULTIAPPEND", "UTF8=ACCEPT", "PARTIAL", "SAVEDATE", "PREVIEW",
    "SORT", "SORT=DISPLAY", "ESORT", "CONTEXT=SEARCH", "CONTEXT=SORT", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES",
    "THREAD=REFS", "CATENATE", "UIDONLY",
)  # fmt: skip
# What an account may fulfil besides, and what that makes possible.
BY_BACKEND: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Watched, ("NOTIFY",)),
    (Identified, ("OBJECTID",)),
    (Replacing, ("REPLACE",)),
    (Annotated, ("METADATA", "LIST-METADATA", "FILTERS")),
    (Quoted, ("QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE")),
    (QuotaGiving, ("QUOTASET",)),
    (Shared, ("ACL", "RIGHTS=texk", "LIST-MYRIGHTS")),
    (AccessUrls, ("URLAUTH", "URLAUTH=BINARY")),
)


def words(s: ImapServer) -> list[str]:
    """The words of CAPABILITY for a session as it stands."""
    found = [*ALWAYS]
    config = s.config
    if config.modseqs:
        found += ["CONDSTORE", "QRESYNC"]
    if s.clock is not None:
        found += ["WITHIN", "INPROGRESS"]
    if config.message_limit:
        found.append(f"MESSAGELIMIT={config.message_limit}")
    if s.account is None:
        return found + _before_login(s)
    for protocol, some in BY_BACKEND:
        if fulfils(s.account, protocol):
            found += some
    found.append(f"APPENDLIMIT={config.limits.append}")
    if config.compress and not s.compressed:
        found.append("COMPRESS=DEFLATE")
    found.append("UNAUTHENTICATE")
    if fulfils(s.account, Switched):
        hidden = frozenset(word.upper() for word in s.account.hidden_capabilities)
        found = [word for word in found if word.upper() not in hidden and word.upper().partition("=")[0] not in hidden]
    return found


def _before_login(s: ImapServer) -> list[str]:
    found = []
    if s.tls or s.config.plaintext_login:
        found += ["AUTH=SCRAM-SHA-256", "AUTH=PLAIN"]
    else:
        found.append("LOGINDISABLED")
    if s.config.starttls and not s.tls:
        found.append("STARTTLS")
    return found
