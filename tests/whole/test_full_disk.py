"""The disk fills up while mail comes in: a 4xx for what cannot be kept, everything acknowledged stays, and with room
again mail is taken again, without a restart."""

from __future__ import annotations

import os
import smtplib
from pathlib import Path

import pytest

from kit.disks import small_disk
from kit.server import Moxd, configure, moxd, set_passwords
from kit.world import mailbox, until

pytestmark = [pytest.mark.xdist_group("full disk"), pytest.mark.timeout(90)]


def send(server: Moxd, number: int, lines: int) -> int:
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as client:
        client.ehlo("mx.sender.test")
        client.mail("a@sender.test")
        client.rcpt("you@mox.test")
        return client.data(
            f"From: a@sender.test\r\nSubject: number {number}\r\n\r\n".encode() + (b"y" * 70 + b"\r\n") * lines
        )[0]


@pytest.mark.parametrize("lines", [100, 4000], ids=["small messages", "messages for a segment"])
def test_full_while_running(public: Path, dns: str, lines: int) -> None:
    folder = public / "moxd"
    with small_disk(public / "small", "24m") as small:
        ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0", passwords=False)
        path = folder / "moxd.toml"
        path.write_text(path.read_text().replace('data = "data"', f'data = "{small}/data"'))
        set_passwords(small / "data")
        with moxd(folder, ports) as server:
            assert send(server, 0, lines) == 250
            stats = os.statvfs(small)
            (small / "filler").write_bytes(b"f" * (stats.f_bavail * stats.f_frsize - 400_000))
            taken, refused = [0], 0
            for number in range(1, 400):
                code = send(server, number, lines)
                if code == 250:
                    taken.append(number)
                else:
                    assert code in (451, 452), code
                    refused += 1
                if refused >= 3:
                    break
            assert refused == 3, "it never became full"
            (small / "filler").unlink()
            until(lambda: send(server, 1000, lines) == 250, 20)
            client = mailbox(server)
            subjects = [
                row[1].decode().strip()
                for row in client.fetch("1:*", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]")[1]
                if isinstance(row, tuple)
            ]
            client.logout()
            assert subjects == [f"Subject: number {number}" for number in [*taken, 1000]]
            assert "Traceback" not in server.log
