"""DSN, CHUNKING, SMTPUTF8, REQUIRETLS with other mail servers, as destination and as sender."""

from __future__ import annotations

import asyncio
import json
import random
import re
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.server import PASSWORD, configure, moxd
from kit.smtp_peers import Peer, chasquid, exim
from kit.stubdns import stub_dns
from kit.world import World, newest, trusting, until
from mox_dns import Zone
from mox_message import Content
from mox_queue import Attempt, Batch, Recipient, Result, TlsWish
from mox_queue.direct import Direct

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("world"), pytest.mark.timeout(180)]


def submit(world: World, subject: str, to: str, *options: str, mail: tuple[str, ...] = (), text: str = "x\r\n") -> str:
    """Submits as you@mox.test over STARTTLS; the message's id."""
    server = world.server
    with smtplib.SMTP(server.address, server.ports["submission"], timeout=30) as client:
        client.starttls(context=trusting(server))
        client.login("you@mox.test", PASSWORD)
        client.ehlo()
        assert client.mail("you@mox.test", list(mail))[0] == 250
        code, reply = (
            client.docmd(f"RCPT TO:<{to}>{''.join(f' {one}' for one in options)}") if to.isascii() else rcpt(client, to)
        )
        assert code == 250, reply
        data = f"From: you@mox.test\r\nTo: <{to}>\r\nSubject: {subject}\r\n\r\n{text}".encode()
        code, reply = client.data(data)
        assert code == 250, reply
        return reply.decode().split()[-1]


def rcpt(client: smtplib.SMTP, to: str) -> tuple[int, bytes]:
    client.command_encoding = "utf-8"
    return client.docmd(f"RCPT TO:<{to}>")


def record(world: World, number: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.server.command("message", "explain", number, "--json").stdout)
    return found


def transcript(world: World, number: str) -> list[str]:
    """What was said to the host that took it."""
    steps = until(lambda: [one for one in record(world, number)["steps"] if one.get("transcript")])
    return list(steps[-1]["transcript"])


def events(world: World, to: str) -> list[str]:
    lines = [line for line in world.server.log.splitlines() if " moxd.events " in line and line.endswith("}")]
    found = [json.loads(line[line.index("{") :]) for line in lines]
    return [one["kind"] for one in found if one["recipient"] == to]


# -- Postfix as destination


def test_dsn_is_handed_on_and_postfix_tells(world: World) -> None:
    """RFC 3461 5.2.1: who offers DSN takes over; we tell nothing ourselves."""
    number = submit(
        world, "asked for", "dsn@postfix.test", "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Dsn@postfix.test",
        mail=("RET=HDRS", "ENVID=mine-1"),
    )  # fmt: skip
    said = transcript(world, number)
    assert any("RET=HDRS ENVID=mine-1" in line for line in said), said
    assert any(
        "NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;Dsn@postfix.test" in line or "NOTIFY=SUCCESS,FAILURE" in line
        for line in said
    ), said
    notice = newest(world.server, "Successful Mail Delivery Report").decode()
    assert "Original-Envelope-Id: mine-1" in notice
    assert "Original-Recipient: rfc822;Dsn@postfix.test" in notice
    assert "Action: delivered" in notice
    assert "Reporting-MTA: dns; mx.postfix.test" in notice
    assert until(lambda: events(world, "dsn@postfix.test")[1:]) == ["delivered"]


def test_chunking(world: World) -> None:
    text = "0123456789\r\n" * 20_000
    number = submit(world, "in chunks", "chunks@postfix.test", text=text)
    said = transcript(world, number)
    assert any(re.match(r"C: BDAT \d+( LAST)?", line) for line in said), said
    assert not any(line == "C: DATA" for line in said)
    arrived = until(lambda: [one for one in world.peer.messages() if b"Subject: in chunks" in one])[0]
    assert arrived.endswith(text.replace("\r\n", "\n").encode())


def test_smtputf8(world: World) -> None:
    number = submit(world, "Grüße", "jürgen@postfix.test", mail=("SMTPUTF8", "BODY=8BITMIME"))
    said = transcript(world, number)
    assert any(line.startswith("C: MAIL") and "SMTPUTF8" in line for line in said), said
    assert any("RCPT TO:<jürgen@postfix.test>" in line for line in said), said
    arrived = until(lambda: [one for one in world.peer.messages() if "Subject: Grüße".encode() in one])[0]
    assert "for <jürgen@postfix.test>".encode() in arrived or "jürgen@postfix.test".encode() in arrived


def test_requiretls_waits_for_a_host_that_proves_its_name(world: World) -> None:
    """RFC 8689 4.2.1: this Postfix shows a certificate of nobody's CA, so the message stays here."""
    number = submit(world, "only over TLS", "tls@postfix.test", mail=("REQUIRETLS",))
    steps = until(lambda: [one for one in record(world, number)["steps"] if one["outcome"] == "later"])
    assert "self-signed certificate" in steps[0]["because"]
    assert any(one["what"] == "REQUIRETLS for mx.postfix.test" for one in record(world, number)["steps"])
    assert world.server.command("queue", "drop", "--message", number).returncode == 0
    assert not any(b"Subject: only over TLS" in one for one in world.peer.messages())


def test_tls_required_no_goes_all_the_same(world: World) -> None:
    """RFC 8689 4.2.2"""
    server = world.server
    with smtplib.SMTP(server.address, server.ports["submission"], timeout=30) as client:
        client.starttls(context=trusting(server))
        client.login("you@mox.test", PASSWORD)
        client.sendmail(
            "you@mox.test", ["no@postfix.test"],
            b"From: you@mox.test\r\nTLS-Required: No\r\nSubject: rather there than secret\r\n\r\nx\r\n",
        )  # fmt: skip
    until(lambda: [one for one in world.peer.messages() if b"Subject: rather there" in one])


# -- Exim and chasquid as destination


def deliver(
    port: int, to: str, *, tls: TlsWish = TlsWish.DEFAULT, notify: str = "", roots: Path | None = None
) -> Attempt:
    """One message by the courier to MX hosts, which trusts DNS; what became of it."""
    domain = to.rpartition("@")[2]
    zone = Zone({f"{domain} MX": [f"10 mx.{domain}."], f"mx.{domain} A": ["127.0.0.1"]}, authentic=True)
    text = f"From: you@mox.test\r\nTo: {to}\r\nSubject: Grüße\r\n\r\n.dots\r\n..\r\n".encode()

    async def main() -> Attempt:
        courier = Direct(
            hostname="mx.mox.test", resolver=zone, clock=time.monotonic, now=time.time, random=random.Random(1),
            port=port, dane=False, roots=str(roots or ""),
        )  # fmt: skip
        batch = Batch(
            1, "you@mox.test", (Recipient(to, domain, notify, f"utf-8;{to}" if notify else ""),), domain,
            Content.of(text), True, True, time.time(), 1, tls=tls, envid="mine-2" if notify else "",
        )  # fmt: skip
        found = await courier.deliver(batch)
        courier.close()
        return found[to]

    return asyncio.run(main())


@pytest.fixture(scope="module")
def exim_peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("exim")
    for one in (folder, *folder.parents):
        if one.owner() == "root" and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
    with exim(folder) as peer:
        yield peer


def said_to(attempt: Attempt) -> list[str]:
    return [line for step in attempt.steps for line in step.get("transcript", ())]


def test_exim_takes_all_of_them(exim_peer: Peer) -> None:
    attempt = deliver(exim_peer.port, "jürgen@exim.test", notify="SUCCESS")
    assert attempt.result is Result.DELIVERED, attempt
    assert attempt.handed_on, "Exim offers DSN"
    said = said_to(attempt)
    assert any("SMTPUTF8" in line and "ENVID=mine-2" in line for line in said), said
    assert any("NOTIFY=SUCCESS" in line for line in said), said
    assert any(line.startswith("C: BDAT") for line in said), said
    assert "TLSv1.3" in str(attempt.steps), attempt.steps
    (arrived,) = until(lambda: [one for one in exim_peer.messages() if b"multipart/report" not in one])
    assert arrived.endswith(b".dots\n..\n")


def test_exim_refuses_a_recipient(exim_peer: Peer) -> None:
    attempt = deliver(exim_peer.port, "no@exim.test")
    assert attempt.result is Result.FAILED
    assert attempt.text.startswith("550 ")


def test_requiretls_does_not_go_where_it_is_not_kept(exim_peer: Peer) -> None:
    """Exim has proven its name, but has no REQUIRETLS."""
    certificate = exim_peer.mail.parent / "server.pem"
    attempt = deliver(exim_peer.port, "a@exim.test", tls=TlsWish.REQUIRE, roots=certificate)
    assert attempt.result is Result.FAILED
    assert attempt.status == "5.7.30", attempt
    assert not any(line.startswith("C: MAIL") for line in said_to(attempt))


def test_chasquid_takes_smtputf8_and_has_no_dsn(tmp_path: Path) -> None:
    with chasquid(tmp_path) as peer:
        attempt = deliver(peer.port, "ann@chasquid.test", notify="SUCCESS")
        assert attempt.result is Result.DELIVERED, attempt
        assert not attempt.handed_on, "so the sender hears from us that it was relayed"
        assert not any("NOTIFY" in line for line in said_to(attempt))
        (arrived,) = until(peer.messages)
        assert arrived.endswith((b".dots\n..\n", b".dots\r\n..\r\n"))
        attempt = deliver(peer.port, "nobody@chasquid.test")
        assert attempt.result is Result.FAILED, attempt


# -- Exim as sender


def _sent(peer: Peer) -> str:
    """Exim's line for what it handed on; without privileges it goes to standard error."""
    said = (peer.mail.parent / "exim.log").read_text()
    return next((line for line in said.splitlines() if "=> you@ours.test" in line), "")


def test_from_exim_over_tls(tmp_path: Path) -> None:
    """Exim hands on to moxd; that has no DSN on port 25, so Exim tells the sender itself that it was relayed."""
    tmp_path.chmod(0o755)
    for one in tmp_path.parents:
        if one.owner() == "root" and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)
    records = {"ours.test MX": ["10 mx.ours.test."], "exim.test TXT": ["v=spf1 ip4:127.0.0.0/8 -all"]}
    with stub_dns(records) as dns:
        ports = configure(
            tmp_path / "moxd", dns=dns, domain="ours.test", host="mx.ours.test", extra="connections_per_minute = 0"
        )
        (tmp_path / "exim").mkdir()
        with (
            moxd(tmp_path / "moxd", ports, domain="ours.test") as server,
            exim(tmp_path / "exim", ports["smtp"]) as peer,
        ):
            with smtplib.SMTP("127.0.0.1", peer.port, timeout=30) as client:
                client.ehlo("client.test")
                client.mail("a@exim.test", ["BODY=8BITMIME", "SMTPUTF8", "ENVID=theirs"])
                assert client.rcpt("you@ours.test", ["NOTIFY=SUCCESS"])[0] == 250
                code, reply = client.data("From: a@exim.test\r\nSubject: from Exim\r\n\r\nGrüße\r\n".encode())
                assert code == 250, reply
            arrived = newest(server, "from Exim").decode()
            assert arrived.endswith("Grüße\r\n")
            # Exim's log: X= is TLS, K that CHUNKING was used, so that the message came by BDAT.
            assert re.search(r" X=TLS\S+ .*\bK C=", until(lambda: _sent(peer)))
            assert re.search(r"with UTF8SMTPS|with ESMTPS", arrived), arrived
            notice = until(
                lambda: [one for one in peer.messages() if b"Action: relayed" in one or b"Action: delivered" in one]
            )
            assert b"theirs" in notice[0]
            # And what requires TLS comes in, since it goes no further.
            attempt = deliver(ports["smtp"], "you@ours.test", tls=TlsWish.REQUIRE, roots=server.ca)
            assert attempt.result is Result.DELIVERED, attempt
            assert any(line.endswith(" REQUIRETLS") for line in said_to(attempt)), said_to(attempt)
