"""Who is this?"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from moxd import login
from moxd.config import Account, Domain, Domains
from moxd.directory import Directory
from moxd.login import Logins, make_credentials

PASSWORD = "correct horse battery"
DOMAINS = Domains(
    domains={"mox.test": Domain()},
    accounts={"you": Account(addresses=("you@mox.test",)), "other": Account(addresses=("other@mox.test",))},
)
STORED = make_credentials(PASSWORD, b"0123456789abcdef").to_text()


def logins(clock: float = 0.0) -> Logins:
    return Logins(Directory(DOMAINS, None, "mx.mox.test"), lambda account: STORED, lambda: clock)


def checked(*tries: tuple[str, str]) -> list[str | None]:
    async def run() -> list[str | None]:
        some = logins()
        try:
            return [await some.check(name, password) for name, password in tries]
        finally:
            some.close()

    return asyncio.run(run())


def test_accounts_with_the_same_stored_form_are_still_two() -> None:
    """An account that began as a copy of another has its verifier: what is remembered of one must not open the other."""
    assert checked(("you@mox.test", PASSWORD), ("other@mox.test", PASSWORD), ("you@mox.test", PASSWORD)) == [
        "you", "other", "you",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name, password",
    [
        ("you@mox.test", "wrong"),
        ("nobody@mox.test", PASSWORD),
        ("you@elsewhere.test", PASSWORD),
        ("", ""),
        ("you@mox.test", ""),
        ("you@mox.test", PASSWORD + "\0"),
        ("@mox.test", PASSWORD),
    ],
)
def test_nobody(name: str, password: str) -> None:
    assert checked(("you@mox.test", PASSWORD), (name, password)) == ["you", None]


def test_nobody_takes_as_long_as_somebody() -> None:
    """What is compared with when there is no such account has the same cost, and the length of what is kept."""
    assert not login.HASHER.check_needs_rehash(login._NOBODY)
    assert len(login._NOBODY) == len(login.HASHER.hash("x"))
    assert not login._verify(login._NOBODY, "")


def test_failures_are_counted_and_forgiven() -> None:
    some = logins()
    ip = ip_address("192.0.2.1")
    for _ in range(10):
        assert some.allowed(ip)
        some.failed(ip, "you@mox.test", "PLAIN")
    assert not some.allowed(ip)
    assert some.allowed(ip_address("198.51.100.1"))
    some.succeeded(ip, "you", "PLAIN")
    assert some.allowed(ip)
    some.close()
