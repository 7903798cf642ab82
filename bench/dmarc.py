"""DMARC beside authheaders, in one run on one machine: the verdict for a message, DNS from a table.

    python bench/dmarc.py [--quick]

authheaders is run by another Python: name it with MOX_BENCH_PEERS=/path/to/bin/python (a virtual environment in which
it is installed).  It is asked for the verdict of a From domain too, without reading a message.  CPU microseconds, the
least of several rounds; the ratio says how many times less we need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

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
    theirs = peer({"record": RECORD, "cases": CASES, "count": max(2, 20 // scale), "rounds": rounds})
    print(f"{'CPU, microseconds':32}{'mox-dmarc':>10}{'authheaders':>13}{'ratio':>9}")
    for name, mine in ours.items():
        other = theirs.get(name)
        print(f"{name:32}{mine:10.1f}" + (f"{other:13.0f}{other / mine:8.0f}x" if other else ""))


if __name__ == "__main__":
    main()
