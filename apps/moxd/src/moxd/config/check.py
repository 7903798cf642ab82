"""What no single setting can know: addresses given twice, domains nobody declared, files that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mox_dns
import mox_message
from moxd.config.check_transports import (
    domains_route_problems,
    joint_route_problems,
    readable,
    static_route_problems,
    transport_problems,
)
from moxd.config.places import KeyPath
from moxd.config.values import Domain, Domains, Static

Found = tuple[KeyPath, str]

# The account's name is a folder's name in the data directory and appears in commands.
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
MAX_NAME = 64
# One letter, digit or dot would cut ordinary addresses in two.
_SEPARATORS = frozenset("+-_=#")


def static_problems(folder: Path, static: Static) -> Iterator[Found]:
    """Problems within `moxd.toml`: files, and two services on one port."""
    taken: dict[tuple[str, int], str] = {}
    for name, listener in static.listeners.items():
        at = ("listeners", name)
        ports = listener.ports()
        if not ports:
            yield at, "has no service; give it at least one of smtp, submission, submissions, imap, imaps, http, https"
        if listener.tls is not None:
            yield from readable(folder, (*at, "tls", "certificate"), listener.tls.certificate)
            yield from readable(folder, (*at, "tls", "key"), listener.tls.key)
        elif {"submission", "submissions", "imap", "imaps"} & ports.keys():
            yield at, "people log in here, so it needs tls = { certificate = …, key = … }"
        elif "https" in ports:
            yield at, "https needs tls = { certificate = …, key = … }"
        for service, name_of in (("submissions_on_https", "smtp"), ("imaps_on_https", "imap")):
            if getattr(listener, service) and listener.https is None:
                yield (
                    (*at, service),
                    f"{name_of} is wanted on the port of https, and there is none; add https = 443",
                )
        for service, port in ports.items():
            for address in listener.addresses:
                other = taken.setdefault((address, port), f"{name}.{service}")
                if other != f"{name}.{service}":
                    yield (*at, service), f"{address} port {port} is already used by {other}; choose another port"
    yield from transport_problems(folder, static)
    yield from static_route_problems(static)


def _address_problem(text: str, domains: Domains) -> str | None:
    localpart, at, name = text.rpartition("@")
    if not at:
        return f"{text!r} has no @; write localpart@domain, or @domain for all others of that domain"
    try:
        domain = mox_message.Address.parse(f"{localpart or 'x'}@{name}").domain
    except ValueError as error:
        return f"{text!r} is not an address: {error}"
    if isinstance(domain, mox_dns.IpLiteral):
        return f"{text!r} names an IP address; accounts have addresses of the domains in this file"
    settings = domains.domains.get(domain.ascii)
    if settings is None:
        return f"{text!r}: there is no [domains.{domain.ascii!r}]; add it, or correct the address"
    if settings.separator and settings.separator in localpart:
        return (
            f"{text!r} contains the separator {settings.separator!r}; such addresses already reach the part before it"
        )
    return None


def canonical(text: str, domains: Domains) -> str:
    """The form in which two addresses are the same: A-form domain, case folded unless the domain minds it."""
    localpart, _, name = text.rpartition("@")
    domain = str(mox_message.Address.parse(f"{localpart or 'x'}@{name}").domain)
    settings = domains.domains.get(domain, Domain())
    return f"{localpart if settings.case_sensitive else localpart.lower()}@{domain}"


def domains_problems(folder: Path, domains: Domains) -> Iterator[Found]:
    """Problems within `domains.toml`: names, addresses, keys."""
    for name, domain in domains.domains.items():
        if domain.separator and domain.separator not in _SEPARATORS:
            yield (
                ("domains", name, "separator"),
                f'{domain.separator!r} cannot separate; use one of {" ".join(sorted(_SEPARATORS))} or ""',
            )
        for selector, settings in domain.dkim.selectors.items():
            yield from readable(folder, ("domains", name, "dkim", "selectors", selector, "key"), settings.key)
    owners: dict[str, str] = {}
    for name, account in domains.accounts.items():
        at = ("accounts", name)
        if not 0 < len(name) <= MAX_NAME or not set(name) <= _NAME_CHARACTERS or name.startswith("."):
            yield at, f"account names have 1 to {MAX_NAME} of a-z 0-9 . _ - and do not begin with a dot"
        for path in account.tls_keys:
            yield from readable(folder, (*at, "tls_keys"), path)
        for text in account.fromid_logins:
            if text != name and (text.rpartition("@")[2] not in domains.domains or "@" not in text):
                yield (*at, "fromid_logins"), f"nobody logs in as {text!r}; name the account or one of its addresses"
        for text in account.addresses:
            if problem := _address_problem(text, domains):
                yield (*at, "addresses"), problem
                continue
            owner = owners.setdefault(canonical(text, domains), name)
            if owner != name:
                yield (
                    (*at, "addresses"),
                    f"{text!r} already belongs to account {owner!r}; an address leads to one account",
                )
    yield from domains_route_problems(domains)


def joint_problems(static: Static, domains: Domains) -> Iterator[Found]:
    """Problems between the two files."""
    if static.postmaster is not None and static.postmaster not in domains.accounts:
        yield ("postmaster",), f"there is no account {static.postmaster!r} in domains.toml; name one that exists"
    yield from joint_route_problems(static, domains)
