"""MTA-STS, TLSRPT and DANE beside their peers, in one run on one machine.

    python bench/policy.py [--quick]

The peers are run by another Python: name it with MOX_BENCH_PEERS=/path/to/bin/python, an environment that has
postfix-mta-sts-resolver, checkdmarc and parsedmarc; what is missing is left out, and said.  DANE has no peer in Python;
a whole handshake's worth of the same work, the chain's signatures checked by cryptography alone, stands beside it.
CPU microseconds, the least of several rounds; a ratio says how many times less we need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from mox_dane import Matching, Selector, Usage, lookup_sync, make, verify
from mox_dns import Zone
from mox_mtasts import Fetched, MemoryCache, Policy, Record, check_sync, judge_host
from mox_tlsrpt import Record as TlsRecord
from mox_tlsrpt import Report, read_message
from mox_tlsrpt import compose as compose_report

RECORD = "v=STSv1; id=20261126T093000;"
POLICY = "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: *.mail.example.com\nmax_age: 604800\n"
TLS_RECORD = "v=TLSRPTv1; rua=mailto:tlsrpt@example.com,https://example.com/tlsrpt"
REPORT = {
    "organization-name": "Example Inc.",
    "date-range": {"start-datetime": "2026-11-25T00:00:00Z", "end-datetime": "2026-11-25T23:59:59Z"},
    "contact-info": "tls@example.net",
    "report-id": "2026-11-25_example.com",
    "policies": [
        {
            "policy": {
                "policy-type": "sts",
                "policy-string": POLICY.split("\n")[:-1],
                "policy-domain": "example.com",
                "mx-host": ["mx1.example.com"],
            },
            "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 20},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "sending-mta-ip": f"192.0.2.{number}",
                    "receiving-mx-hostname": "mx1.example.com",
                    "receiving-ip": "198.51.100.1",
                    "failed-session-count": 1,
                }
                for number in range(20)
            ],
        }
    ],
}

PEER = """
import json, sys, time
job = json.load(sys.stdin)
def least(work, count, rounds):
    best = 1e9
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6
out = {}
def measure(peer, name, work):
    try:
        work()
        out.setdefault(name, {})[peer] = least(work, job["count"], job["rounds"])
    except Exception as error:
        print(f"{peer}: {name}: {error!r}", file=sys.stderr)
def attempt(import_):
    try:
        import_()
    except ImportError as error:
        print(f"not measured: {error}", file=sys.stderr)
def resolver():
    from postfix_mta_sts_resolver.utils import parse_mta_sts_policy, parse_mta_sts_record
    measure("resolver", "MTA-STS record", lambda: parse_mta_sts_record(job["record"]))
    measure("resolver", "MTA-STS policy", lambda: parse_mta_sts_policy(job["policy"]))
def checkdmarc():
    from checkdmarc.mta_sts import parse_mta_sts_policy, parse_mta_sts_record
    from checkdmarc.smtp_tls_reporting import parse_smtp_tls_reporting_record
    measure("checkdmarc", "MTA-STS record", lambda: parse_mta_sts_record(job["record"]))
    measure("checkdmarc", "MTA-STS policy", lambda: parse_mta_sts_policy(job["policy"]))
    measure("checkdmarc", "TLSRPT record", lambda: parse_smtp_tls_reporting_record(job["tls_record"]))
def parsedmarc():
    from parsedmarc import parse_report_email, parse_smtp_tls_report_json
    text = json.dumps(job["report"])
    measure("parsedmarc", "TLS report, JSON", lambda: parse_smtp_tls_report_json(text))
    measure("parsedmarc", "TLS report, message", lambda: parse_report_email(job["message"], offline=True))
for one in (resolver, checkdmarc, parsedmarc):
    attempt(one)
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


def peers(job: dict[str, object]) -> dict[str, dict[str, float]]:
    """The peers' times by what is measured, {} where they are not to be had."""
    python = os.environ.get("MOX_BENCH_PEERS", "")
    if not python:
        print("peers: not measured; set MOX_BENCH_PEERS to a Python that has them")
        return {}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"peers: not measured; {python} says: {done.stderr.strip().splitlines()[-1]}")
        return {}
    if done.stderr:
        print("\n".join(line for line in done.stderr.splitlines() if "measured" in line or "Error" in line))
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def certificate(name: str, issuer: x509.Certificate | None, key: ec.EllipticCurvePrivateKey, signer: object) -> object:
    """A certificate for the chain."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(7))
        .add_extension(x509.BasicConstraints(name != "leaf", None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mx.example.com")]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]


def chain() -> tuple[x509.Certificate, ...]:
    """Leaf, intermediate, root."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = certificate("root", None, keys[2], keys[2])
    middle = certificate("intermediate", root, keys[1], keys[2])  # type: ignore[arg-type]
    leaf = certificate("leaf", middle, keys[0], keys[1])  # type: ignore[arg-type]
    return leaf, middle, root  # type: ignore[return-value]


def works() -> dict[str, Callable[[], object]]:
    """What is measured of ours."""
    certificates = chain()
    ders = tuple(one.public_bytes(Encoding.DER) for one in certificates)
    ee = make(ders[0])
    ta = make(ders[2], Usage.DANE_TA, Selector.CERT, Matching.SHA2_256)
    now = time.time()
    zone = Zone({"mx.example.com A": ["192.0.2.1"], "_25._tcp.mx.example.com TLSA": [str(ee)]}, authentic=True)
    sts = Zone({"_mta-sts.example.com TXT": [RECORD], "mta-sts.example.com A": ["192.0.2.1"]})
    cache = MemoryCache()
    check_sync("example.com", sts, cache=cache, now=now, fetcher=lambda wanted, limits: Fetched(POLICY.encode()))
    policy = Policy.parse(POLICY)

    def signatures() -> None:
        leaf, middle, root = (x509.load_der_x509_certificate(der) for der in ders)
        leaf.verify_directly_issued_by(middle)
        middle.verify_directly_issued_by(root)

    def asked(zone: Zone, work: Callable[[], object]) -> Callable[[], object]:
        def clean() -> object:
            zone.asked.clear()
            return work()

        return clean

    report = json.dumps(REPORT)
    message = message_of(report)
    return {
        "MTA-STS record": lambda: Record.parse(RECORD),
        "MTA-STS policy": lambda: Policy.parse(POLICY),
        "MTA-STS check, out of the cache": asked(sts, lambda: check_sync("example.com", sts, cache=cache, now=now)),
        "MTA-STS ruling for a host": lambda: judge_host(policy, "mx2.mail.example.com"),
        "TLSRPT record": lambda: TlsRecord.parse(TLS_RECORD),
        "TLS report, JSON": lambda: Report.parse(report),
        "TLS report, message": lambda: read_message(message),
        "DANE lookup": asked(zone, lambda: lookup_sync("mx.example.com", zone)),
        "DANE-EE verify": lambda: verify(ders, [ee], now=now),
        "DANE-TA verify": lambda: verify(ders, [ta], names=["mx.example.com"], now=now),
        "(the two signatures alone)": signatures,
    }


def message_of(report: str) -> bytes:
    """The report as a message."""
    return compose_report(
        Report.parse(report), domain="example.com", submitter="example.net", sender="tls@example.net",
        recipients=["tlsrpt@example.com"], message_id="1@example.net", boundary="b", now=1_795_660_000.0,
    )  # fmt: skip


def main() -> None:
    """Measures and prints."""
    rounds, count = (2, 50) if "--quick" in sys.argv else (5, 500)
    ours: dict[str, float] = {}
    for name, work in works().items():
        work()
        ours[name] = least(work, count, rounds)
    message = message_of(json.dumps(REPORT)).decode()
    job = {"record": RECORD, "policy": POLICY, "tls_record": TLS_RECORD, "report": REPORT, "message": message}
    theirs = peers({**job, "count": count // 10 or 1, "rounds": rounds})
    print(f"{'CPU, microseconds':34}{'mox':>8}   peers")
    for name, mine in ours.items():
        others = [f"{peer} {time:.0f} ({time / mine:.1f}x)" for peer, time in theirs.get(name, {}).items()]
        print(f"{name:34}{mine:8.1f}   {', '.join(others)}")


if __name__ == "__main__":
    main()
