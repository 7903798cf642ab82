"""App passwords, who logged in, and capabilities that an account is not told of."""

from __future__ import annotations

import imaplib
import json
import smtplib

import pytest

from kit.server import PASSWORD, Moxd
from kit.world import trusting, until
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(90)]


def imap(server: Moxd, password: str) -> bool:
    with imaplib.IMAP4_SSL(server.address, server.ports["imaps"], ssl_context=trusting(server)) as client:
        try:
            client.login("you@mox.test", password)
        except imaplib.IMAP4.error:
            return False
        return True


def submission(server: Moxd, password: str) -> bool:
    context = trusting(server)
    with smtplib.SMTP_SSL(server.address, server.ports["submissions"], timeout=30, context=context) as client:
        try:
            client.login("you@mox.test", password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def add(server: Moxd, label: str, *more: str) -> str:
    made = server.command("account", "app-password", "add", "you", label, "--json", *more)
    assert made.returncode == 0, made.stderr
    password: str = json.loads(made.stdout)["password"]
    return password


def test_app_passwords(start: Start) -> None:
    server = start(workers=2)
    phone, reader = add(server, "phone"), add(server, "reader", "--for", "imap")
    late = add(server, "late", "--days", "0")
    assert [imap(server, one) for one in (PASSWORD, phone, reader, late, phone + "x")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [submission(server, one) for one in (PASSWORD, phone, reader)] == [True, True, False]

    def used() -> dict[str, float | None]:
        rows = json.loads(server.command("account", "app-password", "list", "you", "--json").stdout)
        assert "verifier" not in rows[0]
        return {row["name"]: row["used"] for row in rows}

    assert until(lambda: used()["phone"] and used()["reader"])
    assert used()["late"] is None
    assert server.command("account", "app-password", "remove", "you", "phone").returncode == 0
    assert not imap(server, phone)
    assert imap(server, reader)
    twice = server.command("account", "app-password", "add", "you", "reader")
    assert (twice.returncode, "choose another label" in twice.stderr) == (74, True)
    none = server.command("account", "app-password", "remove", "you", "phone")
    assert none.stderr == "moxd: you has no app password 'phone'\n"
    assert "for imap" in server.command("account", "app-password", "list", "you").stdout


def test_who_logged_in(start: Start) -> None:
    server = start(workers=2)
    assert imap(server, PASSWORD)
    assert not imap(server, "wrong")
    assert not imap(server, "wrong")
    assert submission(server, PASSWORD)

    def seen() -> dict[tuple[str, str], int]:
        rows = json.loads(server.command("account", "logins", "you", "--json").stdout)
        return {(row["protocol"], row["result"]): row["times"] for row in rows if row["ip"] == "127.0.0.1"}

    until(lambda: seen().get(("imap", "refused")) == 2)
    assert seen()["imap", "ok"] == 1
    assert seen()["submission", "ok"] == 1
    assert "refused  imap" in server.command("account", "logins", "you").stdout


def test_capabilities_that_are_left_out(start: Start) -> None:
    server = start(workers=1)
    path = server.folder / "domains.toml"
    path.write_text(
        path.read_text()
        + '\n[accounts.shy]\naddresses = ["shy@mox.test"]\nimap_without = ["compress=deflate", "THREAD"]\n'
    )
    done = server.command("account", "password", "shy", "--generate")
    password = done.stdout.split()[-1]
    server.running.process.send_signal(1)
    until(lambda: "domains read again" in server.log)

    def capabilities(login: str, password: str) -> set[str]:
        with imaplib.IMAP4_SSL(server.address, server.ports["imaps"], ssl_context=trusting(server)) as client:
            client.login(login, password)
            return set(client.capability()[1][0].decode().split())

    everybody, shy = capabilities("you@mox.test", PASSWORD), capabilities("shy@mox.test", password)
    assert everybody - shy == {"COMPRESS=DEFLATE", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS"}


def test_a_capability_that_there_is_not(start: Start) -> None:
    server = start(workers=1)
    path = server.folder / "domains.toml"
    path.write_text(path.read_text().replace("[accounts.you]", '[accounts.you]\nimap_without = ["IMAP4rev1"]'))
    checked = server.command("config", "check")
    assert checked.returncode == 78
    assert "is not a capability that can be left out" in checked.stderr + checked.stdout


def test_a_full_mailbox_takes_nothing_for_a_while(start: Start) -> None:
    server = start(workers=1)
    path = server.folder / "domains.toml"
    path.write_text(path.read_text().replace("[accounts.you]", "[accounts.you]\nquota = 3000"))
    server.running.process.send_signal(1)
    until(lambda: "domains read again" in server.log)
    message = "From: a@sender.test\r\nSubject: {}\r\n\r\n" + "x" * 70 + "\r\n"
    codes = []
    for number in range(9):
        with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as client:
            client.ehlo("mx.sender.test")
            client.mail("a@sender.test")
            code, reply = client.rcpt("you@mox.test")
            if code == 250:
                code, reply = client.data(message.format(number).encode())
            codes.append(code)
    assert codes[0] == 250
    assert codes[-1] == 452
    assert b"full" in reply
    assert set(codes) == {250, 452}
