"""moxd as a program: with a configuration of its own, on loopback, as anybody would run it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from kit.processes import Running, answers, free_port, tree

PASSWORD = "a password for tests"
_STATIC = """\
hostname = "{host}"
data = "data"
workers = {workers}
log_level = "info"
postmaster = "you"
{extra}
[dns]
servers = ["{dns}"]

[outgoing]
port = {outgoing}
retry_minutes = [0.02]
{give_up}

[listeners.all]
addresses = ["{address}"]
smtp = {smtp}
submission = {submission}
submissions = {submissions}
imap = {imap}
imaps = {imaps}
{web}
{listener}
tls = {{ certificate = "tls/server.pem", key = "tls/server-key.pem" }}
"""
_WEB = """\
http = {http}
https = {https}
submissions_on_https = true
imaps_on_https = true
"""
_DOMAINS = """\
[domains."{domain}".dkim.selectors.test]
key = "dkim.pem"

[accounts.you]
addresses = ["you@{domain}", "friend@{domain}"]

[accounts.other]
addresses = ["other@{domain}"]
"""


@dataclass
class Moxd:
    """A moxd that runs."""

    folder: Path
    address: str
    ports: dict[str, int]
    domain: str
    running: Running

    @property
    def ca(self) -> Path:
        """The CA that its certificate is from."""
        return self.folder / "tls" / "ca.pem"

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.running.output

    def pids(self) -> list[int]:
        """Its processes."""
        return tree(self.running.process.pid)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `moxd …` with this configuration."""
        return subprocess.run(
            [sys.executable, "-m", "moxd", *arguments, "--config", str(self.folder)],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def database(self, account: str = "you") -> sqlite3.Connection:
        """The account's database, to look into."""
        return sqlite3.connect(f"file:{self.folder}/data/accounts/{account}/account.db?mode=ro", uri=True)


def free_ports(address: str, names: Sequence[str]) -> dict[str, int]:
    """Ports of `address` that nobody has now."""
    return {name: free_port(address) for name in names}


_made: list[bytes] = []


def _dkim_key(path: Path) -> None:
    """A key at `path`; making one takes a while, so that one serves all of this process."""
    from moxd.tls import dkim_keys

    if _made:
        path.write_bytes(_made[0])
        path.chmod(0o600)
    else:
        dkim_keys.ensure(path)
        _made.append(path.read_bytes())


def configure(
    folder: Path,
    *,
    dns: str,
    domain: str = "mox.test",
    host: str = "mx.mox.test",
    address: str = "127.0.0.1",
    workers: int = 1,
    ports: dict[str, int] | None = None,
    outgoing: int = 25,
    give_up_hours: float | None = None,
    extra: str = "",
    passwords: bool = True,
    web: bool = False,
    listener: str = "",
    names: Sequence[str] = (),
) -> dict[str, int]:
    """Writes a configuration, its certificates and keys, and sets the passwords (which makes the data); the ports."""
    from moxd.tls import certificates

    folder.mkdir(parents=True, exist_ok=True)
    services = ("smtp", "submission", "submissions", "imap", "imaps", *(("http", "https") if web else ()))
    ports = ports or free_ports(address, services)
    certificates.ensure(folder / "tls", [host, "localhost", ip_address(address), *names], datetime.now(UTC))
    _dkim_key(folder / "dkim.pem")
    give_up = f"give_up_hours = {give_up_hours}" if give_up_hours is not None else ""
    if "slow_seconds" not in extra:
        extra = f"slow_seconds = 0\n{extra}"
    on_web = _WEB.format(**ports) if web else ""
    text = _STATIC.format(
        host=host,
        workers=workers,
        dns=dns,
        outgoing=outgoing,
        give_up=give_up,
        address=address,
        extra=extra,
        web=on_web,
        listener=listener,
        **ports,
    )
    (folder / "moxd.toml").write_text(text)
    (folder / "domains.toml").write_text(_DOMAINS.format(domain=domain))
    if passwords:
        set_passwords(folder / "data")
    return ports


def set_passwords(data: Path) -> None:
    """PASSWORD for both accounts, as `moxd account password` would set it."""
    import mox_store
    from moxd.login import make_credentials

    store = mox_store.Store(data / "accounts", clock=time.time)
    try:
        for account in ("you", "other"):
            with store.open(account).write() as tx:
                tx.set_credential("password", make_credentials(PASSWORD, os.urandom(16)).to_text())
    finally:
        store.close()


def dkim_record(folder: Path) -> str:
    """The DNS text of the key that configure() made."""
    import mox_dkim
    from mox_dkim.key import private_key
    from moxd.tls import dkim_keys

    return str(mox_dkim.KeyRecord.of(private_key(dkim_keys.ensure(folder / "dkim.pem"))))


@contextmanager
def moxd(
    folder: Path,
    ports: dict[str, int],
    *,
    address: str = "127.0.0.1",
    domain: str = "mox.test",
    wrapper: Sequence[str] = (),
) -> Iterator[Moxd]:
    """Runs `moxd serve`; ended at the end, whatever happened."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    log = folder / "moxd.log"
    before = log.read_text(errors="replace").count(" serving ") if log.exists() else 0
    running = Running(
        [*wrapper, sys.executable, "-m", "moxd", "serve", "--config", str(folder)], folder, "moxd", environment
    )
    written = (folder / "moxd.toml").read_text()
    workers = int(re.search(r"^workers = (\d+)", written, re.MULTILINE)[1])  # type: ignore[index]
    workers += workers > 1 and "\nhttps = " in written  # the web has a process of its own
    try:
        running.wait_until(
            lambda: running.output.count(" serving ") >= before + workers and answers(ports["imaps"], address), 30
        )
        yield Moxd(folder, address, ports, domain, running)
    finally:
        running.kill()
