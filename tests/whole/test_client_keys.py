"""A certificate that an account names lets its mail program in without a password; all others are as before."""

from __future__ import annotations

import contextlib
import imaplib
import signal
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.processes import program
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.world import trusting, until

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(90)]


def make(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key, as a mail program makes one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9)).sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / f"{name}.pem", folder / f"{name}-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def greeting(server: Moxd, shown: tuple[Path, Path] | None, version: ssl.TLSVersion) -> bytes:
    context = trusting(server)
    context.minimum_version = context.maximum_version = version
    if shown is not None:
        context.load_cert_chain(*shown)
    with (
        socket.create_connection((server.address, server.ports["imaps"]), 20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.settimeout(20)
        return tls.recv(65536)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_keys(tmp_path: Path, version: ssl.TLSVersion) -> None:
    with stub_dns({}) as dns:
        folder = tmp_path / "moxd"
        extra = "connections_per_minute = 0"
        ports = configure(folder, dns=dns, workers=2, listener="client_keys = true", extra=extra)
        known, later, foreign = (make(folder, name) for name in ("known", "later", "foreign"))
        domains = folder / "domains.toml"
        text = domains.read_text()
        domains.write_text(text.replace("[accounts.you]", '[accounts.you]\ntls_keys = ["known.pem"]'))
        with moxd(folder, ports) as server:
            assert greeting(server, known, version).startswith(b"* PREAUTH ")
            assert greeting(server, None, version).startswith(b"* OK ")
            # In TLS 1.3 a client hears of it only when it reads.
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                assert greeting(server, foreign, version) == b""

            context = trusting(server)
            context.load_cert_chain(*known)
            with imaplib.IMAP4_SSL(server.address, ports["imaps"], ssl_context=context) as client:
                assert client.state == "AUTH"
                assert client.select()[0] == "OK"
            with imaplib.IMAP4_SSL(server.address, ports["imaps"], ssl_context=trusting(server)) as client:
                client.login("you@mox.test", PASSWORD)
            done = subprocess.run(
                [program("openssl", "openssl"), "s_client", "-quiet", "-connect", f"{server.address}:{ports['imaps']}",
                 "-cert", str(known[0]), "-key", str(known[1]), "-CAfile", str(server.ca)],
                input=b"a LOGOUT\r\n", capture_output=True, timeout=20,
            )  # fmt: skip
            assert b"* PREAUTH " in done.stdout, done.stderr
            assert "mechanism=TLS key" in server.log or 'mechanism="TLS key"' in server.log

            # Another key takes its place, without a restart.
            domains.write_text(text.replace("[accounts.you]", '[accounts.you]\ntls_keys = ["later.pem"]'))
            server.running.process.send_signal(signal.SIGHUP)
            until(lambda: server.log.count("domains read again") == 2)
            assert greeting(server, later, version).startswith(b"* PREAUTH ")
            assert greeting(server, known, version).startswith(b"* OK ")

            (folder / "bad.pem").write_text("no certificate")
            domains.write_text(text.replace("[accounts.you]", '[accounts.you]\ntls_keys = ["bad.pem"]'))
            server.running.process.send_signal(signal.SIGHUP)
            until(lambda: "bad.pem is no certificate in PEM form" in server.log)
            assert greeting(server, later, version).startswith(b"* PREAUTH ")


def test_a_bad_certificate_is_one_sentence_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "moxd"
    configure(folder, dns="127.0.0.1:53", passwords=False, listener="client_keys = true")
    (folder / "bad.pem").write_text("no certificate")
    domains = folder / "domains.toml"
    domains.write_text(domains.read_text().replace("[accounts.you]", '[accounts.you]\ntls_keys = ["bad.pem"]'))
    done = subprocess.run(
        [sys.executable, "-m", "moxd", "serve", "--config", str(folder)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 74
    assert done.stderr.count("bad.pem is no certificate in PEM form") == 1
