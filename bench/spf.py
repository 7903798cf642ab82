"""SPF beside pyspf, in one run on one machine: check_host() with DNS from memory, and a record read.

    python bench/spf.py [--quick]

pyspf is run by another Python, so that it needs no place in ours: name it with MOX_BENCH_PEERS=/path/to/bin/python (a
virtual environment in which pyspf and dnspython are installed).  CPU microseconds, the least of several rounds; the
ratio says how many times less we need.  `parsed anew` is our time when no record is known by its text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from mox_dns import Zone
from mox_spf import Record, check_sync
from mox_spf import record as record_room

# Three includes, few networks or, as of a large provider, many; the client is in a network of the last, or in none.
ZONE = {
    "example.org TXT": [
        "v=spf1 ip4:198.51.100.0/24 include:_spf.a.example include:_spf.b.example include:_spf.c.example ~all"
    ],
    "_spf.a.example TXT": ["v=spf1 ip4:203.0.113.0/25 ip4:198.18.0.0/20 ip4:198.18.32.0/19 ip6:2001:db8:1::/48 ~all"],
    "_spf.b.example TXT": ["v=spf1 ip4:198.19.0.0/17 ip4:203.0.113.128/26 ip4:198.18.64.0/20 ip4:198.18.96.0/20 -all"],
    "_spf.c.example TXT": ["v=spf1 ip4:198.19.128.0/18 ip4:192.0.2.0/24 ip6:2001:db8:2::/47 ~all"],
    "large.example TXT": ["v=spf1 include:_a.large.example include:_b.large.example include:_c.large.example ~all"],
    "_a.large.example TXT": ["v=spf1 " + " ".join(f"ip4:10.1.{n * 4}.0/22" for n in range(12)) + " ~all"],
    "_b.large.example TXT": ["v=spf1 " + " ".join(f"ip6:2001:db8:{n}000::/36" for n in range(6)) + " ~all"],
    "_c.large.example TXT": [
        "v=spf1 " + " ".join(f"ip4:10.2.{n * 4}.0/22" for n in range(11)) + " ip4:192.0.2.0/24 ~all"
    ],
    "hosts.example TXT": ["v=spf1 a mx exists:%{ir}.%{v}._spf.%{d2} -all"],
    "hosts.example A": ["198.51.100.7"],
    "hosts.example MX": ["10 mx1.hosts.example", "20 mx2.hosts.example"],
    "mx1.hosts.example A": ["198.51.100.8"],
    "mx2.hosts.example A": ["198.51.100.9"],
    "9.2.0.192.in-addr._spf.hosts.example A": ["127.0.0.2"],
}
CASES = {
    "three includes, pass": ("192.0.2.9", "u@example.org", "pass"),
    "three includes, softfail": ("192.0.3.9", "u@example.org", "softfail"),
    "three of a large provider": ("192.0.2.9", "u@large.example", "pass"),
    "a, mx and a macro": ("192.0.2.9", "u@hosts.example", "pass"),
}
RECORD = (
    "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.128/25 ip6:2001:db8::/32 a:mail.example.org mx/28 include:_spf.example.net "
    "exists:%{ir}.%{v}.x.example.com -all"
)

PEER = """
import ipaddress, json, sys, time
import spf
job = json.load(sys.stdin)
table = {}
for key, values in job["zone"].items():
    name, kind = key.split(" ")
    for value in values:
        if kind == "TXT":
            value = (value.encode(),)
        elif kind == "MX":
            value = (int(value.split()[0]), value.split()[1])
        elif kind == "A":
            value = ipaddress.ip_address(value)
        table.setdefault((name, kind), []).append(((name, kind), value))
spf.DNSLookup = lambda name, kind, strict=True, timeout=None: table.get((name.lower(), kind), [])
def least(work, count, rounds):
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6
out = {}
for name, (ip, sender, wanted) in job["cases"].items():
    work = lambda: spf.check2(i=ip, s=sender, h="mx.example.org")
    assert work()[0] == wanted, (name, work())
    out[name] = least(work, job["count"], job["rounds"])
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
    """pyspf's times, {} where it is not to be had."""
    python = os.environ.get("MOX_BENCH_PEERS", "")
    if not python:
        print("pyspf: not measured; set MOX_BENCH_PEERS to a Python that has it")
        return {}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"pyspf: not measured; {python} says: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Measures and prints."""
    rounds, scale = (3, 4) if "--quick" in sys.argv else (7, 1)
    zone = Zone(ZONE)
    ours: dict[str, float] = {}
    for name, (ip, sender, wanted) in CASES.items():

        def work(ip: str = ip, sender: str = sender, wanted: str = wanted) -> None:
            zone.asked.clear()
            assert check_sync(ip, sender, "mx.example.org", zone, now=0).status == wanted

        def anew(work: Callable[[], None] = work) -> None:
            record_room.forget()
            work()

        ours[name] = least(work, 4000 // scale, rounds)
        ours[f"{name}, parsed anew"] = least(anew, 1000 // scale, rounds)
    theirs = peer({"zone": ZONE, "cases": CASES, "count": 800 // scale, "rounds": rounds})
    print(f"{'CPU, microseconds':38}{'mox-spf':>10}{'a second':>10}{'pyspf':>10}{'ratio':>8}")
    for name, mine in ours.items():
        other = theirs.get(name.removesuffix(", parsed anew"))
        end = f"{other:10.0f}{other / mine:7.1f}x" if other else ""
        print(f"{name:38}{mine:10.1f}{1e6 / mine:10.0f}{end}")

    def parse() -> None:
        record_room.forget()
        Record.parse(RECORD)

    took = least(parse, 2000 // scale, rounds)
    print(f"{f'a record of {len(RECORD)} octets, read':38}{took:10.1f}{1e6 / took:10.0f}")


if __name__ == "__main__":
    main()
