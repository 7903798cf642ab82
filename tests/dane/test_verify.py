"""A chain against records: RFC 7672 3.1.1, 3.1.2 and 3.2.3, RFC 7671 5.1, 5.2 and 9; and what OpenSSL says.

RFC 7671 5.2.2 and 5.2.3, where the record holds the anchor: the kinds `2 1 0 root` and `2 0 0 root`."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.certificates import Made, key_usage
from kit.certificates import make as made
from mox_dane import Outcome, verify
from mox_dane.testing.texts import records as any_record
from mox_dns import Tlsa

HOST = "mx.a.example"
NOW = time.time()
# Without identifiers of keys, a verifier must find its way by names and signatures.
make = partial(made, key_ids=False)


def record(usage: int, selector: int, matching: int, of: Made) -> Tlsa:
    """The record of a kind for a certificate."""
    data = of.der if selector == 0 else of.spki
    if matching:
        data = (hashlib.sha256 if matching == 1 else hashlib.sha512)(data).digest()
    return Tlsa(usage, selector, matching, data)


class Shape:
    """A chain as a server sends it, and the certificates in it."""

    def __init__(self, leaf: Made, intermediate: Made | None, root: Made, *, sent: tuple[Made, ...] | None = None):
        self.leaf, self.intermediate, self.root = leaf, intermediate, root
        whole = (leaf, intermediate, root) if intermediate else (leaf, root)
        self.sent = whole if sent is None else sent

    @property
    def chain(self) -> tuple[bytes, ...]:
        return tuple(one.der for one in self.sent)

    def context(self, folder: Path) -> ssl.SSLContext:
        above = tuple(one.certificate for one in self.sent[1:])
        return replace(self.leaf, above=above).server_context(folder)


ROOT = make("Root", ca=True)
INTER = make("Intermediate", ROOT, ca=True)
LEAF = make("leaf", INTER, names=[HOST])
OTHER = make("Root", ca=True)


def under(intermediate: Made, **options: object) -> Shape:
    return Shape(make("leaf", intermediate, names=[HOST], **options), intermediate, ROOT)  # type: ignore[arg-type]


def constrained(permitted: list[str] | None, excluded: list[str] | None) -> Made:
    trees = [None if names is None else [x509.DNSName(name) for name in names] for names in (permitted, excluded)]
    return make("Intermediate", ROOT, ca=True, extensions=[(x509.NameConstraints(*trees), True)])


UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True)
CLIENTS = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
ED_ROOT = make("Root", ca=True, key=ed25519.Ed25519PrivateKey.generate())
RSA_ROOT = make("Root", ca=True, key=rsa.generate_private_key(65537, 2048))
DEEP = make("Second", INTER, ca=True)
SHORT = make("Short", ROOT, ca=True, path_length=0)
BELOW_SHORT = make("Second", SHORT, ca=True)
OLD = make("Old", ca=True, days=(-9, -1))
ITSELF, DEEPEST, TOO_DEEP = (make("leaf", issuer, names=[HOST]) for issuer in (None, DEEP, BELOW_SHORT))

SHAPES = {
    "plain": Shape(LEAF, INTER, ROOT),
    "without the root": Shape(LEAF, INTER, ROOT, sent=(LEAF, INTER)),
    "the leaf alone": Shape(LEAF, INTER, ROOT, sent=(LEAF,)),
    "out of order": Shape(LEAF, INTER, ROOT, sent=(LEAF, ROOT, INTER)),
    "strangers in between": Shape(LEAF, INTER, ROOT, sent=(LEAF, OTHER, INTER, SHORT, ROOT)),
    "a root of the same name": Shape(LEAF, INTER, ROOT, sent=(LEAF, INTER, OTHER)),
    "right below the root": Shape(make("leaf", ROOT, names=[HOST]), None, ROOT),
    "signed by itself": Shape(ITSELF, None, ROOT, sent=(ITSELF,)),
    "a star": Shape(make("leaf", INTER, names=["*.a.example"]), INTER, ROOT),
    "a star too high": Shape(make("leaf", INTER, names=["*.example"]), INTER, ROOT),
    "another name": Shape(make("leaf", INTER, names=["mx.b.example"]), INTER, ROOT),
    "the name as CN": Shape(make(HOST, INTER), INTER, ROOT),
    "CN beside another name": Shape(make(HOST, INTER, names=["mx.b.example"]), INTER, ROOT),
    "expired": under(INTER, days=(-9, -1)),
    "not yet": under(INTER, days=(1, 9)),
    "expired intermediate": under(make("Intermediate", ROOT, ca=True, days=(-9, -1))),
    "intermediate is no authority": under(make("Intermediate", ROOT)),
    "intermediate without basicConstraints": under(make("Intermediate", ROOT, ca=True, basic=False)),
    "intermediate may not sign": under(make("Intermediate", ROOT, ca=True, usage=key_usage("crl_sign"))),
    "intermediate for clients": under(make("Intermediate", ROOT, ca=True, extensions=[CLIENTS])),
    "unknown and critical above": under(make("Intermediate", ROOT, ca=True, extensions=[UNKNOWN])),
    "unknown and critical": under(INTER, extensions=[UNKNOWN]),
    "names permitted": under(constrained(["a.example"], None)),
    "names not permitted": under(constrained(["b.example"], None)),
    "names excluded": under(constrained(None, ["a.example"])),
    "names excluded elsewhere": under(constrained(None, ["b.example"])),
    "two intermediates": Shape(DEEPEST, INTER, ROOT, sent=(DEEPEST, DEEP, INTER, ROOT)),
    "too deep": Shape(TOO_DEEP, SHORT, ROOT, sent=(TOO_DEEP, BELOW_SHORT, SHORT, ROOT)),
    "deep enough": Shape(make("leaf", SHORT, names=[HOST]), SHORT, ROOT),
    "Ed25519 root": Shape(make("leaf", ED_ROOT, names=[HOST]), None, ED_ROOT),
    "RSA root": Shape(make("leaf", RSA_ROOT, names=[HOST]), None, RSA_ROOT),
    "expired root": Shape(make("leaf", OLD, names=[HOST]), None, OLD),
}  # fmt: skip


P, F = Outcome.PASS, Outcome.FAIL
# What is right for: 3 1 1 of the leaf · 2 0 1 of the root · 2 1 1 of the intermediate · 2 0 0 of the root · 2 1 0 of the
# root · 2 1 1 of the leaf
EXPECTED = {
    "plain": (P, P, P, P, P, F),
    "without the root": (P, F, P, P, P, F),
    "the leaf alone": (P, F, F, F, F, F),
    "out of order": (P, P, P, P, P, F),
    "strangers in between": (P, P, P, P, P, F),
    "a root of the same name": (P, F, P, P, P, F),
    "right below the root": (P, P, None, P, P, F),
    "signed by itself": (P, F, None, F, F, F),
    "a star": (P, P, P, P, P, F),
    "a star too high": (P, F, F, F, F, F),
    "another name": (P, F, F, F, F, F),
    "the name as CN": (P, P, P, P, P, F),
    "CN beside another name": (P, F, F, F, F, F),
    "expired": (P, F, F, F, F, F),
    "not yet": (P, F, F, F, F, F),
    "expired intermediate": (P, F, F, F, F, F),
    "intermediate is no authority": (P, F, F, F, F, F),
    "intermediate without basicConstraints": (P, F, F, F, F, F),
    "intermediate may not sign": (P, F, F, F, F, F),
    "intermediate for clients": (P, F, F, F, F, F),
    "unknown and critical above": (P, F, F, F, F, F),
    "unknown and critical": (P, F, F, F, F, F),
    "names permitted": (P, P, P, P, P, F),
    "names not permitted": (P, F, F, F, F, F),
    "names excluded": (P, F, F, F, F, F),
    "names excluded elsewhere": (P, P, P, P, P, F),
    "two intermediates": (P, P, P, P, P, F),
    "too deep": (P, F, F, F, F, F),
    "deep enough": (P, P, P, P, P, F),
    "Ed25519 root": (P, P, None, P, P, F),
    "RSA root": (P, P, None, P, P, F),
    "expired root": (P, F, None, F, P, F),
}


def records_of(shape: Shape) -> tuple[Tlsa | None, ...]:
    return (
        record(3, 1, 1, shape.leaf),
        record(2, 0, 1, shape.root),
        record(2, 1, 1, shape.intermediate) if shape.intermediate else None,
        record(2, 0, 0, shape.root),
        record(2, 1, 0, shape.root),
        record(2, 1, 1, shape.leaf),
    )


KINDS = ["3 1 1 leaf", "2 0 1 root", "2 1 1 intermediate", "2 0 0 root", "2 1 0 root", "2 1 1 leaf"]


@pytest.mark.parametrize("name", SHAPES)
def test_verify(name: str) -> None:
    shape = SHAPES[name]
    for kind, one, want in zip(KINDS, records_of(shape), EXPECTED[name], strict=True):
        if one is None:
            continue
        verdict = verify(shape.chain, [one], names=[HOST], now=NOW)
        assert verdict.status is want, (kind, verdict.explain())
        assert (verdict.record == one) == (want is P)
        assert bool(verdict.failure) == (want is F)
        if want is P:
            assert verdict.means == ("dane-ee" if one.usage == 3 else "dane-ta")
            assert verdict.name == ("" if one.usage == 3 else HOST)


# Where OpenSSL 3 says otherwise: shape and kind -> why ours stays.
FIRST = "OpenSSL takes the first certificate of the issuer's name and does not look back; RFC 5280 6.1 asks for a path"
OPENSSL_DIFFERS = {
    ("strangers in between", "2 0 1 root"): FIRST,
    ("strangers in between", "2 1 0 root"): FIRST,
    ("a root of the same name", "2 1 0 root"): FIRST,
    ("expired intermediate", "2 1 1 intermediate"): "OpenSSL looks at the dates of an anchor only where it is a root",
    ("expired root", "2 1 0 root"): "the record holds the key itself, which has no dates (RFC 7671 5.2.2)",
}


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    """A TLS server on loopback that shows a chain to whoever comes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                plain.settimeout(5)
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(1)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def openssl_says(program: str, port: int, one: Tlsa) -> Outcome:
    done = subprocess.run(
        [program, "s_client", "-connect", f"127.0.0.1:{port}", "-dane_tlsa_domain", HOST, "-dane_ee_no_namechecks",
         "-dane_tlsa_rrdata", str(one), "-brief"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert "Verification" in told, told
    return P if "Verification: OK" in told else F


@pytest.mark.peers
@pytest.mark.parametrize("name", SHAPES)
def test_as_openssl_says(name: str, tmp_path: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not here")
    shape = SHAPES[name]
    differ = {}
    with serving(shape.context(tmp_path)) as port:
        for kind, one in zip(KINDS, records_of(shape), strict=True):
            if one is None:
                continue
            ours = verify(shape.chain, [one], names=[HOST], now=NOW)
            theirs = openssl_says(program, port, one)
            if (ours.status is not theirs) is not ((name, kind) in OPENSSL_DIFFERS):
                differ[kind] = f"OpenSSL: {theirs}, ours: {ours.explain()}"
    assert differ == {}


def test_unusable_records_ask_for_nothing() -> None:
    verdict = verify(SHAPES["plain"].chain, [Tlsa(1, 1, 1, b"a" * 32), Tlsa(3, 1, 1, b"")], now=NOW)
    assert (verdict.status, verdict.failure, len(verdict.trace)) == (Outcome.UNUSABLE, "tlsa-invalid", 2)
    assert verify(SHAPES["plain"].chain, [], now=NOW).status is Outcome.UNUSABLE
    assert verify((), [], now=NOW).failure == ""


def test_any_record_suffices() -> None:
    wrong = Tlsa(3, 1, 1, b"a" * 32)
    chain = SHAPES["plain"].chain
    for good in (record(3, 1, 1, LEAF), record(2, 0, 1, ROOT)):
        verdict = verify(chain, [wrong, good, Tlsa(0, 0, 1, b"x" * 32)], names=[HOST], now=NOW)
        assert (verdict.status, verdict.record) == (P, good)


def test_a_weaker_digest_does_not_help() -> None:
    """RFC 7671 9: who can forge the weak digest gains nothing."""
    weak, strong = record(3, 1, 1, LEAF), Tlsa(3, 1, 2, b"a" * 64)
    assert verify(SHAPES["plain"].chain, [weak, strong], now=NOW).status is F


def test_other_names_count() -> None:
    verdict = verify(SHAPES["plain"].chain, [record(2, 0, 1, ROOT)], names=["b.example", HOST.upper()], now=NOW)
    assert (verdict.status, verdict.depth) == (P, 2)
    assert verify(SHAPES["plain"].chain, [record(2, 0, 1, ROOT)], now=NOW).failure == "certificate-host-mismatch"


FAILURES = {
    "another name": "certificate-host-mismatch",
    "expired": "certificate-expired",
    "expired intermediate": "certificate-expired",
    "the leaf alone": "certificate-not-trusted",
    "intermediate is no authority": "certificate-not-trusted",
}


@pytest.mark.parametrize("name, failure", FAILURES.items())
def test_failures_for_the_report(name: str, failure: str) -> None:
    shape = SHAPES[name]
    verdict = verify(shape.chain, [record(2, 0, 1, shape.root), Tlsa(3, 1, 1, b"a" * 32)], names=[HOST], now=NOW)
    assert verdict.failure == failure
    assert verdict.to_dict()["failure"] == failure
    assert len(verdict.explain().splitlines()) == 3


def test_no_certificate() -> None:
    assert verify((), [record(3, 1, 1, LEAF)], now=NOW).reason == "the server has sent no certificate"


def test_a_maze_of_cross_signatures_is_bounded() -> None:
    """Ten authorities of one name, each signed by each: no more than MAX_PATHS ways are looked at."""
    shared = make("Maze", ca=True)
    maze = [make("Maze", shared, ca=True, key=shared.key) for _ in range(11)]
    leaf = make("leaf", maze[0], names=[HOST])
    start = time.process_time()
    verdict = verify([leaf.der, *(one.der for one in maze)], [Tlsa(2, 0, 1, b"a" * 32)], names=[HOST], now=NOW)
    assert verdict.status is F
    assert time.process_time() - start < 20


def test_a_chain_of_thousands_is_cut() -> None:
    chain = [LEAF.der, *[OTHER.der] * 5000, INTER.der, ROOT.der]
    assert verify(chain, [record(2, 0, 1, ROOT)], names=[HOST], now=NOW).status is F
    assert verify(chain, [record(3, 0, 1, LEAF)], names=[HOST], now=NOW).status is P


def test_a_serial_number_below_zero() -> None:
    """cryptography warns of it, and a program may have made warnings errors."""
    serial = LEAF.certificate.serial_number
    octets = serial.to_bytes((serial.bit_length() + 8) // 8, "big")
    at = LEAF.der.index(octets)
    odd = LEAF.der[:at] + bytes([octets[0] | 0x80]) + LEAF.der[at + 1 :]
    assert verify([odd, INTER.der], [record(2, 0, 1, ROOT)], names=[HOST], now=NOW).status is F


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.sampled_from([LEAF.der, INTER.der, ROOT.der, OTHER.der]), st.binary(max_size=60)), max_size=5
    ),
    st.lists(st.one_of(any_record(), st.sampled_from([record(2, 0, 1, ROOT), record(2, 1, 0, ROOT)])), max_size=4),
    st.integers(0, 4000),
    st.binary(max_size=3),
)
def test_whatever_is_sent(chain: list[bytes], records: list[Tlsa], at: int, noise: bytes) -> None:
    hostile = [one[: at % (len(one) + 1)] + noise + one[at % (len(one) + 1) + len(noise) :] for one in chain]
    for sent in (chain, hostile, [*chain, *hostile]):
        verdict = verify(sent, records, names=[HOST], now=NOW)
        assert verdict.explain()
        if verdict.status is P:
            assert verdict.record in records
