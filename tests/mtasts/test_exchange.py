"""The fetch without a network: a TLS server in memory, and every limit of RFC 8461 3.3."""

from __future__ import annotations

import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.certificates import Made, make
from kit.policy_host import response
from mox_mtasts import Exchange, Failure, Fetched, Limits, default_context

HOST = "mta-sts.a.example"
TEXT = b"version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmax_age: 604800\r\n"


class Server:
    """The other end in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def shake(self, exchange: Exchange) -> None:
        """Both ends until neither has more to say."""
        for _ in range(6):
            self.incoming.write(exchange.outgoing())
            try:
                self.tls.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLError):
                pass
            if data := self.outgoing.read():
                exchange.receive(data)

    def send(self, data: bytes, *, close: bool = False) -> bytes:
        """`data` as it goes over the wire; with `close`, TLS ends properly."""
        if data:
            self.tls.write(data)
        if close:
            try:
                self.tls.unwrap()
            except ssl.SSLError:  # the other end has not closed its half
                pass
        return self.outgoing.read()


@pytest.fixture(scope="module")
def root() -> Made:
    return make("Test Root", ca=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def trust(root: Made, folder: Path) -> ssl.SSLContext:
    (folder / "root.pem").write_text(root.pem)
    return default_context(str(folder / "root.pem"))


@pytest.fixture(scope="module")
def good(root: Made, folder: Path) -> ssl.SSLContext:
    return make("leaf", root, names=[HOST]).server_context(folder)


def fetched(
    trust: ssl.SSLContext,
    server: ssl.SSLContext,
    *pieces: bytes,
    close: bool = True,
    limits: Limits = Limits(),  # noqa: B008
) -> Fetched | None:
    """What comes of it when the server says `pieces` and then closes."""
    exchange = Exchange(HOST, trust, limits)
    other = Server(server)
    other.shake(exchange)
    for piece in pieces:
        if piece and exchange.result is None:
            exchange.receive(other.send(piece))
    if exchange.result is None:
        exchange.receive(other.send(b"", close=close))
        exchange.receive(b"")
    return exchange.result


def test_a_policy(trust: ssl.SSLContext, good: ssl.SSLContext) -> None:
    found = fetched(trust, good, response(TEXT))
    assert found is not None
    assert (found.body, found.failure, found.ok) == (TEXT, None, True)
    assert found.tls.startswith("TLSv1.3 ")


def test_the_request(trust: ssl.SSLContext, good: ssl.SSLContext) -> None:
    exchange = Exchange(HOST, trust)
    server = Server(good)
    server.shake(exchange)
    request = server.tls.read(4096)
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert b"\r\nHost: mta-sts.a.example\r\n" in request
    assert b"\r\nConnection: close\r\n" in request
    assert b"cookie" not in request.lower()


LIMITS = Limits(body=1000, header=2000)
CHUNKED = "Transfer-Encoding: chunked"
GOOD = {
    "parameters of the type": response(TEXT, "200 OK", "Text/Plain; charset=utf-8; x=y"),
    "chunked": response(b"5\r\n" + TEXT[:5] + b"\r\n%x\r\n" % len(TEXT[5:]) + TEXT[5:] + b"\r\n0\r\n\r\n", "200 OK",
                        "text/plain", CHUNKED, length=False),
    "until the end": response(TEXT, length=False),
    "a hint first": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + response(TEXT),
    "HTTP/1.0": response(TEXT).replace(b"1.1", b"1.0"),
    "no reason": response(TEXT, "200"),
    "identity": response(TEXT, "200 OK", "text/plain", "Content-Encoding: identity"),
    "as long as may be": response(b"x" * 1000),
}  # fmt: skip


@pytest.mark.parametrize("said", GOOD.values(), ids=GOOD)
def test_good_responses(trust: ssl.SSLContext, good: ssl.SSLContext, said: bytes) -> None:
    found = fetched(trust, good, said, limits=LIMITS)
    assert found is not None
    assert found.ok, found.reason
    assert found.body in (TEXT, b"x" * 1000)
    assert fetched(trust, good, *[said[at : at + 1] for at in range(len(said))], limits=LIMITS) == found


BAD = {
    "redirect": (response(b"", "301 Moved", None, "Location: https://mta-sts.a.example/x"), Failure.REDIRECT),
    "temporary redirect": (response(TEXT, "307 Temporary Redirect", "text/plain", "Location: /x"), Failure.REDIRECT),
    "not modified": (response(b"", "304 Not Modified"), Failure.REDIRECT),
    "not found": (response(TEXT, "404 Not Found"), Failure.STATUS),
    "no content": (response(b"", "204 No Content", "text/plain", length=False), Failure.STATUS),
    "partial": (response(TEXT, "206 Partial Content"), Failure.STATUS),
    "server error": (response(TEXT, "500 Internal Server Error"), Failure.STATUS),
    "HTML": (response(TEXT, "200 OK", "text/html"), Failure.TYPE),
    "nearly text/plain": (response(TEXT, "200 OK", "text/plainx"), Failure.TYPE),
    "octets": (response(TEXT, "200 OK", "application/octet-stream"), Failure.TYPE),
    "no type": (response(TEXT, "200 OK", None), Failure.TYPE),
    "gzip": (response(b"\x1f\x8b", "200 OK", "text/plain", "Content-Encoding: gzip"), Failure.HTTP),
    "too long, and says so": (response(b"x" * 1001), Failure.SIZE),
    "says an enormous length": (response(b"x", "200 OK", "text/plain", f"Content-Length: {'9' * 19}", length=False),
                                Failure.SIZE),
    "too long in chunks": (response(b"3e9\r\n" + b"x" * 1001 + b"\r\n", "200 OK", "text/plain", CHUNKED, length=False),
                           Failure.SIZE),
    "too long until the end": (response(b"x" * 1001, length=False), Failure.SIZE),
    "chunks of extensions": (response((b"1;" + b"x" * 1500 + b"\r\ny\r\n") * 20, "200 OK", "text/plain", CHUNKED,
                                      length=False), Failure.SIZE),
    "a long header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3000, Failure.HTTP),
    "hints without end": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 6, Failure.HTTP),
    "not HTTP": (b"220 mx.a.example ESMTP\r\n\r\n", Failure.HTTP),
    "two lengths": (response(TEXT, "200 OK", "text/plain", "Content-Length: 3"), Failure.HTTP),
    "a negative length": (response(TEXT, "200 OK", "text/plain", "Content-Length: -3", length=False), Failure.HTTP),
    "shorter than it says": (response(TEXT)[:-1], Failure.HTTP),
    "a chunk is missing": (response(b"5\r\nabcde\r\n", "200 OK", "text/plain", CHUNKED, length=False), Failure.HTTP),
    "nothing": (b"", Failure.HTTP),
    "switching": (response(b"", "101 Switching Protocols", None, "Upgrade: x"), Failure.HTTP),
}  # fmt: skip


@pytest.mark.parametrize("said, failure", BAD.values(), ids=BAD)
def test_bad_responses(trust: ssl.SSLContext, good: ssl.SSLContext, said: bytes, failure: Failure) -> None:
    found = fetched(trust, good, said, limits=LIMITS)
    assert found is not None
    assert (found.failure, found.body) == (failure, None), found.reason
    assert found.reason
    assert failure.reported == "sts-policy-fetch-error"
    assert fetched(trust, good, said, close=False, limits=LIMITS) is not None


def test_a_body_without_length_must_end_with_tls(trust: ssl.SSLContext, good: ssl.SSLContext) -> None:
    found = fetched(trust, good, response(TEXT, length=False), close=False)
    assert found is not None
    assert (found.failure, found.reason) == (Failure.HTTP, "the connection broke off within the response")


def bad_leaves(root: Made) -> dict[str, Made]:
    other = make("Test Root", ca=True)
    no_ca = make("no authority", root)
    return {
        "another name": make("leaf", root, names=["a.example", "x.mta-sts.a.example"]),
        "the name as CN only": make(HOST, root),
        "the star too high": make("leaf", root, names=["*.example"]),
        "part of a label": make("leaf", root, names=["mta-*.a.example"]),
        "an unknown root": make("leaf", other, names=[HOST]),
        "signed by itself": make("leaf", names=[HOST]),
        "expired": make("leaf", root, names=[HOST], days=(-20, -1)),
        "not yet": make("leaf", root, names=[HOST], days=(1, 2)),
        "signed by a leaf": make("leaf", no_ca, names=[HOST]),
    }


def test_certificates_that_do_not_count(root: Made, trust: ssl.SSLContext, folder: Path) -> None:
    for why, leaf in bad_leaves(root).items():
        found = fetched(trust, leaf.server_context(folder), response(TEXT))
        assert found is not None, why
        assert (found.failure, found.body) == (Failure.CERTIFICATE, None), (why, found)
        assert found.failure.reported == "sts-webpki-invalid"


def test_a_star_for_one_label_counts(root: Made, trust: ssl.SSLContext, folder: Path) -> None:
    leaf = make("leaf", make("Intermediate", root, ca=True), names=["*.a.example"])
    found = fetched(trust, leaf.server_context(folder), response(TEXT))
    assert found is not None
    assert found.ok


def test_old_tls_does_not_count(root: Made, trust: ssl.SSLContext, folder: Path) -> None:
    old = make("leaf", root, names=[HOST]).server_context(folder)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    found = fetched(trust, old, response(TEXT))
    assert found is not None
    assert found.failure is Failure.TLS


def test_no_tls_at_all(trust: ssl.SSLContext) -> None:
    exchange = Exchange(HOST, trust)
    exchange.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert exchange.result is not None
    assert exchange.result.failure is Failure.TLS
    exchange.receive(b"more")
    assert exchange.outgoing()[:1] == b"\x16"


def test_broken_off_within_the_handshake(trust: ssl.SSLContext) -> None:
    exchange = Exchange(HOST, trust)
    exchange.receive(b"")
    assert exchange.result == Fetched(None, Failure.TLS, "the connection broke off within the handshake")


def test_a_context_that_verifies_nothing_is_refused() -> None:
    context = default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="default_context"):
        Exchange(HOST, context)


def test_giving_up(trust: ssl.SSLContext) -> None:
    exchange = Exchange(HOST, trust)
    assert exchange.give_up(Failure.TIMEOUT, "too\x1blate").reason == "too?late"
    assert exchange.give_up(Failure.HTTP, "again").failure is Failure.TIMEOUT


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([response(TEXT), *GOOD.values(), *[said for said, _ in BAD.values()]]),
    st.lists(st.integers(0, 2000), max_size=6),
    st.binary(max_size=6),
    st.booleans(),
)
def test_any_cut_and_any_octets(
    trust: ssl.SSLContext, good: ssl.SSLContext, said: bytes, cuts: list[int], noise: bytes, close: bool
) -> None:
    whole = fetched(trust, good, said, close=close, limits=LIMITS)
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    pieces = [said[a:b] for a, b in pairwise(places) if a < b]
    assert fetched(trust, good, *pieces, close=close, limits=LIMITS) == whole
    at = places[len(places) // 2]
    found = fetched(trust, good, said[:at] + noise + said[at:], close=close, limits=LIMITS)
    assert found is not None
