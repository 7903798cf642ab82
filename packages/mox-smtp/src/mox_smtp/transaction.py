"""One message on its way, as a client's steps: MAIL, RCPT, then DATA or BDAT, and what each recipient is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mox_message import Content
from mox_smtp.command import Bdat
from mox_smtp.data import BareLineEnd, DataWriter, LineEnds
from mox_smtp.envelope import Envelope, line_end_refusal
from mox_smtp.parameters import NO_RCPT_OPTIONS, Body, MailOptions, RcptOptions
from mox_smtp.reply import Reply
from mox_smtp.step import Send, Steps, Trouble

if TYPE_CHECKING:
    from mox_smtp.client import SmtpClient

# RCPT commands sent before their replies are read: what both sides' buffers surely hold.
GROUP = 100


class Transaction:
    """`replies`: what each recipient was told so far.  `all_sent`: the end of the message is out, and the last reply
    has not come."""

    def __init__(self, client: SmtpClient, envelope: Envelope, content: Content) -> None:
        self.client = client
        self.envelope = envelope
        self.content = content
        self.replies: dict[str, Reply] = {}
        self.all_sent = False
        self._final: set[str] = set()
        self._pipelining = "PIPELINING" in client.offers
        self._chunking = client.config.chunking and "CHUNKING" in client.offers
        self._dsn = "DSN" in client.offers

    def run(self) -> Steps[None]:
        """RFC 5321 3.3; with PIPELINING MAIL, RCPT and DATA go out in groups (RFC 2920 3.1)."""
        most = self.client.offers.most_recipients
        recipients = tuple(dict.fromkeys(self.envelope.recipients))
        asked, later = (recipients[:most], recipients[most:]) if most else (recipients, ())
        taken = yield from self._envelope(asked)
        for recipient in later:
            self.replies[recipient] = Reply(452, f"the host takes {most} recipients at once", "4.5.3")
        if taken and self._chunking:
            yield from self._chunk()
        elif taken:
            yield from self._data()

    # -- MAIL and RCPT

    def _envelope(self, recipients: tuple[str, ...]) -> Steps[bool]:
        """MAIL, RCPT, DATA; True: the server waits for the message."""
        lines = [self._mail(), *map(self._rcpt, recipients)]
        if not self._chunking:
            lines.append("DATA")
        size = GROUP if self._pipelining else 1
        sender: Reply | None = None
        for start in range(0, len(lines), size):
            group = lines[start : start + size]
            if group[0] == "DATA" and not self._any_taken():
                break  # sent alone, it would only be refused
            yield from self._say_all(group)
            for line in group:
                reply = yield from self.client._hear(line[:4], self._patience(line))
                if line == "DATA":
                    return (yield from self._data_reply(reply))
                if sender is None:
                    sender = reply
                    if not reply.good and not self._pipelining:
                        self.replies = dict.fromkeys(recipients, reply)
                        return False
                else:
                    self.replies[recipients[len(self.replies)]] = reply if sender.good else sender
        if self._chunking and self._any_taken():
            return True
        yield from self.client._say("RSET")
        yield from self.client._hear("RSET")
        return False

    def _patience(self, line: str) -> float:
        return self.client.config.timeouts.data_start if line == "DATA" else self.client.config.timeouts.command

    def _say_all(self, lines: list[str]) -> Steps[None]:
        self.client.transcript.note("C", "\n".join(lines))
        yield Send(("\r\n".join(lines) + "\r\n").encode(), self.client.config.timeouts.command)

    def _mail(self) -> str:
        """With the parameters that the message needs or its sender asks for, as far as they are offered."""
        offers, envelope, asked = self.client.offers, self.envelope, self.envelope.options
        body = Body.SEVEN_BIT
        if envelope.binary:
            body = Body.BINARY
        elif envelope.eightbit and "8BITMIME" in offers:
            body = Body.EIGHT_BIT
        options = MailOptions(
            size=self.content.size if "SIZE" in offers else None,
            body=body,
            smtputf8=envelope.smtputf8,
            auth=asked.auth if "AUTH" in offers else None,
            ret=asked.ret if self._dsn else None,
            envid=asked.envid if self._dsn else None,
            require_tls=asked.require_tls,
            hold_for=asked.hold_for,
            hold_until=asked.hold_until,
            by=asked.by if "DELIVERBY" in offers else None,
            priority=asked.priority if "MT-PRIORITY" in offers else None,
        )
        return f"MAIL FROM:<{envelope.sender}>{options}"

    def _rcpt(self, recipient: str) -> str:
        options: RcptOptions = (
            self.envelope.rcpt_options.get(recipient, NO_RCPT_OPTIONS) if self._dsn else NO_RCPT_OPTIONS
        )
        return f"RCPT TO:<{recipient}>{options}"

    def _any_taken(self) -> bool:
        return any(reply.good for reply in self.replies.values())

    def _data_reply(self, reply: Reply) -> Steps[bool]:
        if reply.code == 354:
            if self._any_taken():
                return True
            # RFC 2920 3.1: the server goes on although it took nobody; an empty message ends it.
            yield Send(b".\r\n", self.client.config.timeouts.command)
            yield from self.client._hear("end of DATA", self.client.config.timeouts.data_end)
            return False
        if reply.good:
            reply = Reply(451, f"the host answers DATA with {reply}", "4.5.0")
        self._settle_all(reply)
        return False

    # -- the message

    def _data(self) -> Steps[None]:
        """RFC 5321 4.1.1.4: with dots, and a mark at the end."""
        writer = DataWriter()
        self.client.transcript.note("C", f"({self.content.size} octets)")
        try:
            for chunk in self.content.chunks():
                yield from self._send(writer.feed(chunk))
            end = writer.end()
        except BareLineEnd as fault:
            raise Trouble(line_end_refusal(fault)) from None
        yield from self._end(end)

    def _chunk(self) -> Steps[None]:
        """RFC 3030 2: the octets as they are, all in one."""
        size = self.content.size
        yield from self.client._say(str(Bdat(size, last=True)))
        self.client.transcript.note("C", f"({size} octets)")
        ends, sent, held = LineEnds(), 0, b""
        try:
            for chunk in self.content.chunks():
                if not self.envelope.binary:
                    ends.feed(chunk)
                # The last piece waits until all is known to be sound: with it the message is the host's.
                yield from self._send(held)
                sent, held = sent + len(held), chunk
            if not self.envelope.binary:
                ends.end()
        except BareLineEnd as fault:
            raise Trouble(line_end_refusal(fault)) from None
        yield from self._end(held)

    def _send(self, data: bytes) -> Steps[None]:
        if not data:
            return
        early = yield Send(data, self.client.config.timeouts.data_block)
        if early is not None:
            # The end would make half a message whole, so the only way out is to hang up.
            self.client.transcript.note("S", str(early))
            raise Trouble(early if not early.good else Reply(451, f"unexpected {early}", "4.5.0"))

    def _end(self, data: bytes) -> Steps[None]:
        """The last octets, and the last reply; with LMTP one for each recipient that was taken (RFC 2033 4.2)."""
        timeouts = self.client.config.timeouts
        self.all_sent = True
        yield Send(data, timeouts.data_block)
        taken = [name for name, reply in self.replies.items() if reply.good]
        if self.client.config.lmtp:
            for name in taken:
                self.replies[name] = yield from self._final_reply()
                self._final.add(name)
        else:
            final = yield from self._final_reply()
            self._settle_all(final)
        self.all_sent = False

    def _final_reply(self) -> Steps[Reply]:
        final = yield from self.client._hear("end of message", self.client.config.timeouts.data_end)
        if final.code // 100 == 3:
            raise Trouble(Reply(451, f"the host answers the message with {final}", "4.5.0"))
        return final

    def _settle_all(self, reply: Reply) -> None:
        self.replies = {name: reply if was.good else was for name, was in self.replies.items()}

    def given_up(self, reply: Reply) -> Mapping[str, Reply]:
        """What each recipient is told when the conversation ends with `reply`: who was refused stays refused, and who
        has the message has it."""
        if reply.good:
            reply = Reply(451, str(reply), "4.5.0")
        return {name: self._last_word(name, reply) for name in self.envelope.recipients}

    def _last_word(self, name: str, reply: Reply) -> Reply:
        was = self.replies.get(name)
        return was if was is not None and (not was.good or name in self._final) else reply
