"""DKIM beside dkimpy, libopendkim and Mail::DKIM, in one run on one machine: RSA-2048, relaxed/relaxed.

    python bench/dkim.py [--quick]

Every verifier gets the octets of the message and its key from memory; ours is `verify_sync(message, resolver)`, header
and all.  Two kinds of body: prose, and one with runs of white space, tabs and trailing spaces in every line, which
costs most.  dkimpy is run by another Python, named by MOX_BENCH_PEERS=/path/to/bin/python (an environment that has it);
libopendkim needs cc and its headers (Debian: libopendkim-dev), Mail::DKIM perl (libmail-dkim-perl).  Times are CPU
microseconds per message, the least of several rounds, the peers in turn, because a machine is rarely one's own; a
ratio says how many times less we need."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which

from mox_dkim import KeyRecord, KeyType, PrivateKey, Signer, generate, plan_verify, verify_sync
from mox_dns import Zone, run_blocking
from mox_message import Content, Fields

NOW = 1_700_000_000
PEERS = Path(__file__).parent / "peers"

HEADER = (
    b"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n"
    b"\tby mx.example.net with ESMTPS id 1; Tue, 14 Nov 2023 22:13:21 +0000\r\n"
    b"From: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.net>\r\n"
    b"Subject: Minutes of the meeting, and what is to be done\r\n until the next one\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <20231114.221320@example.org>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
)
LINE = b"This is a line of  a message as people write them, with a\ttab here and there. \r\n"
PROSE = (
    b"We met on Tuesday to talk about the plan for the new office, and agreed that\r\n"
    b"nobody should move before the summer. Ann will ask for three offers and send\r\n"
    b"them round by Friday; please answer within a week, so that she can order.\r\n\r\n"
)
BODIES = {"prose": PROSE, "runs": LINE}
# name, octets of the body, calls a round
SIZES = (("4 KB", 4000, 800), ("10 KB", 10_000, 600), ("100 KB", 100_000, 100), ("1 MB", 10**6, 12))

DKIMPY = """
import dkim, sys, time
message, txt, count, rounds = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), *map(int, sys.argv[3:5])
best = 1e9
for _ in range(rounds):
    start = time.process_time()
    for _ in range(count):
        assert dkim.verify(message, dnsfunc=lambda name, timeout=5: txt)
    best = min(best, (time.process_time() - start) / count)
print(best * 1e6)
"""
DKIMPY_SIGN = """
import dkim, sys, time
message, key, count, rounds = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), *map(int, sys.argv[3:5])
best = 1e9
for _ in range(rounds):
    start = time.process_time()
    for _ in range(count):
        dkim.sign(message, b"sel", b"example.org", key, canonicalize=(b"relaxed", b"relaxed"))
    best = min(best, (time.process_time() - start) / count)
print(best * 1e6)
"""
# A file of 25 MB in a process of its own, whose largest memory is told: before, and after.
LARGE = """
import resource, sys
from pathlib import Path
from mox_dkim import verify_sync
from mox_dns import Zone
zone = Zone({"sel._domainkey.example.org TXT": [Path(sys.argv[2]).read_text()]})
small, large = Path(sys.argv[3]), Path(sys.argv[1])
assert verify_sync(small, zone)[0].status == "pass"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert verify_sync(large, zone)[0].status == "pass"
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def message(kind: str, size: int) -> bytes:
    """A message whose body has about `size` octets."""
    unit = BODIES[kind]
    return HEADER + (unit * (size // len(unit) + 1))[:size].rstrip() + b"\r\n"


def least(work: Callable[[], object], count: int, rounds: int) -> float:
    """CPU microseconds for one call: the least of the rounds."""
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


def signed(signer: Signer, plain: bytes) -> bytes:
    """The message with its signature in front."""
    return signer.sign(Fields.parse(plain), Content.of(plain), now=NOW) + plain


class Peers:
    """The other verifiers, as commands that take a message, a key record, a count and rounds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: dict[str, list[str]] = {}
        self.missing: dict[str, str] = {}
        python = os.environ.get("MOX_BENCH_PEERS", "")
        self._try("dkimpy", [python, "-c", DKIMPY], "set MOX_BENCH_PEERS to a Python that has it" * (not python))
        self._try("libopendkim", [str(folder / "opendkim_verify")], self._compile())
        perl = which("perl") or "perl"
        has = subprocess.run([perl, "-MMail::DKIM::Verifier", "-e1"], capture_output=True, check=False).returncode == 0
        self._try("Mail::DKIM", [perl, str(PEERS / "mail_dkim.pl")], "" if has else "libmail-dkim-perl is not here")
        for name, why in self.missing.items():
            print(f"{name}: not measured; {why}")

    def _try(self, name: str, command: list[str], trouble: str) -> None:
        if trouble:
            self.missing[name] = trouble
        else:
            self.commands[name] = command

    def _compile(self) -> str:
        compiler = which("cc")
        if compiler is None:
            return "no cc"
        source, target = PEERS / "opendkim_verify.c", self.folder / "opendkim_verify"
        done = subprocess.run(
            [compiler, "-O2", str(source), "-o", str(target), "-lopendkim"], capture_output=True, text=True, check=False
        )
        return "libopendkim-dev is not here" if done.returncode else ""

    def times(self, data: Path, record: Path, count: int, rounds: int) -> dict[str, float]:
        """CPU microseconds of each for one message."""
        made = {}
        for name, command in self.commands.items():
            calls = max(2, count // (8 if name in ("dkimpy", "Mail::DKIM") else 1))
            done = subprocess.run(
                [*command, str(data), str(record), str(calls), str(rounds)], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                made[name] = float(done.stdout)
            else:
                print(f"{name}: failed with {done.returncode}: {done.stderr.strip()[-200:]}")
        return made


def show(name: str, mine: float, theirs: dict[str, float]) -> None:
    """One line of the table."""
    cells = [f"{theirs[peer]:10.0f} {theirs[peer] / mine:5.1f}x" if peer in theirs else " " * 17 for peer in COLUMNS]
    print(f"{name:22}{mine:10.1f}{''.join(cells)}")


COLUMNS = ("dkimpy", "libopendkim", "Mail::DKIM")


def verify(peers: Peers, key: PrivateKey, zone: Zone, scale: int) -> None:
    """The table of verifying."""
    signer, folder = Signer("example.org", "sel", key), peers.folder
    record = folder / "record"
    record.write_text(str(KeyRecord.of(key)))
    print(f"{'CPU, microseconds':22}{'mox-dkim':>10}" + "".join(f"{name:>17}" for name in COLUMNS))
    for kind in BODIES:
        for name, size, count in SIZES:
            data = signed(signer, message(kind, size))
            path = folder / "message"
            path.write_bytes(data)

            def work(data: bytes = data) -> None:
                zone.asked.clear()
                assert verify_sync(data, zone, now=NOW)[0].status == "pass"

            mine, theirs = 1e9, dict[str, float]()
            for _ in range(1 if scale > 1 else 3):  # in turn: what slows one round down slows down all
                mine = min(mine, least(work, count // scale, 2))
                for peer, spent in peers.times(path, record, count // scale, 2).items():
                    theirs[peer] = min(spent, theirs.get(peer, 1e9))
            show(f"verify {name} {kind}", mine, theirs)


def rest(peers: Peers, key: PrivateKey, zone: Zone, scale: int) -> None:
    """Signing, and what verifying consists of."""
    plain = message("prose", 4000)
    content, fields = Content.of(plain), Fields.parse(plain)
    signer, small = Signer("example.org", "sel", key), generate(KeyType.ED25519)
    zone.add("small._domainkey.example.org TXT", [str(KeyRecord.of(small))])
    (peers.folder / "key").write_bytes(key.pem())
    (peers.folder / "message").write_bytes(plain)
    theirs: dict[str, float] = {}
    if "dkimpy" in peers.commands:
        python = peers.commands["dkimpy"][0]
        done = subprocess.run(
            [python, "-c", DKIMPY_SIGN, peers.folder / "message", peers.folder / "key", str(max(2, 40 // scale)), "3"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        theirs["dkimpy"] = float(done.stdout)
    sign = least(lambda: signer.sign(fields, content, now=NOW), 400 // scale, 5)
    show("sign 4 KB", sign, theirs)
    bare = least(lambda: key.sign(bytes(32)), 400 // scale, 5)
    print(f"{'RSA-2048 sign alone':22}{bare:10.1f}   signing a message takes {sign / bare:.2f} times that")
    public, signature = key.public(), key.sign(bytes(32))
    print(f"{'RSA-2048 verify alone':22}{least(lambda: public.verifies(signature, bytes(32)), 1000 // scale, 5):10.1f}")
    data = signed(Signer("example.org", "small", small), plain)
    print(f"{'verify 4 KB Ed25519':22}{least(lambda: verify_sync(data, zone, now=NOW), 300 // scale, 3):10.1f}")
    data = signed(signer, plain)
    content, fields = Content.of(data), Fields.parse(data)

    def known() -> None:
        for plan in plan_verify(content, fields, now=NOW):
            run_blocking(plan, zone)

    print(f"{'verify 4 KB, header read':22}{least(known, 800 // scale, 5):10.1f}")
    content, fields = Content.of(plain), Fields.parse(plain)
    print(f"{'unsigned 4 KB':22}{least(lambda: plan_verify(content, fields, now=NOW), 2000 // scale, 5):10.1f}")


def memory(peers: Peers, key: PrivateKey) -> None:
    """What a file of 25 MB adds to the memory of a process."""
    signer = Signer("example.org", "sel", key)
    for name, size in (("small", 4000), ("large", 25 * 10**6)):
        (peers.folder / name).write_bytes(signed(signer, message("runs", size)))
    (peers.folder / "record").write_text(str(KeyRecord.of(key)))
    where = [str(peers.folder / name) for name in ("large", "record", "small")]
    done = subprocess.run([sys.executable, "-c", LARGE, *where], capture_output=True, text=True, check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"a file of 25 MB: {int(done.stdout) / 1024:.1f} MB more memory ({spent.ru_maxrss // 1024} MB largest child)")


def main() -> None:
    """Measures and prints."""
    scale = 4 if "--quick" in sys.argv else 1
    key = generate(KeyType.RSA)
    zone = Zone({"sel._domainkey.example.org TXT": [str(KeyRecord.of(key))]})
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(Path(folder))
        verify(peers, key, zone, scale)
        rest(peers, key, zone, scale)
        memory(peers, key)


if __name__ == "__main__":
    main()
