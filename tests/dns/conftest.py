"""A real authoritative server (knot, signing) and a real validating resolver (unbound) on loopback, for tests/dns."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = """\
$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 900 604800 77
@ NS ns
ns A 127.0.0.1
@ TXT "v=spf1 " "-all"
@ MX 10 MX.{zone}.
mx A 192.0.2.1
mx AAAA 2001:db8::1
alias CNAME alias2
alias2 CNAME mx
lost CNAME nowhere
binary TXT "\\000\\255;\\""
odd MX 10 a\\.b.{zone}.
_25._tcp.mx TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
@ CAA 0 issue "ca.test"
big TXT {big}
"""
ZONES = ("signed.test", "plain.test", "forged.test")


def _free_port() -> int:
    # Both kinds must be free: name servers listen on the same number.
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"program {name!r} not found: install the Debian package {package}")
    return found


def _wait_for(port: int, program: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if program.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the program did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        program.wait(5)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


@pytest.fixture(scope="session")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of an authoritative server for ZONES, and its folder."""
    knotd = _program("knotd", "knot")
    folder = tmp_path_factory.mktemp("knot")
    port = _free_port()
    big = " ".join(f'"{n:03d}{"x" * 200}"' for n in range(30))
    conf = [
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1',
        f'    background-workers: 1\ndatabase:\n    storage: "{folder}"\n    journal-db-max-size: 64M',
        f'template:\n  - id: default\n    storage: "{folder}"\n    zonefile-sync: -1\n    zonefile-load: difference',
        "    journal-content: all\nzone:",
    ]
    for zone in (*ZONES, "2.0.192.in-addr.arpa"):
        signing = "off" if zone == "plain.test" or zone.endswith("arpa") else "on"
        conf.append(f"  - domain: {zone}\n    file: {zone}.zone\n    dnssec-signing: {signing}")
        text = NAMES.format(zone=zone, big=big)
        if zone.endswith("arpa"):
            text = f"$ORIGIN {zone}.\n@ 300 SOA ns.plain.test. h 1 3600 900 604800 77\n@ 300 NS ns.plain.test.\n"
            text += "1 300 PTR mx.plain.test.\n"
        (folder / f"{zone}.zone").write_text(text)
    (folder / "knot.conf").write_text("\n".join(conf) + "\n")
    log = folder / "log"
    with log.open("wb") as out:
        program = subprocess.Popen([knotd, "-c", str(folder / "knot.conf")], stdout=out, stderr=out)
    try:
        _wait_for(port, program, log)
        yield port, folder
    finally:
        _stop(program)


def _ds(folder: Path) -> str:
    keymgr = _program("keymgr", "knot")
    command = [keymgr, "-c", str(folder / "knot.conf"), "signed.test", "ds"]
    for _ in range(50):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout.strip():
            return done.stdout.splitlines()[0]
        time.sleep(0.1)
    raise RuntimeError(f"no DS record: {done.stderr}")


@pytest.fixture(scope="session")
def unbound(knot: tuple[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`address:port` of a validating resolver for ZONES: signed.test is, plain.test is not, forged.test is a lie."""
    binary = _program("unbound", "unbound")
    knot_port, knot_folder = knot
    folder = tmp_path_factory.mktemp("unbound")
    port = _free_port()
    ds = _ds(knot_folder)
    digest = ds.split()[-1]
    wrong = digest[:-4] + ("0000" if digest[-4:] != "0000" else "1111")
    lines = [
        "server:",
        f"  interface: 127.0.0.1@{port}",
        f'  directory: "{folder}"\n  chroot: ""\n  username: ""\n  pidfile: ""\n  use-syslog: no\n  verbosity: 1',
        '  do-not-query-localhost: no\n  num-threads: 1\n  ede: yes\n  module-config: "validator iterator"',
        "  local-zone: test. nodefault\n  local-zone: 2.0.192.in-addr.arpa. nodefault\n  domain-insecure: plain.test",
        "  domain-insecure: in-addr.arpa\n  domain-insecure: dead.test\n  edns-buffer-size: 1232",
        f'  trust-anchor: "{ds}"',
        f'  trust-anchor: "{" ".join(ds.replace("signed", "forged").split()[:-1])} {wrong}"',
        "remote-control:\n  control-enable: no",
    ]
    for zone in (*ZONES, "2.0.192.in-addr.arpa"):
        lines.append(f"stub-zone:\n  name: {zone}\n  stub-addr: 127.0.0.1@{knot_port}")
    # Its server is there, but refuses: knot does not know this zone.
    lines.append(f"stub-zone:\n  name: dead.test\n  stub-addr: 127.0.0.1@{knot_port}")
    (folder / "unbound.conf").write_text("\n".join(lines) + "\n")
    log = folder / "log"
    with log.open("wb") as out:
        program = subprocess.Popen([binary, "-d", "-c", str(folder / "unbound.conf")], stdout=out, stderr=out)
    try:
        _wait_for(port, program, log)
        yield f"127.0.0.1:{port}"
    finally:
        _stop(program)
