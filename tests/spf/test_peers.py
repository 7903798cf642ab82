"""A check through real name servers: Knot with a signed zone, Unbound that validates; asked by each kind of resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import dns.asyncresolver
import dns.resolver
import pytest

from kit.dnsservers import dns_world
from mox_dns import BlockingDnspythonResolver, BlockingUdpResolver, UdpResolver
from mox_spf import AuditStatus, Result, Status, audit_sync, check, check_sync

pytestmark = pytest.mark.peers

LONG = " ".join(f"ip4:198.51.100.{n}" for n in range(60))
ZONE = f"""\
@          TXT  "v=spf1 mx include:_spf.example.test exists:%{{ir}}._ok.example.test -all exp=why.example.test"
@          MX   10 mail
mail       A    192.0.2.1
mail       AAAA 2001:db8::1
_spf       TXT  "v=spf1 ip6:2001:db8:1::/48 " "a:alias.%{{d2}} -all"
alias      CNAME mail2
mail2      A    192.0.2.2
9.2.0.192._ok A 127.0.0.1
why        TXT  "%{{i}} is none of ours"
long       TXT  "v=spf1 {LONG[:240]}" "{LONG[240:480]}" "{LONG[480:720]}" "{LONG[720:960]}" "{LONG[960:]} -all"
"""


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dns_world(tmp_path_factory.mktemp("spf"), {"example.test": ZONE}) as server:
        yield server


CASES = {
    "mx": ("192.0.2.1", Status.PASS, "mx"),
    "mx with IPv6": ("2001:db8::1", Status.PASS, "mx"),
    "an include, behind an alias": ("192.0.2.2", Status.PASS, "include:_spf.example.test"),
    "a macro": ("192.0.2.9", Status.PASS, "exists:%{ir}._ok.example.test"),
    "nobody": ("203.0.113.1", Status.FAIL, "-all"),
}


def asked_by(kind: str, server: str, ip: str, sender: str = "u@example.test") -> Result:
    host, _, port = server.rpartition(":")
    if kind == "UdpResolver":

        async def run() -> Result:
            with UdpResolver([server], trust_ad=True) as resolver:
                return await check(ip, sender, "h.example.test", resolver)

        return asyncio.run(run())
    if kind == "BlockingUdpResolver":
        return check_sync(ip, sender, "h.example.test", BlockingUdpResolver([server], trust_ad=True))
    module = dns.asyncresolver if kind == "dns.asyncresolver" else dns.resolver
    theirs = module.Resolver(configure=False)
    theirs.nameservers, theirs.port = [host], int(port)
    if kind == "dns.asyncresolver":
        return asyncio.run(check(ip, sender, "h.example.test", theirs))
    return check_sync(ip, sender, "h.example.test", theirs)


KINDS = ["UdpResolver", "BlockingUdpResolver", "dns.asyncresolver", "dns.resolver"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ip, status, mechanism", CASES.values(), ids=CASES)
def test_check(server: str, kind: str, ip: str, status: Status, mechanism: str) -> None:
    result = asked_by(kind, server, ip)
    assert (result.status, result.mechanism) == (status, mechanism), result.explain()
    assert result.explanation == (f"{ip} is none of ours" if status is Status.FAIL else "")
    # Only ours were told to trust the server.
    assert result.authentic is kind.endswith("UdpResolver")


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_fits_no_datagram(server: str, kind: str) -> None:
    """RFC 7208 3.3 and 3.4."""
    assert asked_by(kind, server, "198.51.100.59", "u@long.example.test").status is Status.PASS


def test_audit(server: str) -> None:
    found = audit_sync("example.test", BlockingUdpResolver([server], trust_ad=True))
    assert found.status is AuditStatus.GOOD, found.explain()
    assert found.lookups == 4
    assert "192.0.2.1/32" in found.networks


def test_dnspython_with_trust_stated(server: str) -> None:
    host, _, port = server.rpartition(":")
    theirs = dns.resolver.Resolver(configure=False)
    theirs.nameservers, theirs.port = [host], int(port)
    theirs.use_edns(0, dns.flags.DO, 1232)
    resolver = BlockingDnspythonResolver(theirs, trust_ad=True)
    assert check_sync("192.0.2.1", "u@example.test", "h", resolver).authentic
