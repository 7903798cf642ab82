"""TLSA records from certificates and keys, the same as other programs make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from kit.certificates import Made
from kit.certificates import make as certificate
from mox_dane import Matching, Selector, UnusableSource, Usage, make, why_unusable

KEYS = {
    "ecdsa": None,
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
EVERY = [(usage, selector, matching) for usage in (Usage.DANE_TA, Usage.DANE_EE) for selector in Selector
         for matching in Matching]  # fmt: skip


@pytest.fixture(scope="module", params=KEYS, ids=list(KEYS))
def made(request: pytest.FixtureRequest) -> Made:
    return certificate("mx.a.example", names=["mx.a.example"], key=KEYS[request.param])


def test_every_source_gives_the_same(made: Made) -> None:
    public = made.certificate.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    private = made.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sources = [
        made.der,
        made.pem.encode(),
        b"bag attributes\n" + made.pem.encode() + made.pem.encode(),
        made.spki,
        public.public_bytes(serialization.Encoding.PEM, spki),
        made.key_pem.encode(),
        private,
    ]
    records = {make(source) for source in sources}
    assert len(records) == 1
    assert {(one.usage, one.selector, one.matching) for one in records} == {(3, 1, 1)}


@pytest.mark.parametrize("usage, selector, matching", EVERY)
def test_what_is_made_counts(made: Made, usage: Usage, selector: Selector, matching: Matching) -> None:
    record = make(made.pem.encode(), usage, selector, matching)
    assert (record.usage, record.selector, record.matching) == (usage, selector, matching)
    assert why_unusable(record) == ""


@pytest.mark.parametrize("selector, matching", [(s, m) for s in (0, 1) for m in (1, 2)])
@pytest.mark.peers
def test_as_danetool_makes_them(made: Made, selector: int, matching: int, tmp_path: Path) -> None:
    program = shutil.which("danetool")
    if program is None:
        pytest.skip("danetool is not here (Debian: apt install gnutls-bin)")
    chain, _ = made.write(tmp_path)
    flags = ["--x509"] if selector == 0 else []
    digest = [f"--hash={'sha256' if matching == 1 else 'sha512'}"]
    done = subprocess.run(
        [program, "--tlsa-rr", "--host", "mx.a.example", "--port", "25", "--domain", f"--load-certificate={chain}",
         *flags, *digest],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # `_25._tcp.mx.a.example. IN TLSA ( 03 01 01 hex )`
    usage, their_selector, their_matching, data = done.stdout.partition("(")[2].partition(")")[0].split()
    record = make(made.der, Usage(int(usage)), Selector(selector), Matching(matching))
    assert (int(their_selector), int(their_matching), data) == (selector, matching, record.data.hex())


@pytest.mark.parametrize("selector, matching", [(1, 1), (0, 2), (1, 0)])
@pytest.mark.peers
def test_as_hash_slinger_makes_them(made: Made, selector: int, matching: int, tmp_path: Path) -> None:
    program = shutil.which("tlsa")
    if program is None:
        pytest.skip("tlsa is not here (Debian: apt install hash-slinger)")
    chain, _ = made.write(tmp_path)
    done = subprocess.run(
        [program, "--create", "--output", "rfc", "--certificate", str(chain), "--usage", "3", "--selector",
         str(selector), "--mtype", str(matching), "--port", "25", "mx.a.example"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"tlsa does not make this one: {done.stderr.strip().splitlines()[-1][:100]}")
    record = make(made.der, Usage.DANE_EE, Selector(selector), Matching(matching))
    assert done.stdout.split()[-4:] == ["3", str(selector), str(matching), record.data.hex()]


BAD = {
    "nothing": b"",
    "garbage": b"\x30\x03\x02\x01\x00",
    "a broken PEM": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "another PEM": b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    "text": b"3 1 1 00",
}


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_no_source(source: bytes) -> None:
    with pytest.raises(UnusableSource):
        make(source)


def test_a_key_has_no_certificate(made: Made) -> None:
    with pytest.raises(UnusableSource, match="needs a certificate"):
        make(made.key_pem.encode(), selector=Selector.CERT)


def test_an_encrypted_key(made: Made) -> None:
    pem = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(UnusableSource, match="encrypted"):
        make(pem)


@pytest.mark.parametrize("turned", [1, 2, 0x10, 0x80])
def test_damaged_keys(turned: int) -> None:
    """Any octet of a key: it is refused with the declared error, or it is a key."""
    form = serialization.PrivateFormat.PKCS8
    data = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.DER, form, serialization.NoEncryption()
    )
    refused = 0
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= turned
        try:
            make(bytes(bad))
        except UnusableSource:
            refused += 1
    assert 0 < refused < len(data)
