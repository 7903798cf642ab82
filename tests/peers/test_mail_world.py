"""A message from a real Postfix by MX to moxd with signed DNS, and the answer back to that Postfix."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import pytest

import mox_dkim
import mox_dns
from kit.world import World, id_of, newest, submit, until
from mox_dns import BlockingUdpResolver

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("world"), pytest.mark.timeout(180)]


def test_from_postfix_by_mx_over_starttls(world: World) -> None:
    server, peer = world.server, world.peer
    with smtplib.SMTP(peer.address, 25) as client:
        client.sendmail(
            "a@postfix.test",
            ["you@mox.test"],
            "From: a@postfix.test\r\nTo: you@mox.test\r\nSubject: by mx\r\n\r\nhello\r\n",
        )
    message = newest(server, "by mx").decode()
    assert message.startswith(
        "Delivered-To: you@mox.test\r\nReturn-Path: <a@postfix.test>\r\nAuthentication-Results: mx.mox.test;"
    )
    assert "spf=pass smtp.mailfrom=postfix.test" in message
    assert re.search(r"dmarc=pass \(p=reject dis=none\)\s+header.from=postfix.test", message), message
    assert "iprev=pass policy.iprev=mx.postfix.test" in message
    assert re.search(
        rf"Received: from mx.postfix.test \(\[{re.escape(peer.address)}\]\)\r\n\t\(using TLSv1.3 TLS_AES", message
    )
    assert "with ESMTPS id " in message


def test_every_message_explains_itself(world: World) -> None:
    server, peer = world.server, world.peer
    with smtplib.SMTP(peer.address, 25) as client:
        client.sendmail(
            "a@postfix.test", ["you@mox.test"], "From: a@postfix.test\r\nSubject: explained\r\n\r\nhello\r\n"
        )
    message = newest(server, "explained").decode()
    done = server.command("message", "explain", id_of(message))
    assert done.returncode == 0, done.stderr
    assert "accept: delivered to you, Inbox" in done.stdout
    assert re.search(rf"SPF -> pass: .*ip4:{peer.address}", done.stdout), done.stdout
    assert f"postfix.test TXT: v=spf1 ip4:{peer.address} -all (authentic)" in done.stdout


def test_the_answer_goes_back_to_postfix_signed(world: World) -> None:
    server, peer = world.server, world.peer
    code, reply = submit(
        server,
        b"From: You <you@mox.test>\r\nTo: a@postfix.test\r\nSubject: the answer\r\n\r\nhello back\r\n",
        "a@postfix.test",
    )
    assert code == 250, reply
    until(lambda: any(b"Subject: the answer" in message for message in peer.messages()))
    (message,) = [message for message in peer.messages() if b"Subject: the answer" in message]
    assert b"using TLSv1.3" in message, "moxd used the STARTTLS that Postfix offers"
    resolver = BlockingUdpResolver([f"{world.nameserver}:53"], trust_ad=True)
    # What Postfix delivered has LF, and begins with the lines of the maildir.
    (result,) = mox_dkim.verify_sync(message.replace(b"\n", b"\r\n"), resolver=resolver)
    assert result.status == "pass", result.explain()
    assert result.domain == mox_dns.Domain.parse("mox.test")
    assert result.authentic, "the key came with DNSSEC"


def test_a_failure_comes_back_as_a_notice(world: World) -> None:
    server = world.server
    code, _ = submit(server, b"From: you@mox.test\r\nTo: a@nomail.test\r\nSubject: lost\r\n\r\nx\r\n", "a@nomail.test")
    assert code == 250
    notice = newest(server, "Your message could not be delivered").decode()
    assert "Final-Recipient: rfc822;a@nomail.test" in notice
    assert "Status: 5.1.10" in notice
    assert "nomail.test takes no mail (null MX)" in notice
    assert "Return-Path: <>" in notice


def test_strangers_cannot_relay_and_unknown_recipients_are_refused(world: World) -> None:
    server = world.server
    with smtplib.SMTP(server.address, 25) as client:
        client.ehlo("x.example")
        client.mail("a@postfix.test")
        assert client.rcpt("nobody@mox.test")[0] == 550
        assert client.rcpt("a@postfix.test")[0] == 550
        assert client.rcpt("you@mox.test")[0] == 250


def test_a_forged_sender_is_refused_and_the_refusal_explained(world: World) -> None:
    server = world.server
    with smtplib.SMTP(server.address, 25) as client:
        client.ehlo("x.example")
        client.mail("a@postfix.test")
        client.rcpt("you@mox.test")
        code, reply = client.data("From: a@postfix.test\r\nSubject: forged\r\n\r\nx\r\n")
    assert code == 550
    assert b"DMARC" in reply
    found = re.search(rb"\((\w{13})\)", reply)
    assert found is not None
    done = server.command("message", "explain", found[1].decode())
    assert "refuse: 550" in done.stdout
    assert "DMARC policy -> refuse" in done.stdout


def test_submission_is_for_own_addresses(world: World) -> None:
    server = world.server
    code, reply = submit(server, b"From: ceo@postfix.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test")
    assert code == 550
    assert b"not one of your addresses" in reply
    code, _ = submit(server, b"From: friend@mox.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test", "friend@mox.test")
    assert code == 250
    code, _ = submit(server, b"From: other@mox.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test")
    assert code == 550


def test_nobody_is_root_any_more(world: World) -> None:
    server = world.server
    pids = server.pids()
    assert len(pids) == 3, "a supervisor and two workers"
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
