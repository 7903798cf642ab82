"""Who is this?  Passwords are hashed in threads, few at a time; what was right once is remembered for a while."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import argon2

import mox_sasl
import mox_store
from moxd.directory import Directory
from moxd.limits import LoginLimits

log = logging.getLogger("moxd.login")

# OWASP's parameters of 2024 for argon2id: 19 MiB, two passes; about 30 ms here, in a thread.
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
HASHING_THREADS = 2
REMEMBERED_SECONDS = 15 * 60
MAX_REMEMBERED = 10_000
SCRAM_ITERATIONS = 4096
GENERATED_LENGTH = 16
_UNAMBIGUOUS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login to an account: `result` is "ok" or "refused"; the app password that was used, if one was."""

    account: str
    protocol: str
    ip: str
    mechanism: str
    result: str
    app_password: int | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is kept of a password: nothing that gives it back."""

    argon2: str
    scram_sha_256: mox_sasl.ScramVerifier

    def to_text(self) -> str:
        """The stored form."""
        return json.dumps({"argon2": self.argon2, "SCRAM-SHA-256": self.scram_sha_256.to_text()})

    @classmethod
    def from_text(cls, text: str) -> Credentials:
        """The inverse of to_text."""
        row = json.loads(text)
        return cls(row["argon2"], mox_sasl.ScramVerifier.from_text(row["SCRAM-SHA-256"]))


def make_credentials(password: str, salt: bytes) -> Credentials:
    """What to keep of `password`.  Slow on purpose.  Raises ValueError for a password PRECIS refuses."""
    prepared = mox_sasl.prepare_password(password)
    verifier = mox_sasl.derive("SCRAM-SHA-256", prepared, salt, SCRAM_ITERATIONS)
    return Credentials(HASHER.hash(prepared), verifier)


def app_verifier(password: str) -> str:
    """What is kept of an app password.  It is made up by us, long and random, so that one quick hash is enough."""
    return "sha256 " + hashlib.sha256(password.encode("utf-8", "surrogatepass")).hexdigest()


def generate_app_password(choose: Callable[[str], str]) -> str:
    """Four groups of five letters: 116 bits."""
    return "-".join("".join(choose(_UNAMBIGUOUS) for _ in range(5)) for _ in range(4))


def generate_password(choose: Callable[[str], str]) -> str:
    """A new password from `choose` (secrets.choice): no letters that look alike."""
    return "".join(choose(_UNAMBIGUOUS) for _ in range(GENERATED_LENGTH))


# Compared against when there is no such account, so that both cases take the same time.  Nobody knows a password for
# it; not made by hashing one, because that would take as long with every start.
_NOBODY = (
    f"$argon2id$v=19$m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    f"${'A' * -(-HASHER.salt_len * 4 // 3)}${'A' * -(-HASHER.hash_len * 4 // 3)}"
)


class Logins:
    """Checks passwords for all services of this process."""

    def __init__(
        self,
        directory: Directory,
        credentials: Callable[[str], str | None],
        clock: Callable[[], float],
        *,
        app_passwords: Callable[[str], Sequence[mox_store.AppPassword]] = lambda account: (),
        attempted: Callable[[Attempt], None] = lambda attempt: None,
    ) -> None:
        """`attempted` hears of every login of an account that there is."""
        self.directory = directory
        self.limits = LoginLimits()
        self._app_passwords = app_passwords
        self._attempted = attempted
        self._credentials = credentials
        self._clock = clock
        self._pool = ThreadPoolExecutor(HASHING_THREADS, "password")
        self._secret = os.urandom(32)
        self._remembered: dict[bytes, tuple[str, float]] = {}
        self._used: dict[str, int] = {}  # account -> the app password that has just fitted

    def _key(self, account: str, stored: str, password: str) -> bytes:
        """The account is in it: two accounts may well have the same stored form, when one began as a copy."""
        known = f"{account}\0{stored}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, known, hashlib.sha256)

    def allowed(self, ip: IPv4Address | IPv6Address) -> bool:
        """May this address try at all now?"""
        return self.limits.would_allow(ip, self._clock())

    def succeeded(self, ip: IPv4Address | IPv6Address, account: str, mechanism: str, protocol: str = "") -> None:
        """A login went well."""
        self.limits.succeeded(ip)
        self._attempted(Attempt(account, protocol, str(ip), mechanism, "ok", self._used.pop(account, None)))
        log.info("login", extra={"account": account, "mechanism": mechanism, "ip": str(ip)})

    def failed(self, ip: IPv4Address | IPv6Address, name: str, mechanism: str, protocol: str = "") -> None:
        """A login failed."""
        self.limits.failed(ip, self._clock())
        if (account := self.directory.login(name)) is not None:
            self._attempted(Attempt(account, protocol, str(ip), mechanism, "refused"))
        log.info("login refused", extra={"login": name[:200], "mechanism": mechanism, "ip": str(ip)})

    async def check(self, name: str, password: str, scope: str = "") -> str | None:
        """The account that `name` with `password` opens, or None.  `scope` is what for, "imap" or "submission": app
        passwords may be limited to one."""
        try:
            prepared = mox_sasl.prepare_password(password)
        except ValueError:
            prepared = ""
        account = self.directory.login(name)
        stored = self._credentials(account) if account is not None else None
        if account is not None and (one := self._app_password(account, password, scope)) is not None:
            self._used[account] = one.id
            return account
        if account is None or stored is None or not prepared:
            await self._hashed(_NOBODY, prepared)
            return None
        key, now = self._key(account, stored, prepared), self._clock()
        known = self._remembered.get(key)
        if known is not None and known[1] > now:
            return known[0]
        if not await self._hashed(Credentials.from_text(stored).argon2, prepared):
            return None
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = (account, now + REMEMBERED_SECONDS)
        return account

    def _app_password(self, account: str, password: str, scope: str) -> mox_store.AppPassword | None:
        """One that fits and is good now.  All are looked at: the time tells nothing of which one it was."""
        given, now = app_verifier(password), self._clock()
        fitting = [
            one
            for one in self._app_passwords(account)
            if hmac.compare_digest(one.verifier, given) and one.good(now, scope)
        ]
        return fitting[0] if fitting else None

    async def _hashed(self, stored: str, password: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _verify, stored, password)

    def scram(self, name: str) -> mox_sasl.ScramVerifier | None:
        """The SCRAM-SHA-256 verifier of the account behind `name`, or None."""
        account = self.directory.login(name)
        stored = self._credentials(account) if account is not None else None
        return Credentials.from_text(stored).scram_sha_256 if stored is not None else None

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
