"""DMARC beside authheaders and Mail::DMARC, in one run on one machine: the verdict for a message, DNS from a table.

    python bench/dmarc.py [--quick]

authheaders is run by another Python: name it with MOX_BENCH_PEERS=/path/to/bin/python (an environment that has it).
Mail::DMARC needs perl (Debian: libmail-dmarc-perl) and is measured twice: with an object for each message, as its
manual shows, and with one that is kept.  All are asked for the verdict of a From domain, without reading a message.
CPU microseconds, the least of several rounds; a ratio says how many times less we need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which

from mox_dmarc import Mode, Pass, Record, check_sync
from mox_dmarc.record import _record
from mox_dns import Domain, Zone

RECORD = "v=DMARC1; p=reject; sp=quarantine; adkim=r; aspf=r; rua=mailto:dmarc@example.com; fo=1"

# From domain, domain that DKIM passed for
CASES = {
    "identical": ("example.com", "example.com"),
    "relaxed": ("news.example.com", "mail.example.com"),
    "not aligned": ("example.com", "example.net"),
}

PEER = """
import json, sys, time
from authheaders import dmarc_per_from
from authres import DKIMAuthenticationResult
job = json.load(sys.stdin)
table = {"_dmarc.example.com": job["record"]}
def dns(name, timeout=5):
    return table.get((name.decode() if isinstance(name, bytes) else name).rstrip("."))
def least(work, count, rounds):
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6
out = {}
for name, (author, signer) in job["cases"].items():
    dkim = DKIMAuthenticationResult(result="pass", header_d=signer)
    for key, bis in (("", True), (", RFC 7489", False)):
        work = lambda: dmarc_per_from(author, dkim_result=dkim, dnsfunc=dns, dmarcbis=bis)
        try:
            out[name + key] = least(work, job["count"], job["rounds"])
        except Exception as error:
            print(f"{name}{key}: {error!r}", file=sys.stderr)
print(json.dumps(out))
"""


def least(work: Callable[[], object], count: int, rounds: int) -> float:
    """CPU microseconds for one call: the least of the rounds, as the machine is not ours alone."""
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


def peer(job: dict[str, object]) -> dict[str, float]:
    """authheaders' times, {} where it is not to be had."""
    python = os.environ.get("MOX_BENCH_PEERS", "")
    if not python:
        print("authheaders: not measured; set MOX_BENCH_PEERS to a Python that has it")
        return {}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"authheaders: not measured; {python} says: {done.stderr.strip().splitlines()[-1]}")
        return {}
    if done.stderr:
        print(done.stderr.strip())
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def perl(way: str, count: int, rounds: int) -> dict[str, float]:
    """Mail::DMARC's times, {} where it is not to be had; `way` is new or kept.  It knows RFC 7489 only."""
    program = which("perl")
    script = Path(__file__).parent / "peers" / "mail_dmarc.pl"
    if program is None or subprocess.run([program, "-MMail::DMARC::PurePerl", "-e1"], capture_output=True).returncode:
        print("Mail::DMARC: not measured; libmail-dmarc-perl is not here")
        return {}
    made = {}
    for name, (author, signer) in CASES.items():
        done = subprocess.run(
            [program, str(script), author, signer, RECORD, str(count), str(rounds), way],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        made[name] = made[f"{name}, RFC 7489"] = float(done.stdout)
    return made


def reports(rounds: int) -> None:
    """Reading and writing an aggregate report of a thousand rows, for each row."""
    from mox_dmarc import (
        AggregateReport,
        Disposition,
        DkimAuth,
        Metadata,
        PolicyPublished,
        Request,
        Row,
        SpfAuth,
        pack,
        read_aggregate,
        to_xml,
    )

    rows = tuple(
        Row(
            f"192.0.{n // 250}.{n % 250 + 1}", n + 1, Disposition.PASS, True, False, "example.com", "example.com", "",
            (), (DkimAuth("example.com", "sel", "pass"),), (SpfAuth("example.com", "fail", "mfrom"),),
        )
        for n in range(1000)
    )  # fmt: skip
    report = AggregateReport(
        Metadata("a", "b@c.example", "d", 1, 2), PolicyPublished("example.com", Request.NONE), rows
    )
    packed = pack(to_xml(report))
    print(f"report row read                 {least(lambda: read_aggregate(packed), 2, rounds) / 1000:10.1f}")
    print(f"report row written              {least(lambda: to_xml(report), 2, rounds) / 1000:10.1f}")


def main() -> None:
    """Measures and prints."""
    rounds, scale = (2, 4) if "--quick" in sys.argv else (5, 1)
    zone = Zone({"_dmarc.example.com TXT": [RECORD]})
    ours: dict[str, float] = {}
    for name, (author, signer) in CASES.items():
        passes = [Pass("dkim", Domain(signer))]
        for key, mode in (("", Mode.RFC9989), (", RFC 7489", Mode.RFC7489)):

            def work(author: str = author, passes: list[Pass] = passes, mode: Mode = mode) -> None:
                zone.asked.clear()
                check_sync(Domain(author), passes, zone, mode=mode)

            work()  # reads the suffix list once
            ours[name + key] = least(work, 2000 // scale, rounds)

    def parse() -> None:
        _record.cache_clear()
        Record.parse(RECORD)

    ours["record alone, not seen before"] = least(parse, 2000 // scale, rounds)
    columns = {
        "authheaders": peer({"record": RECORD, "cases": CASES, "count": max(2, 20 // scale), "rounds": rounds}),
        "Mail::DMARC": perl("new", 200 // scale, rounds),
        "the same kept": perl("kept", 400 // scale, rounds),
    }
    print(f"{'CPU, microseconds':32}{'mox-dmarc':>10}" + "".join(f"{column:>20}" for column in columns))
    for name, mine in ours.items():
        cells = [
            f"{other:12.0f}{other / mine:7.1f}x" if (other := times.get(name)) else " " * 20
            for times in columns.values()
        ]
        print(f"{name:32}{mine:10.1f}" + "".join(cells))
    reports(rounds)


if __name__ == "__main__":
    main()
