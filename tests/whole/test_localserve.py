"""`moxd localserve`: what a newcomer types, and what a developer makes fail."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from imaplib import IMAP4, IMAP4_SSL
from pathlib import Path

import pytest

from kit.processes import Running, answers, program
from kit.world import STANDARD, until

pytestmark = [pytest.mark.xdist_group("localserve"), pytest.mark.timeout(60)]
ME = "mox@localhost"


@dataclass
class Local:
    """A localserve that runs."""

    running: Running
    base: int
    folder: Path

    @property
    def text(self) -> str:
        return self.running.output

    @property
    def password(self) -> str:
        found = re.search(r"^password: (\S+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    @property
    def tls(self) -> ssl.SSLContext:
        found = re.search(r"^trust the CA: (\S+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return ssl.create_default_context(cafile=found[1])

    def line(self, name: str) -> list[str]:
        """The command that it offers to type."""
        found = re.search(rf"^{name}: +(.+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return shlex.split(found[1])

    def smtp(self) -> smtplib.SMTP:
        client = smtplib.SMTP("localhost", self.base + 25, timeout=20)
        client.ehlo("localhost")
        return client

    def submission(self) -> smtplib.SMTP:
        client = smtplib.SMTP("localhost", self.base + 587, timeout=20)
        client.starttls(context=self.tls)
        client.login(ME, self.password)
        return client

    def inbox(self) -> IMAP4_SSL:
        client = IMAP4_SSL("localhost", self.base + 993, ssl_context=self.tls, timeout=20)
        client.login(ME, self.password)
        client.select()
        return client

    def subjects(self) -> list[str]:
        client = self.inbox()
        try:
            count = int(client.select()[1][0])  # type: ignore[arg-type]
            rows = client.fetch(f"1:{count}", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]")[1] if count else []
            return [row[1].decode().removeprefix("Subject: ").strip() for row in rows if isinstance(row, tuple)]
        finally:
            client.logout()


@contextmanager
def localserve(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Local]:
    # Each server has ports that were free a moment ago, so that none waits for another's.
    base = next(
        n for n in range(20000 + os.getpid() % 20000, 60000, 7) if not any(answers(n + p) for p in STANDARD.values())
    )
    command = [sys.executable, "-m", "moxd", "localserve", "--ports-from", str(base), *arguments]
    if environment is None:
        command += ["--data", str(folder)]
    running = Running(command, folder.parent, "localserve", {**os.environ, **(environment or {})})
    try:
        running.wait_until(lambda: "Ctrl-C stops it." in running.output and answers(base + 25), 30)
        yield Local(running, base, folder)
    finally:
        running.kill()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with localserve(tmp_path_factory.mktemp("local") / "data", "--log-level", "info") as found:
        yield found


def test_says_who_one_is_and_what_to_type_next(local: Local) -> None:
    assert f"account:  {ME}\n" in local.text
    assert len(local.password) >= 12
    base = local.base
    for text in (
        f"SMTP {base + 25}",
        f"submission {base + 587} (STARTTLS), {base + 465} (TLS)",
        f"IMAP {base + 143} (STARTTLS), {base + 993} (TLS)",
    ):
        assert text in local.text
    assert str(local.folder) in local.text
    assert "moxd.toml" not in local.text, "it has no configuration"


def test_the_lines_to_type_work_as_they_are(local: Local) -> None:
    command = local.line("send one")
    command[0] = program("swaks", "swaks")
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: [x for x in local.subjects() if x.startswith("test ")])
    command = local.line("read one")
    command[0] = program("curl", "curl")
    done = subprocess.run([*command, "--silent", "--show-error"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "This is a test mailing" in done.stdout


def test_only_this_machine_can_reach_it(local: Local) -> None:
    listed = subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    if not listed:
        pytest.skip("ss is not here (Debian package iproute2)")
    ours = re.findall(rf"(\S+):{local.base + 25}\b", listed)
    assert ours
    assert {address.strip("[]") for address in ours} <= {"127.0.0.1", "::1"}


def test_all_ways_in_and_out(local: Local) -> None:
    message = f"From: {ME}\r\nTo: anybody@anywhere.example\r\nSubject: {{}}\r\n\r\nx\r\n"
    with local.smtp() as client:
        client.sendmail(ME, ["anything@localhost"], message.format("by 1025"))
    with local.submission() as client:
        client.sendmail(ME, ["anybody@anywhere.example"], message.format("by 1587"))
    with smtplib.SMTP_SSL("localhost", local.base + 465, context=local.tls, timeout=20) as client:
        client.login(ME, local.password)
        client.sendmail(ME, ["anybody@anywhere.example"], message.format("by 1465"))
    until(lambda: {"by 1025", "by 1587", "by 1465"} <= set(local.subjects()))
    plain = IMAP4("localhost", local.base + 143, timeout=20)
    plain.starttls(local.tls)
    plain.login(ME, local.password)
    assert plain.select()[0] == "OK"
    plain.logout()


MAGIC = {
    "452@localhost": (250, 452), "550@localhost": (250, 550), "temperror@localhost": (250, 451),
    "permerror@localhost": (250, 550), "rcptto451@localhost": (451, 0), "rcptto554@localhost": (554, 0),
    "rcpttotemperror@localhost": (451, 0), "RCPTTO550@localhost": (550, 0), "ordinary452@localhost": (250, 250),
}  # fmt: skip


@pytest.mark.parametrize("address, codes", MAGIC.items())
def test_addresses_that_fail_on_purpose(local: Local, address: str, codes: tuple[int, int]) -> None:
    with local.smtp() as client:
        client.mail(ME)
        assert client.rcpt(address)[0] == codes[0]
        if codes[0] == 250:
            assert client.data(f"From: {ME}\r\nSubject: magic\r\n\r\nx\r\n".encode())[0] == codes[1]


@pytest.mark.parametrize(
    "sender, code", [("mailfrom451@localhost", 451), ("mailfrompermerror@localhost", 550), ("mailfrom@localhost", 250)]
)
def test_senders_that_fail_on_purpose(local: Local, sender: str, code: int) -> None:
    with local.smtp() as client:
        assert client.mail(sender)[0] == code


def test_timeout_address_says_nothing(local: Local) -> None:
    with local.smtp() as client:
        client.mail(ME)
        assert client.sock is not None
        client.sock.settimeout(1)
        client.putcmd("rcpt", "TO:<rcpttotimeout@localhost>")
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.close()


def test_a_bounce_on_purpose(local: Local) -> None:
    with local.submission() as client:
        client.sendmail(ME, ["550@anywhere.example"], f"From: {ME}\r\nSubject: will bounce\r\n\r\nx\r\n")
    until(lambda: "Your message could not be delivered" in local.subjects())


def test_explain_finds_its_data(local: Local) -> None:
    with local.smtp() as client:
        client.mail(ME)
        client.rcpt("x@localhost")
        code, reply = client.data(f"From: {ME}\r\nSubject: explained\r\n\r\nx\r\n".encode())
    assert code == 250
    number = reply.decode().split()[-1]
    done = subprocess.run(
        [sys.executable, "-m", "moxd", "message", "explain", number, "--data", str(local.folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "accept: delivered to mox, Inbox" in done.stdout


def test_survives_a_restart_and_ctrl_c_is_clean(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with localserve(folder) as first:
        password, ca = first.password, (folder / "tls/ca.pem").read_bytes()
        with first.smtp() as client:
            client.sendmail(ME, [ME], f"From: {ME}\r\nSubject: kept\r\n\r\nx\r\n")
        staying = first.smtp()
        assert first.running.stop(signal.SIGINT, 20) == 0, "a client that stays does not hold it up"
        staying.close()
        assert first.text.rstrip().endswith("stopped")
        assert "Traceback" not in first.text
    with localserve(folder) as second:
        assert second.password == password
        assert (folder / "tls/ca.pem").read_bytes() == ca
        assert second.subjects() == ["kept"]
    assert (folder / "password").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_moxd_data_and_xdg(tmp_path: Path) -> None:
    with localserve(tmp_path / "x", environment={"MOXD_DATA": str(tmp_path / "named")}):
        assert (tmp_path / "named/tls/ca.pem").exists()
    with localserve(tmp_path / "x", environment={"MOXD_DATA": "", "XDG_DATA_HOME": str(tmp_path / "xdg")}):
        assert (tmp_path / "xdg/moxd/localserve/tls/ca.pem").exists()


def test_two_workers(tmp_path: Path) -> None:
    with localserve(tmp_path / "data", "--workers", "2") as local:
        with local.smtp() as client:
            client.sendmail(ME, [ME], f"From: {ME}\r\nSubject: two\r\n\r\nx\r\n")
        assert local.subjects() == ["two"]
        assert local.running.stop(signal.SIGINT, 20) == 0
