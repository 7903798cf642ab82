"""What is queued, and what is due: the rows as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mox_message import Content


class TlsWish(StrEnum):
    """What the sender wants of TLS on the way (RFC 8689)."""

    DEFAULT = ""
    REQUIRE = "require"  # MAIL FROM … REQUIRETLS
    OPTIONAL = "optional"  # TLS-Required: No


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody a message is for.  `domain` is in A-form, or an address literal; `notify` (RFC 3461 4.1) and
    `orcpt` (4.2, decoded: `rfc822;a@b.example`) are as RCPT TO gave them, "" where it did not."""

    address: str
    domain: str
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be queued.  `prefix` goes in front of `content`; `ret` and `envid` (decoded) as in MAIL FROM (RFC
    3461 4.3, 4.4); `not_before` is seconds since 1970 (RFC 4865); `record` the application's own."""

    id: int
    sender: str
    recipients: tuple[Recipient, ...]
    content: Content
    arrived: float
    prefix: bytes = b""
    account: str = ""
    smtputf8: bool = False
    eightbit: bool = False
    tls: TlsWish = TlsWish.DEFAULT
    ret: str = ""
    envid: str = ""
    fromid: str = ""
    record: bytes = b""
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """A recipient whose time has come, with what matters of its message."""

    recipient: int
    message: int
    address: str
    domain: str
    base: str
    notify: str
    orcpt: str
    transport: str
    asked: str
    attempts: int
    warned: bool
    sender: str
    account: str
    arrived: float
    smtputf8: bool
    eightbit: bool
    tls: TlsWish
    ret: str
    envid: str
    fromid: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A recipient as an administrator sees it."""

    recipient: int
    message: int
    account: str
    sender: str
    address: str
    domain: str
    transport: str
    state: str
    attempts: int
    next: float
    under_way: bool
    last: str
    arrived: float
    size: int


@dataclass(frozen=True, slots=True)
class HoldRule:
    """New messages that match all that is given wait for somebody to release them; "" matches everything."""

    account: str = ""
    sender_domain: str = ""
    recipient_domain: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that an account no longer writes to.  `base` is the form that is compared."""

    account: str
    base: str
    address: str
    since: float
    reason: str
