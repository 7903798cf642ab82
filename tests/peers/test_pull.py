"""Mail comes from another server by IMAP: from a Dovecot, and from a moxd."""

from __future__ import annotations

import hashlib
import imaplib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import dovecot as dovecot_kit
from kit.dovecot import Dovecot, dovecot
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import mailbox, until

pytestmark = [pytest.mark.xdist_group("pull"), pytest.mark.timeout(180)]
MANY = 1500


def letter(number: int) -> bytes:
    return (
        f"From: kim@sender.test\r\nMessage-ID: <{number}@sender.test>\r\nSubject: number {number}\r\n\r\n".encode()
        + f"Grüße {number}\r\n".encode() * (1 + number % 40)
    )


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Moxd, Dovecot]]:
    folder = tmp_path_factory.mktemp("pull")
    with stub_dns({}) as dns:
        ports = configure(folder / "moxd", dns=dns, workers=2, extra="connections_per_minute = 0")
        tls = folder / "moxd" / "tls"
        with (
            moxd(folder / "moxd", ports) as server,
            dovecot(folder / "dovecot", tls / "server.pem", tls / "server-key.pem") as peer,
        ):
            fill(peer)
            yield server, peer


def fill(peer: Dovecot) -> None:
    with imaplib.IMAP4("127.0.0.1", peer.imap) as imap:
        imap.login("kim", dovecot_kit.PASSWORD)
        for number in range(3):
            flags = ("(\\Seen $Label1)", "(\\Flagged \\Answered)", "")[number]
            assert imap.append("INBOX", flags, f'"0{number + 1}-Feb-2020 10:00:00 +0100"', letter(number))[0] == "OK"
        assert imap.create("Ablage.B&APw-ro")[0] == "OK"
        assert imap.append("Ablage.B&APw-ro", "", None, letter(10))[0] == "OK"
        big = b"Message-ID: <big@sender.test>\r\nSubject: big\r\n\r\n" + (b"0123456789abcde\r\n" * 700_000)
        assert imap.append("Gesendet", "(\\Seen)", None, big)[0] == "OK"
        assert imap.create("Many")[0] == "OK"
        for start in range(100, 100 + MANY, 50):
            # MULTIAPPEND, which imaplib does not know.
            tag = imap._new_tag().decode()  # type: ignore[attr-defined]
            parts = b"".join(b" {%d+}\r\n%s" % (len(letter(n)), letter(n)) for n in range(start, start + 50))
            imap.send(f"{tag} APPEND Many".encode() + parts + b"\r\n")
            while not (line := imap.readline()).startswith(tag.encode()):
                pass
            assert b" OK " in line, line


def pull(server: Moxd, url: str, *more: str, account: str = "you", password: str = dovecot_kit.PASSWORD) -> str:
    os.environ["MOXD_PULL_PASSWORD"] = password
    done = server.command("store", "import", account, url, "--ca", str(server.ca), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_comes_over_as_it_was(servers: tuple[Moxd, Dovecot]) -> None:
    server, peer = servers
    url = f"imaps://kim@localhost:{peer.imaps}/"
    listed = pull(server, url, "--dry-run")
    assert "Ablage.Büro -> Ablage/Büro" in listed
    assert "Gesendet -> Gesendet \\Sent" in listed
    said = pull(server, url)
    assert "Many: 1500 taken, 0 duplicates" in said
    with mailbox(server) as imap:
        found = imap.uid("FETCH", "1:3", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        texts = [one for one in found if isinstance(one, tuple)]
        assert len(texts) == 3
        assert texts[0][1].endswith(letter(0).partition(b"\r\n\r\n")[2])
        assert b"$label1" in texts[0][0].lower()
        assert b"\\Seen" in texts[0][0]
        assert b" 1-Feb-2020 09:00:00 +0000" in texts[0][0]
        assert b"\\Flagged" in texts[1][0]
        assert imap.select('"Ablage/B&APw-ro"')[1] == [b"1"]
        assert imap.select("Gesendet")[1] == [b"1"]
        body = imap.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1]  # type: ignore[index]
        assert hashlib.sha256(body).digest() == hashlib.sha256(b"0123456789abcde\r\n" * 700_000).digest()
        assert imap.select("Many")[1] == [str(MANY).encode()]
    again = pull(server, url)
    assert "Many: 1500 taken, 0 duplicates" in again, "nothing came twice"
    with mailbox(server) as imap:
        assert imap.select("Many")[1] == [str(MANY).encode()]
    pull(server, url, "--again")
    with mailbox(server) as imap:
        assert imap.select("Many")[1] == [str(MANY).encode()]
    checked = server.command("store", "check", "you")
    assert checked.returncode == 0, checked.stdout


def test_killed_in_the_middle_it_goes_on(servers: tuple[Moxd, Dovecot]) -> None:
    server, peer = servers
    url = f"imap://kim@localhost:{peer.imap}/Many"
    command = [sys.executable, "-m", "moxd", "store", "import", "other", url, "--ca", str(server.ca)]
    environment = {**os.environ, "MOXD_PULL_PASSWORD": dovecot_kit.PASSWORD}
    kills = 0
    for _ in range(3):
        running = subprocess.Popen([*command, "--config", str(server.folder)], env=environment)
        before = count(server)
        until(lambda before=before, running=running: count(server) > before or running.poll() is not None)  # type: ignore[misc]
        kills += running.poll() is None
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert kills, "it was too quick to be killed"
    assert "Many: 1500 taken, 0 duplicates" in pull(server, url, account="other")
    with mailbox(server, login="other@mox.test") as imap:
        assert imap.select("Many")[1] == [str(MANY).encode()]
        subjects = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        assert len({one[1] for one in subjects if isinstance(one, tuple)}) == MANY
    assert server.command("store", "check", "other").returncode == 0


def count(server: Moxd) -> int:
    found = server.database("other").execute("SELECT count(*) FROM message").fetchone()
    return int(found[0])


def test_a_client_that_is_idle_hears_of_it(servers: tuple[Moxd, Dovecot]) -> None:
    """Another process put it there; the server's sessions see it all the same."""
    server, peer = servers
    with mailbox(server, login="other@mox.test") as imap:
        assert imap.create("Ablage/B&APw-ro")[0] == "OK"
        imap.select('"Ablage/B&APw-ro"')
        pull(server, f"imaps://kim@localhost:{peer.imaps}/Ablage/*", account="other")
        deadline = time.monotonic() + 10
        while imap.recent()[1] == [None] and b"1" not in (imap.response("EXISTS")[1][-1] or b""):
            assert time.monotonic() < deadline
            imap.noop()
            if imap.untagged_responses.get("EXISTS"):
                break
            time.sleep(0.1)


def test_from_one_moxd_to_another(servers: tuple[Moxd, Dovecot]) -> None:
    server, _ = servers
    said = pull(
        server, f"imaps://you%40mox.test@localhost:{server.ports['imaps']}/Gesendet", account="other", password=PASSWORD
    )
    assert "Gesendet: 1 taken" in said


@pytest.mark.parametrize(
    "url, more, expected",
    [
        ("imaps://kim@localhost:{imaps}/", (), "does not let us in"),
        ("imaps://kim@127.0.0.1:1/", (), "cannot be reached"),
        ("imaps://localhost/", (), "names no user"),
        ("imaps://kim:secret@localhost/", (), "a password in a URL is seen by everybody"),
        ("http://kim@localhost/", (), "is not of the form"),
        ("imaps://kim@localhost:{imaps}/Nowhere", (), "has no mailbox that fits"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    servers: tuple[Moxd, Dovecot], url: str, more: tuple[str, ...], expected: str
) -> None:
    server, peer = servers
    os.environ["MOXD_PULL_PASSWORD"] = "wrong" if "let us in" in expected else dovecot_kit.PASSWORD
    ca = () if more else ("--ca", str(server.ca))
    done = server.command("store", "import", "you", url.format(imaps=peer.imaps), *ca)
    assert done.returncode == 74
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_certificate_that_nobody_vouches_for(servers: tuple[Moxd, Dovecot]) -> None:
    server, peer = servers
    os.environ["MOXD_PULL_PASSWORD"] = dovecot_kit.PASSWORD
    done = server.command("store", "import", "you", f"imaps://kim@localhost:{peer.imaps}/")
    assert "its certificate is not good" in done.stderr
    assert "--ca FILE" in done.stderr


def test_the_rest_of_the_family(servers: tuple[Moxd, Dovecot], tmp_path: Path) -> None:
    """While the server runs: export, backup, verify, restore, bin, undelete."""
    server, _ = servers
    with mailbox(server) as imap:
        imap.append("Archive", "", None, letter(99))
        imap.select("Archive")
        imap.store("1:*", "+FLAGS", "\\Deleted")
        imap.expunge()
    binned = server.command("store", "bin", "you", "--json")
    assert '"subject": "number 99"' in binned.stdout, binned.stderr
    back = server.command("store", "undelete", "you", "--hours", "1", "--from", "Archive")
    assert back.returncode == 0, back.stderr
    with mailbox(server, "Archive") as imap:
        assert imap.search(None, "SUBJECT", '"number 99"')[1] != [b""]
    for command in (
        ("export", "you", str(tmp_path / "out.zip"), "--mailbox", "Archive"),
        ("backup", str(tmp_path / "backup")),
        ("verify", str(tmp_path / "backup"), "--deep"),
        ("stat",),
        ("check", "--quick"),
    ):
        done = server.command("store", *command)
        assert done.returncode == 0, (command, done.stderr, done.stdout)
