"""The settings, as frozen values.  `moxd.toml` is read once, `domains.toml` again on SIGHUP."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

import mox_dns

MAX_WORKERS = 64


class Settings(BaseModel):
    """A table of a configuration file: unknown keys are mistakes, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _domain_name(text: str) -> str:
    try:
        return mox_dns.Domain.parse(text).ascii
    except mox_dns.DomainSyntaxError as error:
        raise ValueError(f"{text!r} is not a domain name: {error.why}") from None


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def _server(text: str) -> str:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "53")
    _ip(host.strip("[]"))
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not an address with a port, such as 127.0.0.1:53 or [::1]:53")
    return text


DomainName = Annotated[str, AfterValidator(_domain_name)]
IpText = Annotated[str, AfterValidator(_ip)]
ServerText = Annotated[str, AfterValidator(_server)]
Port = Annotated[int, Field(ge=1, le=65535)]


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
    tls: Tls | None = None

    def ports(self) -> dict[str, int]:
        """Service name -> port, in a fixed order."""
        names = ("smtp", "submission", "submissions", "imap", "imaps")
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
    dns: Dns = Dns()
    outgoing: Outgoing = Outgoing()
    listeners: dict[str, Listener] = Field(min_length=1)


class Selector(Settings):
    """A DKIM key: PEM file, and whether outgoing mail is signed with it now."""

    key: Path
    sign: bool = True


class Dkim(Settings):
    """The DKIM keys of a domain by selector."""

    selectors: dict[str, Selector] = {}


class Domain(Settings):
    """A domain that mail is taken for."""

    separator: str = Field(default="+", max_length=1)
    case_sensitive: bool = False
    dkim: Dkim = Dkim()


class Account(Settings):
    """A person: the addresses that lead to them.  `@example.org` is every address of that domain not named."""

    addresses: tuple[str, ...] = Field(min_length=1)
    full_name: str = ""
    quota: int | None = Field(default=None, ge=0)


class Domains(Settings):
    """`domains.toml`: domains, accounts; read again on SIGHUP."""

    domains: dict[DomainName, Domain] = Field(min_length=1)
    accounts: dict[str, Account] = {}


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
