"""What an answer does to a session: what is said, and where the session stands then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import mox_sasl
from mox_smtp.data import ChunkReader, DataReader
from mox_smtp.event import (
    AuthResponse,
    AuthStart,
    Chunk,
    Connected,
    DataStart,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    Quit,
    RcptTo,
    StartTls,
)
from mox_smtp.order import Phase
from mox_smtp.reply import Reply

if TYPE_CHECKING:
    from mox_smtp.server import SmtpServer

SENDER_OK = Reply(250, "sender ok", "2.1.0").to_bytes()
RECIPIENT_OK = Reply(250, "recipient ok", "2.1.5").to_bytes()
GO_AHEAD = Reply(354, "go ahead; CRLF . CRLF is the end").to_bytes()
GOODBYE = Reply(221, "goodbye", "2.0.0").to_bytes()


def connected(s: SmtpServer, event: Connected, reply: Reply | None) -> None:
    """RFC 5321 3.1: a refusal is 554 or 421, and the end."""
    if reply is not None:
        s.say(reply)
        s.ended = not reply.good
        return
    kept: bytes | None = s.config._kept.get("220")
    if kept is None:
        kept = Reply(220, f"{s.config.hostname} {'LMTP' if s.config.lmtp else s.config.greeting}").to_bytes()
        s.config._kept["220"] = kept
    s.say_bytes(kept)


def hello(s: SmtpServer, event: Hello, reply: Reply | None) -> None:
    """RFC 5321 4.1.1.1."""
    if reply is not None and not reply.good:
        s.chat(reply)
        return
    s.chatter += 1
    if s.chatter > s.config.limits.chatter:
        s.shut("too many commands without a message", "4.7.0")
        return
    s.hello, s.extended, s.phase = event.name, event.extended, Phase.GREETED
    s.say_bytes(_greeting(s) if event.extended else Reply(250, s.config.hostname).to_bytes())


def _greeting(s: SmtpServer) -> bytes:
    """The reply to EHLO: the same for every session that stands as this one does."""
    if s.config.future_release:
        return Reply(250, "\n".join([s.config.hostname, *offers(s)])).to_bytes()  # it tells the time
    kept: bytes | None = s.config._kept.get(("EHLO", s.tls, s.binding is None))
    if kept is None:
        kept = Reply(250, "\n".join([s.config.hostname, *offers(s)])).to_bytes()
        s.config._kept["EHLO", s.tls, s.binding is None] = kept
    return kept


def offers(s: SmtpServer) -> list[str]:
    """The extensions that can be used now."""
    config, limits = s.config, s.config.limits
    found = ["PIPELINING", f"SIZE {limits.message}", "8BITMIME", "ENHANCEDSTATUSCODES"]
    found += ["SMTPUTF8"] * config.smtputf8 + ["CHUNKING"] * config.chunking
    found += ["BINARYMIME"] * (config.binarymime and config.chunking)
    found += ["DSN"] * config.dsn + ["REQUIRETLS"] * (config.requiretls and s.tls)
    if config.starttls and not s.tls:
        found.append("STARTTLS")
    if config.auth and (s.tls or config.auth_in_clear):
        found.append("AUTH " + " ".join(mox_sasl.offer(config.auth, s.binding)))
    if config.future_release:
        last = datetime.fromtimestamp(s.epoch + s.now + config.future_release, UTC)
        found.append(f"FUTURERELEASE {config.future_release} {last:%Y-%m-%dT%H:%M:%SZ}")
    if config.deliver_by is not None:
        found.append(f"DELIVERBY {config.deliver_by}" if config.deliver_by else "DELIVERBY")
    if config.mt_priority is not None:
        found.append(f"MT-PRIORITY {config.mt_priority}".rstrip())
    found.append(f"LIMITS MAILMAX={limits.transactions} RCPTMAX={limits.recipients}")  # RFC 9422
    return [*found, "HELP"]


def starttls(s: SmtpServer, event: StartTls, reply: Reply | None) -> None:
    """RFC 3207 4."""
    s.starting_tls = reply is None or reply.good
    s.say(reply or Reply(220, "go ahead", "2.0.0"))


def auth(s: SmtpServer, event: Event, reply: Reply | None) -> None:
    """RFC 4954 4; a Challenge is not an end, and is said elsewhere."""
    s.phase = Phase.GREETED
    if reply is None or reply.good:
        s.authenticated = True
        s.say(reply or Reply(235, "welcome", "2.7.0"))
        return
    s.bad_logins += 1
    s.say(reply)
    if s.bad_logins >= s.config.limits.bad_logins:
        # The client has been told why; a 421 in place of this reply would have made it try the same again.
        s.ended = True


def mail(s: SmtpServer, event: MailFrom, reply: Reply | None) -> None:
    """RFC 5321 4.1.1.2."""
    if reply is None:
        s.say_bytes(SENDER_OK)
    else:
        if not reply.good:
            s.chat(reply)
            return
        s.say(reply)
    s.phase, s.recipients, s.refused = Phase.MAIL, 0, False


def rcpt(s: SmtpServer, event: RcptTo, reply: Reply | None) -> None:
    """RFC 5321 4.1.1.3."""
    if reply is None:
        s.say_bytes(RECIPIENT_OK)
    else:
        s.say(reply)
        if not reply.good:
            s.refused = True
            s.count_refused()
            return
    s.phase = Phase.RCPT
    s.recipients += 1


def data(s: SmtpServer, event: DataStart, reply: Reply | None) -> None:
    """RFC 5321 4.1.1.4; BDAT is answered after its octets."""
    good = reply is None or reply.code == 354
    s.verdict, s.fatal, s.size, s.dead = None, False, 0, 0
    if s.chunk_left is not None:
        s.reader = ChunkReader(binary=s.binary)
        s.transactions += 1
        s.message_began = s.since
        if not good:
            s.verdict = reply
        return
    if not good:
        assert reply is not None
        s.phase = Phase.GREETED
        s.say(reply)
        return
    s.phase, s.reader = Phase.DATA, DataReader()
    s.transactions += 1
    s.message_began = s.since
    if reply is None:
        s.say_bytes(GO_AHEAD)
    else:
        s.say(reply)


def chunk(s: SmtpServer, event: Chunk, reply: Reply | None) -> None:
    """A refusal waits for the end of the message, or of the BDAT."""
    if reply is not None and not reply.good and s.verdict is None:
        s.verdict = reply
        kept = [later for later in s.events if not isinstance(later, Chunk)]
        s.events.clear()
        s.events.extend(kept)


def message(s: SmtpServer, event: MessageEnd, reply: Reply | tuple[Reply, ...] | None) -> None:
    """RFC 5321 4.1.1.4; RFC 2033 4.2: with LMTP one for each recipient."""
    if isinstance(reply, tuple):
        if not s.config.lmtp or len(reply) != s.recipients:
            raise TypeError("one reply for each recipient is for LMTP")
        for one in reply:
            s.say(one)
    elif reply is None:
        raise TypeError("a message needs a reply")
    else:
        for _ in range(s.recipients if s.config.lmtp else 1):
            s.say(reply)
    s.recipients = s.chatter = 0
    s.smtputf8 = s.binary = False


def quit_(s: SmtpServer, event: Quit, reply: Reply | None) -> None:
    """RFC 5321 4.1.1.10."""
    if reply is None:
        s.say_bytes(GOODBYE)
    else:
        s.say(reply)
    s.ended = True


SETTLE: dict[type, Callable[[SmtpServer, Any, Any], None]] = {
    Connected: connected, Hello: hello, StartTls: starttls, AuthStart: auth, AuthResponse: auth, MailFrom: mail,
    RcptTo: rcpt, DataStart: data, Chunk: chunk, MessageEnd: message, Quit: quit_,
}  # fmt: skip
