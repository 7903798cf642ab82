"""Other mail servers to talk SMTP to: Exim and chasquid, unpacked from their Debian packages without being installed (one
would throw out Postfix, the other opens ports), and aiosmtpd in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.certificates import make
from kit.processes import Running, answers, free_port
from kit.suites import ROOT

UNPACKED = ROOT / ".nox" / "peers"


@dataclass(frozen=True)
class Peer:
    """A server that runs: where it listens, where its mail comes to lie, its log."""

    port: int
    mail: Path
    log: Path

    def messages(self) -> list[bytes]:
        """What it has delivered, oldest first."""
        found = [
            path for path in self.mail.rglob("*") if path.is_file() and "tmp" not in path.relative_to(self.mail).parts
        ]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def unpacked(package: str, program: str) -> Path:
    """A program of a Debian package, fetched by apt and unpacked beside us; without it the test fails where CI=true, and
    is skipped with the reason elsewhere."""
    folder = UNPACKED / package
    path = folder / program
    if path.exists():
        return path
    why = "apt-get is not here"
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True)
        why = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "apt-get download gives nothing"
        for archive in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
        if path.exists():
            return path
    message = f"no {Path(program).name}: Debian package {package} cannot be fetched ({why})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


_EXIM = """\
primary_hostname = mx.exim.test
exim_path = {program}
exim_user = nobody
exim_group = nogroup
never_users =
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
keep_environment =
tls_certificate = {certificate}
tls_privatekey = {key}
tls_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
prdr_enable = true
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max_per_connection = 1000
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept_all
begin acl
check_rcpt:
  deny local_parts = no
  accept
accept_all:
  accept
begin routers
onward:
  driver = manualroute
  domains = ours.test
  transport = onward
  route_list = * 127.0.0.1
  self = send
every:
  driver = accept
  transport = keep
begin transports
onward:
  driver = smtp
  port = {onward}
  hosts_try_chunking = *
  hosts_require_tls = *
  tls_verify_hosts =
  tls_try_verify_hosts =
keep:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  user = nobody
  group = nogroup
"""


@contextmanager
def exim(folder: Path, onward: int = 25) -> Iterator[Peer]:
    """Exim, with STARTTLS, CHUNKING, DSN, SMTPUTF8; refuses recipients called "no".  Mail for ours.test goes to the port
    `onward`, over TLS, by BDAT where that is offered."""
    program = unpacked("exim4-daemon-light", "usr/sbin/exim4")
    if os.geteuid() != 0:
        pytest.skip("Exim can only be started by root")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here, so Exim cannot be given its user")
    folder.chmod(0o755)
    port = free_port()
    for name in ("spool", "log", "mail"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(folder / name, "nobody", "nogroup")
    certificate, key = make("mx.exim.test", names=["mx.exim.test"]).write(folder)
    shutil.chown(key, "nobody", "nogroup")
    config = folder / "exim.conf"
    config.write_text(
        _EXIM.format(program=program, onward=onward, folder=folder, port=port, certificate=certificate, key=key)
    )
    # Debian's Exim looks for its user by name before it reads anything.
    users = Path("/etc/passwd").read_text()
    if "Debian-exim:" not in users:
        users += "Debian-exim:x:65533:65534::/nonexistent:/usr/sbin/nologin\n"
    groups = Path("/etc/group").read_text()
    if "Debian-exim:" not in groups:
        groups += "Debian-exim:x:65533:\n"
    (folder / "passwd").write_text(users)
    (folder / "group").write_text(groups)
    script = f'mount --bind "{folder}/passwd" /etc/passwd && mount --bind "{folder}/group" /etc/group && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(program), "-C", str(config), "-bdf", "-q1h"]
    running = Running(command, folder, "exim")
    try:
        running.wait_until(lambda: answers(port), 20)
        yield Peer(port, folder / "mail", folder / "log" / "mainlog")
    finally:
        running.kill()


_CHASQUID = """\
hostname: "mx.chasquid.test"
smtp_address: "127.0.0.1:{port}"
submission_address: ""
submission_over_tls_address: ""
monitoring_address: ""
mail_delivery_agent_bin: "{folder}/deliver"
mail_delivery_agent_args: "%to%"
data_dir: "{folder}/data"
mail_log_path: "{folder}/mail.log"
max_data_size_mb: 20
"""


@contextmanager
def chasquid(folder: Path) -> Iterator[Peer]:
    """chasquid, for the one user ann@chasquid.test, with STARTTLS."""
    program = unpacked("chasquid", "usr/bin/chasquid")
    port = free_port()
    for name in ("mail", "data", "config/domains/chasquid.test", "config/certs/mx.chasquid.test"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    made = make("mx.chasquid.test", names=["mx.chasquid.test"])
    certificates = folder / "config" / "certs" / "mx.chasquid.test"
    certificate, key = made.write(folder)
    shutil.copy(certificate, certificates / "fullchain.pem")
    shutil.copy(key, certificates / "privkey.pem")
    (folder / "config" / "domains" / "chasquid.test" / "aliases").write_text("")
    (folder / "config" / "chasquid.conf").write_text(_CHASQUID.format(folder=folder, port=port))
    deliver = folder / "deliver"
    deliver.write_text(f'#!/bin/sh\nexec cat > "{folder}/mail/$$.$(date +%s%N)"\n')
    deliver.chmod(0o755)
    util = program.with_name("chasquid-util")
    done = subprocess.run(
        [str(util), f"--configdir={folder}/config", "user-add", "ann@chasquid.test", "--password=secret"],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(f"chasquid-util: {done.stdout}{done.stderr}")
    running = Running([str(program), f"-config_dir={folder}/config", "-alsologtostderr"], folder, "chasquid")
    try:
        running.wait_until(lambda: answers(port), 20)
        yield Peer(port, folder / "mail", folder / "chasquid.log")
    finally:
        running.kill()


_AIOSMTPD = """
import asyncio, itertools, pathlib, ssl, sys
from aiosmtpd.controller import UnthreadedController
folder, port, certificate, key = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
numbers = itertools.count()
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no@"):
            return "550 no such address"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        (folder / f"{next(numbers)}").write_bytes(envelope.content)
        return "250 OK"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
UnthreadedController(Handler(), hostname="127.0.0.1", port=port, loop=loop, tls_context=context, enable_SMTPUTF8=True).begin()
loop.run_forever()
"""


@contextmanager
def aiosmtpd(folder: Path) -> Iterator[Peer]:
    """aiosmtpd, with STARTTLS and SMTPUTF8; refuses recipients called "no"."""
    pytest.importorskip("aiosmtpd", reason="aiosmtpd is not installed (dependency group bench)")
    port = free_port()
    (folder / "mail").mkdir(parents=True, exist_ok=True)
    certificate, key = make("mx.aiosmtpd.test", names=["mx.aiosmtpd.test"]).write(folder)
    command = [sys.executable, "-c", _AIOSMTPD, str(folder / "mail"), str(port), str(certificate), str(key)]
    running = Running(command, folder, "aiosmtpd")
    try:
        running.wait_until(lambda: answers(port), 20)
        yield Peer(port, folder / "mail", running.log)
    finally:
        running.kill()
