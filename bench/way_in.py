"""The whole way in, beside Postfix and chasquid (which check nothing here), aiosmtpd with a handler that syncs a file,
and mox where MOX_ADDRESS (host:port of a running one) and MOX_RECIPIENT are given.

    python3 noxfile.py bench way_in          (or: python bench/way_in.py [--messages N] [--json FILE])

Messages of 4 KB over 1, 8 and 32 connections, and of 100 KB over 8 and 32; DKIM-signed, one connection each.  moxd
looks up SPF, DKIM, DMARC and reverse DNS over UDP at a validating resolver and has each message on disk before it says
250.  Printed: messages/s, CPU milliseconds of the server's processes a message, and (for 4 KB, in a shorter pass under
strace) disk flushes a message."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import mox_dkim  # noqa: E402
from kit.dnsservers import dns_world  # noqa: E402
from kit.postfix import postfix  # noqa: E402
from kit.processes import Running, answers, free_port, program, tree  # noqa: E402
from kit.server import configure, moxd  # noqa: E402
from kit.smtpload import load, signed_message  # noqa: E402

SESSIONS = (1, 8, 32)
LARGE, LARGE_SESSIONS = 100 * 1024, (8, 32)
# Postfix and chasquid deliver after their 250; what they still do is their work too.
SETTLES = ("Postfix", "chasquid")
# What chasquid hands to its delivery agent is thrown away: its own default, maildrop, costs more.
CHASQUID = """\
hostname: "mx.chasquid.test"
smtp_address: "127.0.0.1:{port}"
submission_address: ""
submission_over_tls_address: ""
data_dir: "{folder}/data"
mail_delivery_agent_bin: "/bin/cat"
mail_delivery_agent_args: "-"
mail_log_path: "{folder}/mail.log"
"""
TICKS = os.sysconf("SC_CLK_TCK")
AIOSMTPD = """
import asyncio, os, sys, itertools
from aiosmtpd.controller import UnthreadedController
folder, port = sys.argv[1], int(sys.argv[2])
numbers = itertools.count()
class Handler:
    async def handle_DATA(self, server, session, envelope):
        path = os.path.join(folder, f"{next(numbers)}.eml")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, envelope.content)
        os.fsync(descriptor)
        os.close(descriptor)
        return "250 OK"
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
UnthreadedController(Handler(), hostname="127.0.0.1", port=port, loop=loop).begin()
loop.run_forever()
"""


@dataclass
class Subject:
    """A server under test."""

    name: str
    address: str
    port: int
    recipient: str
    pids: Callable[[], list[int]]


def cpu_seconds(pids: list[int]) -> float:
    """user + system of these processes and of children they have waited for."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += sum(map(int, fields[11:15])) / TICKS
    return total


def peak_mb(pids: list[int]) -> float:
    """The highest resident set of one of these processes, in MB."""
    peaks = [0]
    for pid in pids:
        try:
            peaks.append(int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]))  # type: ignore[index]
        except (FileNotFoundError, TypeError):
            continue
    return max(peaks) / 1024


def flushes(subject: Subject, message: Path, sessions: int, count: int, sender: str, folder: Path) -> float:
    """fsync and fdatasync calls a message, counted by strace in a pass of its own."""
    log = folder / "strace.log"
    attach = [flag for pid in subject.pids() for flag in ("-p", str(pid))]
    tracer = subprocess.Popen(
        [program("strace", "strace"), "-f", "-q", "-e", "trace=fsync,fdatasync", "-o", str(log), *attach],
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.7)
    load(
        subject.address,
        subject.port,
        message,
        count=count,
        sessions=sessions,
        sender=sender,
        recipient=subject.recipient,
    )
    time.sleep(0.5)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    return len(re.findall(r"(?:fsync|fdatasync)\(\d+\)", log.read_text())) / count


def chasquid(folder: Path, stack: ExitStack, tls: Path) -> Subject | None:
    """Debian's chasquid with a configuration of its own; its SPF check finds no DNS and so costs it nothing."""
    if shutil.which("chasquid") is None or os.geteuid() != 0:
        print("chasquid is not installed (apt install chasquid), or this is not root: left out")
        return None
    port = free_port()
    certificates = folder / "certs" / "mx.chasquid.test"
    for made in (certificates, folder / "domains" / "chasquid.test", folder / "data"):
        made.mkdir(parents=True)
    shutil.copy(tls / "server.pem", certificates / "fullchain.pem")
    shutil.copy(tls / "server-key.pem", certificates / "privkey.pem")
    (folder / "chasquid.conf").write_text(CHASQUID.format(port=port, folder=folder))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.99\noptions timeout:1 attempts:1\n")
    subprocess.run(
        ["chasquid-util", f"-C={folder}", "user-add", "you@chasquid.test", "--password=for tests"],
        check=True, capture_output=True,
    )  # fmt: skip
    script = f"mount --bind {folder}/resolv.conf /etc/resolv.conf && exec chasquid -config_dir={folder}"
    running = Running(["unshare", "-m", "sh", "-c", script], folder, "chasquid")
    stack.callback(running.kill)
    running.wait_until(lambda: answers(port))
    return Subject("chasquid", "127.0.0.1", port, "you@chasquid.test", lambda: tree(running.process.pid))


@contextmanager
def subjects(folder: Path) -> Iterator[tuple[list[Subject], dict[int, Path]]]:
    key = mox_dkim.generate()
    messages = {size: folder / f"message-{size}" for size in (4096, LARGE)}
    for size, path in messages.items():
        path.write_bytes(signed_message(key, "sender.test", "sel", size))
    record = " ".join(f'"{text}"' for text in re.findall(".{1,200}", str(mox_dkim.KeyRecord.of(key))))
    zones = {
        "sender.test": f'@ MX 10 mx\nmx A 127.0.0.1\n@ TXT "v=spf1 ip4:127.0.0.0/8 -all"\nsel._domainkey TXT {record}\n'
        '_dmarc TXT "v=DMARC1; p=reject"',
        "127.in-addr.arpa": "1.0.0 PTR mx.sender.test.",
    }
    with ExitStack() as stack:
        dns = stack.enter_context(dns_world(folder / "dns", zones, frozenset({"127.in-addr.arpa"})))
        found: list[Subject] = []
        for workers in (1, 2):
            ports = configure(folder / f"moxd{workers}", dns=dns, workers=workers, extra="connections_per_minute = 0")
            text = (
                (folder / f"moxd{workers}" / "moxd.toml")
                .read_text()
                .replace('log_level = "info"', 'log_level = "info"')
            )
            (folder / f"moxd{workers}" / "moxd.toml").write_text(text)
            server = stack.enter_context(moxd(folder / f"moxd{workers}", ports))
            name = f"moxd, {workers} worker{'s' * (workers > 1)}"
            found.append(Subject(name, "127.0.0.1", ports["smtp"], "you@mox.test", server.pids))
        tls = folder / "moxd1" / "tls"
        peer = stack.enter_context(
            postfix(
                folder / "postfix", address="127.0.0.25", host="mx.postfix.test", domain="postfix.test",
                nameserver=None, certificate=tls / "server.pem", key=tls / "server-key.pem",
            )
        )  # fmt: skip
        found.append(Subject("Postfix", "127.0.0.25", 25, "you@postfix.test", peer.pids))
        try:
            import aiosmtpd  # noqa: F401
        except ImportError:
            print("aiosmtpd is not installed (group bench): left out")
        else:
            (folder / "aiosmtpd").mkdir()
            port = free_port()
            running = Running([sys.executable, "-c", AIOSMTPD, str(folder / "aiosmtpd"), str(port)], folder, "aiosmtpd")
            stack.callback(running.kill)
            running.wait_until(lambda: answers(port))
            found.append(
                Subject("aiosmtpd + fsync", "127.0.0.1", port, "you@mox.test", lambda: tree(running.process.pid))
            )
        if (another := chasquid(folder / "chasquid", stack, tls)) is not None:
            found.append(another)
        if "MOX_ADDRESS" in os.environ and "MOX_RECIPIENT" in os.environ:
            host, _, number = os.environ["MOX_ADDRESS"].rpartition(":")
            found.append(Subject("mox", host, int(number), os.environ["MOX_RECIPIENT"], list))
        else:
            print("mox is not given (MOX_ADDRESS, MOX_RECIPIENT): left out")
        yield found, messages


def main() -> int:
    """Runs it all, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--no-flushes", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="mox-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with subjects(folder) as (found, messages):
            for subject in found:
                load(
                    subject.address,
                    subject.port,
                    messages[4096],
                    count=50,
                    sessions=4,
                    sender="a@sender.test",
                    recipient=subject.recipient,
                )
            for size, sessions in [*((4096, n) for n in SESSIONS), *((LARGE, n) for n in LARGE_SESSIONS)]:
                message, count = messages[size], options.messages if size == 4096 else options.messages // 2
                for subject in found:
                    before = cpu_seconds(subject.pids())
                    seconds = load(
                        subject.address, subject.port, message, count=count, sessions=sessions,
                        sender="a@sender.test", recipient=subject.recipient,
                    )  # fmt: skip
                    time.sleep(1.5 if subject.name in SETTLES else 0.1)
                    cpu = (cpu_seconds(subject.pids()) - before) / count * 1000
                    flushed = (
                        0.0
                        if options.no_flushes or size != 4096 or not subject.pids()
                        else flushes(subject, message, sessions, 200, "a@sender.test", folder)
                    )
                    rate = count / seconds
                    rows.append(
                        {
                            "size": size,
                            "sessions": sessions,
                            "server": subject.name,
                            "per_second": rate,
                            "cpu_ms": cpu,
                            "flushes": flushed,
                        }
                    )
                    print(
                        f"{size >> 10:>3} KB {sessions:>3} sessions  {subject.name:<18} {rate:>8.0f} msg/s"
                        f"  {cpu:>6.2f} ms CPU  {flushed:>5.2f} flushes/msg",
                        flush=True,
                    )
            big = folder / "big"
            with big.open("wb") as file:
                file.write(b"From: a@sender.test\nSubject: big\n\n")
                for _ in range(95 * 1024):
                    file.write(b"x" * 76 + b"\n" + b"y" * 946 + b"\n")
            load("127.0.0.1", found[0].port, big, count=1, sessions=1, sender="a@sender.test", recipient="you@mox.test")
            megabytes, peak = big.stat().st_size >> 20, peak_mb(found[0].pids())
            print(f"peak memory of moxd after a message of {megabytes} MB: {peak:.0f} MB")
    for size, sessions in sorted({(int(row["size"]), int(row["sessions"])) for row in rows}):  # type: ignore[call-overload]
        of = {row["server"]: row for row in rows if (row["size"], row["sessions"]) == (size, sessions)}
        for name in ("moxd, 1 worker", "moxd, 2 workers"):
            for peer in ("Postfix", "aiosmtpd + fsync", "chasquid", "mox"):
                if peer in of:
                    ratio = float(of[name]["per_second"]) / float(of[peer]["per_second"])  # type: ignore[arg-type]
                    cpu = float(of[peer]["cpu_ms"]) / max(float(of[name]["cpu_ms"]), 1e-9)  # type: ignore[arg-type]
                    what = f"{size >> 10:>3} KB {sessions:>3} sessions  {name} / {peer}"
                    print(f"{what}: {ratio:.2f} x messages/s, {cpu:.2f} x less CPU")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
