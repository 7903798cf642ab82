"""Mailboxes on disk beside Dovecot (sdbox), both over TLS and both as they come: the whole moxd, one worker, against
dovecot-imapd.

    python3 noxfile.py bench mailboxes       (or: python bench/mailboxes.py [--messages N] [--select N] [--rows WORD …]
                                              [--flush-us N])

2,000 messages of 4 KB, 50,000 small ones for SELECT.  The same raw client for both, in turns, the best of several;
> 1 means that Dovecot takes longer.  moxd has each change on disk before its OK, with one sync for all that came
meanwhile; Dovecot syncs what is appended, but not flags.  Flushes (fsync, fdatasync) are counted by strace in a pass of
their own.  Where a flush costs next to nothing (some virtual disks), --flush-us 600 makes every one take 0.6 ms longer
for all, as an SSD's does.  mox is measured where MOX_ADDRESS (host:port of its IMAPS), MOX_USER and MOX_PASSWORD are
given."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Not the folder of this file: bench/dns.py would be taken for dnspython.
sys.path[:1] = [str(ROOT / "tests")]


from kit import dovecot as dovecot_kit  # noqa: E402
from kit.dovecot import dovecot  # noqa: E402
from kit.processes import Running, answers, program, tree  # noqa: E402
from kit.server import PASSWORD, configure, moxd  # noqa: E402
from kit.stubdns import stub_dns  # noqa: E402

TURNS = 5
SLOWED = ("LD_PRELOAD", "FLUSH_US")
BODY = b"".join(b"line %d of some text that nobody reads to its end\r\n" % n for n in range(66))


def message(number: int, body: bytes = BODY) -> bytes:
    """About 4 KB, each with a subject and an id of its own; a multipart/alternative as most mail is."""
    head = (
        b"Received: from a.example by b.example with ESMTPS id %d; Tue, 24 Nov 2026 10:00:00 +0000\r\n"
        b"From: Kim Lee <kim%d@example.org>\r\nTo: You <you@mox.test>\r\nSubject: number %d of many\r\n"
        b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@bench.test>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n' % (number, number % 50, number, number)
    )
    half = body[: len(body) // 2]
    return (
        head + b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + half
        + b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>" + half + b"</p>\r\n--b--\r\n"
    )  # fmt: skip


@dataclass
class Subject:
    """A server under test."""

    name: str
    host: str
    port: int
    user: str
    password: str
    pid: int

    def connect(self) -> Connection:
        return Connection(self)

    def cpu(self) -> float:
        return cpu(self.pid) if self.pid else 0.0


class Connection:
    """A client that reads as little as it can into what it hears."""

    def __init__(self, subject: Subject) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection((subject.host, subject.port), 60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(plain)
        self.sock.recv(65536)
        self.ask(f'LOGIN "{subject.user}" "{subject.password}"'.encode())

    def ask(self, command: bytes) -> int:
        """Octets of the answer."""
        self.sock.sendall(b"a1 " + command + b"\r\n")
        size, tail = 0, b""
        while True:
            data = self.sock.recv(1 << 18)
            size += len(data)
            tail = (tail + data)[-2000:]
            last = tail.rfind(b"\r\na1 ")
            if not data:
                raise ConnectionError(tail)
            if tail.endswith(b"\r\n") and (last >= 0 or tail.startswith(b"a1 ")):
                if b"a1 OK" not in tail:
                    raise RuntimeError(f"{command[:200]!r}: {tail[-300:]!r}")
                return size

    def append(self, mailbox: bytes, *messages: bytes) -> None:
        self.ask(b"APPEND " + mailbox + b"".join(b" {%d+}\r\n%s" % (len(one), one) for one in messages))

    def close(self) -> None:
        self.sock.close()


@dataclass(frozen=True)
class Row:
    """What was measured: seconds of wall clock and of CPU for each subject, and what was asked for."""

    name: str
    target: float
    seconds: dict[str, float]
    cpu: dict[str, float]

    def ratio(self, peer: str) -> float:
        return self.seconds[peer] / self.seconds["moxd"]

    def line(self) -> str:
        ours = f"{self.seconds['moxd'] * 1e3:9.2f} ({self.cpu['moxd'] * 1e3:7.1f})"
        parts = [f"{self.name:<46} {ours}"]
        for peer in self.seconds:
            if peer != "moxd":
                ratio, used = self.ratio(peer), self.cpu[peer] / max(self.cpu["moxd"], 1e-9)
                met = "ok" if ratio >= self.target else "MISSED"
                parts.append(
                    f"{peer} {self.seconds[peer] * 1e3:9.2f} ({self.cpu[peer] * 1e3:7.1f})  {ratio:6.2f} x"
                    f" (CPU {used:5.2f} x)  asked {self.target:g} x {met if peer == 'Dovecot' else ''}"
                )
        return "   ".join(parts)


@contextmanager
def subjects(folder: Path) -> Iterator[list[Subject]]:
    with ExitStack() as stack:
        dns = stack.enter_context(stub_dns({}))
        ports = configure(folder / "moxd", dns=dns, workers=1, extra="connections_per_minute = 0")
        server = stack.enter_context(moxd(folder / "moxd", ports))
        tls = folder / "moxd" / "tls"
        certificate, key = tls / "server.pem", tls / "server-key.pem"
        preloaded = " ".join(f"{name}={os.environ[name]}" for name in SLOWED if name in os.environ)
        peer = stack.enter_context(dovecot(folder / "dovecot", certificate, key, environment=preloaded))
        found = [
            Subject("moxd", "127.0.0.1", ports["imaps"], "you@mox.test", PASSWORD, server.pids()[0]),
            Subject("Dovecot", "127.0.0.1", peer.imaps, "kim", dovecot_kit.PASSWORD, peer.process),
        ]
        if "MOX_ADDRESS" in os.environ:
            host, _, port = os.environ["MOX_ADDRESS"].rpartition(":")
            found.append(Subject("mox", host, int(port), os.environ["MOX_USER"], os.environ["MOX_PASSWORD"], 0))
        else:
            print("mox is not given (MOX_ADDRESS, MOX_USER, MOX_PASSWORD): left out")
        yield found


@contextmanager
def slow_flushes(folder: Path, microseconds: int) -> Iterator[None]:
    """What is started meanwhile takes that much longer for every flush."""
    if not microseconds:
        yield
        return
    library = folder / "slow_flush.so"
    source = Path(__file__).parent / "peers" / "slow_flush.c"
    subprocess.run([program("cc", "gcc"), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    library.chmod(0o755)
    os.environ |= dict(zip(SLOWED, (str(library), str(microseconds)), strict=True))
    try:
        yield
    finally:
        for name in SLOWED:
            del os.environ[name]


class Bench:
    """All rows, in the order in which they need each other."""

    def __init__(self, found: list[Subject], options: argparse.Namespace) -> None:
        self.found = found
        self.options = options
        self.count: int = options.messages
        self.rows: list[Row] = []
        self.extra: dict[str, float] = {}

    def measure(
        self, name: str, target: float, work: Callable[[Subject, Connection], int | None], *, turns: int = TURNS,
        before: Callable[[Subject, Connection], object] = lambda subject, connection: None,
    ) -> None:  # fmt: skip
        """Runs `work` for all in turns; what it returns is how many of them were done."""
        if self.options.rows and not any(word.lower() in name.lower() for word in self.options.rows):
            return
        seconds: dict[str, float] = {}
        used: dict[str, float] = {}
        for subject in self.found:
            connection = subject.connect()
            tries = []
            for _ in range(turns):
                before(subject, connection)
                busy, began = subject.cpu(), time.perf_counter()
                times = work(subject, connection) or 1
                tries.append(((time.perf_counter() - began) / times, (subject.cpu() - busy) / times))
            seconds[subject.name], used[subject.name] = min(tries)
            connection.close()
        self.rows.append(Row(name, target, seconds, used))
        print(self.rows[-1].line(), flush=True)

    def fill(self, subject: Subject, name: bytes, count: int, body: bytes = BODY) -> None:
        connection = subject.connect()
        connection.ask(b"CREATE " + name)
        for start in range(0, count, 100):
            connection.append(name, *(message(n, body) for n in range(start, min(count, start + 100))))
        connection.close()

    # -- rows

    def appends(self) -> None:
        each = max(20, self.count // 8)

        def one(subject: Subject, connection: Connection) -> int:
            for number in range(each):
                connection.append(b"Appends", message(number))
            return each

        def eight(subject: Subject, connection: Connection) -> int:
            connections = [subject.connect() for _ in range(8)]
            barrier = threading.Barrier(9)

            def run(own: Connection) -> None:
                barrier.wait()
                for number in range(each):
                    own.append(b"Appends", message(number))

            threads = [threading.Thread(target=run, args=(own,)) for own in connections]
            for thread in threads:
                thread.start()
            barrier.wait()
            for thread in threads:
                thread.join()
            for own in connections:
                own.close()
            return 8 * each

        def many(subject: Subject, connection: Connection) -> int:
            for start in range(0, self.count, 100):
                connection.append(b"Appends", *(message(n) for n in range(start, start + 100)))
            return self.count

        for subject in self.found:
            subject.connect().ask(b"CREATE Appends")
        self.measure("APPEND, 1 connection", 1.3, one, turns=3)
        self.measure("APPEND, 8 connections", 3, eight, turns=3)
        self.measure("MULTIAPPEND of 100", 5, many, turns=2)

    def fetches(self) -> None:
        turn = iter(range(100))

        def fresh(subject: Subject, connection: Connection) -> None:
            name = b"Fresh%d" % next(turn)
            self.fill(subject, name, self.count)
            connection.ask(b"SELECT " + name)

        def asks(command: bytes, times: int = 1) -> Callable[[Subject, Connection], int]:
            def run(subject: Subject, connection: Connection) -> int:
                for _ in range(times):
                    for one in command.split(b"|"):
                        connection.ask(one)
                return times

            return run

        def opened(subject: Subject, connection: Connection) -> None:
            connection.ask(b"SELECT Many")

        first = b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)"
        self.measure("first FETCH after delivery", 5, asks(first), turns=2, before=fresh)
        for subject in self.found:
            self.fill(subject, b"Many", self.count)
            connection = subject.connect()
            connection.ask(b"SELECT Many")
            connection.ask(b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER])")
            connection.ask(b"UID STORE 1:%d +FLAGS.SILENT (\\Seen)" % (self.count // 2))
            connection.close()
        headers = b"FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)]"
        for name, target, command, times in (
            ("FETCH 1:* FLAGS", 1, b"FETCH 1:* FLAGS", 3),
            ("FETCH 1:* ENVELOPE", 1, b"FETCH 1:* ENVELOPE", 1),
            ("FETCH 1:* BODYSTRUCTURE", 1, b"FETCH 1:* BODYSTRUCTURE", 1),
            ("FETCH 1:* HEADER.FIELDS", 1, headers, 1),
            ("FETCH 1:* BODY[] (all bodies)", 2, b"FETCH 1:* BODY.PEEK[]", 1),
            ("SEARCH TEXT", 6, b"SEARCH TEXT zzzzqq", 1),
            ("SEARCH SUBJECT", 3, b"SEARCH SUBJECT zzzzqq", 1),
            ("SEARCH UNSEEN", 1, b"SEARCH UNSEEN", 20),
            ("STORE 1:* (on and off)", 1, b"STORE 1:* +FLAGS (\\Flagged)|STORE 1:* -FLAGS (\\Flagged)", 1),
            (
                "STORE 1 (durable; Dovecot does not sync it)",
                0.5,
                b"STORE 7 +FLAGS (\\Flagged)|STORE 7 -FLAGS (\\Flagged)",
                50,
            ),
        ):
            self.measure(name, target, asks(command, times), before=opened)
        places = iter(range(100))

        def place(subject: Subject, connection: Connection) -> None:
            self.target = b"Copies%d" % next(places)
            connection.ask(b"CREATE " + self.target)
            connection.ask(b"SELECT Many")

        self.measure("COPY 1:*", 6, lambda s, c: c.ask(b"COPY 1:* " + self.target) and 1, turns=3, before=place)

        def deleted(subject: Subject, connection: Connection) -> None:
            place(subject, connection)
            connection.ask(b"COPY 1:* " + self.target)
            connection.ask(b"SELECT " + self.target)
            connection.ask(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")

        self.measure("EXPUNGE of all", 6, lambda s, c: c.ask(b"EXPUNGE") and 1, turns=3, before=deleted)

    def select(self) -> None:
        count: int = self.options.select
        if not count or (self.options.rows and not any("select" in word.lower() for word in self.options.rows)):
            return
        for subject in self.found:
            self.fill(subject, b"Large", count, b"x\r\n")
            subject.connect().ask(b"SELECT Large")

        def run(subject: Subject, connection: Connection) -> int:
            for _ in range(10):
                connection.ask(b"SELECT Large")
                connection.ask(b"SELECT INBOX")
            return 10

        self.measure(f"SELECT of {count}, cached", 1, run)

    def idle(self) -> None:
        if self.options.rows and not any(word.lower() in "idle memory" for word in self.options.rows):
            return
        for subject in self.found:
            for sessions, most in ((50, 5), (500, 20)):
                try:
                    self._idle(subject, sessions, most)
                except (OSError, RuntimeError) as error:
                    print(f"{subject.name}: {sessions} sessions at a time are more than it takes ({error})")

    def _idle(self, subject: Subject, sessions: int, most: int) -> None:
        idlers: list[Connection] = []
        before = 0.0
        try:
            for number in range(sessions):
                if number == sessions // 2:  # what is loaded at first use is not a session's
                    before = resident(subject.pid) if subject.pid else 0.0
                one = subject.connect()
                idlers.append(one)
                one.ask(b"SELECT INBOX")
                one.sock.sendall(b"a2 IDLE\r\n")
                while b"+ " not in one.sock.recv(4096):
                    pass
            if subject.pid:
                each = (resident(subject.pid) - before) / (sessions - sessions // 2)
                self._say(f"{subject.name}: KB of memory per idle TLS session, {sessions} of them", each, 40)
            writer = subject.connect()
            idlers.append(writer)
            times = [_told(writer, idlers[:-1], number) * 1e3 for number in range(11)]
            self._say(
                f"{subject.name}: ms from APPEND to the last EXISTS, {sessions} sessions",
                statistics.median(times),
                most,
            )
        finally:
            for one in idlers:
                one.close()

    def _say(self, name: str, value: float, most: float) -> None:
        self.extra[name] = value
        print(f"{name}: {value:.1f} (asked {most:g})", flush=True)

    def flushes(self, folder: Path) -> None:
        if self.options.rows and not any(word.lower() in "flushes" for word in self.options.rows):
            return
        for subject in self.found:
            if not subject.pid:
                continue
            connection = subject.connect()
            connection.ask(b"CREATE Flushes")
            connection.ask(b"SELECT Flushes")
            connection.append(b"Flushes", message(0))
            for name, work, times in (
                ("APPEND", lambda c=connection: [c.append(b"Flushes", message(n)) for n in range(50)], 50),
                ("MULTIAPPEND of 100", lambda c=connection: c.append(b"Flushes", *map(message, range(100))), 1),
                (
                    "STORE",
                    lambda c=connection: [c.ask(b"STORE 1 %sFLAGS (\\Seen)" % b"+-"[n % 2 :][:1]) for n in range(50)],
                    50,
                ),
            ):
                log = folder / "strace.log"
                tracer = subprocess.Popen(
                    [program("strace", "strace"), "-f", "-q", "-e", "trace=fsync,fdatasync", "-o", str(log),
                     *[flag for pid in tree(subject.pid) for flag in ("-p", str(pid))]],
                    stderr=subprocess.DEVNULL,
                )  # fmt: skip
                time.sleep(0.7)
                work()
                time.sleep(0.3)
                tracer.send_signal(signal.SIGINT)
                tracer.wait()
                count = len(re.findall(r"(?:fsync|fdatasync)\(\d+\)", log.read_text())) / times
                self.extra[f"{subject.name}: flushes for {name}"] = count
                print(f"{subject.name}: {count:.2f} flushes for {name}")
            connection.close()


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and all below it, to the nanosecond."""
    used = 0
    for one in tree(pid):
        for task in Path(f"/proc/{one}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                used += int(task.read_text().split()[0])
    return used / 1e9


def resident(pid: int) -> float:
    """KB, of a process and all below it, shared pages in proportion."""
    total = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except (FileNotFoundError, PermissionError):
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return float(total)


def _told(writer: Connection, idlers: list[Connection], number: int) -> float:
    """Seconds from an APPEND's first octet until the last session has heard of it."""
    waiting = {one.sock.fileno(): one for one in idlers}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    began = time.perf_counter()
    writer.append(b"INBOX", message(number))
    heard: dict[int, bytes] = dict.fromkeys(waiting, b"")
    while waiting:
        for descriptor, _ in poll.poll(10_000) or [(-1, 0)]:
            if descriptor < 0:
                raise TimeoutError(f"{len(waiting)} sessions heard nothing")
            heard[descriptor] += waiting[descriptor].sock.recv(4096) if descriptor in waiting else b""
            if b" EXISTS\r\n" in heard[descriptor]:
                waiting.pop(descriptor, None)
                poll.unregister(descriptor)
    return time.perf_counter() - began


def start_to_banner(folder: Path) -> tuple[float, float]:
    """(seconds from the program's start to its first banner, MB of an idle worker) with compiled modules at hand."""
    with stub_dns({}) as dns:
        ports = configure(folder, dns=dns, workers=1)
        command = [sys.executable, "-m", "moxd", "serve", "--config", str(folder)]
        best = 9.0
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        for _ in range(4):
            began = time.perf_counter()
            running = Running(command, folder, "start", environment)
            while not answers(ports["imaps"], "127.0.0.1"):
                time.sleep(0.005)
            best = min(best, time.perf_counter() - began)
            time.sleep(0.5)
            memory = resident(running.process.pid) / 1024
            running.kill()
    return best, memory


def main() -> int:
    """Runs it all, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--select", type=int, default=50_000, help="messages for SELECT; 0: not at all")
    parser.add_argument("--rows", nargs="*", help="only rows with one of these words in their name")
    parser.add_argument("--flush-us", type=int, default=0, help="microseconds that every flush takes longer, for all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("Dovecot can only be started by root")
        return 1
    with tempfile.TemporaryDirectory(prefix="mox-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with slow_flushes(folder, options.flush_us), subjects(folder) as found:
            print("milliseconds of wall clock (of CPU) each; > 1: Dovecot takes longer")
            bench = Bench(found, options)
            bench.appends()
            bench.fetches()
            bench.select()
            bench.flushes(folder)
            bench.idle()
        seconds, memory = start_to_banner(folder / "start")
        bench.extra |= {"moxd: s from start to the first banner": seconds, "moxd: MB of an idle worker": memory}
        print(f"start to the first banner: {seconds:.2f} s (asked 0.6); an idle worker: {memory:.0f} MB (asked 60)")
    if options.json:
        rows = [{"name": r.name, "target": r.target, "seconds": r.seconds, "cpu": r.cpu} for r in bench.rows]
        options.json.write_text(json.dumps({"rows": rows, "extra": bench.extra}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
