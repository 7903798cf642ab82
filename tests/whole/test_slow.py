"""Who was refused, guesses addresses or passwords, waits for every further reply; nobody else does."""

from __future__ import annotations

import base64
import smtplib
import ssl
import time
from collections.abc import Callable

import pytest

from kit.server import PASSWORD, Moxd
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(60)]

SECONDS = 0.4
FORGED = "From: kim@forged.test\r\nSubject: x\r\n\r\nx\r\n"


def waited(client: smtplib.SMTP) -> float:
    """How long a NOOP takes."""
    begun = time.monotonic()
    assert client.noop()[0] == 250
    return time.monotonic() - begun


def refused(server: Moxd, client: smtplib.SMTP) -> None:
    client.ehlo("client.forged.test")
    client.mail("kim@forged.test")
    client.rcpt(f"you@{server.domain}")
    assert client.data(FORGED)[0] == 550


def guesses(server: Moxd, client: smtplib.SMTP) -> None:
    client.ehlo("client.sender.test")
    client.mail("kim@sender.test")
    for name in ("anna", "bert", "carl"):
        assert client.rcpt(f"{name}@{server.domain}")[0] == 550


def fails_to_log_in(server: Moxd, client: smtplib.SMTP) -> None:
    client.starttls(context=ssl._create_unverified_context())
    client.ehlo("client")
    for number in range(2):
        word = base64.b64encode(f"\0you@{server.domain}\0wrong{number}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {word}")[0] == 535


@pytest.mark.parametrize(("service", "does"), [("smtp", refused), ("smtp", guesses), ("submission", fails_to_log_in)])
def test_replies_are_late_from_then_on(start: Start, service: str, does: Callable[[Moxd, smtplib.SMTP], None]) -> None:
    server = start(extra=f"connections_per_minute = 0\nslow_seconds = {SECONDS}")
    with smtplib.SMTP(server.address, server.ports[service], timeout=30) as client:
        assert waited(client) < SECONDS
        does(server, client)
        assert waited(client) >= SECONDS
        with smtplib.SMTP(server.address, server.ports[service], timeout=30) as another:
            assert waited(another) < SECONDS
            if service == "submission":
                another.starttls(context=ssl._create_unverified_context())
                another.login(f"you@{server.domain}", PASSWORD)
                assert waited(another) < SECONDS
