"""A small world of mail: Knot and Unbound for DNS with DNSSEC, a Postfix, a moxd of two workers, each at its own address."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from imaplib import IMAP4_SSL
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from kit.dnsservers import dns_world
from kit.postfix import Postfix, postfix
from kit.processes import loopback
from kit.server import PASSWORD, Moxd, configure, dkim_record, moxd

T = TypeVar("T")
STANDARD = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993}


@dataclass(frozen=True)
class World:
    """Everybody in it; `folder` is readable for all users."""

    folder: Path
    nameserver: str
    server: Moxd
    peer: Postfix


def txt(text: str) -> str:
    """A TXT value in strings of 200 characters."""
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def zones(server: str, peer: str, record: str) -> dict[str, str]:
    """mox.test is moxd's, postfix.test is Postfix's, nomail.test takes none, slow.test leads to where nobody listens."""
    net = ".".join(server.split(".")[1:3])
    turned = ".".join(reversed(net.split(".")))
    return {
        "mox.test": (
            f"@ MX 10 mx\nmx A {server}\n@ TXT {txt('v=spf1 mx ip4:127.0.0.1 -all')}\n"
            f"test._domainkey TXT {txt(record)}\n_dmarc TXT {txt('v=DMARC1; p=reject')}"
        ),
        "postfix.test": (
            f"@ MX 10 mx\nmx A {peer}\n@ TXT {txt(f'v=spf1 ip4:{peer} -all')}\nmx TXT {txt('v=spf1 a -all')}\n_dmarc TXT {txt('v=DMARC1; p=reject')}"
        ),
        "open.test": '@ TXT "v=spf1 ip4:127.0.0.0/8 -all"\n@ MX 10 mx\nmx A 127.0.0.1',
        "nomail.test": "@ MX 0 .",
        "slow.test": f"@ MX 10 mx\nmx A 127.{net}.250",
        "127.in-addr.arpa": (
            f"{peer.split('.')[3]}.{turned} PTR mx.postfix.test.\n{server.split('.')[3]}.{turned} PTR mx.mox.test."
        ),
    }


@contextmanager
def world() -> Iterator[World]:
    """Makes it, and ends all of it."""
    # Not below pytest's folder, which only its owner may enter: Postfix and moxd become other users.
    with TemporaryDirectory(prefix="mox-world-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        nameserver, peer_address, server_address = loopback(3)
        configure(
            folder / "moxd",
            dns=f"{nameserver}:53",
            address=server_address,
            workers=2,
            ports=STANDARD,
            give_up_hours=0.005,
            extra='user = "nobody"\nconnections_per_minute = 0',
        )
        (folder / "moxd").chmod(0o755)
        certificate, key = folder / "moxd/tls/server.pem", folder / "moxd/tls/server-key.pem"
        records = zones(server_address, peer_address, dkim_record(folder / "moxd"))
        with (
            dns_world(folder / "dns", records, frozenset({"127.in-addr.arpa"}), address=nameserver, port=53),
            postfix(
                folder / "postfix", address=peer_address, host="mx.postfix.test", domain="postfix.test",
                nameserver=nameserver, certificate=certificate, key=key,
            ) as peer,
            moxd(folder / "moxd", STANDARD, address=server_address) as server,
        ):  # fmt: skip
            yield World(folder, nameserver, server, peer)


def until(found: Callable[[], T], seconds: float = 20) -> T:
    """Polls until found() has something."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)
    return value


def trusting(server: Moxd) -> ssl.SSLContext:
    """A TLS context that knows the server's CA; names are checked as well."""
    return ssl.create_default_context(cafile=str(server.ca))


def mailbox(server: Moxd, name: str = "INBOX", login: str | None = None) -> IMAP4_SSL:
    """An imaplib client with that mailbox selected, on whichever worker takes it."""
    client = IMAP4_SSL(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=30)
    client.login(login or f"you@{server.domain}", PASSWORD)
    assert client.select(f'"{name}"')[0] == "OK"
    return client


def newest(server: Moxd, subject: str, name: str = "INBOX", login: str | None = None) -> bytes:
    """The message with that subject, as soon as it is in the mailbox."""
    client = mailbox(server, name, login)
    try:
        numbers = until(lambda: client.noop() and client.search(None, f'SUBJECT "{subject}"')[1][0].split())
        found = client.fetch(numbers[-1].decode(), "(BODY.PEEK[])")[1][0][1]  # type: ignore[index]
        assert isinstance(found, bytes)
        return found
    finally:
        client.logout()


def submit(server: Moxd, message: bytes, to: str, sender: str | None = None) -> tuple[int, bytes]:
    """Submits over STARTTLS on port 587 as you@; the last reply."""
    me = f"you@{server.domain}"
    with smtplib.SMTP(server.address, server.ports["submission"], timeout=30) as client:
        client.starttls(context=trusting(server))
        client.login(me, PASSWORD)
        client.mail(sender or me)
        code, reply = client.rcpt(to)
        return client.data(message) if code == 250 else (code, reply)


def id_of(message: bytes | str) -> str:
    """The id of a message from the Received field that moxd put in front."""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    found = re.search(r"by mx\.mox\.test with \S+ id (\w{13})", text)
    assert found is not None, text
    return found[1]
