"""fetchmail, getmail6, offlineimap3 and aerc read, change and find nothing to complain about."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest

from kit.processes import program
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import mailbox, until

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("more readers"), pytest.mark.timeout(120)]
BIG = b"0123456789abcde\r\n" * 320_000


def letter(number: int, body: bytes = b"Gr\xc3\xbc\xc3\x9fe\r\n.dot\r\n") -> bytes:
    return (
        b"From: Kim <kim@sender.test>\r\nTo: you@mox.test\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <%d@more.test>\r\nSubject: number %d\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" % (number, number)
    ) + body


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    folder = tmp_path_factory.mktemp("more") / "moxd"
    with stub_dns({}) as dns:
        ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0")
        with moxd(folder, ports) as running:
            yield running
            assert "Traceback" not in running.log


@pytest.fixture
def filled(server: Moxd, request: pytest.FixtureRequest) -> str:
    """A mailbox of this test's own with five messages, one of them of 5 MB."""
    name = "Box" + re.sub(r"\W", "", request.node.name)
    with mailbox(server) as imap:
        assert imap.create(name)[0] == "OK"
        for number in range(4):
            flags = "(\\Seen)" if number == 1 else ""
            assert imap.append(name, flags, None, letter(number))[0] == "OK"
        assert imap.append(name, "", None, letter(4, BIG))[0] == "OK"
    return name


def run(command: list[str], home: Path, *, good: tuple[int, ...] = (0,), **more: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=90,
        env={**os.environ, "HOME": str(home), **more},
    )
    assert done.returncode in good, done.stdout + done.stderr
    return done.stdout + done.stderr


def there(server: Moxd, name: str) -> dict[bytes, bytes]:
    """UID -> flags, as another session sees the mailbox."""
    with mailbox(server, name) as imap:
        found = imap.uid("FETCH", "1:*", "(UID FLAGS)")[1]
    lines = [one for one in found if isinstance(one, bytes)]
    return {re.search(rb"UID (\d+)", one)[1]: re.search(rb"FLAGS \(([^)]*)\)", one)[1] for one in lines}  # type: ignore[index]


# -- fetchmail


@pytest.mark.parametrize("way", ["ssl", "sslproto ''", "starttls"])
def test_fetchmail(server: Moxd, filled: str, tmp_path: Path, way: str) -> None:
    """Leaves what it is told to keep, takes the rest, each once; by TLS and by STARTTLS."""
    fetchmail = program("fetchmail", "fetchmail")
    port = server.ports["imap" if way == "starttls" else "imaps"]
    tls = "sslproto 'tls1.2+'" if way == "starttls" else "ssl"
    rc = tmp_path / "rc"

    def fetch(*words: str) -> str:
        rc.write_text(
            f'poll localhost service {port} protocol IMAP user "you@mox.test" password "{PASSWORD}" {tls}\n'
            f"  sslcertck sslcertfile {server.ca} folder {filled} mda \"/bin/sh -c 'cat >> {tmp_path}/got'\"\n"
            f"  {' '.join(words)}\n"
        )
        rc.chmod(0o600)
        # 1: nothing new.
        return run([fetchmail, "-f", str(rc), "-v", "--nosyslog", "-i", str(tmp_path / "ids")], tmp_path, good=(0, 1))

    said = fetch("keep", "fetchall")
    got = (tmp_path / "got").read_bytes()
    assert got.count(b"Subject: number ") == 5, said
    assert b"Gr\xc3\xbc\xc3\x9fe" in got
    assert got.count(b"0123456789abcde") == 320_000
    assert len(there(server, filled)) == 5
    assert "5 messages" in said
    fetch("keep")
    assert (tmp_path / "got").read_bytes() == got, "what is seen is not fetched again"
    fetch("fetchall", "nokeep")
    assert there(server, filled) == {}
    assert "BAD" not in said


def test_fetchmail_idles(server: Moxd, tmp_path: Path) -> None:
    with mailbox(server) as imap:
        assert imap.create("Idling")[0] == "OK"
        rc = tmp_path / "rc"
        rc.write_text(
            f'poll localhost service {server.ports["imaps"]} protocol IMAP user "you@mox.test" password "{PASSWORD}" ssl\n'
            f"  sslcertck sslcertfile {server.ca} folder Idling idle mda \"/bin/sh -c 'cat >> {tmp_path}/got'\"\n"
        )
        rc.chmod(0o600)
        with (tmp_path / "out").open("wb") as out:
            process = subprocess.Popen(
                [program("fetchmail", "fetchmail"), "-f", str(rc), "-v", "--nosyslog", "-N"],
                env={**os.environ, "HOME": str(tmp_path)}, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            until(lambda: b"IDLE" in (tmp_path / "out").read_bytes())
            began = time.monotonic()
            imap.append("Idling", "", None, letter(7))
            until(lambda: (tmp_path / "got").exists() and b"number 7" in (tmp_path / "got").read_bytes())
            assert time.monotonic() - began < 10
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


# -- getmail6


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter and write to: getmail does not deliver as root."""
    with TemporaryDirectory(prefix="mox-getmail-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_getmail(server: Moxd, filled: str, public: Path) -> None:
    """Sees each message once, by its UID; deletes when it is told to."""
    tmp_path = public
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    getmail = program("getmail", "getmail6")
    for name in ("mail", "mail/cur", "mail/new", "mail/tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    (tmp_path / "ca.pem").write_bytes(server.ca.read_bytes())
    (tmp_path / "rc").write_text(
        "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\n"
        f"port = {server.ports['imaps']}\nusername = you@mox.test\npassword = {PASSWORD}\n"
        f"mailboxes = ('{filled}',)\nca_certs = {tmp_path}/ca.pem\n"
        f"[destination]\ntype = Maildir\npath = {tmp_path}/mail/\n"
        "[options]\nread_all = false\nverbose = 2\ndelivered_to = false\nreceived = false\n"
    )
    command = [*as_nobody, getmail, "--getmaildir", str(tmp_path), "--rcfile", str(tmp_path / "rc")]
    said = run(command, tmp_path)
    assert "5 messages" in said, said
    kept = [path.read_bytes() for path in (tmp_path / "mail" / "new").iterdir()]
    assert sorted(re.findall(rb"Subject: (number \d)", b"".join(kept))) == [b"number %d" % n for n in range(5)]
    assert any(b"Gr\xc3\xbc\xc3\x9fe" in one for one in kept)
    run(command, tmp_path)
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 5
    with mailbox(server) as imap:
        imap.append(filled, "", None, letter(5))
    run([*command, "--delete"], tmp_path)
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 6
    assert there(server, filled) == {}


# -- offlineimap3


def test_offlineimap(server: Moxd, filled: str, tmp_path: Path) -> None:
    """Both sides change, both sides agree, and a third run changes nothing."""
    offlineimap = program("offlineimap", "offlineimap3")
    (tmp_path / "rc").write_text(
        "[general]\naccounts = moxd\nmaxsyncaccounts = 1\n"
        f"metadata = {tmp_path}/meta\n"
        "[Account moxd]\nlocalrepository = near\nremoterepository = far\n"
        f"[Repository near]\ntype = Maildir\nlocalfolders = {tmp_path}/mail\nsync_deletes = yes\n"
        "[Repository far]\ntype = IMAP\nremotehost = localhost\nremoteuser = you@mox.test\n"
        f"remotepass = {PASSWORD}\nremoteport = {server.ports['imaps']}\nssl = yes\nsslcacertfile = {server.ca}\n"
        f"auth_mechanisms = PLAIN\nfolderfilter = lambda name: name in ('{filled}', 'Büro', 'B&APw-ro')\n"
    )
    command = [offlineimap, "-c", str(tmp_path / "rc"), "-o", "-u", "basic"]
    with mailbox(server) as imap:
        imap.create("B&APw-ro")
        imap.append("B&APw-ro", "", None, letter(20))
    said = run(command, tmp_path)
    folder = tmp_path / "mail" / filled
    near = sorted(path for kind in ("cur", "new") for path in (folder / kind).iterdir())
    assert len(near) == 5, said
    assert any(b"Gr\xc3\xbc\xc3\x9fe" in path.read_bytes() for path in near)
    # Near: one is flagged, one is deleted, one is new.  Far: one is answered.
    first = next(path for path in near if b"number 0\n" in path.read_bytes().replace(b"\r", b""))
    first.rename(folder / "cur" / (first.name.partition(":")[0] + ":2,FS"))
    near.remove(first)
    next(path for path in near if b"number 2\n" in path.read_bytes().replace(b"\r", b"")).unlink()
    (folder / "new" / "1700000000.1.here:2,").write_bytes(letter(6).replace(b"\r\n", b"\n"))
    with mailbox(server, filled) as imap:
        imap.store("4", "+FLAGS", "\\Answered")
    run(command, tmp_path)
    flags = there(server, filled)
    assert len(flags) == 5
    assert flags[b"1"] == b"\\Seen \\Flagged" or set(flags[b"1"].split()) == {b"\\Seen", b"\\Flagged"}
    assert b"3" not in flags
    assert b"6" in flags
    names = [path.name for kind in ("cur", "new") for path in (folder / kind).iterdir()]
    assert any("R" in name.partition(":2,")[2] for name in names), names
    before = there(server, filled)
    said = run(command, tmp_path)
    assert there(server, filled) == before
    assert not re.search(r"Copying message|Adding flags|Deleting", said), said


# -- aerc, on a terminal


class Terminal:
    """A program on a pseudo terminal."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        self.seen = ""

    def read(self, seconds: float = 0.2) -> str:
        """What it has shown so far, without the terminal's own commands."""
        while select.select([self.descriptor], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.descriptor, 65536).decode("utf-8", "replace")
            except OSError:
                break
        return re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])", " ", self.seen)

    def type(self, text: str) -> None:
        """Types it."""
        os.write(self.descriptor, text.encode())

    def shows(self, wanted: Callable[[str], bool] | str, seconds: float = 20) -> None:
        """Waits until it shows something."""
        test = wanted if callable(wanted) else (lambda text: wanted in text)
        end = time.monotonic() + seconds
        while not test(self.read()):
            assert time.monotonic() < end, self.read()[-3000:]

    def until(self, found: Callable[[], bool]) -> None:
        """Waits for what it does elsewhere; what it shows meanwhile is read, or it would stop."""
        until(lambda: (self.read(0.05), found())[1])

    def close(self) -> None:
        """Ends it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


def test_aerc(server: Moxd, filled: str, tmp_path: Path) -> None:
    """Lists, reads, flags, moves, deletes."""
    config = tmp_path / ".config" / "aerc"
    config.mkdir(parents=True)
    accounts = config / "accounts.conf"
    accounts.write_text(
        f"[moxd]\nsource = imaps://{quote('you@mox.test', safe='')}:{quote(PASSWORD)}@localhost:{server.ports['imaps']}\n"
        f"default = {filled}\nfrom = You <you@mox.test>\ncopy-to = Sent\n"
    )
    accounts.chmod(0o600)
    environment = {
        **os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config"), "TERM": "xterm",
        "SSL_CERT_FILE": str(server.ca), "LINES": "40", "COLUMNS": "120",
    }  # fmt: skip
    terminal = Terminal([program("aerc", "aerc")], environment)
    try:
        terminal.shows("number 4")
        unseen = sum(b"\\Seen" not in flags for flags in there(server, filled).values())
        terminal.type(":read -t\r")  # the message that is selected
        terminal.until(lambda: sum(b"\\Seen" not in flags for flags in there(server, filled).values()) != unseen)
        terminal.type(":flag\r")
        terminal.until(lambda: any(b"\\Flagged" in flags for flags in there(server, filled).values()))
        (flagged,) = (uid for uid, flags in there(server, filled).items() if b"\\Flagged" in flags)
        terminal.type(":mv Archive\r")
        terminal.until(lambda: flagged not in there(server, filled))
        with mailbox(server, "Archive") as imap:
            assert imap.search(None, "FLAGGED")[1] != [b""]
        terminal.type(":delete\r")
        terminal.until(lambda: len(there(server, filled)) == 3)
    except AssertionError:
        print(terminal.read()[-3000:])
        raise
    finally:
        terminal.close()
