"""kill -9 in the middle of concurrent deliveries: whatever was acknowledged is there once, and whole."""

from __future__ import annotations

import imaplib
import os
import re
import signal
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from kit.server import PASSWORD, Moxd
from kit.world import mailbox, trusting, until
from whole.conftest import Start

pytestmark = [
    pytest.mark.xdist_group("crash"),
    pytest.mark.timeout(120),
    # Clients whose server is killed in the middle of a handshake leave sockets behind.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SENDERS = 6
LARGE = 60_000  # beyond what is kept in the database itself


def message(name: str) -> bytes:
    """Some are small, some go to a segment file."""
    size = LARGE if name.endswith("7") else 700
    body = (f"{name} " * (size // (len(name) + 1) + 1))[:size]
    lines = "\r\n".join(body[at : at + 70] for at in range(0, len(body), 70))
    return f"From: a@sender.test\r\nTo: you@mox.test\r\nSubject: {name}\r\n\r\n{lines}\r\nend {name}\r\n".encode()


@dataclass
class Load:
    """Senders that go on until told to stop; what was acknowledged, and what was cut off."""

    send: Callable[[str], bool]
    acknowledged: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)
    stopping: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, label: str) -> None:
        def work(number: int) -> None:
            count = 0
            while not self.stopping:
                name = f"{label}-{number}-{count}"
                count += 1
                self.tried.add(name)
                try:
                    if self.send(name):
                        self.acknowledged.add(name)
                except (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error):
                    time.sleep(0.02)  # it is being killed or started again

        self.threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping = True

    def stop(self) -> None:
        self.stopping = True
        for thread in self.threads:
            thread.join(40)
            assert not thread.is_alive()


def by_smtp(server: Moxd) -> Callable[[str], bool]:
    def send(name: str) -> bool:
        with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as client:
            client.ehlo("mx.sender.test")
            client.mail("a@sender.test")
            client.rcpt("you@mox.test")
            return client.data(message(name))[0] == 250

    return send


def by_append(server: Moxd) -> Callable[[str], bool]:
    def send(name: str) -> bool:
        with imaplib.IMAP4_SSL(
            server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=30
        ) as client:
            client.login("you@mox.test", PASSWORD)
            return client.append("INBOX", "", "", message(name))[0] == "OK"  # type: ignore[arg-type]

    return send


def by_submission(server: Moxd) -> Callable[[str], bool]:
    def send(name: str) -> bool:
        with smtplib.SMTP_SSL(
            server.address, server.ports["submissions"], context=trusting(server), timeout=30
        ) as client:
            client.login("other@mox.test", PASSWORD)
            client.mail("other@mox.test")
            client.rcpt("you@mox.test")
            return client.data(message(name).replace(b"a@sender.test", b"other@mox.test"))[0] == 250

    return send


def stored(server: Moxd) -> Counter[str]:
    """Subject -> how often it is in the Inbox; each is whole, each has a UID of its own."""
    client = mailbox(server)
    found: Counter[str] = Counter()
    uids = set()
    try:
        count = int(client.select("INBOX")[1][0])  # type: ignore[arg-type]
        for at in range(1, count + 1, 500):
            for row in client.fetch(f"{at}:{min(at + 499, count)}", "(UID BODY.PEEK[])")[1]:
                if not isinstance(row, tuple):
                    continue
                uids.add(re.search(rb"UID (\d+)", row[0])[1])  # type: ignore[index]
                subject = re.search(rb"^Subject: (.+?)\r$", row[1], re.MULTILINE)
                assert subject is not None, row
                name = subject[1].decode()
                _, _, body = message(name).partition(b"\r\n\r\n")
                assert row[1].endswith(b"\r\n\r\n" + body), f"{name} is not whole"
                found[name] += 1
    finally:
        client.shutdown()
    assert len(uids) == found.total()
    return found


def check(server: Moxd, load: Load) -> None:
    there = stored(server)
    lost = load.acknowledged - there.keys()
    assert not lost, f"{len(lost)} acknowledged messages are lost: {sorted(lost)[:5]}"
    assert not [name for name, count in there.items() if count > 1], "something is there twice"
    assert there.keys() <= load.tried
    done = server.command("account", "list", "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", [by_smtp, by_append])
def test_workers_killed(start: Start, way: Callable[[Moxd], Callable[[str], bool]]) -> None:
    """Workers die again and again; the supervisor starts them again, and nobody else notices for long."""
    server = start(workers=2)
    with Load(way(server)) as load:
        load.start("w")
        for turn in range(3):
            wanted = len(load.acknowledged) + 25
            until(lambda wanted=wanted: len(load.acknowledged) >= wanted, 30)
            victims = server.pids()[1:]
            os.kill(victims[turn % len(victims)], signal.SIGKILL)
            until(lambda victims=victims: len(server.pids()) == 3 and server.pids()[1:] != victims, 30)
        load.stop()
    assert len(load.acknowledged) > 75
    check(server, load)
    assert server.running.process.poll() is None, "the supervisor went on"


def test_the_whole_server_killed(start: Start) -> None:
    server = start(workers=2)
    with Load(by_smtp(server)) as load:
        load.start("s")
        for turn in range(2):
            until(lambda turn=turn: len(load.acknowledged) >= 40 * (turn + 1), 30)
            server.running.kill()
            server = start()
        until(lambda: len(load.acknowledged) >= 100, 30)
        load.stop()
    check(server, load)
    # The spool's files have no names: nothing is left of what was half received.
    assert not list((server.folder / "data" / "spool").iterdir())


def test_submissions_survive_a_kill(start: Start) -> None:
    """The queue is durable too: what it took is delivered after the restart."""
    server = start(workers=2)
    with Load(by_submission(server)) as load:
        load.start("q")
        until(lambda: len(load.acknowledged) >= 60, 60)
        server.running.kill()
        load.stop()
    server = start()
    until(lambda: load.acknowledged <= stored(server).keys(), 60)
    there = stored(server)
    # Killed between the delivery and the note of it, a message may be delivered again; none may be lost.
    assert sum(count - 1 for count in there.values()) <= SENDERS, there.most_common(10)
