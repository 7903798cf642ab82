"""A delivery shows in IDLE at once, whichever process took it and whichever process the reader is at."""

from __future__ import annotations

import smtplib
from contextlib import ExitStack
from imaplib import IMAP4_SSL

import pytest

from kit.processes import serving
from kit.server import Moxd
from kit.world import mailbox

pytestmark = pytest.mark.xdist_group("idle")

READERS = 12
WAIT = 20.0  # a bound, not a measure: IDLE either says it by itself or never


def idle(client: IMAP4_SSL) -> None:
    client.send(b"x1 IDLE\r\n")
    assert client.readline().startswith(b"+ ")


def lines(client: IMAP4_SSL, wanted: bytes) -> None:
    """Reads until a line ends with `wanted`; the client's own time limit ends the waiting."""
    while not client.readline().endswith(wanted + b"\r\n"):
        pass


def test_every_reader_in_every_process_is_told(server: Moxd) -> None:
    with ExitStack() as stack:
        readers: list[IMAP4_SSL] = []
        workers = server.pids()[1:]
        at: set[int] = set()
        while len(readers) < READERS or len(at) < 2:
            assert len(readers) < 100, "one of the two workers takes no connections"
            client = mailbox(server)
            stack.callback(client.shutdown)
            at.add(serving(client.sock.getsockname(), workers))
            readers.append(client)
        for client in readers:
            idle(client)
        had = int(mailbox_count(server))
        senders: set[int] = set()
        for number in range(1, 50):
            with smtplib.SMTP(server.address, server.ports["smtp"], timeout=WAIT) as smtp:
                assert smtp.sock is not None
                senders.add(serving(smtp.sock.getsockname(), workers))
                smtp.sendmail(
                    "a@sender.test", ["you@mox.test"], f"From: a@sender.test\r\nSubject: {number}\r\n\r\nx\r\n"
                )
            for client in readers:
                lines(client, b"* %d EXISTS" % (had + number))
            if len(senders) == 2 and number >= 5:
                break
        assert len(senders) == 2, "both workers took mail"


def mailbox_count(server: Moxd) -> str:
    client = mailbox(server)
    try:
        return client.select("INBOX")[1][0].decode()  # type: ignore[union-attr]
    finally:
        client.logout()


def test_flags_and_expunges_are_told_across_processes(server: Moxd) -> None:
    workers = server.pids()[1:]
    with ExitStack() as stack:
        by_worker: dict[int, IMAP4_SSL] = {}
        for _ in range(100):
            client = mailbox(server)
            stack.callback(client.shutdown)
            by_worker.setdefault(serving(client.sock.getsockname(), workers), client)
            if len(by_worker) == 2:
                break
        one, other = by_worker.values()
        one.append("INBOX", "", "", b"Subject: flagged\r\n\r\nx\r\n")  # type: ignore[arg-type]
        one.noop()
        other.noop()
        number = one.select("INBOX")[1][0].decode()  # type: ignore[union-attr]
        other.select("INBOX")
        idle(other)
        one.store(number, "+FLAGS", r"(\Flagged $Important)")
        flags_line(other, number)
        one.store(number, "+FLAGS", r"(\Deleted)")
        one.expunge()
        lines(other, b"* %s EXPUNGE" % number.encode())


def flags_line(client: IMAP4_SSL, number: str) -> None:
    while True:
        line = client.readline()
        if line.startswith(f"* {number} FETCH".encode()) and rb"\Flagged" in line and b"$important" in line.lower():
            return
