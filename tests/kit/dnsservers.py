"""DNS as in the world: Knot serves signed zones, Unbound validates, both on loopback ports of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kit.processes import Running, free_port, program

_KNOT = """\
server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
database:
    storage: {folder}
log:
  - target: stdout
    any: warning
policy:
  - id: signing
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    storage: {folder}
    zonefile-sync: -1
zone:
{zones}"""
_UNBOUND = """\
server:
    verbosity: 1
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "{folder}"
    pidfile: "{folder}/unbound.pid"
    interface: {address}@{port}
    port: {port}
    do-ip6: no
    do-daemonize: no
    do-not-query-localhost: no
    access-control: 127.0.0.0/8 allow
    module-config: "validator iterator"
    num-threads: 1
    so-reuseport: no
    local-zone: "." static
    local-zone: "127.in-addr.arpa." transparent
    local-zone: "test." transparent
    domain-insecure: "127.in-addr.arpa."
{trust}
{insecure}
remote-control:
    control-enable: no
{stubs}
"""


def _zone_text(name: str, records: str) -> str:
    return f"$ORIGIN {name}.\n$TTL 300\n@ IN SOA ns.{name}. admin.{name}. 1 3600 600 86400 60\n@ IN NS ns.{name}.\nns IN A 127.0.0.1\n{records}\n"


def _answered(server: str, port: int, name: str, type_: str, flag: str = "") -> str:
    kdig = program("kdig", "knot-dnsutils")
    done = subprocess.run(
        [kdig, f"@{server}", "-p", str(port), "+dnssec", "+timeout=1", "+retry=0", name, type_],
        capture_output=True,
        text=True,
    )
    return done.stdout if flag in done.stdout else ""


@contextmanager
def dns_world(
    folder: Path,
    zones: Mapping[str, str],
    unsigned: frozenset[str] = frozenset(),
    *,
    address: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[str]:
    """Serves `zones` (name -> records as in a zone file, without SOA and NS) through a validating resolver.

    Yields the resolver's "address:port".  Zones in `unsigned` have no DNSSEC."""
    knotd, keymgr, unbound = program("knotd", "knot"), program("keymgr", "knot-dnsutils"), program("unbound", "unbound")
    folder.mkdir(parents=True, exist_ok=True)
    authority, resolver = free_port(), port or free_port()
    listed = []
    for name, records in zones.items():
        (folder / f"{name}.zone").write_text(_zone_text(name, records))
        signing = "" if name in unsigned else "    dnssec-signing: on\n    dnssec-policy: signing\n"
        listed.append(f"  - domain: {name}\n    file: {folder}/{name}.zone\n{signing}")
    (folder / "knot.conf").write_text(_KNOT.format(port=authority, folder=folder, zones="".join(listed)))
    knot = Running([knotd, "-c", str(folder / "knot.conf")], folder, "knot")
    resolving: Running | None = None
    try:
        for name in zones:
            knot.wait_until(lambda name=name: bool(_answered("127.0.0.1", authority, name, "SOA", "NOERROR")))
        trust = []
        for name in zones:
            if name not in unsigned:
                knot.wait_until(lambda name=name: "RRSIG" in _answered("127.0.0.1", authority, name, "SOA", "NOERROR"))
                ds = subprocess.run(
                    [keymgr, "-c", str(folder / "knot.conf"), name, "ds"], capture_output=True, text=True, check=True
                ).stdout
                trust += [f'    trust-anchor: "{line}"' for line in ds.splitlines() if " DS " in f" {line} "]
        stubs = "".join(f'stub-zone:\n    name: "{name}."\n    stub-addr: 127.0.0.1@{authority}\n' for name in zones)
        insecure = "".join(f'    domain-insecure: "{name}."\n' for name in unsigned)
        text = _UNBOUND.format(
            address=address, port=resolver, folder=folder, trust="\n".join(trust), insecure=insecure, stubs=stubs
        )
        (folder / "unbound.conf").write_text(text)
        resolving = Running([unbound, "-d", "-c", str(folder / "unbound.conf")], folder, "unbound")
        first = next(iter(zones))
        resolving.wait_until(lambda: bool(_answered(address, resolver, first, "SOA", "NOERROR")))
        yield f"{address}:{resolver}"
    finally:
        if resolving is not None:
            resolving.kill()
        knot.kill()
