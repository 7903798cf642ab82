"""A Postfix of our own: its folders, its ports, its resolver (a private mount of /etc/resolv.conf)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.processes import Running, answers, program, tree

_MASTER = """\
{address}:25 inet  n       -       n       -       -       smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       n       -       -       lmtp
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = {host}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtp_bind_address = {address}
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtp_host_lookup = dns
smtpd_tls_security_level = {tls}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_received_header = yes
smtpd_relay_restrictions = permit_mynetworks, reject
smtputf8_enable = yes
default_process_limit = 100
queue_run_delay = 5s
minimal_backoff_time = 5s
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


@dataclass(frozen=True)
class Postfix:
    """A Postfix that runs: where its mail and its log are."""

    folder: Path
    address: str
    process: int

    def pids(self) -> list[int]:
        """Its processes."""
        return tree(self.process)

    def messages(self) -> list[bytes]:
        """What it has delivered."""
        return [path.read_bytes() for path in sorted((self.folder / "mail" / "box" / "new").glob("*"))]

    @property
    def log(self) -> str:
        """Its log."""
        path = self.folder / "start.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def postfix(
    folder: Path,
    *,
    address: str,
    host: str,
    domain: str,
    nameserver: str | None,
    certificate: Path,
    key: Path,
    tls: str = "may",
    extra: str = "",
) -> Iterator[Postfix]:
    """Runs Postfix on port 25 of a loopback address, `extra` at the end of its main.cf.  Needs root; skips with the reason
    without."""
    if os.geteuid() != 0:
        pytest.skip("Postfix can only be started by root")
    program_ = program("postfix", "postfix")
    for name, mode in (("queue", 0o755), ("data", 0o700), ("mail", 0o755), ("etc", 0o755)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(mode)
    shutil.chown(folder / "data", "postfix", "postfix")
    shutil.chown(folder / "mail", 65534, 65534)
    values = {
        "folder": folder,
        "address": address,
        "host": host,
        "domain": domain,
        "certificate": certificate,
        "key": key,
        "tls": tls,
    }
    (folder / "etc" / "main.cf").write_text(_MAIN.format(**values) + extra)
    (folder / "etc" / "master.cf").write_text(_MASTER.format(**values))
    # A process namespace of its own: whatever becomes of us, nothing of it is left to hold port 25.
    command = ["unshare", "--pid", "--mount", "--kill-child", "--"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"no namespaces here, so Postfix cannot be kept apart: {probe.stderr.strip()}")
    if nameserver is not None:
        (folder / "resolv.conf").write_text(f"nameserver {nameserver}\n")
        script = f'mount --bind "{folder}/resolv.conf" /etc/resolv.conf && exec "$@"'
        command += ["sh", "-c", script, "sh"]
    running = Running([*command, program_, "-c", str(folder / "etc"), "start-fg"], folder, "start")
    try:
        running.wait_until(lambda: answers(25, address), 30)
        yield Postfix(folder, address, running.process.pid)
    finally:
        running.kill()
