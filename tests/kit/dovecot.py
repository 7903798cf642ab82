"""A Dovecot of our own: its folders, its ports, its mail in sdbox; the password is for every user the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.processes import Running, answers, free_port, program, tree

PASSWORD = "a-password-for-Dovecot"
_CONF = """\
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
first_valid_uid = 1
mail_max_userip_connections = 1000
mail_location = sdbox:{folder}/mail/%n
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/home/%n
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  mailbox Gesendet {{
    special_use = \\Sent
    auto = subscribe
  }}
}}
default_process_limit = 1500
default_client_limit = 4000
service imap {{
  process_limit = 1200
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service anvil {{
  client_limit = 8000
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """A Dovecot that runs."""

    folder: Path
    imap: int
    imaps: int
    process: int

    def pids(self) -> list[int]:
        """Its processes."""
        return tree(self.process)

    @property
    def log(self) -> str:
        """Its log."""
        path = self.folder / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextmanager
def dovecot(
    folder: Path, certificate: Path, key: Path, *, separator: str = ".", environment: str = ""
) -> Iterator[Dovecot]:
    """Runs it; needs root, and skips with the reason without.  `environment`: NAME=value … for its processes, too."""
    if os.geteuid() != 0:
        pytest.skip("Dovecot can only be started by root")
    folder.mkdir(parents=True, exist_ok=True)
    for one in (folder, *folder.parents):
        if one.owner() == "root" and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
    for name in ("run", "mail", "home"):
        (folder / name).mkdir(exist_ok=True)
    for name in ("mail", "home"):
        shutil.chown(folder / name, "mail", "mail")
    imap, imaps = free_port(), free_port()
    text = _CONF.format(
        folder=folder, certificate=certificate, key=key, password=PASSWORD, separator=separator, imap=imap, imaps=imaps
    )
    if environment:
        text += f"import_environment = TZ {environment}\n"
    (folder / "dovecot.conf").write_text(text)
    command = [program("dovecot", "dovecot-imapd"), "-F", "-c", str(folder / "dovecot.conf")]
    running = Running(command, folder, "start")
    try:
        running.wait_until(lambda: answers(imap), 20)
        yield Dovecot(folder, imap, imaps, running.process.pid)
    finally:
        running.kill()
