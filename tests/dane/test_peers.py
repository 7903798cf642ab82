"""As in the world: Knot signs the zones, Unbound validates, a TLS server shows its chain, and all must fit together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from kit.certificates import make
from kit.dnsservers import dns_world
from mox_dane import Matching, Outcome, Selector, Status, Usage, lookup, lookup_sync, reference_names, verify
from mox_dane import make as make_record
from mox_dns import BlockingUdpResolver, UdpResolver

pytestmark = pytest.mark.peers

ROOT = make("Root", ca=True)
LEAF = make("leaf", ROOT, names=["a.test"])
EE = make_record(LEAF.pem.encode())
TA = make_record(ROOT.pem.encode(), Usage.DANE_TA, Selector.CERT, Matching.SHA2_512)
ZONES = {
    "a.test": f"""\
mx IN A 127.0.0.1
mx IN AAAA ::1
_25._tcp.mx IN TLSA {EE}
_25._tcp.mx IN TLSA {TA}
none IN A 127.0.0.1
pkix IN A 127.0.0.1
_25._tcp.pkix IN TLSA 1 1 1 {"ab" * 32}
alias IN CNAME mx.a.test.
out IN CNAME mx.b.test.
_25._tcp.out IN TLSA {EE}
""",
    "b.test": f"mx IN A 127.0.0.1\n_25._tcp.mx IN TLSA {EE}\nback IN CNAME mx.a.test.\n",
}
CASES = {
    "mx.a.test": (Status.DANE, "mx.a.test"),
    "none.a.test": (Status.NONE, ""),
    "pkix.a.test": (Status.UNUSABLE, "pkix.a.test"),
    "alias.a.test": (Status.DANE, "mx.a.test"),
    "out.a.test": (Status.DANE, "out.a.test"),
    "gone.a.test": (Status.NOHOST, ""),
    "mx.b.test": (Status.INSECURE, ""),
    "back.b.test": (Status.INSECURE, ""),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dns_world(tmp_path_factory.mktemp("dns"), ZONES, frozenset({"b.test"})) as address:
        yield address


@pytest.mark.parametrize("host, want", CASES.items(), ids=list(CASES))
def test_lookup(server: str, host: str, want: tuple[Status, str]) -> None:
    async def awaited() -> object:
        with UdpResolver([server], trust_ad=True) as resolver:
            return await lookup(host, resolver)

    found = lookup_sync(host, BlockingUdpResolver([server], trust_ad=True))
    assert (found.status, found.base) == want, found.explain()
    assert found.to_dict()["status"] == getattr(asyncio.run(awaited()), "status", None)


def test_a_resolver_that_is_not_trusted_vouches_for_nothing(server: str) -> None:
    """RFC 7672 2.1.3."""
    assert lookup_sync("mx.a.test", BlockingUdpResolver([server], trust_ad=False)).status is Status.INSECURE


def test_the_chain_is_the_one_that_dns_vouches_for(server: str) -> None:
    found = lookup_sync("mx.a.test", BlockingUdpResolver([server], trust_ad=True))
    names = reference_names(found, "a.test")
    assert verify(LEAF.chain, found.records, names=names, now=time.time()).means == "dane-ee"
    renewed = make("leaf", ROOT, names=["a.test"], send_root=True)
    verdict = verify(renewed.chain, found.records, names=names, now=time.time())
    assert (verdict.means, verdict.name) == ("dane-ta", "a.test")
    stranger = make("leaf", make("Root", ca=True), names=["a.test"], send_root=True)
    assert verify(stranger.chain, found.records, names=names, now=time.time()).status is Outcome.FAIL
