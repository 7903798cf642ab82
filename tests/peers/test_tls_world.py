"""What a sender demands of TLS, in a world with signed zones, a policy host and five kinds of hosts: every policy with every
certificate gives the verdict that the RFCs demand, and a row for a TLS report.  The table is docs/tls-matrix.md."""

from __future__ import annotations

import json
import os
import smtplib
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_dane
from kit.certificates import Made, make
from kit.dnsservers import dns_world
from kit.policy_host import policy_host, response
from kit.processes import free_port, loopback
from kit.server import PASSWORD, configure, moxd
from kit.world import until

pytestmark = [pytest.mark.peers, pytest.mark.timeout(240), pytest.mark.xdist_group("tls world")]

DOC = Path(__file__).resolve().parents[2] / "docs" / "tls-matrix.md"
POLICIES = ("none", "testing", "enforce", "dane", "both")
HOSTS = ("good", "name", "expired", "clear", "tlsa")
# How a message goes to each host (columns) under each policy (rows), and what is counted for a TLS report.
U, C, P, D, NO = "TLS, unverified", "in the clear", "TLS, PKIX", "TLS, DANE-EE", "not delivered"
WANT = {
    "none": {"good": U, "name": U, "expired": U, "clear": C, "tlsa": U},
    "testing": {"good": P, "name": U, "expired": U, "clear": C, "tlsa": P},
    "enforce": {"good": P, "name": NO, "expired": NO, "clear": NO, "tlsa": P},
    "dane": {"good": D, "name": D, "expired": D, "clear": NO, "tlsa": NO},
    "both": {"good": D, "name": D, "expired": D, "clear": NO, "tlsa": NO},
}
MISMATCH, EXPIRED, CLEAR, TLSA = (
    "certificate-host-mismatch", "certificate-expired", "starttls-not-supported", "certificate-not-trusted",
)  # fmt: skip
REPORTED = {
    "none": {"good": "", "name": "", "expired": "", "clear": CLEAR, "tlsa": ""},
    "testing": {"good": "", "name": MISMATCH, "expired": EXPIRED, "clear": CLEAR, "tlsa": ""},
    "enforce": {"good": "", "name": MISMATCH, "expired": EXPIRED, "clear": CLEAR, "tlsa": ""},
    "dane": {"good": "", "name": "", "expired": "", "clear": CLEAR, "tlsa": TLSA},
    "both": {"good": "", "name": "", "expired": "", "clear": CLEAR, "tlsa": TLSA},
}
TYPE = {"none": "no-policy-found", "testing": "sts", "enforce": "sts", "dane": "tlsa", "both": "tlsa"}


def domain(policy: str, host: str) -> str:
    """A domain of its own for each case; those with DANE lie in the signed zone."""
    return f"{policy}-{host}.{'signed' if policy in ('dane', 'both') else 'plain'}.test"


CASES = {domain(policy, host): (policy, host) for policy in POLICIES for host in HOSTS}


@dataclass(frozen=True)
class Outcome:
    """What became of a recipient."""

    way: str
    last: str
    steps: list[dict[str, object]]


def leaves(root: Made) -> dict[str, Made | None]:
    """The certificate of each kind of host."""

    def names(host: str) -> list[str]:
        return [f"mx.{one}" for one, (_, kind) in CASES.items() if kind == host]

    return {
        "good": make("good", root, names=names("good")),
        "name": make("name", root, names=["elsewhere.test"]),
        "expired": make("expired", root, names=names("expired"), days=(-30, -1)),
        "clear": None,
        "tlsa": make("tlsa", root, names=names("tlsa")),
    }


def zone_texts(port: int, addresses: dict[str, str], certificates: dict[str, Made | None], web: str) -> dict[str, str]:
    """The signed and the plain zone."""
    lines: dict[str, list[str]] = {"signed.test": [], "plain.test": []}
    for name, (policy, host) in CASES.items():
        zone = name.partition(".")[2]
        label = name.partition(".")[0]
        lines[zone] += [f"{label} MX 10 mx.{label}", f"mx.{label} A {addresses[host]}"]
        certificate = certificates[host]
        if host == "tlsa":
            lines[zone].append(f"_{port}._tcp.mx.{label} TLSA 3 1 1 {'00' * 32}")
        elif policy in ("dane", "both"):
            record = mox_dane.make((certificate or certificates["good"]).der)  # type: ignore[union-attr]
            lines[zone].append(f"_{port}._tcp.mx.{label} TLSA {record}")
        if policy in ("testing", "enforce", "both"):
            lines[zone] += [f'_mta-sts.{label} TXT "v=STSv1; id=1;"', f"mta-sts.{label} A {web}"]
    return {zone: "\n".join(listed) for zone, listed in lines.items()}


def policy_text(request: bytes) -> bytes:
    """The policy of the domain that is asked."""
    host = request.partition(b"\r\nHost: ")[2].partition(b"\r\n")[0].decode().partition(":")[0]
    name = host.removeprefix("mta-sts.")
    mode = "testing" if CASES[name][0] == "testing" else "enforce"
    return response(f"version: STSv1\nmode: {mode}\nmx: mx.{name}\nmax_age: 604800\n")


def talk(connection: ssl.SSLSocket, request: bytes) -> None:
    connection.sendall(policy_text(request))
    connection.unwrap()


def receiver(
    folder: Path, port: int, addresses: dict[str, str], certificates: dict[str, Made | None], dns: str
) -> None:
    """A moxd with a listener for each kind of host, that takes everything."""
    folder.mkdir()
    (folder / "tls").mkdir()
    text = f'hostname = "mx.receiver.test"\nconnections_per_minute = 0\n[dns]\nservers = ["{dns}"]\n'
    for host, certificate in certificates.items():
        text += f'[listeners.{host}]\naddresses = ["{addresses[host]}"]\nsmtp = {port}\n'
        if certificate is not None:
            certificate.write(folder / "tls", host)
            text += f'tls = {{ certificate = "tls/{host}.pem", key = "tls/{host}.key" }}\n'
    (folder / "moxd.toml").write_text(text)
    listed = "".join(f'[domains."{name}"]\n' for name in CASES)
    addresses_of = ", ".join(f'"@{name}"' for name in CASES)
    (folder / "domains.toml").write_text(f"{listed}[accounts.you]\naddresses = [{addresses_of}]\n")


@pytest.fixture(scope="module")
def outcomes() -> Iterator[tuple[dict[str, Outcome], list[dict[str, object]]]]:
    """One message to all of them; (what became of each by domain, the rows for TLS reports)."""
    root = make("Test Root", ca=True)
    certificates = leaves(root)
    addresses = dict(zip(HOSTS, loopback(len(HOSTS)), strict=True))
    port = free_port()
    with TemporaryDirectory(prefix="mox-tls-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "root.pem").write_text(root.pem)
        web = make("policies", root, names=[f"mta-sts.{one}" for one in CASES]).server_context(folder)
        policies = stack.enter_context(policy_host(web, talk))
        zones = zone_texts(port, addresses, certificates, "127.0.0.1")
        zones["127.in-addr.arpa"] = "1.0.0 PTR mx.mox.test."
        dns = stack.enter_context(dns_world(folder / "dns", zones, frozenset({"plain.test", "127.in-addr.arpa"})))
        receiver(folder / "receiver", port, addresses, certificates, dns)
        stack.enter_context(moxd_at(folder / "receiver", addresses["good"], port))
        ports = configure(folder / "sender", dns=dns, outgoing=port, extra="connections_per_minute = 0")
        toml = folder / "sender" / "moxd.toml"
        more = f'[outgoing]\nca = "{folder}/root.pem"\nmtasts_port = {policies.port}\n'
        toml.write_text(
            toml.read_text().replace("[outgoing]\n", more).replace("retry_minutes = [0.02]", "retry_minutes = [30]")
        )
        server = stack.enter_context(moxd(folder / "sender", ports))
        number = submit(server.ca, ports["submissions"])

        def done() -> bool:
            listed = json.loads(server.command("queue", "list", "--all", "--json").stdout)
            return len(listed) >= len(CASES) and all(row["attempts"] for row in listed if row["sender"])

        until(done, 120)
        record = json.loads(server.command("message", "explain", "--json", number).stdout)
        rows = sessions(folder / "sender" / "data" / "state.db")
        yield told(record), rows


def moxd_at(folder: Path, address: str, port: int) -> object:
    """A moxd that has no IMAP."""
    from contextlib import contextmanager

    from kit.processes import Running, answers

    @contextmanager
    def run() -> Iterator[None]:
        command = [sys.executable, "-m", "moxd", "serve", "--config", str(folder)]
        running = Running(command, folder, "moxd", {**os.environ, "PYTHONUNBUFFERED": "1"})
        try:
            running.wait_until(lambda: answers(port, address), 30)
            yield
        finally:
            running.kill()

    return run()


def submit(ca: Path, port: int) -> str:
    """One message to a recipient in each domain; its id."""
    context = ssl.create_default_context(cafile=str(ca))
    with smtplib.SMTP_SSL("localhost", port, context=context) as client:
        client.login("you@mox.test", PASSWORD)
        client.mail("you@mox.test")
        for name in CASES:
            assert client.rcpt(f"a@{name}")[0] == 250
        code, text = client.data(b"From: you@mox.test\r\nSubject: matrix\r\n\r\nhello\r\n")
    assert code == 250
    return text.decode().split()[-1]


def told(record: dict[str, list[dict[str, object]]]) -> dict[str, Outcome]:
    """What became of each recipient, out of the record of the message."""
    found: dict[str, Outcome] = {}
    current: list[dict[str, object]] = []
    for step in record["steps"]:
        what = str(step["what"])
        if what.startswith("attempt 1 to a@"):
            current = []
            way = NO if step["outcome"] != "delivered" else ""
            found[what.removeprefix("attempt 1 to a@")] = Outcome(way, str(step["because"]), current)
        else:
            current.append(step)
    return {name: Outcome(one.way or went(one.steps), one.last, one.steps) for name, one in found.items()}


def went(steps: list[dict[str, object]]) -> str:
    """How the message went, by the step of its host."""
    because = str(next(step["because"] for step in reversed(steps) if step.get("rule") == "RFC 5321 4"))
    kinds = {"in the clear": C, "unverified": U, "pkix verified": P, "dane-ee verified": D}
    return next(kind for words, kind in kinds.items() if words in because)


def sessions(path: Path) -> list[dict[str, object]]:
    """What was counted for TLS reports."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT value FROM state WHERE space='tlsrpt'").fetchall()
    return [json.loads(value) for (value,) in rows]


Found = tuple[dict[str, Outcome], list[dict[str, object]]]


@pytest.mark.parametrize("name", CASES)
def test_the_verdict(outcomes: Found, name: str) -> None:
    policy, host = CASES[name]
    outcome = outcomes[0][name]
    assert outcome.way == WANT[policy][host], (outcome.last, outcome.steps)


@pytest.mark.parametrize("name", CASES)
def test_the_row_for_a_report(outcomes: Found, name: str) -> None:
    policy, host = CASES[name]
    rows = [row for row in outcomes[1] if row["domain"] == name]
    assert len(rows) == 1, rows
    (row,) = rows
    failure = row["failure"]
    assert (failure or {}).get("result", "") == REPORTED[policy][host], row  # type: ignore[attr-defined]
    assert row["policy"]["type"] == TYPE[policy], row  # type: ignore[index]
    assert row["sessions"] == 1


def test_the_table_in_the_docs(outcomes: Found) -> None:
    """docs/tls-matrix.md is what this world showed; MOX_WRITE_TABLE=1 writes it anew."""
    text = table(outcomes[0])
    if os.environ.get("MOX_WRITE_TABLE"):
        DOC.write_text(text)
    assert DOC.read_text() == text


COLUMNS = {
    "good": "good certificate", "name": "wrong name", "expired": "expired", "clear": "no STARTTLS", "tlsa": "wrong TLSA",
}  # fmt: skip
ROWS = {
    "none": "no policy", "testing": "MTA-STS testing", "enforce": "MTA-STS enforce", "dane": "DANE", "both": "DANE and MTA-STS enforce",
}  # fmt: skip


def table(found: dict[str, Outcome]) -> str:
    """What was seen, as a page."""
    head = f"| the recipient's domain publishes | {' | '.join(COLUMNS.values())} |"
    lines = [head, "|" + "---|" * (len(COLUMNS) + 1)]
    for policy, shown in ROWS.items():
        cells = [found[domain(policy, host)].way for host in COLUMNS]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return (
        "# What a message meets on its way\n\n"
        "Made by tests/peers/test_tls_world.py from what happened: a moxd sent a message to a domain for each cell; zones are\n"
        "served by Knot, signed where there is DANE, and validated by Unbound; policies come from an HTTPS host. Rows are what\n"
        "the recipient's domain publishes, columns what its host does. The TLSA record of the last column lies in an unsigned zone\n"
        "in the first three rows and is ignored there, since nothing vouches for it (RFC 7672 2.2.1). DANE-EE needs neither the\n"
        "name nor the dates (RFC 7672 3.1.1); where DANE holds, MTA-STS is passed over (RFC 8461 2). What is not delivered is tried\n"
        "again, and the sender is told in the end.\n\n" + "\n".join(lines) + "\n"
    )
