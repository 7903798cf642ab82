"""Claws Mail on a virtual screen: finds the mailboxes, shows the Inbox, reads, marks, throws away, sends.

Without a window manager, driven as a person would: its own `--select` and `--compose`, and keys."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kit.processes import program
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import mailbox, newest, until

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(180)]

ACCOUNT = """\
[Account: 1]
config_version=4
account_name=you
is_default=1
name=You
address=you@{domain}
protocol=1
receive_server=localhost
smtp_server=localhost
user_id=you@{domain}
password={password}
ssl_imap=1
ssl_smtp=1
set_imapport=1
imap_port={imaps}
set_smtpport=1
smtp_port={submissions}
use_smtp_auth=1
smtp_user_id=you@{domain}
smtp_password={password}
"""
# It shows no dialogs, so that keys go where they are meant to.
SETTINGS = """\
[Common]
config_version=4
skip_ssl_cert_check=1
ssl_certs_auto_accept=1
unsafe_ssl_certs=1
autochk_newmail=0
check_on_startup=1
enable_aspell=0
send_dialog_invisible=1
receive_dialog_mode=2
no_receive_error_panel=1
"""
# Mailboxes of its own it has to have; the ones of the account it is to find.
FOLDERS = """\
<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
<folder type="mh" name="Mailbox" path="Mail" collapsed="0">
<folderitem type="inbox" name="inbox" path="inbox"/>
<folderitem type="outbox" name="sent" path="sent"/>
<folderitem type="draft" name="draft" path="draft"/>
<folderitem type="queue" name="queue" path="queue"/>
<folderitem type="trash" name="trash" path="trash"/>
</folder>
</folderlist>
"""
MESSAGE = (
    b"From: kim@sender.test\r\nTo: you@mox.test\r\nSubject: number %d\r\nMessage-ID: <%d@sender.test>\r\n\r\nhello\r\n"
)


class Claws:
    """The running program."""

    def __init__(self, home: Path, display: str) -> None:
        self.home = home
        self.environment = {
            **os.environ, "HOME": str(home), "DISPLAY": display, "XDG_RUNTIME_DIR": str(home), "NO_AT_BRIDGE": "1",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }  # fmt: skip

    def say(self, *arguments: str) -> None:
        """Tells the running program something."""
        subprocess.run(["claws-mail", *arguments], env=self.environment, timeout=30, check=False, capture_output=True)

    def press(self, key: str, window: str) -> None:
        """Presses a key in the newest window of that name."""
        found = self._xdotool("search", "--onlyvisible", "--name", window).split()
        if found:
            self._xdotool("windowfocus", "--sync", found[-1], "key", key)

    def _xdotool(self, *arguments: str) -> str:
        return subprocess.run(
            ["xdotool", *arguments], env=self.environment, timeout=30, check=False, capture_output=True, text=True
        ).stdout

    def folders(self) -> str:
        """What it knows of mailboxes."""
        return (self.home / ".claws-mail" / "folderlist.xml").read_text()


@contextmanager
def claws(server: Moxd) -> Iterator[Claws]:
    """Claws Mail with the account set up, on a screen of its own."""
    with TemporaryDirectory(prefix="mox-claws-") as name:
        home = Path(name)
        settings = home / ".claws-mail"
        settings.mkdir()
        for folder in ("inbox", "sent", "draft", "queue", "trash"):
            (home / "Mail" / folder).mkdir(parents=True)
        (settings / "accountrc").write_text(ACCOUNT.format(domain=server.domain, password=PASSWORD, **server.ports))
        (settings / "clawsrc").write_text(SETTINGS)
        (settings / "folderlist.xml").write_text(FOLDERS)
        reading, writing = os.pipe()
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x800x24"], pass_fds=(writing,),
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)
        with os.fdopen(reading) as told:
            found = Claws(home, f":{told.readline().strip()}")
        running = subprocess.Popen(
            ["claws-mail"], env=found.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield found
        finally:
            for one in (running, screen):
                one.kill()
                one.wait()


def again(do: Callable[[], None], seen: Callable[[], bool]) -> None:
    """Does something until it is seen: a key that comes while the program is busy is lost."""
    for _ in range(8):
        do()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            if seen():
                return
            time.sleep(0.2)
    raise AssertionError("nothing came of it")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Moxd]:
    with stub_dns({}) as dns:
        ports = configure(tmp_path / "moxd", dns=dns, extra="connections_per_minute = 0")
        with moxd(tmp_path / "moxd", ports) as running:
            yield running


def test_a_person_uses_claws_mail(server: Moxd) -> None:
    for name, package in (("claws-mail", "claws-mail"), ("xdotool", "xdotool"), ("Xvfb", "xvfb")):
        program(name, package)
    with mailbox(server) as imap:
        for number in (1, 2, 3):
            imap.append("Inbox", "", None, MESSAGE % (number, number))

    def flags(uid: int, name: str = "INBOX") -> bytes:
        with mailbox(server, name) as imap:
            found = imap.uid("FETCH", str(uid), "(FLAGS)")[1][0]
            return found if isinstance(found, bytes) else b""

    def count(name: str) -> int:
        with mailbox(server, name) as imap:
            return int(imap.status(name, "(MESSAGES)")[1][0].split()[-1].rstrip(b")"))  # type: ignore[union-attr]

    with claws(server) as mail:
        until(lambda: all(f'path="{name}"' in mail.folders() for name in ("INBOX", "Archive", "Junk", "Sent")), 30)
        again(
            lambda: (mail.say("--select", "#imap/you/INBOX/1"), mail.press("Return", "Claws Mail"))[1],
            lambda: b"\\Seen" in flags(1),
        )
        again(
            lambda: (mail.say("--select", "#imap/you/INBOX/2"), mail.press("asterisk", "Claws Mail"))[1],
            lambda: b"\\Flagged" in flags(2),
        )
        again(
            lambda: (mail.say("--select", "#imap/you/INBOX/3"), mail.press("Delete", "Claws Mail"))[1],
            lambda: (count("Trash"), count("INBOX"), flags(3)) == (1, 2, b""),
        )
        mail.say("--compose", f"mailto:other@{server.domain}?subject=from%20claws&body=hello")
        again(lambda: mail.press("ctrl+Return", "Compose message"), lambda: count("Sent") == 1)
        assert b"hello" in newest(server, "from claws", login=f"other@{server.domain}")
        assert b"hello" in newest(server, "from claws", "Sent")
