"""Kinds of values that settings have: names, addresses, ports, times; each says what is wrong with what was written."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

import mox_dns


class Settings(BaseModel):
    """A table of a configuration file: unknown keys are mistakes, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _domain_name(text: str) -> str:
    try:
        return mox_dns.Domain.parse(text).ascii
    except mox_dns.DomainSyntaxError as error:
        raise ValueError(f"{text!r} is not a domain name: {error.why}") from None


def _pattern(text: str) -> str:
    """A domain, or with a dot in front also everything below it."""
    return f".{_domain_name(text[1:])}" if text.startswith(".") else _domain_name(text)


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a network such as 10.0.0.0/8 or 2001:db8::/32: {error}") from None


def _host(text: str) -> str:
    """A domain name or an IP address."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return _domain_name(text)


def _port(text: str, port: str, example: str) -> None:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not an address with a port, such as {example}")


def _server(text: str) -> str:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "53")
    _ip(host.strip("[]"))
    _port(text, port, "127.0.0.1:53 or [::1]:53")
    return text


def _proxy(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} has no port; write it as 127.0.0.1:1080 or [::1]:1080")
    _ip(host.strip("[]"))
    _port(text, port, "127.0.0.1:1080 or [::1]:1080")
    return text


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text!r} is not a time of day; write it as 03:30")
    return text


def _capability(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9=+/-]*", text) or text.upper().startswith(("IMAP4", "AUTH", "STARTTLS")):
        raise ValueError(f"{text!r} is not a capability that can be left out; one is written as COMPRESS=DEFLATE")
    return text.upper()


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


DomainName = Annotated[str, AfterValidator(_domain_name)]
DomainPattern = Annotated[str, AfterValidator(_pattern)]
HostName = Annotated[str, AfterValidator(_host)]
IpText = Annotated[str, AfterValidator(_ip)]
ServerText = Annotated[str, AfterValidator(_server)]
ProxyText = Annotated[str, AfterValidator(_proxy)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]
Capability = Annotated[str, AfterValidator(_capability)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Pattern = Annotated[str, AfterValidator(_expression)]
Port = Annotated[int, Field(ge=1, le=65535)]
