"""DKIM beside dkimpy, in one run on one machine: verify and sign, RSA-2048 and Ed25519, relaxed/relaxed.

    python bench/dkim.py [--quick]

dkimpy is run by another Python, so that it needs no place in ours: name it with MOX_BENCH_PEERS=/path/to/bin/python
(a virtual environment in which dkimpy is installed).  DNS is a table on both sides.  Times are CPU microseconds per
message, the least of several rounds; the ratio says how many times less we need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from mox_dkim import KeyRecord, KeyType, Signer, generate, plan_verify
from mox_dns import Zone, run_blocking
from mox_message import Content, Fields

NOW = 1_700_000_000

HEADER = (
    b"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n"
    b"\tby mx.example.net with ESMTPS id 1; Tue, 14 Nov 2023 22:13:21 +0000\r\n"
    b"From: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.net>\r\n"
    b"Subject: Minutes of the meeting, and what is to be done\r\n until the next one\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <20231114.221320@example.org>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
)
LINE = b"This is a line of  a message as people write them, with a\ttab here and there. \r\n"

PEER = """
import dkim, json, sys, time
job = json.load(sys.stdin)
txt = job["txt"].encode()
def least(work, count, rounds):
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6
out = {}
for name, (message, count) in job["messages"].items():
    message = message.encode("latin-1")
    check = lambda: dkim.verify(message, dnsfunc=lambda name, timeout=5: txt)
    assert check(), name
    out[name] = least(check, count, job["rounds"])
plain = job["plain"].encode("latin-1")
sign = lambda: dkim.sign(plain, b"sel", b"example.org", job["key"].encode(), canonicalize=(b"relaxed", b"relaxed"))
out["sign"] = least(sign, job["sign_count"], job["rounds"])
print(json.dumps(out))
"""


def message(size: int) -> bytes:
    """A message whose body has about `size` octets."""
    return HEADER + LINE * max(1, size // len(LINE))


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
    """dkimpy's times, {} where it is not to be had."""
    python = os.environ.get("MOX_BENCH_PEERS", "")
    if not python:
        print("dkimpy: not measured; set MOX_BENCH_PEERS to a Python that has it")
        return {}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"dkimpy: not measured; {python} says: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    """Measures and prints."""
    rounds, scale = (2, 4) if "--quick" in sys.argv else (5, 1)
    key, small = generate(KeyType.RSA), generate(KeyType.ED25519)
    signer, small_signer = Signer("example.org", "sel", key), Signer("example.org", "small", small)
    zone = Zone(
        {
            "sel._domainkey.example.org TXT": [str(KeyRecord.of(key))],
            "small._domainkey.example.org TXT": [str(KeyRecord.of(small))],
        }
    )
    ours: dict[str, float] = {}
    messages: dict[str, tuple[str, int]] = {}

    def verify(name: str, data: bytes, count: int) -> None:
        content, fields = Content.of(data), Fields.parse(data)

        def work() -> None:
            zone.asked.clear()
            for plan in plan_verify(content, fields, now=NOW):
                assert run_blocking(plan, zone).value.status == "pass"

        ours[name] = least(work, count, rounds)

    for name, size, count in (
        ("4 KB", 4000, 1000),
        ("12 KB", 12000, 600),
        ("100 KB", 100_000, 200),
        ("1 MB", 10**6, 20),
    ):
        plain = message(size)
        signed = signer.sign(Fields.parse(plain), Content.of(plain), now=NOW) + plain
        verify(f"verify {name}", signed, count // scale)
        messages[f"verify {name}"] = (signed.decode("latin-1"), max(2, count // scale // 10))
    plain = message(4000)
    content, fields = Content.of(plain), Fields.parse(plain)
    verify("verify 4 KB, Ed25519", small_signer.sign(fields, content, now=NOW) + plain, 400 // scale)
    ours["sign"] = least(lambda: signer.sign(fields, content, now=NOW), 200 // scale, rounds)
    ours["unsigned 4 KB"] = least(lambda: plan_verify(content, fields, now=NOW), 2000 // scale, rounds)
    digest = bytes(32)
    signature, public = key.sign(digest), key.public()
    ours["RSA-2048 alone"] = least(lambda: public.verifies(signature, digest), 1000 // scale, rounds)

    job = {
        "txt": str(KeyRecord.of(key)),
        "messages": messages,
        "plain": plain.decode("latin-1"),
        "key": key.pem().decode(),
        "rounds": rounds,
        "sign_count": max(2, 20 // scale),
    }
    theirs = peer(job)
    print(f"{'CPU, microseconds':24}{'mox-dkim':>10}{'dkimpy':>10}{'ratio':>8}")
    for name, mine in ours.items():
        other = theirs.get(name)
        print(f"{name:24}{mine:10.1f}" + (f"{other:10.0f}{other / mine:7.1f}x" if other else ""))


if __name__ == "__main__":
    main()
