"""`moxd serve`: signals, privileges, workers; the records of what was decided."""

from __future__ import annotations

import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kit.processes import answers
from kit.server import Moxd
from kit.world import id_of, mailbox, newest, submit, trusting, until
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(90)]
GOOD = "From: a@sender.test\r\nTo: you@mox.test\r\nSubject: {}\r\n\r\nx\r\n"


def send(server: Moxd, message: str, sender: str = "a@sender.test", to: str = "you@mox.test") -> tuple[int, str]:
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as client:
        client.ehlo("mx.sender.test")
        client.mail(sender)
        code, reply = client.rcpt(to)
        if code == 250:
            code, reply = client.data(message.encode())
        return code, reply.decode()


# -- the end


def test_sigterm_lets_a_message_end_first(start: Start) -> None:
    server = start(workers=2)
    with socket.create_connection((server.address, server.ports["smtp"]), 30) as sock:
        file = sock.makefile("rb")
        file.readline()
        sock.sendall(b"HELO mx.sender.test\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<you@mox.test>\r\nDATA\r\n")
        assert [file.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        sock.sendall(b"From: a@sender.test\r\nSubject: drained\r\n\r\nfirst half\r\n")
        server.running.process.send_signal(signal.SIGTERM)
        until(lambda: not answers(server.ports["smtp"], server.address))
        sock.sendall(b"second half\r\n.\r\n")
        assert file.readline().startswith(b"250 ")
        assert file.readline().startswith(b"421 ")
        file.close()
    assert server.running.process.wait(20) == 0
    assert "Traceback" not in server.log
    server = start()
    assert b"first half\r\nsecond half\r\n" in newest(server, "drained")


def test_sigterm_says_bye_to_readers(start: Start) -> None:
    server = start(workers=1)
    client = mailbox(server)
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    assert server.running.stop(signal.SIGTERM, 20) == 0
    assert client.readline().startswith(b"* BYE")
    client.shutdown()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_end_leaves_nothing_behind(start: Start, workers: int) -> None:
    server = start(workers=workers)
    assert send(server, GOOD.format("kept"))[0] == 250
    pids = server.pids()
    assert server.running.stop(signal.SIGTERM, 20) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not list((server.folder / "data/run").glob("*.sock"))
    server = start()
    newest(server, "kept")
    assert "not closed cleanly" not in server.log.split("serving")[-1]


def test_workers_do_not_outlive_their_supervisor(start: Start) -> None:
    """Left alone they would hold the ports, and the next start would find them taken."""
    server = start(workers=2)
    supervisor, *workers = server.pids()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()], 20)
    server = start()
    assert send(server, GOOD.format("after"))[0] == 250


# -- SIGHUP


def test_sighup_reads_the_domains_again(start: Start) -> None:
    server = start(workers=2)
    path = server.folder / "domains.toml"
    before = path.read_text()
    assert send(server, GOOD.format("x"), to="new@mox.test")[0] == 550
    path.write_text(before.replace('"friend@mox.test"', '"new@mox.test"'))
    server.running.process.send_signal(signal.SIGHUP)
    until(lambda: server.log.count("domains read again") == 2)
    for _ in range(8):  # whichever worker answers
        assert send(server, GOOD.format("x"), to="new@mox.test")[0] == 250
        assert send(server, GOOD.format("x"), to="friend@mox.test")[0] == 550
    path.write_text(before.replace("addresses", "adresses", 1))
    server.running.process.send_signal(signal.SIGHUP)
    until(lambda: "domains.toml is not used" in server.log)
    assert re.search(r"domains\.toml:\d+: accounts\.you\.adresses: there is no such setting", server.log)
    assert send(server, GOOD.format("x"), to="new@mox.test")[0] == 250, "the old ones stay"
    path.write_text(before.replace('"friend@mox.test"', '"new@mox.test"'))
    # A worker that has to be started again has the new ones as well.
    workers = server.pids()[1:]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(server.pids()[1:]) - set(workers)) == 2)
    until(lambda: server.log.count(" serving ") == 4)
    for _ in range(8):
        assert send(server, GOOD.format("x"), to="new@mox.test")[0] == 250


def test_a_reload_while_workers_start_ends_none(start: Start) -> None:
    server = start(workers=2)
    first, second = server.pids()[1:]
    for _ in range(3):
        os.kill(first, signal.SIGKILL)
        until(lambda first=first: first not in server.pids() and len(server.pids()) == 3)
        first = next(pid for pid in server.pids()[1:] if pid != second)
        for _ in range(5):
            server.running.process.send_signal(signal.SIGHUP)
        read = server.log.count("domains read again")
        until(lambda read=read: server.log.count("domains read again") > read)
        assert {first, second} == set(server.pids()[1:])
    assert send(server, GOOD.format("still here"))[0] == 250


def test_reload_keeps_connections(start: Start) -> None:
    server = start(workers=1)
    client = mailbox(server)
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as smtp:
        smtp.ehlo("mx.sender.test")
        server.running.process.send_signal(signal.SIGHUP)
        until(lambda: "domains read again" in server.log)
        smtp.sendmail("a@sender.test", ["you@mox.test"], GOOD.format("over the reload"))
    client.noop()
    assert client.search(None, 'SUBJECT "over the reload"')[1] == [b"1"]
    client.logout()


# -- privileges


def test_root_binds_and_becomes_somebody_else(start: Start) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root drops to another user")
    server = start(workers=2, extra='user = "nobody"\nconnections_per_minute = 0')
    for pid in server.pids():
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    owners = {path.lstat().st_uid for path in (server.folder / "data").rglob("*")}
    assert owners == {65534}
    assert (server.folder / "data").stat().st_mode & 0o077 == 0
    assert (server.folder / "tls/server-key.pem").stat().st_uid == 0, "the key stays root's"
    assert send(server, GOOD.format("dropped"))[0] == 250
    newest(server, "dropped")
    # A password set as root while it runs must not leave files that the server may not read.
    done = subprocess.run(
        [sys.executable, "-m", "moxd", "account", "password", "you", "--config", str(server.folder)],
        input="another password\n", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {path.lstat().st_uid for path in (server.folder / "data").rglob("*")} == {65534}


# -- records


def test_explain_accepted_refused_and_submitted(start: Start) -> None:
    server = start(workers=2)
    code, reply = send(server, GOOD.format("accepted"))
    assert code == 250
    done = server.command("message", "explain", reply.split()[-1])
    assert done.returncode == 0, done.stderr
    assert "accept: delivered to you, Inbox" in done.stdout
    assert re.search(r"SPF -> pass: .*ip4:127\.0\.0\.0/8", done.stdout)
    assert "sender.test TXT: v=spf1 ip4:127.0.0.0/8 -all" in done.stdout

    code, reply = send(server, GOOD.format("refused").replace("a@sender.test", "a@forged.test"), "a@forged.test")
    assert code == 550
    number = re.search(r"\((\w{13})\)", reply)
    assert number is not None, reply
    done = server.command("message", "explain", number[1])
    assert "refuse: 550" in done.stdout
    assert "DMARC policy -> refuse" in done.stdout
    record = json.loads(server.command("message", "explain", number[1], "--json").stdout)
    assert record["kind"] == "refuse"
    assert record["inputs"]["mail from"] == "a@forged.test"
    assert [step["what"] for step in record["steps"]][-1] == "DMARC policy"

    code, raw = submit(
        server, b"From: you@mox.test\r\nTo: other@mox.test\r\nSubject: submitted\r\n\r\nx\r\n", "other@mox.test"
    )
    assert code == 250
    done = server.command("message", "explain", raw.decode().split()[-1])
    assert "account you by" in done.stdout
    assert "DKIM -> signed: mox.test test" in done.stdout
    until(
        lambda: (
            "attempt 1 to other@mox.test -> delivered"
            in server.command("message", "explain", raw.decode().split()[-1]).stdout
        )
    )


def test_explain_junk(start: Start) -> None:
    server = start(workers=1)
    code, reply = send(server, GOOD.format("unknown").replace("sender.test", "nothing.test"), "a@nothing.test")
    assert code == 250
    message = newest(server, "unknown", "Junk")
    assert id_of(message) == reply.split()[-1]
    done = server.command("message", "explain", reply.split()[-1])
    assert "junk: delivered to you, Junk" in done.stdout


def test_explain_knows_no_such_message(start: Start) -> None:
    server = start(workers=1)
    done = server.command("message", "explain", "1111111111111")
    assert done.returncode != 0
    assert done.stderr.startswith("moxd: no message 1111111111111: ")


# -- commands beside a running server


def test_password_and_queue_commands_reach_a_running_server(start: Start) -> None:
    server = start(workers=2)
    done = server.command("account", "password", "you", "--generate")
    assert done.returncode == 0, done.stderr
    new = done.stdout.removeprefix("password: ").strip()
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submit(server, b"From: you@mox.test\r\n\r\nx\r\n", "other@mox.test")
    with smtplib.SMTP_SSL(server.address, server.ports["submissions"], context=trusting(server)) as client:
        client.login("you@mox.test", new)
        client.sendmail("you@mox.test", ["a@nobody-there.test"], "From: you@mox.test\r\nSubject: waits\r\n\r\nx\r\n")
    listed = json.loads(server.command("account", "list", "--json").stdout)
    assert [row["account"] for row in listed] == ["you", "other"]
    assert all(row["password"] for row in listed)
    assert server.command("queue", "list").returncode == 0
    assert server.command("config", "check").stdout.endswith("good (1 domains, 2 accounts)\n")
