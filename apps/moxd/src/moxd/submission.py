"""Answers SMTP events from our own users: who are they, may they send as this, then sign and queue."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import mox_dns
import mox_message
import mox_queue
import mox_sasl
from mox_message.compose import complete, date_text
from mox_smtp import (
    Aborted,
    AuthResponse,
    AuthStart,
    Challenge,
    Chunk,
    DataStart,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    RcptTo,
    Refusal,
    Reply,
)
from mox_smtp.aio import Answer, Connection
from moxd.decision import RANDOM_BITS, Decision, Step, id_text, new_id
from moxd.outgoing import domain_of
from moxd.spool import Spool

if TYPE_CHECKING:
    from moxd.app import App

log = logging.getLogger("moxd.submission")

# Randomness in a reverse-path of its own.
FROMID_OCTETS = 15
# Our own header comes first; what a client wrote longer than this is not looked at for From.
MAX_HEADER = 1024 * 1024
WRONG = Refusal(535, "wrong name or password", "5.7.8", "login failed")


# From so many failed logins on, a connection is slowed; the core ends it with the third.
FAILED = 2


@dataclass
class Transaction:
    """One mail transaction."""

    mail_from: MailFrom
    recipients: list[RcptTo] = field(default_factory=list)
    spent: mox_queue.Spent | None = None
    first_time: frozenset[str] = frozenset()
    spool: Spool | None = None
    full: OSError | None = None


class Submission:
    """The handler of one submission connection."""

    def __init__(self, app: App, connection: Connection) -> None:
        self._app = app
        self._connection = connection
        self._exchange: mox_sasl.Mechanism | None = None
        self._mechanism = ""
        self._failed = 0
        self._account = ""
        self._login = ""
        self._tx: Transaction | None = None

    def answer(self, event: Event) -> Answer | Awaitable[Answer]:
        """mox_smtp.aio.Handler"""
        match event:
            case Chunk(data):
                self._chunk(data)
            case AuthStart(mechanism, initial):
                return self._auth_start(mechanism, initial)
            case AuthResponse(data):
                assert self._exchange is not None
                return self._outcome(self._exchange.step(data))
            case MailFrom():
                return self._mail_from(event)
            case RcptTo():
                return self._rcpt_to(event)
            case DataStart():
                assert self._tx is not None
                self._tx.spool = Spool(self._app.spool)
            case MessageEnd():
                return self._message()
            case Aborted() | Hello():
                self._forget()
        return None

    def closed(self, why: str) -> None:
        """mox_smtp.aio.Handler"""
        self._forget()

    def _forget(self) -> None:
        if self._tx is not None and self._tx.spool is not None:
            self._tx.spool.close()
        self._tx = None

    # -- who

    def _auth_start(self, mechanism: str, initial: bytes | None) -> Answer | Awaitable[Answer]:
        if not self._app.logins.allowed(self._connection.peer):
            return Refusal(454, "too many failed logins; wait a while", "4.7.0", "rate limit")
        self._mechanism = mechanism
        binding = self._connection.session.binding
        self._exchange = mox_sasl.server(
            mechanism, self._app.verifier, binding=binding, plus_offered=binding is not None
        )
        return self._outcome(self._exchange.start(initial))

    def _outcome(self, outcome: mox_sasl.Outcome) -> Answer | Awaitable[Answer]:
        match outcome:
            case mox_sasl.Challenge(data):
                return Challenge(data)
            case mox_sasl.CheckPassword(name, password, authzid) if authzid in ("", name):
                return self._check(name, password)
            case mox_sasl.Success(name, authzid) if authzid in ("", name):
                return self._settle(name, self._app.directory.login(name))
        # A failure, or somebody who wants to act for another.
        return self._settle(outcome.name, None)

    async def _check(self, name: str, password: mox_sasl.Secret) -> Reply:
        return self._settle(name, await self._app.logins.check(name, password.reveal(), "submission"))

    def _settle(self, name: str, account: str | None) -> Reply:
        self._exchange = None
        if account is None:
            self._app.logins.failed(self._connection.peer, name, self._mechanism, "submission")
            self._failed += 1
            if self._failed >= FAILED:
                self._connection.slow(self._app.config.static.slow_seconds)
            return WRONG
        self._app.logins.succeeded(self._connection.peer, account, self._mechanism, "submission")
        self._account, self._login = account, name.lower()
        return Reply(235, "welcome", "2.7.0")

    # -- what

    def _mail_from(self, event: MailFrom) -> Reply | None:
        address = event.path.address
        if address is not None and not self._may_send_as(address):
            return Refusal(550, f"{address} is not one of your addresses", "5.7.1", f"account {self._account}")
        self._tx = Transaction(event)
        return None

    def _may_send_as(self, address: mox_message.Address) -> bool:
        domain = address.domain
        if not isinstance(domain, mox_dns.Domain):
            return False
        return self._app.directory.may_send_as(self._account, address.localpart, domain.ascii)

    def _rcpt_to(self, event: RcptTo) -> Reply | None:
        assert self._tx is not None
        address = event.path.address
        if address is not None and self._nobody_here(address):
            # No need to find that out from a bounce.
            return Refusal(550, "no such address here", "5.1.1", f"{address} is nobody's")
        sender = str(self._tx.mail_from.path)
        separator = self._separator(sender)
        if self._tx.recipients and separator and mox_queue.fromid_of(sender, separator)[1]:
            return Refusal(550, "a reverse-path with an id of its own is for one recipient", "5.5.3", "FromID")
        too_much = self._over(self._tx, str(event.path))
        if too_much is not None:
            return self._too_much(self._tx, too_much, event)
        self._tx.recipients.append(event)
        return None

    # -- how much

    @property
    def _allowance(self) -> mox_queue.Allowance:
        account = self._app.config.domains.accounts.get(self._account)
        if account is None:
            return mox_queue.Allowance()
        return mox_queue.Allowance(account.recipients_per_day, account.first_time_recipients_per_day)

    def _over(self, tx: Transaction, address: str) -> mox_queue.Over | None:
        """Would one more be too much?  What others of the account send meanwhile is counted when it is queued."""
        allowance, queue = self._allowance, self._app.outgoing.queue
        if not allowance.limited:
            return None
        if tx.spent is None:
            tx.spent = queue.rows.spent(self._account, self._app.outgoing.clock() - allowance.seconds)
        first_time = tx.first_time | queue.rows.strangers(self._account, [address])
        found = mox_queue.over(allowance, tx.spent, len(tx.recipients) + 1, len(first_time))
        if found is None:
            tx.first_time = first_time
        return found

    def _too_much(self, tx: Transaction, over: mox_queue.Over, event: RcptTo | None = None) -> Refusal:
        """Refuses, and keeps the record of it."""
        app, now = self._app, self._app.outgoing.clock()
        number = new_id(now, app.random.getrandbits(RANDOM_BITS))
        again = "" if over.again is None else datetime.fromtimestamp(over.again, UTC).strftime(", from %H:%M UTC on")
        text = f"{over}{again}"
        # RFC 5321 4.2.1: waiting helps only where the message alone would not be too much.
        code, enhanced = (550, "5.7.1") if over.again is None else (452, "4.7.1")
        reply = Refusal(code, f"{text} ({id_text(number)})", enhanced, "limit of the account")
        named = [*tx.recipients, event] if event is not None else tx.recipients
        inputs = {
            "ip": str(self._connection.peer), "account": self._account, "mail from": str(tx.mail_from.path),
            "recipients": [str(one.path) for one in named],
        }  # fmt: skip
        numbers = {"allowed": over.most, "sent": over.spent, "wanted": over.wanted, "hours": over.hours}
        setting = "first_time_recipients_per_day" if "first" in over.what else "recipients_per_day"
        step = Step("limit", "refuse", f"{setting} of account {self._account} in domains.toml", "", numbers)
        app.record(Decision(number, now, "refuse", f"{reply.code} {text}", inputs, [step]))
        log.warning("account sends too much", extra={"id": id_text(number), "account": self._account, "why": str(over)})
        return reply

    def _nobody_here(self, address: mox_message.Address) -> bool:
        directory, domain = self._app.directory, address.domain
        if not isinstance(domain, mox_dns.Domain) or not directory.serves(domain.ascii):
            return False
        return directory.find(address.localpart, domain.ascii) is None

    def _chunk(self, data: bytes) -> None:
        tx = self._tx
        assert tx is not None
        assert tx.spool is not None
        if tx.full is None:
            try:
                tx.spool.write(data)
            except OSError as error:
                tx.full = error

    async def _message(self) -> Reply:
        tx, self._tx = self._tx, None
        assert tx is not None
        assert tx.spool is not None
        try:
            if tx.full is not None:
                return Refusal(452, "no room for the message now, try again later", "4.3.1", str(tx.full))
            return await self._submit(tx, tx.spool.content())
        finally:
            tx.spool.close()

    async def _submit(self, tx: Transaction, content: mox_message.Content) -> Reply:
        app = self._app
        now = app.outgoing.clock()
        fields = mox_message.Fields.parse(content.read(0, MAX_HEADER))
        sender = mox_message.from_address(fields)
        strangers = [address for address in sender.all if not self._may_send_as(address)]
        if not sender.all or strangers:
            # RFC 6409 6.1: what the reader sees must be the account's, whatever the envelope says.
            why = f"From is {strangers[0]}, which is not one of your addresses" if strangers else sender.reason
            return Refusal(550, f"{why}; send from an address that leads to you", "5.7.1", f"account {self._account}")
        number = new_id(now, app.random.getrandbits(RANDOM_BITS))
        hostname = app.config.static.hostname
        added = complete(fields, message_id=f"{id_text(number)}@{hostname}", now=now)
        protocol = ("UTF8SMTP" if tx.mail_from.smtputf8 else "ESMTP") + ("S" if self._connection.tls else "") + "A"
        # The client's address is nobody's business: the mail comes from here.
        received = f"Received: by {hostname} with {protocol} id {id_text(number)};\r\n\t{date_text(now)}\r\n".encode()
        signed_by, signature = app.outgoing.sign(sender, added, content, now)
        steps = [
            Step("login", "accept", f"account {self._account} by {self._mechanism}", "RFC 4954"),
            Step("send as", "accept", f"{sender.all[0]} leads to {self._account}", "RFC 6409 6.1"),
            Step(
                "complete",
                "done",
                f"{(added.count(b':') and added.decode('ascii', 'replace').strip()) or 'nothing was missing'}",
                "RFC 6409 8",
            ),
            Step("DKIM", "signed" if signature else "not signed", signed_by, "RFC 6376 5"),
            Step("queue", "accept", f"{len(tx.recipients)} recipients"),
        ]
        inputs = {
            "ip": str(self._connection.peer), "tls": self._connection.tls, "account": self._account,
            "mail from": str(tx.mail_from.path), "recipients": [str(one.path) for one in tx.recipients],
            "asked": f"{tx.mail_from.options}{''.join(str(one.options) for one in tx.recipients)}".strip(),
            "size": content.size,
        }  # fmt: skip
        decision = Decision(number, now, "submit", "queued", inputs, steps)
        wish = tls_wish(tx.mail_from, fields)
        queued = self._queued(tx, number, now, signature + received + added, content, wish, decision)
        try:
            await app.outgoing.queue.add(*self._told_apart(queued), allowance=self._allowance)
        except mox_queue.OverLimit as limit:
            return self._too_much(tx, limit.over)
        log.info("submitted", extra={"id": id_text(number), "account": self._account, "recipients": len(tx.recipients)})
        return Reply(250, f"queued as {id_text(number)}", "2.0.0")

    # -- reverse-paths of their own

    def _told_apart(self, queued: mox_queue.NewMessage) -> tuple[mox_queue.NewMessage, ...]:
        """One message for each recipient, each with its own reverse-path, where this login wants that."""
        separator = self._separator(queued.sender)
        if not separator:
            return (queued,)
        _, own = mox_queue.fromid_of(queued.sender, separator)
        if own:
            # The client brings its own.
            return (replace(queued, fromid=own.lower()),)
        return tuple(self._with_fromid(queued, index, separator) for index in range(len(queued.recipients)))

    def _with_fromid(self, queued: mox_queue.NewMessage, index: int, separator: str) -> mox_queue.NewMessage:
        # Base 32: some hosts fold the case of what they send back.
        fromid = base64.b32encode(secrets.token_bytes(FROMID_OCTETS)).decode("ascii").lower()
        one = replace(queued, id=queued.id + index, recipients=queued.recipients[index : index + 1])
        try:
            return replace(one, sender=mox_queue.with_fromid(queued.sender, fromid, separator), fromid=fromid)
        except ValueError as error:
            log.warning("a reverse-path is as it was", extra={"account": self._account, "error": str(error)})
            return one

    def _separator(self, sender: str) -> str:
        """What stands before an id; "" where reverse-paths stay as they are."""
        domains = self._app.config.domains
        account, domain = domains.accounts.get(self._account), domains.domains.get(domain_of(sender))
        wanted = account is not None and self._login in map(str.lower, account.fromid_logins)
        return domain.separator if wanted and domain is not None else ""

    def _queued(
        self, tx: Transaction, number: int, now: float, prefix: bytes, content: mox_message.Content,
        wish: mox_queue.TlsWish, decision: Decision,
    ) -> mox_queue.NewMessage:  # fmt: skip
        """The message as the queue takes it, with all that was asked for beside its addresses."""
        options = tx.mail_from.options
        recipients = {str(one.path): _recipient(one) for one in tx.recipients}
        return mox_queue.NewMessage(
            number, str(tx.mail_from.path), tuple(recipients.values()), content, now, prefix=prefix,
            account=self._account, smtputf8=options.smtputf8, eightbit=True, tls=wish,
            ret=options.ret.value if options.ret is not None else "", envid=options.envid or "",
            record=decision.to_json(), not_before=_release(tx.mail_from, now),
        )  # fmt: skip


def _recipient(event: RcptTo) -> mox_queue.Recipient:
    address, options = str(event.path), event.options
    notify = ",".join(sorted(one.value for one in options.notify))
    original = options.original
    orcpt = f"{original.kind};{original.address}" if original is not None else ""
    return mox_queue.Recipient(address, domain_of(address), notify, orcpt)


def _release(event: MailFrom, now: float) -> float:
    """When it may go, in seconds since 1970 (RFC 4865)."""
    if event.options.hold_for is not None:
        return now + event.options.hold_for
    return event.options.hold_until.timestamp() if event.options.hold_until is not None else 0.0


def tls_wish(event: MailFrom, fields: mox_message.Fields) -> mox_queue.TlsWish:
    """RFC 8689 2, 3 and 4.1: REQUIRETLS is stronger than the field."""
    if event.options.require_tls:
        return mox_queue.TlsWish.REQUIRE
    asked = fields.text("tls-required")
    optional = asked is not None and asked.strip().lower() == "no"
    return mox_queue.TlsWish.OPTIONAL if optional else mox_queue.TlsWish.DEFAULT
