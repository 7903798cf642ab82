"""Everything that leaves: signing, the queue, the couriers to others and to ourselves."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mox_dkim
import mox_dns
import mox_message
import mox_mtasts
import mox_queue
import mox_store
from mox_dkim.key import private_key
from mox_message import dsn
from mox_message.compose import date_text
from mox_queue.direct import Direct
from moxd import deliver, magic
from moxd.decision import RANDOM_BITS, Decision, Step, id_text, new_id
from moxd.deliver import Parcel
from moxd.directory import Recipient
from moxd.log import connection_id
from moxd.policies import PolicyCache, TlsSessions
from moxd.tls.dkim_keys import DkimKey, KeyFileError, load
from moxd.transports import Routes, Transports

if TYPE_CHECKING:
    from moxd.app import App

log = logging.getLogger("moxd.outgoing")
events = logging.getLogger("moxd.events")

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def schedule_of(minutes: tuple[float, ...], give_up_hours: float | None) -> mox_queue.Schedule:
    """The configured schedule; what is not said stays as it is by default."""
    plain = mox_queue.Schedule()
    waits = tuple(minute * MINUTE for minute in minutes) or plain.waits
    give_up = plain.give_up_after if give_up_hours is None else give_up_hours * HOUR
    return mox_queue.Schedule(
        waits=waits, give_up_after=give_up, warn_after=min(plain.warn_after, give_up), jitter=plain.jitter
    )


class LocalCourier:
    """The courier to our own accounts."""

    def __init__(self, app: App) -> None:
        self._app = app

    def lane(self, domain: str) -> str:
        """mox_queue.Courier"""
        return "local"

    async def deliver(self, batch: mox_queue.Batch) -> Mapping[str, mox_queue.Attempt]:
        """mox_queue.Courier"""
        part = mox_message.parse(batch.content)
        what = deliver.parcel(batch.content, part, self._app.outgoing.clock())
        return {recipient: await self._one(batch, recipient, what) for recipient in batch.recipients}

    async def _one(self, batch: mox_queue.Batch, recipient: str, what: Parcel) -> mox_queue.Attempt:
        app = self._app
        address = mox_message.Address.parse(recipient)
        if app.options.magic and (trouble := magic.trouble(address.localpart)) is not None:
            if trouble.code is None:
                await asyncio.sleep(magic.TIMEOUT_SECONDS)
            return mox_queue.classified(trouble.code or 451, trouble.text, trouble.enhanced, "localhost")
        found = app.directory.find(address.localpart, str(address.domain))
        if found is None and app.options.all_local:
            found = app.directory.find("mox", "localhost")
        if found is None:
            return mox_queue.Attempt(mox_queue.Result.FAILED, "550 5.1.1 no such address here", "5.1.1")
        now = app.outgoing.clock()
        number = new_id(now, app.random.getrandbits(RANDOM_BITS))
        step = Step("delivery", found.mailbox, "local mail from our own queue")
        inputs = {
            "queued as": id_text(batch.message),
            "mail from": batch.sender,
            "recipient": recipient,
            "attempt": batch.attempt,
        }
        decision = Decision(number, now, "deliver", f"delivered to {found.account}, {found.mailbox}", inputs, [step])
        prefix = (
            f"Delivered-To: {recipient}\r\nReturn-Path: <{batch.sender}>\r\n"
            f"Received: by {app.config.static.hostname} with local id {id_text(number)}\r\n"
            f"\tfor <{recipient}>; {date_text(now)}\r\n"
        ).encode("utf-8", "replace")
        try:
            account = app.store.open(found.account)
            await deliver.into(account, found.mailbox, what, prefix=prefix, decision=(number, decision.to_json()))
        except mox_store.MailboxError as error:
            return mox_queue.Attempt(mox_queue.Result.LATER, f"452 4.2.2 the mailbox is full: {error}", "4.2.2")
        except (mox_store.StoreError, OSError) as error:
            return mox_queue.Attempt(
                mox_queue.Result.LATER, f"451 4.3.0 could not store the message now: {error}", "4.3.0"
            )
        return mox_queue.Attempt(mox_queue.Result.DELIVERED, f"250 2.0.0 {id_text(number)}", "2.0.0", final=True)


class Outgoing:
    """The queue of this installation, as seen by one process; one of them runs it."""

    def __init__(self, app: App, *, runs: bool) -> None:
        self._app = app
        self._runs = runs
        config = app.config
        data = config.data / "queue"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = mox_store.Database(
            data / "queue.db", mox_queue.schema(), mox_queue.UPGRADES, loop=asyncio.get_running_loop(),
            syncer=app.store.syncer, durability=config.static.durability,
        )  # fmt: skip
        rows = mox_queue.Rows(self.database, data / "messages")
        outgoing = config.static.outgoing
        self.state = mox_store.State(
            config.data / "state.db", clock=self.clock, loop=asyncio.get_running_loop(), syncer=app.store.syncer,
            durability=config.static.durability,
        )  # fmt: skip
        self._policies, self.sessions = PolicyCache(self.state), TlsSessions(self.state)
        self._roots = str(config.path(outgoing.ca)) if outgoing.ca is not None else ""
        self._fetcher: mox_mtasts.SharedFetcher | None = None
        self._local = LocalCourier(app)
        direct = partial(
            Direct,
            resolver=app.resolver,
            clock=time.monotonic,
            now=self.clock,
            random=app.random,
            port=outgoing.port,
            sts=self._sts if outgoing.mtasts else None,
            dane=outgoing.dane,
            count=self.sessions.add,
            roots=self._roots,
        )
        self._transports = Transports(config, app.resolver, direct)
        self._routes = Routes(config)
        self.queue = mox_queue.Queue(
            rows,
            self._courier,
            notices=mox_queue.Notices(
                config.static.hostname,
                new_id=lambda: new_id(self.clock(), app.random.getrandbits(RANDOM_BITS)),
                domain_of=domain_of,
                prefix_for=self._sign_notice,
            ),
            clock=self.clock,
            drawn=app.random.random,
            schedule=schedule_of(outgoing.retry_minutes, outgoing.give_up_hours),
            limits=mox_queue.Limits(
                outgoing.connections, outgoing.interval_seconds, outgoing.deliveries, outgoing.kept_days * DAY
            ),
            told=lambda: app.neighbours.tell("queue", 1),
            listener=_log_event,
            suppress=self._suppresses,
        )
        self._signers: dict[str, list[mox_dkim.Signer]] = {}
        self._task: asyncio.Task[None] | None = None
        self.reload()

    @staticmethod
    def clock() -> float:
        """Seconds since 1970."""
        return time.time()

    def reload(self) -> None:
        """Reads the DKIM keys of the configuration; one that cannot be read is named and left out."""
        config, found = self._app.config, {}
        self._routes = Routes(config)
        for name, domain in config.domains.domains.items():
            signers = []
            for selector, settings in domain.dkim.selectors.items():
                if not settings.sign:
                    continue
                try:
                    signers.append(mox_dkim.Signer(name, selector, private_key(self._key(config.path(settings.key)))))
                except (KeyFileError, ValueError) as error:
                    log.error("DKIM key is not used", extra={"domain": name, "selector": selector, "error": str(error)})
            found[name] = signers
        self._signers = found

    def _key(self, path: Path) -> DkimKey:
        """The key as it is now; where the user that we became may not read it, as it was at the start."""
        try:
            return load(path)
        except KeyFileError:
            if path in self._app.keys:
                return self._app.keys[path]
            raise

    def sign(
        self, sender: mox_message.From, added: bytes, content: mox_message.Content, now: float
    ) -> tuple[str, bytes]:
        """(by whom or why not, the DKIM-Signature fields) for a message with `added` in front."""
        address = sender.address or (sender.all[0] if sender.all else None)
        domain = str(address.domain) if address is not None else ""
        signers = self._signers.get(domain, [])
        if not signers:
            return f"{domain or 'the sender'} has no key that signs", b""
        whole = mox_message.Content.joined(added, content)
        fields = mox_message.Fields.parse(whole.read(0, 1024 * 1024))
        try:
            signature = mox_dkim.sign(fields, whole, signers, now=int(now))
        except mox_dkim.CannotSign as error:
            return str(error), b""
        return ", ".join(f"{s.domain} {s.selector} {s.algorithm}" for s in signers), signature

    def _sign_notice(self, number: int, message: bytes) -> bytes:
        content = mox_message.Content.of(message)
        sender = mox_message.from_address(mox_message.Fields.parse(message))
        return self.sign(sender, b"", content, self.clock())[1]

    async def _sts(self, domain: str) -> mox_mtasts.Result:
        """The MTA-STS policy for mail to a domain, out of the cache or fetched."""
        port = self._app.config.static.outgoing.mtasts_port
        if self._fetcher is None:
            context = mox_mtasts.default_context(self._roots or None)
            self._fetcher = mox_mtasts.SharedFetcher(partial(mox_mtasts.fetch, context=context, port=port))
        return await mox_mtasts.check(
            domain, self._app.resolver, cache=self._policies, now=self.clock(), fetcher=self._fetcher
        )

    def _suppresses(self, account: str) -> bool:
        found = self._app.config.domains.accounts.get(account)
        return found is not None and found.suppress

    async def returned(
        self, recipient: Recipient, part: mox_message.Part, content: mox_message.Content
    ) -> mox_queue.Bounce | None:
        """Something has come for an address of ours with a detail, from <>: is it about a message that we sent?"""
        account = self._app.config.domains.accounts.get(recipient.account)
        if account is None or not account.fromid_logins or not recipient.detail:
            return None
        return await self.queue.bounced(recipient.account, recipient.detail.lower(), dsn.parse(part, content))

    def _courier(self, due: mox_queue.Due) -> mox_queue.Courier:
        app, domain = self._app, due.domain
        name = self._routes.choose(due, domain_of(due.sender))
        if app.options.all_local or app.directory.serves(domain) or domain == app.config.static.hostname:
            # What is ours does not leave, whatever the routes say; an administrator may still let it fail.
            fails = due.transport and self._transports.refuses(due.transport)
            return self._transports.courier(name) if fails else self._local
        return self._transports.courier(name)

    def start(self) -> None:
        """Runs the queue, in the process that does."""
        if self._runs:
            self._task = asyncio.get_running_loop().create_task(self.queue.run())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.critical("the queue has stopped", exc_info=task.exception())
            self._app.stop()

    def heard(self) -> None:
        """Another process has queued something."""
        self.queue.wake()

    async def stop(self) -> None:
        """Lets deliveries that are under way end."""
        if self._task is not None:
            await self.queue.stop()
            await asyncio.gather(self._task, return_exceptions=True)
            self._transports.close()

    def close(self) -> None:
        """Closes the database."""
        self.database.close()
        self.state.close()


def _log_event(event: mox_queue.Event) -> None:
    """A line of JSON for each event; nothing stands behind it."""
    told = json.dumps(event.to_dict() | {"message": id_text(event.message)}, ensure_ascii=True)
    before = connection_id.set("")
    events.info("%s", told)
    connection_id.reset(before)


@lru_cache(maxsize=4096)
def domain_of(address: str) -> str:
    """The domain of an address in A-form, or its literal."""
    name = address.rpartition("@")[2]
    try:
        return mox_dns.Domain.parse(name).ascii
    except mox_dns.DomainSyntaxError:
        return name.lower()


def explain(rows: mox_queue.Rows, number: int) -> dict[str, Any] | None:
    """The record of a queued message with all its attempts; None when the queue has none such."""
    stored = rows.record(number)
    if stored is None:
        return None
    record: dict[str, Any] = json.loads(stored) if stored else {}
    for attempt in rows.attempts(number):
        steps = record.setdefault("steps", [])
        what = f"attempt {attempt['number']} to {attempt['recipient']}"
        steps.append({"what": what, "outcome": attempt["outcome"] or "under way", "because": attempt.get("text", "")})
        steps += attempt.get("steps", [])
    return record
