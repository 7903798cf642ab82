"""Builds everything once, top to bottom, and closes it in reverse.

`serve` is the program: ports, privileges, workers.  `App` is one worker: a loop, a store, listeners."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mox_dns
import mox_imap
import mox_sasl
import mox_smtp
import mox_store
from mox_dns.resolver import UdpResolver
from mox_imap import aio as imap_aio
from mox_smtp import aio as smtp_aio
from moxd import deliver, proxied, spool
from moxd import log as moxd_log
from moxd.config import Config, ConfigError, read_domains
from moxd.config.values import WEB_SERVICES, Junk
from moxd.decision import Decision
from moxd.decisions import RefusalLog
from moxd.directory import Directory
from moxd.imap_backend import AccountBackend, ImapLogins
from moxd.incoming import Incoming, Services
from moxd.keeper import Keeper
from moxd.limits import Limiter, per_minute
from moxd.login import Attempt, Logins
from moxd.marks import mark_of
from moxd.neighbours import Neighbours
from moxd.outgoing import Outgoing
from moxd.preload import preload
from moxd.proxied import Networks
from moxd.shared import Others
from moxd.sockets import Bound, bind_all, close_all
from moxd.submission import Submission
from moxd.tls import dkim_keys
from moxd.tls.client_keys import ClientKeyError, ClientKeys
from moxd.tls.contexts import CertificateError, server_context
from moxd.tls.dkim_keys import DkimKey
from moxd.training import Filters, Trainer
from moxd.workers import Supervisor, User, drop_to

if TYPE_CHECKING:
    from moxd.web.server import WebServer

log = logging.getLogger("moxd")

DRAIN_SECONDS = 10.0
SWEEP_SECONDS = 600.0
SWEEPS_AT_ONCE = 100
# RFC 4865: how long a submitted message may wait until it goes.
FUTURE_RELEASE = 60 * 86400
QUEUE_TOPIC = "queue"
SUBMISSION = ("submission", "submissions")
_NO_SETTINGS = Junk()
MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")


@dataclass(frozen=True, slots=True)
class Options:
    """What differs between a real server and localserve."""

    magic: bool = False
    all_local: bool = False
    resolver: Callable[[], mox_dns.Resolver] | None = None


@dataclass(frozen=True, slots=True)
class Contexts:
    """The TLS contexts of a listener: port 25 has its own, without session tickets."""

    smtp: ssl.SSLContext | None
    login: ssl.SSLContext | None
    web: ssl.SSLContext | None = None


def load_contexts(config: Config) -> Mapping[str, Contexts]:
    """Reads certificates while they can still be read (as root).  Raises CertificateError."""
    found: dict[str, Contexts] = {}
    for name, listener in config.static.listeners.items():
        if listener.tls is None:
            found[name] = Contexts(None, None)
            continue
        certificate, key = config.path(listener.tls.certificate), config.path(listener.tls.key)
        login = server_context(certificate, key)
        if listener.client_keys:
            ClientKeys.load(config).trust(login)
        alpn = ["http/1.1"]
        alpn += ["smtp"] * listener.submissions_on_https + ["imap"] * listener.imaps_on_https
        found[name] = Contexts(
            server_context(certificate, key, tickets=False),
            login,
            server_context(certificate, key, alpn=alpn) if listener.https is not None else None,
        )
    return found


class _Verifier:
    """mox_sasl.Verifier"""

    def __init__(self, logins: Logins, secret: bytes) -> None:
        self._logins = logins
        self._secret = secret

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        """The verifier of a login name."""
        return self._logins.scram(name)

    def nonce(self) -> str:
        """Fresh randomness."""
        return secrets.token_urlsafe(18)

    def secret(self) -> bytes:
        """For the salts of names that do not exist."""
        return self._secret


def keep_secret(data: Path) -> bytes:
    """A secret of this installation, made once, however many ask for it at the same moment.  Raises OSError."""
    path = data / "secret"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    # Whole before it has its name: nobody reads half of it, and the first name stays.
    draft = data / f"secret.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()


class App:
    """One worker."""

    def __init__(
        self,
        config: Config,
        bounds: list[Bound],
        contexts: Mapping[str, Contexts],
        keys: Mapping[Path, DkimKey],
        index: int,
        options: Options,
    ) -> None:
        self.config = config
        self.keys = keys
        self.options = options
        self._bounds = bounds
        self._contexts = contexts
        self._client_keys = ClientKeys.load(config)
        self._index = index
        self._directory = self._make_directory()
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        data = config.data
        self.random = random.Random(secrets.randbits(256))  # noqa: S311 seeded from the system, for ids and jitter only
        self._spool = spool.prepare(data / "spool")
        self.neighbours = Neighbours(data / "run", f"worker-{index}")
        self.store = mox_store.Store(
            data / "accounts",
            clock=time.time,
            loop=loop,
            notify=self._changed,
            durability=config.static.durability,
            make_traits=deliver.remade,
            mark_rule=lambda name, mailbox: mark_of(mailbox, self._junk(name)),
        )
        self.filters = Filters(data / "junk")
        self._trainer = Trainer(self.store, self.filters)
        self._keeper = Keeper(self.store, lambda: self.config, time.time, self.others)
        self._refusals = RefusalLog(data / "refused", time.time, index)
        self.resolver = options.resolver() if options.resolver is not None else make_resolver(config)
        self.logins = Logins(
            self._directory,
            self._credentials,
            time.time,
            app_passwords=lambda account: self.store.open(account).people.app_passwords(),
            attempted=self._attempted,
        )
        self.outgoing = Outgoing(self, runs=index == 0)
        self.verifier = _Verifier(self.logins, keep_secret(data))
        self._imap_logins = ImapLogins(
            self.logins, self._account_backend, self.verifier, lambda der: self._client_keys.account(der)
        )
        self._limiter = Limiter(per_minute(config.static.connections_per_minute))
        self._servers: list[smtp_aio.Server | imap_aio.Server | WebServer] = []
        self._web: WebServer | None = None
        self._applying: asyncio.Task[None] | None = None

    # -- parts

    def _make_directory(self) -> Directory:
        static = self.config.static
        return Directory(self.config.domains, static.postmaster, static.hostname)

    @property
    def directory(self) -> Directory:
        """The addresses as of the last reload."""
        return self._directory

    def _credentials(self, account: str) -> str | None:
        return self.store.open(account).credential("password")

    def _account_backend(self, name: str) -> AccountBackend:
        settings = self.config.domains.accounts.get(name)
        hidden = settings.imap_without if settings is not None else ()
        return AccountBackend(
            self.store.open(name), self._spool, time.time, self.random.getrandbits, hidden, self.others
        )

    @property
    def others(self) -> Others:
        """The accounts as they know each other."""
        return Others(
            lambda name: self.store.open(name) if name in self.config.domains.accounts else None,
            lambda name: self._directory.login(name),
            lambda: self.config.domains.accounts,
        )

    def _attempted(self, attempt: Attempt) -> None:
        """Keeps who logged in, or tried to, from where and how, for the account's owner to look at."""

        def run(tx: mox_store.Transaction) -> None:
            tx.people.attempted(attempt.protocol, attempt.ip, attempt.mechanism, attempt.result)
            if attempt.app_password is not None:
                tx.people.app_password_used(attempt.app_password)

        self.store.open(attempt.account).commit(run).add_done_callback(_unheeded)

    def record(self, decision: Decision) -> None:
        """Keeps the record of a refusal."""
        self._refusals.write(decision)

    def _services(self) -> Services:
        return Services(
            hostname=self.config.static.hostname,
            spool=self._spool,
            store=self.store,
            resolver=self.resolver,
            directory=lambda: self._directory,
            connections=self._limiter,
            clock=time.time,
            random=self.random,
            record=self.record,
            returned=self.outgoing.returned,
            junk=self._junk,
            filters=self.filters,
            full=self._full,
            slow_seconds=self.config.static.slow_seconds,
            magic=self.options.magic,
            accept_all=self.options.magic,
        )

    # -- running

    async def run(self) -> None:
        """Serves until stop()."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        # Until now it was held back: its default action would have ended us.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        self.neighbours.listen(loop, self._heard)
        self.outgoing.start()
        if self._index == 0:
            self._trainer.start()
            self._keeper.start()
        for bound in self._bounds:
            self._servers.append(await self._listen(bound))
        sweeper = loop.create_task(self._sweep())
        log.info("serving", extra={"worker": self._index, "pid": os.getpid()})
        try:
            await self._stopping.wait()
        finally:
            sweeper.cancel()
            await asyncio.gather(*(server.drain(DRAIN_SECONDS) for server in dict.fromkeys(self._servers)))
            await self._keeper.stop()
            await self._trainer.stop()
            await self.outgoing.stop()
            self.close()

    async def _listen(self, bound: Bound) -> smtp_aio.Server | imap_aio.Server | WebServer:
        static, contexts = self.config.static, self._contexts[bound.listener]
        proxies = static.listeners[bound.listener].proxy_from
        if bound.service in WEB_SERVICES:
            return await self._listen_web(bound)
        if bound.service in ("imap", "imaps"):
            return await self._serve_imap(
                bound.socket, contexts.login, implicit_tls=bound.service == "imaps", proxies=proxies
            )
        if bound.service in SUBMISSION:
            return await self._serve_submission(
                bound.socket, contexts.login, implicit_tls=bound.service == "submissions", proxies=proxies
            )
        limits = mox_smtp.Limits(message=static.max_message_size)
        services = self._services()
        # DSN is not offered: to tell of success whoever names a sender is to write to strangers for forgers.  What
        # requires TLS comes to its mailbox here, so it asks no more of us.
        tls = contexts.smtp is not None
        config = mox_smtp.ServerConfig(static.hostname, limits, starttls=tls, requiretls=tls, proxy_from=proxies)
        return await smtp_aio.serve(
            lambda connection: Incoming(services, connection), bound.socket, config, tls_context=contexts.smtp
        )

    async def _serve_imap(
        self,
        sock: socket.socket | None,
        context: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        proxies: Networks = (),
    ) -> imap_aio.Server:
        return await imap_aio.serve(
            self._imap_logins,
            sock,
            mox_imap.ImapConfig(
                hostname=self.config.static.hostname,
                starttls=context is not None,
                limits=mox_imap.WireLimits(append=self.config.static.max_message_size),
                modseqs=True,
            ),
            tls_context=context,
            implicit_tls=implicit_tls,
            preamble=proxied.preamble(proxies) if proxies else None,
        )

    async def _serve_submission(
        self,
        sock: socket.socket | None,
        context: ssl.SSLContext | None,
        *,
        implicit_tls: bool,
        proxies: Networks = (),
    ) -> smtp_aio.Server:
        config = mox_smtp.ServerConfig(
            self.config.static.hostname,
            mox_smtp.Limits(message=self.config.static.max_message_size),
            starttls=not implicit_tls,
            auth=MECHANISMS,
            auth_needed=True,
            dsn=True,
            requiretls=True,
            future_release=FUTURE_RELEASE,
            proxy_from=proxies,
        )
        return await smtp_aio.serve(
            lambda connection: Submission(self, connection),
            sock,
            config,
            tls_context=context,
            implicit_tls=implicit_tls,
        )

    async def _listen_web(self, bound: Bound) -> WebServer:
        """HTTP; on the port of HTTPS also what its clients ask for by ALPN."""
        # Not imported where there is no web: it is a quarter of what a worker needs to start.
        from moxd.web.server import WebServer
        from moxd.web.site import Site

        if self._web is None:
            self._web = WebServer(Site(lambda: self.config).app)
        context, listener = self._contexts[bound.listener].web, self.config.static.listeners[bound.listener]
        others: dict[str, smtp_aio.Server | imap_aio.Server] = {}
        if bound.service == "https":
            if listener.submissions_on_https:
                others["smtp"] = await self._serve_submission(None, context, implicit_tls=True)
            if listener.imaps_on_https:
                others["imap"] = await self._serve_imap(None, context, implicit_tls=True)
        self._servers += others.values()
        await self._web.listen(bound.socket, context if bound.service == "https" else None, others)
        return self._web

    @property
    def spool(self) -> Path:
        """Where messages wait that are still coming in."""
        return self._spool

    def _heard(self, topic: str, number: int) -> None:
        if topic == QUEUE_TOPIC:
            self.outgoing.heard()
        else:
            self.store.heard(topic, number)
            self._trainer.touched(topic)

    def _changed(self, account: str, modseq: int) -> None:
        """We have changed an account."""
        self.neighbours.tell(account, modseq)
        self._trainer.touched(account)

    def _full(self, account: str) -> bool:
        found = self.config.domains.accounts.get(account)
        if found is None or found.quota is None:
            return False
        held = self.store.open(account).quota()
        return held.size_limit is not None and held.size >= held.size_limit

    def _junk(self, account: str) -> Junk:
        found = self.config.domains.accounts.get(account)
        return found.junk if found is not None else _NO_SETTINGS

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for account in self.store.opened():
                with contextlib.suppress(mox_store.StoreError):
                    for _ in range(SWEEPS_AT_ONCE):
                        if not await account.sweep():
                            break

    def stop(self) -> None:
        """Drains and ends run()."""
        self._stopping.set()

    def reload(self) -> None:
        """Reads domains.toml again; a bad file changes nothing."""
        try:
            config = read_domains(self.config)
            client_keys = ClientKeys.load(config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("domains.toml is not used: %s", problem)
            return
        except ClientKeyError as error:
            log.error("domains.toml is not used: %s", error)
            return
        self.config, self._client_keys = config, client_keys
        for name, listener in config.static.listeners.items():
            if listener.client_keys and (context := self._contexts[name].login) is not None:
                client_keys.trust(context)
        self._directory = self.logins.directory = self._make_directory()
        self.outgoing.reload()
        if self._index == 0:
            self._applying = asyncio.get_running_loop().create_task(self._keeper.apply())
        log.info("domains read again", extra={"accounts": len(self.config.domains.accounts)})

    def close(self) -> None:
        """Closes everything, last things first."""
        self.outgoing.close()
        if isinstance(self.resolver, UdpResolver):
            self.resolver.close()
        self.logins.close()
        self.filters.close()
        self.store.close()
        self._refusals.close()
        self.neighbours.close()


def _unheeded(done: asyncio.Future[None]) -> None:
    """Nobody waits for it; that the disk fails will be told to who does."""
    if not done.cancelled() and done.exception() is not None:
        log.warning("a login is not recorded", extra={"error": str(done.exception())})


def make_resolver(config: Config) -> UdpResolver:
    """The configured resolver, or the system's."""
    dns = config.static.dns
    if not dns.servers:
        return UdpResolver.from_system(timeout=dns.timeout)
    loopback = all(server.startswith(("127.", "[::1]", "::1")) for server in dns.servers)
    return UdpResolver(dns.servers, trust_ad=loopback if dns.trust_ad is None else dns.trust_ad, timeout=dns.timeout)


# -- the program


class DataError(Exception):
    """An account's data cannot be opened: `folder`, and why."""

    def __init__(self, folder: Path, cause: mox_store.StoreError) -> None:
        super().__init__(f"{folder}: {cause}")
        self.folder = folder
        self.cause = cause


def load_keys(config: Config) -> Mapping[Path, DkimKey]:
    """DKIM keys, read while they can still be read (as root).  Raises KeyFileError."""
    paths = {config.path(s.key) for domain in config.domains.domains.values() for s in domain.dkim.selectors.values()}
    return {path: dkim_keys.load(path) for path in sorted(paths)}


def run_worker(
    config: Config,
    sets: list[list[Bound]],
    contexts: Mapping[str, Contexts],
    keys: Mapping[Path, DkimKey],
    index: int,
    options: Options,
    lifeline: int | None = None,
) -> int:
    """One worker's life; the exit status.  It ends too when `lifeline` becomes readable: nobody watches any more."""
    for number, bounds in enumerate(sets):
        if number != index:
            for bound in bounds:
                bound.socket.close()

    async def life() -> None:
        app, loop = App(config, sets[index], contexts, keys, index, options), asyncio.get_running_loop()

        def orphaned(descriptor: int) -> None:
            loop.remove_reader(descriptor)
            log.error("the supervisor is gone, stopping", extra={"worker": index})
            app.stop()

        if lifeline is not None:
            loop.add_reader(lifeline, orphaned, lifeline)
        await app.run()

    try:
        import uvloop
    except ImportError:
        asyncio.run(life())
    else:
        uvloop.run(life())
    return 0


def prepare(config: Config) -> None:
    """Makes the data folders and opens every account once, so that trouble shows now.  Raises OSError, DataError."""
    data = config.data
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Before there are workers: two of them must not make it at once.
    keep_secret(data)
    spool.prepare(data / "spool")
    store = mox_store.Store(data / "accounts", clock=time.time)
    try:
        for name in config.domains.accounts:
            try:
                store.open(name)
            except mox_store.StoreError as error:
                raise DataError(data / "accounts" / name, error) from error
    finally:
        store.close()
    for leftover in (data / "run").glob("*.sock"):
        leftover.unlink()


def own(folder: Path, user: User) -> None:
    """Gives the data folder to the user that we become."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in [folder, *folder.rglob("*")]:
        if path.lstat().st_uid != user.uid:
            os.lchown(path, user.uid, user.gid)


def serve(config: Config, options: Options = Options(), ready: Callable[[], None] = lambda: None) -> int:
    """Binds, drops privileges, serves until SIGTERM.  Raises BindError, CertificateError, PrivilegeError, OSError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    moxd_log.set_up(config.static.log_level)
    web = any(listener.http or listener.https for listener in config.static.listeners.values())
    preload(web=web)
    workers = config.static.workers or os.cpu_count() or 1
    contexts, keys = load_contexts(config), load_keys(config)
    user = User.find(config.static.user) if config.static.user is not None and os.geteuid() == 0 else None
    sets = bind_all(config.static.listeners, workers)
    try:
        if user is not None:
            own(config.data, user)
            drop_to(user)
        elif os.geteuid() == 0 and not options.all_local:
            log.warning('running as root; set user = "…" in moxd.toml so that moxd drops to it after binding its ports')
        prepare(config)
        for bound in (*sets[0], *(sets[-1] if len(sets) > workers else ())):
            log.info(
                "listening", extra={"listener": bound.listener, "service": bound.service, "address": bound.address}
            )
        ready()
        sys.stdout.flush()
        if workers == 1:
            return run_worker(config, sets, contexts, keys, 0, options)

        newest = [config]  # a worker that is started again has the domains of the last reload

        def work(index: int, lifeline: int) -> int:
            return run_worker(newest[-1], sets, contexts, keys, index, options, lifeline)

        def reread() -> bool:
            found = checks(config)
            newest[:] = [found or newest[-1]]
            return found is not None

        return Supervisor(len(sets), work, reread, lambda: close_all(sets)).run()
    finally:
        close_all(sets)


def checks(config: Config) -> Config | None:
    """`config` with domains.toml read again; says what is wrong, and None, when it is not good."""
    try:
        return read_domains(config)
    except ConfigError as error:
        for problem in error.problems:
            log.error("domains.toml is not used: %s", problem)
        return None


__all__ = ["App", "CertificateError", "Options", "serve"]
