"""The power goes while two workers take mail by SMTP: every message whose 250 went out is on the disk, once and whole.

The store's own tests cut at every moment; here it is the 250 on the wire that counts, in the order in which the server's
processes wrote to disk and socket."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import smtplib
import sys
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_store
from kit.powercut import Recorder, Recording, survivals
from kit.processes import answers, tree
from kit.server import configure
from kit.world import until
from mox_store import check

pytestmark = [pytest.mark.xdist_group("power"), pytest.mark.timeout(180)]

MESSAGES, SENDERS, CUTS = 32, 4, 24
_TAKEN = re.compile(rb"250 2\.0\.0 taken as (\w{13})")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class OnTheWire(Recording):
    """A 250 that was written to a socket is an acknowledgement."""

    def _call_write(self, body: str, result: str, began: int) -> None:
        _, path, rest = self._fd(body)
        if path.startswith(("socket:", "TCP")):
            data = b"".join(bytes.fromhex(text.replace("\\x", "")) for text in _BYTES.findall(rest))
            for found in _TAKEN.findall(data):
                self._add("ack", found.decode(), began)
        else:
            super()._call_write(body, result, began)

    _call_writev = _call_write


def message(name: str) -> bytes:
    """Every fourth is too large for the database and goes to a segment."""
    lines = 900 if int(name.split("-")[1]) % 4 == 3 else 8
    return (
        f"From: a@sender.test\r\nSubject: {name}\r\n\r\n".encode()
        + f"{name} says this again and again\r\n".encode() * lines
    )


def load(address: str, port: int) -> set[str]:
    """Sends it all; the ids that were acknowledged."""
    taken: set[str] = set()

    def send(sender: int) -> None:
        for number in range(MESSAGES // SENDERS):
            with smtplib.SMTP(address, port, timeout=60) as client:
                client.ehlo("mx.sender.test")
                client.mail("a@sender.test")
                client.rcpt("you@mox.test")
                code, reply = client.data(message(f"{sender}-{number}"))
                assert code == 250, reply
                taken.add(reply.decode().split()[-1])

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    return taken


def wrong(folder: Path, acknowledged: list[str]) -> list[str]:
    """What is not as it was acknowledged."""
    store = mox_store.Store(folder / "accounts", clock=lambda: 1_800_000_000.0)
    try:
        account = store.open("you")
        report = check.check(account)
        found = [] if report.clean else [report.explain()]
        there: Counter[str] = Counter()
        for mailbox in account.mailboxes():
            view = account.open_view(mailbox.id)
            for row in account.rows(mailbox.id, view.uids):
                whole = account.content(row.message).read()
                number = re.search(rb"by mx\.mox\.test with ESMTP id (\w{13})", whole)
                assert number is not None
                there[number[1].decode()] += 1
                if not whole.endswith(b"\r\n" + message(row.subject)):
                    found.append(f"{row.subject} is not whole")
            account.close_view(view)
        found += [f"{number} was acknowledged, and is gone" for number in acknowledged if not there[number]]
        return found + [f"{number} is there {count} times" for number, count in there.items() if count > 1]
    finally:
        store.close()


def test_what_got_a_250_survives_a_power_cut(public: Path, dns: str) -> None:
    folder = public / "moxd"
    ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0", passwords=False)
    recorder = Recorder([sys.executable, "-m", "moxd", "serve", "--config", str(folder)], public / "strace.log")
    try:
        until(lambda: answers(ports["smtp"]), 60)
        taken = load("127.0.0.1", ports["smtp"])
        assert len(taken) == MESSAGES
    finally:
        for pid in tree(recorder.process.pid)[1:2]:  # strace itself does not listen
            os.kill(pid, signal.SIGTERM)
        try:
            recorder.wait(60)
        finally:
            for pid in tree(recorder.process.pid) if recorder.process.poll() is None else ():
                os.kill(pid, signal.SIGKILL)
    recording = OnTheWire.read(public / "strace.log", folder / "data")
    assert set(recording.acknowledged(len(recording.events))) == taken, "every 250 was seen on its way out"
    rng = random.Random(5)
    first = next(number for number, event in enumerate(recording.events) if event.kind == "ack")
    moments = [moment for moment in recording.sharp_cuts() if moment > first]
    with TemporaryDirectory(prefix="mox-cut-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        for moment in [*rng.sample(moments, min(CUTS, len(moments))), len(recording.events)]:
            for survival in survivals(rng, 1):
                disk = Path(scratch) / "disk"
                shutil.rmtree(disk, ignore_errors=True)
                recording.disk(moment, survival, disk)
                assert wrong(disk, recording.acknowledged(moment)) == [], (moment, survival.name)
        for event in recording.events:
            if event.kind == "sync":
                event.kind = "no sync"
        shutil.rmtree(disk, ignore_errors=True)
        recording.disk(len(recording.events), next(survivals(rng, 0)), disk)
        assert wrong(disk, sorted(taken)), "without syncs this test would notice"
