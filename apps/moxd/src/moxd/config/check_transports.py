"""What no single setting of transports and routes can know: logins in halves, transports that do not exist, bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from moxd.config.places import KeyPath
from moxd.config.transports import BUILT_IN, AccountRoute, DomainRoute, Families, GlobalRoute, Login, Route, Smtp
from moxd.config.values import Domains, Static

Found = tuple[KeyPath, str]
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def transport_problems(folder: Path, static: Static) -> Iterator[Found]:
    """Problems of the transports in `moxd.toml`."""
    for name, transport in static.transports.items():
        at = ("transports", name)
        if name in BUILT_IN:
            yield at, f"{name!r} is built in; choose another name"
        if not name or not set(name) <= _NAME_CHARACTERS:
            yield at, "names of transports are made of letters, digits, dots, - and _"
        if isinstance(transport, Families) and not (transport.ipv4 or transport.ipv6):
            yield at, 'has both ipv4 and ipv6 switched off; leave one on, or write kind = "fail"'
        if isinstance(transport, Login):
            yield from _login(folder, at, transport)
        ca = getattr(transport, "ca", None)
        if ca is not None:
            yield from readable(folder, (*at, "ca"), ca)


def _login(folder: Path, at: KeyPath, login: Login) -> Iterator[Found]:
    if login.passwords == 2:
        yield (*at, "password"), "is given twice; keep password or password_file"
    elif login.username and not login.passwords:
        yield (*at, "username"), "has no password; add password or password_file"
    elif login.passwords and not login.username:
        yield at, "has a password but no username; add it"
    if login.password_file is not None:
        yield from _one_line(folder, (*at, "password_file"), login.password_file)
    if isinstance(login, Smtp) and login.tls == "none" and login.ca is not None:
        yield (*at, "ca"), 'is of no use with tls = "none"; remove one of them'


def _one_line(folder: Path, at: KeyPath, path: Path) -> Iterator[Found]:
    unreadable = list(readable(folder, at, path))
    yield from unreadable
    if not unreadable:
        try:
            lines = (folder / path).read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            lines = []
        if len(lines) != 1 or not lines[0]:
            yield at, f"{folder / path} must have the password in its only line, as UTF-8"


def readable(folder: Path, at: KeyPath, path: Path) -> Iterator[Found]:
    """Is the file there?"""
    full = path if path.is_absolute() else folder / path
    try:
        full.open("rb").close()
    except OSError as error:
        yield at, f"{full} cannot be read ({error.strerror}); create it or correct the path"


def static_route_problems(static: Static) -> Iterator[Found]:
    """Problems of the global routes that need no other file."""
    yield from _routes(("routes",), static.routes, static)


def domains_route_problems(domains: Domains) -> Iterator[Found]:
    """Problems of routes in `domains.toml` that need no other file."""
    for at, routes in _places(domains):
        for index, route in enumerate(routes):
            yield from _bounds((*at, str(index)), route)
            yield from _accounts((*at, str(index)), route, domains)


def joint_route_problems(static: Static, domains: Domains) -> Iterator[Found]:
    """Accounts that global routes name."""
    for index, route in enumerate(static.routes):
        yield from _accounts(("routes", str(index)), route, domains)


def named_transport_problems(static: Static, domains: Domains) -> Iterator[Found]:
    """Transports that routes in `domains.toml` name."""
    for at, routes in _places(domains):
        for index, route in enumerate(routes):
            yield from _known((*at, str(index)), route, static)


def _places(domains: Domains) -> Iterator[tuple[KeyPath, Sequence[AccountRoute | DomainRoute]]]:
    for name, domain in domains.domains.items():
        yield ("domains", name, "routes"), domain.routes
    for name, account in domains.accounts.items():
        yield ("accounts", name, "routes"), account.routes


def _routes(at: KeyPath, routes: Sequence[Route], static: Static) -> Iterator[Found]:
    for index, route in enumerate(routes):
        yield from _bounds((*at, str(index)), route)
        yield from _known((*at, str(index)), route, static)


def _bounds(at: KeyPath, route: Route) -> Iterator[Found]:
    if route.to_attempt is not None and route.to_attempt < (route.from_attempt or 1):
        yield (*at, "to_attempt"), f"comes before from_attempt {route.from_attempt}; nothing would match"


def _known(at: KeyPath, route: Route, static: Static) -> Iterator[Found]:
    if route.transport not in BUILT_IN and route.transport not in static.transports:
        known = ", ".join((*BUILT_IN, *static.transports))
        yield (*at, "transport"), f"there is no [transports.{route.transport}] in moxd.toml; there are: {known}"


def _accounts(at: KeyPath, route: Route, domains: Domains) -> Iterator[Found]:
    if isinstance(route, DomainRoute | GlobalRoute):
        for name in route.accounts:
            if name not in domains.accounts:
                yield (*at, "accounts"), f"there is no account {name!r} in domains.toml; correct or remove it"
