"""The settings, as frozen values.  `moxd.toml` is read once, `domains.toml` again on SIGHUP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

import mox_mtasts
from moxd.config.kinds import Capability, DomainName, IpText, Network, Pattern, Port, ServerText, Settings, TimeOfDay
from moxd.config.transports import AccountRoute, DomainRoute, GlobalRoute, Transport

MAX_WORKERS = 64


WEB_SERVICES = ("http", "https")


class Tls(Settings):
    """A certificate chain and its key, both PEM files; relative paths start at the configuration's folder."""

    certificate: Path
    key: Path


class Listener(Settings):
    """Addresses to listen on, and one port for each service that is wanted there."""

    addresses: tuple[IpText, ...] = Field(min_length=1)
    smtp: Port | None = None
    submission: Port | None = None
    submissions: Port | None = None
    imap: Port | None = None
    imaps: Port | None = None
    # How mail programs are to be set up, and MTA-STS policies; both ports, because some programs ask the first.
    http: Port | None = None
    https: Port | None = None
    # Submission and IMAP on the port of HTTPS too, for whom a network lets out nowhere else: the client asks for
    # "smtp" or "imap" by ALPN (RFC 7301).
    submissions_on_https: bool = False
    imaps_on_https: bool = False
    # The host that mail programs are told to connect to, where it is not `hostname`.
    hostname: DomainName | None = None
    # Mail programs may show a certificate (`tls_keys` of accounts) and are then let in without a password.
    client_keys: bool = False
    # Proxies whose PROXY header (version 1 or 2) is believed, and demanded: who connects is whom they say.  For all
    # services but http and https.
    proxy_from: tuple[Network, ...] = ()
    tls: Tls | None = None

    def ports(self) -> dict[str, int]:
        """Service name -> port, in a fixed order."""
        names = ("smtp", "submission", "submissions", "imap", "imaps", *WEB_SERVICES)
        return {name: port for name in names if (port := getattr(self, name)) is not None}


class Dns(Settings):
    """Whom to ask.  `trust_ad` says that this resolver validates DNSSEC and the way to it is safe."""

    servers: tuple[ServerText, ...] = ()
    trust_ad: bool | None = None
    timeout: float = Field(default=5.0, gt=0, le=60)


class Outgoing(Settings):
    """How mail leaves: which port MX hosts are called at (tests change it) and from which addresses."""

    port: Port = 25
    # CAs that MX hosts and policy hosts are verified with, a PEM file; without it the system's.
    ca: Path | None = None
    mtasts: bool = True
    dane: bool = True
    mtasts_port: Port = 443
    retry_minutes: tuple[float, ...] = ()
    give_up_hours: float | None = Field(default=None, gt=0)
    # To one place (a domain, a smarthost): connections, and seconds between two messages over one of them.
    connections: int = Field(default=10, ge=1, le=1000)
    interval_seconds: float = Field(default=0.0, ge=0, le=3600)
    # Altogether.
    deliveries: int = Field(default=100, ge=1, le=10_000)
    # For how long what is finished can still be looked at.
    kept_days: float = Field(default=14.0, ge=1, le=3650)


class Backup(Settings):
    """A backup every night, while mail comes and goes; only what is new is written."""

    folder: Path
    # When, by the clock of this place.
    at: TimeOfDay = "03:30"
    # So many nights are kept; 0: all.
    keep: int = Field(default=30, ge=0)


class Static(Settings):
    """`moxd.toml`: read at start, never again."""

    hostname: DomainName
    data: Path = Path("data")
    user: str | None = None
    workers: int | None = Field(default=None, ge=1, le=MAX_WORKERS)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    postmaster: str | None = None
    max_message_size: int = Field(default=100 * 1024 * 1024, ge=64 * 1024)
    durability: Literal["group", "full"] = "group"
    # New connections a minute from one address; its /26 may make 3 times, its /21 9 times as many.  0: no limit.
    connections_per_minute: int = Field(default=300, ge=0)
    # Who sent what was refused, asked for three addresses that are not there, or failed to log in twice gets
    # every further reply of the connection so many seconds late.  0: nobody does.
    slow_seconds: float = Field(default=1.0, ge=0, le=60)
    dns: Dns = Dns()
    outgoing: Outgoing = Outgoing()
    # Ways for mail to leave beside "direct", and which mail takes them; the routes of accounts and domains come first.
    transports: dict[str, Transport] = Field(default_factory=dict)
    routes: tuple[GlobalRoute, ...] = ()
    backup: Backup | None = None
    listeners: dict[str, Listener] = Field(min_length=1)


class Selector(Settings):
    """A DKIM key: PEM file, and whether outgoing mail is signed with it now."""

    key: Path
    sign: bool = True


class Dkim(Settings):
    """The DKIM keys of a domain by selector."""

    selectors: dict[str, Selector] = Field(default_factory=dict)


class MtaSts(Settings):
    """The MTA-STS policy that is served for a domain (RFC 8461 3.2) at https://mta-sts.<domain>/.

    Senders look at it again when the `id` of the TXT record at _mta-sts.<domain> is another one."""

    mode: mox_mtasts.Mode = mox_mtasts.Mode.ENFORCE
    mx: tuple[str, ...] = Field(min_length=1)
    max_age: int = Field(default=7 * 86400, ge=86400, le=mox_mtasts.MAX_MAX_AGE)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        self.policy()
        return self

    def policy(self) -> mox_mtasts.Policy:
        """The policy."""
        return mox_mtasts.Policy(self.mode, tuple(pattern.lower() for pattern in self.mx), self.max_age)


class Domain(Settings):
    """A domain that mail is taken for."""

    # The host that mail programs of this domain's people are told to connect to, where it is not the listener's.
    client_settings_host: DomainName | None = None
    mta_sts: MtaSts | None = None

    separator: str = Field(default="+", max_length=1)
    case_sensitive: bool = False
    dkim: Dkim = Dkim()
    # For mail from this domain, whoever sends it.
    routes: tuple[DomainRoute, ...] = ()


class Junk(Settings):
    """What an account's mailboxes say of the messages that are put into them, and whether their words are learned.

    The patterns are regular expressions, searched in names of mailboxes in lower case, in this order; the mailbox with
    the special use \\Junk is junk in any case.  With exactly one left empty, it stands for every other mailbox."""

    marks: bool = True
    junk: Pattern = "^(junk|spam)"
    neutral: Pattern = "^(inbox|neutral|postmaster|dmarc|tlsrpt|rejects)"
    wanted: Pattern = ""
    words: bool = True
    # Above this probability a message is put into Junk.
    threshold: float = Field(default=0.95, gt=0.5, lt=1)


class Account(Settings):
    """A person: the addresses that lead to them.  `@example.org` is every address of that domain not named."""

    addresses: tuple[str, ...] = Field(min_length=1)
    full_name: str = ""
    # Octets; more is refused, by SMTP as by IMAP.
    quota: int | None = Field(default=None, ge=0)
    # For how long what was expunged can be brought back (`moxd store undelete`).
    retention_days: float = Field(default=7.0, ge=0, le=3650)
    # For mail of this account; they come before those of domains.
    routes: tuple[AccountRoute, ...] = ()
    # Logins whose messages get a reverse-path of their own each, so that what comes back is matched to its message.
    fromid_logins: tuple[str, ...] = ()
    junk: Junk = Junk()
    # Certificates, PEM files, whose keys open this account: IMAP with TLS begins logged in (PREAUTH).
    tls_keys: tuple[Path, ...] = ()
    # IMAP capabilities that this account's programs are not told of, because they do not get on with them, such as
    # "COMPRESS=DEFLATE"; "THREAD" stands for all that begin so.
    imap_without: tuple[Capability, ...] = ()
    # Addresses that fail for good are not written to any more, until `moxd queue suppress remove`.
    suppress: bool = False
    # How much may be sent within 24 hours, counted in recipients: a stolen password is worth less.  0: no limit.
    recipients_per_day: int = Field(default=1000, ge=0)
    first_time_recipients_per_day: int = Field(default=200, ge=0)


class Domains(Settings):
    """`domains.toml`: domains, accounts; read again on SIGHUP."""

    domains: dict[DomainName, Domain] = Field(min_length=1)
    accounts: dict[str, Account] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """Both files, read and checked; `folder` is where relative paths start."""

    folder: Path
    static: Static
    domains: Domains

    def path(self, path: Path) -> Path:
        """The absolute form of a path in the configuration."""
        return path if path.is_absolute() else self.folder / path

    @property
    def data(self) -> Path:
        """The data folder, absolute."""
        return self.path(self.static.data)
