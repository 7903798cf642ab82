"""Answers SMTP events from strangers: whose address is this, who really sent it, is it wanted, is it on disk."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import mox_dns
import mox_junk
import mox_message
import mox_store
from mox_message.compose import date_text
from mox_smtp import (
    Aborted,
    Chunk,
    Connected,
    DataStart,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    RcptTo,
    Refusal,
    Reply,
    Violation,
)
from mox_smtp.aio import Answer, Connection
from mox_spf import received_spf
from moxd import deliver, magic
from moxd.authenticate import Authentication, Envelope, authenticate
from moxd.config.values import Junk
from moxd.decision import RANDOM_BITS, Decision, Step, id_text, new_id
from moxd.directory import INBOX, Directory, Recipient
from moxd.limits import Limiter
from moxd.log import connection_id
from moxd.marks import mark_of
from moxd.spool import Spool
from moxd.training import Filters, Words, parameters

log = logging.getLogger("moxd.incoming")

JUNK = "Junk"
# RFC 3463 3.3: its owner may make room until the sender tries again.
FULL = Refusal(452, "the mailbox is full, try again later", "4.2.2", "over quota")
# RFC 5321 6.3: a message that has been handed on so often is in a loop.
MAX_RECEIVED = 100


@dataclass
class Services:
    """What the handlers of a process share."""

    hostname: str
    spool: Path
    store: mox_store.Store
    resolver: mox_dns.Resolver
    directory: Callable[[], Directory]
    connections: Limiter
    clock: Callable[[], float]
    random: random.Random
    record: Callable[[Decision], None]
    returned: Callable[[Recipient, mox_message.Part, mox_message.Content], Awaitable[object]]
    junk: Callable[[str], Junk]  # the settings of an account
    filters: Filters
    full: Callable[[str], bool] = lambda account: False  # no room in this account for anything
    slow_seconds: float = 0.0  # what a connection's replies wait after a refusal
    magic: bool = False
    accept_all: bool = False


# From so many recipients on that are not there, a connection is slowed.
UNKNOWN = 3


@dataclass
class Transaction:
    """One mail transaction."""

    mail_from: mox_message.Path
    smtputf8: bool
    recipients: list[tuple[mox_message.Path, Recipient]] = field(default_factory=list)
    spool: Spool | None = None
    full: OSError | None = None


class Incoming:
    """The handler of one connection on port 25."""

    def __init__(self, services: Services, connection: Connection) -> None:
        self._services = services
        self._connection = connection
        self._tx: Transaction | None = None
        self._unknown = 0
        self._cid = f"{services.random.getrandbits(40):010x}"

    # -- events

    def answer(self, event: Event) -> Answer | Awaitable[Answer]:
        """mox_smtp.aio.Handler"""
        match event:
            case Chunk(data):
                self._chunk(data)
            case MessageEnd():
                return self._message()
            case RcptTo():
                return self._rcpt_to(event)
            case MailFrom():
                return self._mail_from(event)
            case DataStart():
                assert self._tx is not None
                self._tx.spool = Spool(self._services.spool)
                return None
            case Connected():
                return self._connected()
            case Aborted():
                self._forget()
            case Violation(what):
                log.info("protocol error", extra={"cid": self._cid, "peer": str(self._connection.peer), "what": what})
            case Hello():
                self._forget()
        return None

    def closed(self, why: str) -> None:
        """mox_smtp.aio.Handler"""
        self._forget()

    def _forget(self) -> None:
        if self._tx is not None and self._tx.spool is not None:
            self._tx.spool.close()
        self._tx = None

    def _connected(self) -> Reply | None:
        services = self._services
        if not services.connections.allow(self._connection.peer, services.clock()):
            return Refusal(
                421, f"{services.hostname} too many connections from you; wait a minute", "4.7.0", "rate limit"
            )
        return None

    def _mail_from(self, event: MailFrom) -> Answer | Awaitable[Answer]:
        if event.path.address is not None and not isinstance(event.path.address.domain, mox_dns.Domain):
            return Refusal(550, "a sender needs a domain, not an address literal", "5.7.0", "literal")
        self._tx = Transaction(event.path, event.smtputf8)
        return self._trouble(event.path, "mailfrom")

    def _trouble(self, path: mox_message.Path, stage: magic.Stage) -> Answer | Awaitable[Answer]:
        """What a magic address asks for, where those are on."""
        if not self._services.magic or path.address is None:
            return None
        found = magic.trouble(path.address.localpart)
        if found is None or found.stage != stage:
            return None
        if found.code is None:
            return _silence()
        return Reply(found.code, found.text, found.enhanced)

    def _rcpt_to(self, event: RcptTo) -> Answer | Awaitable[Answer]:
        assert self._tx is not None
        recipient = self._find(event.path)
        if recipient is None:
            self._unknown += 1
            if self._unknown >= UNKNOWN:
                # Somebody reads us a dictionary.
                self._connection.slow(self._services.slow_seconds)
            return Refusal(550, "no such address here", "5.1.1", f"{event.path} is nobody's")
        if isinstance(recipient, Reply):
            return recipient
        if self._services.full(recipient.account):
            return FULL
        trouble = self._trouble(event.path, "rcptto")
        if trouble is None:
            self._tx.recipients.append((event.path, recipient))
        return trouble

    def _find(self, path: mox_message.Path) -> Recipient | Reply | None:
        directory = self._services.directory()
        if path.postmaster:
            return directory.find("postmaster", "")
        assert path.address is not None
        domain = path.address.domain
        if not isinstance(domain, mox_dns.Domain):
            return Refusal(550, "mail to address literals is not taken", "5.1.1", "literal")
        found = directory.find(path.address.localpart, domain.ascii)
        if found is None and not directory.serves(domain.ascii):
            # RFC 5321 3.6.2: to a stranger we relay for nobody.
            return Refusal(550, "we do not take mail for this domain", "5.7.1", f"relay to {domain} refused")
        return found

    def _chunk(self, data: bytes) -> None:
        tx = self._tx
        assert tx is not None
        assert tx.spool is not None
        if tx.full is None:
            try:
                tx.spool.write(data)
            except OSError as error:
                tx.full = error

    # -- the message

    async def _message(self) -> Reply:
        tx, self._tx = self._tx, None
        assert tx is not None
        assert tx.spool is not None
        connection_id.set(self._cid)
        try:
            if tx.full is not None:
                log.error("spool failed", extra={"error": str(tx.full)})
                return Refusal(452, "no room for the message now, try again later", "4.3.1", str(tx.full))
            return await self._take(tx, tx.spool)
        finally:
            tx.spool.close()

    async def _take(self, tx: Transaction, spool: Spool) -> Reply:
        services, connection = self._services, self._connection
        now = services.clock()
        number = new_id(now, services.random.getrandbits(RANDOM_BITS))
        content = spool.content()
        part = (
            mox_message.parse(content)
            if content.size < 4 << 20
            else await asyncio.to_thread(mox_message.parse, content)
        )
        session = connection.session
        envelope = Envelope(connection.peer, session.hello, str(tx.mail_from), connection.tls, tx.smtputf8)
        hops = len(part.fields.all("received"))
        if hops > MAX_RECEIVED:
            return self._refused(
                number,
                now,
                tx,
                envelope,
                [],
                Step("hops", "refuse", f"{hops} Received fields", "RFC 5321 6.3"),
                Reply(554, "this message goes round in circles", "5.4.6"),
            )
        if (reply := await self._magic_data(tx)) is not None:
            return self._refused(number, now, tx, envelope, [], Step("magic address", "refuse", reply.text), reply)
        found = await authenticate(
            content, part.fields, envelope, resolver=services.resolver, hostname=services.hostname, now=now
        )
        judgement = mox_junk.judge(found.signals(envelope))
        if judgement.kind is mox_junk.Kind.REFUSE and not services.accept_all:
            steps = _judged(judgement)
            reply = Refusal(451 if judgement.temporary else 550, judgement.public, judgement.enhanced, judgement.reason)
            return self._refused(number, now, tx, envelope, [*found.steps(), *steps[:-1]], steps[-1], reply, found)
        return await self._deliver(tx, content, part, envelope, found, judgement, number, now)

    async def _magic_data(self, tx: Transaction) -> Reply | None:
        if not self._services.magic:
            return None
        paths = [tx.mail_from, *(path for path, _ in tx.recipients)]
        for path in paths:
            trouble = self._trouble(path, "data")
            if isinstance(trouble, Reply):
                return trouble
            if trouble is not None:
                await _silence()
        return None

    async def _deliver(
        self,
        tx: Transaction,
        content: mox_message.Content,
        part: mox_message.Part,
        envelope: Envelope,
        found: Authentication,
        judgement: mox_junk.Judgement,
        number: int,
        now: float,
    ) -> Reply:
        services = self._services
        what = deliver.parcel(content, part, now)
        authenticated = found.field(services.hostname) + received_spf(
            found.spf, ip=str(envelope.ip), mail_from=envelope.mail_from, helo=envelope.helo, receiver=services.hostname
        )
        # One copy for each account, however many of its addresses were named.
        accounts: dict[str, tuple[mox_message.Path, Recipient]] = {}
        for path, recipient in tx.recipients:
            accounts.setdefault(recipient.account, (path, recipient))
        questions = found.dns()
        words = Words(part, content)
        waiting: list[Awaitable[mox_store.Added]] = []
        kinds: list[str] = []
        for offset, (path, recipient) in enumerate(accounts.values()):
            settings = services.junk(recipient.account)
            own_judgement = self._own(judgement, recipient.account, found, envelope, words, settings)
            is_junk = own_judgement.kind is mox_junk.Kind.JUNK
            mailbox = JUNK if is_junk and recipient.mailbox == INBOX else recipient.mailbox
            own = number + offset
            steps = [
                Step("recipient", recipient.account, f"{path} leads to account {recipient.account}", "RFC 5321 3.6"),
                *found.steps(),
                *_judged(own_judgement),
            ]
            steps.append(Step("delivery", mailbox, "junk goes to Junk" if is_junk else "the account's rules"))
            decision = Decision(
                own, now, "junk" if is_junk else "accept", f"delivered to {recipient.account}, {mailbox}",
                self._inputs(tx, envelope, found, content), steps, questions,
            )  # fmt: skip
            prefix = b"".join(
                (
                    f"Delivered-To: {path}\r\nReturn-Path: <{tx.mail_from}>\r\n".encode("utf-8", "replace"),
                    authenticated,
                    self._received(envelope, tx, path, own, now),
                )
            )
            account = services.store.open(recipient.account)
            # The word filter does not learn from its own verdicts: they are nobody's word but its own.
            mark = (lambda mailbox: None) if is_junk else partial(mark_of, settings=settings)
            waiting.append(
                deliver.into(account, mailbox, what, prefix=prefix, decision=(own, decision.to_json()), mark_of=mark)
            )
            kinds.append(str(own_judgement.kind))
        outcomes = await _all(waiting)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failed and all(isinstance(one, mox_store.MailboxError) and one.code == "OVERQUOTA" for one in failed):
            return FULL
        if failed:
            # Some accounts may have it; the sender tries again, and a copy too many is better than one too few.
            log.error("delivery failed", extra={"error": str(failed[0]), "failed": len(failed), "of": len(outcomes)})
            return Refusal(451, "could not store the message now, try again later", "4.3.0", str(failed[0]))
        if tx.mail_from.address is None:
            await self._returned(tx, part, content)
        log.info(
            "delivered",
            extra={
                "id": id_text(number), "from": envelope.mail_from, "accounts": ",".join(accounts), "size": content.size,
                "kind": ",".join(dict.fromkeys(kinds)), "peer": str(envelope.ip),
            },
        )  # fmt: skip
        return Reply(250, f"taken as {id_text(number)}", "2.0.0")

    def _own(
        self,
        judgement: mox_junk.Judgement,
        account: str,
        found: Authentication,
        envelope: Envelope,
        words: Words,
        settings: Junk,
    ) -> mox_junk.Judgement:
        """What an account thinks of it, whose people have marked messages before."""
        if judgement.kind is not mox_junk.Kind.ACCEPT:
            return judgement
        said = self._services.filters.classify(account, words, settings)
        return judgement if said is None else mox_junk.judge(found.signals(envelope), said, parameters(settings))

    async def _returned(self, tx: Transaction, part: mox_message.Part, content: mox_message.Content) -> None:
        """A notice: it is in its mailbox, and its sender's queue hears of it."""
        for _, recipient in tx.recipients:
            try:
                await self._services.returned(recipient, part, content)
            except Exception:
                # It is delivered: whatever is wrong now must not have it sent again.
                log.exception("what a notice says is not kept", extra={"account": recipient.account})

    def _received(self, envelope: Envelope, tx: Transaction, path: mox_message.Path, number: int, now: float) -> bytes:
        """RFC 5321 4.4, RFC 3848"""
        session = self._connection.session
        protocol = ("UTF8SMTP" if tx.smtputf8 else "ESMTP" if session.extended else "SMTP") + (
            "S" if envelope.tls else ""
        )
        tls = f"\r\n\t(using {envelope.tls})" if envelope.tls else ""
        literal = mox_dns.IpLiteral(envelope.ip)
        return (
            f"Received: from {_safe(envelope.helo)} ({literal}){tls}\r\n\tby {self._services.hostname} with {protocol}"
            f" id {id_text(number)}\r\n\tfor <{path}>; {date_text(now)}\r\n"
        ).encode("utf-8", "replace")

    def _inputs(
        self, tx: Transaction, envelope: Envelope, found: Authentication | None, content: mox_message.Content | None
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = {
            "ip": str(envelope.ip),
            "helo": envelope.helo,
            "tls": envelope.tls,
            "mail from": envelope.mail_from,
            "recipients": [str(path) for path, _ in tx.recipients],
        }
        if found is not None:
            inputs["from"] = [str(address) for address in found.sender.all]
        if content is not None:
            inputs["size"] = content.size
        return inputs

    def _refused(
        self,
        number: int,
        now: float,
        tx: Transaction,
        envelope: Envelope,
        steps: list[Step],
        last: Step,
        reply: Reply,
        found: Authentication | None = None,
    ) -> Reply:
        """Keeps the record of a refusal and puts its id into the reply."""
        decision = Decision(
            number, now, "refuse", f"{reply.code} {reply.text}", self._inputs(tx, envelope, found, None),
            [*steps, last], found.dns() if found is not None else (),
        )  # fmt: skip
        self._services.record(decision)
        if reply.code >= 500:
            self._connection.slow(self._services.slow_seconds)
        log.info(
            "refused",
            extra={"id": id_text(number), "code": reply.code, "because": last.because, "peer": str(envelope.ip)},
        )
        return Reply(reply.code, f"{reply.text} ({id_text(number)})", reply.enhanced)


def _judged(judgement: mox_junk.Judgement) -> list[Step]:
    return [Step(s.what, s.outcome, s.because, s.rule, s.numbers) for s in judgement.steps]


def _safe(helo: str) -> str:
    return "".join(c if c.isprintable() and c not in '()<>;"\\' else "?" for c in helo)


async def _silence() -> None:
    await asyncio.sleep(magic.TIMEOUT_SECONDS)


async def _all(waiting: Sequence[Awaitable[Any]]) -> Sequence[Any]:
    """Every outcome, failures as values.  The usual single one costs no task."""
    if len(waiting) > 1:
        return await asyncio.gather(*waiting, return_exceptions=True)
    try:
        return [await waiting[0]]
    except (mox_store.StoreError, mox_store.MailboxError, OSError) as error:
        return [error]
