"""A Postfix that enforces DANE and MTA-STS sends to moxd: it goes where the certificate proves the host, and nowhere else.

DANE is Postfix's own, MTA-STS comes to it from postfix-mta-sts-resolver, which fetches the policy that moxd serves."""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import mox_dane
from kit.dnsservers import dns_world
from kit.postfix import Postfix, postfix
from kit.processes import Running, answers, free_port, loopback, program
from kit.server import Moxd, configure, moxd
from kit.world import STANDARD, newest, txt, until

pytestmark = [pytest.mark.xdist_group("world"), pytest.mark.timeout(120)]
DOMAINS = ("dane.test", "wrong.test", "sts.test", "other.test")
MORE = """
[domains."wrong.test"]
[domains."sts.test".mta_sts]
mx = ["mx.sts.test"]
[domains."other.test".mta_sts]
mx = ["elsewhere.other.test"]

[accounts.more]
addresses = ["@wrong.test", "@sts.test", "@other.test"]
"""
DAEMON = """
host: 127.0.0.1
port: {port}
cache:
  type: internal
default_zone:
  strict_testing: false
  timeout: 5
"""
SECURE = """
smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
smtp_tls_CAfile = {ca}
smtp_tls_policy_maps = socketmap:inet:127.0.0.1:{port}:postfix
"""


def zones(server: str, peer: str, certificate: bytes) -> dict[str, str]:
    return {
        "dane.test": f"@ MX 10 mx\nmx A {server}\n_25._tcp.mx TLSA {mox_dane.make(certificate)}",
        "wrong.test": f"@ MX 10 mx\nmx A {server}\n_25._tcp.mx TLSA 3 1 1 {'00' * 32}",
        "sts.test": f'@ MX 10 mx\nmx A {server}\nmta-sts A {server}\n_mta-sts TXT "v=STSv1; id=1;"',
        "other.test": f'@ MX 10 mx\nmx A {server}\nmta-sts A {server}\n_mta-sts TXT "v=STSv1; id=1;"',
        "postfix.test": f"@ MX 10 mx\nmx A {peer}\n@ TXT {txt(f'v=spf1 ip4:{peer} -all')}",
    }


@pytest.fixture(scope="module")
def secure() -> Iterator[tuple[Moxd, Postfix]]:
    if os.geteuid() != 0:
        pytest.skip("Postfix and port 25 need root")
    daemon = program("mta-sts-daemon", "postfix-mta-sts-resolver")
    with TemporaryDirectory(prefix="mox-secure-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        nameserver, peer_address, server_address = loopback(3)
        ports = {**STANDARD, "http": 80, "https": 443}
        names = [f"{host}.{domain}" for domain in DOMAINS for host in ("mx", "mta-sts")]
        configure(
            folder / "moxd", dns=f"{nameserver}:53", domain="dane.test", host="mx.dane.test", address=server_address,
            ports=ports, web=True, names=names, extra="connections_per_minute = 0",
        )  # fmt: skip
        with (folder / "moxd" / "domains.toml").open("a") as file:
            file.write(MORE)
        (folder / "moxd").chmod(0o755)
        certificate, key = folder / "moxd/tls/server.pem", folder / "moxd/tls/server-key.pem"
        records = zones(server_address, peer_address, _der(certificate))
        port = free_port()
        (folder / "daemon.yml").write_text(DAEMON.format(port=port))
        (folder / "resolv.conf").write_text(f"nameserver {nameserver}\n")
        ca = folder / "moxd/tls/ca.pem"
        script = f'mount --bind "{folder}/resolv.conf" /etc/resolv.conf && exec {daemon} -c {folder}/daemon.yml'
        unsigned = frozenset({"sts.test", "other.test"})
        with (
            dns_world(folder / "dns", records, unsigned, address=nameserver, port=53),
            moxd(folder / "moxd", ports, address=server_address) as server,
        ):
            sts = Running(
                ["unshare", "-m", "sh", "-c", script],
                folder,
                "mta-sts-daemon",
                {**os.environ, "SSL_CERT_FILE": str(ca)},
            )
            try:
                sts.wait_until(lambda: answers(port))
                with postfix(
                    folder / "postfix", address=peer_address, host="mx.postfix.test", domain="postfix.test",
                    nameserver=nameserver, certificate=certificate, key=key, extra=SECURE.format(ca=ca, port=port),
                ) as peer:  # fmt: skip
                    yield server, peer
            finally:
                sts.kill()


def _der(path: Path) -> bytes:
    import ssl

    return ssl.PEM_cert_to_DER_cert(re.search(r"-----BEGIN.*?END CERTIFICATE-----\n", path.read_text(), re.S)[0])  # type: ignore[index]


def send(peer: Postfix, to: str) -> str:
    """Gives a message to Postfix; what its log says became of it."""
    with smtplib.SMTP(peer.address, 25, timeout=30) as client:
        client.sendmail("a@postfix.test", [to], f"From: a@postfix.test\r\nSubject: to {to}\r\n\r\nx\r\n")
    found = until(lambda: re.findall(rf"to=<{re.escape(to)}>.* status=.*", peer.log), 40)
    return str(found[0])


@pytest.mark.parametrize("domain", ["dane.test", "sts.test"])
def test_it_goes_where_the_host_is_proven(secure: tuple[Moxd, Postfix], domain: str) -> None:
    server, peer = secure
    became = send(peer, f"you@{domain}")
    assert "status=sent" in became, peer.log
    assert f"Verified TLS connection established to mx.{domain}" in peer.log
    login = "you@dane.test" if domain == "dane.test" else "x@sts.test"
    if domain == "dane.test":
        assert b"ESMTPS" in newest(server, f"to you@{domain}", login=login)


@pytest.mark.parametrize("domain", ["wrong.test", "other.test"])
def test_it_goes_nowhere_else(secure: tuple[Moxd, Postfix], domain: str) -> None:
    _, peer = secure
    became = send(peer, f"you@{domain}")
    assert "status=deferred" in became
    assert re.search(r"not (verified|trusted)|unable to look up|no matching", became), became
    assert f"Verified TLS connection established to mx.{domain}" not in peer.log
