"""swaks, msmtp and Postfix send; moxd takes it, checks it, signs it, passes it on."""

from __future__ import annotations

import email
import re
import smtplib
import subprocess
from pathlib import Path

import pytest

import mox_dkim
from kit.processes import program
from kit.server import PASSWORD
from kit.world import World, id_of, mailbox, newest, until
from mox_dns import BlockingUdpResolver

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("world"), pytest.mark.timeout(120)]


def swaks(world: World, *arguments: str, status: int = 0) -> str:
    server = world.server
    done = subprocess.run(
        [program("swaks", "swaks"), "--server", server.address, "--helo", "client.open.test", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def msmtp(world: World, message: bytes, *recipients: str, auth: str, port: int, tls: str) -> None:
    settings = world.folder / f"msmtp-{auth}-{port}"
    settings.write_text(
        f"account default\nhost {world.server.address}\nport {port}\ntls on\ntls_starttls {tls}\n"
        f"tls_trust_file {world.server.ca}\nauth {auth}\nuser you@mox.test\npassword {PASSWORD}\nfrom you@mox.test\n"
        "domain client.mox.test\n"
    )
    settings.chmod(0o600)
    done = subprocess.run(
        [program("msmtp", "msmtp"), "-C", str(settings), *recipients], input=message, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def at_postfix(world: World, subject: str) -> bytes:
    """What Postfix has delivered with that subject, with CRLF."""

    def found() -> bytes:
        wanted = f"\nSubject: {subject}\n".encode()
        return next((message for message in world.peer.messages() if wanted in message), b"")

    return until(found, 30).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("tls", [(), ("-tls",), ("-tls", "--pipeline")], ids=" ".join)
def test_swaks_to_port_25(world: World, tls: tuple[str, ...]) -> None:
    subject = f"swaks {' '.join(tls)} end"
    said = swaks(
        world, "--from", "a@open.test", "--to", "you@mox.test", "--h-Subject", subject, "--h-From", "a@open.test", *tls
    )
    assert "250 2.0.0 taken as" in said
    message = newest(world.server, subject)
    assert b"spf=pass smtp.mailfrom=open.test" in message
    assert (b"with ESMTPS id" in message) == bool(tls)


def test_swaks_with_an_attachment(world: World, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    (tmp_path / "file.bin").write_bytes(data)
    swaks(
        world, "--from", "a@open.test", "--to", "you@mox.test", "--h-Subject", "attached", "--h-From", "a@open.test",
        "--attach-type", "application/octet-stream", "--attach", f"@{tmp_path}/file.bin",
    )  # fmt: skip
    message = email.message_from_bytes(newest(world.server, "attached"))
    assert [
        part.get_payload(decode=True) for part in message.walk() if part.get_content_type().endswith("octet-stream")
    ] == [data]


def test_postfix_passes_on_international_mail(world: World) -> None:
    """SMTPUTF8 all the way: the sender's address, the header, the words."""
    with smtplib.SMTP(world.peer.address, 25, timeout=30) as client:
        client.ehlo("client.open.test")
        client.mail("jürgen@postfix.test", ["SMTPUTF8", "BODY=8BITMIME"])
        client.rcpt("you@mox.test")
        message = "From: Jürgen <jürgen@postfix.test>\r\nTo: you@mox.test\r\nSubject: grüße weltweit\r\n\r\n你好\r\n"
        assert client.data(message.encode())[0] == 250
    got = until(lambda: by_utf8_subject(world, "grüße weltweit"))
    assert "Return-Path: <jürgen@postfix.test>" in got
    assert got.endswith("\r\n\r\n你好\r\n")
    assert "with UTF8SMTPS id" in got


def by_utf8_subject(world: World, subject: str) -> str:
    client = mailbox(world.server)
    try:
        client.literal = subject.encode()  # type: ignore[assignment]
        numbers = client.search("UTF-8", "SUBJECT")[1][0].split()
        return client.fetch(numbers[-1].decode(), "(BODY.PEEK[])")[1][0][1].decode() if numbers else ""  # type: ignore[index, union-attr]
    finally:
        client.logout()


def test_swaks_to_nobody(world: World) -> None:
    said = swaks(world, "--from", "a@open.test", "--to", "nobody@mox.test", "--quit-after", "RCPT", status=24)
    assert "550 5.1.1 no such address here" in said


WAYS = {
    "587 STARTTLS PLAIN": ("submission", ("-tls",), "PLAIN"),
    "587 STARTTLS LOGIN": ("submission", ("-tls",), "LOGIN"),
    "465 TLS PLAIN": ("submissions", ("-tlsc",), "PLAIN"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_swaks_submits(world: World, way: tuple[str, tuple[str, ...], str]) -> None:
    service, tls, auth = way
    subject = f"submitted {service} {auth} end"
    said = swaks(
        world, "--port", str(world.server.ports[service]), *tls, "--tls-verify", "--tls-ca-path", str(world.server.ca),
        "--auth", auth, "--auth-user", "you@mox.test", "--auth-password", PASSWORD,
        "--from", "you@mox.test", "--to", "a@postfix.test", "--h-Subject", subject,
    )  # fmt: skip
    assert "235 2.7.0" in said
    message = at_postfix(world, subject)
    assert b"\r\nDKIM-Signature: v=1;" in message


def test_swaks_with_a_wrong_password(world: World) -> None:
    said = swaks(
        world, "--port", "587", "-tls", "--auth", "PLAIN", "--auth-user", "you@mox.test", "--auth-password", "wrong password",
        "--from", "you@mox.test", "--to", "a@postfix.test", status=28,
    )  # fmt: skip
    assert "535 5.7.8" in said


@pytest.mark.parametrize(
    "auth, port, tls", [("scram-sha-256", 587, "on"), ("scram-sha-256", 465, "off"), ("plain", 465, "off")]
)
def test_msmtp_submits_and_the_signature_holds(world: World, auth: str, port: int, tls: str) -> None:
    subject = f"msmtp {auth} {port} end"
    message = f"From: You <you@mox.test>\nTo: a@postfix.test\nSubject: {subject}\n\nüber\n.\n..\nx\n".encode()
    msmtp(world, message, "a@postfix.test", auth=auth, port=port, tls=tls)
    got = at_postfix(world, subject)
    assert got.endswith("\r\n\r\nüber\r\n.\r\n..\r\nx\r\n".encode())
    assert re.search(rb"\r\nMessage-I[Dd]: <[^>]+@[^>]*mox\.test>\r\n", got)
    (result,) = mox_dkim.verify_sync(got, resolver=BlockingUdpResolver([f"{world.nameserver}:53"], trust_ad=True))
    assert result.status == "pass", result.explain()
    assert opendkim(world, got) == ""


def opendkim(world: World, message: bytes) -> str:
    """What opendkim-testmsg has against the signature; it asks the resolver of our world."""
    tool = program("opendkim-testmsg", "opendkim-tools")
    (world.folder / "resolv.conf").write_text(f"nameserver {world.nameserver}\n")
    script = f'mount --bind "{world.folder}/resolv.conf" /etc/resolv.conf && exec "$@"'
    # What Postfix put in front is not signed; the message begins at our own fields.
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", tool],
        input=message.replace(b"\r\n", b"\n"),
        capture_output=True,
        timeout=30,
    )
    return (done.stdout + done.stderr).decode() if done.returncode != 0 else ""


def test_a_changed_message_does_not_pass_opendkim_either(world: World) -> None:
    message = b"From: You <you@mox.test>\nTo: a@postfix.test\nSubject: to be changed\n\nhello\n"
    msmtp(world, message, "a@postfix.test", auth="plain", port=465, tls="off")
    got = at_postfix(world, "to be changed")
    assert opendkim(world, got) == ""
    assert opendkim(world, got.replace(b"hello", b"hallo")) != ""


def test_postfix_delivers_by_mx_with_starttls_and_takes_the_answer(world: World) -> None:
    """sendmail at Postfix, MX at the validating resolver, STARTTLS to moxd; the answer goes the same way back."""
    sendmail = program("sendmail", "postfix")
    subprocess.run(
        [sendmail, "-C", str(world.peer.folder / "etc"), "-f", "a@postfix.test", "you@mox.test"],
        input="From: a@postfix.test\nTo: you@mox.test\nSubject: a question\nMessage-ID: <q@postfix.test>\n\nwell?\n",
        text=True, check=True, env={"MAIL_CONFIG": str(world.peer.folder / "etc"), "PATH": "/usr/sbin:/usr/bin:/bin"}, timeout=60,
    )  # fmt: skip
    message = newest(world.server, "a question")
    assert b"with ESMTPS id" in message
    assert b"dmarc=pass" in message
    until(lambda: re.search(r"TLS connection established to mx\.mox\.test\[[\d.]+\]:25: TLSv1\.3", world.peer.log))
    until(
        lambda: re.search(
            r"to=<you@mox\.test>, relay=mx\.mox\.test.* status=sent \(250 2\.0\.0 taken as \w{13}\)", world.peer.log
        )
    )
    done = world.server.command("message", "explain", id_of(message))
    assert "DMARC" in done.stdout
    msmtp(
        world, b"From: you@mox.test\nTo: a@postfix.test\nSubject: Re: a question\nIn-Reply-To: <q@postfix.test>\n\nyes\n",
        "a@postfix.test", auth="scram-sha-256", port=587, tls="on",
    )  # fmt: skip
    answer = at_postfix(world, "Re: a question")
    assert re.search(rb"Received: from mx\.mox\.test \(.*\r\n\t\(using TLSv1\.3", answer)


def test_postfix_hears_of_unknown_recipients(world: World) -> None:
    """Postfix gets a 550 and bounces it to its own sender."""
    before = set(world.peer.messages())
    done = subprocess.run(
        [program("swaks", "swaks"), "--server", world.peer.address, "--from", "a@postfix.test", "--to", "nobody@mox.test"],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    until(lambda: any(b"no such address here" in message for message in set(world.peer.messages()) - before), 30)
