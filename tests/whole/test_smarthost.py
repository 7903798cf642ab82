"""One moxd hands its mail to another: logins, TLS that proves a name, what goes wrong with either."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kit.processes import Running, answers, free_port, program
from kit.script_host import ScriptHost, script_host
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import trusting, until

pytestmark = [pytest.mark.xdist_group("smarthost"), pytest.mark.timeout(120)]

TRANSPORTS = """
[transports.tls]
kind = "submissions"
host = "mx.mox.test"
port = {submissions}
username = "you@mox.test"
password_file = "relay.password"
ca = "{ca}"

[transports.starttls]
kind = "submission"
host = "mx.mox.test"
port = {submission}
username = "you@mox.test"
password = "{password}"
ca = "{ca}"

[transports.wrong-password]
kind = "submission"
host = "mx.mox.test"
port = {submission}
username = "you@mox.test"
password = "not this"
ca = "{ca}"

[transports.wrong-name]
kind = "submissions"
host = "other.mox.test"
port = {submissions}
username = "you@mox.test"
password = "{password}"
ca = "{ca}"

[transports.no-ca]
kind = "submissions"
host = "mx.mox.test"
port = {submissions}
username = "you@mox.test"
password = "{password}"

[transports.tunnel]
kind = "socks"
address = "127.0.0.1:{socks}"
hostname = "exit.mox.test"
username = "me"
password = "through here"
"""
ROUTE = """
[[routes]]
transport = "{name}"
recipient_domains = ["{name}.test"]
"""
NAMES = ("tls", "starttls", "wrong-password", "wrong-name", "no-ca", "tunnel")


@dataclass
class Two:
    """Who hands on, who is handed to, and the host where it all arrives."""

    first: Moxd
    second: Moxd
    host: ScriptHost


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("smarthost")
    records = {
        "mx.mox.test A": ["127.0.0.1"],
        "other.mox.test A": ["127.0.0.1"],
        **{f"{name}.test MX": ["10 mx.far.test."] for name in NAMES},
        "mx.far.test A": ["127.0.0.1"],
    }
    socks = free_port()
    with script_host() as host, stub_dns(records) as dns:
        behind = configure(folder / "second", dns=dns, outgoing=host.port, extra="connections_per_minute = 0")
        ports = configure(folder / "first", dns=dns, outgoing=host.port, extra="connections_per_minute = 0")
        (folder / "first" / "relay.password").write_text(f"{PASSWORD}\n")
        static = folder / "first" / "moxd.toml"
        made = TRANSPORTS.format(**behind, password=PASSWORD, socks=socks, ca=folder / "second/tls/ca.pem")
        static.write_text(static.read_text() + made + "".join(ROUTE.format(name=name) for name in NAMES))
        proxy = Running(
            [program("microsocks", "microsocks"), "-i", "127.0.0.1", "-p", str(socks), "-u", "me", "-P", "through here"],
            folder, "socks",
        )  # fmt: skip
        try:
            proxy.wait_until(lambda: answers(socks))
            with moxd(folder / "second", behind) as second, moxd(folder / "first", ports) as first:
                yield Two(first, second, host)
        finally:
            proxy.kill()


def submit(server: Moxd, to: str, *options: str) -> str:
    """The id of a message that was queued."""
    with smtplib.SMTP(server.address, server.ports["submission"], timeout=30) as client:
        client.starttls(context=trusting(server))
        client.login("you@mox.test", PASSWORD)
        client.ehlo()
        client.mail("you@mox.test", ["BODY=8BITMIME"])
        assert client.rcpt(to, list(options))[0] == 250
        code, reply = client.data(f"From: you@mox.test\r\nSubject: to {to}\r\n\r\n.x\r\nGrüße\r\n".encode())
        assert code == 250, reply
        return reply.decode().split()[-1]


def attempts(server: Moxd, number: str) -> list[dict[str, Any]]:
    record = json.loads(server.command("message", "explain", number, "--json").stdout)
    return [step for step in record["steps"] if step["what"].startswith("attempt ") and step["outcome"] != "under way"]


@pytest.mark.parametrize("name", ["tls", "starttls"])
def test_by_login_over_tls_and_on_from_there(two: Two, name: str) -> None:
    """RFC 6409, RFC 8314 4.4"""
    number = submit(two.first, f"x@{name}.test")
    arrived = until(lambda: [text for text in two.host.taken if f"Subject: to x@{name}.test".encode() in text])
    assert len(arrived) == 1
    assert arrived[0].endswith(b"\r\n.x\r\nGr\xc3\xbc\xc3\x9fe\r\n")
    assert arrived[0].count(b"\r\nReceived: by mx.mox.test with ESMTPSA id ") == 2, "by two servers"
    (attempt,) = attempts(two.first, number)
    assert attempt["outcome"] == "delivered"
    record = two.first.command("message", "explain", number, "--json").stdout
    assert "AUTH SCRAM-SHA-256" in record
    assert PASSWORD not in record + two.first.log


REFUSED = {
    "wrong-password": "535 5.7.8 wrong name or password",
    "wrong-name": "other.mox.test",
    "no-ca": "self-signed certificate in certificate chain",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trusted_waits(two: Two, name: str) -> None:
    """Neither a password that changed nor a certificate is a verdict on the message."""
    number = submit(two.first, f"x@{name}.test")
    found = until(lambda: attempts(two.first, number))
    assert found[0]["outcome"] == "later"
    assert REFUSED[name] in found[0]["because"], found[0]
    assert two.first.command("queue", "drop", "--domain", f"{name}.test").returncode == 0
    assert not any(f"to x@{name}.test".encode() in text for text in two.host.taken)


def test_through_a_socks_proxy(two: Two) -> None:
    number = submit(two.first, "x@tunnel.test")
    until(lambda: [text for text in two.host.taken if b"Subject: to x@tunnel.test" in text])
    assert any(line == "EHLO exit.mox.test" for _, line in two.host.heard)
    assert until(lambda: attempts(two.first, number))[0]["outcome"] == "delivered"


def test_notices_are_asked_of_the_smarthost(two: Two) -> None:
    """It offers DSN, so it takes over what the sender asked for; it tells, and we do not."""
    number = submit(two.first, "x@tls.test", "NOTIFY=SUCCESS,FAILURE")
    until(lambda: attempts(two.first, number))
    record = two.first.command("message", "explain", number, "--json").stdout
    assert "NOTIFY=FAILURE,SUCCESS" in record or "NOTIFY=SUCCESS,FAILURE" in record
    events = [line for line in two.first.log.splitlines() if " moxd.events " in line and "x@tls.test" in line]
    assert '"kind": "delivered"' in events[-1], "handed on"
