"""The whole way to a verified delivery, with real peers: Knot signs, Unbound validates, a policy host serves over HTTPS,
Postfix takes the mail over STARTTLS; the decision is requirement.py's."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_dane
import mox_mtasts
from kit.certificates import Made, make
from kit.dnsservers import dns_world
from kit.policy_host import policy_host, response, says
from kit.postfix import Postfix, postfix
from mox_dns import UdpResolver, run
from mox_message import Content
from mox_queue.message import TlsWish
from mox_queue.requirement import Requirement, Skip, require
from mox_smtp import ClientConfig, Delivered, Envelope, TlsFailed, plan_addresses, plan_hosts
from mox_smtp.aio import deliver

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("postfix")]

ADDRESS = "127.0.0.19"
MESSAGE = Content.of(
    b"From: a@sender.test\r\nTo: b@a.test\r\nSubject: hello\r\nMessage-ID: <1@sender.test>\r\n\r\nHi.\r\n"
)
# d.test and e.test are not under DNSSEC; the others are.
UNSIGNED = frozenset({"d.test", "e.test"})
STRANGER = "ab" * 32


@dataclass
class World:
    """Where the peers are."""

    server: str
    roots: str
    trust: ssl.SSLContext
    port: int
    peer: Postfix


def zones(leaf: Made, root: Made) -> dict[str, str]:
    ee = mox_dane.make(leaf.der)
    ta = mox_dane.make(root.der, mox_dane.Usage.DANE_TA, mox_dane.Selector.CERT)
    mx = f"@ IN MX 10 mx\nmx IN A {ADDRESS}\n"
    sts = '_mta-sts IN TXT "v=STSv1; id=1"\nmta-sts IN A 127.0.0.1\n'
    return {
        "a.test": f"{mx}_25._tcp.mx IN TLSA {ee}\n",
        "b.test": f"{mx}_25._tcp.mx IN TLSA 3 1 1 {STRANGER}\n",
        "c.test": f"{mx}_25._tcp.mx IN TLSA {ta}\n",
        "d.test": f"{mx}{sts}",
        "e.test": f"{mx}",
        "f.test": f"{mx}",
    }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    root = make("Test Root", ca=True)
    # c.test's mail host has a certificate for the domain only; f.test's has none at all.
    leaf = make("mx", root, names=["mx.a.test", "c.test", "mx.d.test", "mx.e.test"], send_root=True)
    with TemporaryDirectory(prefix="mox-requirement-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "root.pem").write_text(root.pem)
        certificate, key = leaf.write(folder)
        policies = make("policies", root, names=["mta-sts.d.test"]).server_context(folder, "policies")
        policy = "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 86400\n"
        with (
            dns_world(folder / "dns", zones(leaf, root), UNSIGNED) as server,
            policy_host(policies, says(response(policy))) as host,
            postfix(
                folder / "postfix", address=ADDRESS, host="mx.a.test",
                domain="a.test, b.test, c.test, d.test, e.test, f.test", nameserver=None, certificate=certificate,
                key=key,
            ) as peer,
        ):  # fmt: skip
            roots = str(folder / "root.pem")
            yield World(server, roots, mox_mtasts.default_context(roots), host.port, peer)


async def decided(world: World, domain: str, wish: TlsWish) -> Requirement | Skip:
    """What the hosts of a domain must prove, asked of the world."""
    fetcher = partial(mox_mtasts.fetch, context=world.trust, port=world.port)
    with UdpResolver([world.server], trust_ad=True) as resolver:
        hosts = (await run(plan_hosts(domain, random.shuffle), resolver)).value
        sts = await mox_mtasts.check(domain, resolver, cache=mox_mtasts.MemoryCache(), fetcher=fetcher)
        (host,) = hosts.names
        dane = await mox_dane.lookup(host, resolver, mx_authentic=hosts.authentic)
        assert (await run(plan_addresses(host), resolver)).value.addresses
    return require(
        host, domain=domain, dane=dane, sts=sts, wish=wish, mx_authentic=hosts.authentic, now=time.time(),
        roots=world.roots,
    )  # fmt: skip


async def delivered(requirement: Requirement, domain: str) -> Delivered:
    envelope = Envelope("a@sender.test", (f"b@{domain}",))
    config = ClientConfig("sender.test", trust=requirement.trust)
    return await deliver(ADDRESS, 25, requirement.name, config, envelope, MESSAGE)


def sent(world: World, domain: str, wish: TlsWish = TlsWish.DEFAULT) -> tuple[Requirement, Delivered]:
    async def both() -> tuple[Requirement, Delivered]:
        requirement = await decided(world, domain, wish)
        assert isinstance(requirement, Requirement), requirement
        return requirement, await delivered(requirement, domain)

    return asyncio.run(both())


@contextmanager
def refused(failure: str) -> Iterator[None]:
    with pytest.raises(TlsFailed) as caught:
        yield
    assert caught.value.failure == failure


PROVEN = {
    "a.test": ("dane-ee", "tlsa", True),  # the server's key
    "c.test": ("dane-ta", "tlsa", True),  # the domain's name, under the anchor that it has sent
    "d.test": ("pkix", "sts", True),  # MTA-STS, no DNSSEC
    "e.test": ("", "no-policy-found", False),
}


@pytest.mark.parametrize("domain", PROVEN)
def test_delivered(world: World, domain: str) -> None:
    means, policy, verified = PROVEN[domain]
    requirement, found = sent(world, domain)
    assert (requirement.policy.type, requirement.verified) == (policy, verified)
    assert found.tls_result is not None
    assert found.tls_result.proof.means == means
    (reply,) = found.replies.values()
    assert reply.good, reply


def test_the_wrong_key_gets_nothing(world: World) -> None:
    with refused("certificate-not-trusted"):
        sent(world, "b.test")
    assert not any(b"b@b.test" in message for message in world.peer.messages())


def test_the_sender_may_pass_over_it(world: World) -> None:
    requirement, found = sent(world, "b.test", TlsWish.OPTIONAL)
    assert not requirement.verified
    assert next(iter(found.replies.values())).good


def test_requiretls_where_the_host_can_prove_itself(world: World) -> None:
    requirement, found = sent(world, "d.test", TlsWish.REQUIRE)
    assert requirement.verified
    assert found.tls_result is not None
    assert found.tls_result.proof.means == "pkix"


def test_requiretls_where_dnssec_vouches_for_the_host_and_its_name_is_another(world: World) -> None:
    with refused("certificate-host-mismatch"):
        sent(world, "f.test", TlsWish.REQUIRE)


def test_requiretls_where_nothing_vouches_for_the_host(world: World) -> None:
    found = asyncio.run(decided(world, "e.test", TlsWish.REQUIRE))
    assert isinstance(found, Skip)
    assert (found.temporary, found.status) == (False, "5.7.10")
