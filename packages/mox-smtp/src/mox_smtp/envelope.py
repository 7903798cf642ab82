"""Who sends to whom, what the message needs of a server, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mox_message import Content, parse
from mox_smtp.data import BareLineEnd, LineEnds
from mox_smtp.parameters import NO_MAIL_OPTIONS, MailOptions, RcptOptions
from mox_smtp.reply import Reply
from mox_smtp.trust import Tls


@dataclass(frozen=True, slots=True)
class Needs:
    """What a message needs: `smtputf8`, a header field or an address is not ASCII (RFC 6531 3); `eightbit`, an octet is
    above 127 (RFC 6152); `fault`, a bare CR, bare LF or NUL, with which it can only go as BINARYMIME (RFC 3030)."""

    smtputf8: bool = False
    eightbit: bool = False
    fault: str = ""

    @classmethod
    def of(cls, content: Content, addresses: tuple[str, ...] = ()) -> Needs:
        """Reads the message once; its MIME tree only where it is not all ASCII.  Raises OSError."""
        ends, eightbit, fault = LineEnds(), False, ""
        for chunk in content.chunks():
            eightbit = eightbit or not chunk.isascii()
            if not fault:
                try:
                    ends.feed(chunk)
                except BareLineEnd as error:
                    fault = str(error)
        try:
            ends.end()
        except BareLineEnd as error:
            fault = fault or str(error)
        international = not all(map(str.isascii, addresses)) or (eightbit and _international(content))
        return cls(international, eightbit, fault)


def _international(content: Content) -> bool:
    """Has any header, of the message or of a part, more than ASCII?"""
    return any(not content.read(part.header_start, part.body_start).isascii() for part in parse(content).walk())


_NO_OPTIONS: Mapping[str, RcptOptions] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Envelope:
    """Addresses as they are written between < and >, and what is asked for beside them.

    `options`: RET, ENVID, REQUIRETLS, HOLDFOR, BY, priority, AUTH; its size, body and smtputf8 do not count, since they
    are the message's.  `rcpt_options`: NOTIFY and ORCPT by recipient."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]
    smtputf8: bool = False  # an address or a header field is not ASCII (RFC 6531)
    eightbit: bool = False  # the body has octets above 127 (RFC 6152)
    checked: bool = False  # the line ends are known to be sound: do not read the content for that
    binary: bool = False  # the body has no lines: only for hosts with BINARYMIME (RFC 3030)
    options: MailOptions = NO_MAIL_OPTIONS
    rcpt_options: Mapping[str, RcptOptions] = field(default_factory=lambda: _NO_OPTIONS)

    @classmethod
    def of(cls, sender: str, recipients: tuple[str, ...], content: Content, **asked: Any) -> Envelope:
        """With the needs of `content` worked out; `asked`: options and rcpt_options.  Raises OSError."""
        needs = Needs.of(content, (sender, *recipients))
        binary = bool(needs.fault)
        return cls(sender, recipients, needs.smtputf8, needs.eightbit, checked=True, binary=binary, **asked)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of a delivery: a reply for each recipient, good where the message is the server's now.

    `trouble`: the reply, or our word for what happened, where the connection cannot be used further.  `local`: the
    replies are ours; the message was not sent.  `uncertain`: all was sent and no reply came, so it may be there.
    `dsn`: the host sends the notices that were asked for (RFC 3461 6.2)."""

    replies: Mapping[str, Reply]
    trouble: Reply | None = None
    tls: bool = False
    extensions: Mapping[str, str] = field(default_factory=dict)
    tls_result: Tls | None = None
    local: bool = False
    uncertain: bool = False
    transcript: tuple[str, ...] = ()
    dsn: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "replies": {
                name: {"code": reply.code, "enhanced": reply.enhanced, "text": reply.text}
                for name, reply in self.replies.items()
            },
            "trouble": str(self.trouble) if self.trouble is not None else None,
            "tls": str(self.tls_result) if self.tls_result is not None else None,
            "extensions": dict(self.extensions),
            "local": self.local,
            "uncertain": self.uncertain,
            "dsn": self.dsn,
            "transcript": list(self.transcript),
        }

    def explain(self) -> str:
        """The conversation, then what each recipient was told."""
        told = [f"{name}: {reply}{' (our word)' if self.local else ''}" for name, reply in self.replies.items()]
        doubt = ["all was sent and no reply came: the message may have been taken"] if self.uncertain else []
        return "\n".join([*self.transcript, *told, *doubt])


def bare_line_end(content: Content) -> Reply | None:
    """The refusal that a message with a bare CR or LF deserves: sent as it is, it could smuggle (RFC 5321 2.3.8)."""
    ends = LineEnds()
    try:
        for chunk in content.chunks():
            ends.feed(chunk)
        ends.end()
    except BareLineEnd as fault:
        return line_end_refusal(fault)
    return None


def line_end_refusal(fault: BareLineEnd) -> Reply:
    """What our own side says of a message that was not sent for its line ends."""
    return Reply(554, f"the message has a {fault} and was not sent", "5.6.0")


def wire_safe(address: str) -> bool:
    """No character that could end the path or the line."""
    return not any(c < " " or c == "\x7f" or 0xD800 <= ord(c) < 0xE000 for c in address) and (
        not any(c in "<> " for c in address) or address.startswith('"')
    )
