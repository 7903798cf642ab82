"""A message from a real Postfix by MX to moxd with signed DNS, and the answer back to that Postfix."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from imaplib import IMAP4_SSL
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_dkim
import mox_dns
from kit.dnsservers import dns_world
from kit.postfix import Postfix, postfix
from kit.server import PASSWORD, Moxd, configure, dkim_record, moxd
from mox_dns import BlockingUdpResolver

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("port 25"), pytest.mark.timeout(180)]

NAMESERVER, POSTFIX, MOXD = "127.0.0.53", "127.0.0.2", "127.0.0.3"


def txt(text: str) -> str:
    """A TXT value in strings of 200 characters."""
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Moxd, Postfix]]:
    # Not below pytest's folder, which only its owner may enter: Postfix and moxd become other users.
    with TemporaryDirectory(prefix="mox-world-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield from mail_world(Path(name))


def mail_world(folder: Path) -> Iterator[tuple[Moxd, Postfix]]:
    """Knot, Unbound, Postfix and moxd, each at its address of the loopback network."""
    ports = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993}
    configure(
        folder / "moxd",
        dns=f"{NAMESERVER}:53",
        address=MOXD,
        workers=2,
        ports=ports,
        give_up_hours=0.001,
        extra='user = "nobody"',
    )
    zones = {
        "mox.test": (
            f"@ MX 10 mx\nmx A {MOXD}\n@ TXT {txt('v=spf1 mx ip4:127.0.0.1 -all')}\n"
            f"test._domainkey TXT {txt(dkim_record(folder / 'moxd'))}\n_dmarc TXT {txt('v=DMARC1; p=reject')}"
        ),
        "postfix.test": f"@ MX 10 mx\nmx A {POSTFIX}\n@ TXT {txt('v=spf1 ip4:127.0.0.2 -all')}\n_dmarc TXT {txt('v=DMARC1; p=reject')}",
        "nomail.test": "@ MX 0 .",
        "127.in-addr.arpa": "2.0.0 PTR mx.postfix.test.\n3.0.0 PTR mx.mox.test.",
    }
    (folder / "moxd").chmod(0o755)
    certificate, key = folder / "moxd/tls/server.pem", folder / "moxd/tls/server-key.pem"
    with (
        dns_world(folder / "dns", zones, frozenset({"127.in-addr.arpa"}), address=NAMESERVER, port=53),
        postfix(
            folder / "postfix", address=POSTFIX, host="mx.postfix.test", domain="postfix.test", nameserver=NAMESERVER,
            certificate=certificate, key=key,
        ) as peer,
        moxd(folder / "moxd", ports, address=MOXD) as server,
    ):  # fmt: skip
        yield server, peer


def until(found: Callable[[], object], seconds: float = 20) -> object:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.1)
    return value


def mailbox(server: Moxd, name: str = "INBOX") -> IMAP4_SSL:
    context = ssl.create_default_context(cafile=str(server.ca))
    context.check_hostname = False
    client = IMAP4_SSL(server.address, server.ports["imaps"], ssl_context=context)
    client.login("you@mox.test", PASSWORD)
    client.select(name)
    return client


def newest(server: Moxd, subject: str) -> bytes:
    """The message with that subject, as soon as it is in the Inbox."""
    client = mailbox(server)
    try:
        number = until(lambda: client.noop() and client.search(None, f'SUBJECT "{subject}"')[1][0].split())
        assert isinstance(number, list)
        return client.fetch(number[-1].decode(), "(BODY.PEEK[])")[1][0][1]  # type: ignore[index, return-value]
    finally:
        client.logout()


def submit(server: Moxd, message: str, to: str, sender: str = "you@mox.test") -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(server.ca))
    context.check_hostname = False
    with smtplib.SMTP(server.address, server.ports["submission"]) as client:
        client.starttls(context=context)
        client.login("you@mox.test", PASSWORD)
        client.mail(sender)
        code, reply = client.rcpt(to)
        return client.data(message.encode()) if code == 250 else (code, reply)


def test_from_postfix_by_mx_over_starttls(world: tuple[Moxd, Postfix]) -> None:
    server, peer = world
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
    assert re.search(r"Received: from mx.postfix.test \(\[127.0.0.2\]\)\r\n\t\(using TLSv1.3 TLS_AES", message)
    assert "with ESMTPS id " in message


def test_every_message_explains_itself(world: tuple[Moxd, Postfix]) -> None:
    server, peer = world
    with smtplib.SMTP(peer.address, 25) as client:
        client.sendmail(
            "a@postfix.test", ["you@mox.test"], "From: a@postfix.test\r\nSubject: explained\r\n\r\nhello\r\n"
        )
    message = newest(server, "explained").decode()
    found = re.search(r"by mx.mox.test with ESMTPS id (\S+)", message)
    assert found is not None
    done = server.command("message", "explain", found[1])
    assert done.returncode == 0, done.stderr
    assert "accept: delivered to you, Inbox" in done.stdout
    assert re.search(r"SPF -> pass: .*ip4:127.0.0.2", done.stdout), done.stdout
    assert "postfix.test TXT: v=spf1 ip4:127.0.0.2 -all (authentic)" in done.stdout


def test_the_answer_goes_back_to_postfix_signed(world: tuple[Moxd, Postfix]) -> None:
    server, peer = world
    code, reply = submit(
        server,
        "From: You <you@mox.test>\r\nTo: a@postfix.test\r\nSubject: the answer\r\n\r\nhello back\r\n",
        "a@postfix.test",
    )
    assert code == 250, reply
    until(lambda: any(b"Subject: the answer" in message for message in peer.messages()))
    (message,) = [message for message in peer.messages() if b"Subject: the answer" in message]
    assert b"using TLSv1.3" in message, "moxd used the STARTTLS that Postfix offers"
    resolver = BlockingUdpResolver([f"{NAMESERVER}:53"], trust_ad=True)
    # What Postfix delivered has LF, and begins with the lines of the maildir.
    (result,) = mox_dkim.verify_sync(message.replace(b"\n", b"\r\n"), resolver=resolver)
    assert result.status == "pass", result.explain()
    assert result.domain == mox_dns.Domain.parse("mox.test")
    assert result.authentic, "the key came with DNSSEC"


def test_a_failure_comes_back_as_a_notice(world: tuple[Moxd, Postfix]) -> None:
    server, _ = world
    code, _ = submit(server, "From: you@mox.test\r\nTo: a@nomail.test\r\nSubject: lost\r\n\r\nx\r\n", "a@nomail.test")
    assert code == 250
    notice = newest(server, "Your message could not be delivered").decode()
    assert "Final-Recipient: rfc822;a@nomail.test" in notice
    assert "Status: 5.1.10" in notice
    assert "nomail.test takes no mail (null MX)" in notice
    assert "Return-Path: <>" in notice


def test_strangers_cannot_relay_and_unknown_recipients_are_refused(world: tuple[Moxd, Postfix]) -> None:
    server, _ = world
    with smtplib.SMTP(server.address, 25) as client:
        client.ehlo("x.example")
        client.mail("a@postfix.test")
        assert client.rcpt("nobody@mox.test")[0] == 550
        assert client.rcpt("a@postfix.test")[0] == 550
        assert client.rcpt("you@mox.test")[0] == 250


def test_a_forged_sender_is_refused_and_the_refusal_explained(world: tuple[Moxd, Postfix]) -> None:
    server, _ = world
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


def test_submission_is_for_own_addresses(world: tuple[Moxd, Postfix]) -> None:
    server, _ = world
    code, reply = submit(server, "From: ceo@postfix.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test")
    assert code == 550
    assert b"not one of your addresses" in reply
    code, _ = submit(server, "From: friend@mox.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test", "friend@mox.test")
    assert code == 250
    code, _ = submit(server, "From: other@mox.test\r\nSubject: x\r\n\r\nx\r\n", "a@postfix.test")
    assert code == 550


def test_nobody_is_root_any_more(world: tuple[Moxd, Postfix]) -> None:
    server, _ = world
    pids = server.pids()
    assert len(pids) == 3, "a supervisor and two workers"
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.MULTILINE)
