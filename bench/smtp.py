"""SMTP in, into the bin: CPU per message of the server's process, beside aiosmtpd and Postfix's smtp-sink.

    python bench/smtp.py [--messages N] [--rounds N] [--sessions N] [--json FILE]

Postfix's smtp-source sends; 4 KB and 100 KB, over connections that are kept and over one for each message.  The servers
take turns in each round, and the middle of the rounds counts.  A last line is the session core alone: no sockets."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZES = {"4 KB": 4096, "100 KB": 102_400}
SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""
SOURCE = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def serve_mox(port: int, *, uvloop: bool) -> None:
    """Ours: everything is taken and forgotten."""
    from mox_smtp import MessageEnd, Reply, ServerConfig
    from mox_smtp.aio import serve

    taken = Reply(250, "taken", "2.0.0")

    class Discard:
        def answer(self, event: object) -> Reply | None:
            return taken if type(event) is MessageEnd else None

        def closed(self, why: str) -> None:
            pass

    async def run() -> None:
        sock = socket.create_server(("127.0.0.1", port), backlog=1024)
        config = ServerConfig("mx.example")
        await serve(lambda connection: Discard(), sock, config)
        await asyncio.Event().wait()

    if uvloop:
        import uvloop as fast

        fast.run(run())
    else:
        asyncio.run(run())


def serve_aiosmtpd(port: int) -> None:
    """aiosmtpd with its own discarding handler, in its thread-free form."""
    from aiosmtpd.controller import UnthreadedController
    from aiosmtpd.handlers import Sink

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    UnthreadedController(Sink(), hostname="127.0.0.1", port=port, loop=loop).begin()
    loop.run_forever()


def serve_sink(port: int) -> None:
    """Postfix's smtp-sink takes this process' place."""
    os.execv(SINK, [SINK, "-4", *(["-u", "nobody"] if os.geteuid() == 0 else []), f"127.0.0.1:{port}", "1024"])


SERVERS: dict[str, Callable[[int], None]] = {
    "mox-smtp, uvloop": lambda port: serve_mox(port, uvloop=True),
    "mox-smtp, asyncio": lambda port: serve_mox(port, uvloop=False),
    "aiosmtpd": serve_aiosmtpd,
    "smtp-sink": serve_sink,
}


class Child:
    """A server in a process of its own."""

    def __init__(self, name: str, port: int) -> None:
        self.port = port
        self.pid = os.fork()
        if not self.pid:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            try:
                SERVERS[name](port)
            finally:
                os._exit(1)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{name} does not answer")

    def cpu(self) -> float:
        """Seconds, user and system."""
        # Nanoseconds on the CPU, user and kernel together; /proc/PID/stat counts in hundredths of a second.
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def end(self) -> None:
        """Ends it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def load(port: int, size: int, count: int, sessions: int, *, keep: bool) -> float:
    """Sends `count` messages; seconds on the clock."""
    command = [SOURCE, "-4", *(["-d"] if keep else []), "-s", str(sessions), "-m", str(count), "-l", str(size)]
    began = time.monotonic()
    done = subprocess.run([*command, f"127.0.0.1:{port}"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return time.monotonic() - began


def core(count: int, size: int) -> float:
    """Seconds of CPU for a message in the session core alone, one session each."""
    from mox_smtp import MessageEnd, Reply, ServerConfig, SmtpServer

    lines = [
        b"EHLO a.example\r\n", b"MAIL FROM:<a@a.example>\r\n", b"RCPT TO:<b@b.example>\r\n", b"DATA\r\n",
        (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n", b"QUIT\r\n",
    ]  # fmt: skip
    config, taken = ServerConfig("mx.example"), Reply(250, "taken", "2.0.0")
    began = time.process_time()
    for _ in range(count):
        session = SmtpServer(config, now=0.0)
        for line in [b"", *lines]:
            if line:
                session.receive(line, 0.0)
            while (event := session.next_event()) is not None:
                session.send(taken if type(event) is MessageEnd else None)
            session.outgoing()
    return (time.process_time() - began) / count


def names() -> list[str]:
    """The servers that are to be had here."""
    found = list(SERVERS)
    for module, name in (("uvloop", "mox-smtp, uvloop"), ("aiosmtpd", "aiosmtpd")):
        try:
            __import__(module)
        except ImportError:
            print(f"{module} is not installed: left out")
            found.remove(name)
    return found


def main() -> int:
    """Runs it all, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not SOURCE or not SINK:
        print("smtp-source and smtp-sink are not installed (Debian package postfix)", file=sys.stderr)
        return 69
    rows = []
    children = {name: Child(name, port) for port, name in enumerate(names(), 22500 + os.getpid() % 1000 * 4)}
    try:
        for keep in (True, False):
            for label, size in SIZES.items():
                count = options.messages if size < 50_000 else options.messages // 4
                rows += measure(children, label, size, count, options, keep=keep)
    finally:
        for child in children.values():
            child.end()
    alone = min(core(1000, 4096) for _ in range(3)) * 1e6
    print(f"the session core alone, 4 KB, a session each: {alone:.0f} us CPU/msg")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"(all children together: {usage.ru_utime + usage.ru_stime:.0f} s CPU)")
    if options.json:
        options.json.write_text(json.dumps([*rows, {"server": "core", "us": alone}], indent=1))
    return 0


def measure(
    children: dict[str, Child], label: str, size: int, count: int, options: argparse.Namespace, *, keep: bool
) -> list[dict[str, object]]:
    """One line of the table for each server: the median of the rounds, and how many times that is of ours."""
    cpu: dict[str, list[float]] = {name: [] for name in children}
    rate: dict[str, list[float]] = {name: [] for name in children}
    for number in range(options.rounds + 1):
        for name, child in children.items():
            before = child.cpu()
            seconds = load(child.port, size, count, options.sessions, keep=keep)
            if number:  # the first warms up
                cpu[name].append((child.cpu() - before) / count * 1e6)
                rate[name].append(count / seconds)
    how = "connections kept" if keep else "a connection each"
    ours = statistics.median(next(iter(cpu.values())))
    rows: list[dict[str, object]] = []
    for name in children:
        middle, speed = statistics.median(cpu[name]), statistics.median(rate[name])
        print(
            f"{label:>6}, {how:<17} {name:<18} {middle:>7.0f} us CPU/msg {speed:>8.0f} msg/s  {middle / ours:>6.2f} x"
        )
        rows.append({"size": size, "kept": keep, "server": name, "us": middle, "per_second": speed})
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
