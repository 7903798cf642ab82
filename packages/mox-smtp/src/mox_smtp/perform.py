"""What each command does in a session: answers it at once, or makes an event of it.

Each function is given the session and a command that came in order; CommandSyntaxError is answered by the session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import mox_sasl
from mox_smtp.command import Auth, Bdat, Ehlo, Mail, Rcpt, Simple
from mox_smtp.event import AuthStart, DataStart, Hello, MailFrom, Quit, RcptTo, StartTls
from mox_smtp.order import AFTER_STARTTLS, NOBODY, OUT_OF_ORDER, RCPT_FIRST, UNKNOWN, Phase
from mox_smtp.parameters import (
    NO_MAIL_OPTIONS,
    NO_RCPT_OPTIONS,
    Body,
    CommandSyntaxError,
    MailOptions,
    RcptOptions,
    unknown,
)
from mox_smtp.reply import Reply

if TYPE_CHECKING:
    from mox_smtp.server import SmtpServer


def hello(s: SmtpServer, command: Ehlo) -> None:
    """EHLO, HELO; or LHLO and only that (RFC 2033 4.1)."""
    if command.lmtp is not s.config.lmtp:
        s.violation(UNKNOWN, "unknown command")
        return
    s.forget("greeted again")
    s.events.append(Hello(command.name, command.extended))


def starttls(s: SmtpServer, command: Simple) -> None:
    """RFC 3207 4."""
    if s.tls or not s.config.starttls:
        s.violation(Reply(503, "TLS is on already" if s.tls else "TLS is not to be had", "5.5.1"), "order")
    elif s.unread:
        s.violation(AFTER_STARTTLS, "bytes after STARTTLS", fatal=True)
    else:
        s.events.append(StartTls())


def auth(s: SmtpServer, command: Auth) -> None:
    """RFC 4954 4."""
    config = s.config
    if not config.auth:
        s.violation(Reply(503, "AUTH is not to be had here", "5.5.1"), "auth")
    elif not (s.tls or config.auth_in_clear):
        # It is offered after STARTTLS only, so it comes out of order.
        s.violation(Reply(503, "AUTH needs TLS: say STARTTLS first", "5.7.10"), "auth")
    elif s.authenticated:
        s.violation(Reply(503, "authenticated already", "5.5.1"), "order")
    elif command.mechanism not in (offered := mox_sasl.offer(config.auth, s.binding)):
        # Deviation RFC 4954 4: 504 is meant for it; what is not offered is not permitted, which is 534's word.
        s.violation(Reply(534, f"no such mechanism here; try {' or '.join(offered)}", "5.7.9"), "auth")
    else:
        s.events.append(AuthStart(command.mechanism, command.initial))


def mail(s: SmtpServer, command: Mail) -> None:
    """RFC 5321 4.1.1.2, and what its parameters ask for."""
    config = s.config
    if config.auth_needed and not s.authenticated:
        s.violation(Reply(530, "log in first", "5.7.0"), "auth")
        return
    if s.transactions >= config.limits.transactions:
        s.shut("enough messages for one connection", "4.7.0")
        return
    options = NO_MAIL_OPTIONS
    if command.parameters.values:
        offered = _offered(s)
        for keyword in command.parameters.values:
            if keyword not in offered:
                raise unknown(keyword)
        options = MailOptions.read(command.parameters)
        if not _can(s, options):
            return
    if not options.smtputf8:
        _check_ascii(command)
    s.smtputf8, s.binary = options.smtputf8, options.body is Body.BINARY
    s.events.append(MailFrom(command.path, command.parameters, options))


def _can(s: SmtpServer, options: MailOptions) -> bool:
    """Can we do what is asked?  Says so where not."""
    config = s.config
    if options.size is not None and options.size > config.limits.message:
        s.say(Reply(552, f"a message has at most {config.limits.message} octets", "5.3.4"))
        return False
    if options.body is Body.BINARY and not config.binarymime:
        raise CommandSyntaxError("BODY", 0, "BODY is 7BIT or 8BITMIME here")
    hold: float | None = options.hold_for
    if options.hold_until is not None:
        # A time without an offset does not pass the grammar, so it can be compared.
        hold = (options.hold_until - datetime.fromtimestamp(s.epoch + s.now, UTC)).total_seconds()
    if hold is not None and hold > config.future_release:
        raise CommandSyntaxError("HOLDFOR", 0, f"a message is held for at most {config.future_release} seconds")
    if options.by is not None and options.by.give_back and options.by.seconds < (config.deliver_by or 0):
        raise CommandSyntaxError("BY", 0, f"less than {config.deliver_by} seconds is not to be done", 555)
    return True


def _offered(s: SmtpServer) -> frozenset[str]:
    """The keywords of MAIL's parameters."""
    config = s.config
    found: frozenset[str] | None = config._kept.get(("MAIL", s.tls))
    if found is None:
        found = frozenset(("SIZE", "BODY")).union(
            ("SMTPUTF8",) * config.smtputf8,
            ("AUTH",) * bool(config.auth),
            ("RET", "ENVID") * config.dsn,
            ("REQUIRETLS",) * (config.requiretls and s.tls),
            ("HOLDFOR", "HOLDUNTIL") * bool(config.future_release),
            ("BY",) * (config.deliver_by is not None),
            ("MT-PRIORITY",) * (config.mt_priority is not None),
        )
        config._kept["MAIL", s.tls] = found
    return found


def _check_ascii(command: Mail | Rcpt) -> None:
    address = command.path.address
    if address is not None and not address.ascii:
        raise CommandSyntaxError("", 0, "this address needs SMTPUTF8", 553, "5.6.7")  # RFC 6531 3.5


def rcpt(s: SmtpServer, command: Rcpt) -> None:
    """RFC 5321 4.1.1.3."""
    if s.recipients >= s.config.limits.recipients:
        # RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in a second transaction.
        s.say(Reply(452, f"at most {s.config.limits.recipients} recipients at once", "4.5.3"))
        s.count_refused()
        return
    options = NO_RCPT_OPTIONS
    if command.parameters.values:
        for keyword in command.parameters.values:
            if not s.config.dsn:
                raise unknown(keyword)
        options = RcptOptions.read(command.parameters)
    if not s.smtputf8:
        _check_ascii(command)
    s.events.append(RcptTo(command.path, command.parameters, options))


def data(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.4."""
    if s.binary:
        s.violation(Reply(503, "BODY=BINARYMIME goes with BDAT only", "5.5.1"), "order")  # RFC 3030 3
    elif s.recipients:
        s.chunk_left = None
        s.events.append(DataStart())
    elif s.refused:
        # RFC 2920 3.1: a pipelining client could not know that nobody was taken.
        s.say(NOBODY)
    else:
        s.violation(RCPT_FIRST, "order")


def bdat(s: SmtpServer, command: Bdat) -> None:
    """RFC 3030 2.  The octets follow at once, whatever we say."""
    if not s.config.chunking:
        # Its octets would be taken for commands.
        s.violation(UNKNOWN, "BDAT", fatal=True)
    elif s.phase is Phase.CHUNKS or s.recipients:
        s.chunks = s.chunks + 1 if s.phase is Phase.CHUNKS else 1
        if not command.size and not command.last:
            s.chatter += 1
        if s.chunks > s.config.limits.chunks or s.chatter > s.config.limits.chatter:
            s.shut("too many chunks that are too small", "4.7.0")
            return
        if s.phase is not Phase.CHUNKS:
            s.events.append(DataStart())
        s.expect_chunk(command.size, command.last)
    elif s.phase in (Phase.MAIL, Phase.RCPT):
        s.drop_chunk(command.size, NOBODY if s.refused else RCPT_FIRST)
    else:
        s.drop_chunk(command.size, OUT_OF_ORDER["BDAT"])


def rset(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.5."""
    s.forget("reset")
    s.chat(Reply(250, "forgotten", "2.0.0"))


def noop(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.9."""
    s.chat(Reply(250, "yes", "2.0.0"))


def help_(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.8."""
    s.chat(Reply(214, "see RFC 5321", "2.0.0"))


def vrfy(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 7.3: a true answer helps nobody but harvesters of addresses."""
    s.chat(Reply(252, "send mail and see", "2.5.0"))


def expn(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.7."""
    s.chat(Reply(502, "lists are not told", "5.5.1"))


def quit_(s: SmtpServer, command: Simple) -> None:
    """RFC 5321 4.1.1.10."""
    s.forget("quit")
    s.events.append(Quit())


PERFORM: dict[str, Callable[[SmtpServer, Any], None]] = {
    "EHLO": hello, "HELO": hello, "LHLO": hello, "STARTTLS": starttls, "AUTH": auth, "MAIL": mail, "RCPT": rcpt,
    "DATA": data, "BDAT": bdat, "RSET": rset, "NOOP": noop, "HELP": help_, "VRFY": vrfy, "EXPN": expn, "QUIT": quit_,
}  # fmt: skip
