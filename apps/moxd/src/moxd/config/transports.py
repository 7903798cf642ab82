"""The ways by which mail leaves, and the routes that choose among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

import mox_sasl
from moxd.config.kinds import DomainName, DomainPattern, HostName, Port, ProxyText, Settings

# What a route may name without a [transports.…] of that name.
BUILT_IN = ("direct", "fail")


def _secret(value: object) -> object:
    return mox_sasl.Secret(value) if isinstance(value, str) else value


SecretText = Annotated[mox_sasl.Secret, BeforeValidator(_secret)]


class Login(Settings):
    """Who we are to a host; the password itself, or the file that has it (alone, in one line)."""

    username: str = ""
    password: SecretText | None = None
    password_file: Path | None = None

    @property
    def passwords(self) -> int:
        """How many are given."""
        return (self.password is not None) + (self.password_file is not None)


class Submissions(Login):
    """A smarthost, TLS from the first byte."""

    kind: Literal["submissions"]
    host: HostName
    port: Port = 465
    ca: Path | None = None


class Submission(Login):
    """A smarthost, STARTTLS."""

    kind: Literal["submission"]
    host: HostName
    port: Port = 587
    ca: Path | None = None


class Smtp(Login):
    """A relay on port 25; `tls = "none"` for one on this machine or behind a tunnel, which need not prove anything."""

    kind: Literal["smtp"]
    host: HostName
    port: Port = 25
    tls: Literal["starttls", "none"] = "starttls"
    ca: Path | None = None


class Families(Settings):
    """Which addresses of hosts are called."""

    ipv4: bool = True
    ipv6: bool = True


class Socks(Login, Families):
    """To the MX hosts through a SOCKS5 proxy; `hostname` is ours as seen from there."""

    kind: Literal["socks"]
    address: ProxyText
    hostname: DomainName | None = None


class Direct(Families):
    """To the MX hosts."""

    kind: Literal["direct"]


class Fail(Settings):
    """Nowhere: recipients fail at once, and `text` tells why."""

    kind: Literal["fail"]
    text: str = Field(default="mail to there is not sent from here", min_length=1, max_length=400)


Smarthost = Submissions | Submission | Smtp
Transport = Annotated[Submissions | Submission | Smtp | Socks | Direct | Fail, Field(discriminator="kind")]


class Route(Settings):
    """Mail that matches all that is given leaves by `transport`.  Attempts are counted from 1."""

    transport: str
    recipient_domains: tuple[DomainPattern, ...] = ()
    from_attempt: int | None = Field(default=None, ge=1)
    to_attempt: int | None = Field(default=None, ge=1)


class AccountRoute(Route):
    """A route of one account."""

    sender_domains: tuple[DomainPattern, ...] = ()


class DomainRoute(Route):
    """A route for mail from one domain."""

    accounts: tuple[str, ...] = ()


class GlobalRoute(Route):
    """A route for all mail."""

    accounts: tuple[str, ...] = ()
    sender_domains: tuple[DomainPattern, ...] = ()


def with_passwords(folder: Path, transports: Mapping[str, Transport]) -> dict[str, Transport]:
    """The transports with the passwords of their files, read while they can still be read (as root).  Raises OSError,
    UnicodeDecodeError."""
    found: dict[str, Transport] = {}
    for name, transport in transports.items():
        if isinstance(transport, Login) and transport.password_file is not None:
            text = (folder / transport.password_file).read_text("utf-8").rstrip("\r\n")
            transport = transport.model_copy(update={"password": mox_sasl.Secret(text)})
        found[name] = transport
    return found
